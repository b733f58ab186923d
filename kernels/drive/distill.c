/* The distillation loss: entry point and driver over blocks of two score matrices (scores.h). */
#include "kernels/drive/scores.h"

#include <math.h>
#include <stdio.h>

uint64_t tic_distill_macs(int64_t b, int64_t d, int64_t teacher_d, bool gradients) {
    const uint64_t square = (uint64_t)b * (uint64_t)b;
    const uint64_t scores = square * (uint64_t)(d + teacher_d);
    return scores * (tic_scores_kept(b) ? 1 : 2) + (gradients ? 2 * square * (uint64_t)d : 0);
}

typedef struct run {
    tic_scores student, teacher;
    float *d_image, *d_text; /* NULL: the loss alone */
    double *dots, *crosses;  /* [stripes]: sums of dS S, and of (q_row + q_col)(S' - S) */
} run;

static tic_scores scores_of(const tic_variant *variant, const int *knobs, const tic_distill_args *a,
                            bool of_teacher) {
    return (tic_scores){.micro = variant->micro,
                        .most = knobs[0],
                        .precision = a->precision,
                        .b = a->b,
                        .d = of_teacher ? a->teacher_d : a->d,
                        .image = of_teacher ? a->teacher_image : a->image,
                        .text = of_teacher ? a->teacher_text : a->text,
                        .scale = of_teacher ? a->teacher_scale : a->scale,
                        .gradients = !of_teacher && a->d_image != NULL};
}

/* ---- passes --------------------------------------------------------------------------------- */

static void begin_gather(void *state, int thread, int64_t stripe) {
    run *x = state;
    tic_scores_begin_stripe(&x->student, thread, stripe, false);
    tic_scores_begin_stripe(&x->teacher, thread, stripe, false);
}

static void gather_one(const tic_scores *s, int thread, int64_t stripe, int64_t block) {
    const int64_t left = stripe * s->block;
    tic_scores_begin_block(s, thread, block);
    for (int64_t i = 0; i < tic_scores_strips(s, block); i++) {
        tic_scores_strip strip = tic_scores_strip_of(s, thread, stripe, block, i, false);
        s->micro->vec->gather(&strip, tic_scores_sums_at(s->row, left + strip.diagonal),
                              tic_scores_sums_at(s->column, left));
    }
    tic_scores_end_block(s);
}

static void gather(void *state, int thread, int64_t stripe, int64_t block) {
    run *x = state;
    gather_one(&x->student, thread, stripe, block);
    gather_one(&x->teacher, thread, stripe, block);
}

static void begin_gradient(void *state, int thread, int64_t stripe) {
    run *x = state;
    tic_scores_begin_stripe(&x->student, thread, stripe, x->d_image != NULL);
    tic_scores_begin_stripe(&x->teacher, thread, stripe, false);
    x->dots[stripe] = x->crosses[stripe] = 0;
}

/* dS = (p_row + p_col - q_row - q_col) / 2b */
static void gradient(void *state, int thread, int64_t stripe, int64_t block) {
    run *x = state;
    const tic_scores *s = &x->student, *t = &x->teacher;
    const float factor = s->scale / (2.0f * (float)s->b);
    const int64_t left = stripe * s->block;
    tic_scores_begin_block(s, thread, block);
    tic_scores_begin_block(t, thread, block);
    for (int64_t i = 0; i < tic_scores_strips(s, block); i++) {
        tic_scores_strip mine = tic_scores_strip_of(s, thread, stripe, block, i, true);
        tic_scores_strip theirs = tic_scores_strip_of(t, thread, stripe, block, i, true);
        const int64_t top = left + mine.diagonal;
        s->micro->vec->distill(&mine, &theirs, tic_scores_sums_at(s->row, top),
                               tic_scores_sums_at(s->column, left), tic_scores_sums_at(t->row, top),
                               tic_scores_sums_at(t->column, left), factor, &x->dots[stripe],
                               &x->crosses[stripe]);
    }
    if (x->d_image)
        tic_scores_multiply(s, thread, stripe, block, x->d_image, x->d_text);
    tic_scores_end_block(t);
    tic_scores_end_block(s);
}

static void end_gradient(void *state, int thread, int64_t stripe) {
    run *x = state;
    if (x->d_image)
        tic_scores_end_stripe(&x->student, thread, stripe, x->d_text);
}

/* log-sum-exp of the student less that of the teacher, rows and columns, over all pairs */
static double differences(const run *x) {
    const tic_scores *s = &x->student, *t = &x->teacher;
    double sum = 0;
    for (int64_t i = 0; i < s->b; i++)
        sum += tic_scores_log(s->row, i, t->row.sum[i], t->row.exponent[i]) +
               tic_scores_log(s->column, i, t->column.sum[i], t->column.exponent[i]);
    return sum;
}

/* Both passes; writes the loss. sum_j q_ij (log q_ij - log p_ij) = sum_j q_ij (S'_ij - S_ij) -
 * lse'_i + lse_i, for rows and, with the other softmax, for columns. */
static void both_passes(tic_ctx *ctx, run *x, tic_distill_args *a) {
    tic_sweep first = tic_scores_sweep(&x->student, 0), second = tic_scores_sweep(&x->student, 1);
    double loss = 0, dot = 0;
#pragma omp parallel num_threads(ctx->threads)
    {
        tic_scores_enter(&x->student);
        tic_scores_enter(&x->teacher);
        tic_sweep_run(&first, begin_gather, gather, NULL, x);
#pragma omp barrier
#pragma omp single
        {
            loss = differences(x);
            tic_scores_invert(&x->student);
            tic_scores_invert(&x->teacher);
        }
        tic_sweep_run(&second, begin_gradient, gradient, end_gradient, x);
        tic_scores_leave(ctx, TIC_OP_DISTILL, &x->student);
        tic_scores_leave(ctx, TIC_OP_DISTILL, &x->teacher);
    }
    for (int64_t g = 0; g < x->student.blocks; g++) {
        loss += x->crosses[g];
        dot += x->dots[g];
    }
    a->loss = loss / (2.0 * (double)a->b);
    a->d_log_scale = a->d_image ? dot / a->scale : 0; /* the dots were of dS scale */
}

static size_t plan(const tic_ctx *ctx, run *x, const tic_variant *variant, const int *knobs,
                   const tic_distill_args *a) {
    *x = (run){.student = scores_of(variant, knobs, a, false),
               .teacher = scores_of(variant, knobs, a, true),
               .d_image = a->d_image,
               .d_text = a->d_text};
    const size_t bytes = tic_scores_plan(ctx, &x->student) + tic_scores_plan(ctx, &x->teacher);
    return bytes + 2 * tic_align_up((size_t)x->student.blocks * sizeof(double));
}

TIC_RUN(tic_distill_drive) {
    tic_distill_args *a = (tic_distill_args *)args;
    run x;
    TIC_TRY(tic_ctx_scratch(ctx, plan(ctx, &x, variant, knobs, a), err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    tic_scores_take(ctx, &x.student);
    tic_scores_take(ctx, &x.teacher);
    x.dots = tic_arena_take(&ctx->scratch, (size_t)x.student.blocks * sizeof(double));
    x.crosses = tic_arena_take(&ctx->scratch, (size_t)x.student.blocks * sizeof(double));
    both_passes(ctx, &x, a);
    tic_count_logical(ctx, TIC_OP_DISTILL,
                      tic_distill_macs(a->b, a->d, a->teacher_d, a->d_image != NULL));
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

/* ---- entry point ---------------------------------------------------------------------------- */

static void shape_of(const tic_distill_args *a, char shape[96]) {
    snprintf(shape, 96, "b%lld,d%lld,t%lld%s", (long long)a->b, (long long)a->d,
             (long long)a->teacher_d, a->d_image ? ",backward" : "");
}

size_t tic_distill_scratch(const tic_ctx *ctx, tic_dtype precision, int64_t b, int64_t d,
                           int64_t teacher_d) {
    float any[1]; /* not read */
    char shape[96];
    tic_choice choice;
    tic_error err;
    run x;
    tic_distill_args a = {.b = b, .d = d, .teacher_d = teacher_d, .precision = precision};
    a.image = a.text = a.teacher_image = a.teacher_text = a.d_image = a.d_text = any;
    shape_of(&a, shape);
    if (tic_choose(ctx, TIC_OP_DISTILL, precision, shape, &a, &choice, &err) != TIC_OK ||
        choice.variant->micro == NULL)
        return 0; /* no kernel, or the reference, which books its own */
    return plan(ctx, &x, choice.variant, choice.knobs, &a);
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
    shape_of(a, shape);
    return tic_dispatch(ctx, TIC_OP_DISTILL, a->precision, shape, a, err);
}
