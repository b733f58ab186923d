/* Micro-loops over strips of scores: sums of exponentials of rows and columns, gradients of the
 * contrastive and the distillation loss, packing of the products' operands.
 *
 * Exponentials are powers of two, exp(scale s) = 2^x with x = scale log2(e) s: scaling a sum by a
 * power of two is exact. Where a strip's x lie within RANGE of each other, as they nearly always
 * do, one exponential serves rows and columns: e = 2^(x - top) neither underflows nor loses
 * accuracy, and p_row + p_column = e (2^(top - row) + 2^(top - column)). Otherwise each row and
 * column has its own reference. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#include <math.h>

#define LOG2_E 1.44269504088896340736f
#define SHIFT 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, in the low bits */
#define RANGE 100.0f      /* sums of 2^-100 and products of 2^100 stay normal numbers */

static int64_t part(int64_t left) {
    return left < VF_LANES ? left : VF_LANES;
}

static inline vf load(const float *p, int64_t j, int64_t n) {
    return vf_load_as(p, TIC_F32, j, part(n - j));
}

/* v in the first n lanes, zero in the others. */
static inline vf first_lanes(vf v, int64_t n) {
    if (n >= VF_LANES)
        return v;
    float lanes[VF_LANES];
    vf_store(lanes, v);
    return vf_load_part(lanes, n);
}

/* 2^r on |r| <= 1/2: minimax of degree 5 (7.5e-8; 2.2e-7 in f32). */
static inline vf power_of_fraction(vf r) {
    vf p = vf_set(0x1.5c08e6p-10f);
    p = vf_fma(p, r, vf_set(0x1.3d0c52p-7f));
    p = vf_fma(p, r, vf_set(0x1.c6b6e4p-5f));
    p = vf_fma(p, r, vf_set(0x1.ebf918p-3f));
    p = vf_fma(p, r, vf_set(0x1.62e428p-1f));
    return vf_fma(p, r, vf_set(0x1.000002p0f));
}

/* 2^(factor s) = the result * 2^*integer. NaN and infinities give NaN. */
static inline vf mantissa(vf s, vf factor, vf *integer) {
    vf n = vf_fma(s, factor, vf_set(SHIFT)) - SHIFT;
    *integer = n;
    return power_of_fraction(vf_fma(s, factor, -n));
}

/* 2^n for integers: 0 below -126, 2^127 above. */
static inline vf power(vf n) {
    n = vf_min(vf_max(n, vf_set(-127)), vf_set(127));
    return (vf)((vi)(n + (SHIFT + 127)) << 23);
}

/* 2^(factor s - top) where that is within 2^-126 .. 1, with shift = SHIFT + 127 - top. */
static inline vf near_power(vf s, vf factor, vf shift) {
    vf t = vf_fma(s, factor, shift);
    return power_of_fraction(vf_fma(s, factor, shift - t)) * (vf)((vi)t << 23);
}

static void one(float x, float scale, float *m, float *exponent) {
    vf integer, fraction = mantissa(vf_set(x), vf_set(scale * LOG2_E), &integer);
    *m = fraction[0];
    *exponent = integer[0];
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* The largest x of the strip, rounded; false when the strip needs references of its own. */
static bool common_top(const tic_scores_strip *a, vf factor, float *top) {
    vf most = vf_set(a->s[0]), least = most, odd = vf_set(0);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < a->n; j += VF_LANES) {
            vf s = load(a->s + i * a->ld, j, a->n); /* zeros past the end only widen the range */
            most = vf_max(s, most);
            least = vf_min(s, least);
            odd += s - s; /* NaN when an element is not finite */
        }
    const float above = vf_max_of(most) * factor[0], below = -vf_max_of(-least) * factor[0];
    *top = (above + SHIFT) - SHIFT;
    return above - below <= RANGE && vf_sum(odd) == 0;
}

/* Adds part[n] * 2^reference to sums. */
static void merge(int64_t n, const float *parts, const float *references, tic_scores_sums sums) {
    for (int64_t j = 0; j < n; j += VF_LANES) {
        const int64_t m = part(n - j);
        vf old = load(sums.sum, j, n), exponent = load(sums.exponent, j, n);
        vf more = load(parts, j, n), reference = load(references, j, n);
        vf own = __builtin_convertvector(((vi)more >> 23) - 127, vf);
        vf larger = vf_max(exponent, reference + own);
        vf sum = old * power(exponent - larger) + more * power(reference - larger);
        vf_store_as(sums.sum, TIC_F32, j, sum, m);
        vf_store_as(sums.exponent, TIC_F32, j, larger, m);
    }
}

static void fill(float *x, int64_t n, float value) {
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

/* Row parts and column parts of exponentials with one reference. */
static void gather_near(const tic_scores_strip *a, vf factor, float top, float *rows,
                        float *columns) {
    const vf shift = vf_set(SHIFT + 127 - top);
    for (int64_t i = 0; i < a->rows; i++) {
        const float *s = a->s + i * a->ld;
        vf sum = vf_set(0);
        int64_t j = 0;
        for (; j + VF_LANES <= a->n; j += VF_LANES) {
            vf e = near_power(vf_load(s + j), factor, shift);
            sum += e;
            vf_store(columns + j, vf_load(columns + j) + e);
        }
        if (j < a->n) {
            vf e = first_lanes(near_power(load(s, j, a->n), factor, shift), a->n - j);
            sum += e;
            vf_store(columns + j, vf_load(columns + j) + e);
        }
        rows[i] = vf_sum(sum);
    }
}

/* The same with the largest x of each row and each column as its reference. */
static void gather_far(const tic_scores_strip *a, vf factor, float *rows, float *row_tops,
                       float *columns, float *column_tops) {
    fill(column_tops, TIC_SCORES_COLUMNS, -INFINITY);
    for (int64_t i = 0; i < a->rows; i++) {
        float top = -INFINITY;
        for (int64_t j = 0; j < a->n; j++) {
            const float x = a->s[i * a->ld + j] * factor[0], rounded = (x + SHIFT) - SHIFT;
            top = rounded > top ? rounded : top; /* a NaN reaches the sums below */
            column_tops[j] = rounded > column_tops[j] ? rounded : column_tops[j];
        }
        row_tops[i] = top;
    }
    for (int64_t i = 0; i < a->rows; i++) {
        vf sum = vf_set(0);
        for (int64_t j = 0; j < a->n; j += VF_LANES) {
            vf n, m = mantissa(load(a->s + i * a->ld, j, a->n), factor, &n);
            sum += first_lanes(m * power(n - row_tops[i]), a->n - j);
            vf e = m * power(n - vf_load(column_tops + j));
            vf_store(columns + j, vf_load(columns + j) + e);
        }
        rows[i] = vf_sum(sum);
    }
}

static void gather(const tic_scores_strip *a, tic_scores_sums row, tic_scores_sums column) {
    float rows[TIC_SCORES_STRIP], columns[TIC_SCORES_COLUMNS];
    float row_tops[TIC_SCORES_STRIP], column_tops[TIC_SCORES_COLUMNS], top;
    const vf factor = vf_set(a->scale * LOG2_E);
    fill(columns, a->padded, 0);
    if (common_top(a, factor, &top)) {
        gather_near(a, factor, top, rows, columns);
        fill(row_tops, a->rows, top);
        fill(column_tops, a->n, top);
    } else {
        gather_far(a, factor, rows, row_tops, columns, column_tops);
    }
    merge(a->rows, rows, row_tops, row);
    merge(a->n, columns, column_tops, column);
}

/* ---- gradients ------------------------------------------------------------------------------ */

static void clear_padding(const tic_scores_strip *a) {
    for (int64_t i = 0; i < a->rows; i++)
        memset(a->s + i * a->ld + a->n, 0, (size_t)(a->padded - a->n) * sizeof *a->s);
}

/* n elements of a row: s = e (row + column[j]); returns the sums of the new s times the old. */
static inline vf near_row(int64_t n, float *s, vf factor, vf shift, float row,
                          const float *column) {
    vf dots = vf_set(0);
    for (int64_t j = 0; j < n; j += VF_LANES) {
        const int64_t m = part(n - j);
        vf x = vf_load_as(s, TIC_F32, j, m);
        vf ds = near_power(x, factor, shift) * (vf_load(column + j) + row);
        dots = vf_fma(ds, x, dots); /* x is 0 in lanes past the end */
        vf_store_as(s, TIC_F32, j, ds, m);
    }
    return dots;
}

/* The same from the sums themselves. */
static inline vf far_row(int64_t n, float *s, vf factor, vf row, vf row_exponent,
                         tic_scores_sums column, float times) {
    vf dots = vf_set(0);
    for (int64_t j = 0; j < n; j += VF_LANES) {
        const int64_t m = part(n - j);
        vf integer, x = vf_load_as(s, TIC_F32, j, m);
        vf e = mantissa(x, factor, &integer);
        vf p = e * row * power(integer - row_exponent);
        vf q = e * load(column.sum, j, n) * power(integer - load(column.exponent, j, n));
        vf ds = first_lanes((p + q) * times, n - j);
        dots = vf_fma(ds, x, dots);
        vf_store_as(s, TIC_F32, j, ds, m);
    }
    return dots;
}

static double contrastive(const tic_scores_strip *a, tic_scores_sums row, tic_scores_sums column,
                          float factor) {
    const vf in_base_2 = vf_set(a->scale * LOG2_E);
    float columns[TIC_SCORES_COLUMNS], top;
    double dot = 0;
    const bool near = common_top(a, in_base_2, &top);
    for (int64_t j = 0; near && j < a->n; j += VF_LANES)
        vf_store(columns + j,
                 load(column.sum, j, a->n) * factor * power(top - load(column.exponent, j, a->n)));
    for (int64_t i = 0; i < a->rows; i++) {
        float *s = a->s + i * a->ld;
        const int64_t pair = i + a->diagonal;
        const bool here = pair >= 0 && pair < a->n;
        const float own = here ? s[pair] : 0;
        const vf exponent = vf_set(row.exponent[i]);
        vf dots = near ? near_row(a->n, s, in_base_2, vf_set(SHIFT + 127 - top),
                                  (power(top - exponent) * (row.sum[i] * factor))[0], columns)
                       : far_row(a->n, s, in_base_2, vf_set(row.sum[i]), exponent, column, factor);
        dot += vf_sum(dots);
        if (here) {
            s[pair] -= 2 * factor;
            dot -= 2 * (double)factor * own;
        }
    }
    clear_padding(a);
    return dot * a->scale;
}

/* p_row + p_column of a vector of scores. */
static inline vf both_softmaxes(vf s, vf factor, vf row, vf row_exponent, vf column,
                                vf column_exponent) {
    vf integer, e = mantissa(s, factor, &integer);
    return e * row * power(integer - row_exponent) + e * column * power(integer - column_exponent);
}

static void distill(const tic_scores_strip *a, const tic_scores_strip *b, tic_scores_sums row,
                    tic_scores_sums column, tic_scores_sums t_row, tic_scores_sums t_column,
                    float factor, double *dot, double *cross) {
    const vf in_base_2 = vf_set(a->scale * LOG2_E), t_in_base_2 = vf_set(b->scale * LOG2_E);
    for (int64_t i = 0; i < a->rows; i++) {
        float *s = a->s + i * a->ld;
        const float *t = b->s + i * b->ld;
        const vf r = vf_set(row.sum[i]), r_exponent = vf_set(row.exponent[i]);
        const vf t_r = vf_set(t_row.sum[i]), t_r_exponent = vf_set(t_row.exponent[i]);
        vf dots = vf_set(0), crosses = vf_set(0);
        for (int64_t j = 0; j < a->n; j += VF_LANES) {
            vf x = load(s, j, a->n), y = load(t, j, a->n); /* 0 in lanes past the end */
            vf p = both_softmaxes(x, in_base_2, r, r_exponent, load(column.sum, j, a->n),
                                  load(column.exponent, j, a->n));
            p = first_lanes(p, a->n - j);
            vf q = both_softmaxes(y, t_in_base_2, t_r, t_r_exponent, load(t_column.sum, j, a->n),
                                  load(t_column.exponent, j, a->n));
            q = first_lanes(q, a->n - j);
            vf ds = (p - q) * factor;
            dots = vf_fma(ds, x * a->scale, dots);
            crosses = vf_fma(q, y * b->scale - x * a->scale, crosses);
            vf_store_as(s, TIC_F32, j, ds, part(a->n - j));
        }
        *dot += vf_sum(dots);
        *cross += vf_sum(crosses);
    }
    clear_padding(a);
}

/* ---- operands ------------------------------------------------------------------------------- */

static void round_all(int64_t n, float *x) {
    for (int64_t j = 0; j < n; j += VF_LANES)
        vf_store_as(x, TIC_F32, j, vf_round_bf16(load(x, j, n)), part(n - j));
}

static void narrow(int64_t n, const float *x, tic_bf16 *out, int64_t padded) {
    for (int64_t j = 0; j < n; j += VF_LANES)
        vf_store_as(out, TIC_BF16, j, load(x, j, n), part(n - j));
    memset(out + n, 0, (size_t)(padded - n) * sizeof *out);
}

/* Row 2p of x in the lower halves, row 2p + 1 (none: zeros) in the upper ones. */
static void pair_rows(int64_t n, const tic_bf16 *low, const tic_bf16 *high, uint32_t *out) {
    int64_t j = 0;
    for (; j + VF_LANES <= n; j += VF_LANES) {
        vh l, h = {0};
        memcpy(&l, low + j, sizeof l);
        if (high != NULL)
            memcpy(&h, high + j, sizeof h);
        vu both = __builtin_convertvector(l, vu) | __builtin_convertvector(h, vu) << 16;
        memcpy(out + j, &both, sizeof both);
    }
    for (; j < n; j++)
        out[j] = low[j] | (high != NULL ? (uint32_t)high[j] << 16 : 0);
}

static void interleave(tic_dtype unit, int64_t rows, int64_t n, const void *x, int64_t ld,
                       void *out_data, int64_t units, int64_t panel) {
    uint32_t *out = out_data;
    const float *f32 = x;
    const tic_bf16 *bf16 = x;
    int64_t used = unit == TIC_F32 ? rows : (rows + 1) / 2;
    for (int64_t p = 0; p < used; p++) {
        if (unit == TIC_F32)
            memcpy(out + p * panel, f32 + p * ld, (size_t)n * sizeof *f32);
        else
            pair_rows(n, bf16 + 2 * p * ld, 2 * p + 1 < rows ? bf16 + (2 * p + 1) * ld : NULL,
                      out + p * panel);
        memset(out + p * panel + n, 0, (size_t)(panel - n) * sizeof *out);
    }
    memset(out + used * panel, 0, (size_t)((units - used) * panel) * sizeof *out);
}

/* Four units of four rows of x, from x on, as four rows of out. */
static inline void transpose4(const float *x, int64_t ld, float *out, int64_t ld_out) {
    vf4 r[4];
    for (int i = 0; i < 4; i++)
        memcpy(&r[i], x + i * ld, sizeof r[i]);
    vf4 low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    vf4 low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    vf4 high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    vf4 high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    vf4 c[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
    for (int i = 0; i < 4; i++)
        memcpy(out + i * ld_out, &c[i], sizeof c[i]);
}

static void transpose(int64_t rows, int64_t units, const void *x_data, int64_t ld, void *out_data,
                      int64_t ld_out, int64_t filled) {
    const float *x = x_data; /* of four bytes, whatever they hold: only moved */
    float *out = out_data;
    const int64_t whole_rows = rows / 4 * 4, whole_units = units / 4 * 4;
    for (int64_t i = 0; i < whole_rows; i += 4)
        for (int64_t p = 0; p < whole_units; p += 4)
            transpose4(x + i * ld + p, ld, out + p * ld_out + i, ld_out);
    for (int64_t p = 0; p < units; p++) {
        for (int64_t i = p < whole_units ? whole_rows : 0; i < rows; i++)
            memcpy(out + p * ld_out + i, x + i * ld + p, sizeof *out);
        memset(out + p * ld_out + rows, 0, (size_t)(filled - rows) * sizeof *out);
    }
}

/* Four sums, so that the additions do not wait for each other. */
static double dot(int64_t n, const float *x, const float *y) {
    double sums[4] = {0};
    int64_t j = 0;
    for (; j + 4 <= n; j += 4)
        for (int i = 0; i < 4; i++)
            sums[i] += (double)x[j + i] * y[j + i];
    for (int i = 0; j + i < n; i++)
        sums[i] += (double)x[j + i] * y[j + i];
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

const tic_scores_vec TIC_TIERED(tic_scores_vec) = {
    .gather = gather,
    .one = one,
    .contrastive = contrastive,
    .distill = distill,
    .round = round_all,
    .narrow = narrow,
    .interleave = interleave,
    .transpose = transpose,
    .dot = dot,
};
