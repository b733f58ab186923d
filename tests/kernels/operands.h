/* For the tests of the operations beside gemm, on top of check.h: operands that end at a page
 * nobody may touch and live until the test's process ends, comparisons of whole arrays, central
 * differences. */
#ifndef TESTS_KERNELS_OPERANDS_H
#define TESTS_KERNELS_OPERANDS_H

#include "check.h"

/* Half a unit in the last place, relative. */
#define EPS 0x1p-24
#define EPS_BF16 0x1p-8

/* ---- operands ------------------------------------------------------------------------------- */

/* n normal numbers; different lanes, different numbers. */
static inline float *normals(int64_t n, uint32_t lane, double spread) {
    float *x = check_guarded_new((size_t)n * sizeof *x, false).data;
    for (int64_t i = 0; i < n; i++)
        x[i] =
            (float)(spread * tic_random_normal((tic_random){7, TIC_RNG_BENCH, lane}, (uint64_t)i));
    return x;
}

static inline float *zeros(int64_t n) {
    return check_guarded_new((size_t)n * sizeof(float), false).data;
}

static inline float *copy_of(const float *x, int64_t n) {
    return memcpy(zeros(n), x, (size_t)n * sizeof *x);
}

/* A dense [rows, ld] matrix holding x in `type`. */
static inline tic_mat mat_of(const float *x, int64_t rows, int64_t ld, tic_dtype type) {
    const size_t bytes = (size_t)(rows * ld) * tic_dtype_size(type);
    tic_mat m = {check_guarded_new(bytes, false).data, type, ld};
    for (int64_t i = 0; i < rows * ld; i++)
        if (type == TIC_F32)
            ((float *)m.data)[i] = x[i];
        else
            ((tic_bf16 *)m.data)[i] = tic_to_bf16(x[i]);
    return m;
}

static inline float element(tic_mat m, int64_t i) {
    return m.type == TIC_F32 ? ((float *)m.data)[i] : tic_from_bf16(((tic_bf16 *)m.data)[i]);
}

/* The same elements as f32. */
static inline float *floats_of(tic_mat m, int64_t n) {
    float *x = zeros(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = element(m, i);
    return x;
}

/* ---- variants and threads ------------------------------------------------------------------- */

/* NULL: what dispatch picks. */
static inline void force(tic_ctx *ctx, tic_op op, const char *variant) {
    CHECK_OK(tic_ctx_force(ctx, op, variant, err));
}

static const int thread_counts[] = {1, 2, 3, 4, 7};
enum { THREAD_COUNTS = sizeof thread_counts / sizeof thread_counts[0] };

/* ---- comparisons ---------------------------------------------------------------------------- */

static inline double largest(const float *x, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

/* Largest Euclidean norm of the rows of d elements. */
static inline double largest_norm(const float *x, int64_t rows, int64_t d) {
    double most = 0;
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++)
            sum += (double)x[i * d + j] * x[i * d + j];
        most = sum > most ? sum : most;
    }
    return sqrt(most);
}

/* |got - want| <= absolute + relative |want| for every element; NaN fails. */
static inline void close_to(const float *got, const float *want, int64_t n, double absolute,
                            double relative, const char *what) {
    for (int64_t i = 0; i < n; i++) {
        const double err = fabs((double)got[i] - want[i]);
        const double bound = absolute + relative * fabs(want[i]);
        cr_assert(err <= bound, "%s[%lld]: %.9g, not %.9g: error %.3g > %.3g", what, (long long)i,
                  got[i], want[i], err, bound);
    }
}

static inline void mat_close_to(tic_mat got, tic_mat want, int64_t n, double absolute,
                                const char *what) {
    /* both sides were rounded to the type */
    const double relative = got.type == TIC_BF16 ? 2 * EPS_BF16 : 0;
    close_to(floats_of(got, n), floats_of(want, n), n, absolute, relative, what);
}

static inline void same_bits(const void *got, const void *want, size_t bytes, const char *what,
                             int threads) {
    cr_assert_eq(memcmp(got, want, bytes), 0, "%s differs with %d threads", what, threads);
}

/* ---- central differences -------------------------------------------------------------------- */

/* dx is the gradient of loss(state) with respect to x[n]: differences over 2 h at about 100 of its
 * elements agree within 1e-3 of the largest. The loss must be computed from f32 results in double;
 * their rounding, EPS |loss| / h, is what limits h from below. */
static inline void gradient_of(double (*loss)(void *state), void *state, float *x, int64_t n,
                               const float *dx, double h, const char *what) {
    const double bound = 1e-3 * largest(dx, n);
    cr_assert(bound > 0, "%s: the gradient is zero", what);
    for (int64_t i = 0; i < n; i += 1 + n / 100) {
        const float middle = x[i], above = middle + (float)h, below = middle - (float)h;
        x[i] = above;
        double difference = loss(state);
        x[i] = below;
        difference = (difference - loss(state)) / ((double)above - below);
        x[i] = middle;
        cr_assert(fabs(difference - dx[i]) <= bound, "%s[%lld]: %.9g, difference quotient %.9g",
                  what, (long long)i, dx[i], difference);
    }
}

/* sum of x w */
static inline double weighted(const float *x, const float *w, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * w[i];
    return sum;
}

#endif
