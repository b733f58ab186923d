/* The contrastive loss: entry point and driver over blocks of scores (scores.h). */
#include "kernels/drive/scores.h"

#include <stdio.h>

uint64_t tic_contrastive_macs(int64_t b, int64_t d, bool gradients) {
    const uint64_t product = (uint64_t)b * (uint64_t)b * (uint64_t)d;
    return product * (!gradients ? 1 : tic_scores_kept(b) ? 3 : 4);
}

typedef struct run {
    tic_scores scores;
    float *d_image, *d_text;
    double *dots; /* [stripes]: sums of dS S */
} run;

static tic_scores scores_of(const tic_variant *variant, const int *knobs,
                            const tic_contrastive_args *a) {
    return (tic_scores){.micro = variant->micro,
                        .most = knobs[0],
                        .precision = a->precision,
                        .b = a->b,
                        .d = a->d,
                        .image = a->image,
                        .text = a->text,
                        .scale = a->scale,
                        .exact_diagonal = true,
                        .gradients = a->d_image != NULL};
}

/* ---- passes --------------------------------------------------------------------------------- */

static void begin_gather(void *state, int thread, int64_t stripe) {
    run *x = state;
    tic_scores_begin_stripe(&x->scores, thread, stripe, false);
}

static void gather(void *state, int thread, int64_t stripe, int64_t block) {
    run *x = state;
    const tic_scores *s = &x->scores;
    const int64_t left = stripe * s->block;
    tic_scores_begin_block(s, thread, block);
    for (int64_t i = 0; i < tic_scores_strips(s, block); i++) {
        tic_scores_strip strip = tic_scores_strip_of(s, thread, stripe, block, i, false);
        s->micro->vec->gather(&strip, tic_scores_sums_at(s->row, left + strip.diagonal),
                              tic_scores_sums_at(s->column, left));
    }
    tic_scores_end_block(s);
}

static void begin_gradient(void *state, int thread, int64_t stripe) {
    run *x = state;
    tic_scores_begin_stripe(&x->scores, thread, stripe, true);
    x->dots[stripe] = 0;
}

/* dS = (softmax of row + softmax of column - 2 delta) / 2b */
static void gradient(void *state, int thread, int64_t stripe, int64_t block) {
    run *x = state;
    const tic_scores *s = &x->scores;
    const float factor = s->scale / (2.0f * (float)s->b);
    const int64_t left = stripe * s->block;
    tic_scores_begin_block(s, thread, block);
    for (int64_t i = 0; i < tic_scores_strips(s, block); i++) {
        tic_scores_strip strip = tic_scores_strip_of(s, thread, stripe, block, i, true);
        x->dots[stripe] +=
            s->micro->vec->contrastive(&strip, tic_scores_sums_at(s->row, left + strip.diagonal),
                                       tic_scores_sums_at(s->column, left), factor);
    }
    tic_scores_multiply(s, thread, stripe, block, x->d_image, x->d_text);
    tic_scores_end_block(s);
}

static void end_gradient(void *state, int thread, int64_t stripe) {
    run *x = state;
    tic_scores_end_stripe(&x->scores, thread, stripe, x->d_text);
}

/* -log softmax of the pairs: sums over the exponentials that are part of them, so never negative.
 */
static double loss_of(const tic_scores *s) {
    double sum = 0;
    for (int64_t i = 0; i < s->b; i++) {
        float own, exponent;
        s->micro->vec->one(s->diagonal[i], s->scale, &own, &exponent);
        sum +=
            tic_scores_log(s->row, i, own, exponent) + tic_scores_log(s->column, i, own, exponent);
    }
    return sum / (2.0 * (double)s->b);
}

TIC_RUN(tic_contrastive_drive) {
    tic_contrastive_args *a = (tic_contrastive_args *)args;
    run x = {.scores = scores_of(variant, knobs, a), .d_image = a->d_image, .d_text = a->d_text};
    const size_t bytes = tic_scores_plan(ctx, &x.scores);
    const size_t dots = tic_align_up((size_t)x.scores.blocks * sizeof *x.dots);
    TIC_TRY(tic_ctx_scratch(ctx, bytes + dots, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    tic_scores_take(ctx, &x.scores);
    x.dots = tic_arena_take(&ctx->scratch, dots);
    tic_sweep first = tic_scores_sweep(&x.scores, 0), second = tic_scores_sweep(&x.scores, 1);
#pragma omp parallel num_threads(ctx->threads)
    {
        tic_scores_enter(&x.scores);
        tic_sweep_run(&first, begin_gather, gather, NULL, &x);
#pragma omp barrier
#pragma omp single
        {
            a->loss = loss_of(&x.scores);
            tic_scores_invert(&x.scores);
        }
        if (a->d_image)
            tic_sweep_run(&second, begin_gradient, gradient, end_gradient, &x);
        tic_scores_leave(ctx, TIC_OP_CONTRASTIVE, &x.scores);
    }
    tic_count_logical(ctx, TIC_OP_CONTRASTIVE,
                      tic_contrastive_macs(a->b, a->d, a->d_image != NULL));
    double sum = 0;
    for (int64_t g = 0; a->d_image && g < x.scores.blocks; g++)
        sum += x.dots[g];
    a->d_log_scale = sum / a->scale; /* the dots were of dS scale */
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

/* ---- entry point ---------------------------------------------------------------------------- */

static void shape_of(const tic_contrastive_args *a, char shape[64]) {
    snprintf(shape, 64, "b%lld,d%lld%s", (long long)a->b, (long long)a->d,
             a->d_image ? ",backward" : "");
}

size_t tic_contrastive_scratch(const tic_ctx *ctx, tic_dtype precision, int64_t b, int64_t d) {
    float any[1]; /* not read */
    char shape[64];
    tic_choice choice;
    tic_error err;
    tic_contrastive_args a = {.b = b, .d = d, .precision = precision};
    a.image = a.text = a.d_image = a.d_text = any;
    shape_of(&a, shape);
    if (tic_choose(ctx, TIC_OP_CONTRASTIVE, precision, shape, &a, &choice, &err) != TIC_OK ||
        choice.variant->micro == NULL)
        return 0; /* no kernel, or the reference, which books its own */
    tic_scores s = scores_of(choice.variant, choice.knobs, &a);
    return tic_scores_plan(ctx, &s) + tic_align_up((size_t)s.blocks * sizeof(double));
}

tic_status tic_contrastive(tic_ctx *ctx, tic_contrastive_args *a, tic_error *err) {
    if (a->b < 1 || a->d < 1 || !a->image || !a->text || !a->d_image != !a->d_text)
        return tic_fail(err, TIC_EUSAGE, "contrastive: %lld x %lld: an operand is missing",
                        (long long)a->b, (long long)a->d);
    if (!(a->scale > 0))
        return tic_fail(err, TIC_EUSAGE, "contrastive: scale %g is not positive", a->scale);
    char shape[64];
    shape_of(a, shape);
    a->d_log_scale = 0;
    return tic_dispatch(ctx, TIC_OP_CONTRASTIVE, a->precision, shape, a, err);
}
