/* L2 normalisation: entry points and driver, rows in parallel. */
#include "kernels/ops.h"

#include <stdio.h>

enum { ROWS = 16 }; /* of a task */

TIC_RUN(tic_l2norm_drive) {
    const tic_l2norm_args *a = args;
    const tic_l2norm_micro *micro = variant->micro;
    (void)knobs, (void)err;
#pragma omp parallel for num_threads(ctx->threads) schedule(static) if (a->rows > ROWS)
    for (int64_t i = 0; i < a->rows; i += ROWS)
        micro->forward(a, i, i + ROWS < a->rows ? i + ROWS : a->rows);
    return TIC_OK;
}

TIC_RUN(tic_l2norm_backward_drive) {
    const tic_l2norm_args *a = args;
    const tic_l2norm_micro *micro = variant->micro;
    (void)knobs, (void)err;
#pragma omp parallel for num_threads(ctx->threads) schedule(static) if (a->rows > ROWS)
    for (int64_t i = 0; i < a->rows; i += ROWS)
        micro->backward(a, i, i + ROWS < a->rows ? i + ROWS : a->rows);
    return TIC_OK;
}

/* ---- entry points --------------------------------------------------------------------------- */

static tic_status enter(tic_ctx *ctx, tic_op op, const tic_l2norm_args *a, bool complete,
                        tic_error *err) {
    if (a->rows < 0 || a->d < 1 || (a->rows > 0 && !complete))
        return tic_fail(err, TIC_EUSAGE, "%s: %lld x %lld: an operand is missing", tic_op_name(op),
                        (long long)a->rows, (long long)a->d);
    if (a->rows == 0)
        return TIC_OK;
    char shape[64];
    snprintf(shape, sizeof shape, "m%lld,d%lld", (long long)a->rows, (long long)a->d);
    return tic_dispatch(ctx, op, TIC_F32, shape, a, err);
}

tic_status tic_l2norm(tic_ctx *ctx, const tic_l2norm_args *a, tic_error *err) {
    return enter(ctx, TIC_OP_L2NORM, a, a->x && a->y && a->inverse, err);
}

tic_status tic_l2norm_backward(tic_ctx *ctx, const tic_l2norm_args *a, tic_error *err) {
    return enter(ctx, TIC_OP_L2NORM_BACKWARD, a, a->y && a->inverse && a->dy && a->dx, err);
}
