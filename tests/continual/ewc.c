/* EWC's penalty against central differences of its own formula, and with the contrastive loss of a
 * whole small model. */
#include "continual/room.h"
#include "tests/model/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { N = 200 };
static float fisher[N], anchor[N], weights[N], gradient[N];

static double penalty_at(double lambda, int i, double step) {
    double sum = 0;
    for (int k = 0; k < N; k++) {
        double off = (double)weights[k] + (k == i ? step : 0) - anchor[k];
        sum += 0.5 * lambda * fisher[k] * off * off;
    }
    return sum;
}

Test(ewc, penalty_and_gradient) {
    tic_random key = {.seed = 9, .purpose = TIC_RNG_BENCH};
    tic_ewc ewc = {.fisher = fisher, .anchor = anchor, .size = N, .lambda = 400};
    for (int i = 0; i < N; i++) {
        fisher[i] = (float)tic_random_uniform(key, (uint64_t)i);
        anchor[i] = (float)tic_random_normal(key, (uint64_t)(N + i));
        weights[i] = anchor[i] + 0.1f * (float)tic_random_normal(key, (uint64_t)(2 * N + i));
        gradient[i] = (float)i; /* it is added */
    }
    double want = penalty_at(400, -1, 0), got = tic_ewc_add(&ewc, weights, gradient);
    cr_assert(fabs(got - want) <= 1e-6 * want, "%g, not %g", got, want);
    for (int i = 0; i < N; i++) {
        /* Quadratic: central differences are exact but for rounding, 1e-16 * want / h. */
        double slope = (penalty_at(400, i, 1e-3) - penalty_at(400, i, -1e-3)) / 2e-3;
        double error = fabs((double)gradient[i] - i - slope);
        cr_assert(error <= 1e-5 + 1e-6 * (fabs(slope) + i), "%d: %g", i, error);
    }
}

Test(ewc, nothing_pulls_at_the_anchor) {
    tic_ewc ewc = {.fisher = fisher, .anchor = anchor, .size = N, .lambda = 100};
    float none[N] = {0};
    for (int i = 0; i < N; i++)
        fisher[i] = 1;
    cr_assert(tic_ewc_add(&ewc, anchor, none) == 0);
    for (int i = 0; i < N; i++)
        cr_assert(none[i] == 0);
}

/* ---- with a model's loss --------------------------------------------------------------------- */

typedef struct whole {
    tic_model *model;
    const tic_batch *batch;
    tic_ewc ewc;
    float *weights, *direction, *gradient; /* [ewc.size] */
} whole;

/* Loss and penalty at weights + step * direction; the gradient is left in the model. */
static double objective(whole *w, double step) {
    float *at = tic_model_weights(w->model);
    tic_step_loss loss;
    for (int64_t i = 0; i < w->ewc.size; i++)
        at[i] = (float)((double)w->weights[i] + step * w->direction[i]);
    memset(tic_model_gradient(w->model), 0, (size_t)w->ewc.size * sizeof(float));
    MUST(tic_model_gradients(w->model, w->batch, NULL, &loss, err));
    return loss.total + tic_ewc_add(&w->ewc, at, tic_model_gradient(w->model));
}

/* As tests/model/gradient.c, over all tensors at once: a unit direction, steps h that change the
 * objective by 0.01 at most, (4 D(h) - D(2h)) / 3 with an error of O(h^4) and 2e-6 / h of rounding,
 * and as much again for the penalty's f32 products. */
static void check_direction(whole *w, const char *which) {
    double length = 0, want = 0, squares = 0;
    for (int64_t i = 0; i < w->ewc.size; i++)
        length += (double)w->direction[i] * w->direction[i];
    for (int64_t i = 0; i < w->ewc.size; i++) {
        w->direction[i] = (float)(w->direction[i] / sqrt(length));
        want += (double)w->gradient[i] * w->direction[i];
        squares += (double)w->gradient[i] * w->gradient[i];
    }
    const double h = fmin(0.02, 0.01 / sqrt(squares));
    const double d1 = (objective(w, h) - objective(w, -h)) / (2 * h);
    const double d2 = (objective(w, 2 * h) - objective(w, -2 * h)) / (4 * h);
    const double got = (4 * d1 - d2) / 3;
    cr_expect(fabs(got - want) <= 4e-6 / h + 1e-3 * fabs(want),
              "along the %s: %.6f, differences %.6f", which, want, got);
}

/* The Fisher information is another batch's squared gradient; the weights have left the anchor. */
static void hold(whole *w, const tic_config *config) {
    const tic_random key = {.seed = 11, .purpose = TIC_RNG_BENCH};
    tic_batch *other = test_batch(config, 5, 2);
    tic_step_loss loss;
    MUST(tic_model_gradients(w->model, other, NULL, &loss, err));
    for (int64_t i = 0; i < w->ewc.size; i++) {
        const float g = tic_model_gradient(w->model)[i];
        w->ewc.fisher[i] = g * g;
        w->ewc.anchor[i] = tic_model_look(w->model)[i];
        w->weights[i] = w->ewc.anchor[i] + 0.003f * (float)tic_random_normal(key, (uint64_t)i);
        w->direction[i] = (float)tic_random_normal(key, (uint64_t)(w->ewc.size + i));
    }
    test_batch_free(other);
}

Test(ewc, gradient_with_a_models_loss) {
    const tic_config config = test_config(false);
    const tic_model_options options = {.batch = 5, .train = true};
    tic_ctx *ctx = test_ctx(1);
    tic_batch *batch = test_batch(&config, 5, 1);
    whole w = {.model = test_model(ctx, &config, &options), .batch = batch, .ewc.lambda = 10};
    const size_t size = (size_t)tic_model_size(w.model);
    float **const arrays[] = {&w.ewc.fisher, &w.ewc.anchor, &w.weights, &w.direction, &w.gradient};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        MUST(tic_alloc(arrays[i], size, sizeof(float), err));
    w.ewc.size = (int64_t)size;
    hold(&w, &config);
    const double total = objective(&w, 0);
    tic_step_loss alone;
    memcpy(w.gradient, tic_model_gradient(w.model), size * sizeof(float));
    MUST(tic_model_gradients(w.model, batch, NULL, &alone, err));
    cr_assert(total - alone.total > 0.1 * alone.total, "a penalty that counts: %g of %g",
              total - alone.total, total);
    check_direction(&w, "random direction");
    memcpy(w.direction, w.gradient, size * sizeof(float));
    check_direction(&w, "gradient");
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        tic_free(*arrays[i]);
    test_batch_free(batch);
    tic_model_free(w.model);
    tic_ctx_free(ctx);
}
