/* bench_tiles: what AMX tiles reach in loops of nothing but loads, products and stores, by where
 * the operands come from: the ceiling of any bf16 gemm of that shape and order, before epilogue,
 * packing and the memory of A and C. docs/performance.md sets the gemm beside it.
 *
 * C[1600, n] in blocks of 32 x 32 over packed A and B of k, one thread. A strip of A (32 rows)
 * meets all panels of B (32 columns) before the next strip comes.
 *
 * A block is computed in eight registers, each of A's and B's tiles in one of its own, or in six,
 * where A's share one and B's another and one tile of A is loaded twice. How fast the eight are
 * tells whether the core's other hardware thread is busy, and so do adds that depend on nothing,
 * printed with every row: it halves the instructions that a core takes in a cycle. */
#include "autotune/autotune.h"
#include "kernels/amx.h"

#include <stdio.h>
#include <string.h>

enum {
    ROWS = 1600,
    BLOCK = 32,
    PAIR = 2 * TIC_TILE_BYTES,
    SUMS = BLOCK * BLOCK,
    KEPT = 12, /* steps of A that L1 keeps: 24 KiB */
    ROUNDS = 7
};

typedef struct loop {
    int64_t strips, panels, steps, chunk;
    bool six;    /* registers, else eight */
    bool stand;  /* operands stay at the first step: in L1 */
    bool stores; /* sums leave the tiles at the end of k */
    bool passes; /* B, and A beyond KEPT steps, by loads that leave L1 to others */
    const unsigned char *a, *b;
    float *partial; /* [strips][panels][SUMS] */
} loop;

#define LOAD(t, from, passes)                                                                      \
    if (passes)                                                                                    \
        TIC_TILE_STREAM(t, from, 64);                                                              \
    else                                                                                           \
        TIC_TILE_LOAD(t, from, 64)

/* A step of k. First: the tiles hold the sums of a block that is done, or nothing; these leave, and
 * what earlier chunks left of this block's comes. */
#define START(c, place)                                                                            \
    if (done != NULL)                                                                              \
        TIC_TILE_STORE(c, done + (place), 128);                                                    \
    if (from != NULL)                                                                              \
        TIC_TILE_STREAM(c, from + (place), 128);                                                   \
    else                                                                                           \
        TIC_TILE_ZERO(c)
#define KEEP(c, place) (void)0

#define IN_EIGHT(start)                                                                            \
    LOAD(6, b, l->passes);                                                                         \
    LOAD(4, a, rest);                                                                              \
    start(0, 0);                                                                                   \
    TIC_TILE_PRODUCT(0, 4, 6);                                                                     \
    LOAD(5, a + TIC_TILE_BYTES, rest);                                                             \
    start(2, 512);                                                                                 \
    TIC_TILE_PRODUCT(2, 5, 6);                                                                     \
    LOAD(7, b + TIC_TILE_BYTES, l->passes);                                                        \
    start(1, 16);                                                                                  \
    TIC_TILE_PRODUCT(1, 4, 7);                                                                     \
    start(3, 528);                                                                                 \
    TIC_TILE_PRODUCT(3, 5, 7)

#define IN_SIX(start)                                                                              \
    LOAD(7, b, l->passes);                                                                         \
    LOAD(6, a, rest);                                                                              \
    start(0, 0);                                                                                   \
    TIC_TILE_PRODUCT(0, 6, 7);                                                                     \
    LOAD(6, a + TIC_TILE_BYTES, rest);                                                             \
    start(2, 512);                                                                                 \
    TIC_TILE_PRODUCT(2, 6, 7);                                                                     \
    LOAD(7, b + TIC_TILE_BYTES, l->passes);                                                        \
    start(3, 528);                                                                                 \
    TIC_TILE_PRODUCT(3, 6, 7);                                                                     \
    LOAD(6, a, rest);                                                                              \
    start(1, 16);                                                                                  \
    TIC_TILE_PRODUCT(1, 6, 7)

/* Returns where the sums that are in the tiles go, NULL: nowhere. */
#define CHUNK(name, step)                                                                          \
    static float *name(const loop *l, int64_t strip, int64_t panel, int64_t first, float *done) {  \
        const int64_t n = l->steps - first < l->chunk ? l->steps - first : l->chunk;               \
        static float sums[2][SUMS] __attribute__((aligned(64)));                                   \
        const unsigned char *a = l->a, *b = l->b;                                                  \
        float *own = l->partial + (strip * l->panels + panel) * SUMS;                              \
        const float *from = first > 0 ? own : NULL;                                                \
        bool rest = false;                                                                         \
        if (!l->stand) {                                                                           \
            a += (strip * l->steps + first) * PAIR;                                                \
            b += (panel * l->steps + first) * PAIR;                                                \
        }                                                                                          \
        step(START);                                                                               \
        for (int64_t p = 1; p < n; p++) {                                                          \
            a += l->stand ? 0 : PAIR;                                                              \
            b += l->stand ? 0 : PAIR;                                                              \
            rest = l->passes && p >= KEPT;                                                         \
            step(KEEP);                                                                            \
        }                                                                                          \
        return !l->stores ? NULL : first + n == l->steps ? sums[panel % 2] : own;                  \
    }
CHUNK(chunk_in_eight, IN_EIGHT)
CHUNK(chunk_in_six, IN_SIX)

static void run(const loop *l) {
    float *done = NULL;
    tic_amx_begin();
    for (int64_t s = 0; s < l->strips; s++)
        for (int64_t first = 0; first < l->steps; first += l->chunk)
            for (int64_t q = 0; q < l->panels; q++)
                done = (l->six ? chunk_in_six : chunk_in_eight)(l, s, q, first, done);
    tic_amx_end();
}

/* Adds a nanosecond that depend on nothing. */
static double adds_a_ns(void) {
    enum { ADDS = 20000 };
    const double begun = tic_now();
    for (int i = 0; i < ADDS; i++)
        __asm__ volatile("lea 1(%%rsi), %%rax\nlea 1(%%rsi), %%rcx\nlea 1(%%rsi), %%rdx\n"
                         "lea 1(%%rsi), %%r8\nlea 1(%%rsi), %%r9\nlea 1(%%rsi), %%r10\n"
                         "lea 1(%%rsi), %%r11\nlea 1(%%rsi), %%rdi\n"
                         :
                         :
                         : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "rdi");
    return 8e-9 * ADDS / (tic_now() - begun);
}

static double rate_of(const loop *l) {
    const double macs = (double)(l->strips * l->panels * l->steps) * 4 * TIC_TILE_MACS;
    const double begun = tic_now();
    run(l);
    return 1e-9 * macs / (tic_now() - begun);
}

typedef struct sample {
    double share, rate, adds; /* of the peak that is measured before and after */
} sample;

static sample median_sample(const loop *l) {
    sample samples[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        const double adds = adds_a_ns();
        const double before = tic_peak_rate(TIC_PEAK_AMX, ~0u, 1, 0.001), rate = rate_of(l);
        const double after = tic_peak_rate(TIC_PEAK_AMX, ~0u, 1, 0.001);
        samples[i] = (sample){2 * rate / (before + after), rate, (adds + adds_a_ns()) / 2};
        for (int j = i; j > 0 && samples[j].share < samples[j - 1].share; j--) {
            const sample x = samples[j];
            samples[j] = samples[j - 1];
            samples[j - 1] = x;
        }
    }
    return samples[ROUNDS / 2];
}

/* Numbers of both signs around 1: zeros would be one page that everything reads, and take less
 * power. */
static void fill(unsigned char *to, int64_t count) {
    tic_bf16 *numbers = (tic_bf16 *)(void *)to;
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        numbers[i] = (tic_bf16)(0x3f00 | (state >> 16 & 0x80ff));
    }
}

static tic_status measure(tic_error *err) {
    static const struct {
        const char *what;
        int64_t n, k, chunk;
        bool six, stand, stores, passes;
    } rows[] = {
        {"eight registers, operands in L1", 768, 768, 768, false, true, false, false},
        {"six registers, operands in L1", 768, 768, 768, true, true, false, false},
        {"eight: A in L1, B passes, stored", 384, 384, 384, false, false, true, true},
        {"six: A in L1, B passes, stored", 384, 384, 384, true, false, true, true},
        {"A in L1, B from L2, stored", 768, 256, 256, true, false, true, false},
        {"B evicts A", 768, 512, 512, true, false, true, false},
        {"A in L1, B passes", 768, 512, 512, true, false, true, true},
        {"A and B from L2", 768, 768, 768, true, false, true, false},
        {"half of A in L1, B passes", 768, 768, 768, true, false, true, true},
        {"A in L1, B passes, sums travel", 768, 768, 384, true, false, true, true},
        {"B from beyond L2", 768, 3072, 3072, true, false, true, false},
        {"A in L1, B passes, sums travel", 768, 3072, 384, true, false, true, true},
    };
    enum { MOST_N = 768, MOST_K = 3072 };
    unsigned char *a = NULL, *b = NULL;
    float *partial = NULL;
    tic_status status = tic_alloc(&a, ROWS * MOST_K, 2, err);
    if (status == TIC_OK)
        status = tic_alloc(&b, MOST_N * MOST_K, 2, err);
    if (status == TIC_OK)
        status = tic_alloc(&partial, ROWS * MOST_N, sizeof(float), err);
    if (status == TIC_OK) {
        fill(a, ROWS * MOST_K);
        fill(b, MOST_N * MOST_K);
        memset(partial, 0, (size_t)(ROWS * MOST_N) * sizeof(float));
        printf("%6s %6s %6s  %-34s %6s %8s %9s\n", "n", "k", "chunk", "tiles", "peak", "GMAC/s",
               "adds a ns");
    }
    for (size_t i = 0; status == TIC_OK && i < sizeof rows / sizeof rows[0]; i++) {
        const loop l = {.strips = ROWS / BLOCK,
                        .panels = rows[i].n / BLOCK,
                        .steps = rows[i].k / TIC_TILE_K,
                        .chunk = rows[i].chunk / TIC_TILE_K,
                        .six = rows[i].six,
                        .stand = rows[i].stand,
                        .stores = rows[i].stores,
                        .passes = rows[i].passes,
                        .a = a,
                        .b = b,
                        .partial = partial};
        run(&l);
        const sample x = median_sample(&l);
        printf("%6lld %6lld %6lld  %-34s %4.0f %% %8.0f %9.1f\n", (long long)rows[i].n,
               (long long)rows[i].k, (long long)rows[i].chunk, rows[i].what, 100 * x.share, x.rate,
               x.adds);
    }
    tic_free(a);
    tic_free(b);
    tic_free(partial);
    return status;
}

int main(void) {
    tic_error err;
    if (!(tic_cpu_get()->isa & TIC_ISA_AMX_BF16)) {
        puts("not measured here: this CPU, or its kernel, has no AMX tiles for bf16");
        return 0;
    }
    if (measure(&err) == TIC_OK)
        return 0;
    fprintf(stderr, "bench_tiles: %s\n", err.text);
    return 1;
}
