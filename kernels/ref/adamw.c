/* Reference of AdamW steps: each element in double, rounded when stored. */
#include "kernels/ops.h"

#include <math.h>

/* What a step computes with, from args' own numbers or from a step of the past. */
typedef struct constants {
    double rate, root, decay, beta1, beta2, eps, grad_scale;
} constants;

static constants of_args(const tic_adamw_args *a) {
    return (constants){.rate = a->lr / (1 - pow(a->beta1, (double)a->step)),
                       .root = 1 / sqrt(1 - pow(a->beta2, (double)a->step)),
                       .decay = 1 - (double)a->lr * a->weight_decay,
                       .beta1 = a->beta1,
                       .beta2 = a->beta2,
                       .eps = a->eps,
                       .grad_scale = a->grad_scale};
}

static constants of_past(const tic_adamw_step *s) {
    return (constants){s->rate, s->root, s->decay, s->beta1, s->beta2, s->eps, s->grad_scale};
}

static void one(const tic_adamw_args *a, int64_t i, double gradient, const constants *by) {
    const double g = gradient * by->grad_scale;
    const double m = by->beta1 * a->m[i] + (1 - by->beta1) * g;
    const double v = by->beta2 * a->v[i] + (1 - by->beta2) * g * g;
    a->w[i] = (float)(a->w[i] * by->decay - by->rate * m / (sqrt(v) * by->root + by->eps));
    a->m[i] = (float)m;
    a->v[i] = (float)v;
}

static void range(const tic_adamw_args *a, int64_t first, int64_t last, const constants *now) {
    for (int64_t i = first; i < last; i++) {
        if (a->squares)
            *a->squares += (double)a->g[i] * a->g[i];
        one(a, i, a->g[i], now);
        if (a->zero_grad)
            a->g[i] = 0;
    }
}

static void row(const tic_adamw_args *a, int64_t r, const constants *now) {
    const tic_adamw_rows *rows = a->rows;
    const int64_t first = r * rows->cols, last = first + rows->cols;
    for (; rows->made[r] < rows->steps; rows->made[r]++) {
        const constants by = of_past(&rows->history[rows->made[r] % TIC_ADAMW_KEPT]);
        for (int64_t i = first; i < last; i++)
            one(a, i, 0, &by);
    }
    if (a->g == NULL)
        return;
    range(a, first, last, now);
    rows->made[r]++;
}

TIC_RUN(tic_adamw_ref) {
    const tic_adamw_args *a = args;
    const constants now = of_args(a);
    (void)ctx, (void)variant, (void)knobs, (void)err;
    if (a->rows == NULL)
        range(a, 0, a->n, &now);
    for (int64_t i = 0; a->rows != NULL && i < a->rows->count; i++)
        row(a, a->rows->list != NULL ? a->rows->list[i] : i, &now);
    for (int64_t i = 0; i < a->matrix_count; i++) {
        const tic_adamw_matrix *matrix = &a->matrices[i];
        for (int p = 0; p < 2; p++)
            if (matrix->packed[p] != NULL)
                tic_gemm_pack(matrix->packed[p], tic_f32(a->w + matrix->first, matrix->cols));
    }
    return TIC_OK;
}
