/* Rows of a table whose AdamW steps wait until they are read: the same bits as in time. */
#include "operands.h"

enum { ROWS = 41, MOST_COLS = 70, STEPS = 150 };

typedef struct table {
    int64_t cols, n;
    float *w, *g, *m, *v;
    int64_t made[ROWS];
    tic_adamw_step history[TIC_ADAMW_KEPT];
    int64_t steps;
} table;

/* Rows of a third are new: no gradient yet, no moments. */
static void make(table *t, int64_t cols) {
    *t = (table){.cols = cols, .n = ROWS * cols};
    t->w = normals(t->n, 1, 1);
    t->g = zeros(t->n);
    t->m = normals(t->n, 3, 0.1);
    t->v = normals(t->n, 4, 1e-3);
    for (int64_t i = 0; i < t->n; i++) {
        t->v[i] = i / cols % 3 == 0 ? 0 : fabsf(t->v[i]);
        t->m[i] = i / cols % 3 == 0 ? 0 : t->m[i];
    }
}

/* A schedule that changes all it can. */
static tic_adamw_args step_of(const table *t, int64_t step) {
    return (tic_adamw_args){.n = t->n,
                            .w = t->w,
                            .g = t->g,
                            .m = t->m,
                            .v = t->v,
                            .lr = 1e-2f / (float)(1 + step % 7),
                            .beta1 = step % 5 == 0 ? 0.8f : 0.9f,
                            .beta2 = step % 9 == 0 ? 0.99f : 0.98f,
                            .eps = 1e-6f,
                            .weight_decay = 0.2f,
                            .grad_scale = step % 4 == 0 ? 0.5f : 1,
                            .step = step + 1,
                            .zero_grad = true};
}

/* Which rows a step has a gradient for: never those of 5 mod 8, rarely the others, none twice. */
static int64_t draw_rows(int64_t step, int32_t list[ROWS]) {
    int64_t count = 0;
    for (int32_t r = ROWS - 1; r >= 0; r--)
        if (r % 8 != 5 &&
            tic_random_u32((tic_random){3, TIC_RNG_BENCH, (uint32_t)step}, (uint64_t)r) % 16 < 3)
            list[count++] = r;
    return count;
}

static void draw_gradient(table *t, int64_t step, const int32_t *list, int64_t count) {
    const tic_random key = {5, TIC_RNG_BENCH, (uint32_t)step};
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = list[i] * t->cols; j < (list[i] + 1) * t->cols; j++)
            t->g[j] = (float)tic_random_normal(key, (uint64_t)j);
}

static void catch_up(tic_ctx *ctx, table *t, const int32_t *list, int64_t count) {
    const tic_adamw_rows rows = {t->cols, count, list, t->made, t->history, t->steps};
    tic_adamw_args a = {.n = t->n, .w = t->w, .m = t->m, .v = t->v, .rows = &rows};
    CHECK_OK(tic_adamw(ctx, &a, err));
}

/* As a training step does: what is read first, then the gradient and the step, then a part of the
 * table in turn, so that no row misses more than is kept. */
static double late_step(tic_ctx *ctx, table *t, const int32_t *list, int64_t count) {
    double squares = NAN;
    const int64_t step = t->steps;
    catch_up(ctx, t, list, count);
    draw_gradient(t, step, list, count);
    const tic_adamw_rows rows = {t->cols, count, list, t->made, t->history, t->steps};
    tic_adamw_args a = step_of(t, step);
    a.rows = &rows;
    a.squares = &squares;
    CHECK_OK(tic_adamw(ctx, &a, err));
    t->history[t->steps++ % TIC_ADAMW_KEPT] = tic_adamw_step_of(&a);
    if (t->steps % TIC_ADAMW_KEPT == 0)
        catch_up(ctx, t, NULL, ROWS);
    return squares;
}

static void same(const float *got, const float *want, const table *t, const char *what, int v) {
    for (int64_t i = 0; i < t->n; i++)
        cr_assert(memcmp(got + i, want + i, sizeof *got) == 0,
                  "%s: %s of row %lld, column %lld of %lld: %.9g, not %.9g",
                  tic_variant_get(v).name, what, (long long)(i / t->cols), (long long)(i % t->cols),
                  (long long)t->cols, got[i], want[i]);
}

static bool is_ref(int v) {
    return strcmp(tic_variant_get(v).name, "ref") == 0;
}

/* The reference rounds a step of the past's constants to f32, its own not: within that it is the
 * same. m / (sqrt(v) root) stays below 10 while each of STEPS moves w by lr times some roundings.
 */
static void near(const table *got, const table *want) {
    for (int64_t i = 0; i < got->n; i++) {
        cr_assert(check_near(got->w[i], want->w[i], STEPS * EPS * 4 * (fabs(want->w[i]) + 0.1)));
        cr_assert(check_near(got->m[i], want->m[i], STEPS * EPS * (fabs(want->m[i]) + 1)));
        cr_assert(check_near(got->v[i], want->v[i], STEPS * EPS * (fabs(want->v[i]) + 1)));
    }
}

static void check_course(tic_ctx *ctx, int v, int64_t cols) {
    static table late, timely;
    int32_t list[ROWS];
    make(&late, cols);
    make(&timely, cols);
    for (int64_t step = 0; step < STEPS; step++) {
        double want = NAN;
        const int64_t count = draw_rows(step, list);
        const double got = late_step(ctx, &late, list, count);
        draw_gradient(&timely, step, list, count);
        tic_adamw_args a = step_of(&timely, step);
        a.squares = &want;
        CHECK_OK(tic_adamw(ctx, &a, err));
        cr_assert(check_near(got, want, want * (double)timely.n * 0x1p-53));
        for (int64_t i = 0; i < late.n; i++)
            cr_assert(late.g[i] == 0);
    }
    catch_up(ctx, &late, NULL, ROWS);
    for (int r = 0; r < ROWS; r++)
        cr_assert_eq(late.made[r], STEPS);
    if (is_ref(v)) {
        near(&late, &timely);
        return;
    }
    same(late.w, timely.w, &late, "w", v);
    same(late.m, timely.m, &late, "m", v);
    same(late.v, timely.v, &late, "v", v);
}

Test(adamw_rows, late_steps_have_the_bits_of_timely_ones) {
    static const int64_t cols[] = {1, 15, 16, 33, 64, MOST_COLS};
    for (int t = 0; t < THREAD_COUNTS; t++) {
        tic_ctx *ctx = check_ctx(thread_counts[t]);
        for (int v = -1; (v = check_next(ctx, TIC_OP_ADAMW, v)) >= 0;)
            for (int c = 0; c < 6; c++)
                check_course(ctx, v, cols[c]);
        tic_ctx_free(ctx);
    }
}

/* Enough rows for several tasks, as wide as a task and wider. */
Test(adamw_rows, bits_do_not_depend_on_threads) {
    static const int64_t all_cols[] = {64, 2048, 2500};
    enum { COUNT = 200 };
    for (int c = 0; c < 3; c++) {
        const int64_t cols = all_cols[c], n = COUNT * cols;
        float *want = NULL;
        double first = 0;
        for (int t = 0; t < THREAD_COUNTS; t++) {
            tic_ctx *ctx = check_ctx(thread_counts[t]);
            int64_t made[COUNT] = {0};
            double squares = NAN;
            tic_adamw_step history[TIC_ADAMW_KEPT];
            float *v = normals(n, 4, 1);
            for (int64_t i = 0; i < n; i++)
                v[i] = fabsf(v[i]);
            tic_adamw_rows rows = {cols, COUNT, NULL, made, history, 0};
            tic_adamw_args a = {.n = n,
                                .w = normals(n, 1, 1),
                                .g = normals(n, 2, 1),
                                .m = normals(n, 3, 1),
                                .v = v,
                                .lr = 1e-3f,
                                .beta1 = 0.9f,
                                .beta2 = 0.98f,
                                .eps = 1e-6f,
                                .grad_scale = 1,
                                .step = 1,
                                .rows = &rows,
                                .squares = &squares};
            for (int i = 0; i < TIC_ADAMW_KEPT; i++)
                history[i] = tic_adamw_step_of(&a);
            rows.steps = 9;
            CHECK_OK(tic_ctx_reserve(ctx, tic_adamw_scratch(ctx, n, 0), err));
            const int growths = tic_ctx_growths(ctx);
            CHECK_OK(tic_adamw(ctx, &a, err));
            cr_assert_eq(tic_ctx_growths(ctx), growths);
            if (t == 0)
                want = copy_of(a.w, n), first = squares;
            same_bits(a.w, want, (size_t)n * sizeof *want, "w", thread_counts[t]);
            same_bits(&squares, &first, sizeof first, "the sum of squares", thread_counts[t]);
            tic_ctx_free(ctx);
        }
    }
}

/* 0 over 0 is NaN also where a row has missed the step, and nothing more is touched than is
 * listed. */
Test(adamw_rows, only_the_listed_ones_and_what_is_not_finite_too) {
    enum { COLS = 20 };
    static const int32_t list[] = {7, 0};
    tic_ctx *ctx = check_ctx(2);
    for (int v = -1; (v = check_next(ctx, TIC_OP_ADAMW, v)) >= 0;) {
        static table t;
        make(&t, COLS);
        const float *w = copy_of(t.w, t.n);
        tic_adamw_args a = step_of(&t, 0);
        a.eps = 0;
        t.history[t.steps++] = tic_adamw_step_of(&a);
        catch_up(ctx, &t, list, 2);
        for (int64_t i = 0; i < t.n; i++) {
            const int64_t row = i / COLS;
            cr_assert(row == 0   ? isnan(t.w[i])
                      : row == 7 ? isfinite(t.w[i]) && t.w[i] != w[i]
                                 : t.w[i] == w[i],
                      "row %d, %g", (int)row, t.w[i]);
        }
        for (int r = 0; r < ROWS; r++)
            cr_assert_eq(t.made[r], r == 0 || r == 7);
    }
    tic_ctx_free(ctx);
}

Test(adamw_rows, what_cannot_be_is_refused) {
    tic_ctx *ctx = check_ctx(1);
    static table t;
    int32_t list[2] = {3, ROWS};
    make(&t, 10);
    tic_adamw_rows rows = {10, 2, list, t.made, t.history, 0};
    tic_adamw_args a = step_of(&t, 0);
    a.rows = &rows;
    CHECK_FAILS(TIC_EUSAGE, "row 41 of 41", tic_adamw(ctx, &a, err));
    list[1] = -1;
    CHECK_FAILS(TIC_EUSAGE, "row -1", tic_adamw(ctx, &a, err));
    list[1] = 4;
    rows.steps = TIC_ADAMW_KEPT + 1;
    CHECK_FAILS(TIC_EUSAGE, "row 3 has made 0 steps of 65", tic_adamw(ctx, &a, err));
    rows.steps = 2;
    t.made[4] = 3;
    CHECK_FAILS(TIC_EUSAGE, "row 4 has made 3 steps of 2", tic_adamw(ctx, &a, err));
    t.made[4] = 0;
    rows.cols = 11;
    CHECK_FAILS(TIC_EUSAGE, "columns of 11", tic_adamw(ctx, &a, err));
    rows.cols = 10;
    rows.count = ROWS + 1;
    CHECK_FAILS(TIC_EUSAGE, "42 rows", tic_adamw(ctx, &a, err));
    rows.count = 2;
    tic_adamw_matrix matrix = {0, 5, 10, {NULL}};
    a.matrices = &matrix;
    a.matrix_count = 1;
    CHECK_FAILS(TIC_EUSAGE, "2 rows", tic_adamw(ctx, &a, err));
    a.matrix_count = 0;
    a.rows = NULL;
    a.g = NULL;
    CHECK_FAILS(TIC_EUSAGE, "step 1", tic_adamw(ctx, &a, err));
    tic_ctx_free(ctx);
}
