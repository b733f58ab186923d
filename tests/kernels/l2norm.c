/* L2 normalisation, forward and backward. */
#include "operands.h"

static const int64_t shapes[][2] = {{1, 1}, {5, 3}, {33, 128}, {17, 97}, {70, 512}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static tic_l2norm_args make(int64_t rows, int64_t d) {
    return (tic_l2norm_args){.rows = rows,
                             .d = d,
                             .eps = 1e-12f,
                             .x = normals(rows * d, 1, 3),
                             .y = zeros(rows * d),
                             .inverse = zeros(rows),
                             .dy = normals(rows * d, 2, 1),
                             .dx = zeros(rows * d)};
}

static void both(tic_ctx *ctx, const tic_l2norm_args *a, const char *variant) {
    force(ctx, TIC_OP_L2NORM, variant);
    force(ctx, TIC_OP_L2NORM_BACKWARD, variant);
    CHECK_OK(tic_l2norm(ctx, a, err));
    CHECK_OK(tic_l2norm_backward(ctx, a, err));
}

Test(l2norm, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < SHAPES; i++) {
        const int64_t rows = shapes[i][0], d = shapes[i][1];
        const tic_l2norm_args want = make(rows, d);
        both(ctx, &want, "ref");
        /* the norm errs relatively by EPS (sqrt(d) + 2), |y . dy| <= |dy|, |y| <= 1 */
        const double relative = EPS * (sqrt((double)d) + 8);
        const double dy = largest_norm(want.dy, rows, d), inverse = largest(want.inverse, rows);
        for (int v = -1; (v = check_next(ctx, TIC_OP_L2NORM, v)) >= 0;) {
            const tic_l2norm_args got = make(rows, d);
            both(ctx, &got, tic_variant_get(v).name);
            close_to(got.y, want.y, rows * d, 0, relative, "y");
            close_to(got.inverse, want.inverse, rows, 0, relative, "inverse");
            close_to(got.dx, want.dx, rows * d, 4 * relative * inverse * dy, 0, "dx");
            tic_l2norm_args in_place = got;
            in_place.dx = copy_of(got.dy, rows * d);
            in_place.dy = in_place.dx;
            CHECK_OK(tic_l2norm_backward(ctx, &in_place, err));
            same_bits(in_place.dx, got.dx, (size_t)(rows * d) * sizeof(float), "dx in place", 2);
        }
    }
    tic_ctx_free(ctx);
}

static tic_ctx *loss_ctx;

static double loss(void *state) {
    const tic_l2norm_args *a = state;
    CHECK_OK(tic_l2norm(loss_ctx, a, err));
    return weighted(a->y, a->dy, a->rows * a->d);
}

Test(l2norm, gradient_is_that_of_the_forward_pass) {
    tic_l2norm_args a = make(6, 19);
    loss_ctx = check_ctx(1);
    for (int v = -1; (v = check_next(loss_ctx, TIC_OP_L2NORM, v)) >= 0;) {
        both(loss_ctx, &a, tic_variant_get(v).name);
        force(loss_ctx, TIC_OP_L2NORM, "ref");
        gradient_of(loss, &a, (float *)a.x, 6 * 19, a.dx, 0x1p-6, "dx");
    }
    tic_ctx_free(loss_ctx);
}

Test(l2norm, edges) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_L2NORM, v)) >= 0;) {
        tic_l2norm_args a = make(4, 5);
        memset((float *)a.x, 0, 5 * sizeof(float)); /* a zero row stays zero, by eps */
        ((float *)a.x)[7] = NAN;
        ((float *)a.x)[12] = INFINITY;
        CHECK_OK(tic_l2norm(ctx, &a, err));
        for (int j = 0; j < 5; j++) {
            cr_assert_eq(a.y[j], 0);
            cr_assert(isnan(a.y[5 + j]));
            cr_assert(j == 2 ? isnan(a.y[10 + j]) : a.y[10 + j] == 0); /* Inf * 0, x * 0 */
            cr_assert(isfinite(a.y[15 + j]));
        }
    }
    tic_l2norm_args a = make(4, 5);
    a.y = NULL;
    CHECK_FAILS(TIC_EUSAGE, "missing", tic_l2norm(ctx, &a, err));
    a.rows = 0;
    CHECK_OK(tic_l2norm(ctx, &a, err));
    tic_ctx_free(ctx);
}

Test(l2norm, bits_do_not_depend_on_threads) {
    tic_l2norm_args want = {0};
    for (int i = 0; i < THREAD_COUNTS; i++) {
        tic_ctx *ctx = check_ctx(thread_counts[i]);
        const tic_l2norm_args a = make(150, 37);
        both(ctx, &a, NULL);
        if (i == 0)
            want = a;
        same_bits(a.y, want.y, 150 * 37 * sizeof(float), "y", thread_counts[i]);
        same_bits(a.dx, want.dx, 150 * 37 * sizeof(float), "dx", thread_counts[i]);
        tic_ctx_free(ctx);
    }
}
