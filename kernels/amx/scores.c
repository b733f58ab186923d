/* The losses' products by tiles of AMX: 32 rows by a panel of 32 columns, 2 x 2 tiles of C, 512
 * MACs a cycle at best. A's rows stand in memory as they are, B is a packed panel. d_text is formed
 * transposed, because no layout of dS that is written row by row would do for it as A. */
#include "kernels/amx.h"
#include "kernels/ops.h"

enum { STRIP = 2 * TIC_TILE_ROWS, PANEL = 2 * TIC_TILE_COLS, K = TIC_TILE_K / 2 /* in units */ };

/* C in tiles 0 .. 3 (2 row + column), A in 6, B in 7, in the order of products.c. */
#define TILES(name, rows, start)                                                                   \
    TIC_PRODUCT static void name(int64_t k, const char *a, int64_t a_step, const char *b, char *c, \
                                 int64_t c_step) {                                                 \
        const char *a1 = a + TIC_TILE_ROWS * a_step;                                               \
        char *c1 = c + TIC_TILE_ROWS * c_step;                                                     \
        start(0, c);                                                                               \
        start(1, c + 64);                                                                          \
        if (rows > 1) {                                                                            \
            start(2, c1);                                                                          \
            start(3, c1 + 64);                                                                     \
        }                                                                                          \
        for (int64_t p = 0; p < k; p += K) {                                                       \
            TIC_TILE_LOAD(7, b + p * PANEL * 4, PANEL * 4);                                        \
            TIC_TILE_LOAD(6, a + p * 4, a_step);                                                   \
            TIC_TILE_PRODUCT(0, 6, 7);                                                             \
            if (rows > 1) {                                                                        \
                TIC_TILE_LOAD(6, a1 + p * 4, a_step);                                              \
                TIC_TILE_PRODUCT(2, 6, 7);                                                         \
            }                                                                                      \
            TIC_TILE_LOAD(7, b + p * PANEL * 4 + 64, PANEL * 4);                                   \
            if (rows > 1) {                                                                        \
                TIC_TILE_PRODUCT(3, 6, 7);                                                         \
                TIC_TILE_LOAD(6, a + p * 4, a_step);                                               \
            }                                                                                      \
            TIC_TILE_PRODUCT(1, 6, 7);                                                             \
        }                                                                                          \
        TIC_TILE_STORE(0, c, c_step);                                                              \
        TIC_TILE_STORE(1, c + 64, c_step);                                                         \
        if (rows > 1) {                                                                            \
            TIC_TILE_STORE(2, c1, c_step);                                                         \
            TIC_TILE_STORE(3, c1 + 64, c_step);                                                    \
        }                                                                                          \
    }
#define ZERO(t, c) TIC_TILE_ZERO(t)
#define LOAD(t, c) TIC_TILE_LOAD(t, c, c_step)
TILES(write_1, 1, ZERO)
TILES(write_2, 2, ZERO)
TILES(add_1, 1, LOAD)
TILES(add_2, 2, LOAD)

static void rows(int count, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                 int64_t ldc, bool accumulate) {
    if (count > TIC_TILE_ROWS)
        (accumulate ? add_2 : write_2)(k, a, lda * 4, b, (char *)c, ldc * 4);
    else
        (accumulate ? add_1 : write_1)(k, a, lda * 4, b, (char *)c, ldc * 4);
}

static void begin(void) {
    tic_amx_begin();
}

static void end(void) {
    tic_amx_end();
}

const tic_scores_products TIC_TIERED(tic_scores_products) = {
    .strip = STRIP,
    .row_unit = TIC_TILE_ROWS,
    .panel = PANEL,
    .k_unit = K,
    .unit = TIC_BF16,
    .rows = rows,
    .begin = begin,
    .end = end,
};
