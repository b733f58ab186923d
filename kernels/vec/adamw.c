/* Micro-loops over flat ranges: one AdamW step in one pass, the sum of squares of the gradient with
 * it, the steps that a table's rows have missed, and a sum of squares alone. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#include <math.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Half a vector of floats becomes a whole one of doubles. */
typedef float vf_half __attribute__((vector_size(VF_BYTES / 2)));
typedef double vd __attribute__((vector_size(VF_BYTES)));
enum { PARTS = 16, HALF = VF_LANES / 2, AHEAD = 512, TOGETHER = 4 };

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

/* ---- one step of a vector -------------------------------------------------------------------- */

typedef struct element {
    vf w, m, v;
} element;

/* The moments' part in a step, once they are those after it. */
ALWAYS_INLINE void move(element *e, const tic_adamw_step *by) {
    const vf change = e->m / vf_fma(vf_sqrt(e->v), vf_set(by->root), vf_set(by->eps));
    e->w = vf_fnma(vf_set(by->rate), change, e->w * by->decay);
}

ALWAYS_INLINE void take(element *e, vf gradient, const tic_adamw_step *by) {
    const vf g = gradient * by->grad_scale;
    e->m = vf_fma(vf_set(by->beta1), e->m, vf_set(by->rest1) * g);
    e->v = vf_fma(vf_set(by->beta2), e->v, vf_set(by->rest2) * (g * g));
    move(e, by);
}

/* The same with a gradient of zero. Not a mere product: -0 + 0 is 0. */
ALWAYS_INLINE void miss(element *e, const tic_adamw_step *by) {
    e->m = vf_fma(vf_set(by->beta1), e->m, vf_set(0));
    e->v = vf_fma(vf_set(by->beta2), e->v, vf_set(0));
    move(e, by);
}

/* Where gradient and moments are zero, as of every token that no caption had yet, a step is nothing
 * but decay, to the bit. Not where 0 times infinity or 0 over 0 is NaN and must reach w. */
ALWAYS_INLINE bool only_decays(const tic_adamw_step *by) {
    return isfinite(by->grad_scale) && isfinite(by->rate) && by->eps > 0;
}

/* ---- a range --------------------------------------------------------------------------------- */

/* Lanes beyond the end hold zeros, and are neither stored nor counted. What only decays is not
 * computed further, nor its moments written. Most of a table of tokens has no gradient to be
 * zeroed. */
ALWAYS_INLINE double steps(const tic_adamw_args *a, const tic_adamw_step *now, int64_t first,
                           int64_t last, bool squares) {
    vd part[PARTS / HALF] = {{0}};
    const tic_adamw_step by = *now; /* so that no store can change it */
    const bool may_skip = only_decays(&by);
    int64_t at = 0;
    for (int64_t i = first; i < last; i += VF_LANES, at = (at + VF_LANES) % PARTS) {
        const int64_t n = last - i < VF_LANES ? last - i : VF_LANES;
        const vf gradient = vf_load_as(a->g, TIC_F32, i, n);
        element e = {.m = vf_load_as(a->m, TIC_F32, i, n),
                     .v = vf_load_as(a->v, TIC_F32, i, n),
                     .w = vf_load_as(a->w, TIC_F32, i, n)};
        if (may_skip && vf_all_clear((vu)gradient | (vu)e.m | (vu)e.v)) {
            vf_store_as(a->w, TIC_F32, i, e.w * by.decay, n);
            continue;
        }
        if (squares)
            add_squares(part, at, gradient);
        take(&e, gradient, &by);
        vf_store_as(a->w, TIC_F32, i, e.w, n);
        vf_store_as(a->m, TIC_F32, i, e.m, n);
        vf_store_as(a->v, TIC_F32, i, e.v, n);
        if (a->zero_grad && !vf_all_clear((vu)gradient))
            vf_store_as(a->g, TIC_F32, i, vf_set(0), n);
    }
    return sum_of(part);
}

static void step(const tic_adamw_args *a, const tic_adamw_step *now, int64_t first, int64_t last,
                 double *squares) {
    if (squares)
        *squares = steps(a, now, first, last, true);
    else
        steps(a, now, first, last, false);
}

/* ---- rows that missed steps ------------------------------------------------------------------ */

/* Floats first .. last-1 of a row that has made `made` steps. */
typedef struct late {
    const tic_adamw_args *args;
    int64_t first, last, made;
} late;

ALWAYS_INLINE const tic_adamw_step *past(const tic_adamw_rows *rows, int64_t step) {
    return &rows->history[step % TIC_ADAMW_KEPT];
}

/* Elements of the k-th vector from `first` on. */
ALWAYS_INLINE int64_t lanes_at(const late *l, int64_t k) {
    const int64_t left = l->last - l->first - k * VF_LANES;
    return left < 0 ? 0 : left < VF_LANES ? left : VF_LANES;
}

/* All steps that are kept, so all that any row has missed. */
static bool all_only_decay(const tic_adamw_rows *rows) {
    int64_t s = rows->steps - TIC_ADAMW_KEPT;
    for (s = s > 0 ? s : 0; s < rows->steps; s++)
        if (!only_decays(past(rows, s)))
            return false;
    return true;
}

static bool has_moments(const late *l) {
    vu any = {0};
    for (int64_t i = l->first; i < l->last; i += VF_LANES) {
        const int64_t n = lanes_at(l, (i - l->first) / VF_LANES);
        any |= (vu)vf_load_as(l->args->m, TIC_F32, i, n);
        any |= (vu)vf_load_as(l->args->v, TIC_F32, i, n);
    }
    return !vf_all_clear(any);
}

/* A chain of products: some vectors at once, TOGETHER at most. */
static void decay(const late *l) {
    vf w[TOGETHER];
    for (int k = 0; k < TOGETHER; k++)
        w[k] = vf_load_as(l->args->w, TIC_F32, l->first + k * VF_LANES, lanes_at(l, k));
    for (int64_t s = l->made; s < l->args->rows->steps; s++)
        for (int k = 0; k < TOGETHER; k++)
            w[k] *= past(l->args->rows, s)->decay;
    for (int k = 0; k < TOGETHER; k++)
        vf_store_as(l->args->w, TIC_F32, l->first + k * VF_LANES, w[k], lanes_at(l, k));
}

static void move_on(const late *l) {
    const tic_adamw_args *a = l->args;
    for (int64_t i = l->first; i < l->last; i += VF_LANES) {
        const int64_t n = lanes_at(l, (i - l->first) / VF_LANES);
        element e = {.m = vf_load_as(a->m, TIC_F32, i, n),
                     .v = vf_load_as(a->v, TIC_F32, i, n),
                     .w = vf_load_as(a->w, TIC_F32, i, n)};
        for (int64_t s = l->made; s < a->rows->steps; s++)
            miss(&e, past(a->rows, s));
        vf_store_as(a->w, TIC_F32, i, e.w, n);
        vf_store_as(a->m, TIC_F32, i, e.m, n);
        vf_store_as(a->v, TIC_F32, i, e.v, n);
    }
}

static void catch_up(const tic_adamw_args *a, int64_t row, bool may_skip) {
    const int64_t cols = a->rows->cols, end = (row + 1) * cols;
    late l = {.args = a, .last = row * cols, .made = a->rows->made[row]};
    if (l.made == a->rows->steps)
        return;
    a->rows->made[row] = a->rows->steps;
    while (l.last < end) {
        l.first = l.last;
        l.last = l.first + TOGETHER * VF_LANES < end ? l.first + TOGETHER * VF_LANES : end;
        if (may_skip && !has_moments(&l))
            decay(&l);
        else
            move_on(&l);
    }
}

static void rows(const tic_adamw_args *a, const tic_adamw_step *now, int64_t first, int64_t last,
                 double *squares) {
    const bool may_skip = all_only_decay(a->rows);
    double sum = 0;
    for (int64_t i = first; i < last; i++) {
        const int64_t row = a->rows->list != NULL ? a->rows->list[i] : i;
        catch_up(a, row, may_skip);
        if (a->g == NULL)
            continue;
        sum += steps(a, now, row * a->rows->cols, (row + 1) * a->rows->cols, squares != NULL);
        a->rows->made[row]++;
    }
    if (squares)
        *squares = sum;
}

/* ---- sum of squares -------------------------------------------------------------------------- */

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

const tic_adamw_micro TIC_TIERED(tic_adamw_micro) = {step, rows, square_sum};
