/* Inside model/ only: where every tensor lies, what a tower keeps between its forward and its
 * backward pass, and how calls of the kernels are either made or only measured.
 *
 * Notation: n sequences (pictures or captions), packed into `rows` rows without padding; w the
 * tower's width, h its MLP's width, e the embedding's. "precision" means f32 or bf16 as the model
 * was built; the residual stream, statistics, features and all weights are f32. */
#ifndef TIC_MODEL_ROOM_H
#define TIC_MODEL_ROOM_H

#include "model/model.h"

#define TIC_LN_EPS 1e-5f /* OpenCLIP's LayerNorm */
#define TIC_L2_EPS 1e-12f
#define TIC_LOGIT_SCALE_MAX 4.6051701859880914 /* ln 100 */

/* ---- layout.c: the tensors, their places in the flat arrays, their initialisation ------------ */

typedef struct tic_init_rule {
    enum { TIC_INIT_CONSTANT, TIC_INIT_NORMAL, TIC_INIT_UNIFORM } kind;
    double value; /* the constant, the standard deviation, or the bound of U(-b, b) */
} tic_init_rule;

typedef struct tic_tensor_row {
    tic_tensor tensor;
    tic_init_rule init;
} tic_tensor_row;

/* Offsets into the flat arrays. bias -1: none. */
typedef struct tic_affine_at {
    int64_t weight, bias;
} tic_affine_at;
typedef struct tic_block_at {
    tic_affine_at ln_1, qkv, out, ln_2, fc, proj;
} tic_block_at;
typedef struct tic_tower_at {
    int64_t table, position, projection; /* table: class embedding [w] or token embedding */
    tic_affine_at conv1, ln_pre;         /* vision only */
    tic_affine_at ln_out;                /* ln_post, ln_final */
    tic_block_at blocks[TIC_MAX_LAYERS];
} tic_tower_at;
typedef struct tic_layout {
    tic_tower_at vision, text;
    int64_t logit_scale;
    int64_t decayed, size; /* [0, decayed) decays, [decayed, size) does not; floats */
    int64_t parameters;    /* padding not counted */
    int count;             /* tensors */
} tic_layout;
/* rows: layout->count of them, or NULL to learn the sizes first. */
void tic_layout_of(const tic_config *config, tic_layout *layout, tic_tensor_row *rows);

/* ---- towers ---------------------------------------------------------------------------------- */

/* What the backward pass of one block reads. In the last block, where only the pooled row of each
 * sequence goes on, everything from `o` on has n rows instead of `rows`, qkv holds K and V only
 * ([rows, 2w]), and the fields named pooled are set. Without training all blocks share one set, the
 * residual stream is updated in place and statistics are NULL. */
typedef struct tic_block_acts {
    float *x;               /* [rows, w]: the block's input */
    float *mean_1, *rstd_1; /* [rows] */
    void *h_1;              /* [rows, w] precision: ln_1 x */
    void *qkv;              /* [rows, 3w] precision */
    float *lse;             /* [query rows, heads] */
    void *o;                /* [rows, w] precision: attention */
    float *y;               /* [rows, w]: x + out_proj o */
    float *mean_2, *rstd_2;
    void *h_2, *pre, *act;            /* precision: [rows, w], [rows, h], [rows, h] */
    float *x_pooled;                  /* [n, w] */
    float *mean_pooled, *rstd_pooled; /* [n] */
    void *h_pooled, *q;               /* [n, w] precision */
} tic_block_acts;

/* Gradients on their way down, shared by all blocks. dx: with respect to the residual stream. */
typedef struct tic_tower_work {
    float *dx, *dx_front;            /* [rows, w]; dx_front: below ln_pre, vision only */
    float *dx_pooled;                /* [n, w] */
    void *d_h, *d_qkv, *d_o, *d_pre; /* precision: [rows, w], [rows, 3w], [rows, w], [rows, h] */
    void *d_h_pooled, *d_q;          /* [n, w] precision */
    float *d_projected;              /* [n, e]: before the L2 norm */
} tic_tower_work;

typedef struct tic_tower {
    int layers, width, heads, mlp, embed;
    int tokens; /* of the longest sequence */
    bool causal;
    tic_act act;
    tic_dtype type; /* precision */
    tic_tower_at at;
    tic_block_acts acts[TIC_MAX_LAYERS];
    tic_tower_work work;
    /* front, vision only */
    void *patches;   /* [n g², 3 p²] precision */
    float *embedded; /* [n g², w]: conv1's output */
    float *x_front;  /* [rows, w]: the input of ln_pre */
    float *mean_front, *rstd_front;
    /* head */
    float *z, *mean_out, *rstd_out; /* [n, w], [n], [n] */
    void *h_out;                    /* [n, w] precision: ln_out z */
    float *projected;               /* [n, e] */
    int32_t *offsets;               /* [n + 1], rising from 0 */
    int32_t *pooled;                /* [n]: row of each sequence that goes on */
    int32_t *singles;               /* [n + 1]: 0, 1, 2, ..., offsets of the pooled rows */
} tic_tower;

/* A tower with its shape and places, no memory yet. */
void tic_tower_vision(tic_tower *tower, const tic_config *config, const tic_layout *layout,
                      tic_dtype type);
void tic_tower_text(tic_tower *tower, const tic_config *config, const tic_layout *layout,
                    tic_dtype type);

/* Where a measuring pass writes down its calls (problems.c). */
typedef struct tic_listing {
    tic_problems *out;
    int tokens;       /* of every caption */
    tic_error failed; /* the first failure */
} tic_listing;

/* A weight as a call of gemm reads it (packing.c). */
typedef struct tic_packing {
    int64_t at;            /* offset in the flat arrays */
    int64_t rows, columns; /* of the weight as it stands there */
    tic_packed packed;
} tic_packing;
typedef struct tic_packings {
    tic_packing *list; /* in the order of `at` once it is booked */
    size_t count, capacity;
    tic_adamw_matrix *matrices; /* [matrix_count] the same as the optimizer's pass writes them */
    int64_t matrix_count;
    size_t bytes; /* of all */
    void *memory;
    bool whole;       /* padding is written */
    bool fresh;       /* as the weights are */
    tic_error failed; /* the first failure of a measuring pass */
} tic_packings;

/* What a run of calls would need: filled instead of calling the kernels. */
typedef struct tic_tally {
    uint64_t macs;          /* logical */
    uint64_t at[TIC_SITES]; /* the same by layer */
    int site;
    size_t scratch;         /* bytes, the largest of any call; 0 when there is no context to ask */
    tic_listing *listing;   /* NULL: not asked for */
    tic_packings *packings; /* the same; only with a context */
} tic_tally;

/* One passage of n sequences through a tower, forward and then backward. The same code is run to
 * train and, with `tally` set and no memory behind the pointers, to measure: so the numbers that
 * are promised cannot drift from the calls that are made. */
typedef struct tic_pass {
    tic_ctx *ctx; /* measuring: may be NULL */
    tic_error *err;
    tic_tally *tally; /* not NULL: measure only */
    tic_tower *tower;
    float *weights,
        *gradient; /* flat arrays; NULL when measuring, gradient NULL without training */
    int64_t n, rows;
    const int32_t *offsets; /* [n + 1]; NULL (measuring): all sequences have tower->tokens rows */
    const uint8_t *pixels;  /* vision; config for size, patch and normalisation */
    const tic_config *config;
    const int32_t *ids;        /* text, [rows] */
    float *features, *inverse; /* [n, e] and [n]: out, read again by backward */
    tic_packings *packings;    /* NULL: gemm packs weights itself */
    bool train;                /* keep what backward reads */
} tic_pass;

/* The following calls are of that layer (tic_site). */
static inline void tic_pass_at(const tic_pass *pass, int site) {
    if (pass->tally)
        pass->tally->site = site;
    else
        tic_ctx_site(pass->ctx, site);
}
/* The model's calls are over, whether they went well or not: what follows is of no layer. */
static inline tic_status tic_pass_end(tic_ctx *ctx, tic_status status) {
    tic_ctx_site(ctx, TIC_AT_OTHER);
    return status;
}
static inline int tic_pass_block(const tic_pass *pass, int layer) {
    return (pass->tower->causal ? TIC_AT_TEXT_BLOCK : TIC_AT_VISION_BLOCK) + layer;
}

/* vision.c, text.c: the whole tower. d_features [n, e]; gradients are added. */
tic_status tic_vision_forward(const tic_pass *pass);
tic_status tic_vision_backward(const tic_pass *pass, const float *d_features);
tic_status tic_text_forward(const tic_pass *pass);
tic_status tic_text_backward(const tic_pass *pass, const float *d_features);

/* tower.c: all blocks and the head, from acts[0].x to the features, and back to work.dx. */
tic_status tic_tower_forward(const tic_pass *pass);
tic_status tic_tower_backward(const tic_pass *pass, const float *d_features);

/* head_dim^-0.5 */
float tic_attention_scale(const tic_tower *tower);
/* block.c: a whole block x -> z [rows, w]; backward in place: dx holds the gradient of z, then of
 * x. */
tic_status tic_block_forward(const tic_pass *pass, int layer, float *z);
tic_status tic_block_backward(const tic_pass *pass, int layer, float *dx);
/* The halves after the attention, on m rows: y = residual + out_proj o, z = y + MLP(ln_2 y). */
tic_status tic_block_tail_forward(const tic_pass *pass, int layer, int64_t m, const float *residual,
                                  float *z);
/* dz [m, w] becomes the gradient of y; work.d_o [m, w] that of o. */
tic_status tic_block_tail_backward(const tic_pass *pass, int layer, int64_t m, float *dz);

/* pooled.c: the last block, for the pooled row of each sequence: x [rows, w] -> z [n, w]. Backward:
 * dz [n, w] is used up, dx [rows, w] written. */
tic_status tic_pooled_forward(const tic_pass *pass, int layer, float *z);
tic_status tic_pooled_backward(const tic_pass *pass, int layer, float *dz, float *dx);

/* ---- calls.c: one call of a kernel, or its measure ------------------------------------------- */

tic_status tic_call_gemm(const tic_pass *pass, const tic_gemm_args *args);
/* pooled: one query a sequence. */
tic_status tic_call_attention(const tic_pass *pass, const tic_attention_args *args, bool pooled,
                              bool backward);
tic_status tic_call_norm(const tic_pass *pass, const tic_layernorm_args *args, bool backward);
tic_status tic_call_embedding(const tic_pass *pass, const tic_embedding_args *args, bool backward);
tic_status tic_call_patchify(const tic_pass *pass, const tic_patchify_args *args);
tic_status tic_call_l2norm(const tic_pass *pass, const tic_l2norm_args *args, bool backward);
/* Both towers forward and, when it trains, backward over a micro-batch of captions of `tokens`
 * tokens, measuring into `tally` (problems.c). Unlike other measuring passes this one has pointers,
 * so that a call shows which operands it has; there is no memory behind them. `ctx` may be NULL. */
tic_status tic_walk_step(tic_ctx *ctx, tic_model *model, int tokens, tic_tally *tally,
                         tic_error *err);
/* Adds the call to pass->tally->listing (problems.c). */
void tic_list_gemm(const tic_pass *pass, const tic_gemm_args *args);
void tic_list_attention(const tic_pass *pass, const tic_attention_args *args, bool pooled,
                        bool backward);
void tic_list_norm(const tic_pass *pass, const tic_layernorm_args *args, bool backward);
/* Query-key pairs of one sequence and head. */
uint64_t tic_attention_pairs(int64_t q, int64_t kv, bool causal);

/* ---- linear.c: layers made of those calls ---------------------------------------------------- */

/* base + offset; NULL stays NULL (measuring). */
static inline float *tic_at(float *base, int64_t offset) {
    return base ? base + offset : NULL;
}
/* The matrix from column j on. */
static inline tic_mat tic_columns(tic_mat mat, int64_t j) {
    if (mat.data)
        mat.data = (unsigned char *)mat.data + (size_t)j * tic_dtype_size(mat.type);
    return mat;
}
/* A dense matrix in the model's precision. */
static inline tic_mat tic_act_mat(const tic_pass *pass, void *data, int64_t ld) {
    return (tic_mat){data, pass->tower->type, ld};
}

/* The call with its weight, at `at` in the flat arrays, packed; measuring, with what it needs. */
tic_status tic_call_weight(const tic_pass *pass, const tic_gemm_args *args, int64_t at);

/* y = act(x Wᵀ + b) + residual; W [out, in] at `at`. */
typedef struct tic_linear {
    tic_affine_at at;
    int64_t rows, in, out;
    tic_mat x, y, pre;
    tic_act act;
    const float *residual; /* [rows, out] dense */
} tic_linear;
tic_status tic_linear_forward(const tic_pass *pass, const tic_linear *linear);
/* dW += dyᵀ x, db += column sums of dy. */
tic_status tic_linear_weights(const tic_pass *pass, const tic_linear *linear, tic_mat dy);
/* dx = dy W, times act'(pre) of the layer below when `pre` is set. */
tic_status tic_linear_input(const tic_pass *pass, const tic_linear *linear, tic_mat dy, tic_mat dx);

typedef struct tic_norm {
    tic_affine_at at;
    int64_t rows;
    float *x, *mean, *rstd;
    tic_mat y; /* forward */
} tic_norm;
tic_status tic_norm_forward(const tic_pass *pass, const tic_norm *norm);
tic_status tic_norm_backward(const tic_pass *pass, const tic_norm *norm, tic_mat dy, float *dx,
                             bool add);

/* ---- packing.c ------------------------------------------------------------------------------- */

enum { TIC_TYPICAL_TOKENS = 20 }; /* of a caption from the web: which variant packs for text */

/* Adds the packing of args' b, the weight at `at`, to pass->tally->packings. */
void tic_list_packing(const tic_pass *pass, const tic_gemm_args *args, int64_t at);
/* NULL: it is not packed. */
const tic_packed *tic_packing_of(const tic_pass *pass, int64_t at, tic_trans trans);
/* What `model`, shaped but without memory, packs in `ctx`; then its memory. */
tic_status tic_packings_list(tic_ctx *ctx, tic_model *model, tic_packings *out, tic_error *err);
tic_status tic_packings_book(tic_packings *packings, tic_error *err);
void tic_packings_free(tic_packings *packings);
/* Packs all weights anew unless they are as they were; after an update the optimizer has. */
void tic_pack_weights(tic_model *model);

/* ---- update.c -------------------------------------------------------------------------------- */

/* tic_adamw; *args->squares, unless it is NULL, is added to. */
tic_status tic_adamw_add(tic_ctx *ctx, tic_adamw_args *args, tic_error *err);

/* ---- table.c: the token table's rows and the optimizer --------------------------------------- */

typedef struct tic_table {
    int64_t rows;                           /* of the table; 0 without training */
    int64_t *made;                          /* [rows] steps of AdamW that each has had */
    int64_t *read;                          /* [rows] the step that read it last, from 1 */
    int32_t *list;                          /* [rows] */
    int64_t count;                          /* of those read since the last update, in `list` */
    tic_adamw_step history[TIC_ADAMW_KEPT]; /* the last steps */
    int64_t steps;                          /* that there have been */
    int64_t settled;                        /* those that all rows are known to have had */
    bool written;                           /* the gradient was given away: any row may have one */
} tic_table;
size_t tic_table_bytes(const tic_config *config);
tic_status tic_table_book(tic_model *model, tic_error *err);
void tic_table_free(tic_table *table);
/* Brings all rows up to date. Fails only where an update fails too. */
tic_status tic_table_settle(tic_model *model, tic_error *err);
/* A pass is about to read the rows of `ids` and to write their gradient. */
tic_status tic_table_read(tic_model *model, const int32_t *ids, int64_t count, tic_error *err);
/* A step of the rows that were read; the others' waits. `now`: without its operands. */
tic_status tic_table_update(tic_model *model, const tic_adamw_args *now, tic_error *err);
/* All rows, up to date before, had a step otherwise. */
void tic_table_updated(tic_model *model);

/* ---- memory.c -------------------------------------------------------------------------------- */

/* Hands out a block from its start; with base NULL it only counts. */
typedef struct tic_booking {
    unsigned char *base;
    size_t used, peak;
} tic_booking;

/* Of a step, over the whole batch. */
typedef struct tic_step_buffers {
    float *image, *text;                 /* [batch, e] features */
    float *image_inverse, *text_inverse; /* [batch] */
    float *d_image, *d_text;             /* [batch, e] */
    float *distill_image, *distill_text; /* [batch, e] */
} tic_step_buffers;

struct tic_model {
    tic_ctx *ctx;
    tic_config config;
    tic_model_options options; /* micro_batch in 1..batch */
    bool shared; /* the towers' activations lie in the same memory: forward runs again */
    tic_layout layout;
    tic_tensor_row *rows;
    float *weights, *gradient, *moment1, *moment2;
    tic_packings packings;
    tic_table table;
    tic_tower vision, text;
    tic_step_buffers step;
    void *activations; /* the block that the towers' and the step's pointers lie in */
};

/* Places all activations of `model` (config, options, shared, towers' shapes are set). */
void tic_book_activations(tic_booking *booking, tic_model *model);
/* Bytes of the flat arrays. */
size_t tic_parameter_bytes(const tic_layout *layout, bool train);
/* The largest scratch of any call of a step. */
size_t tic_step_scratch(const tic_ctx *ctx, tic_model *model);
/* Sets config, options with defaults resolved, layout and the towers' shapes; books nothing. */
tic_status tic_model_shape(tic_model *model, const tic_config *config,
                           const tic_model_options *options, tic_error *err);

/* ---- config ---------------------------------------------------------------------------------- */

/* Ranges and divisibility; `where` begins the message (TIC_EINPUT). */
tic_status tic_config_check(const tic_config *config, const char *where, tic_error *err);
/* Parses an OpenCLIP json (bare or with model_cfg). config->name is the caller's. */
tic_status tic_config_parse(tic_config *config, const char *path, const char *text, size_t size,
                            tic_error *err);
/* OpenAI's mean and std of pixels. */
void tic_config_normalisation(tic_config *config);
bool tic_config_equal(const tic_config *a, const tic_config *b); /* the name is not compared */

/* ---- pass.c: passes of a real model ---------------------------------------------------------- */

tic_pass tic_vision_pass(tic_model *model, int64_t n, const uint8_t *pixels, float *features,
                         float *inverse, tic_error *err);
/* Captions first .. first+n-1 of a packed batch. */
tic_pass tic_text_pass(tic_model *model, int64_t n, const int32_t *ids, const int32_t *offsets,
                       int64_t first, float *features, float *inverse, tic_error *err);
/* Every caption has 1..context rows and offsets rise from 0. */
tic_status tic_check_captions(const tic_config *config, int64_t n, const int32_t *ids,
                              const int32_t *offsets, tic_error *err);

#endif
