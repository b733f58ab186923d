/* Vectors of floats, one width a tier: portable 4 lanes (no FMA), avx2 8, avx512 16. A file of
 * kernels/vec/ includes this, is compiled once a tier, and its results then depend on the tier
 * only; elsewhere it is the portable one. Conversions to bf16 have the same bits on every tier but
 * avx512bf16, whose instruction takes denormals for zeros.
 *
 *   vf, vi            LANES floats, LANES int32 (comparisons of vf yield a vi of 0 and -1)
 *   vf_load_part      the first n elements (0 <= n <= LANES), zeros after; touches no others
 *   vf_sum, vf_max_of one number, always over the same tree: halves are folded until one is left */
#ifndef TIC_VEC_H
#define TIC_VEC_H

#include "kernels/kernels.h"
#include "kernels/room.h"

#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { VF_LANES = 16 };
#define VF_BYTES 64
#elif defined(__AVX2__)
#include <immintrin.h>
enum { VF_LANES = 8 };
#define VF_BYTES 32
#else
enum { VF_LANES = 4 };
#define VF_BYTES 16
#endif

typedef float vf __attribute__((vector_size(VF_BYTES)));
typedef int32_t vi __attribute__((vector_size(VF_BYTES)));
typedef uint32_t vu __attribute__((vector_size(VF_BYTES)));
typedef uint16_t vh __attribute__((vector_size(VF_BYTES / 2)));

static inline vf vf_set(float x) {
    return x - (vf){0}; /* not +: -0 - 0 is -0, -0 + 0 is not */
}

static inline vf vf_load(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vf_store(float *p, vf v) {
    memcpy(p, &v, sizeof v);
}

#if defined(__AVX512F__)
static inline __mmask16 vf_mask(int64_t n) {
    return (__mmask16)((1u << n) - 1);
}
static inline vf vf_load_part(const float *p, int64_t n) {
    return _mm512_maskz_loadu_ps(vf_mask(n), p);
}
static inline void vf_store_part(float *p, vf v, int64_t n) {
    _mm512_mask_storeu_ps(p, vf_mask(n), v);
}
#elif defined(__AVX2__)
static inline __m256i vf_mask(int64_t n) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - n));
}
static inline vf vf_load_part(const float *p, int64_t n) {
    return _mm256_maskload_ps(p, vf_mask(n));
}
/* In pieces: a masked store of AMD's is some forty micro-operations. */
static inline void vf_store_part(float *p, vf v, int64_t n) {
    __m128 rest = _mm256_castps256_ps128(v);
    if (n == VF_LANES)
        _mm256_storeu_ps(p, v);
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(v, 1);
    }
    if (n & 2) {
        memcpy(p + (n & 4), &rest, 8);
        rest = _mm_movehl_ps(rest, rest);
    }
    if (n & 1)
        _mm_store_ss(p + (n & 6), rest);
}
#else
static inline vf vf_load_part(const float *p, int64_t n) {
    vf v = {0};
    for (int64_t i = 0; i < n; i++)
        v[i] = p[i];
    return v;
}
static inline void vf_store_part(float *p, vf v, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        p[i] = v[i];
}
#endif

/* a * b + c and c - a * b: rounded once where the tier has FMA, twice on portable. */
#if defined(__AVX512F__)
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf vf_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
}
static inline vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
#elif defined(__AVX2__)
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf vf_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
#else
static inline vf vf_fma(vf a, vf b, vf c) {
    return a * b + c;
}
static inline vf vf_fnma(vf a, vf b, vf c) {
    return c - a * b;
}
static inline vf vf_sqrt(vf a) {
    for (int i = 0; i < VF_LANES; i++)
        a[i] = __builtin_sqrtf(a[i]);
    return a;
}
#endif

/* 1 / a for 0 < a <= 2^100, within 2^-22 of it: AVX-512's division takes 16 cycles a vector. */
static inline vf vf_reciprocal(vf a) {
#if defined(__AVX512F__)
    vf x = _mm512_rcp14_ps(a);
    return vf_fma(x, vf_fnma(a, x, vf_set(1.0f)), x);
#else
    return 1.0f / a;
#endif
}

/* mask (0 or -1 a lane) ? a : b */
static inline vf vf_select(vi mask, vf a, vf b) {
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* a > b ? a : b, so that a NaN in either operand yields b: put the running maximum first to let a
 * NaN through, second to ignore it. */
static inline vf vf_max(vf a, vf b) {
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_max_ps(a, b);
#else
    return vf_select(a > b, a, b);
#endif
}

static inline vf vf_min(vf a, vf b) { /* a < b ? a : b */
#if defined(__AVX512F__)
    return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_min_ps(a, b);
#else
    return vf_select(a < b, a, b);
#endif
}

static inline vf vf_abs(vf a) {
    return (vf)((vi)a & 0x7fffffff);
}

/* No bit is set in any lane. */
static inline bool vf_all_clear(vu bits) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)bits, (__m512i)bits) == 0;
#elif defined(__AVX2__)
    return _mm256_testz_si256((__m256i)bits, (__m256i)bits);
#else
    return (bits[0] | bits[1] | bits[2] | bits[3]) == 0;
#endif
}

/* ---- bf16 ---------------------------------------------------------------------------------- */

static inline vf vf_from_halves(vh h) {
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

/* Rounds every lane to the nearest bf16 (ties to even), left in the upper halves; the lower halves
 * are zero. A NaN stays a NaN (made quiet, so that its payload cannot be cut to infinity). With
 * VCVTNEPS2BF16 a denormal becomes a zero of its sign, for which VDPBF16PS takes it anyway. */
#if defined(__AVX512BF16__)
static inline vh vf_to_halves(vf v) {
    return (vh)_mm512_cvtneps_pbh(v);
}

static inline vf vf_round_bf16(vf v) {
    return vf_from_halves(vf_to_halves(v));
}
#else
static inline vf vf_round_bf16(vf v) {
    vu u = (vu)v;
    vu rounded = u + 0x7fff + ((u >> 16) & 1);
#if defined(__AVX512F__)
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    rounded = (vu)_mm512_mask_or_epi32((__m512i)rounded, is_nan, (__m512i)u,
                                       _mm512_set1_epi32(0x00400000));
#else
    vi is_nan = v != v;
    rounded = (~(vu)is_nan & rounded) | ((vu)is_nan & (u | 0x00400000));
#endif
    return (vf)(rounded & 0xffff0000);
}

static inline vh vf_to_halves(vf v) {
    return __builtin_convertvector((vu)vf_round_bf16(v) >> 16, vh);
}
#endif

/* A pair of bf16 in each lane: first's, rounded, in the lower half, second's in the upper. */
static inline vu vf_pair_bf16(vf first, vf second) {
#if defined(__AVX512BF16__)
    static const uint16_t interleave[32] __attribute__((aligned(64))) = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return (vu)_mm512_permutexvar_epi16(_mm512_load_si512(interleave),
                                        (__m512i)_mm512_cvtne2ps_pbh(second, first));
#else
    return (vu)vf_round_bf16(first) >> 16 | (vu)vf_round_bf16(second);
#endif
}

static inline vf vf_load_bf16(const tic_bf16 *p) {
    vh h;
    memcpy(&h, p, sizeof h);
    return vf_from_halves(h);
}

static inline void vf_store_bf16(tic_bf16 *p, vf v) {
    vh h = vf_to_halves(v);
    memcpy(p, &h, sizeof h);
}

/* n < LANES of them; no memory beyond them is touched. */
#if defined(__AVX512F__)
static inline vf vf_load_bf16_part(const tic_bf16 *p, int64_t n) {
    return vf_from_halves((vh)_mm256_maskz_loadu_epi16(vf_mask(n), p));
}
static inline void vf_store_bf16_part(tic_bf16 *p, vf v, int64_t n) {
    _mm256_mask_storeu_epi16(p, vf_mask(n), (__m256i)vf_to_halves(v));
}
#else
static inline vf vf_load_bf16_part(const tic_bf16 *p, int64_t n) {
    vh h = {0};
    for (int64_t i = 0; i < n; i++)
        h[i] = p[i];
    return vf_from_halves(h);
}
static inline void vf_store_bf16_part(tic_bf16 *p, vf v, int64_t n) {
    vh h = vf_to_halves(v);
    for (int64_t i = 0; i < n; i++)
        p[i] = h[i];
}
#endif

/* Elements i .. i + n - 1 (1 <= n <= LANES) of an array of either type. */
static inline vf vf_load_as(const void *data, tic_dtype type, int64_t i, int64_t n) {
    if (type == TIC_F32) {
        const float *p = (const float *)data + i;
        return n == VF_LANES ? vf_load(p) : vf_load_part(p, n);
    }
    const tic_bf16 *p = (const tic_bf16 *)data + i;
    return n == VF_LANES ? vf_load_bf16(p) : vf_load_bf16_part(p, n);
}

static inline void vf_store_as(void *data, tic_dtype type, int64_t i, vf v, int64_t n) {
    if (type == TIC_F32) {
        float *p = (float *)data + i;
        if (n == VF_LANES)
            vf_store(p, v);
        else
            vf_store_part(p, v, n);
        return;
    }
    tic_bf16 *p = (tic_bf16 *)data + i;
    if (n == VF_LANES)
        vf_store_bf16(p, v);
    else
        vf_store_bf16_part(p, v, n);
}

/* ---- reductions ---------------------------------------------------------------------------- */

typedef float vf4 __attribute__((vector_size(16)));
typedef float vf8 __attribute__((vector_size(32)));

/* Folds halves with `op` down to four lanes; the last two folds are scalar. */
#if defined(__AVX512F__)
#define VF_FOLD(v, op4, op8)                                                                       \
    vf8 folded8_ = op8(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),                      \
                       __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));               \
    vf4 folded = op4(__builtin_shufflevector(folded8_, folded8_, 0, 1, 2, 3),                      \
                     __builtin_shufflevector(folded8_, folded8_, 4, 5, 6, 7))
#elif defined(__AVX2__)
#define VF_FOLD(v, op4, op8)                                                                       \
    vf4 folded =                                                                                   \
        op4(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7))
#else
#define VF_FOLD(v, op4, op8) vf4 folded = v
#endif

#define VF_ADD(a, b) ((a) + (b))
#if defined(__AVX2__)
#define VF_MAX4(a, b) ((vf4)_mm_max_ps(a, b))
#define VF_MAX8(a, b) ((vf8)_mm256_max_ps(a, b))
#endif

static inline float vf_sum(vf v) {
    VF_FOLD(v, VF_ADD, VF_ADD);
    return (folded[0] + folded[2]) + (folded[1] + folded[3]);
}

static inline float vf_max_of(vf v) {
    VF_FOLD(v, VF_MAX4, VF_MAX8);
    float even = folded[0] > folded[2] ? folded[0] : folded[2];
    float odd = folded[1] > folded[3] ? folded[1] : folded[3];
    return even > odd ? even : odd;
}

#endif
