/* Blocks of a score matrix S = scale I Tᵀ, shared by the contrastive and the distillation loss.
 *
 * S [b,b] never exists as a whole. It is cut into blocks; a column of blocks, a stripe, is one
 * thread's from top to bottom, with its texts packed for the products. A block is computed once to
 * add its exponentials to the sums of its rows and columns, and once more to become the gradient dS
 * in place and be multiplied with the features (a small S is kept instead). Cost in units of b² d
 * MACs: 1 + 1 (recomputed unless S is kept) + 2 for the gradients of I and T.
 *
 * Order of sums. A stripe's columns (their sums, d_text) are added to by its thread, block after
 * block. A block of rows (its sums, d_image) is added to by all stripes: stripe g waits, block by
 * block, until stripe g-1 has done the same block. So every sum has one order, whatever the
 * threads, and needs no partial results; a thread waits at a sweep's start only, for one block. */
#ifndef TIC_DRIVE_SCORES_H
#define TIC_DRIVE_SCORES_H

#include "kernels/ops.h"

/* Whether S is kept between the passes: up to 512 pairs, 1 MiB. */
bool tic_scores_kept(int64_t b);

/* One sweep over all blocks, by the threads of an OpenMP region that all call it. */
typedef struct tic_sweep {
    int64_t stripes, blocks;
    int64_t next;  /* stripe to be taken */
    int64_t *done; /* [stripes, TIC_SWEEP_APART]: blocks done */
} tic_sweep;
enum { TIC_SWEEP_APART = 16 }; /* two cache lines */
void tic_sweep_run(tic_sweep *sweep, void (*begin)(void *state, int thread, int64_t stripe),
                   void (*block)(void *state, int thread, int64_t stripe, int64_t block),
                   void (*end)(void *state, int thread, int64_t stripe), void *state);

typedef struct tic_scores_thread { /* what a thread works with */
    float *block;                  /* [block, ld] scores over scale, later dS scale */
    void *text_rows;               /* the stripe's texts, rounded; not of f32. In `block` unless
                                      scores are kept: dead once they are packed */
    void *text_scores;             /* packed for S: panels of texts over d */
    void *image_rows;              /* a block's, rounded to bf16 in f32; or all in tic_scores */
    void *text_panels;             /* packed for d_image: panels of d over texts */
    void *image_panels;            /* a block's, packed for d_text; or all in tic_scores */
    tic_bf16 *ds_rows;             /* dS as operand of d_image; bf16 */
    uint32_t *ds_pairs;            /* dS as operand of d_text; bf16. In `block` likewise: dS is
                                      in ds_rows then */
    float *d_text;                 /* [d, block] the stripe's, where products are transposed */
    float *tile;                   /* of the last columns of d */
    uint64_t issued;
    char apart[64];
} tic_scores_thread;

typedef struct tic_scores {
    const tic_scores_micro *micro;
    tic_dtype precision;
    int64_t b, d;
    const float *image, *text; /* [b,d] */
    float scale;
    bool exact_diagonal; /* pairs' scores from f32 features whatever the precision */
    bool gradients;
    int64_t most; /* rows and columns of a block: the knob */
    /* derived by tic_scores_plan */
    bool kept;
    bool packs_images;       /* a thread packs, and rounds, a block's images when it meets them:
                                little beside their products, unless they are transposed */
    int64_t block;           /* rows and columns of a block */
    int64_t blocks;          /* of a stripe, and stripes */
    int64_t ld;              /* of scores */
    int64_t d_units, panels; /* k of S in units; panels of d */
    int64_t lda;             /* of image_rows and text_rows, in units */
    /* in the context's scratch */
    float *diagonal;             /* [b] pairs' scores over scale; with exact_diagonal */
    tic_scores_sums row, column; /* [b] each */
    float *whole;                /* [b, ld] when kept */
    void *image_rows;            /* packed for S, unless each thread rounds blocks */
    void *image_panels;          /* packed for d_text, unless each thread packs blocks */
    tic_scores_thread *thread;   /* [threads] */
    int64_t *done[2];            /* of two sweeps */
} tic_scores;

/* Fills the derived sizes from the fields above them; returns the bytes of scratch. */
size_t tic_scores_plan(const tic_ctx *ctx, tic_scores *s);
/* Takes the buffers from ctx's scratch, which holds them. */
void tic_scores_take(tic_ctx *ctx, tic_scores *s);
tic_sweep tic_scores_sweep(const tic_scores *s, int which);

/* ---- called by all threads of a region, `thread` being omp_get_thread_num() ---------------- */

/* Packs the images, but those that threads round for themselves, computes the diagonal, clears the
 * sums. Ends with a barrier. */
void tic_scores_enter(const tic_scores *s);
/* Counts what the thread issued. */
void tic_scores_leave(tic_ctx *ctx, tic_op op, const tic_scores *s);
/* Packs a stripe's texts: for S, and for d_image when `panels`. The block is spoilt. */
void tic_scores_begin_stripe(const tic_scores *s, int thread, int64_t stripe, bool panels);
/* Around all that follows, block by block: of the images that a thread rounds it has this block's.
 */
void tic_scores_begin_block(const tic_scores *s, int thread, int64_t block);
void tic_scores_end_block(const tic_scores *s);
/* A block's strip of scores, computed, or found when kept and `again`. */
int64_t tic_scores_strips(const tic_scores *s, int64_t block); /* of a block */
tic_scores_strip tic_scores_strip_of(const tic_scores *s, int thread, int64_t stripe, int64_t block,
                                     int64_t strip, bool again);
/* Adds the block of dS scale to d_image and d_text (the first stripe and block write them). The
 * block is spoilt, unless scores are kept. */
void tic_scores_multiply(const tic_scores *s, int thread, int64_t stripe, int64_t block,
                         float *d_image, float *d_text);
/* The stripe's d_text is complete. */
void tic_scores_end_stripe(const tic_scores *s, int thread, int64_t stripe, float *d_text);

/* ---- sums ----------------------------------------------------------------------------------- */

/* From element i on. A strip's rows start at left + strip.diagonal, left being its first column. */
static inline tic_scores_sums tic_scores_sums_at(tic_scores_sums sums, int64_t i) {
    return (tic_scores_sums){sums.sum + i, sums.exponent + i};
}
/* log(sum[i] 2^exponent[i]) - log(own 2^own_exponent); not negative when own is part of the sum. */
double tic_scores_log(tic_scores_sums sums, int64_t i, float own, float own_exponent);
/* All sums become their reciprocals, as the gradients take them. */
void tic_scores_invert(const tic_scores *s);

#endif
