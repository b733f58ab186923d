/* The truth of gemm: sums and epilogue in double, one element after the other. */
#include "kernels/drive/gemm.h"
#include "kernels/ref/dot.h"

#include <math.h>

/* Element (i, j) of a matrix as it takes part: rounded to bf16 when the product is in bf16. */
static double element(tic_mat mat, int64_t i, int64_t j, tic_dtype precision) {
    int64_t at = i * mat.ld + j;
    if (mat.type == TIC_BF16)
        return tic_from_bf16(((const tic_bf16 *)mat.data)[at]);
    float x = ((const float *)mat.data)[at];
    return precision == TIC_BF16 ? tic_from_bf16(tic_to_bf16(x)) : x;
}

static void put(tic_mat mat, int64_t i, int64_t j, double value) {
    int64_t at = i * mat.ld + j;
    if (mat.type == TIC_BF16)
        ((tic_bf16 *)mat.data)[at] = tic_to_bf16((float)value);
    else
        ((float *)mat.data)[at] = (float)value;
}

/* Row i of op(A), column j of op(B). */
static double product(const tic_gemm_args *args, int64_t i, int64_t j) {
    const bool round = args->precision == TIC_BF16;
    tic_line a =
        args->trans == TIC_TN ? tic_line_down(args->a, 0, i) : tic_line_along(args->a, i, 0);
    tic_line b =
        args->trans == TIC_NT ? tic_line_along(args->b, j, 0) : tic_line_down(args->b, 0, j);
    a.round = b.round = round;
    return tic_line_dot(args->k, a, b);
}

static double act(double x, tic_act which) {
    if (which == TIC_ACT_GELU)
        return x * 0.5 * erfc(-x * M_SQRT1_2);
    return x / (1 + exp(-1.702 * x));
}

static double slope(double x, tic_act which) {
    if (which == TIC_ACT_GELU)
        return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * M_2_SQRTPI * M_SQRT1_2 * 0.5;
    double s = 1 / (1 + exp(-1.702 * x));
    return s + 1.702 * x * s * (1 - s);
}

/* The steps of kernels.h's tic_gemm_args, in their order. */
static void finish(const tic_gemm_args *args, int64_t i, int64_t j, double s) {
    if (args->bias != NULL)
        s += args->bias[j];
    if (args->grad_pre.data != NULL) {
        s *= slope(element(args->grad_pre, i, j, TIC_F32), args->act);
    } else if (args->act != TIC_ACT_NONE) {
        if (args->pre.data != NULL)
            put(args->pre, i, j, s);
        s = act(s, args->act);
    }
    if (args->residual != NULL)
        s += args->residual[i * args->ld_residual + j];
    if (args->accumulate)
        s += ((const float *)args->c.data)[i * args->c.ld + j];
    put(args->c, i, j, s);
}

tic_status tic_gemm_ref(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                        const void *arguments, tic_error *err) {
    const tic_gemm_args *args = arguments;
    (void)variant, (void)knobs, (void)err;
    for (int64_t i = 0; i < args->m; i++)
        for (int64_t j = 0; j < args->n; j++)
            finish(args, i, j, product(args, i, j));
    for (int64_t i = 0; args->colsum != NULL && i < args->m; i++) {
        double sum = args->accumulate ? args->colsum[i] : 0;
        for (int64_t p = 0; p < args->k; p++)
            sum += element(args->a, p, i, TIC_F32);
        args->colsum[i] = (float)sum;
    }
    tic_count_issued(ctx, 0, ctx->gemm_op,
                     (uint64_t)args->m * (uint64_t)args->n * (uint64_t)args->k);
    return TIC_OK;
}
