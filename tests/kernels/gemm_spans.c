/* gemm over several blocks and spans of k, at the sizes of blocks that training has: packings of
 * many rows, rows that share a set of L1, weights packed before, and a thread that the others wait
 * for. */
#include "gemm_case.h"

#include <omp.h>
#include <stdatomic.h>
#include <time.h>

static const char knobs[] = " kc=1024 mc=96 nc=4096";

/* ---- against the truth, by three threads ----------------------------------------------------- */

static void check_blocks(tic_ctx *ctx, const tic_variant *variant) {
    static const setup problems[] = {
        {.m = 1, .n = 1, .k = 1},
        /* spans; to 4 threads each packs B for itself, or reads it where it stands */
        {.trans = TIC_TN, .m = 257, .n = 67, .k = 1100, .accumulate = true, .colsum = true},
        {.trans = TIC_TN, .m = 257, .n = 64, .k = 1100, .accumulate = true, .colsum = true},
        {.trans = TIC_TN,
         .a = TIC_BF16,
         .b = TIC_BF16,
         .m = 131,
         .n = 83,
         .k = 1039,
         .colsum = true},
        /* rows a page apart, of f32 and of bf16 */
        {.trans = TIC_TN, .m = 45, .n = 45, .k = 75, .pad = 979, .colsum = true},
        {.trans = TIC_TN, .a = TIC_BF16, .b = TIC_BF16, .m = 45, .n = 45, .k = 75, .pad = 2003},
        {.trans = TIC_NT, .m = 29, .n = 45, .k = 29, .pad = 995},
        {.trans = TIC_NT, .a = TIC_BF16, .m = 29, .n = 45, .k = 30, .pad = 2018},
    };
    tic_plan *plan;
    tic_ctx *whole = with_knobs(variant, knobs, 3, &plan);
    check_case(ctx, &problems[0]); /* so that the caller sees the variant run */
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++)
        check_case(whole, &problems[p]);
    tic_ctx_free(whole);
    tic_plan_free(plan);
}

Test(gemm_spans, blocks_of_many_rows) {
    for_each_variant(check_blocks, 1);
}

/* ---- a weight packed before, of more than a span --------------------------------------------- */

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
    run_gemm(variant, knobs, 1, !begins_as_c, &s, first);
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        run_gemm(variant, knobs, threads[t], true, &s, other);
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

/* A row that only this program has: its micro-kernel holds two threads up. The late one waits in
 * its first tile until the other is through with its own share of all blocks and has taken an item
 * of the late one's first block. In that item the other then waits until the late one has done the
 * rest of this block and as much of the next: there it must wait for the item's rows. */
enum {
    TILES = 65,       /* of 389 rows, 6 each */
    PANELS = 9,       /* of 67 columns, 8 each */
    BLOCKS = 6,       /* of k 3000, 512 at most */
    THREE = 24,       /* tiles of three of a thread's four items: the fourth is taken */
    PATIENCE = 20000, /* ms */
};
static int late = -1;            /* that thread; -1: none */
static _Atomic int64_t begun[2]; /* tiles of each */
static _Atomic bool impatient;

static void wait_until(int thread, int64_t tiles) {
    const struct timespec millisecond = {0, 1000 * 1000};
    for (int i = 0; atomic_load(&begun[thread]) < tiles; i++) {
        nanosleep(&millisecond, NULL);
        if (i == PATIENCE) {
            atomic_store(&impatient, true);
            return;
        }
    }
}

static void hold_up(void) {
    const struct timespec to_do_it_wrong = {0, 50 * 1000 * 1000};
    const int thread = omp_get_thread_num(), other = 1 - late;
    const int64_t own = (other == 0 ? TILES / 2 : TILES - TILES / 2) * PANELS * BLOCKS;
    const int64_t nth = atomic_fetch_add(&begun[thread], 1) + 1;
    if (thread == late && nth == 1)
        wait_until(other, own + 1);
    if (thread == other && nth == own + 2) {
        wait_until(late, 2 * THREE * PANELS);
        nanosleep(&to_do_it_wrong, NULL);
    }
}

static void late_tile(int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, bool add,
                      float *c, int64_t ldc, const tic_gemm_ahead *ahead) {
    if (late >= 0)
        hold_up();
    tic_gemm_micro_portable.across[0](k, a, lda, b, ldb, add, c, ldc, ahead);
}

static tic_gemm_run *const late_tiles[] = {late_tile};
static tic_gemm_micro late_micro;
static const tic_variant late_row = {
    .info = {"late", TIC_OP_GEMM, TIC_ISA_PORTABLE, 3, "one thread is late"},
    .run = tic_gemm_blocked,
    .micro = &late_micro,
    .knobs = {{"kc", 384, 16, 4096}, {"mc", 144, 12, 4096}, {"nc", 4096, 64, 65536}},
};

const tic_variant *tic_test_row(int i) {
    late_micro = tic_gemm_micro_portable;
    late_micro.across = late_tiles;
    return i == 0 ? &late_row : NULL;
}

Test(gemm_spans, a_thread_that_is_through_helps_the_late_one) {
    const setup s = {
        .trans = TIC_TN, .m = 389, .n = 67, .k = 3000, .accumulate = true, .colsum = true};
    const size_t count = (size_t)(s.m * s.n + s.m);
    float *right = check_alloc(count, sizeof *right), *got = check_alloc(count, sizeof *got);
    tic_test_row(0);
    omp_set_dynamic(0);
    run_gemm(&late_row, knobs, 1, false, &s, right);
    for (int thread = 0; thread < 2; thread++) {
        atomic_store(&begun[0], 0);
        atomic_store(&begun[1], 0);
        late = thread;
        run_gemm(&late_row, knobs, 2, false, &s, got);
        late = -1;
        cr_assert(!atomic_load(&impatient), "thread %d was late; tiles %lld and %lld", thread,
                  (long long)atomic_load(&begun[0]), (long long)atomic_load(&begun[1]));
        cr_assert(memcmp(right, got, count * sizeof *got) == 0, "thread %d was late", thread);
    }
    tic_free(right);
    tic_free(got);
}
