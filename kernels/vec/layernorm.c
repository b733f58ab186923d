/* Micro-loops of layernorm: what memory allows, provided that no loop waits for its own sums. A row
 * is read from memory once and then again from L1. Sums run in four vectors (vector i of a row is
 * added to sum i mod 4), so that four additions are under way at a time. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
enum { SUMS = 4, BLOCK = SUMS * VF_LANES, ROWS = 4 };

/* v in the first n lanes, zero in the others. */
ALWAYS_INLINE vf first_lanes(vf v, int64_t n) {
    if (n >= VF_LANES)
        return v;
    float lanes[VF_LANES];
    vf_store(lanes, v);
    return vf_load_part(lanes, n);
}

ALWAYS_INLINE vf load(const float *p, int64_t j, int64_t n) {
    return vf_load_as(p, TIC_F32, j, n);
}

ALWAYS_INLINE float total(const vf sums[SUMS]) {
    return vf_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* Calls step(j, n, i) for the vectors of a row in turn: columns j .. j+n-1, the sum i they go to.
 */
#define FOR_VECTORS(d, step)                                                                       \
    do {                                                                                           \
        int64_t at_ = 0;                                                                           \
        for (; at_ + BLOCK <= (d); at_ += BLOCK)                                                   \
            for (int i_ = 0; i_ < SUMS; i_++)                                                      \
                step(at_ + i_ * VF_LANES, VF_LANES, i_);                                           \
        for (int i_ = 0; at_ < (d); at_ += VF_LANES, i_++)                                         \
            step(at_, (d)-at_ < VF_LANES ? (d)-at_ : VF_LANES, i_);                                \
    } while (0)

/* The vector at column j, of elements of so many bytes, is the first of a line, or all of it (where
 * rows begin on lines): others need not ask for it again. */
ALWAYS_INLINE bool begins_line(int64_t j, int64_t size) {
    enum { LINE = 64 };
    return VF_LANES * size >= LINE || j * size % LINE == 0;
}

/* The next rows come while these are worked on, those of the next call too: a thread that stops
 * asking at the end of each of its chunks waits for memory in one block of four. They come to L1,
 * or to L2 when they would put out those that are worked on. From memory each vector asks, not each
 * line (of two vectors of 8 floats or of 16 bf16): AVX2 1.05 times as fast out of cache, 0.9 in a
 * cache; some asks, presumably, are dropped. */
typedef enum ahead_to { AHEAD_TO_L1, AHEAD_TO_L2, AHEAD_TO_L2_TWICE } ahead_to;

ALWAYS_INLINE void fetch_to(ahead_to to, const void *p, int64_t j, int64_t size) {
    if (to != AHEAD_TO_L2_TWICE && !begins_line(j, size))
        return;
    if (to == AHEAD_TO_L1)
        __builtin_prefetch(p, 0, 3);
    else
        __builtin_prefetch(p, 0, 2);
}

/* By the bytes of what a column of a row has, before and after; a fifth of L1 is for gamma and
 * sums. */
ALWAYS_INLINE ahead_to ahead_of(const tic_layernorm_args *a, size_t column) {
    const size_t row = (size_t)a->d * column;
    const tic_cpu *cpu = tic_cpu_get();
    if (2 * ROWS * row <= cpu->l1d / 5 * 4)
        return AHEAD_TO_L1;
    return row * (size_t)a->rows <= cpu->l3 ? AHEAD_TO_L2 : AHEAD_TO_L2_TWICE;
}

/* Calls work(a, type, to, ...) with both constant. */
#define FOR_MODES(type, to, work, ...)                                                             \
    if ((type) == TIC_F32)                                                                         \
        FOR_AHEAD(TIC_F32, to, work, __VA_ARGS__)                                                  \
    else                                                                                           \
        FOR_AHEAD(TIC_BF16, to, work, __VA_ARGS__)
#define FOR_AHEAD(type, to, work, ...)                                                             \
    switch (to) {                                                                                  \
    case AHEAD_TO_L1:                                                                              \
        work(a, type, AHEAD_TO_L1, __VA_ARGS__);                                                   \
        break;                                                                                     \
    case AHEAD_TO_L2:                                                                              \
        work(a, type, AHEAD_TO_L2, __VA_ARGS__);                                                   \
        break;                                                                                     \
    case AHEAD_TO_L2_TWICE:                                                                        \
        work(a, type, AHEAD_TO_L2_TWICE, __VA_ARGS__);                                             \
    }

/* ---- forward -------------------------------------------------------------------------------- */

ALWAYS_INLINE float mean_of(const float *x, int64_t d) {
    vf sums[SUMS] = {0};
#define STEP(j, n, i) sums[i] += load(x, j, n)
    FOR_VECTORS(d, STEP);
#undef STEP
    return total(sums) / (float)d;
}

ALWAYS_INLINE float variance_of(const float *x, int64_t d, float mean) {
    vf squares[SUMS] = {0};
#define STEP(j, n, i)                                                                              \
    do {                                                                                           \
        vf c_ = first_lanes(load(x, j, n) - mean, n);                                              \
        squares[i] = vf_fma(c_, c_, squares[i]);                                                   \
    } while (0)
    FOR_VECTORS(d, STEP);
#undef STEP
    return total(squares) / (float)d;
}

ALWAYS_INLINE void write_vector(const tic_layernorm_args *a, tic_dtype type, int64_t row, int64_t j,
                                int64_t n, float mean, float rstd) {
    vf xhat = (load(a->x + row * a->ld_x, j, n) - mean) * rstd;
    vf y = vf_fma(xhat, load(a->gamma, j, n), load(a->beta, j, n));
    vf_store_as(a->y.data, type, row * a->y.ld + j, y, n);
}

/* `count` rows at a time: the end of one row's sums does not hold up the next. */
ALWAYS_INLINE void forward_rows(const tic_layernorm_args *a, tic_dtype type, ahead_to to,
                                int64_t first, int count) {
    const float *x = a->x + first * a->ld_x;
    const int64_t ahead = first + 2 * count <= a->rows ? count : 0;
    const int64_t size = (int64_t)tic_dtype_size(type);
    float mean[ROWS], rstd[ROWS];
    for (int i = 0; i < count; i++)
        mean[i] = mean_of(x + i * a->ld_x, a->d);
    for (int i = 0; i < count; i++)
        rstd[i] = variance_of(x + i * a->ld_x, a->d, mean[i]);
    for (int i = 0; i < count; i++)
        rstd[i] = 1 / __builtin_sqrtf(rstd[i] + a->eps);
    for (int i = 0; i < count; i++) {
        int64_t j = 0;
        for (; j + VF_LANES <= a->d; j += VF_LANES) {
            fetch_to(to, x + (i + ahead) * a->ld_x + j, j, sizeof *x);
            fetch_to(to, tic_mat_row(a->y, first + i + ahead, j), j, size);
            write_vector(a, type, first + i, j, VF_LANES, mean[i], rstd[i]);
        }
        if (j < a->d)
            write_vector(a, type, first + i, j, a->d - j, mean[i], rstd[i]);
        if (a->mean)
            a->mean[first + i] = mean[i];
        if (a->rstd)
            a->rstd[first + i] = rstd[i];
    }
}

ALWAYS_INLINE void forward_as(const tic_layernorm_args *a, tic_dtype type, ahead_to to,
                              int64_t first, int64_t last) {
    for (; first + ROWS <= last; first += ROWS)
        forward_rows(a, type, to, first, ROWS);
    for (; first < last; first++)
        forward_rows(a, type, to, first, 1);
}

static void forward(const tic_layernorm_args *a, int64_t first, int64_t last) {
    const ahead_to to = ahead_of(a, sizeof(float) + tic_dtype_size(a->y.type)); /* x, y */
    FOR_MODES(a->y.type, to, forward_as, first, last)
}

/* ---- backward: answers y = xhat gamma + beta ------------------------------------------------- */

typedef struct row {
    const float *x;
    float *dx;
    int64_t dy; /* where dy's row starts, in elements */
    float mean, rstd, mean_g, mean_gx;
} row;

/* The means of g = dy gamma and of g xhat. Lanes past d hold dy = gamma = 0. Of the rows `ahead`
 * the part that is written is asked for here, the rest in rows_step: memory is never without work.
 */
ALWAYS_INLINE row row_means(const tic_layernorm_args *a, tic_dtype type, ahead_to to, int64_t ahead,
                            int64_t i) {
    const int64_t d = a->d;
    row r = {.x = a->x + i * a->ld_x,
             .dx = a->dx + i * a->ld_dx,
             .dy = i * a->dy.ld,
             .mean = a->mean[i],
             .rstd = a->rstd[i]};
    vf sum_g[SUMS] = {0}, sum_gx[SUMS] = {0};
#define STEP(j, n, s)                                                                              \
    do {                                                                                           \
        fetch_to(to, r.dx + ahead * a->ld_dx + (j), j, sizeof *r.dx);                              \
        vf g_ = vf_load_as(a->dy.data, type, r.dy + (j), n) * load(a->gamma, j, n);                \
        sum_g[s] += g_;                                                                            \
        sum_gx[s] = vf_fma(g_, first_lanes((load(r.x, j, n) - r.mean) * r.rstd, n), sum_gx[s]);    \
    } while (0)
    FOR_VECTORS(d, STEP);
#undef STEP
    r.mean_g = total(sum_g) / (float)d;
    r.mean_gx = total(sum_gx) / (float)d;
    return r;
}

/* dx of `count` rows in columns j .. j+n-1, and their part of dgamma and dbeta. */
ALWAYS_INLINE void rows_step(const tic_layernorm_args *a, tic_dtype type, ahead_to to,
                             const row *rows, int count, int64_t ahead, int64_t j, int64_t n,
                             float *dgamma, float *dbeta) {
    const vf gamma = load(a->gamma, j, n);
    vf sum_gamma = load(dgamma, j, n), sum_beta = load(dbeta, j, n);
    for (int i = 0; i < count; i++) {
        const row *r = &rows[i];
        fetch_to(to, r->x + ahead * a->ld_x + j, j, sizeof *r->x);
        fetch_to(to, tic_mat_row(a->dy, 0, r->dy + ahead * a->dy.ld + j), j,
                 (int64_t)tic_dtype_size(type));
        vf dy = vf_load_as(a->dy.data, type, r->dy + j, n);
        vf xhat = (load(r->x, j, n) - r->mean) * r->rstd;
        vf change = vf_fma(dy, gamma, vf_set(-r->mean_g));
        change = vf_fnma(xhat, vf_set(r->mean_gx), change) * r->rstd;
        if (a->add_dx)
            change += load(r->dx, j, n);
        vf_store_as(r->dx, TIC_F32, j, change, n);
        sum_gamma = vf_fma(dy, xhat, sum_gamma);
        sum_beta += dy;
    }
    vf_store_as(dgamma, TIC_F32, j, sum_gamma, n);
    vf_store_as(dbeta, TIC_F32, j, sum_beta, n);
}

/* `count` rows at a time, so that dgamma and dbeta are loaded and stored once for all of them. */
ALWAYS_INLINE void backward_rows(const tic_layernorm_args *a, tic_dtype type, ahead_to to,
                                 int64_t first, int count, float *dgamma, float *dbeta) {
    const int64_t ahead = first + count + ROWS <= a->rows ? ROWS : 0;
    row rows[ROWS];
    int64_t j = 0;
    for (int i = 0; i < count; i++)
        rows[i] = row_means(a, type, to, ahead, first + i);
    for (; j + VF_LANES <= a->d; j += VF_LANES)
        rows_step(a, type, to, rows, count, ahead, j, VF_LANES, dgamma, dbeta);
    if (j < a->d)
        rows_step(a, type, to, rows, count, ahead, j, a->d - j, dgamma, dbeta);
}

ALWAYS_INLINE void backward_as(const tic_layernorm_args *a, tic_dtype type, ahead_to to,
                               int64_t first, int64_t last, float *dgamma, float *dbeta) {
    memset(dgamma, 0, (size_t)a->d * sizeof *dgamma);
    memset(dbeta, 0, (size_t)a->d * sizeof *dbeta);
    const int count = to == AHEAD_TO_L1 ? ROWS : ROWS / 2; /* then x and dy are still in L1 the
                                                              second time */
    for (; first + count <= last; first += count)
        backward_rows(a, type, to, first, count, dgamma, dbeta);
    for (; first < last; first++)
        backward_rows(a, type, to, first, 1, dgamma, dbeta);
}

static void backward(const tic_layernorm_args *a, int64_t first, int64_t last, float *dgamma,
                     float *dbeta) {
    const ahead_to to = ahead_of(a, 2 * sizeof(float) + tic_dtype_size(a->dy.type)); /* x, dx, dy */
    FOR_MODES(a->dy.type, to, backward_as, first, last, dgamma, dbeta)
}

const tic_layernorm_micro TIC_TIERED(tic_layernorm_micro) = {forward, backward};
