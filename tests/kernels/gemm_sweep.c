/* gemm at length (suite slow): every number of rows and columns up to twice the tile together,
 * primes beyond, and identities of whole large products that need no reference. */
#include "gemm_case.h"

/* Rows and columns meet each other, at a k that ends within an unrolled round and a block. */
static void check_pairs(tic_ctx *ctx, const tic_variant *variant) {
    const tic_gemm_micro *micro = micro_of(variant);
    const int tile_m = micro != NULL ? micro->tile_m : 16,
              tile_n = micro != NULL ? micro->tile_n : 32;
    for (int trans = TIC_NN; trans <= TIC_TN; trans++)
        for (int64_t m = 1; m <= 2 * tile_m + 1; m++)
            for (int64_t n = 1; n <= 2 * tile_n + 1; n++) {
                setup s = {.trans = (tic_trans)trans, .m = m, .n = n, .k = 1 + (m * 31 + n) % 23};
                check_case(ctx, &s);
            }
}

Test(gemm_sweep, every_row_count_with_every_column_count, .timeout = 600) {
    for_each_variant(check_pairs, 1);
}

static void check_primes(tic_ctx *ctx, const tic_variant *variant) {
    static const int64_t primes[] = {17, 29, 43, 71, 103, 137, 211, 307};
    (void)variant;
    for (int trans = TIC_NN; trans <= TIC_TN; trans++)
        for (size_t i = 0; i < 8; i++)
            for (size_t j = 0; j < 8; j++) {
                setup s = {.trans = (tic_trans)trans,
                           .precision = (tic_dtype)(i % 2),
                           .m = primes[i],
                           .n = primes[(i + j) % 8],
                           .k = primes[j],
                           .bias = j % 2,
                           .accumulate = i % 3 == 0};
                check_case(ctx, &s);
            }
}

Test(gemm_sweep, primes, .timeout = 600) {
    for_each_variant(check_primes, 2);
}

/* C x = A (B x) for a vector of signs: every element of the product takes part. */
static double element(tic_mat mat, bool transposed, int64_t i, int64_t j) {
    return ((const float *)mat.data)[transposed ? j * mat.ld + i : i * mat.ld + j];
}

static void check_identity(tic_ctx *ctx, const tic_problem *problem) {
    const setup s = {.trans = problem->trans, .m = problem->m, .n = problem->n, .k = problem->k};
    operands o = new_operands(&s);
    double *x = check_alloc((size_t)s.n, sizeof *x), *bx = check_alloc((size_t)s.k, sizeof *bx);
    double *size = check_alloc((size_t)s.k, sizeof *size); /* |B| |x| */
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    for (int64_t j = 0; j < s.n; j++)
        x[j] = check_value(21, (uint64_t)j, 1) < 0 ? -1 : 1;
    for (int64_t p = 0; p < s.k; p++)
        for (int64_t j = 0; j < s.n; j++) {
            double b = element(o.args.b, s.trans == TIC_NT, p, j);
            bx[p] += b * x[j];
            size[p] += fabs(b);
        }
    for (int64_t i = 0; i < s.m; i++) {
        double cx = 0, want = 0, bound = 0;
        for (int64_t j = 0; j < s.n; j++)
            cx += element(o.args.c, false, i, j) * x[j];
        for (int64_t p = 0; p < s.k; p++) {
            double a = element(o.args.a, s.trans == TIC_TN, i, p);
            want += a * bx[p];
            bound += fabs(a) * size[p];
        }
        /* the n sums' roundings have either sign: their sum is off by the root of n times one */
        bound *= u * roundings(s.k) * 4 / sqrt((double)s.n);
        cr_assert(check_near(cx, want, bound), "%s, row %lld: %.12g, not %.12g +- %.3g",
                  problem->name, (long long)i, cx, want, bound);
    }
    tic_free(x);
    tic_free(bx);
    tic_free(size);
    free_operands(&o);
}

Test(gemm_sweep, identities_of_large_products, .timeout = 600) {
    tic_ctx *ctx = check_ctx(2);
    int seen = 0;
    for (int i = 0; i < tic_problem_count(); i++) {
        const tic_problem *problem = tic_problem_get(i);
        if (problem->op != TIC_OP_GEMM || problem->m * problem->n * problem->k < (int64_t)1 << 28)
            continue;
        for (int v = -1; (v = check_next(ctx, TIC_OP_GEMM, v)) >= 0;) {
            const tic_variant_info info = tic_variant_get(v);
            if (!(info.precisions & 1u << TIC_F32) || strcmp(info.name, "ref") == 0 ||
                strcmp(info.name, "portable") == 0)
                continue;
            check_identity(ctx, problem);
            seen++;
        }
    }
    cr_assert(seen >= 20 || !(tic_ctx_isa(ctx) & TIC_ISA_AVX2));
    tic_ctx_free(ctx);
}
