/* Micro-loops of L2 normalisation. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

static int64_t part(int64_t left) {
    return left < VF_LANES ? left : VF_LANES;
}

static inline vf load(const float *p, int64_t i, int64_t d) {
    return vf_load_as(p, TIC_F32, i, part(d - i));
}

static float dot(const float *x, const float *y, int64_t d) {
    vf sum = vf_set(0);
    for (int64_t j = 0; j < d; j += VF_LANES)
        sum = vf_fma(load(x, j, d), load(y, j, d), sum);
    return vf_sum(sum);
}

static void forward(const tic_l2norm_args *a, int64_t first, int64_t last) {
    const int64_t d = a->d;
    for (int64_t i = first; i < last; i++) {
        const float *x = a->x + i * d;
        const float norm = __builtin_sqrtf(dot(x, x, d));
        const float inverse = 1 / (norm < a->eps ? a->eps : norm); /* a NaN stays */
        a->inverse[i] = inverse;
        for (int64_t j = 0; j < d; j += VF_LANES)
            vf_store_as(a->y, TIC_F32, i * d + j, load(x, j, d) * inverse, part(d - j));
    }
}

/* Answers y = inverse x. */
static void backward(const tic_l2norm_args *a, int64_t first, int64_t last) {
    const int64_t d = a->d;
    for (int64_t i = first; i < last; i++) {
        const float *y = a->y + i * d, *dy = a->dy + i * d;
        const vf along = vf_set(dot(y, dy, d)), inverse = vf_set(a->inverse[i]);
        for (int64_t j = 0; j < d; j += VF_LANES) {
            vf dx = inverse * vf_fnma(load(y, j, d), along, load(dy, j, d));
            vf_store_as(a->dx, TIC_F32, i * d + j, dx, part(d - j));
        }
    }
}

const tic_l2norm_micro TIC_TIERED(tic_l2norm_micro) = {forward, backward};
