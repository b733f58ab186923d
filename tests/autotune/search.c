/* The search against made-up costs: halving, the 2% rule, never a slower winner. */
#include "autotune/room.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 50 };
typedef struct fake {
    double cost[MOST]; /* true seconds; INFINITY: it is out */
    double noise;      /* a run takes up to so much longer, one in eight runs four times as much */
    uint64_t seed, runs;
    int rounds, left[32];
} fake;

static tic_status sample(void *user, int candidate, double *seconds, tic_error *err) {
    fake *f = user;
    (void)err;
    tic_random key = {.seed = f->seed, .purpose = TIC_RNG_BENCH};
    double u = tic_random_uniform(key, f->runs), burst = tic_random_u32(key, f->runs + (1u << 30));
    f->runs++;
    *seconds = f->cost[candidate] * (1 + f->noise * u * ((uint32_t)burst % 8 == 0 ? 4 : 1));
    return TIC_OK;
}

static void on_round(void *user, int left) {
    fake *f = user;
    cr_assert(f->rounds < 32);
    f->left[f->rounds++] = left;
}

static const tic_effort whole = {3, 8, TIC_MOST_TURNS};

static tic_search_result search_with(tic_effort effort, fake *f, tic_candidate *list, int count) {
    tic_error err;
    tic_search_result result;
    const tic_measurer measurer = {sample, on_round, f};
    memset(list, 0, sizeof *list * (size_t)count);
    for (int i = 0; i < count; i++) {
        list[i].best = INFINITY;
        snprintf(list[i].line, sizeof list[i].line, "candidate-%d", i);
    }
    cr_assert_eq(tic_search(&measurer, effort, list, count, &result, &err), TIC_OK, "%s", err.text);
    return result;
}

static tic_search_result search(fake *f, tic_candidate *list, int count) {
    return search_with(whole, f, list, count);
}

/* Costs in [1, 2), the same for the same seed; candidate 0 costs `standing`. */
static void draw(fake *f, uint64_t seed, int count, double standing) {
    for (int i = 0; i < count; i++)
        f->cost[i] = 1 + tic_random_uniform((tic_random){seed, TIC_RNG_BENCH, 9}, (uint64_t)i);
    f->cost[0] = standing;
    f->seed = seed;
}

static double least_of(const fake *f, int count) {
    double least = INFINITY;
    for (int i = 0; i < count; i++)
        least = fmin(least, f->cost[i]);
    return least;
}

Test(search, finds_the_fastest_without_noise) {
    tic_candidate list[MOST];
    fake f = {.noise = 0};
    draw(&f, 1, MOST, 1.9);
    f.cost[37] = 0.9;
    tic_search_result r = search(&f, list, MOST);
    cr_expect_eq(r.winner, 37);
    cr_expect_float_eq(r.gain, 1.9 / 0.9 - 1, 1e-12);
    cr_expect_eq(r.ahead, r.turns);
    cr_expect_str_eq(list[37].why, "");
    for (int i = 1; i < MOST; i++)
        if (i != 37)
            cr_expect_neq(list[i].why[0], '\0', "%d was beaten nowhere", i);
}

/* All challengers in the first round, at most half in each after it, and the samples of those that
 * stay grow: the work of a round does not. */
Test(search, halves) {
    tic_candidate list[MOST];
    fake f = {.noise = 0.01};
    draw(&f, 2, MOST, 1.5);
    search(&f, list, MOST);
    cr_expect_eq(f.left[0], MOST - 1);
    for (int i = 1; i < f.rounds; i++)
        cr_expect(f.left[i] <= (f.left[i - 1] + 1) / 2 || f.left[i] <= 3, "round %d: %d after %d",
                  i, f.left[i], f.left[i - 1]);
    cr_expect(f.rounds >= 4);
    cr_expect(f.runs < 14 * MOST, "%llu runs", (unsigned long long)f.runs);
    int first = 0;
    for (int i = 1; i < MOST; i++)
        first += list[i].samples == 3;
    cr_expect(first >= (MOST - 1) / 2, "%d were measured in the first round only", first);
}

Test(search, two_percent_are_needed) {
    tic_candidate list[3];
    fake f = {.cost = {1.0, 0.99, 0.985}};
    tic_search_result r = search(&f, list, 3);
    cr_expect_eq(r.winner, 0);
    cr_expect_eq(r.gain, 0);
    cr_expect_not_null(strstr(list[2].why, "2 %"), "%s", list[2].why);
    fake better = {.cost = {1.0, 0.99, 0.975}};
    cr_expect_eq(search(&better, list, 3).winner, 2);
    fake near = {.cost = {1.0, 0.995, 0.991}}; /* not even half of it: no finals */
    r = search(&near, list, 3);
    cr_expect_eq(r.winner, 0);
    cr_expect_eq(r.turns, 0);
    cr_expect_not_null(strstr(list[2].why, "no finals"), "%s", list[2].why);
}

/* With noise a winner must still be truly faster than the default, and near the fastest there is:
 * 500 searches, runs up to 10% (one in eight 40%) too long. */
Test(search, never_slower_than_the_default) {
    double worst = 0, mean = 0;
    int left = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        tic_candidate list[MOST];
        fake f = {.noise = 0.1};
        draw(&f, seed, MOST, 1.0 + (double)(seed % 10) / 50);
        tic_search_result r = search(&f, list, MOST);
        cr_expect(f.cost[r.winner] <= f.cost[0], "seed %d: %g for %g", (int)seed, f.cost[r.winner],
                  f.cost[0]);
        worst = fmax(worst, f.cost[r.winner] / least_of(&f, MOST));
        mean += f.cost[r.winner] / least_of(&f, MOST) / 500;
        left += r.winner != 0;
    }
    cr_expect(left > 250, "%d of 500 left the default", left);
    cr_expect(mean < 1.02, "%g times the fastest in the mean", mean);
    cr_expect(worst < 1.1, "a winner is %g times the fastest", worst);
}

/* Where time is short there are fewer runs, and the winner is no slower for it: the same noise. */
Test(search, few_runs_do_not_make_it_slower) {
    enum { FEW = 6 };
    int left = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        tic_candidate list[FEW];
        fake f = {.noise = 0.1};
        draw(&f, seed, FEW, 1.0 + (double)(seed % 10) / 50);
        tic_search_result r = search_with((tic_effort){2, 4, 11}, &f, list, FEW);
        cr_expect(f.cost[r.winner] <= f.cost[0], "seed %d: %g for %g", (int)seed, f.cost[r.winner],
                  f.cost[0]);
        cr_expect(f.runs <= 8 * FEW + 44, "%llu runs", (unsigned long long)f.runs);
        left += r.winner != 0;
    }
    cr_expect(left > 100, "%d of 500 left the default", left);
}

/* When nothing differs but noise, the default stays. */
Test(search, noise_alone_changes_nothing) {
    int left = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        tic_candidate list[20];
        fake f = {.noise = 0.3, .seed = seed};
        for (int i = 0; i < 20; i++)
            f.cost[i] = 1;
        left += search(&f, list, 20).winner != 0;
    }
    cr_expect(left <= 3, "%d of 300 left a default that nothing beats", left);
}

Test(search, what_is_out_or_not_measured_never_wins) {
    tic_candidate list[4];
    fake f = {.cost = {1.0, INFINITY, 0.5, 2.0}};
    tic_search_result r = search(&f, list, 4);
    cr_expect_eq(r.winner, 2);
    tic_error err;
    const tic_measurer measurer = {sample, NULL, &f};
    list[2].fate = TIC_WRONG;
    list[2].best = INFINITY;
    cr_assert_eq(tic_search(&measurer, whole, list, 4, &r, &err), TIC_OK);
    cr_expect_eq(r.winner, 0);
    cr_expect(isinf(list[2].best));
    cr_assert_eq(tic_search(&measurer, whole, list, 1, &r, &err), TIC_OK);
    cr_expect_eq(r.winner, 0);
}

/* Two candidates in turns, each as often first as second, the slower challenger too. */
typedef struct duelists {
    double cost[2];
    int taken, first[2]; /* runs; turns that a candidate began */
} duelists;

static tic_status duel_sample(void *user, int candidate, double *seconds, tic_error *err) {
    duelists *d = user;
    (void)err;
    d->first[candidate] += d->taken++ % 2 == 0;
    *seconds = d->cost[candidate];
    return TIC_OK;
}

Test(search, a_duel_tells_both_signs_and_changes_its_order) {
    for (int slower = 0; slower < 2; slower++) {
        tic_candidate list[2] = {{.best = INFINITY}, {.best = INFINITY}};
        duelists d = {.cost = {1, slower ? 1.25 : 0.8}};
        const tic_measurer measurer = {duel_sample, NULL, &d};
        tic_search_result r;
        tic_error err;
        cr_assert_eq(tic_duel(&measurer, list, &r, &err), TIC_OK);
        cr_expect_float_eq(r.gain, slower ? -0.2 : 0.25, 1e-12);
        cr_expect_eq(r.winner, slower ? 0 : 1);
        cr_expect_eq(r.ahead, slower ? 0 : r.turns);
        cr_expect_eq(d.taken, 2 * r.turns);
        cr_expect_leq(abs(d.first[0] - d.first[1]), 1);
    }
}
