/* One transformer block, forward and backward (reference/openclip.md, Architecture):
 *   y = x + out_proj(attention(ln_1 x));  z = y + c_proj(act(c_fc(ln_2 y)))
 * Both towers use it; their last blocks go through pooled.c, which shares the part after the
 * attention. */
#include "room.h"

#include <math.h>

/* ---- the layers ------------------------------------------------------------------------------ */

static tic_norm norm_1(const tic_pass *pass, int layer) {
    const tic_block_acts *acts = &pass->tower->acts[layer];
    return (tic_norm){.at = pass->tower->at.blocks[layer].ln_1,
                      .rows = pass->rows,
                      .x = acts->x,
                      .mean = acts->mean_1,
                      .rstd = acts->rstd_1,
                      .y = tic_act_mat(pass, acts->h_1, pass->tower->width)};
}

static tic_norm norm_2(const tic_pass *pass, int layer, int64_t m) {
    const tic_block_acts *acts = &pass->tower->acts[layer];
    return (tic_norm){.at = pass->tower->at.blocks[layer].ln_2,
                      .rows = m,
                      .x = acts->y,
                      .mean = acts->mean_2,
                      .rstd = acts->rstd_2,
                      .y = tic_act_mat(pass, acts->h_2, pass->tower->width)};
}

static tic_linear in_proj(const tic_pass *pass, int layer) {
    const tic_tower *tower = pass->tower;
    const tic_block_acts *acts = &tower->acts[layer];
    return (tic_linear){.at = tower->at.blocks[layer].qkv,
                        .rows = pass->rows,
                        .in = tower->width,
                        .out = 3 * (int64_t)tower->width,
                        .x = tic_act_mat(pass, acts->h_1, tower->width),
                        .y = tic_act_mat(pass, acts->qkv, 3 * (int64_t)tower->width)};
}

static tic_linear out_proj(const tic_pass *pass, int layer, int64_t m) {
    const tic_tower *tower = pass->tower;
    const tic_block_acts *acts = &tower->acts[layer];
    return (tic_linear){.at = tower->at.blocks[layer].out,
                        .rows = m,
                        .in = tower->width,
                        .out = tower->width,
                        .x = tic_act_mat(pass, acts->o, tower->width),
                        .y = tic_f32(acts->y, tower->width)};
}

static tic_linear c_fc(const tic_pass *pass, int layer, int64_t m) {
    const tic_tower *tower = pass->tower;
    const tic_block_acts *acts = &tower->acts[layer];
    return (tic_linear){.at = tower->at.blocks[layer].fc,
                        .rows = m,
                        .in = tower->width,
                        .out = tower->mlp,
                        .x = tic_act_mat(pass, acts->h_2, tower->width),
                        .y = tic_act_mat(pass, acts->act, tower->mlp)};
}

static tic_linear c_proj(const tic_pass *pass, int layer, int64_t m) {
    const tic_tower *tower = pass->tower;
    const tic_block_acts *acts = &tower->acts[layer];
    return (tic_linear){.at = tower->at.blocks[layer].proj,
                        .rows = m,
                        .in = tower->mlp,
                        .out = tower->width,
                        .x = tic_act_mat(pass, acts->act, tower->mlp)};
}

static tic_attention_args attention(const tic_pass *pass, int layer) {
    const tic_tower *tower = pass->tower;
    const int64_t w = tower->width;
    const tic_mat qkv = tic_act_mat(pass, tower->acts[layer].qkv, 3 * w);
    return (tic_attention_args){.sequences = pass->n,
                                .q_offsets = pass->offsets,
                                .kv_offsets = pass->offsets,
                                .heads = tower->heads,
                                .head_dim = tower->width / tower->heads,
                                .causal = tower->causal,
                                .scale = tic_attention_scale(tower),
                                .q = qkv,
                                .k = tic_columns(qkv, w),
                                .v = tic_columns(qkv, 2 * w),
                                .o = tic_act_mat(pass, tower->acts[layer].o, w),
                                .lse = tower->acts[layer].lse};
}

float tic_attention_scale(const tic_tower *tower) {
    return (float)(1.0 / sqrt((double)tower->width / tower->heads));
}

/* ---- after the attention --------------------------------------------------------------------- */

tic_status tic_block_tail_forward(const tic_pass *pass, int layer, int64_t m, const float *residual,
                                  float *z) {
    const tic_tower *tower = pass->tower;
    tic_linear out = out_proj(pass, layer, m);
    out.residual = residual;
    TIC_TRY(tic_linear_forward(pass, &out));
    const tic_norm ln = norm_2(pass, layer, m);
    TIC_TRY(tic_norm_forward(pass, &ln));
    tic_linear fc = c_fc(pass, layer, m);
    fc.act = tower->act;
    if (pass->train)
        fc.pre = tic_act_mat(pass, tower->acts[layer].pre, tower->mlp);
    TIC_TRY(tic_linear_forward(pass, &fc));
    tic_linear proj = c_proj(pass, layer, m);
    proj.y = tic_f32(z, tower->width);
    proj.residual = tower->acts[layer].y;
    return tic_linear_forward(pass, &proj);
}

tic_status tic_block_tail_backward(const tic_pass *pass, int layer, int64_t m, float *dz) {
    const tic_tower *tower = pass->tower;
    const tic_tower_work *work = &tower->work;
    const tic_mat d_res = tic_f32(dz, tower->width);
    const tic_mat d_pre = tic_act_mat(pass, work->d_pre, tower->mlp);
    const tic_mat d_h = tic_act_mat(pass, work->d_h, tower->width);
    /* z = y + c_proj(act(pre)): the gradient of y starts as that of z */
    tic_linear proj = c_proj(pass, layer, m);
    TIC_TRY(tic_linear_weights(pass, &proj, d_res));
    proj.act = tower->act;
    proj.pre = tic_act_mat(pass, tower->acts[layer].pre, tower->mlp);
    TIC_TRY(tic_linear_input(pass, &proj, d_res, d_pre));
    /* pre = c_fc(h_2) */
    const tic_linear fc = c_fc(pass, layer, m);
    TIC_TRY(tic_linear_weights(pass, &fc, d_pre));
    TIC_TRY(tic_linear_input(pass, &fc, d_pre, d_h));
    /* h_2 = ln_2 y */
    const tic_norm ln = norm_2(pass, layer, m);
    TIC_TRY(tic_norm_backward(pass, &ln, d_h, dz, true));
    /* y = residual + out_proj o */
    const tic_linear out = out_proj(pass, layer, m);
    TIC_TRY(tic_linear_weights(pass, &out, d_res));
    return tic_linear_input(pass, &out, d_res, tic_act_mat(pass, work->d_o, tower->width));
}

/* ---- the whole block ------------------------------------------------------------------------- */

tic_status tic_block_forward(const tic_pass *pass, int layer, float *z) {
    const tic_norm ln = norm_1(pass, layer);
    TIC_TRY(tic_norm_forward(pass, &ln));
    const tic_linear in = in_proj(pass, layer);
    TIC_TRY(tic_linear_forward(pass, &in));
    const tic_attention_args args = attention(pass, layer);
    TIC_TRY(tic_call_attention(pass, &args, false, false));
    return tic_block_tail_forward(pass, layer, pass->rows, pass->tower->acts[layer].x, z);
}

tic_status tic_block_backward(const tic_pass *pass, int layer, float *dx) {
    const int64_t w = pass->tower->width;
    const tic_tower_work *work = &pass->tower->work;
    const tic_mat d_qkv = tic_act_mat(pass, work->d_qkv, 3 * w);
    const tic_mat d_h = tic_act_mat(pass, work->d_h, w);
    TIC_TRY(tic_block_tail_backward(pass, layer, pass->rows, dx));
    /* o = attention(q, k, v) */
    tic_attention_args args = attention(pass, layer);
    args.d_o = tic_act_mat(pass, work->d_o, w);
    args.dq = d_qkv;
    args.dk = tic_columns(d_qkv, w);
    args.dv = tic_columns(d_qkv, 2 * w);
    TIC_TRY(tic_call_attention(pass, &args, false, true));
    /* qkv = in_proj(h_1) */
    const tic_linear in = in_proj(pass, layer);
    TIC_TRY(tic_linear_weights(pass, &in, d_qkv));
    TIC_TRY(tic_linear_input(pass, &in, d_qkv, d_h));
    /* h_1 = ln_1 x, and the residual that is in dx already */
    const tic_norm ln = norm_1(pass, layer);
    return tic_norm_backward(pass, &ln, d_h, dx, true);
}
