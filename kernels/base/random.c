/* Philox4x32-10 and what is drawn from it. Everything here is integer arithmetic or double
 * arithmetic in one written order (+ - * / and square root are correctly rounded by IEEE 754, and
 * the build forbids contraction), so results are the same bits on every machine. */
#include "kernels/base/random.h"

#include <string.h>

/* Ten rounds (Salmon et al. 2011, Sec. 3.3), multipliers and Weyl keys as in Random123. */
void tic_philox(tic_random key, uint64_t position, uint32_t out[4]) {
    uint32_t x0 = (uint32_t)position, x1 = (uint32_t)(position >> 32);
    uint32_t x2 = key.purpose, x3 = key.lane;
    uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53 * x0, p1 = (uint64_t)0xCD9E8D57 * x2;
        uint32_t y0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0, y2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x1 = (uint32_t)p1;
        x3 = (uint32_t)p0;
        x0 = y0;
        x2 = y2;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

uint32_t tic_random_u32(tic_random key, uint64_t position) {
    uint32_t words[4];
    tic_philox(key, position, words);
    return words[0];
}

/* Two words as one number, the first one low. */
static uint64_t pair(const uint32_t *words) {
    return (uint64_t)words[1] << 32 | words[0];
}

uint64_t tic_random_below(tic_random key, uint64_t position, uint64_t n) {
    uint32_t words[4];
    tic_philox(key, position, words);
    /* floor(x n / 2^128) for a 128-bit x: each value's probability is off by less than 2^-128 * n,
     * that is by at most 2^-64 relative to 1/n for any n. */
    unsigned __int128 low = (unsigned __int128)pair(words) * n;
    unsigned __int128 high = (unsigned __int128)pair(words + 2) * n;
    return (uint64_t)((high + (low >> 64)) >> 64);
}

double tic_random_uniform(tic_random key, uint64_t position) {
    uint32_t words[4];
    tic_philox(key, position, words);
    return (double)(pair(words) >> 11) * 0x1p-53;
}

/* Natural logarithm for x in (0, 1], by x = 2^e m with m in [sqrt(1/2), sqrt(2)) and the series
 * ln m = 2 atanh((m-1)/(m+1)): |s| <= 0.1716, so the first term left out, s^23/23, is below 2e-19
 * of s. Error within 2 ulp. */
static double own_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1022; /* x is normal: it is at least 2^-54 */
    bits = (bits & 0x000fffffffffffff) | 0x3fe0000000000000;
    double m;
    memcpy(&m, &bits, sizeof m); /* [0.5, 1) */
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1), z = s * s, sum = 0;
    for (int k = 21; k >= 3; k -= 2)
        sum = (sum + 1.0 / k) * z;
    return exponent * 0.69314718055994531 + 2 * (s + s * sum);
}

/* Numerator and denominator of degree 7, highest power last. */
static double ratio(const double p[8], const double q[8], double r) {
    double a = p[7], b = q[7];
    for (int i = 6; i >= 0; i--) {
        a = a * r + p[i];
        b = b * r + q[i];
    }
    return a / b;
}

/* The normal deviate whose lower tail is u in (0, 1): algorithm PPND16 of Wichura, AS 241 (1988),
 * relative accuracy about 1e-16. */
static double inverse_normal(double u) {
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[8] = {1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    double q = u - 0.5;
    if (q >= -0.425 && q <= 0.425)
        return q * ratio(a, b, 0.180625 - q * q);
    double tail = q < 0 ? u : 1 - u;
    double r = __builtin_sqrt(-own_log(tail));
    double z = r <= 5 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5);
    return q < 0 ? -z : z;
}

double tic_random_normal(tic_random key, uint64_t position) {
    uint32_t words[4];
    tic_philox(key, position, words);
    /* 52 bits and half a step: exact, and never 0 or 1 */
    return inverse_normal((double)(pair(words) >> 12) * 0x1p-52 + 0x1p-53);
}

uint64_t tic_permute(tic_random key, uint64_t epoch, uint64_t n, uint64_t i) {
    int half = 1; /* bits; the network permutes 4^half >= n numbers, less than 4 n for n > 1 */
    while (half < 32 && (uint64_t)1 << (2 * half) < n)
        half++;
    uint32_t words[4], mask = (uint32_t)(((uint64_t)1 << half) - 1);
    tic_philox(key, epoch, words);
    tic_random of_epoch = {pair(words), key.purpose, words[2]};
    do { /* cycle walking: fewer than four turns on average */
        uint32_t left = (uint32_t)(i >> half), right = (uint32_t)i & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint32_t mixed = left ^ (tic_random_u32(of_epoch, round << 32 | right) & mask);
            left = right;
            right = mixed;
        }
        i = (uint64_t)left << half | right;
    } while (i >= n);
    return i;
}
