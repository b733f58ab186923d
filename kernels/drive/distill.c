/* The distillation loss: entry point and driver over strips of two score matrices (scores.h). */
#include "kernels/drive/scores.h"

#include <stdio.h>

size_t tic_distill_scratch(const tic_ctx *ctx, int64_t b, int64_t d, int64_t teacher_d) {
    const size_t student = tic_scores_gemm_bytes(ctx, b, d);
    const size_t teacher = tic_scores_gemm_bytes(ctx, b, teacher_d);
    return 2 * tic_scores_bytes(b) + 2 * tic_align_up((size_t)b * sizeof(double)) +
           (student > teacher ? student : teacher);
}

uint64_t tic_distill_macs(int64_t b, int64_t d, int64_t teacher_d, bool gradients) {
    const uint64_t square = (uint64_t)b * (uint64_t)b;
    const uint64_t scores = square * (uint64_t)(d + teacher_d);
    return scores * (tic_strip_count(b) > 1 ? 2 : 1) + (gradients ? 2 * square * (uint64_t)d : 0);
}

typedef struct pair { /* what the two passes share */
    const tic_scores_micro *micro;
    tic_scores student, teacher;
    double *dots, *crosses; /* [b]: a row's sum of dS S scale, and of (q_row + q_col)(S' - S) */
} pair;

/* Turns the student's strip into dS scale, dS = (p_row + p_col - q_row - q_col) / 2b. */
static void strip_backward(tic_ctx *ctx, const pair *x, int64_t first, int64_t rows) {
    const tic_scores *s = &x->student, *t = &x->teacher;
    const float factor = s->scale / (2.0f * (float)s->b);
#pragma omp parallel for num_threads(ctx->threads) schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        double dot = 0, cross = 0;
        x->micro->distill_row(s->b, s->strip + i * s->ld, t->strip + i * t->ld, s->scale, t->scale,
                              s->row[first + i], t->row[first + i], s->column, t->column, factor,
                              &dot, &cross);
        x->dots[first + i] = dot;
        x->crosses[first + i] = cross;
    }
}

/* sum_j q_ij (log q_ij - log p_ij) = sum_j q_ij (S'_ij - S_ij) - lse'_i + lse_i, for rows and, with
 * the other softmax, for columns. */
static void sum_up(const pair *x, tic_distill_args *a) {
    const tic_scores *s = &x->student, *t = &x->teacher;
    double loss = 0, dot = 0;
    for (int64_t i = 0; i < s->b; i++) {
        loss +=
            x->crosses[i] + ((double)s->row[i] - t->row[i]) + ((double)s->column[i] - t->column[i]);
        dot += x->dots[i];
    }
    a->loss = loss / (2.0 * (double)s->b);
    a->d_log_scale = a->d_image ? dot / s->scale : 0;
}

static tic_status both_passes(tic_ctx *ctx, const pair *x, tic_distill_args *a, tic_error *err) {
    const int64_t step = tic_strip_rows(a->b);
    TIC_TRY(tic_scores_log_sum_exps(ctx, x->micro, &x->student, err));
    TIC_TRY(tic_scores_log_sum_exps(ctx, x->micro, &x->teacher, err));
    for (int64_t first = 0; first < a->b; first += step) {
        const int64_t rows = a->b - first < step ? a->b - first : step;
        if (tic_strip_count(a->b) > 1) {
            TIC_TRY(tic_scores_strip(ctx, &x->student, first, rows, err));
            TIC_TRY(tic_scores_strip(ctx, &x->teacher, first, rows, err));
        }
        strip_backward(ctx, x, first, rows);
        if (a->d_image)
            TIC_TRY(
                tic_scores_gradients(ctx, &x->student, first, rows, a->d_image, a->d_text, err));
    }
    sum_up(x, a);
    return TIC_OK;
}

static tic_scores scores_of(const tic_distill_args *a, int64_t d, const float *image,
                            const float *text, float scale) {
    return (tic_scores){.op = TIC_OP_DISTILL,
                        .precision = a->precision,
                        .b = a->b,
                        .d = d,
                        .image = image,
                        .text = text,
                        .scale = scale};
}

TIC_RUN(tic_distill_drive) {
    tic_distill_args *a = (tic_distill_args *)args;
    (void)knobs;
    TIC_TRY(tic_ctx_scratch(ctx, tic_distill_scratch(ctx, a->b, a->d, a->teacher_d), err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    pair x = {.micro = variant->micro,
              .student = scores_of(a, a->d, a->image, a->text, a->scale),
              .teacher =
                  scores_of(a, a->teacher_d, a->teacher_image, a->teacher_text, a->teacher_scale)};
    tic_scores_take(ctx, &x.student);
    tic_scores_take(ctx, &x.teacher);
    x.dots = tic_arena_take(&ctx->scratch, (size_t)a->b * sizeof(double));
    x.crosses = tic_arena_take(&ctx->scratch, (size_t)a->b * sizeof(double));
    tic_status status = both_passes(ctx, &x, a, err);
    tic_arena_release(&ctx->scratch, mark);
    return status;
}

tic_status tic_distill(tic_ctx *ctx, tic_distill_args *a, tic_error *err) {
    const bool complete = a->image && a->text && a->teacher_image && a->teacher_text;
    if (a->b < 1 || a->d < 1 || a->teacher_d < 1 || !complete || !a->d_image != !a->d_text)
        return tic_fail(err, TIC_EUSAGE,
                        "distill: %lld x %lld, teacher %lld: an operand is missing",
                        (long long)a->b, (long long)a->d, (long long)a->teacher_d);
    if (!(a->scale > 0) || !(a->teacher_scale > 0))
        return tic_fail(err, TIC_EUSAGE, "distill: scales %g and %g are not positive", a->scale,
                        a->teacher_scale);
    char shape[96];
    snprintf(shape, sizeof shape, "b%lld,d%lld,t%lld%s", (long long)a->b, (long long)a->d,
             (long long)a->teacher_d, a->d_image ? ",backward" : "");
    return tic_dispatch(ctx, TIC_OP_DISTILL, a->precision, shape, a, err);
}
