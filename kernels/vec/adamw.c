/* Micro-loops over flat ranges: one AdamW step in one pass, the sum of squares of the gradient with
 * it, and a sum of squares alone. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#include <math.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Half a vector of floats becomes a whole one of doubles. */
typedef float vf_half __attribute__((vector_size(VF_BYTES / 2)));
typedef double vd __attribute__((vector_size(VF_BYTES)));
enum { PARTS = 16, HALF = VF_LANES / 2, AHEAD = 512 };

/* Element i is added to partial sum i % PARTS: squares are exact in double, so every tier gets the
 * same bits. Adds the squares of the vector whose element 0 goes to partial sum `at`. */
ALWAYS_INLINE void add_squares(vd part[PARTS / HALF], int64_t at, vf x) {
    vf_half few[2];
    memcpy(few, &x, sizeof few);
    for (int h = 0; h < 2; h++) {
        const vd wide = __builtin_convertvector(few[h], vd);
        part[at / HALF + h] += wide * wide;
    }
}

ALWAYS_INLINE double sum_of(const vd part[PARTS / HALF]) {
    double sums[PARTS], total = 0;
    memcpy(sums, part, sizeof sums);
    for (int p = 0; p < PARTS; p++)
        total += sums[p];
    return total;
}

/* Lanes beyond the end hold zeros, and are neither stored nor counted. Where gradient and moments
 * are zero, as of every token that no caption had yet, a step is nothing but decay, to the bit:
 * nothing else is computed or written. Most of a table of tokens has no gradient to be zeroed. */
ALWAYS_INLINE double steps(const tic_adamw_args *a, int64_t first, int64_t last, float rate,
                           float root, bool squares) {
    vd part[PARTS / HALF] = {{0}};
    const vf beta1 = vf_set(a->beta1), beta2 = vf_set(a->beta2);
    const vf rest1 = vf_set((float)(1 - (double)a->beta1));
    const vf rest2 = vf_set((float)(1 - (double)a->beta2));
    const vf decay = vf_set((float)(1 - (double)a->lr * a->weight_decay));
    /* 0 times infinity and 0 over 0 are NaN, and must reach w */
    const bool may_skip = isfinite(a->grad_scale) && isfinite(rate) && a->eps > 0;
    int64_t at = 0;
    for (int64_t i = first; i < last; i += VF_LANES, at = (at + VF_LANES) % PARTS) {
        const int64_t n = last - i < VF_LANES ? last - i : VF_LANES;
        const vf gradient = vf_load_as(a->g, TIC_F32, i, n);
        const vf old_m = vf_load_as(a->m, TIC_F32, i, n), old_v = vf_load_as(a->v, TIC_F32, i, n);
        const vf old_w = vf_load_as(a->w, TIC_F32, i, n);
        if (may_skip && vf_all_clear((vu)gradient | (vu)old_m | (vu)old_v)) {
            vf_store_as(a->w, TIC_F32, i, old_w * decay, n);
            continue;
        }
        if (squares)
            add_squares(part, at, gradient);
        vf g = gradient * a->grad_scale;
        vf m = vf_fma(beta1, old_m, rest1 * g);
        vf v = vf_fma(beta2, old_v, rest2 * (g * g));
        vf change = m / vf_fma(vf_sqrt(v), vf_set(root), vf_set(a->eps));
        vf w = vf_fnma(vf_set(rate), change, old_w * decay);
        vf_store_as(a->w, TIC_F32, i, w, n);
        vf_store_as(a->m, TIC_F32, i, m, n);
        vf_store_as(a->v, TIC_F32, i, v, n);
        if (a->zero_grad && !vf_all_clear((vu)gradient))
            vf_store_as(a->g, TIC_F32, i, vf_set(0), n);
    }
    return sum_of(part);
}

static void step(const tic_adamw_args *a, int64_t first, int64_t last, float rate, float root,
                 double *squares) {
    if (squares)
        *squares = steps(a, first, last, rate, root, true);
    else
        steps(a, first, last, rate, root, false);
}

static double square_sum(const float *x, int64_t n) {
    vd part[PARTS / HALF] = {{0}};
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS) {
        __builtin_prefetch(x + (i + AHEAD < n ? i + AHEAD : i));
        for (int p = 0; p < PARTS; p += VF_LANES)
            add_squares(part, p, vf_load(x + i + p));
    }
    for (int p = 0; i + p < n; p += VF_LANES) {
        const int64_t left = n - i - p;
        add_squares(part, p, vf_load_as(x, TIC_F32, i + p, left < VF_LANES ? left : VF_LANES));
    }
    return sum_of(part);
}

const tic_adamw_micro TIC_TIERED(tic_adamw_micro) = {step, square_sum};
