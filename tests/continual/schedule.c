/* Learning rates at every iteration against the formulas written out. */
#include "continual/continual.h"
#include <criterion/criterion.h>
#include <math.h>

static const double PI = 3.14159265358979323846;

/* Both sides are a handful of double operations on values up to lr. */
static void near(double got, double want, double lr, int64_t s) {
    cr_assert(fabs(got - want) <= 1e-14 * lr, "iteration %lld: %.17g, not %.17g", (long long)s, got,
              want);
}

Test(schedule, cosine_with_warmup) {
    const double lr = 5e-4;
    const int64_t warmup = 37, total = 500;
    for (int64_t s = 0; s < total; s++) {
        double want = s < warmup ? lr * (double)(s + 1) / 37
                                 : lr * 0.5 * (1 + cos(PI * (double)(s - 37) / 463));
        near(tic_lr_at(TIC_COSINE, lr, warmup, total, s), want, lr, s);
    }
}

Test(schedule, cosine_starts_at_the_peak_without_warmup_and_never_ends_above_it) {
    cr_assert(tic_lr_at(TIC_COSINE, 1, 0, 100, 0) == 1);
    double last = 2;
    for (int64_t s = 0; s < 100; s++) {
        double lr = tic_lr_at(TIC_COSINE, 1, 0, 100, s);
        cr_assert(lr < last && lr > 0);
        last = lr;
    }
    cr_assert(last < 0.001);
}

Test(schedule, warmup_of_all_iterations_or_more) {
    cr_assert(tic_lr_at(TIC_COSINE, 1, 100, 100, 99) == 1);
    cr_assert(tic_lr_at(TIC_COSINE, 1, 200, 100, 99) == 0.5);
    cr_assert(tic_lr_at(TIC_COSINE, 1, 1, 1, 0) == 1);
    cr_assert(tic_lr_at(TIC_COSINE, 1, 0, 1, 0) == 1);
}

Test(schedule, const_cosine) {
    const int64_t warmup = 10, total = 103, branch = 103 - 20;
    cr_assert_eq(tic_branch_at(TIC_CONST_COSINE, total), branch);
    cr_assert_eq(tic_branch_at(TIC_COSINE, total), total);
    for (int64_t s = 0; s < total; s++) {
        double want = s < warmup   ? 2.0 * (double)(s + 1) / 10
                      : s < branch ? 2.0
                                   : 1 + cos(PI * (double)(s - branch) / 20);
        near(tic_lr_at(TIC_CONST_COSINE, 2, warmup, total, s), want, 2, s);
    }
}
