/* Reference of L2 normalisation, forward and backward, sums in double. */
#include "kernels/ops.h"

#include <math.h>

TIC_RUN(tic_l2norm_ref) {
    const tic_l2norm_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t i = 0; i < a->rows; i++) {
        const float *x = a->x + i * a->d;
        double squares = 0;
        for (int64_t j = 0; j < a->d; j++)
            squares += (double)x[j] * x[j];
        double norm = sqrt(squares);
        double inverse = 1 / (norm < a->eps ? a->eps : norm); /* a NaN stays */
        a->inverse[i] = (float)inverse;
        for (int64_t j = 0; j < a->d; j++)
            a->y[i * a->d + j] = (float)(x[j] * inverse);
    }
    return TIC_OK;
}

/* Answers y = inverse x. */
TIC_RUN(tic_l2norm_backward_ref) {
    const tic_l2norm_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t i = 0; i < a->rows; i++) {
        const float *y = a->y + i * a->d, *dy = a->dy + i * a->d;
        double along = 0;
        for (int64_t j = 0; j < a->d; j++)
            along += (double)y[j] * dy[j];
        for (int64_t j = 0; j < a->d; j++)
            a->dx[i * a->d + j] = (float)(a->inverse[i] * (dy[j] - y[j] * along));
    }
    return TIC_OK;
}
