/* What each method trains on: shares worked out by hand, pools over made-up steps, and how often
 * each pair is drawn. */
#include "continual/room.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_error err;

/* ---- shares -------------------------------------------------------------------------------- */

static void shares_are(tic_pool pool, size_t pairs, int count, const size_t *have,
                       const size_t *want) {
    size_t shares[8];
    tic_replay_shares(pool, pairs, count, have, shares);
    for (int i = 0; i < count; i++)
        cr_assert_eq(shares[i], want[i], "buffer of %zu, past step %d of %d: %zu, not %zu", pairs,
                     i, count, shares[i], want[i]);
}
#define SHARES(pool, pairs, count, ...)                                                            \
    do {                                                                                           \
        const size_t numbers[] = {__VA_ARGS__};                                                    \
        shares_are(pool, pairs, count, numbers, numbers + (count));                                \
    } while (0)

Test(shares, the_papers_examples) {
    /* Step 3 keeps D/2 and D/2, step 4 D/4, D/4 and D/2 (reference/tic-clip.md). */
    SHARES(TIC_POOL_EXP, 100, 1, 100, /**/ 100);
    SHARES(TIC_POOL_EXP, 100, 2, 100, 100, /**/ 50, 50);
    SHARES(TIC_POOL_EXP, 100, 3, 100, 100, 100, /**/ 25, 25, 50);
    SHARES(TIC_POOL_EXP, 800, 5, 900, 900, 900, 900, 900, /**/ 50, 50, 100, 200, 400);
    SHARES(TIC_POOL_EQUAL, 100, 4, 100, 100, 100, 100, /**/ 25, 25, 25, 25);
}

Test(shares, what_does_not_divide_goes_by_largest_remainders) {
    SHARES(TIC_POOL_EQUAL, 100, 3, 100, 100, 100, /**/ 33, 33, 34);
    SHARES(TIC_POOL_EQUAL, 11, 4, 100, 100, 100, 100, /**/ 2, 3, 3, 3);
    SHARES(TIC_POOL_EXP, 101, 3, 200, 200, 200, /**/ 25, 25, 51); /* 25.25, 25.25, 50.5 */
    SHARES(TIC_POOL_EXP, 3, 3, 9, 9, 9, /**/ 1, 1, 1);            /* 0.75, 0.75, 1.5 */
    SHARES(TIC_POOL_EQUAL, 1, 3, 9, 9, 9, /**/ 0, 0, 1);
    SHARES(TIC_POOL_EQUAL, 0, 2, 9, 9, /**/ 0, 0);
}

Test(shares, a_small_step_gives_all_it_has) {
    SHARES(TIC_POOL_EQUAL, 90, 3, 10, 100, 100, /**/ 10, 40, 40);
    SHARES(TIC_POOL_EQUAL, 90, 3, 10, 35, 100, /**/ 10, 35, 45);
    SHARES(TIC_POOL_EXP, 100, 3, 100, 100, 10, /**/ 45, 45, 10);
    SHARES(TIC_POOL_EQUAL, 500, 3, 10, 35, 100, /**/ 10, 35, 100);
    SHARES(TIC_POOL_EQUAL, 5, 2, 0, 9, /**/ 0, 5);
}

Test(shares, sum_to_the_buffer_whatever_the_sizes) {
    tic_random key = {.seed = 7, .purpose = TIC_RNG_BENCH};
    for (uint64_t t = 0; t < 2000; t++) {
        size_t have[8], shares[8], all = 0, sum = 0;
        int count = 1 + (int)tic_random_below(key, 20 * t, 8);
        size_t pairs = (size_t)tic_random_below(key, 20 * t + 1, 300);
        for (int i = 0; i < count; i++)
            all += have[i] = (size_t)tic_random_below(key, 20 * t + 2 + (uint64_t)i, 60);
        tic_replay_shares(t % 2 ? TIC_POOL_EXP : TIC_POOL_EQUAL, pairs, count, have, shares);
        for (int i = 0; i < count; i++) {
            cr_assert(shares[i] <= have[i]);
            sum += shares[i];
        }
        cr_assert_eq(sum, pairs < all ? pairs : all);
    }
}

/* ---- pools --------------------------------------------------------------------------------- */

enum { STEPS = 4, PAIRS = 210 };
static const size_t sizes[STEPS] = {60, 37, 53, 60};
static tic_pair pairs[PAIRS];
static uint32_t trains[STEPS][64];
static tic_step step_list[STEPS];
static tic_steps steps = {step_list, STEPS};
static int64_t draws[STEPS] = {200, 150, 100, 333};
static int step_of[PAIRS];

/* Pairs of the steps interleave in the index, as identities do. */
static void make_steps(void) {
    tic_random key = {.seed = 3, .purpose = TIC_RNG_BENCH};
    for (int i = 0; i < STEPS; i++)
        step_list[i] = (tic_step){.train = trains[i]};
    for (uint32_t p = 0; p < PAIRS; p++) {
        int s = (int)(p * 7 % STEPS);
        while (step_list[s].trains == sizes[s])
            s = (s + 1) % STEPS;
        pairs[p].id = (tic_id){tic_random_u32(key, p), p};
        trains[s][step_list[s].trains++] = p;
        step_of[p] = s;
    }
}
TestSuite(pools, .init = make_steps);

static tic_pool_ask ask_for(const char *name, int step) {
    const tic_method *method;
    cr_assert_eq(tic_method_find(&method, name, &err), TIC_OK, "%s", err.text);
    return (tic_pool_ask){.pairs = pairs,
                          .steps = &steps,
                          .method = method,
                          .step = step,
                          .buffer = 1,
                          .seed = 5,
                          .draws = draws};
}

/* How often each pair stands in the pool; checks the order. */
static size_t pool_counts(const tic_pool_ask *ask, int counts[PAIRS]) {
    uint32_t *pool;
    size_t size;
    cr_assert_eq(tic_step_pool(ask, &pool, &size, &err), TIC_OK, "%s", err.text);
    memset(counts, 0, PAIRS * sizeof *counts);
    for (size_t i = 0; i < size; i++) {
        cr_assert(pool[i] < PAIRS && (i == 0 || pool[i - 1] <= pool[i]), "rising places");
        counts[pool[i]]++;
    }
    tic_free(pool);
    return size;
}

/* Places of each step's pairs, and how many different pairs they are. */
static void per_step(const int counts[PAIRS], size_t places[STEPS], size_t different[STEPS]) {
    memset(places, 0, STEPS * sizeof *places);
    memset(different, 0, STEPS * sizeof *different);
    for (int p = 0; p < PAIRS; p++) {
        places[step_of[p]] += (size_t)counts[p];
        different[step_of[p]] += counts[p] > 0;
    }
}

static void pool_is(const char *name, int step, const size_t want[STEPS]) {
    int counts[PAIRS];
    size_t places[STEPS], different[STEPS];
    tic_pool_ask ask = ask_for(name, step);
    pool_counts(&ask, counts);
    per_step(counts, places, different);
    for (int i = 0; i < STEPS; i++) {
        cr_assert_eq(places[i], want[i], "%s at step %d: %zu of step %d", name, step, places[i], i);
        cr_assert_eq(different[i], want[i], "no pair twice");
    }
}
#define POOL(name, step, ...) pool_is(name, step, (const size_t[STEPS]){__VA_ARGS__})

Test(pools, the_papers_methods) {
    POOL("sequential", 0, 60, 0, 0, 0);
    POOL("sequential", 3, 0, 0, 0, 60);
    POOL("cumulative-all", 2, 60, 37, 53, 0);
    POOL("restart", 3, 60, 37, 53, 60);
    POOL("cumulative-equal", 1, 37, 37, 0, 0);
    POOL("cumulative-equal", 2, 26, 27, 53, 0); /* 26.5 each; the later goes up */
    POOL("cumulative-equal", 3, 20, 20, 20, 60);
    POOL("cumulative-exp", 2, 26, 27, 53, 0);
    POOL("cumulative-exp", 3, 15, 15, 30, 60);
}

Test(pools, a_buffer_only_forgets) {
    int before[PAIRS], after[PAIRS];
    tic_pool_ask ask = ask_for("cumulative-exp", 2);
    pool_counts(&ask, before);
    ask.step = 3;
    pool_counts(&ask, after);
    for (int p = 0; p < PAIRS; p++)
        cr_assert(step_of[p] > 1 || after[p] <= before[p], "pair %d came back", p);
}

Test(pools, replay_is_uniform) {
    /* Each of the 60 pairs of step 0 is among the 20 replayed in step 3 under a third of seeds:
     * over 3000 of them 1000 times, with a standard deviation of 26. */
    int counts[PAIRS], often[PAIRS] = {0};
    tic_pool_ask ask = ask_for("cumulative-equal", 3);
    for (ask.seed = 0; ask.seed < 3000; ask.seed++) {
        pool_counts(&ask, counts);
        for (int p = 0; p < PAIRS; p++)
            often[p] += counts[p];
    }
    for (int p = 0; p < PAIRS; p++)
        if (step_of[p] == 0)
            cr_assert(often[p] > 1000 - 26 * 5 && often[p] < 1000 + 26 * 5, "%d times", often[p]);
}

Test(pools, buffers_of_any_size) {
    int counts[PAIRS];
    size_t places[STEPS], different[STEPS];
    tic_pool_ask ask = ask_for("cumulative-equal", 3);
    ask.buffer = 0.25; /* 15 pairs */
    pool_counts(&ask, counts);
    per_step(counts, places, different);
    cr_assert(places[0] == 5 && places[1] == 5 && places[2] == 5 && places[3] == 60);
    ask.buffer = 0.375; /* 22.5 pairs: to the nearest, 23 */
    cr_assert_eq(pool_counts(&ask, counts), 23 + 60);
    ask.buffer = 0.37; /* 22.2 */
    cr_assert_eq(pool_counts(&ask, counts), 22 + 60);
    ask.buffer = 100;
    cr_assert_eq(pool_counts(&ask, counts), PAIRS);
    ask.buffer = 0;
    cr_assert_eq(pool_counts(&ask, counts), 60);
}

Test(pools, by_alignment) {
    float alignment[150];
    int counts[PAIRS];
    size_t at = 0;
    for (int s = 0; s < 3; s++) /* a pair's alignment is its place in the index */
        for (size_t i = 0; i < sizes[s]; i++)
            alignment[at++] = (float)trains[s][i];
    tic_pool_ask low = ask_for("cumulative-low", 3), high = ask_for("cumulative-high", 3);
    low.alignment = high.alignment = alignment;
    int taken = 0, last = -1;
    cr_assert_eq(pool_counts(&low, counts), 75 + 60);
    for (int p = 0; p < PAIRS; p++)
        if (step_of[p] < 3 && counts[p]) {
            taken++;
            last = p;
        }
    cr_assert_eq(taken, 75);
    for (int p = 0; p <= last; p++)
        cr_assert(step_of[p] == 3 || counts[p] == 1, "the lowest half");
    cr_assert_eq(pool_counts(&high, counts), 75 + 60);
    for (int p = 0; p <= last; p++)
        cr_assert(step_of[p] == 3 || counts[p] == 0, "the other half");
}

/* ---- draws --------------------------------------------------------------------------------- */

Test(pools, every_step_equally_often) {
    int counts[PAIRS], least[STEPS], most[STEPS] = {0};
    size_t places[STEPS], different[STEPS];
    tic_pool_ask ask = ask_for("cumulative-even", 3);
    cr_assert_eq(pool_counts(&ask, counts), 333);
    per_step(counts, places, different);
    /* 333 = 4 * 83 + 1 */
    cr_assert(places[0] == 83 && places[1] == 83 && places[2] == 83 && places[3] == 84);
    for (int s = 0; s < STEPS; s++)
        least[s] = 1 << 20;
    for (int p = 0; p < PAIRS; p++) {
        int s = step_of[p];
        least[s] = counts[p] < least[s] ? counts[p] : least[s];
        most[s] = counts[p] > most[s] ? counts[p] : most[s];
    }
    cr_assert(least[0] == 1 && most[0] == 2); /* 83 over 60 */
    cr_assert(least[1] == 2 && most[1] == 3); /* 83 over 37 */
}

/* An independent simulation of count-based sampling: after all steps the uses of what could be
 * drawn differ by one at most wherever the draws sufficed to level them. */
Test(pools, least_used_first) {
    int counts[PAIRS], uses[PAIRS] = {0};
    for (int step = 0; step < STEPS; step++) {
        tic_pool_ask ask = ask_for("cumulative-count", step);
        size_t size = pool_counts(&ask, counts);
        if (step == 0) { /* 200 draws of 60, by epochs */
            uint32_t *pool;
            cr_assert_eq(size, 60);
            cr_assert_eq(tic_step_pool(&ask, &pool, &size, &err), TIC_OK);
            for (int64_t i = 0; i < draws[0]; i++)
                uses[tic_stream_pair(pool, size, tic_stream_seed(5, 0), (uint64_t)i)]++;
            tic_free(pool);
            continue;
        }
        cr_assert_eq(size, (size_t)draws[step]);
        int drawn_most = 0, undrawn_least = 1 << 20;
        for (int p = 0; p < PAIRS; p++) {
            if (step_of[p] > step)
                continue;
            uses[p] += counts[p];
            if (counts[p] > 0)
                drawn_most = uses[p] > drawn_most ? uses[p] : drawn_most;
            undrawn_least = uses[p] < undrawn_least ? uses[p] : undrawn_least;
        }
        cr_assert(drawn_most <= undrawn_least + 1,
                  "step %d: a pair with %d uses was drawn while "
                  "another has %d",
                  step, drawn_most, undrawn_least);
    }
}

Test(pools, weighted_replay) {
    int counts[PAIRS];
    size_t places[STEPS], different[STEPS];
    tic_pool_ask ask = ask_for("cumulative-equal", 3);
    ask.replay_share = 0.25; /* of 333: 83 */
    cr_assert_eq(pool_counts(&ask, counts), 333);
    per_step(counts, places, different);
    cr_assert_eq(places[3], 250);
    cr_assert_eq(different[0] + different[1] + different[2], 60);
    ask = ask_for("sequential", 3);
    ask.replay_share = 0.25; /* nothing to replay */
    pool_counts(&ask, counts);
    per_step(counts, places, different);
    cr_assert_eq(places[3], 333);
}
