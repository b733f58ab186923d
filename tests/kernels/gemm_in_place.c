/* gemm whose micro-kernel reads an operand where it stands instead of a packing of it: the same
 * bits, at all edges, by any number of threads. */
#include "gemm_case.h"

#include "kernels/drive/gemm_cut.h"

/* Each variant that can, in blocks of k that are cut several times. */
static void for_each_that_can(void (*check)(const tic_variant *variant)) {
    int ran = 0;
    for (int i = 0; i < tic_registry_size; i++) {
        const tic_variant *variant = &tic_registry[i];
        if (variant->info.op != TIC_OP_GEMM || variant->run != tic_gemm_blocked ||
            variant->knobs[TIC_GEMM_A_IN_PLACE].name == NULL ||
            tic_variant_refuses(variant, tic_cpu_get()->isa) != NULL)
            continue;
        check(variant);
        ran++;
    }
    if (ran == 0)
        cr_skip_test("no generated micro-kernel runs on this CPU");
}

enum { KC = 48, MC = 60, NC = 64, NONE = 1, ALL = 4096 }; /* NONE: of C's columns, 2 or more */
static const char packed[] = " kc=48 mc=60 nc=64 in_place=1 a_in_place=0",
                  b_alone[] = " kc=48 mc=60 nc=64 in_place=4096 a_in_place=0",
                  a_alone[] = " kc=48 mc=60 nc=64 in_place=1 a_in_place=4096",
                  both[] = " kc=48 mc=60 nc=64 in_place=4096 a_in_place=4096";

static tic_gemm_cut cut_of(const tic_variant *variant, int kc, int b, int a, const setup *s) {
    const int knobs[TIC_MAX_KNOBS] = {kc, MC, NC, b, a};
    operands o = new_operands(s);
    tic_gemm_cut cut = tic_gemm_cut_of(variant, knobs, &o.args, 1);
    free_operands(&o);
    return cut;
}

static void expect_same(const tic_variant *variant, const char *one, const char *other,
                        const setup *s) {
    const size_t count = (size_t)(s->m * s->n);
    float *first = check_alloc(count + (size_t)s->m, sizeof *first);
    float *second = check_alloc(count + (size_t)s->m, sizeof *second);
    run_gemm(variant, one, 2, false, s, first);
    run_gemm(variant, other, 2, false, s, second);
    cr_assert(memcmp(first, second, (count + (s->colsum ? (size_t)s->m : 0)) * sizeof *first) == 0,
              "%s m %lld n %lld k %lld:%s,%s", variant->info.name, (long long)s->m, (long long)s->n,
              (long long)s->k, one, other);
    tic_free(first);
    tic_free(second);
}

/* ---- B --------------------------------------------------------------------------------------- */

static void check_b(const tic_variant *variant) {
    for (int64_t n = 16; n <= 208; n += 16)
        for (int tn = 0; tn < 2; tn++) {
            const setup s = {.trans = tn ? TIC_TN : TIC_NN,
                             .m = 13 + 7 * n / 16,
                             .n = n,
                             .k = 40 + n,
                             .accumulate = tn,
                             .colsum = tn,
                             .at_start = n % 32};
            cr_assert(!cut_of(variant, KC, NONE, NONE, &s).b_in_place);
            cr_assert(cut_of(variant, KC, ALL, NONE, &s).b_in_place);
            expect_same(variant, packed, b_alone, &s);
        }
}

Test(gemm_in_place, b_gives_the_bits_of_b_packed) {
    for_each_that_can(check_b);
}

/* ---- Aᵀ -------------------------------------------------------------------------------------- */

/* A CPU that does not tell its L2 has room for nothing. */
static void need_l2(void) {
    if (tic_cpu_get()->l2 == 0)
        cr_skip_test("the size of this CPU's L2 is not known");
}

/* Products of a k up to 128 that go straight to C pack Aᵀ. */
static void check_transposed_a(const tic_variant *variant) {
    for (int64_t n = 3; n <= 208; n += n % 2 ? 13 : 19) /* 3, 16, 35, 48, 67, ... */
        for (int direct = 0; direct < 2; direct++) {
            const setup s = {.trans = TIC_TN,
                             .m = 13 + n / 2,
                             .n = n,
                             .k = (direct ? 129 : 20) + n,
                             .bias = !direct,
                             .act = direct ? TIC_ACT_NONE : TIC_ACT_GELU,
                             .accumulate = direct,
                             .colsum = true,
                             .at_start = n % 4 == 1};
            const tic_problem problem = {.op = TIC_OP_GEMM,
                                         .trans = s.trans,
                                         .m = s.m,
                                         .n = s.n,
                                         .k = s.k,
                                         .bias = s.bias,
                                         .act = s.act};
            cr_assert(
                tic_variant_takes_a_in_place((int)(variant - tic_registry), &problem, TIC_F32, KC));
            cr_assert(!tic_variant_takes_a_in_place((int)(variant - tic_registry), &problem,
                                                    TIC_BF16, KC));
            const tic_gemm_cut with = cut_of(variant, KC, NONE, ALL, &s);
            cr_assert(with.in_place && !with.along && !with.b_in_place);
            cr_assert(!cut_of(variant, KC, NONE, NONE, &s).in_place);
            expect_same(variant, packed, a_alone, &s);
            expect_same(variant, packed, both, &s);
        }
}

Test(gemm_in_place, transposed_a_gives_the_bits_of_a_packed) {
    need_l2();
    for_each_that_can(check_transposed_a);
}

/* Against the truth, with column sums, by any number of threads. */
static void check_threads(const tic_variant *variant) {
    static const setup problems[] = {
        {.trans = TIC_TN, .m = 1, .n = 1, .k = 129, .colsum = true},
        {.trans = TIC_TN, .m = 203, .n = 17, .k = 333, .accumulate = true, .colsum = true},
        {.trans = TIC_TN, .m = 97, .n = 320, .k = 150, .accumulate = true, .colsum = true},
        {.trans = TIC_TN, .m = 31, .n = 1900, .k = 140, .colsum = true}, /* 7: by columns */
        {.trans = TIC_TN, .m = 165, .n = 167, .k = 90, .bias = true, .colsum = true},
    };
    static const int threads[] = {1, 2, 3, 4, 7};
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++) {
        setup s = problems[p];
        const size_t count = (size_t)(s.m * s.n + s.m);
        float *first = check_alloc(count, sizeof *first),
              *other = check_alloc(count, sizeof *other);
        cr_assert(cut_of(variant, KC, NONE, ALL, &s).in_place);
        static const char wide[] = " kc=48 mc=60 nc=4096 in_place=1 a_in_place=4096";
        for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
            run_gemm(variant, wide, threads[t], false, &s, t == 0 ? first : other);
            cr_assert(t == 0 || memcmp(first, other, count * sizeof *first) == 0, "%s: %d threads",
                      variant->info.name, threads[t]);
        }
        s.pad = 5;
        tic_plan *plan;
        tic_ctx *ctx = with_knobs(variant, wide, 3, &plan);
        check_case(ctx, &s);
        tic_ctx_free(ctx);
        tic_plan_free(plan);
        tic_free(first);
        tic_free(other);
    }
}

Test(gemm_in_place, transposed_a_is_right_by_any_number_of_threads) {
    need_l2();
    for_each_that_can(check_threads);
}

/* Rows so far apart that a block of them has no room in L2 are packed; of half of them it has. */
static void check_room(const tic_variant *variant) {
    int64_t ld = 1024;
    while (512 * ld * (int64_t)sizeof(float) <= (int64_t)tic_cpu_get()->l2)
        ld *= 2;
    setup s = {.trans = TIC_TN, .m = 45, .n = 20, .k = 512, .pad = ld - 45, .colsum = true};
    cr_assert(!cut_of(variant, 512, NONE, ALL, &s).in_place);
    cr_assert(cut_of(variant, 64, NONE, ALL, &s).in_place);
}

Test(gemm_in_place, rows_without_room_in_l2_are_packed) {
    need_l2();
    for_each_that_can(check_room);
}
