/* Reference of layernorm, forward and backward, sums in double. */
#include "kernels/ops.h"

#include <math.h>

static void moments(const tic_layernorm_args *a, int64_t i, double *mean, double *rstd) {
    const float *x = a->x + i * a->ld_x;
    double sum = 0, squares = 0;
    for (int64_t j = 0; j < a->d; j++)
        sum += x[j];
    *mean = sum / (double)a->d;
    for (int64_t j = 0; j < a->d; j++)
        squares += (x[j] - *mean) * (x[j] - *mean);
    *rstd = 1 / sqrt(squares / (double)a->d + a->eps);
}

TIC_RUN(tic_layernorm_ref) {
    const tic_layernorm_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t i = 0; i < a->rows; i++) {
        double mean, rstd;
        moments(a, i, &mean, &rstd);
        for (int64_t j = 0; j < a->d; j++) {
            double xhat = (a->x[i * a->ld_x + j] - mean) * rstd;
            tic_mat_put(a->y, i, j, (float)(xhat * a->gamma[j] + a->beta[j]));
        }
        if (a->mean)
            a->mean[i] = (float)mean;
        if (a->rstd)
            a->rstd[i] = (float)rstd;
    }
    return TIC_OK;
}

/* Answers y = xhat gamma + beta, from the mean and rstd that forward kept. */
TIC_RUN(tic_layernorm_backward_ref) {
    const tic_layernorm_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t i = 0; i < a->rows; i++) {
        const float *x = a->x + i * a->ld_x;
        float *dx = a->dx + i * a->ld_dx;
        double mean = a->mean[i], rstd = a->rstd[i], mean_g = 0, mean_gx = 0;
        for (int64_t j = 0; j < a->d; j++) {
            double g = (double)tic_mat_get(a->dy, i, j) * a->gamma[j];
            mean_g += g / (double)a->d;
            mean_gx += g * (x[j] - mean) * rstd / (double)a->d;
        }
        for (int64_t j = 0; j < a->d; j++) {
            double g = (double)tic_mat_get(a->dy, i, j) * a->gamma[j];
            double change = rstd * (g - mean_g - (x[j] - mean) * rstd * mean_gx);
            dx[j] = (float)(a->add_dx ? dx[j] + change : change);
        }
    }
    for (int64_t j = 0; j < a->d; j++) {
        double dgamma = a->dgamma[j], dbeta = a->dbeta[j];
        for (int64_t i = 0; i < a->rows; i++) {
            double dy = tic_mat_get(a->dy, i, j);
            dgamma += dy * ((double)a->x[i * a->ld_x + j] - a->mean[i]) * a->rstd[i];
            dbeta += dy;
        }
        a->dgamma[j] = (float)dgamma;
        a->dbeta[j] = (float)dbeta;
    }
    return TIC_OK;
}
