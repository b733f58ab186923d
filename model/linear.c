/* Linear layers and layer norms over the flat arrays, forward and backward. */
#include "room.h"

tic_status tic_linear_forward(const tic_pass *pass, const tic_linear *l) {
    const tic_gemm_args args = {
        .trans = TIC_NT,
        .precision = pass->tower->type,
        .m = l->rows,
        .n = l->out,
        .k = l->in,
        .a = l->x,
        .b = tic_f32(tic_at(pass->weights, l->at.weight), l->in),
        .c = l->y,
        .bias = l->at.bias < 0 ? NULL : tic_at(pass->weights, l->at.bias),
        .act = l->act,
        .pre = l->pre,
        .residual = l->residual,
        .ld_residual = l->residual ? l->out : 0,
    };
    return tic_call_weight(pass, &args, l->at.weight);
}

/* Answers y = x Wᵀ + b with dW = dyᵀ x, db = the sum of dy's rows. */
tic_status tic_linear_weights(const tic_pass *pass, const tic_linear *l, tic_mat dy) {
    const tic_gemm_args args = {
        .trans = TIC_TN,
        .precision = pass->tower->type,
        .m = l->out,
        .n = l->in,
        .k = l->rows,
        .a = dy,
        .b = l->x,
        .c = tic_f32(tic_at(pass->gradient, l->at.weight), l->in),
        .accumulate = true,
        .colsum = l->at.bias < 0 ? NULL : tic_at(pass->gradient, l->at.bias),
    };
    return tic_call_gemm(pass, &args);
}

/* Answers y = x Wᵀ with dx = dy W; with l->pre and l->act also x = act(pre). */
tic_status tic_linear_input(const tic_pass *pass, const tic_linear *l, tic_mat dy, tic_mat dx) {
    const tic_gemm_args args = {
        .trans = TIC_NN,
        .precision = pass->tower->type,
        .m = l->rows,
        .n = l->in,
        .k = l->out,
        .a = dy,
        .b = tic_f32(tic_at(pass->weights, l->at.weight), l->in),
        .c = dx,
        .act = l->act,
        .grad_pre = l->pre,
    };
    return tic_call_weight(pass, &args, l->at.weight);
}

static tic_layernorm_args norm_args(const tic_pass *pass, const tic_norm *norm) {
    const int64_t w = pass->tower->width;
    return (tic_layernorm_args){
        .rows = norm->rows,
        .d = w,
        .eps = TIC_LN_EPS,
        .x = norm->x,
        .ld_x = w,
        .gamma = tic_at(pass->weights, norm->at.weight),
        .beta = tic_at(pass->weights, norm->at.bias),
        .mean = norm->mean,
        .rstd = norm->rstd,
    };
}

tic_status tic_norm_forward(const tic_pass *pass, const tic_norm *norm) {
    tic_layernorm_args args = norm_args(pass, norm);
    args.y = norm->y;
    return tic_call_norm(pass, &args, false);
}

tic_status tic_norm_backward(const tic_pass *pass, const tic_norm *norm, tic_mat dy, float *dx,
                             bool add) {
    tic_layernorm_args args = norm_args(pass, norm);
    args.dy = dy;
    args.dx = dx;
    args.ld_dx = pass->tower->width;
    args.add_dx = add;
    args.dgamma = tic_at(pass->gradient, norm->at.weight);
    args.dbeta = tic_at(pass->gradient, norm->at.bias);
    return tic_call_norm(pass, &args, true);
}
