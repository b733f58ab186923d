/* The vision tower's front: patches, conv1 as a product, class token and positions, ln_pre. No
 * gradient is computed for the pixels: nobody reads it. */
#include "room.h"

#include <string.h>

/* Shape ---------------------------------------------------------------------------------------- */

void tic_tower_vision(tic_tower *tower, const tic_config *config, const tic_layout *layout,
                      tic_dtype type) {
    const int grid = config->image_size / config->patch_size;
    *tower = (tic_tower){
        .layers = config->vision_layers,
        .width = config->vision_width,
        .heads = config->vision_heads,
        .mlp = config->vision_mlp,
        .embed = config->embed_dim,
        .tokens = grid * grid + 1,
        .act = config->quick_gelu ? TIC_ACT_QUICK_GELU : TIC_ACT_GELU,
        .type = type,
        .at = layout->vision,
    };
}

/* Layers --------------------------------------------------------------------------------------- */

static int64_t patch_columns(const tic_config *config) {
    return 3 * (int64_t)config->patch_size * config->patch_size;
}

static tic_linear conv1(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    const int64_t columns = patch_columns(pass->config);
    return (tic_linear){.at = tower->at.conv1,
                        .rows = pass->n * (tower->tokens - 1),
                        .in = columns,
                        .out = tower->width,
                        .x = tic_act_mat(pass, tower->patches, columns),
                        .y = tic_f32(tower->embedded, tower->width)};
}

static tic_norm ln_pre(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    return (tic_norm){.at = tower->at.ln_pre,
                      .rows = pass->rows,
                      .x = tower->x_front,
                      .mean = tower->mean_front,
                      .rstd = tower->rstd_front,
                      .y = tic_f32(tower->acts[0].x, tower->width)};
}

static tic_embedding_args embedding(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    return (tic_embedding_args){.sequences = pass->n,
                                .offsets = pass->offsets,
                                .d = tower->width,
                                .vocab = 1,
                                .table = tic_at(pass->weights, tower->at.table),
                                .position = tic_at(pass->weights, tower->at.position),
                                .patches = tower->embedded,
                                .x = tower->x_front};
}

/* Forward, backward ---------------------------------------------------------------------------- */

tic_status tic_vision_forward(const tic_pass *pass) {
    const tic_config *config = pass->config;
    tic_patchify_args patchify = {
        .n = pass->n,
        .size = config->image_size,
        .patch = config->patch_size,
        .pixels = pass->pixels,
        .out = tic_act_mat(pass, pass->tower->patches, patch_columns(config))};
    memcpy(patchify.mean, config->mean, sizeof patchify.mean);
    memcpy(patchify.std, config->std, sizeof patchify.std);
    tic_pass_at(pass, TIC_AT_VISION_PATCHES);
    TIC_TRY(tic_call_patchify(pass, &patchify));
    const tic_linear conv = conv1(pass);
    TIC_TRY(tic_linear_forward(pass, &conv));
    const tic_embedding_args args = embedding(pass);
    TIC_TRY(tic_call_embedding(pass, &args, false));
    const tic_norm ln = ln_pre(pass);
    TIC_TRY(tic_norm_forward(pass, &ln));
    return tic_tower_forward(pass);
}

tic_status tic_vision_backward(const tic_pass *pass, const float *d_features) {
    const tic_tower *tower = pass->tower;
    const tic_tower_work *work = &tower->work;
    TIC_TRY(tic_tower_backward(pass, d_features));
    tic_pass_at(pass, TIC_AT_VISION_PATCHES);
    /* x = ln_pre(x_front) */
    const tic_norm ln = ln_pre(pass);
    TIC_TRY(tic_norm_backward(pass, &ln, tic_f32(work->dx, tower->width), work->dx_front, false));
    /* x_front = [class, conv1(patches)] + positions; d_o is free and holds conv1's gradient */
    const tic_mat d_embedded = tic_act_mat(pass, work->d_o, tower->width);
    tic_embedding_args args = embedding(pass);
    args.dx = work->dx_front;
    args.dtable = tic_at(pass->gradient, tower->at.table);
    args.dposition = tic_at(pass->gradient, tower->at.position);
    args.dpatches = d_embedded;
    TIC_TRY(tic_call_embedding(pass, &args, true));
    /* embedded = conv1(patches) */
    const tic_linear conv = conv1(pass);
    return tic_linear_weights(pass, &conv, d_embedded);
}
