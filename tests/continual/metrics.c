/* In-domain, backward and forward of matrices summed by hand, and their standard errors. */
#include "continual/room.h"
#include <criterion/criterion.h>
#include <math.h>

/* Sums of fewer than ten doubles below 1. */
static void near(double got, double want) {
    cr_assert(fabs(got - want) <= 1e-14, "%.17g, not %.17g", got, want);
}

/* Of one cell: a hit and a miss more. */
static double error_of(double hits, double n) {
    return sqrt((hits + 1) / (n + 2) * (n - hits + 1) / (n + 2) / n);
}

Test(metrics, three_steps_by_hand) {
    const double e[9] = {0.5, 0.2, 0.1, /**/ 0.4, 0.6, 0.3, /**/ 0.3, 0.5, 0.7};
    const int64_t pairs[3] = {100, 400, 100};
    tic_summary s = tic_summarise(e, 3, pairs);
    near(s.in_domain, (0.5 + 0.6 + 0.7) / 3);
    near(s.backward, (0.4 + 0.3 + 0.5) / 3);
    near(s.forward, (0.2 + 0.1 + 0.3) / 3);
    double diagonal[3] = {error_of(50, 100), error_of(240, 400), error_of(70, 100)};
    near(s.in_domain_stderr,
         sqrt(diagonal[0] * diagonal[0] + diagonal[1] * diagonal[1] + diagonal[2] * diagonal[2]) /
             3);
    /* Column 0 has two cells below the diagonal, whose errors add up; column 1 one. */
    double first = error_of(40, 100) + error_of(30, 100), second = error_of(200, 400);
    near(s.backward_stderr, sqrt(first * first + second * second) / 3);
    /* Above: column 1 one cell, column 2 two. */
    double last = error_of(10, 100) + error_of(30, 100), middle = error_of(80, 400);
    near(s.forward_stderr, sqrt(last * last + middle * middle) / 3);
}

Test(metrics, relative_to_the_own_step) {
    const double e[9] = {0.5, 0.2, 0.1, /**/ 0.4, 0.6, 0.3, /**/ 0.3, 0.5, 0.7};
    const int64_t pairs[3] = {100, 400, 100};
    tic_summary s = tic_summarise(e, 3, pairs);
    near(s.backward_relative, ((0.4 - 0.6) + (0.3 - 0.7) + (0.5 - 0.7)) / 3);
    near(s.forward_relative, ((0.2 - 0.5) + (0.1 - 0.5) + (0.3 - 0.6)) / 3);
    cr_assert(isnan(tic_summarise(e, 1, pairs).backward_relative));
}

/* The paper's Oracle on TiC-DataComp L: Table 2 says 58.6, 64.3 and 41.8 (reference/tic-clip.md).
 */
Test(metrics, the_papers_matrix) {
    const double percent[49] = {
        47.09, 32.46, 28.98, 25.04, 23.10, 22.67, 22.82, 59.39, 54.99, 47.50, 41.57, 38.93, 38.19,
        36.98, 63.07, 60.23, 60.11, 53.13, 47.08, 45.79, 45.29, 64.23, 62.00, 59.78, 57.68, 51.65,
        50.27, 50.01, 65.38, 63.92, 64.72, 64.89, 61.35, 58.67, 56.61, 66.90, 64.57, 65.11, 66.38,
        64.00, 63.73, 61.12, 66.92, 65.38, 65.91, 67.23, 64.33, 65.42, 65.36};
    double e[49];
    int64_t pairs[7];
    for (int i = 0; i < 49; i++)
        e[i] = percent[i] / 100;
    for (int i = 0; i < 7; i++)
        pairs[i] = 4000;
    tic_summary s = tic_summarise(e, 7, pairs);
    cr_assert(fabs(100 * s.in_domain - 58.6) <= 0.05, "%g", s.in_domain);
    cr_assert(fabs(100 * s.backward - 64.3) <= 0.5, "%g", s.backward);
    cr_assert(fabs(100 * s.forward - 41.8) <= 0.5, "%g", s.forward);
}

Test(metrics, rows_that_are_not_there_yet_are_left_out) {
    const double e[9] = {0.5, 0.2, 0.1, 0.4, 0.6, 0.3, NAN, NAN, NAN};
    const int64_t pairs[3] = {100, 100, 100};
    tic_summary s = tic_summarise(e, 3, pairs);
    near(s.in_domain, 0.55);
    near(s.backward, 0.4);
    near(s.forward, 0.2);
    const double one[1] = {0.5};
    s = tic_summarise(one, 1, pairs);
    near(s.in_domain, 0.5);
    cr_assert(isnan(s.backward) && isnan(s.forward) && isnan(s.backward_stderr));
}

/* ---- several seeds --------------------------------------------------------------------------- */

Test(metrics, spread_by_hand) {
    /* 1, 2, 6: mean 3, squares 4 + 1 + 9, variance 7, error sqrt(7 / 3). */
    const double three[] = {1, 2, 6}, one[] = {0.25}, hole[] = {1, NAN};
    near(tic_spread_of(three, 3).mean, 3);
    near(tic_spread_of(three, 3).error, sqrt(7.0 / 3));
    near(tic_spread_of(one, 1).mean, 0.25);
    cr_assert(isnan(tic_spread_of(one, 1).error));
    cr_assert(isnan(tic_spread_of(hole, 2).mean));
    cr_assert(isnan(tic_spread_of(one, 0).mean));
}
