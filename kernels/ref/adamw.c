/* Reference of one AdamW step: each element in double, rounded when stored. */
#include "kernels/ops.h"

#include <math.h>

TIC_RUN(tic_adamw_ref) {
    const tic_adamw_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    double rate = a->lr / (1 - pow(a->beta1, (double)a->step));
    double root = sqrt(1 - pow(a->beta2, (double)a->step));
    for (int64_t i = 0; i < a->n; i++) {
        if (a->squares)
            *a->squares += (double)a->g[i] * a->g[i];
        double g = (double)a->g[i] * a->grad_scale;
        double m = a->beta1 * (double)a->m[i] + (1 - (double)a->beta1) * g;
        double v = a->beta2 * (double)a->v[i] + (1 - (double)a->beta2) * g * g;
        double w = a->w[i] * (1 - (double)a->lr * a->weight_decay);
        a->w[i] = (float)(w - rate * m / (sqrt(v) / root + a->eps));
        a->m[i] = (float)m;
        a->v[i] = (float)v;
        if (a->zero_grad)
            a->g[i] = 0;
    }
    for (int64_t i = 0; i < a->matrix_count; i++) {
        const tic_adamw_matrix *matrix = &a->matrices[i];
        for (int p = 0; p < 2; p++)
            if (matrix->packed[p] != NULL)
                tic_gemm_pack(matrix->packed[p], tic_f32(a->w + matrix->first, matrix->cols));
    }
    return TIC_OK;
}
