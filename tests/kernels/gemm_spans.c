/* gemm over several blocks and spans of k, at the sizes of blocks that training has: packings of
 * many rows, rows that share a set of L1, weights packed before, and a thread that the others wait
 * for. */
#include "gemm_case.h"

#include <omp.h>
#include <time.h>

static const char knobs[] = " kc=1024 mc=96 nc=4096";

/* ---- against the truth, by three threads ----------------------------------------------------- */

static void check_blocks(tic_ctx *small, const tic_variant *variant) {
    static const setup problems[] = {
        {.m = 1, .n = 1, .k = 1},
        /* spans; to 4 threads each packs B for itself, or reads it where it stands */
        {.trans = TIC_TN, .m = 389, .n = 67, .k = 2100, .accumulate = true, .colsum = true},
        {.trans = TIC_TN, .m = 389, .n = 64, .k = 2100, .accumulate = true, .colsum = true},
        {.trans = TIC_TN,
         .a = TIC_BF16,
         .b = TIC_BF16,
         .m = 131,
         .n = 83,
         .k = 1039,
         .colsum = true},
        /* rows a page apart, of f32 and of bf16 */
        {.trans = TIC_TN, .m = 29, .n = 45, .k = 75, .pad = 995, .colsum = true},
        {.trans = TIC_TN, .a = TIC_BF16, .b = TIC_BF16, .m = 29, .n = 45, .k = 75, .pad = 2019},
        {.trans = TIC_NT, .m = 29, .n = 45, .k = 29, .pad = 995},
        {.trans = TIC_NT, .a = TIC_BF16, .m = 29, .n = 45, .k = 30, .pad = 2018},
    };
    tic_plan *plan;
    tic_ctx *ctx = with_knobs(variant, knobs, 3, &plan);
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++) {
        check_case(ctx, &problems[p]);
        check_case(small, &problems[p]);
    }
    tic_ctx_free(ctx);
    tic_plan_free(plan);
}

Test(gemm_spans, blocks_of_many_rows) {
    for_each_variant(check_blocks, 1);
}

/* ---- a weight packed before, of more than a span --------------------------------------------- */

static void run(const tic_variant *variant, int threads, bool packs, const setup *s, float *out) {
    tic_plan *plan;
    tic_ctx *ctx = with_knobs(variant, knobs, threads, &plan);
    operands o = new_operands(s);
    tic_packed packed = tic_gemm_packing(ctx, &o.args);
    if (packs && packed.bytes > 0) {
        packed.data = check_alloc(packed.bytes, 1);
        tic_gemm_pack(&packed, o.args.b);
        o.args.packed_b = &packed;
    }
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    memcpy(out, o.args.c.data, (size_t)(s->m * s->n) * sizeof *out);
    tic_free(packed.data);
    free_operands(&o);
    tic_ctx_free(ctx);
    tic_plan_free(plan);
}

static void check_packed(tic_ctx *ctx, const tic_variant *variant) {
    static const int threads[] = {1, 2, 3, 4, 7};
    setup s = {.trans = TIC_NN, .m = 203, .n = 45, .k = 4200}, one = {.m = 1, .n = 1, .k = 1};
    const size_t count = (size_t)(s.m * s.n);
    float *first = check_alloc(count, sizeof *first), *other = check_alloc(count, sizeof *other);
    const tic_gemm_micro *micro = micro_of(variant);
    /* Others than the generated ones add C at the end of a block, and blocks are shorter where B is
     * packed in the call. */
    const bool begins_as_c = micro == NULL || micro->lanes > 0;
    check_case(ctx, &one); /* so that the caller sees the variant run */
    run(variant, 1, !begins_as_c, &s, first);
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        run(variant, threads[t], true, &s, other);
        cr_assert(memcmp(first, other, count * sizeof *first) == 0, "%s: %d threads",
                  variant->info.name, threads[t]);
    }
    tic_free(first);
    tic_free(other);
}

Test(gemm_spans, packed_weights_of_several_spans_give_the_same_bits) {
    for_each_variant(check_packed, 1);
}

/* ---- a late thread --------------------------------------------------------------------------- */

/* A row that only this program has: its micro-kernel is slow in one thread. */
static int late = -1;   /* that thread */
static int64_t done[2]; /* tiles of each */

static void late_tile(int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, bool add,
                      float *c, int64_t ldc, const tic_gemm_ahead *ahead) {
    const int thread = omp_get_thread_num();
    const struct timespec while_others_work = {0, 50 * 1000};
    if (thread == late)
        nanosleep(&while_others_work, NULL);
    done[thread]++;
    tic_gemm_micro_portable.across[0](k, a, lda, b, ldb, add, c, ldc, ahead);
}

static tic_gemm_run *const late_tiles[] = {late_tile};
static tic_gemm_micro late_micro;
static const tic_variant late_row = {
    .info = {"late", TIC_OP_GEMM, TIC_ISA_PORTABLE, 3, "one thread is slow"},
    .run = tic_gemm_blocked,
    .micro = &late_micro,
    .knobs = {{"kc", 384, 16, 4096}, {"mc", 144, 12, 4096}, {"nc", 4096, 64, 65536}},
};

const tic_variant *tic_test_row(int i) {
    late_micro = tic_gemm_micro_portable;
    late_micro.across = late_tiles;
    return i == 0 ? &late_row : NULL;
}

/* The other thread is through with all of its spans when the late one has hardly begun; it goes
 * back to that one's, packs B of them and takes their tiles. */
Test(gemm_spans, a_thread_that_is_through_helps_the_late_one) {
    const setup s = {
        .trans = TIC_TN, .m = 389, .n = 67, .k = 3000, .accumulate = true, .colsum = true};
    const size_t count = (size_t)(s.m * s.n);
    float *right = check_alloc(count, sizeof *right), *got = check_alloc(count, sizeof *got);
    tic_test_row(0);
    run(&late_row, 1, false, &s, right);
    for (late = 0; late < 2; late++) {
        done[0] = done[1] = 0;
        run(&late_row, 2, false, &s, got);
        cr_assert(memcmp(right, got, count * sizeof *got) == 0, "thread %d is late", late);
        cr_assert_gt(done[1 - late], 2 * done[late], "%lld tiles, the late one %lld",
                     (long long)done[1 - late], (long long)done[late]);
    }
    tic_free(right);
    tic_free(got);
}
