/* What methods are charged beside training, by hand, and what strict accounting leaves of a budget.
 */
#include "continual/continual.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_error err;
static tic_config config;
static tic_experiment x;
static tic_step step_list[3] = {
    {.trains = 1000, .evals = 100}, {.trains = 300, .evals = 40}, {.trains = 500, .evals = 70}};
static const tic_steps steps = {step_list, 3};
static uint64_t forward, train;

static void setup(void) {
    cr_assert_eq(tic_config_find(&config, "ViT-B-32", &err), TIC_OK, "%s", err.text);
    tic_experiment_defaults(&x);
    x.batch = 64;
    x.fisher_pairs = 700;
    forward = tic_nominal_image(&config) + tic_nominal_text(&config);
    train = tic_nominal_train(&config);
    cr_assert_eq(train, 3 * forward);
}
TestSuite(charges, .init = setup);

static const tic_method *method(const char *name) {
    const tic_method *m;
    cr_assert_eq(tic_method_find(&m, name, &err), TIC_OK);
    return m;
}

static void charged(const char *name, int step, uint64_t per_pair, uint64_t fixed) {
    tic_charges c = tic_method_charges(&x, &config, method(name), &steps, step);
    cr_assert_eq(c.per_pair, per_pair, "%s, step %d", name, step);
    cr_assert_eq(c.fixed, fixed, "%s, step %d", name, step);
}

Test(charges, by_hand) {
    charged("sequential", 2, 0, 0);
    charged("oracle", 2, 0, 0);
    charged("lwf", 0, 0, 0);
    charged("lwf", 1, forward, 0);
    charged("ewc-10", 0, 0, 0);
    charged("ewc-10", 1, 0, 640 * train); /* 10 batches of 64 are the most under 700 */
    charged("ewc-10", 2, 0, 256 * train); /* 4 batches are the most under 300 */
    charged("patching", 2, 0, 11 * 140 * forward);
    charged("cumulative-low", 2, 0, 1300 * forward);
    x.fisher_pairs = 2;
    charged("ewc-10", 1, 0, 64 * train); /* one batch at least */
}

static tic_step_budget budget(const char *name, int step) {
    tic_step_budget b;
    tic_charges c = tic_method_charges(&x, &config, method(name), &steps, step);
    cr_assert_eq(tic_budget_step(&x, &config, method(name), &c, 3, step, &b, &err), TIC_OK, "%s",
                 err.text);
    return b;
}

Test(charges, paper_lets_them_cost_extra) {
    x.pairs = 3 * 64 * 100;
    tic_step_budget b = budget("lwf", 1);
    cr_assert_eq(b.iterations, 100);
    cr_assert_eq(b.extra, 6400 * forward);
    cr_assert_eq(b.spent, 6400 * train);
    cr_assert_eq(budget("ewc-10", 1).iterations, 100);
}

Test(charges, strict_takes_them_from_the_share) {
    x.pairs = 3 * 64 * 100;
    x.accounting = TIC_STRICT;
    tic_step_budget b = budget("lwf", 1);
    cr_assert_eq(b.iterations, 75); /* 3/4: a teacher's forward beside three */
    cr_assert_eq(b.extra, 75 * 64 * forward);
    cr_assert_eq(b.spent, b.macs);
    cr_assert_eq(budget("lwf", 0).iterations, 100);
    b = budget("ewc-10", 1);
    cr_assert_eq(b.iterations, 90); /* 10 batches went into the Fisher pass */
    cr_assert_eq(b.spent, b.macs);
    b = budget("cumulative-low", 2); /* 1300/3 pairs: 6.77 batches */
    cr_assert_eq(b.iterations, 93);
    cr_assert(b.spent <= b.macs && b.left < 64 * train);
    cr_assert_eq(b.spent + b.left, b.macs);
}

Test(charges, strict_that_leaves_no_batch_is_refused) {
    tic_step_budget b;
    x.pairs = 3 * 64 * 10;
    x.accounting = TIC_STRICT;
    tic_charges c = tic_method_charges(&x, &config, method("ewc-10"), &steps, 1);
    cr_assert_eq(tic_budget_step(&x, &config, method("ewc-10"), &c, 3, 1, &b, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "needs first") != NULL, "%s", err.text);
}

Test(charges, shares_of_compute) {
    x.pairs = 3 * 64 * 100;
    cr_assert_eq(budget("cumulative-all-star", 1).iterations, 130);
    cr_assert_eq(budget("sequential-half", 1).iterations, 50);
}
