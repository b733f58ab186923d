/* EWC's penalty against central differences of its own formula. */
#include "continual/room.h"
#include <criterion/criterion.h>
#include <math.h>

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
