/* Inside kernels/ only, for every operation but gemm: the run functions that the registry's rows
 * name, and the tables of micro-loops that kernels/vec/<op>.c exports once a tier. */
#ifndef TIC_KERNELS_OPS_H
#define TIC_KERNELS_OPS_H

#include "kernels/room.h"

/* ---- run functions ------------------------------------------------------------------------- */

#define TIC_RUN(name)                                                                              \
    tic_status name(tic_ctx *ctx, const tic_variant *variant, const int *knobs, const void *args,  \
                    tic_error *err)

TIC_RUN(tic_attention_ref);
TIC_RUN(tic_attention_drive);
TIC_RUN(tic_attention_backward_ref);
TIC_RUN(tic_attention_backward_drive);
TIC_RUN(tic_contrastive_ref);
TIC_RUN(tic_contrastive_drive);
TIC_RUN(tic_distill_ref);
TIC_RUN(tic_distill_drive);
TIC_RUN(tic_layernorm_ref);
TIC_RUN(tic_layernorm_drive);
TIC_RUN(tic_layernorm_backward_ref);
TIC_RUN(tic_layernorm_backward_drive);
TIC_RUN(tic_patchify_ref);
TIC_RUN(tic_patchify_drive);
TIC_RUN(tic_embedding_ref);
TIC_RUN(tic_embedding_drive);
TIC_RUN(tic_embedding_backward_ref);
TIC_RUN(tic_embedding_backward_drive);
TIC_RUN(tic_l2norm_ref);
TIC_RUN(tic_l2norm_drive);
TIC_RUN(tic_l2norm_backward_ref);
TIC_RUN(tic_l2norm_backward_drive);
TIC_RUN(tic_adamw_ref);
TIC_RUN(tic_adamw_drive);

/* ---- elements of either type, for the references ------------------------------------------- */

static inline float tic_mat_get(tic_mat m, int64_t i, int64_t j) {
    return m.type == TIC_F32 ? ((const float *)m.data)[i * m.ld + j]
                             : tic_from_bf16(((const tic_bf16 *)m.data)[i * m.ld + j]);
}

static inline void tic_mat_put(tic_mat m, int64_t i, int64_t j, float x) {
    if (m.type == TIC_F32)
        ((float *)m.data)[i * m.ld + j] = x;
    else
        ((tic_bf16 *)m.data)[i * m.ld + j] = tic_to_bf16(x);
}

/* Row i, from column j on, of a matrix of either type. */
static inline void *tic_mat_row(tic_mat m, int64_t i, int64_t j) {
    return (char *)m.data + (size_t)(i * m.ld + j) * tic_dtype_size(m.type);
}

/* ---- micro-loops --------------------------------------------------------------------------- */

#define TIC_DECLARE_TIERS(type, name) extern const type name##_portable, name##_avx2, name##_avx512

enum { TIC_ATTENTION_ROWS = 96 }; /* most queries that are done at a time */

/* Attention, on f32 scratch. Rows of scores are padded to whole vectors of `lanes`. */
typedef struct tic_attention_micro {
    int lanes;
    /* C[m, n] = or += A[m, k] B[k, n]; n is a multiple of lanes; A's element (i, p) is
     * a[i * a_row + p * a_step]. Issues m * n * k MACs. */
    void (*product)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_step,
                    const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate);
    /* out[rows, padded] = in[rows, d], zeros from column d on; padded is a multiple of lanes. */
    void (*pack)(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld, float *out,
                 int64_t padded);
    /* out[d, ld_out] = inᵀ for in[rows, d], zeros from column rows up to a multiple of lanes. */
    void (*pack_transposed)(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld,
                            float *out, int64_t ld_out);
    /* out[rows, d] = factor[row] (1 when NULL) in[rows, padded]. */
    void (*unpack)(int64_t rows, int64_t d, const float *in, int64_t padded, const float *factor,
                   void *out, tic_dtype type, int64_t ld);
    /* Row r of s[rows, ld] sees its first `visible + r` columns, at most n: s = exp(scale s - max),
     * zero in the other columns up to n rounded up; lse and the reciprocal sum a row. */
    void (*softmax)(int64_t rows, int64_t n, int64_t visible, float scale, float *s, int64_t ld,
                    float *lse, float *reciprocal);
    /* delta[r] = sum of a[r] ∘ b[r] over d columns. */
    void (*dots)(int64_t rows, int64_t d, const void *a, int64_t ld_a, const void *b, int64_t ld_b,
                 tic_dtype type, float *delta);
    /* s = P = exp(scale s - lse), dp = dS = P (dp - delta) scale, zeros as in softmax. */
    void (*softmax_backward)(int64_t rows, int64_t n, int64_t visible, float scale, float *s,
                             float *dp, int64_t ld, const float *lse, const float *delta);
} tic_attention_micro;
TIC_DECLARE_TIERS(tic_attention_micro, tic_attention_micro);

/* Log-sum-exps and gradients of score strips (contrastive and distillation losses). */
typedef struct tic_scores_micro {
    /* log sum_j exp(scale s[j]) over n columns. */
    float (*row_lse)(int64_t n, const float *s, float scale);
    /* For columns 0 .. n-1 (n <= TIC_SCORE_COLUMNS): brings the running maximum and sum of
     * exp(scale s - max) of each column up to date with `rows` more rows. */
    void (*column_update)(int64_t rows, int64_t n, const float *s, int64_t ld, float scale,
                          float *max, double *sum);
    /* Contrastive: s[j] = (exp(scale s[j] - row) + exp(scale s[j] - column[j])) factor; returns the
     * sum of the new s[j] times the old scaled s[j]. */
    double (*contrastive_row)(int64_t n, float *s, float scale, float row, const float *column,
                              float factor);
    /* Distillation, student s and teacher t with their log-sum-exps:
     * s[j] = (p_row + p_col - q_row - q_col) factor, p the student's and q the teacher's; adds sums
     * like the above to *dot, and sum_j (q_row + q_col) (scaled t[j] - scaled s[j]) to *cross. */
    void (*distill_row)(int64_t n, float *s, const float *t, float scale, float t_scale, float row,
                        float t_row, const float *column, const float *t_column, float factor,
                        double *dot, double *cross);
} tic_scores_micro;
TIC_DECLARE_TIERS(tic_scores_micro, tic_scores_micro);
enum { TIC_SCORE_COLUMNS = 256 };

/* Rows first .. last-1. */
typedef struct tic_layernorm_micro {
    void (*forward)(const tic_layernorm_args *args, int64_t first, int64_t last);
    /* dgamma and dbeta [d], of these rows alone, are written. */
    void (*backward)(const tic_layernorm_args *args, int64_t first, int64_t last, float *dgamma,
                     float *dbeta);
} tic_layernorm_micro;
TIC_DECLARE_TIERS(tic_layernorm_micro, tic_layernorm_micro);

typedef struct tic_l2norm_micro {
    void (*forward)(const tic_l2norm_args *args, int64_t first, int64_t last);
    void (*backward)(const tic_l2norm_args *args, int64_t first, int64_t last);
} tic_l2norm_micro;
TIC_DECLARE_TIERS(tic_l2norm_micro, tic_l2norm_micro);

/* Elements first .. last-1; `rate` is lr / (1 - beta1^t), `root` is 1 / sqrt(1 - beta2^t). */
typedef struct tic_adamw_micro {
    void (*step)(const tic_adamw_args *args, int64_t first, int64_t last, float rate, float root);
    /* Sum of squares, always over the same 16 partial sums whatever the tier. */
    double (*square_sum)(const float *x, int64_t n);
} tic_adamw_micro;
TIC_DECLARE_TIERS(tic_adamw_micro, tic_adamw_micro);

#endif
