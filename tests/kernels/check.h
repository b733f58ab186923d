/* What the kernels' tests share: contexts, seeded operands, operands that end at a guard page,
 * comparisons under a derived bound, and loops over the variants that this machine can run. */
#ifndef TESTS_KERNELS_CHECK_H
#define TESTS_KERNELS_CHECK_H

#include "kernels/kernels.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        tic_error check_err_ = {.text = "(no text)"};                                              \
        tic_error *err = &check_err_;                                                              \
        tic_status check_status_ = (call);                                                         \
        cr_assert(check_status_ == TIC_OK, "%s: status %d: %s", #call, check_status_, err->text);  \
    } while (0)

/* The call names its tic_error `err`: CHECK_FAILS(TIC_EUSAGE, "lda", tic_gemm(ctx, &args, err)). */
#define CHECK_FAILS(expected, word, call)                                                          \
    do {                                                                                           \
        tic_error check_err_ = {.text = "(no text)"};                                              \
        tic_error *err = &check_err_;                                                              \
        tic_status check_status_ = (call);                                                         \
        cr_assert(check_status_ == (expected), "%s: status %d, expected %d", #call, check_status_, \
                  expected);                                                                       \
        cr_assert(err->status == (expected) && strstr(err->text, word) != NULL,                    \
                  "%s: \"%s\" does not mention \"%s\"", #call, err->text, word);                   \
    } while (0)

static inline tic_ctx *check_ctx(int threads) {
    tic_ctx *ctx = NULL;
    tic_ctx_options options = {.threads = threads};
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    return ctx;
}

/* Zeroed memory for `count` elements that is inside the process's checks (ASan sees its end). */
static inline void *check_alloc(size_t count, size_t size) {
    void *block = NULL;
    CHECK_OK(tic_alloc(&block, count, size, err));
    return block;
}

/* Uniform in [-scale, scale), a function of (seed, index) alone. */
static inline float check_value(uint64_t seed, uint64_t i, float scale) {
    tic_random key = {.seed = seed, .purpose = TIC_RNG_BENCH, .lane = 0};
    return (float)(tic_random_uniform(key, i) * 2 - 1) * scale;
}

static inline void check_fill(float *x, size_t count, uint64_t seed, float scale) {
    for (size_t i = 0; i < count; i++)
        x[i] = check_value(seed, i, scale);
}

static inline void check_fill_bf16(tic_bf16 *x, size_t count, uint64_t seed, float scale) {
    for (size_t i = 0; i < count; i++)
        x[i] = tic_to_bf16(check_value(seed, i, scale));
}

/* Memory whose last byte stands before a page that may not be touched (and whose first byte, when
 * `at_start`, after one). Unmapped with check_guarded_free. */
typedef struct check_guarded {
    void *data;
    void *map;
    size_t map_bytes;
} check_guarded;

static inline check_guarded check_guarded_new(size_t bytes, bool at_start) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    check_guarded g = {.map_bytes = whole + 2 * page};
    g.map = mmap(NULL, g.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(g.map != MAP_FAILED);
    unsigned char *inside = (unsigned char *)g.map + page;
    cr_assert(whole == 0 || mprotect(inside, whole, PROT_READ | PROT_WRITE) == 0);
    g.data = at_start ? inside : inside + whole - bytes;
    return g;
}

static inline void check_guarded_free(check_guarded *g) {
    munmap(g->map, g->map_bytes);
    *g = (check_guarded){0};
}

/* Whether `got` is `want` within `bound`; NaN only equals NaN, an infinity only itself. */
static inline bool check_near(double got, double want, double bound) {
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= bound;
}

/* Every variant of `op` that this context can run, one after the other:
 *   for (int v = -1; (v = check_next(ctx, TIC_OP_GEMM, v)) >= 0;)
 * forces each in turn. A variant that cannot run here is reported on stderr, once, and passed by.
 */
static inline int check_next(tic_ctx *ctx, tic_op op, int v) {
    static bool told[256];
    for (v++; v < tic_variant_count(); v++) {
        tic_variant_info info = tic_variant_get(v);
        tic_error err = {0};
        if (info.op != op)
            continue;
        if (tic_ctx_force(ctx, op, info.name, &err) == TIC_OK)
            return v;
        if (v < 256 && !told[v])
            fprintf(stderr, "not run here: %s\n", err.text);
        told[v & 255] = true;
    }
    CHECK_OK(tic_ctx_force(ctx, op, NULL, err));
    return -1;
}

#endif
