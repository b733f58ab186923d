/* Sixteen lanes for the files of kernels/amx/, and for GELU by table wherever AVX-512 is: AVX-512
 * in the tier amx, plain loops with the same bits where tiles are emulated (so fma is rounded once
 * in both). Parts of vectors are told by masks; lanes outside are zero after a load and untouched
 * by a store, and their memory is not accessed. Conversions to bf16 are VCVTNEPS2BF16's: to
 * nearest, ties to even, NaN quiet, denormal floats zeros of their sign. */
#ifndef TIC_AMX_LANES_H
#define TIC_AMX_LANES_H

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>
#ifndef TIC_AMX_EMULATE
#include <immintrin.h>
#endif

#define TIC_INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(64)));
typedef int32_t lanes_i __attribute__((vector_size(64)));
typedef uint32_t lanes_u __attribute__((vector_size(64)));
typedef uint16_t lanes_h __attribute__((vector_size(32)));
typedef uint16_t lane_mask; /* bit i: lane i takes part */

TIC_INLINE lane_mask lanes_first(int64_t n) { /* n <= 0: none; n >= 16: all */
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (lane_mask)((1u << n) - 1);
}

#ifndef TIC_AMX_EMULATE

TIC_INLINE lanes lanes_set(float x) {
    return _mm512_set1_ps(x);
}
TIC_INLINE lanes lanes_load(const float *p, lane_mask mask) {
    return _mm512_maskz_loadu_ps(mask, p);
}
TIC_INLINE void lanes_store(float *p, lanes v, lane_mask mask) {
    _mm512_mask_storeu_ps(p, mask, v);
}
TIC_INLINE lanes lanes_load_bf16(const tic_bf16 *p, lane_mask mask) {
    return (lanes)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16);
}
#ifdef __AVX512BF16__
TIC_INLINE lanes_h lanes_to_bf16(lanes v) {
    return (lanes_h)_mm512_cvtneps_pbh(v);
}
TIC_INLINE void lanes_store_bf16(tic_bf16 *p, lanes v, lane_mask mask) {
    _mm256_mask_storeu_epi16(p, mask, (__m256i)lanes_to_bf16(v));
}
/* 32 columns: x before y. */
TIC_INLINE void lanes_store_pair_bf16(tic_bf16 *p, lanes x, lanes y, lane_mask in_x,
                                      lane_mask in_y) {
    _mm512_mask_storeu_epi16(p, in_x | (uint32_t)in_y << 16, (__m512i)_mm512_cvtne2ps_pbh(y, x));
}
#endif
TIC_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm512_fmadd_ps(a, b, c);
}
TIC_INLINE lanes lanes_abs(lanes a) {
    return _mm512_abs_ps(a);
}
/* a where a < b, else b: a NaN in b goes through. */
TIC_INLINE lanes lanes_min(lanes a, lanes b) {
    return _mm512_min_ps(a, b);
}
/* Lane i: from[index[i] & 15]. */
TIC_INLINE lanes lanes_look_up(const float from[16], lanes_i index) {
    return _mm512_permutexvar_ps((__m512i)index, _mm512_load_ps(from));
}
/* magnitude's bits with the sign of `sign`. */
TIC_INLINE lanes lanes_copy_sign(lanes magnitude, lanes sign) {
    const __m512i top = _mm512_set1_epi32(INT32_MIN);
    return (lanes)_mm512_ternarylogic_epi32((__m512i)sign, (__m512i)magnitude, top, 0xe4);
}

#else

#define LANES_EACH for (int i = 0; i < 16; i++)

TIC_INLINE lanes lanes_set(float x) {
    lanes v;
    LANES_EACH v[i] = x;
    return v;
}
TIC_INLINE lanes lanes_load(const float *p, lane_mask mask) {
    lanes v = {0};
    LANES_EACH if (mask >> i & 1) v[i] = p[i];
    return v;
}
TIC_INLINE void lanes_store(float *p, lanes v, lane_mask mask) {
    LANES_EACH if (mask >> i & 1) p[i] = v[i];
}
TIC_INLINE lanes lanes_load_bf16(const tic_bf16 *p, lane_mask mask) {
    lanes v = {0};
    LANES_EACH if (mask >> i & 1) v[i] = tic_from_bf16(p[i]);
    return v;
}
TIC_INLINE lanes_h lanes_to_bf16(lanes v) {
    lanes_h h;
    LANES_EACH h[i] =
        fabsf(v[i]) < 0x1p-126f ? (uint16_t)(signbit(v[i]) ? 0x8000 : 0) : tic_to_bf16(v[i]);
    return h;
}
TIC_INLINE void lanes_store_bf16(tic_bf16 *p, lanes v, lane_mask mask) {
    lanes_h h = lanes_to_bf16(v);
    LANES_EACH if (mask >> i & 1) p[i] = h[i];
}
TIC_INLINE void lanes_store_pair_bf16(tic_bf16 *p, lanes x, lanes y, lane_mask in_x,
                                      lane_mask in_y) {
    lanes_store_bf16(p, x, in_x);
    lanes_store_bf16(p + 16, y, in_y);
}
TIC_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
    LANES_EACH a[i] = fmaf(a[i], b[i], c[i]);
    return a;
}
TIC_INLINE lanes lanes_abs(lanes a) {
    return (lanes)((lanes_i)a & INT32_MAX);
}
TIC_INLINE lanes lanes_min(lanes a, lanes b) {
    LANES_EACH a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}
TIC_INLINE lanes lanes_look_up(const float from[16], lanes_i index) {
    lanes v;
    LANES_EACH v[i] = from[index[i] & 15];
    return v;
}
TIC_INLINE lanes lanes_copy_sign(lanes magnitude, lanes sign) {
    return (lanes)(((lanes_i)magnitude & INT32_MAX) | ((lanes_i)sign & INT32_MIN));
}

#endif

#endif
