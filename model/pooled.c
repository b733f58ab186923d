/* The last block of a tower. Only the pooled row of each sequence (class token, EOT) is read after
 * it, so keys and values are computed for all rows, and the query, out_proj and the MLP for the
 * pooled rows alone: an exact shortcut. A causal caption's EOT is its last row and sees all keys,
 * so no mask is needed. */
#include "room.h"

#include <string.h>

/* ---- rows of sequences ----------------------------------------------------------------------- */

/* to[s] = from[pooled[s]], rows of `bytes` bytes. */
static void gather(const tic_pass *pass, void *to, const void *from, size_t bytes) {
    if (pass->tally)
        return;
    for (int64_t s = 0; s < pass->n; s++)
        memcpy((unsigned char *)to + (size_t)s * bytes,
               (const unsigned char *)from + (size_t)pass->tower->pooled[s] * bytes, bytes);
}

/* Answers gather: to[pooled[s]] += from[s], rows of w floats. */
static void scatter_add(const tic_pass *pass, float *to, const float *from) {
    if (pass->tally)
        return;
    const int64_t w = pass->tower->width;
    for (int64_t s = 0; s < pass->n; s++) {
        float *row = to + pass->tower->pooled[s] * w;
        for (int64_t j = 0; j < w; j++)
            row[j] += from[s * w + j];
    }
}

/* ---- the layers ------------------------------------------------------------------------------ */

static tic_linear q_proj(const tic_pass *pass, int layer) {
    const tic_tower *tower = pass->tower;
    const int64_t w = tower->width;
    const tic_block_acts *acts = &tower->acts[layer];
    return (tic_linear){.at = tower->at.blocks[layer].qkv, /* its first w rows are Q's */
                        .rows = pass->n,
                        .in = w,
                        .out = w,
                        .x = tic_act_mat(pass, acts->h_pooled, w),
                        .y = tic_act_mat(pass, acts->q, w)};
}

static tic_linear kv_proj(const tic_pass *pass, int layer) {
    const tic_tower *tower = pass->tower;
    const int64_t w = tower->width;
    const tic_block_acts *acts = &tower->acts[layer];
    const tic_affine_at qkv = tower->at.blocks[layer].qkv;
    return (tic_linear){.at = {qkv.weight + w * w, qkv.bias + w},
                        .rows = pass->rows,
                        .in = w,
                        .out = 2 * w,
                        .x = tic_act_mat(pass, acts->h_1, w),
                        .y = tic_act_mat(pass, acts->qkv, 2 * w)};
}

/* ln_1 of all rows; of the pooled rows alone when `pooled` (backward's second half). */
static tic_norm norm_1(const tic_pass *pass, int layer, bool pooled) {
    const tic_block_acts *acts = &pass->tower->acts[layer];
    return (tic_norm){.at = pass->tower->at.blocks[layer].ln_1,
                      .rows = pooled ? pass->n : pass->rows,
                      .x = pooled ? acts->x_pooled : acts->x,
                      .mean = pooled ? acts->mean_pooled : acts->mean_1,
                      .rstd = pooled ? acts->rstd_pooled : acts->rstd_1,
                      .y = tic_act_mat(pass, acts->h_1, pass->tower->width)};
}

static tic_attention_args attention(const tic_pass *pass, int layer) {
    const tic_tower *tower = pass->tower;
    const int64_t w = tower->width;
    const tic_block_acts *acts = &tower->acts[layer];
    const tic_mat kv = tic_act_mat(pass, acts->qkv, 2 * w);
    return (tic_attention_args){.sequences = pass->n,
                                .q_offsets = tower->singles,
                                .kv_offsets = pass->offsets,
                                .heads = tower->heads,
                                .head_dim = tower->width / tower->heads,
                                .scale = tic_attention_scale(tower),
                                .q = tic_act_mat(pass, acts->q, w),
                                .k = kv,
                                .v = tic_columns(kv, w),
                                .o = tic_act_mat(pass, acts->o, w),
                                .lse = acts->lse};
}

/* ---- forward, backward ----------------------------------------------------------------------- */

tic_status tic_pooled_forward(const tic_pass *pass, int layer, float *z) {
    const tic_tower *tower = pass->tower;
    const tic_block_acts *acts = &tower->acts[layer];
    const tic_norm ln = norm_1(pass, layer, false);
    TIC_TRY(tic_norm_forward(pass, &ln));
    const tic_linear kv = kv_proj(pass, layer);
    TIC_TRY(tic_linear_forward(pass, &kv));
    gather(pass, acts->h_pooled, acts->h_1, (size_t)tower->width * tic_dtype_size(tower->type));
    gather(pass, acts->x_pooled, acts->x, (size_t)tower->width * sizeof(float));
    if (pass->train) {
        gather(pass, acts->mean_pooled, acts->mean_1, sizeof(float));
        gather(pass, acts->rstd_pooled, acts->rstd_1, sizeof(float));
    }
    const tic_linear q = q_proj(pass, layer);
    TIC_TRY(tic_linear_forward(pass, &q));
    const tic_attention_args args = attention(pass, layer);
    TIC_TRY(tic_call_attention(pass, &args, true, false));
    return tic_block_tail_forward(pass, layer, pass->n, acts->x_pooled, z);
}

tic_status tic_pooled_backward(const tic_pass *pass, int layer, float *dz, float *dx) {
    const tic_tower *tower = pass->tower;
    const int64_t w = tower->width;
    const tic_tower_work *work = &tower->work;
    const tic_mat d_q = tic_act_mat(pass, work->d_q, w);
    const tic_mat d_kv = tic_act_mat(pass, work->d_qkv, 2 * w);
    const tic_mat d_h = tic_act_mat(pass, work->d_h, w);
    const tic_mat d_h_pooled = tic_act_mat(pass, work->d_h_pooled, w);
    TIC_TRY(tic_block_tail_backward(pass, layer, pass->n, dz));
    /* o = attention(q, k, v) */
    tic_attention_args args = attention(pass, layer);
    args.d_o = tic_act_mat(pass, work->d_o, w);
    args.dq = d_q;
    args.dk = d_kv;
    args.dv = tic_columns(d_kv, w);
    TIC_TRY(tic_call_attention(pass, &args, true, true));
    /* kv = kv_proj(ln_1 x), all rows */
    const tic_linear kv = kv_proj(pass, layer);
    TIC_TRY(tic_linear_weights(pass, &kv, d_kv));
    TIC_TRY(tic_linear_input(pass, &kv, d_kv, d_h));
    const tic_norm ln = norm_1(pass, layer, false);
    TIC_TRY(tic_norm_backward(pass, &ln, d_h, dx, false));
    /* q = q_proj(ln_1 x), pooled rows. The backward of a norm is linear in dy, so the pooled rows
     * go through it once more, onto their residual's gradient, and meet the others in f32 */
    const tic_linear q = q_proj(pass, layer);
    TIC_TRY(tic_linear_weights(pass, &q, d_q));
    TIC_TRY(tic_linear_input(pass, &q, d_q, d_h_pooled));
    const tic_norm ln_pooled = norm_1(pass, layer, true);
    TIC_TRY(tic_norm_backward(pass, &ln_pooled, d_h_pooled, dz, true));
    scatter_add(pass, dx, dz);
    return TIC_OK;
}
