/* AMX for kernels/: the eight tiles as statements, and products of blocks of tiles.
 *
 * A file that includes this is compiled twice (kernels/meson.build, amx_sources): with the
 * instructions (TIC_TIER amx), and with TIC_AMX_EMULATE, where kernels/amx/emulate.c keeps the
 * eight tiles of the calling thread and follows the manual's pseudo code, to the same bits on every
 * machine. Names that it exports go through TIC_TIERED.
 *
 * Tiles. tic_amx_begin gives the calling thread eight tiles of 16 rows of 64 bytes, all of them
 * zero; tic_amx_end gives them back. Every thread that multiplies does both, in one function and
 * with nothing between that waits for other threads; begin costs about 200 cycles. Tile numbers
 * are literals. Tiles survive calls of functions of this tier that name none, and no others.
 *
 *   TIC_TILE_ZERO(t)               t = 0
 *   TIC_TILE_LOAD(t, from, step)   row i of t = the 64 bytes at from + i * step
 *   TIC_TILE_STREAM(t, from, step) the same, and the lines need not stay in L1
 *   TIC_TILE_STORE(t, to, step)    the 64 bytes at to + i * step = row i of t
 *   TIC_TILE_PRODUCT(c, a, b)      c[16,16] f32 += a[16,32] bf16 · b, 8,192 MACs: row q of b holds
 *                                  the pairs (B[2q, j], B[2q+1, j]) of its 16 columns j ("VNNI")
 *
 * Arithmetic (Intel SDM, TDPBF16PS), whatever MXCSR says: for each element the products of even p
 * and those of odd p are summed apart, each by 16 fused multiply-adds in rising p from zero; then
 * the two sums are added, then the result is added to c. Rounding is to nearest even, and denormal
 * inputs and results count as zeros of their sign. A product of two bf16 is exact, so that over k
 * summands the error is at most (min(k, 32) / 2 + 1 + ceil(k / 32)) 2^-24 times the sum of the
 * products' magnitudes, to first order, and 2^-126 for each denormal that was dropped.
 *
 * The compiler's intrinsics are not used: gcc 12's lose the stores before a tile load
 * (reference/cpu.md). */
#ifndef TIC_AMX_H
#define TIC_AMX_H

#include "kernels/kernels.h"
#include "kernels/room.h"

enum {
    TIC_TILE_ROWS = 16, /* of every tile; of C's rows and of A's */
    TIC_TILE_COLS = 16, /* columns of C and of B */
    TIC_TILE_K = 32,    /* what a tile product sums over */
    TIC_TILE_BYTES = 1024,
    TIC_TILE_MACS = TIC_TILE_ROWS * TIC_TILE_COLS * TIC_TILE_K,
};

typedef struct tic_tile_config { /* the operand of LDTILECFG */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64))) tic_tile_config;

#ifdef TIC_AMX_EMULATE

void tic_emulate_config(const tic_tile_config *config); /* NULL: release */
void tic_emulate_zero(int t);
void tic_emulate_load(int t, const void *from, int64_t step);
void tic_emulate_store(int t, void *to, int64_t step);
void tic_emulate_product(int c, int a, int b);
#define TIC_TILE_CONFIG(config) tic_emulate_config(config)
#define TIC_TILE_RELEASE() tic_emulate_config(NULL)
#define TIC_TILE_ZERO(t) tic_emulate_zero(t)
#define TIC_TILE_LOAD(t, from, step) tic_emulate_load(t, from, step)
#define TIC_TILE_STREAM(t, from, step) tic_emulate_load(t, from, step)
#define TIC_TILE_STORE(t, to, step) tic_emulate_store(t, to, step)
#define TIC_TILE_PRODUCT(c, a, b) tic_emulate_product(c, a, b)

#else

#define TIC_TILE_CONFIG(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(config)) : "memory")
#define TIC_TILE_RELEASE() __asm__ volatile("tilerelease" : : : "memory")
#define TIC_TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define TIC_TILE_LOAD(t, from, step)                                                               \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(from), "r"((long)(step)) : "memory")
#define TIC_TILE_STREAM(t, from, step)                                                             \
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm" #t ::"r"(from), "r"((long)(step)) : "memory")
#define TIC_TILE_STORE(t, to, step)                                                                \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)"                                           \
                     :                                                                             \
                     : "r"(to), "r"((int64_t)(step))                                               \
                     : "memory")
#define TIC_TILE_PRODUCT(c, a, b)                                                                  \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

#endif

static inline void tic_amx_begin(void) {
    static const tic_tile_config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {16, 16, 16, 16, 16, 16, 16, 16},
    };
    TIC_TILE_CONFIG(&config);
}

static inline void tic_amx_end(void) {
    TIC_TILE_RELEASE();
}

/* ---- packing (kernels/amx/pack.c) ----------------------------------------------------------- */

/* A piece of a matrix to be packed into tiles of 1 KiB: 16 rows of A (or columns of B), all of k.
 * Step s of the piece, its elements p = 32 s .. 32 s + 31, goes to to + s * step_bytes. What lies
 * outside of valid x k becomes zero and is not read. f32 elements are rounded to the nearest bf16,
 * ties to even; a denormal f32 becomes a zero of its sign (a product takes denormal operands for
 * zeros anyway); bf16 elements are copied. */
typedef struct tic_amx_piece {
    const void *from; /* element (i, p) is from[i * ld + p] when `across`, else from[p * ld + i] */
    tic_dtype type;
    bool across;
    int64_t ld, k;
    int valid; /* 0 .. 16 of i */
    void *to;  /* aligned to 64 bytes */
    int64_t step_bytes;
    float *sums; /* [valid] or NULL (never with `across`): sums[i] += each element, unrounded, in
                    rising p */
} tic_amx_piece;

typedef struct tic_amx_packing {
    void (*a)(const tic_amx_piece *piece); /* tiles for the left operand: [16 i][32 p] */
    void (*b)(const tic_amx_piece *piece); /* for the right one: [16 pairs of p][16 i][2] */
} tic_amx_packing;
extern const tic_amx_packing tic_amx_packing_amx, tic_amx_packing_amx_emulated;

/* Steps of 32 that k takes. */
static inline int64_t tic_amx_steps(int64_t k) {
    return (k + TIC_TILE_K - 1) / TIC_TILE_K;
}

/* ---- products of blocks, for operations with products of their own ----------------------------
 *
 * C[16 rows, 16 cols] f32 = or += A · B over `steps` steps of 32, with rows and cols in 1 .. 2
 * (tiles). Both operands should lie in L1: a 2x2 block then runs at the full rate of the tiles,
 * with one of them in L2 at about 95%, with both at 75%.
 *   a   row tile r of step s is at a + r * a_tile + s * a_step, its rows a_row bytes apart. Packed:
 *       a_row 64. Or bf16 rows as they stand in memory, k a multiple of 32: a_row = 2 * ld,
 *       a_tile = 32 * ld, a_step = 64; slow where 2 * ld is a multiple of 4096
 *   b   column tile c of step s is at b + c * b_tile + s * b_step, packed
 *   c   element (i, j) is c[i * ldc + j]; ldc * 4 had better not be a multiple of 4096
 * Issues rows * cols * steps * TIC_TILE_MACS (the caller counts them). Uses six tiles; between
 * tic_amx_begin and tic_amx_end. Not inlined: a call costs about 10 cycles, its end, where sums
 * leave the tiles, about 80, hidden where the next call's operands are at hand. */
typedef struct tic_amx_block {
    const void *a, *b;
    int64_t a_row, a_tile, a_step, b_tile, b_step, steps;
    float *c;
    int64_t ldc;
} tic_amx_block;

typedef struct tic_amx_products {
    void (*begin)(void); /* tic_amx_begin and tic_amx_end, for callers that are of no tier */
    void (*end)(void);
    /* [accumulate][rows - 1][cols - 1] */
    void (*block[2][2][2])(const tic_amx_block *block);
} tic_amx_products;
extern const tic_amx_products tic_amx_products_amx, tic_amx_products_amx_emulated;

#endif
