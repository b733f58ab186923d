/* Budgets turned into iterations: no step passes its share, and none leaves a batch of it unused.
 */
#include "continual/continual.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_error err;
static tic_config config;
static tic_experiment x;
static const tic_charges none;

static void setup(void) {
    cr_assert_eq(tic_config_find(&config, "ViT-B-16", &err), TIC_OK, "%s", err.text);
    tic_experiment_defaults(&x);
    x.batch = 7;
}
TestSuite(budget, .init = setup);

static tic_step_budget budget_of(const char *name, int steps, int step) {
    const tic_method *method;
    tic_step_budget b;
    cr_assert_eq(tic_method_find(&method, name, &err), TIC_OK);
    cr_assert_eq(tic_budget_step(&x, &config, method, &none, steps, step, &b, &err), TIC_OK, "%s",
                 err.text);
    return b;
}

static void macs(double value) {
    x.macs = value;
    x.pairs = 0;
}

Test(budget, the_last_iterations_edge) {
    uint64_t batch = 7 * tic_nominal_train(&config); /* about 4.3e11: doubles count exactly */
    for (int64_t off = -1; off <= 1; off++) {
        macs((double)(5 * (3 * batch) + (uint64_t)off * 5)); /* a share is 3 batches + off */
        tic_step_budget b = budget_of("sequential", 5, 2);
        cr_assert_eq(b.macs, 3 * batch + (uint64_t)off);
        cr_assert_eq(b.iterations, off < 0 ? 2 : 3);
        cr_assert_eq(b.spent + b.left, b.macs);
        cr_assert_eq(b.spent, (uint64_t)b.iterations * batch);
        cr_assert(b.left < batch);
    }
}

Test(budget, never_passes_and_never_wastes_a_batch) {
    uint64_t batch = 7 * tic_nominal_train(&config);
    for (int k = 0; k < 200; k++) {
        x.pairs = 7 * 9 + 13 * k;
        x.macs = 0;
        uint64_t total = (uint64_t)x.pairs * tic_nominal_train(&config), sum = 0;
        for (int step = 0; step < 9; step++) {
            tic_step_budget b = budget_of("cumulative-all", 9, step);
            cr_assert(b.spent <= b.macs && b.macs - b.spent < batch);
            sum += b.spent;
        }
        cr_assert(sum <= total);
    }
}

Test(budget, oracle_gets_a_share_more_every_step) {
    macs(1e15);
    uint64_t share = budget_of("sequential", 7, 0).macs;
    cr_assert_eq(share, 1000000000000000 / 7);
    for (int step = 0; step < 7; step++)
        cr_assert_eq(budget_of("oracle", 7, step).macs, share * (uint64_t)(step + 1));
}

Test(budget, pairs_are_the_same_currency) {
    x.pairs = 77000;
    x.macs = 0;
    tic_step_budget a = budget_of("sequential", 7, 3);
    macs(77000.0 * (double)tic_nominal_train(&config));
    tic_step_budget b = budget_of("sequential", 7, 3);
    cr_assert_eq(a.macs, b.macs);
    cr_assert_eq(a.iterations, 11000 / 7);
}

/* With carrying, what was spent up to any step is the most whole batches that its shares pay for.
 */
Test(budget, carried_leftovers_are_never_lost_and_never_too_much) {
    uint64_t batch = 7 * tic_nominal_train(&config);
    for (int k = 0; k < 50; k++) {
        uint64_t left = 0, spent = 0, share = 0;
        x.pairs = 7 * 9 + 13 * k;
        x.macs = 0;
        for (int step = 0; step < 9; step++) {
            tic_step_budget b = budget_of("sequential", 9, step);
            share += b.macs;
            if (step > 0)
                tic_budget_carry(&x, &config, &(tic_charges){0, 0}, left, &b);
            left = b.left;
            spent += b.spent;
            cr_assert_eq(b.spent + b.left, b.macs);
            cr_assert_eq(b.spent, (uint64_t)b.iterations * batch);
            cr_assert_eq(spent, share / batch * batch);
            cr_assert_eq(spent + left, share);
        }
    }
}

Test(budget, refusals) {
    tic_step_budget b;
    const tic_method *method = tic_method_get(0);
    x.pairs = 7 * 5 - 1;
    x.macs = 0;
    cr_assert_eq(tic_budget_step(&x, &config, method, &none, 5, 0, &b, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "one batch") != NULL, "%s", err.text);
    x.pairs = INT64_MAX / 1000;
    cr_assert_eq(tic_budget_step(&x, &config, method, &none, 5, 0, &b, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "2^63") != NULL, "%s", err.text);
}
