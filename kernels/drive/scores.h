/* Strips of a score matrix S = scale I Tᵀ, shared by the contrastive and the distillation loss.
 *
 * S [b,b] never exists as a whole: strips of rows are computed by GEMM, once to find the
 * log-sum-exp of every row and column, and once more to turn scores into gradients (a single strip
 * is kept instead). How many rows a strip has follows from b alone. Cost in units of b² d MACs:
 * 1 + 1 (recomputed unless b fits one strip) + 2 for the gradients of I and T. */
#ifndef TIC_DRIVE_SCORES_H
#define TIC_DRIVE_SCORES_H

#include "kernels/ops.h"

typedef struct tic_scores {
    tic_op op; /* that the products are charged to */
    tic_dtype precision;
    int64_t b, d;
    const float *image, *text; /* [b,d] */
    float scale;
    bool exact_diagonal; /* pairs' scores from f32 features whatever the precision */
    /* in the context's scratch */
    float *diagonal;     /* [b] scaled; with exact_diagonal */
    float *row, *column; /* [b] log-sum-exps */
    float *column_max;   /* [b] while they are gathered */
    double *column_sum;  /* [b] */
    float *strip;        /* [tic_strip_rows(b), ld] scores over scale, later their gradient */
    int64_t ld;
} tic_scores;

int64_t tic_strip_rows(int64_t b);
int64_t tic_strip_count(int64_t b);

/* Scratch of one tic_scores, and of the GEMMs over it (in either precision). */
size_t tic_scores_bytes(int64_t b);
size_t tic_scores_gemm_bytes(const tic_ctx *ctx, int64_t b, int64_t d);
/* Takes the buffers from ctx's scratch, which holds them. */
void tic_scores_take(tic_ctx *ctx, tic_scores *s);

/* strip = rows first .. first + rows - 1 of I Tᵀ, not yet scaled. */
tic_status tic_scores_strip(tic_ctx *ctx, const tic_scores *s, int64_t first, int64_t rows,
                            tic_error *err);
/* All strips once: fills row, column and diagonal. The last strip stays in `strip`. */
tic_status tic_scores_log_sum_exps(tic_ctx *ctx, const tic_scores_micro *micro, const tic_scores *s,
                                   tic_error *err);
/* The strip now holds dS scale: writes these rows of d_image, adds to d_text (the first strip
 * writes it). */
tic_status tic_scores_gradients(tic_ctx *ctx, const tic_scores *s, int64_t first, int64_t rows,
                                float *d_image, float *d_text, tic_error *err);

#endif
