/* The activations and their derivatives, a vector at a time. */
#ifndef TIC_VEC_GELU_H
#define TIC_VEC_GELU_H

#include "kernels/vec/vec.h"

/* Phi(x), the normal distribution function, and phi(x), its density. With z = |x| and
 * t = 1 / (1 + 0.3 z):  Phi(-z) = exp(-z²/2) P(t)  (the form of Abramowitz & Stegun 26.2.17),
 * P of degree 8 fitted for least relative error on z <= 14 (5.8e-8). In f32 Phi is within 2.5e-7
 * of the truth everywhere and keeps its relative accuracy (6e-7 + 2^-24 x²) down the negative tail
 * (tests/kernels/vec.c). */
static inline void vf_normal(vf x, vf *distribution, vf *density) {
    static const float p[9] = {
        7.169253605719892e-06f, 0.1194876815090507f,   0.12192040260505757f,
        0.09468325861571401f,   0.14253620897215705f,  -0.07650755622646913f,
        0.22866109579785632f,   -0.16916663491290873f, 0.038378403303791254f};
    vf z = vf_abs(x);
    vf t = vf_reciprocal(vf_fma(vf_min(z, vf_set(14)), vf_set(0.3f), vf_set(1.0f)));
    vf e = vf_exp(z * z * -0.5f);
    vf sum = vf_set(p[8]);
    for (int i = 7; i >= 0; i--)
        sum = vf_fma(sum, t, vf_set(p[i]));
    vf tail = e * sum;
    *distribution = vf_select(x < 0, tail, 1.0f - tail);
    *density = e * 0.3989422804f; /* 1 / sqrt(2 pi) */
}

/* gelu(x) = x Phi(x); gelu'(x) = Phi(x) + x phi(x) */
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

/* quick_gelu(x) = x s with s = sigmoid(1.702 x); its slope is s + 1.702 x s (1 - s) */
static inline vf vf_quick_sigmoid(vf x) {
    return 1.0f / (1.0f + vf_exp(x * -1.702f));
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
