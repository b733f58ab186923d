/* ticlip's operations: all that the rooms above see of `kernels/`.
 *
 * Conventions. Matrices are row-major; `ld` counts elements between rows. Sizes are int64_t, 0 is
 * allowed where a batch may be empty. f32 operands are IEEE binary32, bf16 ones the upper half of
 * one, rounded to nearest even. A call borrows its operands and keeps nothing. Outputs must not
 * overlap inputs unless a comment allows it. Every call adds its multiply-adds to the counters of
 * the threads that ran it. Results depend on the plan and never on the number of threads.
 *
 * Errors: TIC_EUSAGE for arguments that cannot be (sizes, NULL, alignment), TIC_ERESOURCE when the
 * scratch had to grow and memory was out. On failure outputs are unspecified. */
#ifndef TIC_KERNELS_H
#define TIC_KERNELS_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint16_t tic_bf16;
typedef enum tic_dtype { TIC_F32 = 0, TIC_BF16 = 1 } tic_dtype;
static inline size_t tic_dtype_size(tic_dtype type) {
    return type == TIC_F32 ? 4 : 2;
}
const char *tic_dtype_name(tic_dtype type); /* "f32", "bf16" */
float tic_from_bf16(tic_bf16 x);
tic_bf16 tic_to_bf16(float x); /* nearest even; NaN stays NaN */

/* ---- operations, purposes, counters ------------------------------------------------------- */

typedef enum tic_op {
    TIC_OP_GEMM,
    TIC_OP_ATTENTION,
    TIC_OP_ATTENTION_BACKWARD,
    TIC_OP_CONTRASTIVE,
    TIC_OP_DISTILL,
    TIC_OP_LAYERNORM,
    TIC_OP_LAYERNORM_BACKWARD,
    TIC_OP_PATCHIFY,
    TIC_OP_EMBEDDING,
    TIC_OP_EMBEDDING_BACKWARD,
    TIC_OP_L2NORM,
    TIC_OP_L2NORM_BACKWARD,
    TIC_OP_ADAMW,
    TIC_OP_COUNT
} tic_op;
const char *tic_op_name(tic_op op); /* "gemm", "attention", ... */

/* What a MAC is spent for; the ledger's columns (design: MACs). */
typedef enum tic_purpose {
    TIC_FOR_FORWARD, /* training */
    TIC_FOR_BACKWARD,
    TIC_FOR_RECOMPUTE, /* second forward of a micro-batched step */
    TIC_FOR_TEACHER,
    TIC_FOR_FISHER,
    TIC_FOR_SELECTION,
    TIC_FOR_PATCHING,
    TIC_FOR_EVALUATION,
    TIC_FOR_TUNING,
    TIC_PURPOSE_COUNT
} tic_purpose;
const char *tic_purpose_name(tic_purpose purpose); /* "forward", "backward", ... */

/* logical: what the shapes need. issued: added up by micro-kernel calls at their true tile sizes.
 * Attention, contrastive and distill count their products; elementwise work and layernorm count
 * no MACs (they are bound by memory and reported in GB/s). */
typedef struct tic_macs {
    uint64_t logical, issued;
} tic_macs;
enum { TIC_SITES = 144 };
typedef struct tic_counters {
    tic_macs by[TIC_PURPOSE_COUNT][TIC_OP_COUNT];
    tic_macs at[TIC_SITES][TIC_PURPOSE_COUNT]; /* the same MACs by tic_ctx_site */
    uint64_t hardware; /* MACs that tic_ctx_pmu's counters tell, whatever they are for; 0: none */
} tic_counters;
tic_macs tic_counters_sum(const tic_counters *counters);
tic_macs tic_counters_purpose(const tic_counters *counters, tic_purpose purpose);
tic_macs tic_counters_site(const tic_counters *counters, int site); /* for all purposes */

/* What one call of `op` has to do at least: logical multiply-adds, and the bytes of every operand
 * once, read or written. args: the operation's own struct, e.g. tic_gemm_args; elements that
 * pointers point to are not read, offsets are. */
typedef struct tic_demand {
    uint64_t macs, bytes;
    tic_dtype precision; /* of the operands */
} tic_demand;
tic_demand tic_demand_of(tic_op op, const void *args);

/* ---- plan ---------------------------------------------------------------------------------- */

/* Which variant, with which knobs, computes which problem. Text, one line a problem:
 *   <problem key> <variant> [<knob>=<integer>]...
 * A key is `<op>/<precision>/<shape>`, as tic_problem_key writes it; `<op>/<precision>/any` stands
 * for every shape that has no line of its own. A gemm's shape is a class: the sizes of the weight
 * exactly, the rows of the batch (m; k for TIC_TN) by the power of two they reach, so that
 * "nt,m512+,n768,k3072,bias" speaks of 512 to 1023 rows: captions are packed, and every step of a
 * text tower has another number. Plan files (fingerprint, checksum, fallback) are
 * autotune/'s; the runner copies one into a run's folder. */
typedef struct tic_plan tic_plan;
/* An empty plan: every problem takes the registry's default for the CPU. */
tic_status tic_plan_new(tic_plan **out, tic_error *err);
void tic_plan_free(tic_plan *plan); /* NULL is allowed */
/* Adds or replaces one line. Unknown variant or knob: TIC_EINPUT naming it. */
tic_status tic_plan_add(tic_plan *plan, const char *line, tic_error *err);
/* Lines in the order of their keys; line i is borrowed until the plan changes. */
int tic_plan_lines(const tic_plan *plan);
const char *tic_plan_line(const tic_plan *plan, int i);
/* Adds a `<op>/<precision>/any` line for every operation and precision that has none, naming the
 * registry's default for this CPU limited to `isa_limit`: a plan that a run can be resumed with. */
tic_status tic_plan_complete(tic_plan *plan, unsigned isa_limit, tic_error *err);

/* ---- context ------------------------------------------------------------------------------- */

/* Holds threads, plan, scratch and counters. One context is used by one caller at a time. */
typedef struct tic_ctx tic_ctx;
typedef struct tic_ctx_options {
    int threads;          /* 0: one per core this process may run on */
    unsigned isa_limit;   /* variants beyond it are not used; 0: no limit. TIC_ISA_AVX2 also
                             admits portable ones. Use TIC_ISA_LIMIT_PORTABLE for portable only */
    const tic_plan *plan; /* borrowed for the context's life; NULL: registry defaults */
} tic_ctx_options;
#define TIC_ISA_LIMIT_PORTABLE (1u << 31)

/* options NULL: all defaults. TIC_EUSAGE when the plan names a variant that this CPU, build or
 * limit cannot run. On success *out is the caller's (tic_ctx_free), else NULL. */
tic_status tic_ctx_new(tic_ctx **out, const tic_ctx_options *options, tic_error *err);
void tic_ctx_free(tic_ctx *ctx); /* NULL is allowed */
int tic_ctx_threads(const tic_ctx *ctx);
unsigned tic_ctx_isa(const tic_ctx *ctx);                /* mask the context may use on this CPU */
void tic_ctx_purpose(tic_ctx *ctx, tic_purpose purpose); /* what the following calls are for */
/* Where they stand in what the caller computes, 0 .. TIC_SITES - 1, e.g. a model's layer; 0 at
 * first. */
void tic_ctx_site(tic_ctx *ctx, int site);
void tic_ctx_counters(const tic_ctx *ctx, tic_counters *out); /* sum over threads since creation */

/* Scratch. The first use of a shape may book memory, so a model books the largest when it is
 * built (tic_ctx_reserve with the `_scratch` function of each operation) and nothing grows in a
 * training step; tic_ctx_growths counts the times it did. */
tic_status tic_ctx_reserve(tic_ctx *ctx, size_t bytes, tic_error *err);
int tic_ctx_growths(const tic_ctx *ctx);

/* ---- variants: for tests, tuner, auditor and benchmarks ------------------------------------ */

typedef struct tic_variant_info {
    const char *name; /* unique within the operation; "ref" is the reference */
    tic_op op;
    unsigned isa;        /* mask of tic_isa it needs */
    unsigned precisions; /* bit 1 << tic_dtype */
    const char *about;   /* one line */
} tic_variant_info;
int tic_variant_count(void);
tic_variant_info tic_variant_get(int i);
/* Its i, also of rows that only a test's program has, which tic_variant_count leaves out; -1: there
 * is none of that name. */
int tic_variant_find(tic_op op, const char *name);
typedef struct tic_knob { /* e.g. {"kc", 256, 16, 4096}: a tunable integer of a variant */
    const char *name;
    int value, min, max; /* value: the default */
} tic_knob;
enum { TIC_MAX_KNOBS = 5 };
int tic_variant_knobs(int i, const tic_knob **knobs); /* their number; borrowed */
/* NULL when variant i would compute this call of its operation in `ctx`, else why not: a static
 * string. `args` is the operation's struct; what its pointers point to is not read. */
const char *tic_variant_declines(const tic_ctx *ctx, int i, tic_dtype precision, const void *args);
/* The variant and the values of its knobs that `ctx` would compute this call with. `shape` is what
 * follows the second slash of a plan's key. */
tic_status tic_ctx_choice(const tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                          const void *args, int *variant, int knobs[TIC_MAX_KNOBS], tic_error *err);
/* Of a gemm variant with knobs kc, mc, nc: rows and columns of its tile of C and bytes of a packed
 * element. False where there are none. */
bool tic_variant_tile(int i, int *rows, int *columns, size_t *element);
/* From now on `op` runs `name` whatever the plan says (NULL: the plan again). TIC_EUSAGE when
 * there is no such variant or this CPU or context cannot run it, with the reason. */
tic_status tic_ctx_force(tic_ctx *ctx, tic_op op, const char *name, tic_error *err);
/* The variant that the last call of `op` ran; "" before the first. */
const char *tic_ctx_ran(const tic_ctx *ctx, tic_op op);

/* A finished call, as a watcher of the context sees it. A gemm that is a part of another operation
 * is part of that one's call. */
typedef struct tic_call {
    tic_op op;
    tic_purpose purpose;
    const char *variant, *shape; /* borrowed while the watcher runs */
    double seconds;
    tic_demand demand;
} tic_call;
/* `watch` is called after every successful call of an operation, by the caller's thread; NULL ends
 * it. `state` is borrowed. For profiles: bench_step --profile. */
void tic_ctx_watch(tic_ctx *ctx, void (*watch)(void *state, const tic_call *call), void *state);

/* ---- gemm ---------------------------------------------------------------------------------- */

typedef struct tic_mat { /* a borrowed matrix */
    void *data;
    tic_dtype type;
    int64_t ld;
} tic_mat;
static inline tic_mat tic_f32(const float *data, int64_t ld) {
    return (tic_mat){(void *)data, TIC_F32, ld};
}

typedef enum tic_trans { TIC_NN, TIC_NT, TIC_TN } tic_trans; /* A·B, A·Bᵀ, Aᵀ·B */
/* none; erf GELU; x*sigmoid(1.702 x) (reference/openclip.md) */
typedef enum tic_act { TIC_ACT_NONE, TIC_ACT_GELU, TIC_ACT_QUICK_GELU } tic_act;

/* C[m,n] = epilogue(op(A)[m,k] · op(B)[k,n]), sums in f32 over k in one fixed order.
 * `precision` TIC_BF16 rounds f32 elements of A and B to bf16 as they are packed; bf16 elements
 * are taken as they are in either precision. Variants on AMX tiles, emulated ones too, and those by
 * VDPBF16PS take denormal operands, sums of products and bf16 outputs for zeros of their sign, as
 * the instructions do (kernels/amx.h). On AVX-512 and on tiles GELU has an absolute error of 1.2e-7
 * |x|, not a relative one, in the negative tail. The epilogue, in this order, each part optional:
 *   s  = product
 *   s += bias[j]
 *   pre[i,j] = s                      (act != none, and pre.data set: what backward needs)
 *   s  = act(s)                       (act != none)
 *   s *= act'(grad_pre[i,j])          (grad_pre.data set; act names the function; excludes pre
 *                                      and applies no act: this is the backward epilogue)
 *   s += residual[i,j]                (f32)
 *   C  = s, or C += s when accumulate (C must then be f32)
 * colsum (only TIC_TN): colsum[i] = sum over p of A[p,i], or += when accumulate: with
 * A = dY this is the bias gradient beside dW = dYᵀ·X. C may be the same memory as residual. */
typedef struct tic_packed tic_packed;
typedef struct tic_gemm_args {
    tic_trans trans;
    tic_dtype precision;
    int64_t m, n, k;
    tic_mat a, b, c;
    const float *bias; /* [n] */
    tic_act act;
    tic_mat pre, grad_pre; /* [m,n] */
    const float *residual; /* [m,n], ld_residual */
    int64_t ld_residual;
    bool accumulate;
    float *colsum;              /* [m] */
    const tic_packed *packed_b; /* B as it was packed before (below), or NULL; b is set all the same
                                   and holds the same numbers */
} tic_gemm_args;
tic_status tic_gemm(tic_ctx *ctx, const tic_gemm_args *args, tic_error *err);
size_t tic_gemm_scratch(const tic_ctx *ctx, const tic_gemm_args *args); /* pointers are not read */

/* Weights packed once an optimizer step instead of in every call. A packing depends on B alone (its
 * sizes, TIC_NT or not, precision) and on the panels that the micro-kernel reads, never on m: calls
 * of any m share it. A call with packed_b runs the plan's variant when that reads such panels, else
 * the registry's first that does; a forced variant of other panels packs b as without packed_b.
 * The bits of C are those of the same variant without packed_b.
 *
 *   tic_packed p = tic_gemm_packing(ctx, &args);   what the plan's variant for args would pack
 *   p.data = memory of p.bytes, a multiple of 64 bytes from 0; the caller's
 *   tic_gemm_pack(&p, b);                          once: all rows, and the padding
 *   tic_gemm_pack_rows(&p, b, first, rows);        after these rows of B, as it stands in memory
 *                                                  ([n,k] for TIC_NT, else [k,n]), have changed
 *
 * The optimizer calls the last for both packings of a weight W [out,in], TIC_NT for the forward
 * pass and TIC_NN for the gradient of its input, while the rows it has updated are in its cache.
 * Threads may pack disjoint rows of one packing at the same time when `first` is a multiple of
 * rows_unit (and `rows` too, or ends with the matrix). */
struct tic_packed {
    const struct tic_gemm_format *format; /* of the panels; NULL: the variant packs nothing */
    tic_trans trans;
    tic_dtype precision;
    int64_t n, k, rows_unit;
    size_t bytes; /* 0: the variant packs nothing, leave packed_b NULL */
    void *data;
};
tic_packed tic_gemm_packing(const tic_ctx *ctx, const tic_gemm_args *args); /* data NULL */
void tic_gemm_pack(const tic_packed *packed, tic_mat b);
void tic_gemm_pack_rows(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows);

/* ---- problems: the shapes that matter, one table for tests, tuner, auditor and benchmarks ---- */

typedef struct tic_problem {
    const char *name; /* "ViT-B-32 vision, qkv": model and tower, site */
    tic_op op;
    /* gemm: as in tic_gemm_args. contrastive: m pairs of n features; distill: and k of the teacher.
     * layernorm, l2norm: m rows of n. patchify: m images of n x n pixels in patches of k.
     * embedding: m sequences of `length` tokens of n features, k words; pictures when k is 0.
     * adamw: n parameters. */
    int64_t m, n, k;
    tic_trans trans;
    tic_act act;
    bool bias, pre, grad_pre, residual, accumulate, colsum;
    tic_dtype a, b, c, kept; /* gemm: in memory; kept: pre and grad_pre */
    bool packed;             /* gemm: B is a weight that was packed before the call */
    /* attention: m sequences of `length` tokens each, `pooled`: the last one asks alone */
    int length, heads, head_dim;
    bool causal, pooled;
    int calls; /* in a training step; 0: not told */
} tic_problem;
int tic_problem_count(void);
const tic_problem *tic_problem_get(int i);
enum { TIC_PROBLEM_KEY = 200 }; /* bytes, with the NUL */
/* The key of a plan's line: with its class of shapes for gemm, whose variants have knobs; `any` for
 * every other operation, which a plan decides once for all shapes. */
void tic_problem_key(const tic_problem *problem, tic_dtype precision, char key[TIC_PROBLEM_KEY]);
const char *tic_key_shape(const char *key); /* its third part */
/* Values of k in a block of a gemm variant (tic_variant_tile) at most: kc, or less where a block is
 * packed in the call and its sums go straight to C. */
int64_t tic_variant_block(int i, const tic_problem *problem, int64_t kc);
/* Whether it could read the problem's Aᵀ where it stands: else its knob a_in_place does nothing. */
bool tic_variant_takes_a_in_place(int i, const tic_problem *problem, tic_dtype precision,
                                  int64_t kc);

/* ---- attention ----------------------------------------------------------------------------- */

/* Softmax attention over packed sequences of different lengths. Sequence s has query rows
 * q_offsets[s] .. q_offsets[s+1]-1 and key/value rows kv_offsets[s] .. kv_offsets[s+1]-1; head h
 * is columns h*head_dim .. of every matrix. P = softmax(scale Q Kᵀ), O = P V. Causal: with Lq
 * queries and Lk keys, query i sees keys 0 .. i + Lk - Lq (so one query that is the last token
 * sees all). Lq <= Lk when causal; both >= 1. All matrices are `type`.
 * lse[row * heads + h] = log sum exp of the scaled scores: forward writes it when not NULL, and
 * backward reads it. Backward (answers O = P V, P = softmax(S), S = scale Q Kᵀ):
 *   dV = Pᵀ dO;  dP = dO Vᵀ;  dS = P ∘ (dP - rowsum(dO ∘ O));  dQ = scale dS K;  dK = scale dSᵀ Q
 * It writes dq, dk, dv (never accumulates), recomputing P from lse; variants may take
 * rowsum(P ∘ dP), which is the same, and leave o unread. On bf16 a variant by VDPBF16PS or tiles
 * takes and leaves denormals as zeros of their sign, as gemm's do, and a variant may round P and dS
 * to bf16, as products of bf16 take them. A key that is not finite spoils the queries that see it,
 * and may spoil their neighbours too, since a tile multiplies it by a weight of zero. */
typedef struct tic_attention_args {
    int64_t sequences;
    const int32_t *q_offsets, *kv_offsets; /* [sequences + 1], rising from 0 */
    int heads, head_dim;
    bool causal;
    float scale;
    tic_mat q, k, v, o; /* [rows, heads * head_dim], each with its own ld, one dtype for all */
    float *lse;         /* [query rows, heads] */
    tic_mat d_o, dq, dk, dv;
} tic_attention_args;
tic_status tic_attention(tic_ctx *ctx, const tic_attention_args *args, tic_error *err);
tic_status tic_attention_backward(tic_ctx *ctx, const tic_attention_args *args, tic_error *err);
/* For sequences of at most max_q and max_kv rows; covers forward and backward. */
size_t tic_attention_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim);
/* Logical MACs: 2 products forward and 4 backward over the pairs of a query and a key that it sees.
 * Recomputing P is the fifth, counted as issued only. Pointers to elements are not read. */
uint64_t tic_attention_macs(const tic_attention_args *args, bool backward);

/* ---- contrastive and distillation losses --------------------------------------------------- */

/* InfoNCE over B pairs: S = scale I Tᵀ, loss = (mean CE of rows + mean CE of columns) / 2 with the
 * diagonal as targets (CLIP; reference/openclip.md). image and text are L2-normalised [B,D] f32.
 * Memory O(B D): S exists only in blocks. Gradients are written (not accumulated) when
 * d_image is not NULL: d_image, d_text [B,D], and *d_log_scale = sum_ij dS_ij S_ij, the derivative
 * with respect to log(scale). Sums keep exponents of their own, never a bound that follows from
 * scale. */
typedef struct tic_contrastive_args {
    int64_t b, d;
    tic_dtype precision;
    const float *image, *text; /* [b,d], dense */
    float scale;
    float *d_image, *d_text; /* [b,d], dense; both or neither */
    double loss;             /* out */
    double d_log_scale;      /* out */
} tic_contrastive_args;
tic_status tic_contrastive(tic_ctx *ctx, tic_contrastive_args *args, tic_error *err);
/* Bytes of scratch of such a call, gradients included. */
size_t tic_contrastive_scratch(const tic_ctx *ctx, tic_dtype precision, int64_t b, int64_t d);
/* Logical MACs: b² d for the loss alone; with gradients 3 b² d, or 4 for more than 512 pairs, whose
 * scores are computed twice instead of kept. */
uint64_t tic_contrastive_macs(int64_t b, int64_t d, bool gradients);

/* LwF's distillation (Li & Hoiem 2017; TiC-CLIP, Sec. 3): with S = scale I Tᵀ of the student and
 * S' = teacher_scale I' T'ᵀ of the teacher,
 *   loss = (mean_i KL(softmax_row S'_i || softmax_row S_i) + the same over columns) / 2.
 * Gradients with respect to the student's features and log scale, as above. */
typedef struct tic_distill_args {
    int64_t b, d, teacher_d;
    tic_dtype precision;
    const float *image, *text;                 /* [b,d] */
    const float *teacher_image, *teacher_text; /* [b,teacher_d] */
    float scale, teacher_scale;
    float *d_image, *d_text;
    double loss, d_log_scale; /* out */
} tic_distill_args;
tic_status tic_distill(tic_ctx *ctx, tic_distill_args *args, tic_error *err);
/* Of such a call, gradients included. */
size_t tic_distill_scratch(const tic_ctx *ctx, tic_dtype precision, int64_t b, int64_t d,
                           int64_t teacher_d);
uint64_t tic_distill_macs(int64_t b, int64_t d, int64_t teacher_d, bool gradients);

/* ---- layernorm ----------------------------------------------------------------------------- */

/* y = (x - mean) rstd gamma + beta over the last dimension, rstd = 1/sqrt(var + eps), biased
 * variance. x is f32 [rows,d]; y is `y.type`. mean and rstd [rows] are written when not NULL.
 * Backward (answers the line above), with xhat = (x - mean) rstd and g = dy gamma:
 *   dx = rstd (g - mean(g) - xhat mean(g xhat));  dgamma = sum dy xhat;  dbeta = sum dy
 * dy is `dy.type`; dx is f32, added to when `add_dx` (the residual's gradient is already there),
 * else written; dgamma and dbeta are always added to. */
typedef struct tic_layernorm_args {
    int64_t rows, d;
    float eps;
    const float *x;
    int64_t ld_x;
    const float *gamma, *beta;
    tic_mat y;
    float *mean, *rstd;
    tic_mat dy;
    float *dx;
    int64_t ld_dx;
    bool add_dx;
    float *dgamma, *dbeta;
} tic_layernorm_args;
tic_status tic_layernorm(tic_ctx *ctx, const tic_layernorm_args *args, tic_error *err);
tic_status tic_layernorm_backward(tic_ctx *ctx, const tic_layernorm_args *args, tic_error *err);
size_t tic_layernorm_scratch(const tic_ctx *ctx, int64_t rows, int64_t d);

/* ---- patchify, embedding, l2norm ----------------------------------------------------------- */

/* 8-bit RGB images [n, size, size, 3] to rows of normalised patches: row (i * grid + py) * grid
 * + px, column (c * patch + y) * patch + x (conv1's weight order), value
 * (pixel / 255 - mean[c]) / std[c]. size is a multiple of patch, grid = size / patch. */
typedef struct tic_patchify_args {
    int64_t n;
    int size, patch;
    const uint8_t *pixels;
    float mean[3], std[3];
    tic_mat out; /* [n * grid * grid, 3 * patch * patch] */
} tic_patchify_args;
tic_status tic_patchify(tic_ctx *ctx, const tic_patchify_args *args, tic_error *err);

/* x[row] = table[ids[row]] + position[row - offsets[s]] for the rows of each packed sequence s.
 * ids NULL (vision): row 0 of a sequence is `table` row 0 (the class embedding) and row r is
 * patches[s * (L-1) + r - 1], all + position. Backward adds to dtable and dposition (and writes
 * dpatches [sequences * (L-1), d] of `dpatches.type` for vision); sums run in row order. */
typedef struct tic_embedding_args {
    int64_t sequences;
    const int32_t *offsets; /* [sequences + 1] */
    const int32_t *ids;     /* [rows]; NULL for vision */
    int64_t d, vocab;       /* ids are in [0, vocab), else TIC_EUSAGE */
    const float *table, *position;
    const float *patches; /* vision: [sequences * (L-1), d] */
    float *x;             /* [rows, d] */
    const float *dx;      /* [rows, d] */
    float *dtable, *dposition;
    tic_mat dpatches;
} tic_embedding_args;
tic_status tic_embedding(tic_ctx *ctx, const tic_embedding_args *args, tic_error *err);
tic_status tic_embedding_backward(tic_ctx *ctx, const tic_embedding_args *args, tic_error *err);

/* y = x / max(|x|, eps) row by row, inverse[row] = 1 / max(|x|, eps). Backward (answers it):
 * dx = inverse (dy - y (y · dy)); y and dy dense [rows,d]. dx may be dy. */
typedef struct tic_l2norm_args {
    int64_t rows, d;
    float eps;
    const float *x;
    float *y, *inverse;
    const float *dy;
    float *dx;
} tic_l2norm_args;
tic_status tic_l2norm(tic_ctx *ctx, const tic_l2norm_args *args, tic_error *err);
tic_status tic_l2norm_backward(tic_ctx *ctx, const tic_l2norm_args *args, tic_error *err);

/* ---- adamw --------------------------------------------------------------------------------- */

/* One AdamW step (Loshchilov & Hutter 2019) over a flat range, as PyTorch computes it:
 *   w *= 1 - lr wd;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g²
 *   w -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * `step` is t, counted from 1. g is multiplied by grad_scale first and set to zero afterwards when
 * zero_grad. The range may hold weight matrices that gemms read packed: their packings are written
 * in the same pass, from rows that are still in cache. So is the sum of squares of g as it was,
 * over parts that follow from the range and its matrices, for who does not clip by it.
 *
 * A row of a table whose gradient is zero needs nothing but its own numbers for a step, so the step
 * can wait until somebody reads the row. With `rows` an AdamW step is of some rows of a table [n /
 * cols, cols] instead of all n elements. Each row first makes the steps that it has missed, with a
 * gradient of zero and to the bit as it would have made them in time; then, unless g is NULL, this
 * one. Step i of the past is history[i % TIC_ADAMW_KEPT], so no row may have missed more. */
typedef struct tic_adamw_matrix {
    int64_t first, rows, cols;   /* element (i, j) is w[first + i * cols + j] */
    const tic_packed *packed[2]; /* of it as a gemm's B, [rows, cols] in memory; NULL: none */
} tic_adamw_matrix;
typedef struct tic_adamw_step {       /* a step's constants as vectors take them */
    float rate;                       /* lr / (1 - b1^t) */
    float root;                       /* 1 / sqrt(1 - b2^t) */
    float decay;                      /* 1 - lr wd */
    float beta1, rest1, beta2, rest2; /* rest: 1 - beta */
    float eps, grad_scale;
} tic_adamw_step;
enum { TIC_ADAMW_KEPT = 64 };
typedef struct tic_adamw_rows {
    int64_t cols, count;
    const int32_t *list; /* [count] rows, none twice; NULL: rows 0 to count - 1 */
    int64_t *made;       /* [n / cols] steps that each row has had; of those listed it is updated */
    const tic_adamw_step *history; /* [TIC_ADAMW_KEPT] */
    int64_t steps;                 /* of the past */
} tic_adamw_rows;
typedef struct tic_adamw_args {
    int64_t n;
    float *w, *g, *m, *v;
    float lr, beta1, beta2, eps, weight_decay, grad_scale;
    int64_t step;
    bool zero_grad;
    const tic_adamw_matrix *matrices; /* in the order of `first`, none overlapping; packed before */
    int64_t matrix_count;
    const tic_adamw_rows *rows; /* NULL: all n elements; else no matrices */
    double *squares;            /* as tic_square_sum of g; NULL: nobody asks */
} tic_adamw_args;
/* Of lr to step. */
tic_adamw_step tic_adamw_step_of(const tic_adamw_args *args);
tic_status tic_adamw(tic_ctx *ctx, const tic_adamw_args *args, tic_error *err);
size_t tic_adamw_scratch(const tic_ctx *ctx, int64_t n, int64_t matrix_count);
/* Sum of squares of x[n] in double; not finite exactly when an element is NaN or Inf. */
tic_status tic_square_sum(tic_ctx *ctx, const float *x, int64_t n, double *out, tic_error *err);

/* ---- audit: what a call really executed ------------------------------------------------------ */

/* MACs, as kernels/room.h (TIC_PRODUCT) says what one is. */
typedef struct tic_executed {
    uint64_t fma, multiply_add, dot, tile; /* in product micro-kernels: FMAs; multiplications with
                                              an addition each; VDPBF16PS; TDPBF16PS */
    uint64_t elementwise;                  /* FMAs and multiplications elsewhere: no MACs */
    uint64_t misplaced;                    /* of VDPBF16PS and tiles elsewhere: there may be none */
    uint64_t calls, instructions;          /* calls of product micro-kernels; all instructions */
    const char *misplaced_in;              /* a function; NULL: there is none */
} tic_executed;
uint64_t tic_executed_macs(const tic_executed *executed);

/* The first time that a counter was told something else than what had been executed since it was
 * told before; teller NULL: never. */
typedef struct tic_parting {
    const char *teller, *worker; /* functions: that counted, and that multiplied most */
    uint64_t executed, told;
} tic_parting;

/* Watches calls of one context, which it borrows, by means that a program cannot share: it handles
 * SIGTRAP while a call is made and writes into the program's code, so do it in a process of its
 * own, one call at a time. On success *out is the caller's (tic_trace_free). TIC_EINPUT when the
 * program was stripped. */
typedef struct tic_trace tic_trace;
tic_status tic_trace_new(tic_trace **out, tic_ctx *ctx, tic_error *err);
void tic_trace_free(tic_trace *trace); /* NULL is allowed */
typedef tic_status (*tic_traced_fn)(void *user, tic_error *err);
/* Makes the call, stepping every thread of the context from branch to branch: some 500,000 branches
 * a second. Names in *out and *parting are borrowed from the trace. TIC_EINTERNAL when what was
 * executed could not be followed; a second time it may. */
tic_status tic_trace_step(tic_trace *trace, tic_traced_fn call, void *user, tic_executed *out,
                          tic_parting *parting, tic_error *err);
/* Makes the call at full speed and catches every call of a product micro-kernel. The first with a
 * set of arguments is stepped, others with the same arguments are counted. Only MACs and calls are
 * filled. The context must have one thread. TIC_ERESOURCE when more than `most` instructions would
 * have to be stepped (0: any number), or when that can be foreseen, as `logical` MACs (0: not
 * known) are far away; the call is made nevertheless. TIC_EINTERNAL as tic_trace_step. */
tic_status tic_trace_catch(tic_trace *trace, tic_traced_fn call, void *user, uint64_t most,
                           uint64_t logical, tic_executed *out, tic_error *err);

/* ---- software-defined events --------------------------------------------------------------- */

/* Exports `ctx`'s counters through PAPI as sde:::ticlip::MACS_ISSUED, ..._LOGICAL and one
 * MACS_ISSUED_<PURPOSE> and MACS_ISSUED_<OPERATION> each, described, until the context is freed.
 * One context at a time. They count from a tool's PAPI_start on. */
tic_status tic_papi_export(tic_ctx *ctx, tic_error *err);
/* Reads one of them through PAPI's own API, e.g. "MACS_ISSUED": what was counted since the first
 * call, which starts an event set of the calling thread. */
tic_status tic_papi_read(const char *event, int64_t *value, tic_error *err);
/* ---- hardware counters ----------------------------------------------------------------------
 * What the CPU itself counted, where it lets PAPI see it: a fifth number beside the four of
 * docs/macs.md, and never their substitute. kernels/pmu.c says what is in it. */

enum { TIC_PMU_EVENTS = 4, TIC_PMU_TEXT = 256 };
typedef struct tic_pmu_event {
    const char *name; /* PAPI's native event */
    int flops;        /* that one count stands for; an FMA's lanes count two each */
    unsigned isa;     /* executed only where the CPU has one of these; 0: everywhere */
} tic_pmu_event;
/* Those that tell multiply-adds on a CPU of that vendor (CPUID's string) with these instruction
 * sets; their number, 0 when none are known. They fit the counters of one thread at once. */
int tic_pmu_events(const char *vendor, unsigned isa, tic_pmu_event out[TIC_PMU_EVENTS]);
/* MACs of counts[count]: half the FLOPs, since a multiply-add is counted twice. */
uint64_t tic_pmu_macs(const tic_pmu_event *events, int count, const int64_t *counts);

/* What decides whether counters work, found out by tic_pmu_look. */
typedef struct tic_pmu_facts {
    const char *vendor;
    int family, model;
    int events;          /* known for the vendor */
    int error;           /* errno of opening a counter; 0: it opened */
    int paranoid;        /* /proc/sys/kernel/perf_event_paranoid */
    int version;         /* of Intel's counters, CPUID leaf 0xA; 0: it tells none */
    const char *missing; /* an event that PAPI does not know; NULL: none */
} tic_pmu_facts;
tic_pmu_facts tic_pmu_look(void); /* all but `missing`, which is PAPI's to say */
/* Why they do not work; NULL: they do. */
const char *tic_pmu_reason(const tic_pmu_facts *facts, char text[TIC_PMU_TEXT]);

/* NULL when hardware counters work here, else why not ("PMU: unavailable (...)"). */
const char *tic_papi_pmu(void);

/* Counters of every thread of one context, which it borrows, from tic_pmu_open on. The calls are
 * made by the thread that makes the context's calls. `events` are tic_pmu_events' (or any native
 * events of PAPI's component perf_event), at most TIC_PMU_EVENTS. Errors: TIC_ERESOURCE with why.
 * On success *out is the caller's (tic_pmu_close, before the context is freed), else NULL. */
typedef struct tic_pmu tic_pmu;
tic_status tic_pmu_open(tic_pmu **out, tic_ctx *ctx, const tic_pmu_event *events, int count,
                        tic_error *err);
/* counts[count]: so far, of thread `thread`, or of all when it is -1. A few microseconds. */
tic_status tic_pmu_read(tic_pmu *pmu, int thread, int64_t *counts, tic_error *err);
void tic_pmu_close(tic_pmu *pmu); /* NULL is allowed */
/* From now on tic_ctx_counters tells their MACs too. Borrowed; NULL ends it. */
void tic_ctx_pmu(tic_ctx *ctx, tic_pmu *pmu);

#ifdef __cplusplus
}
#endif
#endif
