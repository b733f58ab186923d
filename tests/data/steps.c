/* Time steps: pooling, joining, lists; and the proof that nothing held out is ever trained on. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <string.h>

/* An index of `count` pairs with these times, straight from memory: steps look at no shard. */
static tic_index *make_index(const int64_t *times, size_t count) {
    tic_index *index = NULL;
    cr_assert(tic_index_new(&index, &(tic_index_options){0}, NULL) == TIC_OK);
    cr_assert(tic_alloc(&index->pairs, count, sizeof *index->pairs, NULL) == TIC_OK);
    index->size = count;
    for (size_t i = 0; i < count; i++) {
        index->pairs[i].id = (tic_id){.hi = i, .lo = i * 31};
        index->pairs[i].time = times[i];
    }
    return index;
}

/* So many pairs on the 15th of each month from January 2015 on. */
static tic_index *monthly(const size_t *counts, int months) {
    static int64_t times[10000];
    size_t n = 0;
    for (int m = 0; m < months; m++)
        for (size_t k = 0; k < counts[m]; k++) {
            cr_assert(n < sizeof times / sizeof *times);
            times[n++] = tic_time_of(2015 + m / 12, m % 12 + 1, 15);
        }
    return make_index(times, n);
}

/* "name:pairs name:pairs ..." */
static void expect_steps(const tic_index *index, const tic_steps_options *options,
                         const char *want) {
    tic_steps steps;
    tic_error err = {0};
    char got[512] = "";
    cr_assert(tic_steps_make(&steps, index, options, &err) == TIC_OK, "%s", err.text);
    for (int i = 0; i < steps.count; i++) {
        const tic_step *s = &steps.step[i];
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%s:%zu", i ? " " : "", s->name, s->trains + s->evals);
        cr_expect(s->begin < s->end && (i == 0 || steps.step[i - 1].end == s->begin));
        for (size_t k = 0; k < s->trains; k++) {
            int64_t time = index->pairs[s->train[k]].time;
            cr_expect(time >= s->begin && time < s->end);
            cr_expect(k == 0 || s->train[k - 1] < s->train[k]);
        }
        for (size_t k = 0; k < s->evals; k++) {
            int64_t time = index->pairs[s->eval[k]].time;
            cr_expect(time >= s->begin && time < s->end);
            cr_expect(k == 0 || s->eval[k - 1] < s->eval[k]);
        }
    }
    cr_expect(strcmp(got, want) == 0, "%s, not %s", got, want);
    tic_steps_free(&steps);
}

static const size_t two_years[24] = {10, 20, 30, 1, 2,  3,  40, 0, 0, 50, 60, 0,
                                     5,  5,  5,  5, 70, 80, 0,  0, 0, 0,  90, 4};

Test(steps, granularity) {
    tic_index *index = monthly(two_years, 24);
    expect_steps(index, &(tic_steps_options){.granularity = TIC_YEAR}, "2015:216 2016:264");
    expect_steps(index, &(tic_steps_options){.granularity = TIC_QUARTER},
                 "2015Q1:60 2015Q2:6 2015Q3:40 2015Q4:110 2016Q1:15 2016Q2:155 2016Q4:94");
    expect_steps(index, &(tic_steps_options){.granularity = TIC_MONTH, .min_step = 20},
                 "2015-02:30 2015-03:30 2015-07:46 2015-10:50 2015-11:60 2016-04:20 2016-05:70 "
                 "2016-06:80 2016-12:94");
    tic_index_free(index);
}

Test(steps, first_step) {
    tic_index *index = monthly(two_years, 24);
    expect_steps(index, &(tic_steps_options){.granularity = TIC_QUARTER, .first_step = "2015Q3"},
                 "2015Q3:106 2015Q4:110 2016Q1:15 2016Q2:155 2016Q4:94");
    expect_steps(index, &(tic_steps_options){.granularity = TIC_QUARTER, .first_step = "2015"},
                 "2015Q4:216 2016Q1:15 2016Q2:155 2016Q4:94");
    expect_steps(
        index,
        &(tic_steps_options){.granularity = TIC_MONTH, .first_step = "2016-06", .min_step = 4},
        "2016-06:386 2016-11:90 2016-12:4");
    expect_steps(index, &(tic_steps_options){.granularity = TIC_YEAR, .first_step = "2014"},
                 "2015:216 2016:264");
    expect_steps(index, &(tic_steps_options){.granularity = TIC_YEAR, .first_step = "2020"},
                 "2020:480");
    tic_index_free(index);
}

Test(steps, sparse) {
    tic_index *index = monthly((const size_t[]){3, 100, 3, 3, 100, 3, 3}, 7);
    tic_steps_options options = {.granularity = TIC_MONTH, .min_step = 50};
    expect_steps(index, &options, "2015-02:103 2015-07:112");
    options.min_step = 110;
    expect_steps(index, &options, "2015-07:215");
    options.min_step = 1000; /* all of it is too little: one step */
    expect_steps(index, &options, "2015-07:215");
    /* The step's own pairs count, held out or not. */
    options = (tic_steps_options){.granularity = TIC_MONTH, .min_step = 100, .eval_pairs = 50};
    expect_steps(index, &options, "2015-02:103 2015-07:112");
    tic_index_free(index);
}

Test(steps, list) {
    tic_index *index = monthly(two_years, 24);
    tic_steps_options options = {.granularity = TIC_LIST, .list = "2015-02,2015Q3,2016-05,2016"};
    expect_steps(index, &options, "2015-02:30 2015Q3:76 2016-05:200 2016:174");
    options.list = "2015-02,2015-12"; /* 2016 belongs to none */
    expect_steps(index, &options, "2015-02:30 2015-12:186");
    tic_index_free(index);
}

/* Random splits: about equal, independent of time and of what is held out, every pair in one. */
Test(steps, iid) {
    size_t counts[24];
    for (int i = 0; i < 24; i++)
        counts[i] = 100;
    tic_index *index = monthly(counts, 24);
    tic_steps_options options = {.granularity = TIC_IID, .splits = 4, .eval_pairs = 100};
    tic_steps steps;
    tic_error err = {0};
    bool seen[2400] = {false};
    cr_assert(tic_steps_make(&steps, index, &options, &err) == TIC_OK, "%s", err.text);
    cr_assert_eq(steps.count, 4);
    for (int s = 0; s < 4; s++) {
        const tic_step *step = &steps.step[s];
        size_t early = 0, size = step->trains + step->evals;
        cr_expect(step->name[4] == '1' + s && strncmp(step->name, "iid-", 4) == 0);
        /* Binomial, 2400 pairs: 600 with a standard deviation of 21; the early half of them 300
         * with 12 (given the size, about 15 without). */
        cr_expect(size > 600 - 110 && size < 600 + 110, "%zu", size);
        for (size_t i = 0; i < size; i++) {
            uint32_t pair = i < step->trains ? step->train[i] : step->eval[i - step->trains];
            cr_expect(!seen[pair]);
            seen[pair] = true;
            early += index->pairs[pair].time < tic_time_of(2016, 1, 1);
        }
        cr_expect(early > size / 2 - 75 && early < size / 2 + 75, "%zu of %zu", early, size);
        cr_expect_eq(step->evals, 100);
    }
    for (int i = 0; i < 2400; i++)
        cr_expect(seen[i]);
    tic_steps_free(&steps);
    options.splits = 1;
    cr_expect(tic_steps_make(&steps, index, &options, &err) == TIC_EUSAGE);
    tic_index_free(index);
}

static void expect_failure(const tic_index *index, const tic_steps_options *options,
                           tic_status status, const char *text) {
    tic_steps steps;
    tic_error err = {0};
    cr_expect(tic_steps_make(&steps, index, options, &err) == status, "%s", text);
    cr_expect(strstr(err.text, text), "%s, not %s", err.text, text);
    cr_expect(steps.step == NULL && steps.count == 0);
}

Test(steps, failures) {
    tic_index *index = monthly(two_years, 24), *empty = monthly(two_years, 0);
    static const char *const lists[] = {
        "",       "2015,",   "2015,2014", "2015,2015-12", "15",       "2015-13", "2015Q5",
        "2015Q0", "2015-00", "2015-1",    "abcd",         "2015,,16", "2015/02", "2015-012"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        expect_failure(index, &(tic_steps_options){.granularity = TIC_LIST, .list = lists[i]},
                       TIC_EUSAGE, "step");
    expect_failure(index, &(tic_steps_options){.granularity = TIC_LIST}, TIC_EUSAGE, "step \"\"");
    expect_failure(index, &(tic_steps_options){.granularity = TIC_YEAR, .first_step = "soon"},
                   TIC_EUSAGE, "first step \"soon\"");
    expect_failure(index, &(tic_steps_options){.granularity = TIC_MONTH}, TIC_EINPUT,
                   "step 2015-04 has 1 pair;");
    expect_failure(index, &(tic_steps_options){.granularity = TIC_LIST, .list = "2010"}, TIC_EINPUT,
                   "step 2010 has 0 pairs;");
    expect_failure(empty, &(tic_steps_options){.granularity = TIC_YEAR}, TIC_EINPUT,
                   "no usable pair");
    tic_index_free(index), tic_index_free(empty);
}

/* ---- what is held out ------------------------------------------------------------------------ */

static void mark(uint8_t *marks, const uint32_t *pairs, size_t count, uint8_t bit) {
    for (size_t i = 0; i < count; i++) {
        cr_expect((marks[pairs[i]] & bit) == 0);
        marks[pairs[i]] |= bit;
    }
}

/* A shard where every picture comes three times, under other keys, in its own year and in later
 * ones, the earliest first in the file or last. */
static void write_copies(const char *folder) {
    archive tar = {0};
    for (int i = 0; i < 300; i++) {
        char key[16], caption[64];
        int picture = i % 100, copy = picture % 2 ? i / 100 : 2 - i / 100, year = picture % 3;
        snprintf(key, sizeof key, "%d", i);
        snprintf(caption, sizeof caption, "this is picture number %d", picture);
        add_sample(&tar, key, (unsigned)picture, caption,
                   tic_time_of(2015 + year + copy * (2 - year) / 2, 1 + copy, 1));
    }
    end_archive(&tar);
    save_archive(&tar, folder, "0.tar");
    free_archive(&tar);
}

static void hash_pictures(const tic_index *index, const uint32_t *pairs, size_t count,
                          tic_id *out) {
    tic_buffer image = {0}, text = {0};
    tic_error err = {0};
    for (size_t i = 0; i < count; i++) {
        const char *caption;
        cr_assert(tic_index_read(index, pairs[i], &image, &text, &caption, &err) == TIC_OK, "%s",
                  err.text);
        out[i] = tic_id_of(image.bytes, index->pairs[pairs[i]].image_size);
    }
    tic_free(image.bytes), tic_free(text.bytes);
}

/* The proof: read back from the shard, no held-out picture of any step is in any step's training
 * list, by place, identity or bytes; and together the lists are the index. */
Test(steps, held_out_is_never_trained_on) {
    char folder[TEST_PATH];
    static tic_id trained[300], held[300];
    uint8_t marks[300] = {0};
    size_t trains = 0, evals = 0;
    tic_steps steps;
    tic_error err = {0};
    make_folder(folder);
    write_copies(folder);
    tic_index *index = must_index(folder, &(tic_index_options){.threads = 2});
    cr_assert(tic_index_size(index) == 100);
    tic_steps_options options = {.granularity = TIC_YEAR, .eval_pairs = 1000, .eval_seed = 3};
    cr_assert(tic_steps_make(&steps, index, &options, &err) == TIC_OK, "%s", err.text);
    cr_assert(steps.count == 3);
    for (int i = 0; i < steps.count; i++) {
        const tic_step *s = &steps.step[i];
        cr_expect(s->evals == (s->trains + s->evals) / 5); /* at most a fifth */
        mark(marks, s->train, s->trains, 1);
        mark(marks, s->eval, s->evals, 2);
        hash_pictures(index, s->train, s->trains, trained + trains);
        hash_pictures(index, s->eval, s->evals, held + evals);
        trains += s->trains, evals += s->evals;
    }
    for (size_t i = 0; i < tic_index_size(index); i++)
        cr_expect(marks[i] == 1 || marks[i] == 2);
    for (size_t e = 0; e < evals; e++)
        for (size_t t = 0; t < trains; t++)
            cr_expect(tic_id_compare(held[e], trained[t]) != 0);
    tic_steps_free(&steps);
    tic_index_free(index);
    remove_folder(folder);
}

/* Which pairs are held out depends on identity and seed, not on what else is in other steps. */
Test(steps, held_out_stays) {
    size_t counts[24] = {0};
    counts[0] = 100;
    tic_index *small = monthly(counts, 24);
    counts[14] = 700;
    tic_index *large = monthly(counts, 24);
    tic_steps a, b, c;
    tic_steps_options options = {.granularity = TIC_YEAR, .eval_pairs = 10, .eval_seed = 1};
    cr_assert(tic_steps_make(&a, small, &options, NULL) == TIC_OK);
    cr_assert(tic_steps_make(&b, large, &options, NULL) == TIC_OK);
    options.eval_seed = 2;
    cr_assert(tic_steps_make(&c, large, &options, NULL) == TIC_OK);
    cr_assert(a.step[0].evals == 10 && b.step[0].evals == 10);
    cr_expect(memcmp(a.step[0].eval, b.step[0].eval, 10 * sizeof(uint32_t)) == 0);
    cr_expect(memcmp(b.step[0].eval, c.step[0].eval, 10 * sizeof(uint32_t)) != 0);
    tic_steps_free(&a), tic_steps_free(&b), tic_steps_free(&c);
    tic_index_free(small), tic_index_free(large);
}

Test(steps, number_held_out) {
    static const struct {
        size_t pairs, asked, held;
    } cases[] = {{100, 10, 10}, {100, 20, 20}, {100, 21, 20}, {4, 10, 1}, {2, 10, 1}, {9, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tic_index *index = monthly(&cases[i].pairs, 1);
        tic_steps steps;
        tic_steps_options options = {.granularity = TIC_YEAR, .eval_pairs = cases[i].asked};
        cr_assert(tic_steps_make(&steps, index, &options, NULL) == TIC_OK);
        cr_expect(steps.step[0].evals == cases[i].held, "case %zu", i);
        tic_steps_free(&steps);
        tic_index_free(index);
    }
}
