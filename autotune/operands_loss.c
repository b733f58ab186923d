/* The contrastive loss where the reference would take minutes: gemm's products, which are checked
 * elsewhere, and everything after them in double, for some pictures and texts. */
#include "autotune/operands.h"

#include <math.h>

enum { STRIP = 256, CHECKED = 8 };

typedef struct loss {
    const tic_contrastive_args *a;
    float *strip;         /* [STRIP, b] of scores before the scale */
    double *row, *column; /* sums of exp(scale s) over a row, over a column */
    double *factor;       /* [b] of one row */
} loss;

static tic_status scores(const loss *l, const float *rows, const float *columns, int64_t count,
                         tic_ctx *ctx, tic_error *err) {
    const int64_t b = l->a->b, d = l->a->d;
    const tic_gemm_args gemm = {.trans = TIC_NT,
                                .precision = l->a->precision,
                                .m = count,
                                .n = b,
                                .k = d,
                                .a = tic_f32(rows, d),
                                .b = tic_f32(columns, d),
                                .c = tic_f32(l->strip, b)};
    return tic_gemm(ctx, &gemm, err);
}

/* Rows are of length 1 and the scale is small: no exp can overflow. */
static tic_status sums(const loss *l, tic_ctx *ctx, tic_error *err) {
    const int64_t b = l->a->b;
    for (int64_t first = 0; first < b; first += STRIP) {
        const int64_t count = first + STRIP < b ? STRIP : b - first;
        TIC_TRY(scores(l, l->a->image + first * l->a->d, l->a->text, count, ctx, err));
        for (int64_t i = 0; i < count; i++)
            for (int64_t j = 0; j < b; j++) {
                const double e = expf(l->a->scale * l->strip[i * b + j]);
                l->row[first + i] += e;
                l->column[j] += e;
            }
    }
    return TIC_OK;
}

/* d_from[i] = sum_j dS_ij to[j], dS = scale / 2b (P_row + P_col - 2 (i == j)). */
static tic_status gradient(const loss *l, int64_t i, const float *from, const float *to,
                           const double *own, const double *other, float *d_from, tic_ctx *ctx,
                           tic_error *err) {
    const int64_t b = l->a->b, d = l->a->d;
    TIC_TRY(scores(l, from + i * d, to, 1, ctx, err));
    for (int64_t j = 0; j < b; j++) {
        const double e = exp((double)l->a->scale * l->strip[j]);
        l->factor[j] = e / own[i] + e / other[j] - (i == j ? 2 : 0);
    }
    for (int64_t x = 0; x < d; x++) {
        double sum = 0;
        for (int64_t j = 0; j < b; j++)
            sum += l->factor[j] * to[j * d + x];
        d_from[i * d + x] = (float)(sum * l->a->scale / (2 * (double)b));
    }
    return TIC_OK;
}

static tic_status sample(const loss *l, tic_ctx *ctx, tic_error *err) {
    const tic_contrastive_args *a = l->a;
    TIC_TRY(sums(l, ctx, err));
    for (int64_t x = 0; x < CHECKED; x++) {
        const int64_t i = x * (a->b - 1) / (CHECKED - 1); /* first and last among them */
        TIC_TRY(gradient(l, i, a->image, a->text, l->row, l->column, a->d_image, ctx, err));
        TIC_TRY(gradient(l, i, a->text, a->image, l->column, l->row, a->d_text, ctx, err));
    }
    return TIC_OK;
}

tic_status tic_operands_loss_sample(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    loss l = {.a = &o->args.contrastive};
    tic_status status = tic_alloc(&l.strip, (size_t)(STRIP * l.a->b), sizeof *l.strip, err);
    if (status == TIC_OK)
        status = tic_alloc(&l.row, (size_t)l.a->b, sizeof *l.row, err);
    if (status == TIC_OK)
        status = tic_alloc(&l.column, (size_t)l.a->b, sizeof *l.column, err);
    if (status == TIC_OK)
        status = tic_alloc(&l.factor, (size_t)l.a->b, sizeof *l.factor, err);
    if (status == TIC_OK)
        status = sample(&l, ctx, err);
    tic_free(l.strip);
    tic_free(l.row);
    tic_free(l.column);
    tic_free(l.factor);
    return status;
}
