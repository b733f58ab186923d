/* The eight tiles in plain C, as the manual's pseudo code has them (Intel SDM: TILELOADD,
 * TILESTORED, TILEZERO, LDTILECFG, TDPBF16PS), a set for each thread. */
#define TIC_AMX_EMULATE
#include "kernels/amx.h"

#include <math.h>
#include <string.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

typedef struct tile {
    int rows, row_bytes; /* of the configuration; 0: there is none */
    unsigned char data[ROWS][ROW_BYTES];
} tile;

static _Thread_local tile tiles[TILES];

void tic_emulate_config(const tic_tile_config *config) {
    memset(tiles, 0, sizeof tiles);
    for (int t = 0; config != NULL && t < TILES; t++) {
        tiles[t].rows = config->rows[t];
        tiles[t].row_bytes = config->row_bytes[t];
    }
}

void tic_emulate_zero(int t) {
    memset(tiles[t].data, 0, sizeof tiles[t].data);
}

void tic_emulate_load(int t, const void *from, int64_t step) {
    tic_emulate_zero(t);
    for (int i = 0; i < tiles[t].rows; i++)
        memcpy(tiles[t].data[i], (const unsigned char *)from + i * step,
               (size_t)tiles[t].row_bytes);
}

void tic_emulate_store(int t, void *to, int64_t step) {
    for (int i = 0; i < tiles[t].rows; i++)
        memcpy((unsigned char *)to + i * step, tiles[t].data[i], (size_t)tiles[t].row_bytes);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Denormals are zeros of their sign. */
static float flushed(uint32_t bits) {
    float x;
    if ((bits & 0x7f800000) == 0)
        bits &= 0x80000000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float flush(float x) {
    return flushed(bits_of(x));
}

/* a * b + c rounded once. The product of two bf16 is exact in double, and so is what the sum in
 * double misses (Knuth's two-sum). A sum that is not exact is made odd in its last bit: rounded to
 * float from there, it is what rounding the exact sum would give (Boldo & Melquiond 2008). A result
 * is denormal when it is below 2^-126 after rounding to 24 bits, as if exponents had no end: from
 * half a step below on it is 2^-126. */
static inline __attribute__((always_inline)) float fused(float a, float b, float c) {
    double product = (double)a * (double)b, sum = product + (double)c;
    double part = sum - product;
    double missed = (product - (sum - part)) + ((double)c - part);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (missed != 0 && missed == missed && !(bits & 1)) {
        bits += (missed > 0) == (sum > 0) ? 1 : -1;
        memcpy(&sum, &bits, sizeof sum);
    }
    if (fabs(sum) < 0x1p-126 - 0x1p-151)
        return copysignf(0, (float)sum);
    return (float)sum;
}

/* Element x of row i. */
static float bf16_at(const tile *t, int i, int x) {
    tic_bf16 value;
    memcpy(&value, t->data[i] + 2 * x, sizeof value);
    return flushed((uint32_t)value << 16);
}

TIC_PRODUCT void tic_emulate_product(int c, int a, int b) {
    int pairs = tiles[a].row_bytes / 4, columns = tiles[c].row_bytes / 4;
    float right[ROWS][ROW_BYTES / 2];
    for (int q = 0; q < pairs; q++)
        for (int x = 0; x < 2 * columns; x++)
            right[q][x] = bf16_at(&tiles[b], q, x);
    for (int i = 0; i < tiles[c].rows; i++) {
        float sums[ROW_BYTES / 2] = {0}, row[ROW_BYTES / 4];
        for (int q = 0; q < pairs; q++) {
            float even = bf16_at(&tiles[a], i, 2 * q), odd = bf16_at(&tiles[a], i, 2 * q + 1);
            for (int j = 0; j < columns; j++) {
                sums[2 * j] = fused(even, right[q][2 * j], sums[2 * j]);
                sums[2 * j + 1] = fused(odd, right[q][2 * j + 1], sums[2 * j + 1]);
            }
        }
        memcpy(row, tiles[c].data[i], sizeof row);
        for (int j = 0; j < columns; j++)
            row[j] = flush(flush(row[j]) + flush(sums[2 * j] + sums[2 * j + 1]));
        memcpy(tiles[c].data[i], row, sizeof row);
    }
}
