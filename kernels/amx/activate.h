/* The activations and their slopes by table (kernels/gen/activations.py): about 19 instructions a
 * vector, none of them a division, so that an epilogue fits in the shadow of tile products; for
 * GELU wherever AVX-512 is (kernels/vec/gelu.h). With
 * F odd, every function is 1/2 + F(x) or x times that. Errors, roundings included, as
 * tests/kernels/amx.c and vec.c hold them to: gelu and quick_gelu within 1.2e-7 |x|, the slopes
 * within 2e-7. Unlike the formulas of kernels/vec/gelu.h, relative accuracy is not kept down the
 * negative tail. NaN stays NaN; of -infinity, like x Phi(x), NaN. */
#ifndef TIC_AMX_ACTIVATE_H
#define TIC_AMX_ACTIVATE_H

#include "activations.h" /* generated */
#include "kernels/amx/lanes.h"

/* F(|x|) */
TIC_INLINE lanes look_up(const float (*table)[16], int degree, float scale, lanes magnitude) {
    const lanes shift = lanes_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    lanes t = lanes_fma(magnitude, lanes_set(scale), lanes_set(-0.5f));
    t = lanes_min(lanes_set(tic_table_last), t);
    lanes rounded = t + shift, r = t - (rounded - shift);
    lanes_i row = (lanes_i)rounded;
    lanes sum = lanes_look_up(table[degree], row);
    for (int d = degree - 1; d >= 0; d--)
        sum = lanes_fma(sum, r, lanes_look_up(table[d], row));
    return sum;
}

/* x (1/2 + F(x)) = x / 2 + |x| F(|x|) */
#define TIC_ACTIVATE(name, x)                                                                      \
    lanes_fma(lanes_abs(x),                                                                        \
              look_up(tic_##name##_table, tic_##name##_degree, tic_##name##_scale, lanes_abs(x)),  \
              (x)*0.5f)
#define TIC_SLOPE(name, x)                                                                         \
    (0.5f +                                                                                        \
     lanes_copy_sign(                                                                              \
         look_up(tic_##name##_table, tic_##name##_degree, tic_##name##_scale, lanes_abs(x)), x))

TIC_INLINE lanes lanes_act(lanes x, tic_act act) {
    return act == TIC_ACT_GELU         ? TIC_ACTIVATE(gelu, x)
           : act == TIC_ACT_QUICK_GELU ? TIC_ACTIVATE(quick, x)
                                       : x;
}

TIC_INLINE lanes lanes_act_slope(lanes x, tic_act act) {
    return act == TIC_ACT_GELU         ? TIC_SLOPE(gelu_slope, x)
           : act == TIC_ACT_QUICK_GELU ? TIC_SLOPE(quick_slope, x)
                                       : lanes_set(1.0f);
}

#endif
