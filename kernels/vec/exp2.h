/* 2^x and log(x) for softmax, on top of vec.h. Polynomials are minimax fits of the relative error
 * with p(0) = 1; every error stated is checked in tests/kernels/vec.c.
 *
 *   vf_exp2         every float: largest relative error 2e-7 on normal results, results reach from
 *                   denormals to infinity, NaN stays NaN
 *   vf_exp2_coarse  the same with a polynomial of degree 3: 1.1e-4, a thirty-fifth of bf16's
 *                   half unit, for probabilities that are rounded to bf16
 *   vf_log          x normal, Inf or NaN: within 1.2e-7 |log x| + 3e-8 */
#ifndef TIC_VEC_EXP2_H
#define TIC_VEC_EXP2_H

#include "kernels/vec/vec.h"

#include <math.h>

static inline vf vf_polynomial(vf r, const float *coefficients, int degree) {
    vf p = vf_set(coefficients[degree - 1]);
    for (int i = degree - 2; i >= 0; i--)
        p = vf_fma(p, r, vf_set(coefficients[i]));
    return vf_fma(p, r, vf_set(1));
}

/* With AVX-512 two instructions do the reduction, x - floor(x), and the scaling by 2^floor(x);
 * elsewhere x is rounded to nearest, and scaled in two steps. */
static inline __attribute__((always_inline)) vf vf_exp2_degree(vf x, const float *coefficients,
                                                               int degree) {
#if defined(__AVX512F__)
    vf r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    return _mm512_scalef_ps(vf_polynomial(r, coefficients, degree), x);
#else
    const float shift = 12582912.0f;                        /* 1.5 * 2^23: rounds to an integer */
    x = vf_min(vf_set(129.0f), vf_max(vf_set(-151.0f), x)); /* x second: a NaN goes through */
    vf t = x + shift;
    vf p = vf_polynomial(x - (t - shift), coefficients, degree);
    vi e = (vi)t - (vi)vf_set(shift); /* as an integer */
    vi e1 = e >> 1, e2 = e - e1;
    return p * (vf)((e1 + 127) << 23) * (vf)((e2 + 127) << 23);
#endif
}

static inline vf vf_exp2(vf x) {
#if defined(__AVX512F__) /* on [0, 1]: 2.0e-9; the rest is rounding */
    static const float c[] = {0.693147063f,   0.240229309f,   0.0554852821f,
                              0.00967545155f, 0.00124678458f, 0.000216129149f};
#else /* on [-1/2, 1/2]: 2.0e-9 */
    static const float c[] = {0.693147182f,   0.240226477f,  0.0555033237f,
                              0.00961843692f, 0.0013398875f, 0.00015353362f};
#endif
    return vf_exp2_degree(x, c, 6);
}

static inline vf vf_exp2_coarse(vf x) {
#if defined(__AVX512F__) /* on [0, 1]: 8.6e-5 */
    static const float c[] = {0.695116758f, 0.227644995f, 0.0770670474f};
#else /* on [-1/2, 1/2]: 1.01e-4 */
    static const float c[] = {0.693282902f, 0.242210954f, 0.0550089329f};
#endif
    return vf_exp2_degree(x, c, 3);
}

/* Cephes' logf (S. Moshier): x = m 2^e with m in [1/sqrt 2, sqrt 2), ln 2 in two parts. */
static inline vf vf_log(vf x) {
    vi e = ((vi)x - 0x3f3504f3) >> 23;
    vf m = (vf)((vi)x - (e << 23)) - 1.0f, z = m * m, n = __builtin_convertvector(e, vf);
    vf p = vf_set(7.0376836292e-2f);
    p = vf_fma(p, m, vf_set(-1.1514610310e-1f));
    p = vf_fma(p, m, vf_set(1.1676998740e-1f));
    p = vf_fma(p, m, vf_set(-1.2420140846e-1f));
    p = vf_fma(p, m, vf_set(1.4249322787e-1f));
    p = vf_fma(p, m, vf_set(-1.6668057665e-1f));
    p = vf_fma(p, m, vf_set(2.0000714765e-1f));
    p = vf_fma(p, m, vf_set(-2.4999993993e-1f));
    p = vf_fma(p, m, vf_set(3.3333331174e-1f));
    p = vf_fma(n, vf_set(-2.12194440e-4f), m * z * p) - z * 0.5f;
    p = vf_fma(n, vf_set(0.693359375f), m + p);
    return vf_select(x < INFINITY, p, x);
}

#endif
