/* AdamW against a computation in double by the formula of the paper, and the sum of squares. */
#include "operands.h"

enum { N = 1003, STEPS = 20 };

static tic_adamw_args make(int64_t n) {
    float *v = normals(n, 4, 1e-3);
    for (int64_t i = 0; i < n; i++)
        v[i] = fabsf(v[i]);
    return (tic_adamw_args){.n = n,
                            .w = normals(n, 1, 1),
                            .g = normals(n, 2, 1),
                            .m = normals(n, 3, 0.1),
                            .v = v,
                            .lr = 1e-2f,
                            .beta1 = 0.9f,
                            .beta2 = 0.98f,
                            .eps = 1e-6f,
                            .weight_decay = 0.2f,
                            .grad_scale = 0.5f,
                            .step = 1};
}

/* Algorithm 2 of Loshchilov & Hutter (2019), with PyTorch's place of eps and decay by lr wd. */
static void by_hand(const tic_adamw_args *a, const float *g, double *w, double *m, double *v) {
    for (int64_t i = 0; i < a->n; i++) {
        const double gradient = (double)g[i] * a->grad_scale;
        w[i] -= (double)a->lr * a->weight_decay * w[i];
        m[i] = a->beta1 * m[i] + (1 - (double)a->beta1) * gradient;
        v[i] = a->beta2 * v[i] + (1 - (double)a->beta2) * gradient * gradient;
        const double m_hat = m[i] / (1 - pow(a->beta1, (double)a->step));
        const double v_hat = v[i] / (1 - pow(a->beta2, (double)a->step));
        w[i] -= a->lr * m_hat / (sqrt(v_hat) + a->eps);
    }
}

/* A step rounds w a few times (|w| < 8) and m, v relatively; m's rounding moves w by lr EPS |m| /
 * sqrt(v), and the early steps' m / sqrt(v) reaches 10 here. */
Test(adamw, twenty_steps_against_double) {
    tic_ctx *ctx = check_ctx(2);
    for (int variant = -1; (variant = check_next(ctx, TIC_OP_ADAMW, variant)) >= 0;) {
        static double w[N], m[N], v[N];
        tic_adamw_args a = make(N);
        for (int64_t i = 0; i < N; i++) {
            w[i] = a.w[i];
            m[i] = a.m[i];
            v[i] = a.v[i];
        }
        for (a.step = 1; a.step <= STEPS; a.step++) {
            const float *g = normals(N, 10 + (uint32_t)a.step, 1);
            memcpy(a.g, g, N * sizeof *g);
            a.zero_grad = a.step == STEPS;
            CHECK_OK(tic_adamw(ctx, &a, err));
            by_hand(&a, g, w, m, v);
        }
        for (int64_t i = 0; i < N; i++) {
            cr_assert(check_near(a.w[i], w[i], STEPS * EPS * (3 * 8 + 10)), "w[%d]: %.9g, not %.9g",
                      (int)i, a.w[i], w[i]);
            cr_assert(check_near(a.m[i], m[i], STEPS * EPS * 2));
            cr_assert(check_near(a.v[i], v[i], STEPS * EPS * 4));
            cr_assert_eq(a.g[i], 0);
        }
    }
    tic_ctx_free(ctx);
}

Test(adamw, edges) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_ADAMW, v)) >= 0;) {
        tic_adamw_args a = make(50);
        a.g[20] = NAN;
        a.g[21] = INFINITY;
        float *g = copy_of(a.g, 50);
        CHECK_OK(tic_adamw(ctx, &a, err));
        cr_assert_eq(memcmp(a.g, g, 50 * sizeof *g), 0, "the gradient was touched");
        for (int i = 0; i < 50; i++)
            cr_assert_eq(isnan(a.w[i]), i == 20 || i == 21);
    }
    tic_adamw_args a = make(5);
    a.step = 0;
    CHECK_FAILS(TIC_EUSAGE, "step 0", tic_adamw(ctx, &a, err));
    a.step = 1;
    a.beta2 = 1;
    CHECK_FAILS(TIC_EUSAGE, "betas", tic_adamw(ctx, &a, err));
    a = make(0);
    CHECK_OK(tic_adamw(ctx, &a, err));
    tic_ctx_free(ctx);
}

/* Groups of 48 elements, each with some of gradient and both moments zero: where a whole vector has
 * none of them a variant may leave it alone, and nowhere else. Nothing times infinity, and nothing
 * over nothing, are NaN all the same. */
Test(adamw, what_has_no_moments_only_decays) {
    tic_ctx *ctx = check_ctx(2);
    for (int variant = -1; (variant = check_next(ctx, TIC_OP_ADAMW, variant)) >= 0;) {
        double w[N], m[N], v[N];
        tic_adamw_args a = make(N);
        for (int64_t i = 0; i < N; i++) {
            const int zeros = (int)(i / 48 % 8); /* bits: g, m, v; one gradient is not */
            a.g[i] = zeros & 1 && i != 340 ? -0.0f : a.g[i];
            a.m[i] = zeros & 2 ? 0 : a.m[i];
            a.v[i] = zeros & 4 ? 0 : a.v[i];
            w[i] = a.w[i], m[i] = a.m[i], v[i] = a.v[i];
        }
        a.zero_grad = true;
        const float *g = copy_of(a.g, N);
        CHECK_OK(tic_adamw(ctx, &a, err));
        by_hand(&a, g, w, m, v);
        for (int64_t i = 0; i < N; i++) {
            const double bound = 16 * EPS * (fabs(w[i]) + 1); /* a dozen roundings */
            cr_assert(check_near(a.w[i], w[i], bound), "w[%d]: %g, not %g", (int)i, a.w[i], w[i]);
            cr_assert(check_near(a.m[i], m[i], 4 * EPS) && check_near(a.v[i], v[i], 4 * EPS));
            cr_assert(a.g[i] == 0 && !signbit(a.g[i]), "g[%d]", (int)i);
        }
        memset(a.g, 0, N * sizeof *a.g);
        memset(a.m, 0, N * sizeof *a.m);
        memset(a.v, 0, N * sizeof *a.v);
        tic_adamw_args infinite = a, no_eps = a;
        infinite.grad_scale = INFINITY;
        no_eps.eps = 0;
        CHECK_OK(tic_adamw(ctx, &no_eps, err));
        for (int64_t i = 0; i < N; i++)
            cr_assert(isnan(a.w[i]), "w[%d] without eps", (int)i);
        memcpy(a.w, normals(N, 1, 1), N * sizeof *a.w);
        CHECK_OK(tic_adamw(ctx, &infinite, err));
        for (int64_t i = 0; i < N; i++)
            cr_assert(isnan(a.w[i]), "w[%d] times infinity", (int)i);
    }
    tic_ctx_free(ctx);
}

Test(adamw, bits_do_not_depend_on_threads) {
    enum { LARGE = 70001 };
    tic_adamw_args want = {0};
    double first = 0;
    for (int i = 0; i < THREAD_COUNTS; i++) {
        tic_ctx *ctx = check_ctx(thread_counts[i]);
        tic_adamw_args a = make(LARGE);
        double squares = NAN;
        a.squares = &squares;
        CHECK_OK(tic_adamw(ctx, &a, err));
        if (i == 0)
            want = a, first = squares;
        same_bits(&squares, &first, sizeof squares, "the sum of squares", thread_counts[i]);
        same_bits(a.w, want.w, LARGE * sizeof(float), "w", thread_counts[i]);
        same_bits(a.v, want.v, LARGE * sizeof(float), "v", thread_counts[i]);
        tic_ctx_free(ctx);
    }
}

/* Of the gradient as it came, whatever becomes of it; a task's end may be any part of a vector. */
Test(adamw, sum_of_squares_comes_with_a_step) {
    static const int64_t sizes[] = {0, 1, 5, 15, 16, 17, 31, 16384, 16397, 40001};
    tic_ctx *ctx = check_ctx(2);
    for (int s = 0; s < 10; s++) {
        double first = 0;
        for (int v = -1, tiers = 0; (v = check_next(ctx, TIC_OP_ADAMW, v)) >= 0;) {
            tic_adamw_args a = make(sizes[s]);
            double got = NAN, want;
            const bool is_ref = strcmp(tic_variant_get(v).name, "ref") == 0;
            a.zero_grad = true;
            a.squares = &got;
            for (int64_t i = 0; i < a.n; i++)
                a.g[i] *= 1e15f; /* squares overflow f32 */
            CHECK_OK(tic_square_sum(ctx, a.g, a.n, &want, err));
            CHECK_OK(tic_adamw(ctx, &a, err));
            cr_assert(check_near(got, want, want * (double)a.n * 0x1p-53));
            first = tiers++ == 0 ? got : first;
            if (!is_ref)
                same_bits(&got, &first, sizeof got, tic_variant_get(v).name, 2);
            for (int bad = 0; bad < 2 && a.n > 0; bad++) {
                a.g[a.n - 1] = bad ? NAN : INFINITY;
                CHECK_OK(tic_adamw(ctx, &a, err));
                cr_assert(bad ? isnan(got) : isinf(got));
            }
        }
    }
    tic_ctx_free(ctx);
}

/* ---- packings ------------------------------------------------------------------------------- */

/* What a gemm with this right operand in `precision` would pack; data NULL when nothing. */
static tic_packed packing(tic_ctx *ctx, tic_trans trans, tic_dtype precision, int64_t rows,
                          int64_t cols) {
    const bool across = trans == TIC_NT;
    tic_gemm_args args = {.trans = trans,
                          .precision = precision,
                          .m = 100,
                          .n = across ? rows : cols,
                          .k = across ? cols : rows};
    args.a = args.b = args.c = tic_f32(NULL, 1000);
    tic_packed p = tic_gemm_packing(ctx, &args);
    p.data = p.bytes > 0 ? check_alloc(p.bytes, 1) : NULL;
    return p;
}

/* Both packings of the matrices hold what packing the updated weights gives, whatever the tasks;
 * weights and moments are those of a step without them. */
static void check_packings(tic_ctx *ctx, tic_dtype precision, int threads) {
    enum { COUNT = 3, TOTAL = 300 * 70 + 1000 + 61 * 33 + 17 * 300 };
    static const int64_t shapes[COUNT][3] = {
        {500, 300, 70}, {500 + 300 * 70, 61, 33}, {1000 + 300 * 70 + 61 * 33, 17, 300}};
    tic_adamw_matrix matrices[COUNT];
    tic_packed packed[COUNT][2];
    tic_adamw_args a = make(TOTAL), plain = make(TOTAL);
    for (int i = 0; i < COUNT; i++) {
        const int64_t rows = shapes[i][1], cols = shapes[i][2];
        matrices[i] = (tic_adamw_matrix){.first = shapes[i][0], .rows = rows, .cols = cols};
        for (int p = 0; p < 2; p++) {
            packed[i][p] = packing(ctx, p ? TIC_NN : TIC_NT, precision, rows, cols);
            if (packed[i][p].data == NULL)
                continue;
            tic_gemm_pack(&packed[i][p], tic_f32(a.w + shapes[i][0], cols));
            matrices[i].packed[p] = &packed[i][p];
        }
    }
    a.matrices = matrices;
    a.matrix_count = COUNT;
    double squares = NAN, by_itself;
    a.squares = &squares;
    CHECK_OK(tic_square_sum(ctx, a.g, TOTAL, &by_itself, err));
    CHECK_OK(tic_ctx_reserve(ctx, tic_adamw_scratch(ctx, TOTAL, COUNT), err));
    const int growths = tic_ctx_growths(ctx);
    CHECK_OK(tic_adamw(ctx, &a, err));
    cr_assert_eq(tic_ctx_growths(ctx), growths);
    cr_assert(check_near(squares, by_itself, by_itself * TOTAL * 0x1p-53), "%.17g, not %.17g",
              squares, by_itself);
    CHECK_OK(tic_adamw(ctx, &plain, err));
    same_bits(a.w, plain.w, TOTAL * sizeof(float), "w", threads);
    same_bits(a.m, plain.m, TOTAL * sizeof(float), "m", threads);
    for (int i = 0; i < COUNT; i++)
        for (int p = 0; p < 2; p++) {
            if (packed[i][p].data == NULL)
                continue;
            tic_packed want = packed[i][p];
            want.data = check_alloc(want.bytes, 1);
            tic_gemm_pack(&want, tic_f32(plain.w + shapes[i][0], shapes[i][2]));
            same_bits(packed[i][p].data, want.data, want.bytes, "a packing", threads);
            tic_free(want.data);
            tic_free(packed[i][p].data);
        }
}

Test(adamw, packings_are_written_with_the_weights) {
    tic_packed any = {0};
    for (int t = 0; t < THREAD_COUNTS; t++) {
        tic_ctx *ctx = check_ctx(thread_counts[t]);
        for (int v = -1; (v = check_next(ctx, TIC_OP_ADAMW, v)) >= 0;)
            for (int precision = TIC_F32; precision <= TIC_BF16; precision++)
                check_packings(ctx, (tic_dtype)precision, thread_counts[t]);
        tic_free(any.data);
        any = packing(ctx, TIC_NT, TIC_F32, 10, 20);
        tic_ctx_free(ctx);
    }
    cr_assert(any.data != NULL, "no variant packs here, and nothing was tested");
    tic_free(any.data);
}

Test(adamw, misplaced_matrices_are_refused) {
    tic_ctx *ctx = check_ctx(1);
    tic_adamw_args a = make(100);
    tic_packed packed = packing(ctx, TIC_NT, TIC_F32, 6, 10);
    tic_adamw_matrix matrices[2] = {{0, 5, 10, {NULL}}, {49, 5, 10, {NULL}}};
    a.matrices = matrices;
    a.matrix_count = 2;
    CHECK_FAILS(TIC_EUSAGE, "misplaced", tic_adamw(ctx, &a, err)); /* overlapping */
    matrices[1].first = 51;
    CHECK_FAILS(TIC_EUSAGE, "misplaced", tic_adamw(ctx, &a, err)); /* beyond the end */
    matrices[1].first = 50;
    matrices[1].packed[1] = &packed;
    CHECK_FAILS(TIC_EUSAGE, "another shape", tic_adamw(ctx, &a, err));
    tic_free(packed.data);
    tic_ctx_free(ctx);
}

/* ---- sum of squares ------------------------------------------------------------------------- */

/* The squares are exact in double and the sum of n of them errs by at most n / 2^53. */
Test(square_sum, every_tier_gives_the_same_bits) {
    static const unsigned limits[] = {TIC_ISA_LIMIT_PORTABLE, TIC_ISA_AVX2, 0};
    static const int64_t sizes[] = {0, 1, 15, 16, 17, 16384, 100003};
    for (int s = 0; s < 7; s++) {
        const int64_t n = sizes[s];
        const float *x = normals(n, 1, 1e15); /* squares overflow f32 */
        long double want = 0;
        for (int64_t i = 0; i < n; i++)
            want += (long double)x[i] * x[i];
        double first = 0;
        for (int limit = 0; limit < 3; limit++)
            for (int t = 0; t < THREAD_COUNTS; t++) {
                const tic_ctx_options options = {thread_counts[t], limits[limit], NULL};
                tic_ctx *ctx;
                double got;
                CHECK_OK(tic_ctx_new(&ctx, &options, err));
                CHECK_OK(tic_square_sum(ctx, x, n, &got, err));
                cr_assert(check_near(got, (double)want, (double)want * (double)n * 0x1p-53));
                first = limit + t == 0 ? got : first;
                same_bits(&got, &first, sizeof got, "the sum", thread_counts[t]);
                tic_ctx_free(ctx);
            }
    }
}

Test(square_sum, is_not_finite_exactly_when_an_element_is_not) {
    tic_ctx *ctx = check_ctx(2);
    double sum;
    float *x = zeros(40000);
    for (int64_t i = 0; i < 40000; i += 7777) {
        x[i] = INFINITY;
        CHECK_OK(tic_square_sum(ctx, x, 40000, &sum, err));
        cr_assert(isinf(sum));
        x[i] = NAN;
        CHECK_OK(tic_square_sum(ctx, x, 40000, &sum, err));
        cr_assert(isnan(sum));
        x[i] = 3.4e38f;
        CHECK_OK(tic_square_sum(ctx, x, 40000, &sum, err));
        cr_assert(isfinite(sum));
    }
    CHECK_FAILS(TIC_EUSAGE, "square_sum", tic_square_sum(ctx, NULL, 1, &sum, err));
    tic_ctx_free(ctx);
}
