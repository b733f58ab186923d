/* A tower between its front and its features: the blocks, the last one for the pooled rows only,
 * and the head: features = l2norm(ln_out(z) projection). */
#include "room.h"

static tic_norm norm_out(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    return (tic_norm){.at = tower->at.ln_out,
                      .rows = pass->n,
                      .x = tower->z,
                      .mean = tower->mean_out,
                      .rstd = tower->rstd_out,
                      .y = tic_act_mat(pass, tower->h_out, tower->width)};
}

/* projected = h_out projection, projection [w, e]. */
static tic_status project(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    const tic_gemm_args args = {
        .trans = TIC_NN,
        .precision = tower->type,
        .m = pass->n,
        .n = tower->embed,
        .k = tower->width,
        .a = tic_act_mat(pass, tower->h_out, tower->width),
        .b = tic_f32(tic_at(pass->weights, tower->at.projection), tower->embed),
        .c = tic_f32(tower->projected, tower->embed),
    };
    return tic_call_weight(pass, &args, tower->at.projection);
}

/* Answers project: d_projection += h_outᵀ d, d_h = d projectionᵀ. */
static tic_status project_backward(const tic_pass *pass, tic_mat d_projected, tic_mat d_h) {
    const tic_tower *tower = pass->tower;
    const tic_gemm_args weights = {
        .trans = TIC_TN,
        .precision = tower->type,
        .m = tower->width,
        .n = tower->embed,
        .k = pass->n,
        .a = tic_act_mat(pass, tower->h_out, tower->width),
        .b = d_projected,
        .c = tic_f32(tic_at(pass->gradient, tower->at.projection), tower->embed),
        .accumulate = true,
    };
    TIC_TRY(tic_call_gemm(pass, &weights));
    const tic_gemm_args input = {
        .trans = TIC_NT,
        .precision = tower->type,
        .m = pass->n,
        .n = tower->width,
        .k = tower->embed,
        .a = d_projected,
        .b = tic_f32(tic_at(pass->weights, tower->at.projection), tower->embed),
        .c = d_h,
    };
    return tic_call_weight(pass, &input, tower->at.projection);
}

static tic_l2norm_args l2norm(const tic_pass *pass) {
    return (tic_l2norm_args){.rows = pass->n,
                             .d = pass->tower->embed,
                             .eps = TIC_L2_EPS,
                             .x = pass->tower->projected,
                             .y = pass->features,
                             .inverse = pass->inverse};
}

static int head(const tic_pass *pass) {
    return pass->tower->causal ? TIC_AT_TEXT_HEAD : TIC_AT_VISION_HEAD;
}

tic_status tic_tower_forward(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    const int last = tower->layers - 1;
    for (int l = 0; l < last; l++) {
        tic_pass_at(pass, tic_pass_block(pass, l));
        TIC_TRY(tic_block_forward(pass, l, tower->acts[l + 1].x));
    }
    tic_pass_at(pass, tic_pass_block(pass, last));
    TIC_TRY(tic_pooled_forward(pass, last, tower->z));
    tic_pass_at(pass, head(pass));
    const tic_norm ln = norm_out(pass);
    TIC_TRY(tic_norm_forward(pass, &ln));
    TIC_TRY(project(pass));
    const tic_l2norm_args args = l2norm(pass);
    return tic_call_l2norm(pass, &args, false);
}

tic_status tic_tower_backward(const tic_pass *pass, const float *d_features) {
    const tic_tower *tower = pass->tower;
    const tic_tower_work *work = &tower->work;
    tic_pass_at(pass, head(pass));
    /* features = l2norm(projected) */
    tic_l2norm_args args = l2norm(pass);
    args.dy = d_features;
    args.dx = work->d_projected;
    TIC_TRY(tic_call_l2norm(pass, &args, true));
    /* projected = ln_out(z) projection */
    const tic_mat d_h = tic_act_mat(pass, work->d_h_pooled, tower->width);
    TIC_TRY(project_backward(pass, tic_f32(work->d_projected, tower->embed), d_h));
    const tic_norm ln = norm_out(pass);
    TIC_TRY(tic_norm_backward(pass, &ln, d_h, work->dx_pooled, false));
    /* the blocks, last first */
    const int last = tower->layers - 1;
    tic_pass_at(pass, tic_pass_block(pass, last));
    TIC_TRY(tic_pooled_backward(pass, last, work->dx_pooled, work->dx));
    for (int l = last - 1; l >= 0; l--) {
        tic_pass_at(pass, tic_pass_block(pass, l));
        TIC_TRY(tic_block_backward(pass, l, work->dx));
    }
    return TIC_OK;
}
