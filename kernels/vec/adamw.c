/* Micro-loops over flat ranges: one AdamW step in one pass, and the sum of squares. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

static void step(const tic_adamw_args *a, int64_t first, int64_t last, float rate, float root) {
    const vf beta1 = vf_set(a->beta1), beta2 = vf_set(a->beta2);
    const vf rest1 = vf_set((float)(1 - (double)a->beta1));
    const vf rest2 = vf_set((float)(1 - (double)a->beta2));
    const vf decay = vf_set((float)(1 - (double)a->lr * a->weight_decay));
    for (int64_t i = first; i < last; i += VF_LANES) {
        const int64_t n = last - i < VF_LANES ? last - i : VF_LANES;
        vf g = vf_load_as(a->g, TIC_F32, i, n) * a->grad_scale;
        vf m = vf_fma(beta1, vf_load_as(a->m, TIC_F32, i, n), rest1 * g);
        vf v = vf_fma(beta2, vf_load_as(a->v, TIC_F32, i, n), rest2 * (g * g));
        vf change = m / vf_fma(vf_sqrt(v), vf_set(root), vf_set(a->eps));
        vf w = vf_fnma(vf_set(rate), change, vf_load_as(a->w, TIC_F32, i, n) * decay);
        vf_store_as(a->w, TIC_F32, i, w, n);
        vf_store_as(a->m, TIC_F32, i, m, n);
        vf_store_as(a->v, TIC_F32, i, v, n);
        if (a->zero_grad)
            vf_store_as(a->g, TIC_F32, i, vf_set(0), n);
    }
}

/* Half a vector of floats becomes a whole one of doubles. */
typedef float vf_half __attribute__((vector_size(VF_BYTES / 2)));
typedef double vd __attribute__((vector_size(VF_BYTES)));
enum { PARTS = 16, HALF = VF_LANES / 2, AHEAD = 512 };

/* Element i is added to partial sum i % PARTS: squares are exact in double, so every tier gets the
 * same bits. */
static double square_sum(const float *x, int64_t n) {
    vd part[PARTS / HALF];
    for (int v = 0; v < PARTS / HALF; v++)
        part[v] = (vd){0};
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS) {
        __builtin_prefetch(x + (i + AHEAD < n ? i + AHEAD : i));
        for (int v = 0; v < PARTS / HALF; v++) {
            vf_half few;
            memcpy(&few, x + i + v * HALF, sizeof few);
            vd wide = __builtin_convertvector(few, vd);
            part[v] += wide * wide;
        }
    }
    double sums[PARTS], total = 0;
    memcpy(sums, part, sizeof sums);
    for (int p = 0; i + p < n; p++)
        sums[p] += (double)x[i + p] * x[i + p];
    for (int p = 0; p < PARTS; p++)
        total += sums[p];
    return total;
}

const tic_adamw_micro TIC_TIERED(tic_adamw_micro) = {step, square_sum};
