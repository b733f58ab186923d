/* Micro-loops of layernorm. A row is read three times, the second and third from L1. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

static int64_t part(int64_t left) {
    return left < VF_LANES ? left : VF_LANES;
}

static inline vf load(const float *p, int64_t i, int64_t d) {
    return vf_load_as(p, TIC_F32, i, part(d - i));
}

/* v in the first n lanes, zero in the others. */
static inline vf first_lanes(vf v, int64_t n) {
    if (n >= VF_LANES)
        return v;
    float lanes[VF_LANES];
    vf_store(lanes, v);
    return vf_load_part(lanes, n);
}

static inline __attribute__((always_inline)) void
forward_as(const tic_layernorm_args *a, tic_dtype type, int64_t first, int64_t last) {
    const int64_t d = a->d;
    for (int64_t i = first; i < last; i++) {
        const float *x = a->x + i * a->ld_x;
        vf sum = vf_set(0), squares = vf_set(0);
        for (int64_t j = 0; j < d; j += VF_LANES)
            sum += load(x, j, d);
        const float mean = vf_sum(sum) / (float)d;
        for (int64_t j = 0; j < d; j += VF_LANES) {
            vf c = first_lanes(load(x, j, d) - mean, d - j);
            squares = vf_fma(c, c, squares);
        }
        const float rstd = 1 / __builtin_sqrtf(vf_sum(squares) / (float)d + a->eps);
        for (int64_t j = 0; j < d; j += VF_LANES) {
            vf xhat = (load(x, j, d) - mean) * rstd;
            vf y = vf_fma(xhat, load(a->gamma, j, d), load(a->beta, j, d));
            vf_store_as(a->y.data, type, i * a->y.ld + j, y, part(d - j));
        }
        if (a->mean)
            a->mean[i] = mean;
        if (a->rstd)
            a->rstd[i] = rstd;
    }
}

static void forward(const tic_layernorm_args *a, int64_t first, int64_t last) {
    if (a->y.type == TIC_F32)
        forward_as(a, TIC_F32, first, last);
    else
        forward_as(a, TIC_BF16, first, last);
}

/* Answers y = xhat gamma + beta. Lanes past d hold dy = gamma = 0 and add nothing to the means. */
static inline __attribute__((always_inline)) void backward_as(const tic_layernorm_args *a,
                                                              tic_dtype type, int64_t first,
                                                              int64_t last, float *dgamma,
                                                              float *dbeta) {
    const int64_t d = a->d;
    memset(dgamma, 0, (size_t)d * sizeof *dgamma);
    memset(dbeta, 0, (size_t)d * sizeof *dbeta);
    for (int64_t i = first; i < last; i++) {
        const float *x = a->x + i * a->ld_x;
        float *dx = a->dx + i * a->ld_dx;
        const float mean = a->mean[i], rstd = a->rstd[i];
        vf sum_g = vf_set(0), sum_gx = vf_set(0);
        for (int64_t j = 0; j < d; j += VF_LANES) {
            vf g =
                vf_load_as(a->dy.data, type, i * a->dy.ld + j, part(d - j)) * load(a->gamma, j, d);
            sum_g += g;
            sum_gx = vf_fma(g, first_lanes((load(x, j, d) - mean) * rstd, d - j), sum_gx);
        }
        const float mean_g = vf_sum(sum_g) / (float)d, mean_gx = vf_sum(sum_gx) / (float)d;
        for (int64_t j = 0; j < d; j += VF_LANES) {
            const int64_t n = part(d - j);
            vf dy = vf_load_as(a->dy.data, type, i * a->dy.ld + j, n);
            vf xhat = (load(x, j, d) - mean) * rstd;
            vf change = vf_fma(dy, load(a->gamma, j, d), vf_set(-mean_g));
            change = vf_fnma(xhat, vf_set(mean_gx), change) * rstd;
            if (a->add_dx)
                change += load(dx, j, d);
            vf_store_as(dx, TIC_F32, j, change, n);
            vf_store_as(dgamma, TIC_F32, j, vf_fma(dy, xhat, load(dgamma, j, d)), n);
            vf_store_as(dbeta, TIC_F32, j, dy + load(dbeta, j, d), n);
        }
    }
}

static void backward(const tic_layernorm_args *a, int64_t first, int64_t last, float *dgamma,
                     float *dbeta) {
    if (a->dy.type == TIC_F32)
        backward_as(a, TIC_F32, first, last, dgamma, dbeta);
    else
        backward_as(a, TIC_BF16, first, last, dgamma, dbeta);
}

const tic_layernorm_micro TIC_TIERED(tic_layernorm_micro) = {forward, backward};
