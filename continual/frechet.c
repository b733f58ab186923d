/* Fréchet distance of two normal distributions, fitted to embeddings (reference/tic-clip.md, Shift
 * analysis). */
#include "shift.h"
#include <math.h>

static void fit(tic_moments *m, const float *features, int64_t n) {
    const int d = m->d;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < d; k++)
            m->mean[k] += features[i * d + k];
    for (int k = 0; k < d; k++)
        m->mean[k] /= (double)n;
    /* Two passes: what is summed is small, and nothing cancels. */
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < d; k++) {
            const double x = features[i * d + k] - m->mean[k];
            for (int l = 0; l <= k; l++)
                m->covariance[(size_t)k * d + l] += x * (features[i * d + l] - m->mean[l]);
        }
    for (int k = 0; k < d; k++)
        for (int l = 0; l <= k; l++) {
            const double value = m->covariance[(size_t)k * d + l] / (double)(n - 1);
            m->covariance[(size_t)k * d + l] = m->covariance[(size_t)l * d + k] = value;
        }
}

tic_status tic_moments_make(tic_moments *out, const float *features, int64_t n, int d,
                            tic_error *err) {
    *out = (tic_moments){.d = d};
    if (n < 2)
        return tic_fail(err, TIC_EUSAGE, "a covariance of %lld embeddings; it takes two",
                        (long long)n);
    const size_t size = (size_t)d;
    TIC_TRY(tic_alloc(&out->mean, size * (size + 1), sizeof(double), err));
    out->covariance = out->mean + d;
    fit(out, features, n);
    return TIC_OK;
}

void tic_moments_free(tic_moments *moments) {
    tic_free(moments->mean);
    *moments = (tic_moments){.d = 0};
}

/* rows becomes Fᵀ, row i being sqrt(lambda_i) times S's eigenvector i. What rounding leaves of an
 * eigenvalue that is zero is taken for zero. */
static tic_status factor(const tic_moments *m, double *rows, double *values, tic_error *err) {
    const int d = m->d;
    double largest = 0;
    for (size_t i = 0; i < (size_t)d * (size_t)d; i++)
        rows[i] = m->covariance[i];
    TIC_TRY(tic_eigen_symmetric(rows, d, values, true, err));
    for (int i = 0; i < d; i++)
        largest = fmax(largest, values[i]);
    for (int i = 0; i < d; i++) {
        const double root = values[i] > d * 0x1p-52 * largest ? sqrt(values[i]) : 0;
        for (int k = 0; k < d; k++)
            rows[(size_t)i * d + k] *= root;
    }
    return TIC_OK;
}

/* product = FᵀSF with rows = Fᵀ; half: [d]. */
static void sandwich(const double *rows, const double *s, int d, double *half, double *product) {
    for (int i = 0; i < d; i++) {
        const double *row = rows + (size_t)i * d;
        for (int k = 0; k < d; k++)
            half[k] = 0;
        for (int l = 0; l < d; l++)
            for (int k = 0; k < d; k++)
                half[k] += row[l] * s[(size_t)l * d + k];
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int k = 0; k < d; k++)
                sum += half[k] * rows[(size_t)j * d + k];
            product[(size_t)i * d + j] = product[(size_t)j * d + i] = sum;
        }
    }
}

tic_status tic_frechet(const tic_moments *a, const tic_moments *b, double *distance,
                       tic_error *err) {
    const int d = a->d;
    const size_t cells = (size_t)d * (size_t)d;
    double *rows, sum = 0;
    if (b->d != d)
        return tic_fail(err, TIC_EUSAGE, "embeddings of %d and %d numbers", d, b->d);
    TIC_TRY(tic_alloc(&rows, 2 * cells + (size_t)d, sizeof(double), err));
    double *product = rows + cells, *values = product + cells;
    tic_status status = factor(a, rows, values, err);
    if (status == TIC_OK) {
        sandwich(rows, b->covariance, d, values, product);
        status = tic_eigen_symmetric(product, d, values, false, err);
    }
    for (int k = 0; k < d && status == TIC_OK; k++) {
        const double apart = a->mean[k] - b->mean[k];
        sum += apart * apart + a->covariance[(size_t)k * d + k] + b->covariance[(size_t)k * d + k] -
               2 * sqrt(fmax(values[k], 0));
    }
    tic_free(rows);
    *distance = fmax(sum, 0); /* of equal ones rounding may leave less than nothing */
    return status;
}
