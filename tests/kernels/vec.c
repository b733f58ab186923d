/* kernels/vec/vec.h and gelu.h, compiled once a tier as the kernels are. */
#include "check.h"

#include "kernels/vec/exp2.h"
#include "kernels/vec/gelu.h"

#include <stdio.h>

#if defined(__AVX512BF16__)
#define NEEDS (TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16)
#elif defined(__AVX512F__)
#define NEEDS TIC_ISA_AVX512
#elif defined(__AVX2__)
#define NEEDS TIC_ISA_AVX2
#else
#define NEEDS TIC_ISA_PORTABLE
#endif

/* GELU by table; denormals that are rounded to bf16 become zeros of their sign. */
#if defined(__AVX512BF16__)
enum { BY_TABLE = 1, FLUSHES = 1 };
#elif defined(__AVX512F__)
enum { BY_TABLE = 1, FLUSHES = 0 };
#else
enum { BY_TABLE = 0, FLUSHES = 0 };
#endif

#define SKIP_UNLESS_RUNNABLE()                                                                     \
    do {                                                                                           \
        if ((tic_cpu_get()->isa & NEEDS) != NEEDS)                                                 \
            cr_skip_test("this CPU lacks %s", tic_isa_name(NEEDS));                                \
    } while (0)

static float lane(vf v, int i) {
    float x[VF_LANES];
    vf_store(x, v);
    return x[i % VF_LANES];
}

static void exp2_is_within(vf (*function)(vf), double bound) {
    double worst = 0;
    for (int i = 0; i < 2000000; i++) {
        float x = -125.9f + 253.8f * (float)i / 2000000;
        double want = exp2((double)x), got = lane(function(vf_set(x)), i);
        double error = fabs(got - want) / want;
        worst = error <= worst || isnan(worst) ? worst : error;
    }
    cr_assert(worst <= bound, "%g", worst);
    cr_assert(lane(function(vf_set(0)), 0) == 1);
    cr_assert(isnan(lane(function(vf_set(NAN)), 0)));
    cr_assert(lane(function(vf_set(INFINITY)), 0) == INFINITY);
    cr_assert(lane(function(vf_set(128.1f)), 0) == INFINITY);
    cr_assert(lane(function(vf_set(-INFINITY)), 0) == 0);
    cr_assert(lane(function(vf_set(-1e30f)), 0) == 0);
    double denormal = exp2(-140.25);
    cr_assert(fabs(lane(function(vf_set(-140.25f)), 0) - denormal) <= 1.5e-45 + bound * denormal);
}

Test(vec, exp2_is_within_its_bounds) {
    SKIP_UNLESS_RUNNABLE();
    exp2_is_within(vf_exp2, 2e-7);
    exp2_is_within(vf_exp2_coarse, 1.1e-4);
}

Test(vec, log_is_within_its_bound) {
    SKIP_UNLESS_RUNNABLE();
    for (int i = 0; i < 2000000; i++) {
        const float x = (float)exp2(-20.0 + 60.0 * i / 2000000);
        const double want = log((double)x), error = fabs(lane(vf_log(vf_set(x)), i) - want);
        cr_assert(error <= 1.2e-7 * fabs(want) + 3e-8, "log(%g): %g", x, error);
    }
    cr_assert(lane(vf_log(vf_set(1)), 0) == 0);
    cr_assert(lane(vf_log(vf_set(INFINITY)), 0) == INFINITY);
    cr_assert(isnan(lane(vf_log(vf_set(NAN)), 0)));
}

Test(vec, normal_distribution_and_density) {
    SKIP_UNLESS_RUNNABLE();
    for (int i = 0; i <= 1000000; i++) {
        float x = -13.0f + 26.0f * (float)i / 1000000;
        vf distribution, density;
        vf_normal(vf_set(x), &distribution, &density);
        double want = 0.5 * erfc(-(double)x * M_SQRT1_2);
        double error = fabs(lane(distribution, i) - want);
        cr_assert(error <= 2.5e-7, "Phi(%g): %g", x, error);
        /* relative: the exponent -x²/2 is rounded, by at most 2^-24 of itself */
        double relative = 6e-7 + (double)x * x / 2 * 0x1p-23;
        cr_assert(error <= relative * want + 1e-44, "Phi(%g): %g of %g", x, error, want);
        double phi = exp(-0.5 * (double)x * x) / sqrt(2 * M_PI);
        cr_assert(fabs(lane(density, i) - phi) <= relative * phi + 1e-44, "phi(%g)", x);
    }
}

/* By formula gelu and its slope inherit Phi's and phi's bounds, times |x|; by table they have their
 * own (kernels/amx/activate.h). quick_gelu inherits those of its sigmoid. */
Test(vec, activations_are_within_their_bounds) {
    SKIP_UNLESS_RUNNABLE();
    for (int i = 0; i <= 1000000; i++) {
        const float x = -13.0f + 26.0f * (float)i / 1000000;
        const double z = fabs((double)x), phi = exp(-0.5 * z * z) / sqrt(2 * M_PI);
        const double distribution = 0.5 * erfc(-(double)x * M_SQRT1_2);
        const double relative = 6e-7 + z * z * 0x1p-24 + 0x1p-23; /* two more roundings */
        double error = fabs(lane(vf_gelu(vf_set(x)), i) - x * distribution);
        double bound = BY_TABLE ? 1.2e-7 : fmin(2.5e-7 + 0x1p-24, relative * distribution);
        cr_assert(error <= z * bound + 1e-44, "gelu(%g): %g", x, error);
        error = fabs(lane(vf_gelu_slope(vf_set(x)), i) - (distribution + x * phi));
        bound = BY_TABLE ? 2e-7 : relative * (distribution + z * phi);
        cr_assert(error <= bound + 1e-44, "gelu'(%g): %g", x, error);
        const double sigmoid = 1 / (1 + exp(-1.702 * x)), bent = 6e-7 + z * 0x1p-22 + 0x1p-23;
        error = fabs(lane(vf_quick_gelu(vf_set(x)), i) - x * sigmoid);
        cr_assert(error <= z * bent * sigmoid, "quick_gelu(%g): %g", x, error);
        const double slope = 1.702 * z * sigmoid * (1 - sigmoid);
        error = fabs(lane(vf_quick_gelu_slope(vf_set(x)), i) -
                     (sigmoid + 1.702 * x * sigmoid * (1 - sigmoid)));
        cr_assert(error <= 4 * bent * sigmoid + 4 * bent * slope + 1.702 * z * 0x1p-23,
                  "quick_gelu'(%g): %g", x, error);
    }
}

Test(vec, activations_of_the_extremes) {
    SKIP_UNLESS_RUNNABLE();
    cr_assert(lane(vf_gelu(vf_set(INFINITY)), 0) == INFINITY);
    cr_assert(lane(vf_gelu(vf_set(-1e30f)), 0) == 0);
    cr_assert(lane(vf_gelu_slope(vf_set(50)), 0) == 1);
    cr_assert(lane(vf_gelu_slope(vf_set(-50)), 0) == 0);
    cr_assert(isnan(lane(vf_gelu(vf_set(NAN)), 0)));
    cr_assert(lane(vf_quick_gelu(vf_set(1e30f)), 0) == 1e30f);
    cr_assert(lane(vf_quick_gelu(vf_set(-1e30f)), 0) == 0);
    cr_assert(isnan(lane(vf_quick_gelu(vf_set(NAN)), 0)));
    cr_assert(isnan(lane(vf_gelu_slope(vf_set(NAN)), 0)));
    cr_assert(isnan(lane(vf_quick_gelu_slope(vf_set(NAN)), 0)));
    cr_assert(lane(vf_quick_gelu(vf_set(INFINITY)), 0) == INFINITY);
    /* x Phi(x) and x s(x) are x / 2 there, the slopes 1 / 2 */
    for (float x = 0x1p-148f; x < 0x1p-120f; x *= 1.75f)
        for (int sign = -1; sign <= 1; sign += 2) {
            const float bound = 0x1p-149f + 0x1p-20f * x, at = (float)sign * x;
            cr_assert(fabsf(lane(vf_gelu(vf_set(at)), 0) - at / 2) <= bound);
            cr_assert(fabsf(lane(vf_quick_gelu(vf_set(at)), 0) - at / 2) <= bound);
            cr_assert(fabsf(lane(vf_gelu_slope(vf_set(at)), 0) - 0.5f) <= 0x1p-20f);
            cr_assert(fabsf(lane(vf_quick_gelu_slope(vf_set(at)), 0) - 0.5f) <= 0x1p-20f);
        }
}

static tic_bf16 rounded(float x) {
    if (FLUSHES && fabsf(x) < 0x1p-126f)
        return signbit(x) ? 0x8000 : 0;
    return tic_to_bf16(x);
}

/* All exponents, NaN and infinity among them; lanes differ. */
Test(vec, bf16_rounds_as_the_scalar_does) {
    SKIP_UNLESS_RUNNABLE();
    for (uint64_t i = 0; i < (uint64_t)1 << 21; i++) {
        float x[VF_LANES], y[VF_LANES];
        tic_bf16 halves[VF_LANES];
        for (uint64_t l = 0; l < VF_LANES; l++) {
            const uint32_t bits = (uint32_t)((i + l) * 1021 + ((i + 3 * l) << 12));
            const uint32_t other = bits * 2654435761u;
            memcpy(&x[l], &bits, 4);
            memcpy(&y[l], &other, 4);
        }
        const vf round = vf_round_bf16(vf_load(x));
        const vu pair = vf_pair_bf16(vf_load(x), vf_load(y));
        vf_store_bf16(halves, vf_load(x));
        for (int l = 0; l < VF_LANES; l++) {
            const uint32_t first = rounded(x[l]), second = rounded(y[l]);
            cr_assert(halves[l] == first, "%a: %04x", x[l], halves[l]);
            cr_assert(((vu)round)[l] == first << 16, "%a: %08x", x[l], ((vu)round)[l]);
            cr_assert(pair[l] == (second << 16 | first), "%a, %a: %08x", x[l], y[l], pair[l]);
        }
    }
}

Test(vec, parts_touch_nothing_else) {
    SKIP_UNLESS_RUNNABLE();
    for (int n = 0; n <= VF_LANES; n++) {
        check_guarded g = check_guarded_new((size_t)n * 4, false);
        check_guarded h = check_guarded_new((size_t)n * 2, false);
        float *f = g.data;
        tic_bf16 *b = h.data;
        for (int i = 0; i < n; i++) {
            f[i] = (float)i + 1;
            b[i] = tic_to_bf16((float)i + 1);
        }
        vf x = vf_load_part(f, n), y = vf_load_bf16_part(b, n);
        for (int i = 0; i < VF_LANES; i++)
            cr_assert(lane(x, i) == (i < n ? i + 1 : 0) && lane(y, i) == lane(x, i));
        vf_store_part(f, x * 2, n);
        vf_store_bf16_part(b, y * 2, n);
        for (int i = 0; i < n; i++)
            cr_assert(f[i] == 2 * (i + 1) && tic_from_bf16(b[i]) == f[i]);
        check_guarded_free(&g);
        check_guarded_free(&h);
    }
}

Test(vec, reductions) {
    SKIP_UNLESS_RUNNABLE();
    for (int at = 0; at < VF_LANES; at++) {
        float x[VF_LANES];
        for (int i = 0; i < VF_LANES; i++)
            x[i] = i == at ? 3 : -7;
        cr_assert(vf_max_of(vf_load(x)) == 3);
        cr_assert(vf_sum(vf_load(x)) == 3 - 7 * (VF_LANES - 1));
    }
    cr_assert(isnan(lane(vf_max(vf_set(1), vf_set(NAN)), 0)));
    cr_assert(lane(vf_max(vf_set(NAN), vf_set(1)), 0) == 1);
    cr_assert(lane(vf_min(vf_set(NAN), vf_set(1)), 0) == 1);
}
