/* Inside kernels/ only, for every operation but gemm: the run functions that the registry's rows
 * name, and the tables of micro-loops that kernels/vec/<op>.c exports once a tier. */
#ifndef TIC_KERNELS_OPS_H
#define TIC_KERNELS_OPS_H

#include "kernels/amx.h"
#include "kernels/room.h"

/* ---- run functions ------------------------------------------------------------------------- */

#define TIC_RUN(name)                                                                              \
    tic_status name(tic_ctx *ctx, const tic_variant *variant, const int *knobs, const void *args,  \
                    tic_error *err)

TIC_RUN(tic_attention_ref);
TIC_RUN(tic_attention_drive);
TIC_RUN(tic_attention_backward_ref);
TIC_RUN(tic_attention_backward_drive);
TIC_RUN(tic_attention_bf16_drive);
TIC_RUN(tic_attention_bf16_backward_drive);
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
/* Scratch of the drivers, as tic_attention_scratch. */
size_t tic_attention_f32_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim);
size_t tic_attention_bf16_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim);

/* Where a product's tile goes: c = or += (when `add`) the tile, each row times its factor when
 * `factor` is not NULL. Generated assembly knows these offsets (kernels/gen/attention.py). */
typedef struct tic_attention_into {
    float *c;
    int64_t ldc; /* in bytes */
    const float *factor;
    int64_t add;
} tic_attention_into;
/* C[rows, vectors * lanes] from A[rows, k] B[k, ...]; issues rows * vectors * lanes * k MACs, sums
 * of an element run over k in order whatever the tile. */
typedef void tic_attention_product(int64_t k, const float *a, int64_t lda, const float *b,
                                   int64_t ldb, const tic_attention_into *into);
enum { TIC_ATTENTION_VECTORS = 4, TIC_ATTENTION_TILE_ROWS = 16 };
/* f32 tiles of a tier by [vectors - 1][rows - 1]; rows[v - 1] is the most there is for v vectors.
 */
typedef struct tic_attention_products {
    int lanes, vectors, rows[TIC_ATTENTION_VECTORS];
    tic_attention_product *along[TIC_ATTENTION_VECTORS][TIC_ATTENTION_TILE_ROWS]; /* A row-major */
    tic_attention_product
        *across[TIC_ATTENTION_VECTORS][TIC_ATTENTION_TILE_ROWS]; /* A transposed */
} tic_attention_products;
TIC_DECLARE_TIERS(tic_attention_products, tic_attention_products);

/* Columns of scores that one pass sees: key j is seen by query q when j < visible + q, where
 * causal, else when j < keys. */
typedef struct tic_attention_scores {
    int64_t keys, queries; /* queries: a multiple of lanes */
    bool causal;
    int64_t visible;
    float scale;
    int64_t ld; /* of every matrix of scores, [keys, ld] */
} tic_attention_scores;

/* Attention, on f32: scores stand transposed, S' = K Q', a row a key, so that what belongs to a
 * query (maximum, sum, lse, delta) is a lane and never a reduction within a vector. */
typedef struct tic_attention_micro {
    const tic_attention_products *products;
    /* out[rows, padded] = in[rows, d], zeros from column d on; padded is a multiple of lanes. */
    void (*pack)(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld, float *out,
                 int64_t padded);
    /* out[d, ld_out] = the transpose of in[rows, d], zeros from column rows up to whole vectors. */
    void (*pack_transposed)(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld,
                            float *out, int64_t ld_out);
    /* out[rows, d] = in[rows, padded]. */
    void (*unpack)(int64_t rows, int64_t d, const float *in, int64_t padded, void *out,
                   tic_dtype type, int64_t ld);
    /* s = exp(scale s - max), zero where a key is not seen; lse and the reciprocal sum a query. */
    void (*softmax)(const tic_attention_scores *scores, float *s, float *lse, float *reciprocal);
    /* s = P = exp(scale s - lse), dp = dS = P (dp - delta) scale with delta = rowsum(P ∘ dP), zero
     * where a key is not seen. */
    void (*softmax_backward)(const tic_attention_scores *scores, float *s, float *dp,
                             const float *lse);
} tic_attention_micro;
TIC_DECLARE_TIERS(tic_attention_micro, tic_attention_micro);

/* Attention whose products take bf16. Scores and their width are as above; `tiles` are columns of
 * 16 queries, `stride` bytes apart, each a row of tiles of pairs of keys (kernels/amx.h). */
typedef struct tic_attention_bf16_micro {
    /* out[padded_rows, padded] = in[rows, d], zeros around it. */
    void (*copy)(int64_t rows, int64_t padded_rows, int64_t d, int64_t padded, const tic_bf16 *in,
                 int64_t ld, tic_bf16 *out);
    /* out[rows, d] = in[rows, d], rounded. */
    void (*round_rows)(int64_t rows, int64_t d, const float *in, int64_t ld, tic_bf16 *out,
                       int64_t ld_out);
    /* out[rows, d] = the transpose of in[d, rows], times factor[row] when not NULL, rounded. */
    void (*round_transposed)(int64_t rows, int64_t d, const float *in, int64_t ld,
                             const float *factor, tic_bf16 *out, int64_t ld_out);
    /* tiles = exp(scale s - max), zero where a key is not seen and up to whole tiles. */
    void (*softmax)(const tic_attention_scores *scores, const float *s, float *lse,
                    float *reciprocal, void *tiles, int64_t stride);
    /* p = P and ds = dS as rows of keys, zero up to 32 keys and queries; tiles = dS; s is spoilt.
     */
    void (*softmax_backward)(const tic_attention_scores *scores, float *s, const float *dp,
                             const float *lse, tic_bf16 *p, tic_bf16 *ds, void *tiles,
                             int64_t stride);
} tic_attention_bf16_micro;
/* Tiles that VDPBF16PS sums, by [vectors - 1][rows - 1], rows[v - 1] the most for v vectors:
 * C = or += (when `add`) A B over k pairs, operands as tic_amx_block says, b_step 1024 and `steps`
 * unused, rows within one row tile of A. Issues rows * vectors * 32 * k MACs. */
typedef void tic_attention_pair_product(const tic_amx_block *block, int64_t k, int64_t add);
typedef struct tic_attention_pairs {
    int vectors, rows[TIC_ATTENTION_VECTORS];
    tic_attention_pair_product *tile[TIC_ATTENTION_VECTORS][TIC_ATTENTION_TILE_ROWS];
} tic_attention_pairs;
extern const tic_attention_pairs tic_attention_pairs_avx512_bf16;
/* What a variant on bf16 is made of: either tiles or pairs. */
typedef struct tic_attention_bf16 {
    const tic_attention_bf16_micro *loops;
    const tic_amx_packing *packing;
    const tic_amx_products *tiles;
    const tic_attention_pairs *pairs;
} tic_attention_bf16;
extern const tic_attention_bf16_micro tic_attention_bf16_micro_portable,
    tic_attention_bf16_micro_avx512_bf16;

/* The products of the losses (kernels/gen/contrastive.py): C[rows, panel] = or += A B over k units
 * of four bytes, an f32 or a pair of bf16. B is a packed panel [k][panel]; lda counts units, ldc
 * floats. Issues rows * panel * k MACs, rows rounded
 * up to row_unit, twice that in pairs. */
typedef void tic_scores_tile(int64_t k, const void *a, int64_t lda, const void *b, float *c,
                             int64_t ldc, bool accumulate);
typedef struct tic_scores_products {
    int strip;      /* most rows of a call */
    int row_unit;   /* a call touches and issues rows up to a multiple of it */
    int panel;      /* columns of a call */
    int k_unit;     /* k is a multiple of it, in units */
    tic_dtype unit; /* TIC_F32: one element, TIC_BF16: two */
    /* A's element (i, p) is a[i * lda + p] for rows, a[p * lda + i] for columns; 1 <= rows <=
     * strip. columns NULL: d_text is formed transposed, by `rows` (kernels/drive/scores.h). */
    void (*rows)(int rows, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                 int64_t ldc, bool accumulate);
    void (*columns)(int rows, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                    int64_t ldc, bool accumulate);
    void (*begin)(void), (*end)(void); /* around a thread's calls for a block; may be NULL */
} tic_scores_products;
extern const tic_scores_products tic_scores_products_portable, tic_scores_products_avx2;
extern const tic_scores_products tic_scores_products_avx512;
extern const tic_scores_products tic_scores_products_avx512_bf16;
extern const tic_scores_products tic_scores_products_amx, tic_scores_products_amx_emulated;

/* A sum of exponentials kept as sum * 2^exponent: the exponent is that of the largest so far, so
 * that neither overflows nor vanishes, whatever the scores. Arrays of one float each; a new one is
 * {0, TIC_SCORES_LEAST}. */
typedef struct tic_scores_sums {
    float *sum, *exponent;
} tic_scores_sums;
#define TIC_SCORES_LEAST (-0x1p20f)

/* Rows of a block of scores, S / scale in s[rows, ld]; rows <= TIC_SCORES_STRIP, padded <=
 * TIC_SCORES_COLUMNS. Columns n .. padded-1 may hold anything; gradients write zeros there. */
typedef struct tic_scores_strip {
    int64_t rows, n, padded, ld;
    float *s;
    float scale;
    int64_t diagonal; /* of its row i the pair stands in column i + diagonal, if within 0 .. n-1 */
} tic_scores_strip;
enum { TIC_SCORES_STRIP = 32, TIC_SCORES_COLUMNS = 512 };

/* Log-sum-exps and gradients of strips, packing of operands (kernels/vec/scores.c). */
typedef struct tic_scores_vec {
    /* Adds 2^(scale s log2 e) of a strip to the sums of its rows and of its columns. */
    void (*gather)(const tic_scores_strip *strip, tic_scores_sums row, tic_scores_sums column);
    /* exp(scale x) as mantissa * 2^exponent, with the bits that gather adds. */
    void (*one)(float x, float scale, float *mantissa, float *exponent);
    /* Contrastive: s = (p_row + p_column - 2 on the diagonal) factor, from sums whose `sum` holds
     * its reciprocal. Returns the sum of the new s times the old scaled s. */
    double (*contrastive)(const tic_scores_strip *strip, tic_scores_sums row,
                          tic_scores_sums column, float factor);
    /* Distillation, student s and teacher t with their sums (reciprocals): s = (p_row + p_column -
     * q_row - q_column) factor, p the student's and q the teacher's; adds sums like the above to
     * *dot, and sum (q_row + q_column) (scaled t - scaled s) to *cross. */
    void (*distill)(const tic_scores_strip *student, const tic_scores_strip *teacher,
                    tic_scores_sums row, tic_scores_sums column, tic_scores_sums t_row,
                    tic_scores_sums t_column, float factor, double *dot, double *cross);
    /* x[n] to the nearest bf16, in place. */
    void (*round)(int64_t n, float *x);
    /* The same, as bf16, zeros from n to `padded`. */
    void (*narrow)(int64_t n, const float *x, tic_bf16 *out, int64_t padded);
    /* out[units, panel] of a panel: row p holds columns 0 .. n-1 of row p of x (unit f32), or of
     * rows 2p and 2p+1 of it in turn (bf16), zeros beyond n and beyond `rows`. ld in elements. */
    void (*interleave)(tic_dtype unit, int64_t rows, int64_t n, const void *x, int64_t ld,
                       void *out, int64_t units, int64_t panel);
    /* out[units, ld_out] = xᵀ for x[rows, units] of units; columns rows .. filled-1 become zeros.
     */
    void (*transpose)(int64_t rows, int64_t units, const void *x, int64_t ld, void *out,
                      int64_t ld_out, int64_t filled);
    /* sum of x y over n, in double */
    double (*dot)(int64_t n, const float *x, const float *y);
} tic_scores_vec;
TIC_DECLARE_TIERS(tic_scores_vec, tic_scores_vec);

typedef struct tic_scores_micro { /* of a variant */
    const tic_scores_products *products;
    const tic_scores_vec *vec;
} tic_scores_micro;

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

/* *squares (unless NULL) is what square_sum gives for g as it was. */
typedef struct tic_adamw_micro {
    /* Elements first .. last-1. */
    void (*step)(const tic_adamw_args *args, const tic_adamw_step *now, int64_t first, int64_t last,
                 double *squares);
    /* Rows first .. last-1 of args->rows, with the steps that they missed. */
    void (*rows)(const tic_adamw_args *args, const tic_adamw_step *now, int64_t first, int64_t last,
                 double *squares);
    /* Sum of squares, always over the same 16 partial sums whatever the tier. */
    double (*square_sum)(const float *x, int64_t n);
} tic_adamw_micro;
TIC_DECLARE_TIERS(tic_adamw_micro, tic_adamw_micro);

#endif
