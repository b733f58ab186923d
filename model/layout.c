/* The tensors of a CLIP model in the names and the order of OpenCLIP's state_dict, where each lies
 * in the flat arrays, and how OpenCLIP initialises it (reference/openclip.md, the init table).
 *
 * The flat arrays hold the decaying tensors first (two dimensions or more), then the others
 * (biases, norms, class embedding, logit_scale), each group in state_dict order, every tensor at a
 * multiple of 16 floats: one AdamW call a group, and 64-byte alignment throughout. */
#include "room.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN_FLOATS = 16 };

typedef struct walk {
    tic_tensor_row *rows; /* NULL: sizes only */
    int count;
    int64_t cursor[2]; /* next free place: decaying, not decaying */
    int64_t parameters;
    const char *prefix; /* of the names, e.g. "visual." */
    int layer;          /* of a block, -1 outside */
} walk;

/* ---- one tensor ------------------------------------------------------------------------------ */

static tic_init_rule constant(double value) {
    return (tic_init_rule){TIC_INIT_CONSTANT, value};
}
static tic_init_rule normal(double std) {
    return (tic_init_rule){TIC_INIT_NORMAL, std};
}
/* PyTorch's default of a linear layer or convolution: U(±1/sqrt(fan_in)). */
static tic_init_rule fan_in(int64_t n) {
    return (tic_init_rule){TIC_INIT_UNIFORM, 1.0 / sqrt((double)n)};
}

static void name_tensor(const walk *w, const char *name, char *out, size_t size) {
    if (w->layer < 0)
        snprintf(out, size, "%s%s", w->prefix, name);
    else
        snprintf(out, size, "%stransformer.resblocks.%d.%s", w->prefix, w->layer, name);
}

/* shape: up to four sizes, ending at the first 0. Returns the tensor's offset. */
static int64_t add(walk *w, const char *name, tic_init_rule init, const int64_t shape[4]) {
    int rank = 0;
    int64_t count = 1;
    for (; rank < 4 && shape[rank] > 0; rank++)
        count *= shape[rank];
    int64_t *cursor = &w->cursor[rank >= 2 ? 0 : 1];
    const int64_t offset = *cursor;
    if (w->rows) {
        tic_tensor_row *row = &w->rows[w->count];
        row->init = init;
        row->tensor =
            (tic_tensor){.rank = rank, .offset = offset, .count = count, .decay = rank >= 2};
        memcpy(row->tensor.shape, shape, (size_t)rank * sizeof *shape);
        name_tensor(w, name, row->tensor.name, sizeof row->tensor.name);
    }
    *cursor += (count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    w->parameters += count;
    w->count++;
    return offset;
}
#define SHAPE(...) ((const int64_t[4]){__VA_ARGS__})

/* ---- groups of tensors ----------------------------------------------------------------------- */

static tic_affine_at add_norm(walk *w, const char *weight, const char *bias, int64_t width) {
    tic_affine_at at;
    at.weight = add(w, weight, constant(1), SHAPE(width));
    at.bias = add(w, bias, constant(0), SHAPE(width));
    return at;
}

typedef struct block_init { /* of weights and of the MLP's biases */
    tic_init_rule in_proj, out_proj, fc, proj;
} block_init;

static tic_block_at add_block(walk *w, int64_t d, int64_t mlp, const block_init *init) {
    tic_block_at at;
    at.ln_1 = add_norm(w, "ln_1.weight", "ln_1.bias", d);
    at.qkv.weight = add(w, "attn.in_proj_weight", init->in_proj, SHAPE(3 * d, d));
    at.qkv.bias = add(w, "attn.in_proj_bias", constant(0), SHAPE(3 * d));
    at.out.weight = add(w, "attn.out_proj.weight", init->out_proj, SHAPE(d, d));
    at.out.bias = add(w, "attn.out_proj.bias", constant(0), SHAPE(d));
    at.ln_2 = add_norm(w, "ln_2.weight", "ln_2.bias", d);
    at.fc.weight = add(w, "mlp.c_fc.weight", init->fc, SHAPE(mlp, d));
    at.fc.bias = add(w, "mlp.c_fc.bias", fan_in(d), SHAPE(mlp));
    at.proj.weight = add(w, "mlp.c_proj.weight", init->proj, SHAPE(d, mlp));
    at.proj.bias = add(w, "mlp.c_proj.bias", fan_in(mlp), SHAPE(d));
    return at;
}

static void add_vision(walk *w, const tic_config *c, tic_tower_at *at) {
    const int64_t d = c->vision_width, p = c->patch_size, grid = c->image_size / c->patch_size;
    const tic_init_rule scaled = normal(1 / sqrt((double)d));
    w->prefix = "visual.";
    at->table = add(w, "class_embedding", scaled, SHAPE(d));
    at->position = add(w, "positional_embedding", scaled, SHAPE(grid * grid + 1, d));
    at->projection = add(w, "proj", scaled, SHAPE(d, c->embed_dim));
    at->conv1.weight = add(w, "conv1.weight", fan_in(3 * p * p), SHAPE(d, 3, p, p));
    at->conv1.bias = -1;
    at->ln_pre = add_norm(w, "ln_pre.weight", "ln_pre.bias", d);
    const block_init init = {
        .in_proj = {TIC_INIT_UNIFORM, sqrt(6.0 / (double)(3 * d + d))}, /* xavier_uniform */
        .out_proj = fan_in(d),
        .fc = fan_in(d),
        .proj = fan_in(c->vision_mlp),
    };
    for (w->layer = 0; w->layer < c->vision_layers; w->layer++)
        at->blocks[w->layer] = add_block(w, d, c->vision_mlp, &init);
    w->layer = -1;
    at->ln_out = add_norm(w, "ln_post.weight", "ln_post.bias", d);
}

static void add_text_blocks(walk *w, const tic_config *c, tic_tower_at *at) {
    const double d = c->text_width, depth = 1 / sqrt(2.0 * c->text_layers);
    const block_init init = {
        .in_proj = normal(1 / sqrt(d)),
        .out_proj = normal(depth / sqrt(d)),
        .fc = normal(1 / sqrt(2 * d)),
        .proj = normal(depth / sqrt(d)),
    };
    w->prefix = "";
    for (w->layer = 0; w->layer < c->text_layers; w->layer++)
        at->blocks[w->layer] = add_block(w, c->text_width, c->text_mlp, &init);
    w->layer = -1;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void walk_model(walk *w, const tic_config *c, tic_layout *layout) {
    const int64_t d = c->text_width;
    tic_tower_at *text = &layout->text;
    w->prefix = "";
    w->layer = -1;
    text->position = add(w, "positional_embedding", normal(0.01), SHAPE(c->context_length, d));
    text->projection =
        add(w, "text_projection", normal(1 / sqrt((double)d)), SHAPE(d, c->embed_dim));
    layout->logit_scale = add(w, "logit_scale", constant(log(1 / 0.07)), SHAPE(0));
    add_vision(w, c, &layout->vision);
    add_text_blocks(w, c, text);
    text->table = add(w, "token_embedding.weight", normal(0.02), SHAPE(c->vocab_size, d));
    text->ln_out = add_norm(w, "ln_final.weight", "ln_final.bias", d);
}

void tic_layout_of(const tic_config *config, tic_layout *layout, tic_tensor_row *rows) {
    memset(layout, 0, sizeof *layout);
    walk measure = {0};
    walk_model(&measure, config, layout);
    walk place = {.rows = rows, .cursor = {0, measure.cursor[0]}};
    walk_model(&place, config, layout);
    layout->decayed = measure.cursor[0];
    layout->size = measure.cursor[0] + measure.cursor[1];
    layout->parameters = measure.parameters;
    layout->count = measure.count;
}

int64_t tic_config_parameters(const tic_config *config) {
    tic_layout layout;
    tic_layout_of(config, &layout, NULL);
    return layout.parameters;
}
