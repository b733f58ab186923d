/* Layernorm, forward and backward. */
#include "operands.h"

typedef struct problem {
    int64_t rows, d, gap; /* gap: ld beyond d */
    tic_dtype type;
    bool add_dx;
} problem;
static const problem problems[] = {
    {1, 1, 0, TIC_F32, false},    {3, 7, 2, TIC_F32, true},     {65, 128, 0, TIC_F32, false},
    {200, 97, 3, TIC_F32, true},  {17, 768, 0, TIC_BF16, true}, {129, 33, 1, TIC_BF16, false},
    {500, 64, 0, TIC_F32, false}, {130, 521, 3, TIC_F32, true}, /* two rows of dX at a time */
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

/* A column of x is shifted far from zero, as residual streams are. */
static tic_layernorm_args make(const problem *p) {
    const int64_t ld = p->d + p->gap, n = p->rows * ld;
    float *x = normals(n, 1, 2);
    for (int64_t i = 0; i < p->rows; i++)
        x[i * ld] += 10;
    return (tic_layernorm_args){.rows = p->rows,
                                .d = p->d,
                                .eps = 1e-5f,
                                .x = x,
                                .ld_x = ld,
                                .gamma = normals(p->d, 2, 1),
                                .beta = normals(p->d, 3, 1),
                                .dy = mat_of(normals(n, 4, 1), p->rows, ld, p->type),
                                .ld_dx = ld,
                                .add_dx = p->add_dx};
}

static tic_layernorm_args with_outputs(const problem *p, const tic_layernorm_args *from) {
    tic_layernorm_args a = *from;
    a.y = mat_of(zeros(p->rows * a.ld_x), p->rows, a.ld_x, p->type);
    a.mean = zeros(p->rows);
    a.rstd = zeros(p->rows);
    a.dx = normals(p->rows * a.ld_x, 5, 1);
    a.dgamma = normals(p->d, 6, 1);
    a.dbeta = normals(p->d, 7, 1);
    return a;
}

static void both(tic_ctx *ctx, const tic_layernorm_args *a, const char *variant) {
    force(ctx, TIC_OP_LAYERNORM, variant);
    force(ctx, TIC_OP_LAYERNORM_BACKWARD, variant);
    CHECK_OK(tic_layernorm(ctx, a, err));
    CHECK_OK(tic_layernorm_backward(ctx, a, err));
}

/* The mean errs by EPS sqrt(d) |x|, so xhat by rstd times that, and relatively by rstd's own error;
 * sums over rows err by EPS sqrt(rows) times the sum of magnitudes. */
static void compare(const problem *p, const tic_layernorm_args *got,
                    const tic_layernorm_args *want) {
    const int64_t n = p->rows * want->ld_x;
    const double root = sqrt((double)p->d) + 8, rows = sqrt((double)p->rows);
    const double x = largest(want->x, n), rstd = largest(want->rstd, p->rows);
    const double xhat = EPS * root * rstd * x * 2, size = sqrt((double)p->d);
    const double gamma = largest(want->gamma, p->d), dy = largest(floats_of(want->dy, n), n);
    mat_close_to(got->y, want->y, n, xhat * gamma + EPS * 4 * (1 + largest(want->beta, p->d)), "y");
    close_to(got->mean, want->mean, p->rows, EPS * root * x, 0, "mean");
    close_to(got->rstd, want->rstd, p->rows, 2 * xhat * rstd, EPS * root, "rstd");
    /* dx = rstd (g - mean(g) - xhat mean(g xhat)): |xhat| <= sqrt(d), |mean(g xhat)| <= |g| */
    const double g = gamma * dy;
    close_to(got->dx, want->dx, n, rstd * g * (EPS * root * 4 * size + xhat * (2 + size)) + EPS * 8,
             EPS, "dx");
    const double terms = (double)p->rows * dy;
    close_to(got->dgamma, want->dgamma, p->d, terms * (xhat + EPS * (rows + 4) * size) + EPS * 8,
             EPS, "dgamma");
    close_to(got->dbeta, want->dbeta, p->d, terms * EPS * (rows + 4) + EPS * 8, EPS, "dbeta");
}

Test(layernorm, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < PROBLEMS; i++) {
        const problem *p = &problems[i];
        const tic_layernorm_args base = make(p), want = with_outputs(p, &base);
        both(ctx, &want, "ref");
        for (int v = -1; (v = check_next(ctx, TIC_OP_LAYERNORM, v)) >= 0;) {
            const tic_layernorm_args got = with_outputs(p, &base);
            both(ctx, &got, tic_variant_get(v).name);
            compare(p, &got, &want);
            for (int64_t r = 0; r < p->rows; r++)
                for (int64_t j = p->d; j < base.ld_x; j++)
                    cr_assert_eq(element(got.y, r * base.ld_x + j), 0);
        }
    }
    tic_ctx_free(ctx);
}

typedef struct forward { /* for differences */
    tic_ctx *ctx;
    tic_layernorm_args a;
    const float *weights;
} forward;

static double loss(void *state) {
    forward *f = state;
    CHECK_OK(tic_layernorm(f->ctx, &f->a, err));
    return weighted(f->a.y.data, f->weights, f->a.rows * f->a.ld_x);
}

Test(layernorm, gradients_are_those_of_the_forward_pass) {
    static const problem p = {5, 33, 0, TIC_F32, false};
    forward f = {.ctx = check_ctx(2), .a = make(&p)};
    f.a = with_outputs(&p, &f.a);
    f.weights = f.a.dy.data;
    for (int v = -1; (v = check_next(f.ctx, TIC_OP_LAYERNORM, v)) >= 0;) {
        memset(f.a.dgamma, 0, sizeof(float) * 33);
        memset(f.a.dbeta, 0, sizeof(float) * 33);
        both(f.ctx, &f.a, tic_variant_get(v).name);
        force(f.ctx, TIC_OP_LAYERNORM, "ref");
        gradient_of(loss, &f, (float *)f.a.x, p.rows * p.d, f.a.dx, 0x1p-6, "dx");
        gradient_of(loss, &f, (float *)f.a.gamma, p.d, f.a.dgamma, 0x1p-4, "dgamma");
        gradient_of(loss, &f, (float *)f.a.beta, p.d, f.a.dbeta, 0x1p-4, "dbeta");
    }
    tic_ctx_free(f.ctx);
}

static void same_for_threads(problem p) {
    const tic_layernorm_args base = make(&p);
    tic_layernorm_args want = {0};
    for (int i = 0; i < THREAD_COUNTS; i++) {
        tic_ctx *ctx = check_ctx(thread_counts[i]);
        const tic_layernorm_args a = with_outputs(&p, &base);
        both(ctx, &a, NULL);
        if (i == 0)
            want = a;
        const size_t row = (size_t)p.d * sizeof(float), all = (size_t)p.rows * row;
        same_bits(a.y.data, want.y.data, all, "y", thread_counts[i]);
        same_bits(a.dx, want.dx, all, "dx", thread_counts[i]);
        same_bits(a.dgamma, want.dgamma, row, "dgamma", thread_counts[i]);
        same_bits(a.dbeta, want.dbeta, row, "dbeta", thread_counts[i]);
        tic_ctx_free(ctx);
    }
}

Test(layernorm, bits_do_not_depend_on_threads) {
    same_for_threads((problem){1000, 97, 0, TIC_F32, true});
    same_for_threads((problem){301, 512, 0, TIC_F32, true});
}

Test(layernorm, not_finite_stays_in_its_row) {
    static const problem p = {3, 40, 0, TIC_F32, false};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_LAYERNORM, v)) >= 0;)
        for (int b = 0; b < 3; b++) {
            tic_layernorm_args a = make(&p);
            ((float *)a.x)[40 + 38] = bad[b];
            a = with_outputs(&p, &a);
            both(ctx, &a, tic_variant_get(v).name);
            for (int64_t i = 0; i < 120; i++)
                cr_assert_eq(isnan(element(a.y, i)) && isnan(a.dx[i]), i / 40 == 1);
        }
    tic_ctx_free(ctx);
}

Test(layernorm, scratch_is_what_was_reserved_and_arguments_are_checked) {
    tic_ctx *ctx = check_ctx(3);
    for (int i = 0; i < PROBLEMS; i++) {
        const problem *p = &problems[i];
        tic_layernorm_args a = make(p);
        a = with_outputs(p, &a);
        CHECK_OK(tic_ctx_reserve(ctx, tic_layernorm_scratch(ctx, p->rows, p->d), err));
        both(ctx, &a, NULL);
        cr_assert_eq(tic_ctx_growths(ctx), 0);
        a.ld_x = p->d - 1;
        CHECK_FAILS(TIC_EUSAGE, "layernorm", tic_layernorm(ctx, &a, err));
        a.ld_x = p->d;
        a.rstd = NULL;
        CHECK_OK(tic_layernorm(ctx, &a, err));
        CHECK_FAILS(TIC_EUSAGE, "missing", tic_layernorm_backward(ctx, &a, err));
        a.rows = 0;
        CHECK_OK(tic_layernorm(ctx, &a, err));
    }
    tic_ctx_free(ctx);
}
