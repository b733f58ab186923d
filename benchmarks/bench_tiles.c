/* bench_tiles: what AMX tiles reach in loops of nothing but loads, products and stores, by where
 * the operands come from: the ceiling of any bf16 gemm of that shape and order, before epilogue,
 * packing and the memory of A and C. docs/performance.md sets the gemm beside it.
 *
 * C[1600, n] in blocks of 32 x 32 over packed A and B of k, one thread. A strip of A (32 rows)
 * meets all panels of B (32 columns) before the next strip comes. */
#include "autotune/autotune.h"
#include "kernels/amx.h"

#include <stdio.h>

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

static void chunk_of_block(const loop *l, int64_t strip, int64_t panel, int64_t first) {
    const int64_t n = l->steps - first < l->chunk ? l->steps - first : l->chunk;
    const bool last = first + n == l->steps;
    static float sums[SUMS] __attribute__((aligned(64)));
    const unsigned char *a = l->a, *b = l->b;
    float *own = l->partial + (strip * l->panels + panel) * SUMS;
    if (!l->stand) {
        a += (strip * l->steps + first) * PAIR;
        b += (panel * l->steps + first) * PAIR;
    }
    if (first > 0) {
        TIC_TILE_LOAD(0, own, 128);
        TIC_TILE_LOAD(1, own + 16, 128);
        TIC_TILE_LOAD(2, own + 512, 128);
        TIC_TILE_LOAD(3, own + 528, 128);
    } else {
        TIC_TILE_ZERO(0);
        TIC_TILE_ZERO(1);
        TIC_TILE_ZERO(2);
        TIC_TILE_ZERO(3);
    }
    for (int64_t p = 0; p < n; p++) {
        const bool rest = l->passes && p >= KEPT;
        LOAD(6, b, l->passes);
        LOAD(4, a, rest);
        TIC_TILE_PRODUCT(0, 4, 6);
        LOAD(5, a + TIC_TILE_BYTES, rest);
        TIC_TILE_PRODUCT(2, 5, 6);
        LOAD(7, b + TIC_TILE_BYTES, l->passes);
        TIC_TILE_PRODUCT(1, 4, 7);
        TIC_TILE_PRODUCT(3, 5, 7);
        a += l->stand ? 0 : PAIR;
        b += l->stand ? 0 : PAIR;
    }
    if (!l->stores)
        return;
    float *to = last ? sums : own;
    TIC_TILE_STORE(0, to, 128);
    TIC_TILE_STORE(1, to + 16, 128);
    TIC_TILE_STORE(2, to + 512, 128);
    TIC_TILE_STORE(3, to + 528, 128);
}

/* Bands of six strips, as the gemm has by default (mc 192), so that the sums stay in L2. */
static void run(const loop *l) {
    enum { BAND = 6 };
    tic_amx_begin();
    for (int64_t band = 0; band < l->strips; band += BAND)
        for (int64_t first = 0; first < l->steps; first += l->chunk)
            for (int64_t s = band; s < band + BAND && s < l->strips; s++)
                for (int64_t q = 0; q < l->panels; q++)
                    chunk_of_block(l, s, q, first);
    tic_amx_end();
}

/* Share of the peak that is measured before and after: the median of the rounds. */
static double share_of(const loop *l) {
    const double macs = (double)(l->strips * l->panels * l->steps) * 4 * TIC_TILE_MACS;
    double shares[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        const double before = tic_peak_rate(TIC_PEAK_AMX, ~0u, 1, 0.001), begun = tic_now();
        run(l);
        const double rate = 1e-9 * macs / (tic_now() - begun);
        shares[i] = 2 * rate / (before + tic_peak_rate(TIC_PEAK_AMX, ~0u, 1, 0.001));
        for (int j = i; j > 0 && shares[j] < shares[j - 1]; j--) {
            const double x = shares[j];
            shares[j] = shares[j - 1];
            shares[j - 1] = x;
        }
    }
    return shares[ROUNDS / 2];
}

static tic_status measure(tic_error *err) {
    static const struct {
        const char *what;
        int64_t n, k, chunk;
        bool stand, stores, passes;
    } rows[] = {
        {"operands in L1", 768, 768, 768, true, false, false},
        {"A in L1, B from L2", 768, 256, 256, false, false, false},
        {"the same, sums stored", 768, 256, 256, false, true, false},
        {"A and B from L2", 768, 768, 768, false, false, false},
        {"the same, sums stored", 768, 768, 768, false, true, false},
        {"half of A in L1, B passes, stored", 768, 768, 768, false, true, true},
        {"A in L1, B passes, sums travel", 768, 768, 384, false, true, true},
        {"B evicts A, sums stored", 768, 512, 512, false, true, false},
        {"A in L1, B passes, sums stored", 768, 512, 512, false, true, true},
        {"the same", 384, 384, 384, false, true, true},
        {"the same", 512, 128, 128, false, true, true},
        {"B from beyond L2", 768, 3072, 3072, false, true, false},
        {"A in L1, B passes, sums travel", 768, 3072, 384, false, true, true},
    };
    enum { MOST_N = 768, MOST_K = 3072 };
    unsigned char *a = NULL, *b = NULL;
    float *partial = NULL;
    tic_status status = tic_alloc(&a, ROWS * MOST_K, 2, err);
    if (status == TIC_OK)
        status = tic_alloc(&b, MOST_N * MOST_K, 2, err);
    if (status == TIC_OK)
        status = tic_alloc(&partial, ROWS * MOST_N, sizeof(float), err);
    if (status == TIC_OK)
        printf("%6s %6s %6s  %-34s %s\n", "n", "k", "chunk", "tiles", "share of the tiles' peak");
    for (size_t i = 0; status == TIC_OK && i < sizeof rows / sizeof rows[0]; i++) {
        const loop l = {.strips = ROWS / BLOCK,
                        .panels = rows[i].n / BLOCK,
                        .steps = rows[i].k / TIC_TILE_K,
                        .chunk = rows[i].chunk / TIC_TILE_K,
                        .stand = rows[i].stand,
                        .stores = rows[i].stores,
                        .passes = rows[i].passes,
                        .a = a,
                        .b = b,
                        .partial = partial};
        run(&l);
        printf("%6lld %6lld %6lld  %-34s %.0f %%\n", (long long)rows[i].n, (long long)rows[i].k,
               (long long)rows[i].chunk, rows[i].what, 100 * share_of(&l));
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
