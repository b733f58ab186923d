/* What shift analysis is made of: eigenvalues, Fréchet distance, words. */
#ifndef TIC_CONTINUAL_SHIFT_H
#define TIC_CONTINUAL_SHIFT_H

#include "room.h"

/* ---- eigenvalues (eigen.c) ------------------------------------------------------------------- */

/* Of a symmetric matrix a [n,n], in no order. With vectors a becomes Vᵀ: row i is the unit
 * eigenvector of values[i]; else its contents are lost. TIC_EINPUT for a matrix that is not finite.
 * Householder's tridiagonal form and QL with implicit shifts (Golub & Van Loan, Matrix
 * Computations, 8.3). */
tic_status tic_eigen_symmetric(double *a, int n, double *values, bool vectors, tic_error *err);

/* ---- Fréchet distance (frechet.c) ------------------------------------------------------------ */

typedef struct tic_moments { /* of features [n,d] */
    int d;
    double *mean;       /* [d] */
    double *covariance; /* [d,d], divided by n - 1 */
} tic_moments;
/* n at least 2, else TIC_EUSAGE. On success the caller frees *out. */
tic_status tic_moments_make(tic_moments *out, const float *features, int64_t n, int d,
                            tic_error *err);
void tic_moments_free(tic_moments *moments);
/* |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), what FID is of Inception's features (Heusel et al.
 * 2017, eq. 6). With S1 = F Fᵀ the root's trace is the sum of the roots of FᵀS2F's eigenvalues. */
tic_status tic_frechet(const tic_moments *a, const tic_moments *b, double *distance,
                       tic_error *err);

/* ---- words (nouns.c) ------------------------------------------------------------------------- */

typedef struct tic_nouns tic_nouns;
/* Words of three letters or more that are no function words of English; with a path, of these the
 * ones in a list: WordNet's index.noun (lines that begin with a blank are its licence, the lemma is
 * the first field, lemmas of several words are left out) or a word a line. On success *out is the
 * caller's (tic_nouns_free). */
tic_status tic_nouns_load(tic_nouns **out, const char *path, tic_error *err);
void tic_nouns_free(tic_nouns *nouns); /* NULL is allowed */
/* The first `limit` words of a caption that are in the list, each once: {WORD: true}, in lower
 * case, a plural as its singular where only that is in the list; a new reference. Words are runs of
 * letters (ASCII, or any byte beyond it). */
json_t *tic_nouns_of(const tic_nouns *nouns, const char *caption, int limit);

/* Half the sum of |p - q| over all words, p and q being counts {WORD: n} divided by their sums. */
double tic_total_variation(const json_t *p, const json_t *q);

#endif
