/* Micro-loops over strips of scores: log-sum-exps of rows and columns, gradients of the contrastive
 * and the distillation loss. Sums run in f32 lanes over at most BLOCK columns (or one strip's
 * rows) and go on in double. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#include <math.h>

enum { BLOCK = 512 };

static int64_t part(int64_t left) {
    return left < VF_LANES ? left : VF_LANES;
}

/* The first n elements, `other` in the lanes after them. */
static inline vf load_or(const float *p, int64_t n, float other) {
    if (n >= VF_LANES)
        return vf_load(p);
    float padded[VF_LANES];
    for (int64_t i = 0; i < VF_LANES; i++)
        padded[i] = i < n ? p[i] : other;
    return vf_load(padded);
}

static float row_lse(int64_t n, const float *s, float scale) {
    vf max = vf_set(-INFINITY);
    for (int64_t j = 0; j < n; j += VF_LANES)
        max = vf_max(load_or(s + j, n - j, s[0]) * scale, max);
    float top = vf_max_of(max); /* a NaN among the scores reaches the sum below */
    double total = 0;
    for (int64_t block = 0; block < n; block += BLOCK) {
        int64_t end = block + BLOCK < n ? block + BLOCK : n;
        vf sum = vf_set(0);
        for (int64_t j = block; j < end; j += VF_LANES)
            sum += vf_exp(vf_fma(load_or(s + j, end - j, -INFINITY), vf_set(scale), vf_set(-top)));
        total += vf_sum(sum);
    }
    return top + (float)log(total);
}

static void column_update(int64_t rows, int64_t n, const float *s, int64_t ld, float scale,
                          float *max, double *sum) {
    float top[TIC_SCORE_COLUMNS + VF_LANES], strip[TIC_SCORE_COLUMNS + VF_LANES] = {0};
    for (int64_t j = 0; j < n; j += VF_LANES)
        vf_store(top + j, load_or(max + j, n - j, 0));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j += VF_LANES) {
            vf x = load_or(s + i * ld + j, n - j, 0) * scale;
            vf_store(top + j, vf_max(x, vf_load(top + j)));
        }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j += VF_LANES) {
            vf x = load_or(s + i * ld + j, n - j, 0);
            vf e = vf_exp(vf_fma(x, vf_set(scale), -vf_load(top + j)));
            vf_store(strip + j, vf_load(strip + j) + e);
        }
    for (int64_t j = 0; j < n; j++) {
        sum[j] = sum[j] * exp((double)max[j] - top[j]) + strip[j];
        max[j] = top[j];
    }
}

static double contrastive_row(int64_t n, float *s, float scale, float row, const float *column,
                              float factor) {
    double total = 0;
    for (int64_t block = 0; block < n; block += BLOCK) {
        int64_t end = block + BLOCK < n ? block + BLOCK : n;
        vf sum = vf_set(0);
        for (int64_t j = block; j < end; j += VF_LANES) {
            int64_t m = part(end - j);
            vf x = vf_load_as(s, TIC_F32, j, m);
            vf c = vf_load_as(column, TIC_F32, j, m);
            vf p = vf_exp(vf_fma(x, vf_set(scale), vf_set(-row)));
            vf q = vf_exp(vf_fma(x, vf_set(scale), -c));
            vf ds = (p + q) * factor;
            sum = vf_fma(ds, x * scale, sum); /* x is 0 in lanes past the end */
            vf_store_as(s, TIC_F32, j, ds, m);
        }
        total += vf_sum(sum);
    }
    return total;
}

static void distill_row(int64_t n, float *s, const float *t, float scale, float t_scale, float row,
                        float t_row, const float *column, const float *t_column, float factor,
                        double *dot, double *cross) {
    for (int64_t block = 0; block < n; block += BLOCK) {
        int64_t end = block + BLOCK < n ? block + BLOCK : n;
        vf dots = vf_set(0), crosses = vf_set(0);
        for (int64_t j = block; j < end; j += VF_LANES) {
            int64_t m = part(end - j);
            vf x = vf_load_as(s, TIC_F32, j, m), y = vf_load_as(t, TIC_F32, j, m);
            vf c = vf_load_as(column, TIC_F32, j, m), t_c = vf_load_as(t_column, TIC_F32, j, m);
            vf p = vf_exp(vf_fma(x, vf_set(scale), vf_set(-row))) +
                   vf_exp(vf_fma(x, vf_set(scale), -c));
            vf q = vf_exp(vf_fma(y, vf_set(t_scale), vf_set(-t_row))) +
                   vf_exp(vf_fma(y, vf_set(t_scale), -t_c));
            vf ds = (p - q) * factor;
            dots = vf_fma(ds, x * scale, dots); /* x and y are 0 in lanes past the end */
            crosses = vf_fma(q, y * t_scale - x * scale, crosses);
            vf_store_as(s, TIC_F32, j, ds, m);
        }
        *dot += vf_sum(dots);
        *cross += vf_sum(crosses);
    }
}

const tic_scores_micro TIC_TIERED(tic_scores_micro) = {
    row_lse,
    column_update,
    contrastive_row,
    distill_row,
};
