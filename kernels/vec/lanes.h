/* Movements between and within vectors that attention needs, on top of vec.h. */
#ifndef TIC_VEC_LANES_H
#define TIC_VEC_LANES_H

#include "kernels/vec/vec.h"

#if defined(__AVX512F__)
#define INTERLEAVE_LOW(a, b)                                                                       \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b)                                                                      \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif defined(__AVX2__)
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* Transposes a square of LANES vectors in log2(LANES) perfect shuffles. */
static inline __attribute__((always_inline)) void vf_transpose(vf square[VF_LANES]) {
    for (int stage = 1; stage < VF_LANES; stage *= 2) {
        vf shuffled[VF_LANES];
        for (int i = 0; i < VF_LANES / 2; i++) {
            shuffled[2 * i] = INTERLEAVE_LOW(square[i], square[i + VF_LANES / 2]);
            shuffled[2 * i + 1] = INTERLEAVE_HIGH(square[i], square[i + VF_LANES / 2]);
        }
        for (int i = 0; i < VF_LANES; i++)
            square[i] = shuffled[i];
    }
}

/* x in the lanes after `last`, `other` up to it; any `last`. */
static inline vf vf_keep_after(int64_t last, vf x, float other) {
    static const int32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vi lane;
    memcpy(&lane, count, sizeof lane);
    return vf_select(lane > (int32_t)last, x, vf_set(other));
}

#endif
