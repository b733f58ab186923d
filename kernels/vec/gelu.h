/* The activations and their derivatives, a vector at a time. */
#ifndef TIC_VEC_GELU_H
#define TIC_VEC_GELU_H

#include "kernels/vec/vec.h"
#ifdef __AVX512F__
#include "kernels/amx/activate.h"
#endif

/* 2^(-rate y) for y >= 0, zero from 2^-126.5 on: exp for what only decays, in half of its
 * instructions. Largest relative error 2.2e-7 beside that of rounding rate y. NaN stays NaN. */
static inline vf vf_decay(vf y, float rate) {
    const float shift = 12582912.0f + 127; /* 1.5 * 2^23 rounds to an integer; 127 is 2^0 */
    y = vf_min(vf_set(127 / rate), y);     /* y second: a NaN goes through */
    vf t = vf_fnma(y, vf_set(rate), vf_set(shift));
    vf r = vf_fnma(y, vf_set(rate), shift - t); /* in -1/2 .. 1/2 */
    vf p = vf_set(0x1.5c08e6p-10f);             /* minimax of 2^r, 7.5e-8 */
    p = vf_fma(p, r, vf_set(0x1.3d0c52p-7f));
    p = vf_fma(p, r, vf_set(0x1.c6b6e4p-5f));
    p = vf_fma(p, r, vf_set(0x1.ebf918p-3f));
    p = vf_fma(p, r, vf_set(0x1.62e428p-1f));
    p = vf_fma(p, r, vf_set(0x1.000002p0f));
    return p * (vf)((vi)t << 23);
}

/* Phi(x), the normal distribution function, and phi(x), its density. With z = |x| and
 * t = 1 / (1 + 0.3 z):  Phi(-z) = exp(-z²/2) P(t)  (the form of Abramowitz & Stegun 26.2.17),
 * P of degree 8 fitted for least relative error on z <= 14 (5.8e-8). In f32 Phi is within 2.5e-7
 * of the truth everywhere and keeps its relative accuracy (6e-7 + 2^-24 x²) down the negative tail
 * to x = -13; from -13.3 on it is 0 (tests/kernels/vec.c). */
static inline void vf_normal(vf x, vf *distribution, vf *density) {
    static const float p[9] = {
        7.169253605719892e-06f, 0.1194876815090507f,   0.12192040260505757f,
        0.09468325861571401f,   0.14253620897215705f,  -0.07650755622646913f,
        0.22866109579785632f,   -0.16916663491290873f, 0.038378403303791254f};
    vf z = vf_abs(x);
    vf t = vf_reciprocal(vf_fma(vf_min(z, vf_set(14)), vf_set(0.3f), vf_set(1.0f)));
    vf e = vf_decay(x * x, 0.72134752f); /* log2(e) / 2 */
    vf sum = vf_set(p[8]);
    for (int i = 7; i >= 0; i--)
        sum = vf_fma(sum, t, vf_set(p[i]));
    vf tail = e * sum;
    *distribution = vf_select(x < 0, tail, 1.0f - tail);
    *density = e * 0.3989422804f; /* 1 / sqrt(2 pi) */
}

/* gelu(x) = x Phi(x); gelu'(x) = Phi(x) + x phi(x). With sixteen lanes a table takes less than
 * half as long, and is as good where it counts: gelu within 1.2e-7 |x|, its slope within 2e-7. */
#ifdef __AVX512F__
static inline vf vf_gelu(vf x) {
    return (vf)lanes_act((lanes)x, TIC_ACT_GELU);
}

static inline vf vf_gelu_slope(vf x) {
    return (vf)lanes_act_slope((lanes)x, TIC_ACT_GELU);
}
#else
static inline vf vf_gelu(vf x) {
    vf distribution, density;
    vf_normal(x, &distribution, &density);
    return x * distribution;
}

static inline vf vf_gelu_slope(vf x) {
    vf distribution, density;
    vf_normal(x, &distribution, &density);
    return vf_fma(x, density, distribution);
}
#endif

/* quick_gelu(x) = x s with s = sigmoid(1.702 x); its slope is s + 1.702 x s (1 - s). With
 * e = exp(-1.702 |x|), s is 1 / (1 + e) or, for negative x, e / (1 + e): within 6e-7 + 2^-23 |x| of
 * itself down to x = -51. */
static inline vf vf_quick_sigmoid(vf x) {
    vf e = vf_decay(vf_abs(x), 2.4554670f); /* 1.702 log2(e) */
    vf half = vf_reciprocal(1.0f + e);
    return half * vf_select(x < 0, e, vf_set(1.0f));
}

static inline vf vf_quick_gelu(vf x) {
    return x * vf_quick_sigmoid(x);
}

static inline vf vf_quick_gelu_slope(vf x) {
    vf s = vf_quick_sigmoid(x);
    return vf_fma(x * 1.702f * s, 1.0f - s, s);
}

static inline vf vf_act(vf x, tic_act act) {
    return act == TIC_ACT_GELU ? vf_gelu(x) : act == TIC_ACT_QUICK_GELU ? vf_quick_gelu(x) : x;
}

static inline vf vf_act_slope(vf x, tic_act act) {
    return act == TIC_ACT_GELU         ? vf_gelu_slope(x)
           : act == TIC_ACT_QUICK_GELU ? vf_quick_gelu_slope(x)
                                       : vf_set(1.0f);
}

#endif
