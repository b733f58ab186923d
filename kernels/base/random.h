/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
 * 1, 2, 3", SC 2011). A number is a pure function of (seed, purpose, position): a resume needs no
 * generator state, and any thread may compute any number. All results are the same bits on every
 * machine: no libm, no contraction. */
#ifndef TIC_BASE_RANDOM_H
#define TIC_BASE_RANDOM_H

#include <stdint.h>

/* What a number is for. Values are part of the formats (they decide sample order): never renumber.
 */
typedef enum tic_purpose_rng {
    TIC_RNG_INIT = 1,    /* initial weights; position = tensor << 40 | element */
    TIC_RNG_ORDER = 2,   /* sample order; position = epoch */
    TIC_RNG_CROP = 3,    /* RandomResizedCrop; position = sample's place in the stream */
    TIC_RNG_HOLDOUT = 4, /* which pairs are held out for evaluation */
    TIC_RNG_REPLAY = 5,  /* which old pairs are replayed */
    TIC_RNG_WORLD = 6,   /* the generated data set */
    TIC_RNG_BENCH = 7,   /* operands of tests and benchmarks */
    TIC_RNG_SAMPLE = 8,  /* which pairs an analysis looks at */
} tic_purpose_rng;

typedef struct tic_random {
    uint64_t seed;
    uint32_t purpose;
    uint32_t lane; /* a second coordinate, e.g. which of several draws at one position */
} tic_random;

/* Four words for one position. */
void tic_philox(tic_random key, uint64_t position, uint32_t out[4]);
uint32_t tic_random_u32(tic_random key, uint64_t position);
/* Uniform in [0, n), unbiased to 2^-64; n >= 1. */
uint64_t tic_random_below(tic_random key, uint64_t position, uint64_t n);
/* Uniform in [0, 1) with 53 bits. */
double tic_random_uniform(tic_random key, uint64_t position);
/* Standard normal by the inverse CDF (Wichura, AS 241). */
double tic_random_normal(tic_random key, uint64_t position);

/* The image of i under a keyed permutation of [0, n) (Feistel network with cycle walking): an
 * epoch's order by random access. n >= 1, i < n. */
uint64_t tic_permute(tic_random key, uint64_t epoch, uint64_t n, uint64_t i);

#endif
