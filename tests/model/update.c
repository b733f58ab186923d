/* The optimizer's step against AdamW in double, and what it refuses. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const tic_adamw_options recipe = {
    .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .weight_decay = 0.2f};

typedef struct setup {
    tic_ctx *ctx;
    tic_model *model;
    int64_t size;
} setup;

static setup new_setup(void) {
    const tic_config config = test_config(false);
    const tic_model_options options = {.batch = 1, .train = true};
    setup s = {.ctx = test_ctx(2)};
    s.model = test_model(s.ctx, &config, &options);
    s.size = tic_model_size(s.model);
    return s;
}

static void free_setup(setup *s) {
    tic_model_free(s->model);
    tic_ctx_free(s->ctx);
}

/* A gradient for one step, zero in the padding; its 2-norm is returned. */
static double draw_gradient(const setup *s, uint32_t step) {
    const tic_random key = {.seed = 1, .purpose = TIC_RNG_BENCH, .lane = step};
    double squares = 0;
    for (int i = 0; i < tic_model_tensor_count(s->model); i++) {
        const tic_tensor *tensor = tic_model_tensor(s->model, i);
        for (int64_t j = tensor->offset; j < tensor->offset + tensor->count; j++) {
            const float g = 0.1f * (float)tic_random_normal(key, (uint64_t)j);
            tic_model_gradient(s->model)[j] = g;
            squares += (double)g * g;
        }
    }
    return sqrt(squares);
}

/* The textbook, in double, element by element. */
typedef struct adam {
    double w, m, v;
} adam;
static void adam_step(adam *a, double g, const tic_adamw_options *o, bool decay, int t) {
    a->w *= 1 - (decay ? (double)o->lr * o->weight_decay : 0);
    a->m = o->beta1 * a->m + (1 - (double)o->beta1) * g;
    a->v = o->beta2 * a->v + (1 - (double)o->beta2) * g * g;
    const double m = a->m / (1 - pow(o->beta1, t)), v = a->v / (1 - pow(o->beta2, t));
    a->w -= o->lr * m / (sqrt(v) + o->eps);
}

/* Three steps of f32 arithmetic, each within a few roundings of w, of size up to 1. */
static void check_weights(const setup *s, const adam *want) {
    for (int64_t i = 0; i < s->size; i++) {
        const double error = fabs(tic_model_weights(s->model)[i] - want[i].w);
        cr_assert(error <= 3 * 4 * 0x1p-24 * (1 + fabs(want[i].w)), "%lld: %g off", (long long)i,
                  error);
    }
}

static void check_three_steps(const tic_adamw_options *options) {
    setup s = new_setup();
    const tic_tensor *scale = tic_model_find(s.model, "logit_scale");
    adam *want = NULL;
    MUST(tic_alloc(&want, (size_t)s.size, sizeof *want, err));
    for (int64_t i = 0; i < s.size; i++)
        want[i].w = tic_model_weights(s.model)[i];
    for (int step = 1; step <= 3; step++) {
        const double norm = draw_gradient(&s, (uint32_t)step);
        const double clip = options->clip_norm > 0 ? fmin(1, options->clip_norm / norm) : 1;
        for (int i = 0; i < tic_model_tensor_count(s.model); i++) {
            const tic_tensor *tensor = tic_model_tensor(s.model, i);
            for (int64_t j = tensor->offset; j < tensor->offset + tensor->count; j++)
                adam_step(&want[j], clip * tic_model_gradient(s.model)[j], options,
                          tensor->rank >= 2, step);
        }
        double reported = 0;
        MUST(tic_model_update(s.model, options, step, &reported, err));
        cr_expect(fabs(reported - norm) <= 1e-9 * norm, "norm %g, not %g", reported, norm);
    }
    cr_expect(want[scale->offset].w > 2 && want[scale->offset].w < 4.6);
    check_weights(&s, want);
    for (int64_t i = 0; i < s.size; i++)
        cr_assert(tic_model_gradient(s.model)[i] == 0);
    tic_free(want);
    free_setup(&s);
}

Test(update, is_adamw) {
    check_three_steps(&recipe);
}

Test(update, clips_by_norm) {
    tic_adamw_options clipped = recipe;
    clipped.clip_norm = 1.5f;
    check_three_steps(&clipped);
    clipped.clip_norm = 1e6f; /* never reached */
    check_three_steps(&clipped);
}

Test(update, clamps_logit_scale) {
    setup s = new_setup();
    float *scale = tic_model_weights(s.model) + tic_model_find(s.model, "logit_scale")->offset;
    *scale = 4.7f;
    MUST(tic_model_update(s.model, &recipe, 1, NULL, err));
    cr_expect(*scale == (float)log(100));
    cr_expect(fabsf(tic_model_scale(s.model) - 100) < 1e-3f);
    *scale = -0.1f;
    MUST(tic_model_update(s.model, &recipe, 2, NULL, err));
    cr_expect(*scale == 0);
    free_setup(&s);
}

/* Work after a call that failed is of no layer. `of`: where the call stopped. */
static void check_site_left(tic_ctx *ctx, int of) {
    tic_counters before, after;
    const float x[4] = {0.6f, 0.8f, 0.8f, 0.6f};
    float d_image[4], d_text[4];
    tic_contrastive_args args = {
        .b = 2, .d = 2, .image = x, .text = x, .scale = 1, .d_image = d_image, .d_text = d_text};
    tic_ctx_counters(ctx, &before);
    MUST(tic_contrastive(ctx, &args, err));
    tic_ctx_counters(ctx, &after);
    cr_expect(tic_counters_site(&after, of).logical == tic_counters_site(&before, of).logical);
    cr_expect(tic_counters_site(&after, TIC_AT_OTHER).logical >
              tic_counters_site(&before, TIC_AT_OTHER).logical);
}

/* What clips knows before it changes anything; what does not, when all is changed. */
static void check_refused(float poison, float clip_norm) {
    setup s = new_setup();
    draw_gradient(&s, 1);
    MUST(tic_model_update(s.model, &recipe, 1, NULL, err));
    draw_gradient(&s, 2);
    tic_model_gradient(s.model)[tic_model_find(s.model, "visual.proj")->offset + 3] = poison;
    float *const flat[] = {tic_model_weights(s.model), tic_model_moment1(s.model),
                           tic_model_moment2(s.model), tic_model_gradient(s.model)};
    const size_t bytes = (size_t)s.size * sizeof(float);
    float *before[4];
    for (int i = 0; i < 4; i++) {
        MUST(tic_alloc(&before[i], (size_t)s.size, sizeof(float), err));
        memcpy(before[i], flat[i], bytes);
    }
    tic_adamw_options options = recipe;
    options.clip_norm = clip_norm;
    tic_error err = {0};
    cr_expect(tic_model_update(s.model, &options, 2, NULL, &err) == TIC_EVERIFY);
    cr_expect(strstr(err.text, "step 2") != NULL, "%s", err.text);
    for (int i = 0; i < 4; i++) {
        const bool same = memcmp(before[i], flat[i], bytes) == 0;
        cr_expect(same == (clip_norm > 0), "array %d: %s", i, same ? "unchanged" : "changed");
        tic_free(before[i]);
    }
    /* Spoilt: AdamW of a weight whose gradient is not finite is not either. */
    const bool spoilt = !isfinite(flat[0][tic_model_find(s.model, "visual.proj")->offset + 3]);
    cr_expect(spoilt == (clip_norm == 0));
    check_site_left(s.ctx, TIC_AT_OPTIMIZER);
    free_setup(&s);
}

Test(update, refuses_nan_and_inf) {
    check_refused(NAN, 0);
    check_refused(-INFINITY, 0);
    check_refused(NAN, 1);
    check_refused(-INFINITY, 1);
}

Test(update, loss_that_is_not_finite) {
    const tic_config config = test_config(false);
    const tic_model_options options = {.batch = 4, .train = true};
    tic_ctx *ctx = test_ctx(1);
    tic_model *model = test_model(ctx, &config, &options);
    tic_batch *batch = test_batch(&config, 4, 1);
    tic_model_weights(model)[tic_model_find(model, "ln_final.weight")->offset] = NAN;
    tic_error err = {0};
    tic_step_loss loss;
    cr_expect(tic_model_gradients(model, batch, NULL, &loss, &err) == TIC_EVERIFY);
    check_site_left(ctx, TIC_AT_LOSS);
    test_batch_free(batch);
    tic_model_free(model);
    tic_ctx_free(ctx);
}

Test(update, needs_a_model_for_training) {
    const tic_config config = test_config(false);
    const tic_model_options options = {.batch = 4};
    tic_ctx *ctx = test_ctx(1);
    tic_model *model = test_model(ctx, &config, &options);
    tic_batch *batch = test_batch(&config, 4, 1);
    tic_error err = {0};
    tic_step_loss loss;
    cr_expect(tic_model_gradient(model) == NULL);
    cr_expect(tic_model_gradients(model, batch, NULL, &loss, &err) == TIC_EUSAGE);
    cr_expect(tic_model_update(model, &recipe, 1, NULL, &err) == TIC_EUSAGE);
    test_batch_free(batch);
    tic_model_free(model);
    tic_ctx_free(ctx);
}
