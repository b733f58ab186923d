/* CLIP: configurations, weights, both towers forward and backward, losses, optimizer, checkpoints.
 * The room's one public header. Architecture, initialisation and names are OpenCLIP's
 * (reference/openclip.md). */
#ifndef TIC_MODEL_H
#define TIC_MODEL_H

#include "data/data.h"
#include "kernels/kernels.h"

/* ---- configuration ------------------------------------------------------------------------- */

enum { TIC_CONTEXT_MAX = 1 << 14 }; /* tokens of a caption, at most */
typedef struct tic_config {
    char name[64];
    int embed_dim;
    bool quick_gelu;
    int image_size, patch_size, vision_layers, vision_width, vision_heads, vision_mlp;
    int context_length, vocab_size, text_layers, text_width, text_heads, text_mlp;
    float mean[3], std[3]; /* of pixels / 255 */
} tic_config;

/* A native name ("ViT-B-32", ..., our own small ones), or the path of an OpenCLIP model json or of
 * a `local-dir` folder. Unknown name: TIC_EUSAGE with the nearest one; a json with an unknown key,
 * a wrong type or a size out of range: TIC_EINPUT naming key and line. */
tic_status tic_config_find(tic_config *out, const char *name_or_path, tic_error *err);
int tic_config_count(void);
const char *tic_config_name(int i);
/* `{"model_cfg": ..., "preprocess_cfg": ...}` as open_clip_config.json; the caller's (tic_free). */
tic_status tic_config_json(const tic_config *config, char **text, tic_error *err);
int64_t tic_config_parameters(const tic_config *config);

/* ---- MACs by formula ----------------------------------------------------------------------- */

/* Nominal (the paper's currency): forward of one full picture, one full caption of
 * context_length tokens, every block in full; B-16: 17.56 G and 2.98 G. */
uint64_t tic_nominal_image(const tic_config *config);
uint64_t tic_nominal_text(const tic_config *config);
/* Training one pair: 3 x forward of both. */
uint64_t tic_nominal_train(const tic_config *config);
/* Logical: what the model's calls really need after the exact shortcuts, for n pictures / captions
 * of the given packed lengths, equal to the kernels' logical counters. The forward pass alone, or
 * with `backward` the backward pass alone. */
uint64_t tic_logical_image(const tic_config *config, int64_t n, bool backward);
uint64_t tic_logical_text(const tic_config *config, int64_t n, const int32_t *offsets,
                          bool backward);
/* The contrastive loss over a batch of b with its gradients (tic_contrastive_macs). */
uint64_t tic_logical_loss(const tic_config *config, int64_t b);

/* Layers, as sites of the kernels' counters (tic_ctx_site): what a step's calls are counted at. */
enum { TIC_MAX_LAYERS = 64, TIC_SITE_TEXT = 24 };
enum {
    TIC_AT_OTHER,          /* no layer of a model, e.g. the scores of an evaluation */
    TIC_AT_VISION_PATCHES, /* patches, class embedding, positions, ln_pre */
    TIC_AT_VISION_BLOCK,   /* + i */
    TIC_AT_VISION_HEAD = TIC_AT_VISION_BLOCK + TIC_MAX_LAYERS, /* ln_post, projection, L2 norm */
    TIC_AT_TEXT_EMBEDDING,
    TIC_AT_TEXT_BLOCK,
    TIC_AT_TEXT_HEAD = TIC_AT_TEXT_BLOCK + TIC_MAX_LAYERS,
    TIC_AT_LOSS,
    TIC_AT_OPTIMIZER,
    TIC_AT_COUNT
};
/* "other", "vision.patches", "vision.block.0", ..., "text.head", "loss", "optimizer"; text. */
const char *tic_site_name(int site, char text[TIC_SITE_TEXT]);
int tic_site_find(const char *name);                  /* TIC_AT_COUNT: none is called so */
bool tic_site_in(const tic_config *config, int site); /* whether the model has it */
/* tic_logical_image and _text layer by layer, added to at[]. */
void tic_logical_image_at(const tic_config *config, int64_t n, bool backward,
                          uint64_t at[TIC_SITES]);
void tic_logical_text_at(const tic_config *config, int64_t n, const int32_t *offsets, bool backward,
                         uint64_t at[TIC_SITES]);

/* ---- what a step asks of the kernels -------------------------------------------------------- */

typedef struct tic_model_options {
    int64_t batch;       /* pairs of a step; the largest n of any call */
    int64_t micro_batch; /* pairs the towers hold activations for; 0: batch */
    tic_dtype precision;
    bool train; /* false: no gradients, moments or stored activations */
} tic_model_options;

typedef struct tic_problems {
    tic_problem *list; /* names: "vision qkv", "text pooled up dW" */
    size_t count, capacity;
} tic_problems;
/* Every distinct gemm, attention and layernorm of a training step on captions of `tokens` tokens
 * each, in the order of the first call, and the loss; without train those of an evaluation.
 * Nothing is booked. On success *out is the caller's (tic_problems_free). */
tic_status tic_model_problems(tic_problems *out, const tic_config *config,
                              const tic_model_options *options, int tokens, tic_error *err);
void tic_problems_free(tic_problems *problems);

/* ---- the model ----------------------------------------------------------------------------- */

typedef struct tic_model tic_model;

typedef struct tic_tensor {
    char name[80]; /* OpenCLIP's, e.g. "visual.transformer.resblocks.0.attn.in_proj_weight" */
    int rank;      /* 0 for logit_scale */
    int64_t shape[4];
    int64_t offset, count; /* in the flat arrays, floats; offsets are multiples of 16 */
    bool decay;            /* weight decay: ndim >= 2 and no bias, norm, logit_scale */
} tic_tensor;

/* Bytes that tic_model_new would book, by the same arithmetic: flat arrays, activations, and the
 * scratch and packed weights that a context with all defaults needs. 0 when the shape is
 * impossible. */
size_t tic_model_memory(const tic_config *config, const tic_model_options *options);
/* The largest micro-batch (a divisor is not needed) whose model fits `limit` bytes, with `teacher`
 * beside another that only encodes; 0 if none. */
int64_t tic_micro_batch_for(const tic_config *config, const tic_model_options *options,
                            bool teacher, size_t limit);
/* All memory of training is booked here, the context's scratch included. On success *out is the
 * caller's (tic_model_free); ctx is borrowed for the model's life. */
tic_status tic_model_new(tic_model **out, tic_ctx *ctx, const tic_config *config,
                         const tic_model_options *options, tic_error *err);
void tic_model_free(tic_model *model);                /* NULL is allowed */
void tic_model_init(tic_model *model, uint64_t seed); /* OpenCLIP's initialisation */
const tic_config *tic_model_config(const tic_model *model);
tic_ctx *tic_model_ctx(const tic_model *model);

/* Flat arrays: first the tensors that decay, then the others, each group in the order of the
 * tensors; the padding between tensors is zero. */
int64_t tic_model_size(const tic_model *model); /* floats, padding included */
int tic_model_tensor_count(const tic_model *model);
const tic_tensor *tic_model_tensor(const tic_model *model, int i);
const tic_tensor *tic_model_find(const tic_model *model, const char *name); /* NULL: no such */
/* To change weights. The model then packs them anew before it computes, so do not keep the pointer:
 * what is written through it after a call that computed goes unseen. Nor keep the others: steps of
 * tokens that no caption had are made when somebody asks for weights or moments (table.c), and all
 * of them again in the update that follows, once somebody has asked for the gradient. */
float *tic_model_weights(tic_model *model);
const float *tic_model_look(tic_model *model); /* to read them, without packing anew */
float *tic_model_gradient(tic_model *model);   /* NULL unless train; likewise the moments */
float *tic_model_moment1(tic_model *model);
float *tic_model_moment2(tic_model *model);

/* L2-normalised features [n, embed_dim] f32. n is at most options.batch; runs in micro-batches.
 * What the MACs are for is the caller's to say (tic_ctx_purpose). */
tic_status tic_encode_images(tic_model *model, int64_t n, const uint8_t *pixels, float *features,
                             tic_error *err);
tic_status tic_encode_texts(tic_model *model, int64_t n, const int32_t *ids, const int32_t *offsets,
                            float *features, tic_error *err);
/* exp(logit_scale). */
float tic_model_scale(const tic_model *model);

/* ---- a training step ----------------------------------------------------------------------- */

typedef struct tic_loss_options {              /* all zero: the contrastive loss alone */
    const float *teacher_image, *teacher_text; /* LwF: [n, teacher_d] of the same batch */
    int64_t teacher_d;
    float teacher_scale, distill_weight;
    tic_purpose purpose; /* not TIC_FOR_FORWARD: all MACs are charged to it */
} tic_loss_options;
typedef struct tic_step_loss {
    double contrastive, distill; /* distill before its weight */
    double total;
} tic_step_loss;

/* Adds the gradient of the loss over the whole batch to the gradient array (zero it first, or let
 * tic_model_update do so). With micro_batch < n: features first, then the loss, then each
 * micro-batch forward again and backward (GradCache), the same gradients within rounding.
 * A loss that is not finite is TIC_EVERIFY. MACs are charged to TIC_FOR_FORWARD (losses with their
 * gradients included), TIC_FOR_RECOMPUTE and TIC_FOR_BACKWARD, unless the options name a purpose;
 * the last one charged stays the context's. */
tic_status tic_model_gradients(tic_model *model, const tic_batch *batch,
                               const tic_loss_options *options, tic_step_loss *loss,
                               tic_error *err);

typedef struct tic_adamw_options {
    float lr, beta1, beta2, eps, weight_decay;
    float clip_norm; /* 0: none */
} tic_adamw_options;
/* One AdamW step, `step` counted from 1, then logit_scale clamped to [0, ln 100], gradients zeroed.
 * A gradient with NaN or Inf is TIC_EVERIFY: where clip_norm needs the norm before, nothing has
 * changed then; where not, weights and moments are spoilt, and a state has to be loaded. *norm (may
 * be NULL) is the gradient's 2-norm. */
tic_status tic_model_update(tic_model *model, const tic_adamw_options *options, int64_t step,
                            double *norm, tic_error *err);
/* Builds a model in `ctx`, makes one step of options->batch made-up pairs whose captions have
 * `tokens` tokens, and frees it; *out is what the context has counted since it was made. */
tic_status tic_model_count_step(tic_ctx *ctx, const tic_config *config,
                                const tic_model_options *options, int tokens, tic_counters *out,
                                tic_error *err);

/* ---- checkpoints --------------------------------------------------------------------------- */

/* safetensors, one tensor of a file. */
typedef struct tic_array {
    char name[96];
    char dtype[8]; /* "F32", "BF16", "F16", "I64", "U64", "U8", ... */
    int rank;
    int64_t shape[8];
    const void *data; /* borrowed while writing; inside the file's memory after reading */
    size_t bytes;
} tic_array;
typedef struct tic_safetensors tic_safetensors;
/* metadata: NULL-terminated list key, value, key, value, ..., or NULL. Atomic (tic_writer). */
tic_status tic_safetensors_write(const char *path, const tic_array *arrays, int count,
                                 const char *const *metadata, tic_error *err);
/* Refuses before the payload is touched: oversized or deep header, overlap, hole, shape x dtype
 * overflow or mismatch, duplicate key, bytes beyond the end: TIC_EINPUT naming key and cause. */
tic_status tic_safetensors_open(tic_safetensors **out, const char *path, tic_error *err);
void tic_safetensors_close(tic_safetensors *file);
int tic_safetensors_count(const tic_safetensors *file);
const tic_array *tic_safetensors_get(const tic_safetensors *file, int i);
const tic_array *tic_safetensors_find(const tic_safetensors *file, const char *name);
const char *tic_safetensors_metadata(const tic_safetensors *file, const char *key); /* or NULL */
/* The i-th key and its value; NULL beyond the last. */
const char *tic_safetensors_metadata_at(const tic_safetensors *file, int i, const char **value);
/* The same with a checksum of everything else as metadata "checksum"; opening refuses a file whose
 * contents are not what it says, or that has none: TIC_EINPUT. */
tic_status tic_safetensors_write_summed(const char *path, const tic_array *arrays, int count,
                                        const char *const *metadata, tic_error *err);
tic_status tic_safetensors_open_summed(tic_safetensors **out, const char *path, tic_error *err);

/* open_clip_model.safetensors and open_clip_config.json in `folder` (made when missing); what
 * open_clip.create_model('local-dir:folder') loads strictly. */
tic_status tic_model_save(tic_model *model, const char *folder, tic_error *err);
/* Loads weights from a folder or a .safetensors file: F32, F16 or BF16, strict on names and shapes,
 * NaN or Inf refused. On failure the weights are unchanged. */
tic_status tic_model_load(tic_model *model, const char *path, tic_error *err);
/* Everything an exact resume needs beside the caller's own metadata: weights and moments, with a
 * checksum. */
tic_status tic_model_save_state(tic_model *model, const char *path, const char *const *metadata,
                                tic_error *err);
/* *metadata_file stays open for the caller to read metadata from (tic_safetensors_close). */
tic_status tic_model_load_state(tic_model *model, const char *path, tic_safetensors **metadata_file,
                                tic_error *err);

#endif
