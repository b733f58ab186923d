/* The contrastive loss: entry point and driver over strips of scores (scores.h). */
#include "kernels/drive/scores.h"

#include <stdio.h>

size_t tic_contrastive_scratch(const tic_ctx *ctx, int64_t b, int64_t d) {
    return tic_scores_bytes(b) + tic_align_up((size_t)b * sizeof(double)) +
           tic_scores_gemm_bytes(ctx, b, d);
}

uint64_t tic_contrastive_macs(int64_t b, int64_t d, bool gradients) {
    const uint64_t product = (uint64_t)b * (uint64_t)b * (uint64_t)d;
    return product * (!gradients ? 1 : tic_strip_count(b) > 1 ? 4 : 3);
}

static double loss_of(const tic_scores *s) {
    double sum = 0;
    for (int64_t i = 0; i < s->b; i++)
        sum += ((double)s->row[i] - s->diagonal[i]) + ((double)s->column[i] - s->diagonal[i]);
    return sum / (2.0 * (double)s->b);
}

/* Turns the strip into dS scale, dS = (softmax of row + softmax of column - 2 delta) / 2b, and
 * writes dots[i] = sum_j dS_ij S_ij of its rows. */
static void strip_backward(tic_ctx *ctx, const tic_scores_micro *micro, const tic_scores *s,
                           int64_t first, int64_t rows, double *dots) {
    const float factor = s->scale / (2.0f * (float)s->b);
#pragma omp parallel for num_threads(ctx->threads) schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        float *row = s->strip + i * s->ld;
        double dot =
            micro->contrastive_row(s->b, row, s->scale, s->row[first + i], s->column, factor);
        row[first + i] -= 2 * factor;
        dots[first + i] = dot - 2 * (double)factor * s->diagonal[first + i];
    }
}

static tic_status backward(tic_ctx *ctx, const tic_scores_micro *micro, const tic_scores *s,
                           tic_contrastive_args *a, double *dots, tic_error *err) {
    const int64_t step = tic_strip_rows(s->b);
    double sum = 0;
    for (int64_t first = 0; first < s->b; first += step) {
        const int64_t rows = s->b - first < step ? s->b - first : step;
        if (tic_strip_count(s->b) > 1)
            TIC_TRY(tic_scores_strip(ctx, s, first, rows, err));
        strip_backward(ctx, micro, s, first, rows, dots);
        TIC_TRY(tic_scores_gradients(ctx, s, first, rows, a->d_image, a->d_text, err));
    }
    for (int64_t i = 0; i < s->b; i++)
        sum += dots[i];
    a->d_log_scale = sum / s->scale; /* the rows' dots were of dS scale */
    return TIC_OK;
}

TIC_RUN(tic_contrastive_drive) {
    tic_contrastive_args *a = (tic_contrastive_args *)args;
    (void)knobs;
    TIC_TRY(tic_ctx_scratch(ctx, tic_contrastive_scratch(ctx, a->b, a->d), err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    tic_scores s = {.op = TIC_OP_CONTRASTIVE,
                    .precision = a->precision,
                    .b = a->b,
                    .d = a->d,
                    .image = a->image,
                    .text = a->text,
                    .scale = a->scale,
                    .exact_diagonal = true};
    tic_scores_take(ctx, &s);
    double *dots = tic_arena_take(&ctx->scratch, (size_t)a->b * sizeof *dots);
    tic_status status = tic_scores_log_sum_exps(ctx, variant->micro, &s, err);
    if (status == TIC_OK && a->d_image)
        status = backward(ctx, variant->micro, &s, a, dots, err);
    if (status == TIC_OK)
        a->loss = loss_of(&s);
    tic_arena_release(&ctx->scratch, mark);
    return status;
}

tic_status tic_contrastive(tic_ctx *ctx, tic_contrastive_args *a, tic_error *err) {
    if (a->b < 1 || a->d < 1 || !a->image || !a->text || !a->d_image != !a->d_text)
        return tic_fail(err, TIC_EUSAGE, "contrastive: %lld x %lld: an operand is missing",
                        (long long)a->b, (long long)a->d);
    if (!(a->scale > 0))
        return tic_fail(err, TIC_EUSAGE, "contrastive: scale %g is not positive", a->scale);
    char shape[64];
    snprintf(shape, sizeof shape, "b%lld,d%lld%s", (long long)a->b, (long long)a->d,
             a->d_image ? ",backward" : "");
    a->d_log_scale = 0;
    return tic_dispatch(ctx, TIC_OP_CONTRASTIVE, a->precision, shape, a, err);
}
