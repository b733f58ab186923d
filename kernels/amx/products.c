/* Blocks of tile products for operations that have products of their own (kernels/amx.h). */
#include "kernels/amx.h"

static void begin(void) {
    tic_amx_begin();
}

static void end(void) {
    tic_amx_end();
}

#define C_AT(i, j) (block->c + 16 * (i)*block->ldc + 16 * (j))
#define A_AT(i) (a + (i)*block->a_tile)
#define B_AT(j) (b + (j)*block->b_tile)

/* Tiles: C in 0 .. 3 (2 r + c), A in 6, B in 7; A's rows are gone through down and up again, so
 * that a load of B is as far from the next as can be: where B comes from L2, two in a row would
 * make the products wait. Why not all eight registers: kernels/gen/gemm_amx.py. */
#define BLOCK(name, rows, cols, start)                                                             \
    TIC_PRODUCT_BF16 static void name(const tic_amx_block *block) {                                \
        const unsigned char *a = block->a, *b = block->b;                                          \
        const int64_t step = block->ldc * 4;                                                       \
        start(0, C_AT(0, 0));                                                                      \
        if (rows > 1)                                                                              \
            start(2, C_AT(1, 0));                                                                  \
        if (cols > 1)                                                                              \
            start(1, C_AT(0, 1));                                                                  \
        if (rows > 1 && cols > 1)                                                                  \
            start(3, C_AT(1, 1));                                                                  \
        for (int64_t s = 0; s < block->steps; s++) {                                               \
            TIC_TILE_LOAD(7, b, 64);                                                               \
            TIC_TILE_LOAD(6, a, block->a_row);                                                     \
            TIC_TILE_PRODUCT(0, 6, 7);                                                             \
            if (rows > 1) {                                                                        \
                TIC_TILE_LOAD(6, A_AT(1), block->a_row);                                           \
                TIC_TILE_PRODUCT(2, 6, 7);                                                         \
            }                                                                                      \
            if (cols > 1)                                                                          \
                TIC_TILE_LOAD(7, B_AT(1), 64);                                                     \
            if (rows > 1 && cols > 1) {                                                            \
                TIC_TILE_PRODUCT(3, 6, 7);                                                         \
                TIC_TILE_LOAD(6, a, block->a_row);                                                 \
            }                                                                                      \
            if (cols > 1)                                                                          \
                TIC_TILE_PRODUCT(1, 6, 7);                                                         \
            a += block->a_step;                                                                    \
            b += block->b_step;                                                                    \
        }                                                                                          \
        TIC_TILE_STORE(0, C_AT(0, 0), step);                                                       \
        if (rows > 1)                                                                              \
            TIC_TILE_STORE(2, C_AT(1, 0), step);                                                   \
        if (cols > 1)                                                                              \
            TIC_TILE_STORE(1, C_AT(0, 1), step);                                                   \
        if (rows > 1 && cols > 1)                                                                  \
            TIC_TILE_STORE(3, C_AT(1, 1), step);                                                   \
    }

#define ZERO(t, c) TIC_TILE_ZERO(t)
#define LOAD(t, c) TIC_TILE_LOAD(t, c, step)
BLOCK(write_11, 1, 1, ZERO)
BLOCK(write_12, 1, 2, ZERO)
BLOCK(write_21, 2, 1, ZERO)
BLOCK(write_22, 2, 2, ZERO)
BLOCK(add_11, 1, 1, LOAD)
BLOCK(add_12, 1, 2, LOAD)
BLOCK(add_21, 2, 1, LOAD)
BLOCK(add_22, 2, 2, LOAD)

const tic_amx_products TIC_TIERED(tic_amx_products) = {
    begin,
    end,
    {{{write_11, write_12}, {write_21, write_22}}, {{add_11, add_12}, {add_21, add_22}}},
};
