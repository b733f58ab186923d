/* GEMM's packing and epilogue at one vector width. */
#include "kernels/drive/gemm.h"
#include "kernels/vec/gelu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Rows of the source that are packed at a time of all panels: fewer where they share one set of L1,
 * of 8 to 12 lines. */
enum { ROWS = 16, ROWS_OF_A_SET = 8, PAGE = 4096 };

/* ---- packing: steps of 4 bytes --------------------------------------------------------------- */

typedef struct panel { /* one of them */
    const char *from;
    float *to, *sums;
    int64_t valid;
} panel;

ALWAYS_INLINE panel panel_at(const tic_gemm_panels *all, tic_dtype type, int64_t i) {
    const int64_t column = i * all->valid + tic_least(i, all->wider);
    const int64_t valid = all->valid + (i < all->wider ? 1 : 0);
    return (panel){
        .from = (const char *)all->from +
                (all->across ? column * all->ld : column) * (int64_t)tic_dtype_size(type),
        .to = (float *)(void *)((char *)all->to + (size_t)i * all->next),
        .sums = all->sums == NULL ? NULL : all->sums + column,
        .valid = tic_least(valid, all->columns - column),
    };
}

ALWAYS_INLINE int64_t panel_count(const tic_gemm_panels *all) {
    return tic_ceil_div(tic_most(0, all->columns - all->wider), all->valid);
}

/* n values (n <= LANES) as floats, whose upper halves are bf16 when they are to be rounded. */
ALWAYS_INLINE vf load_values(const char *from, tic_dtype type, bool round, int64_t at, int64_t n) {
    vf v = n > 0 ? vf_load_as(from, type, at, n) : vf_set(0);
    return round ? vf_round_bf16(v) : v;
}

/* Rows r and r + d of a square of LANES x LANES trade blocks; after d = 1, 2, 4, ... it is
 * transposed. */
#define EXCHANGE(d, low, high)                                                                     \
    for (int r = 0; r < VF_LANES; r++) {                                                           \
        if (r & (d))                                                                               \
            continue;                                                                              \
        vu a = square[r], b = square[r + (d)];                                                     \
        square[r] = SHUFFLE(a, b, low);                                                            \
        square[r + (d)] = SHUFFLE(a, b, high);                                                     \
    }
#define LIST(...) __VA_ARGS__
#define SHUFFLE(x, y, list) SHUFFLE_(x, y, LIST list)
#define SHUFFLE_(...) __builtin_shufflevector(__VA_ARGS__)

#if defined(__AVX512F__)
#define TRANSPOSE(square)                                                                          \
    EXCHANGE(1, (0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),                       \
             (1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))                          \
    EXCHANGE(2, (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),                        \
             (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))                         \
    EXCHANGE(4, (0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),                        \
             (4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))                         \
    EXCHANGE(8, (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),                          \
             (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#elif defined(__AVX2__)
#define TRANSPOSE(square)                                                                          \
    EXCHANGE(1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15))                          \
    EXCHANGE(2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))                          \
    EXCHANGE(4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))
#else
#define TRANSPOSE(square)                                                                          \
    EXCHANGE(1, (0, 4, 2, 6), (1, 5, 3, 7))                                                        \
    EXCHANGE(2, (0, 1, 4, 5), (2, 3, 6, 7))
#endif

ALWAYS_INLINE int64_t clip(int64_t n, int64_t most) {
    return n < 0 ? 0 : n > most ? most : n;
}

/* LANES steps of one row, from the value `at` on of which n exist. */
ALWAYS_INLINE vu load_steps(const char *from, tic_panel kind, tic_dtype type, bool round,
                            int64_t at, int64_t n) {
    if (kind == TIC_PANEL_F32)
        return (vu)load_values(from, type, round, at, clip(n, VF_LANES));
    if (type == TIC_BF16 && n >= 2 * VF_LANES) {
        vu whole;
        memcpy(&whole, (const tic_bf16 *)(const void *)from + at, sizeof whole);
        return whole;
    }
#if defined(__AVX512BF16__) /* the only tier with micro-kernels that take pairs */
    return (vu)_mm512_cvtne2ps_pbh(
        load_values(from, type, false, at + VF_LANES, clip(n - VF_LANES, VF_LANES)),
        load_values(from, type, false, at, clip(n, VF_LANES)));
#else
    __builtin_unreachable();
#endif
}

/* LANES rows of the source from column i on, LANES steps of them from step s on: `rows` of them
 * exist, `wide` columns of `steps` steps are written. */
ALWAYS_INLINE void pack_square(const tic_gemm_panels *all, const panel *x, tic_panel kind,
                               tic_dtype type, bool round, int i, int64_t s, int64_t steps) {
    const int64_t per = kind == TIC_PANEL_F32 ? 1 : 2;
    const int64_t rows = clip(x->valid - i, VF_LANES), wide = clip(all->width - i, VF_LANES);
    vu square[VF_LANES];
    for (int r = 0; r < VF_LANES; r++)
        square[r] = r < rows ? load_steps(x->from, kind, type, round, (i + r) * all->ld + s * per,
                                          all->k - s * per)
                             : (vu){0};
    TRANSPOSE(square)
    float *to = x->to + s * all->stride + i;
    for (int64_t y = 0; y < steps; y++)
        vf_store_as(to, TIC_F32, y * all->stride, (vf)square[y], wide);
}

/* The source's rows run along p: squares are transposed. */
ALWAYS_INLINE void pack_across(const tic_gemm_panels *all, const panel *x, tic_panel kind,
                               tic_dtype type, bool round) {
    const int64_t per = kind == TIC_PANEL_F32 ? 1 : 2, steps = (all->k + per - 1) / per;
    for (int i = 0; i < all->width; i += VF_LANES) {
        int64_t s = 0;
        for (; s + VF_LANES <= steps; s += VF_LANES)
            pack_square(all, x, kind, type, round, i, s, VF_LANES);
        if (s < steps)
            pack_square(all, x, kind, type, round, i, s, steps - s);
    }
}

/* Steps s .. end - 1 of a vector of columns that lie next to each other in the source, `valid` of
 * which exist. Rows are too far apart for the hardware to foresee them: those that follow come to
 * L2, since L1 would not keep them. A vector that is wider than the panel runs over into the next
 * step, which is written after it, unless that is not the call's. The sums of a column are added up
 * over p in rising order. */
ALWAYS_INLINE void pack_column(const tic_gemm_panels *all, const panel *x, tic_panel kind,
                               tic_dtype type, bool round, bool sums, int64_t valid, int64_t s,
                               int64_t end, int i) {
    const bool pairs = kind == TIC_PANEL_PAIRS;
    const int64_t per = pairs ? 2 : 1, k = all->k, stride = all->stride;
    const int64_t size = (int64_t)tic_dtype_size(type), row = all->ld * size; /* bytes */
    const int64_t wide = clip(all->width - i, VF_LANES);
    const int64_t steps = tic_ceil_div(k, per);
    const int64_t within = i > 0 ? 0 : tic_least(end, steps - (VF_LANES - 1) / stride);
    const char *from = x->from + s * per * row + i * size;
    /* as a number: the last ones lie beyond the operand */
    uintptr_t ahead =
        (uintptr_t)from + (uintptr_t)((end - s) * per * row + tic_most(0, valid - 1) * size);
    float *to = x->to + s * stride + i;
    vf sum = vf_set(0);
    for (; s < end; s++) {
        vu step;
        __builtin_prefetch((const void *)ahead, 0, 2);
        if (pairs)
            __builtin_prefetch((const void *)(ahead + (uintptr_t)row), 0, 2);
        const bool odd = pairs && s * 2 + 1 == k; /* a last p alone */
        if (pairs && type == TIC_BF16) {
            step = (vu)load_values(from, type, false, 0, valid) >> 16;
            if (!odd)
                step |= (vu)load_values(from + row, type, false, 0, valid);
            if (sums)
                sum = sum + (vf)(step << 16) + (vf)(step & 0xffff0000);
        } else {
            const vf v = load_values(from, type, false, 0, valid);
            vf second = vf_set(0);
            if (pairs && !odd)
                second = load_values(from + row, type, false, 0, valid);
            step = pairs ? vf_pair_bf16(v, second) : (vu)(round ? vf_round_bf16(v) : v);
            if (sums)
                sum = pairs ? sum + v + second : sum + v;
        }
        if (wide == VF_LANES || s < within)
            vf_store(to, (vf)step);
        else
            vf_store_part(to, (vf)step, wide);
        from += per * row;
        ahead += (uintptr_t)(per * row);
        to += stride;
    }
    if (sums && valid > 0)
        vf_store_as(x->sums, TIC_F32, i, vf_load_as(x->sums, TIC_F32, i, valid) + sum, valid);
}

/* Steps s .. end - 1 of one panel, vector after vector; of whole ones the compiler knows that they
 * are. */
ALWAYS_INLINE void pack_along(const tic_gemm_panels *all, const panel *x, tic_panel kind,
                              tic_dtype type, bool round, bool sums, int64_t s, int64_t end) {
    for (int i = 0; i < all->width; i += VF_LANES) {
        const int64_t valid = clip(x->valid - i, VF_LANES);
        if (valid == VF_LANES)
            pack_column(all, x, kind, type, round, sums, VF_LANES, s, end, i);
        else
            pack_column(all, x, kind, type, round, sums, valid, s, end, i);
    }
}

ALWAYS_INLINE int64_t rows_at_a_time(const tic_gemm_panels *all, tic_dtype type) {
    return all->ld * (int64_t)tic_dtype_size(type) % PAGE == 0 ? ROWS_OF_A_SET : ROWS;
}

/* A few rows of the source at a time, of all panels, so that its rows pass as streams. */
ALWAYS_INLINE void pack_rows(const tic_gemm_panels *all, tic_panel kind, tic_dtype type, bool round,
                             bool sums) {
    const int64_t per = kind == TIC_PANEL_PAIRS ? 2 : 1, steps = tic_ceil_div(all->k, per);
    const int64_t count = panel_count(all), some = rows_at_a_time(all, type) / per;
    for (int64_t s = 0; s < steps; s += some)
        for (int64_t i = 0; i < count; i++) {
            const panel x = panel_at(all, type, i);
            pack_along(all, &x, kind, type, round, sums, s, tic_least(s + some, steps));
        }
}

ALWAYS_INLINE void pack_as(const tic_gemm_panels *all, tic_panel kind, tic_dtype type, bool round) {
    const int64_t count = panel_count(all);
    for (int64_t i = 0; all->across && i < count; i++) {
        const panel x = panel_at(all, type, i);
        pack_across(all, &x, kind, type, round);
    }
    if (!all->across && all->sums != NULL)
        pack_rows(all, kind, type, round, true);
    else if (!all->across)
        pack_rows(all, kind, type, round, false);
}

/* Sums of up to four vectors of columns, `columns` of which exist, over k rows: pack_column's. */
enum { SUMMED = 4 };
ALWAYS_INLINE void sum_columns(const float *from, int64_t ld, int64_t k, int64_t columns,
                               float *sums) {
    vf sum[SUMMED] = {0};
    for (int64_t p = 0; p < k; p++, from += ld)
        for (int v = 0; v < SUMMED; v++)
            sum[v] += load_values((const char *)from, TIC_F32, false, v * VF_LANES,
                                  clip(columns - v * VF_LANES, VF_LANES));
    for (int v = 0; v < SUMMED; v++) {
        const int64_t n = clip(columns - v * VF_LANES, VF_LANES);
        if (n > 0)
            vf_store_as(sums, TIC_F32, v * VF_LANES,
                        vf_load_as(sums, TIC_F32, v * VF_LANES, n) + sum[v], n);
    }
}

/* The sums of a packing without it, to the same bits, since whether there is one depends on L2. No
 * prefetches: what an item sums up was brought to L2 while the one before was multiplied. */
static void sum(const tic_gemm_panels *all) {
    const float *from = all->from;
    const int64_t some = rows_at_a_time(all, TIC_F32);
    for (int64_t p = 0; p < all->k; p += some) {
        const int64_t rows = tic_least(some, all->k - p);
        for (int64_t i = 0; i < all->columns; i += SUMMED * VF_LANES) {
            const int64_t columns = all->columns - i;
            const float *first = from + p * all->ld + i;
            if (columns >= SUMMED * VF_LANES)
                sum_columns(first, all->ld, rows, SUMMED * VF_LANES, all->sums + i);
            else
                sum_columns(first, all->ld, rows, columns, all->sums + i);
        }
    }
}

static void pack(const tic_gemm_panels *panels) {
#if defined(__AVX512BF16__)
    if (panels->kind == TIC_PANEL_PAIRS) {
        if (panels->type == TIC_BF16)
            pack_as(panels, TIC_PANEL_PAIRS, TIC_BF16, false);
        else
            pack_as(panels, TIC_PANEL_PAIRS, TIC_F32, false);
        return;
    }
#endif
    if (panels->type == TIC_BF16)
        pack_as(panels, TIC_PANEL_F32, TIC_BF16, false);
    else if (panels->round)
        pack_as(panels, TIC_PANEL_F32, TIC_F32, true);
    else
        pack_as(panels, TIC_PANEL_F32, TIC_F32, false);
}

/* ---- rows of A copied ------------------------------------------------------------------------ */

ALWAYS_INLINE void copy_as(const tic_gemm_rows *rows, tic_dtype from, tic_dtype to, bool round) {
    for (int64_t i = 0; i < rows->rows; i++) {
        char *row = (char *)rows->to + i * rows->stride;
        for (int64_t p = 0; p < rows->k; p += VF_LANES) {
            int64_t n = clip(rows->k - p, VF_LANES);
            vf x = vf_load_as(rows->from, from, i * rows->ld + p, n);
            vf_store_as(row, to, p, round ? vf_round_bf16(x) : x, n);
        }
        if (to == TIC_BF16 && rows->k % 2 != 0)
            ((tic_bf16 *)(void *)row)[rows->k] = 0;
    }
}

static void copy(const tic_gemm_rows *rows) {
    if (rows->kind == TIC_PANEL_PAIRS && rows->type == TIC_BF16)
        copy_as(rows, TIC_BF16, TIC_BF16, false);
    else if (rows->kind == TIC_PANEL_PAIRS)
        copy_as(rows, TIC_F32, TIC_BF16, false);
    else if (rows->type == TIC_BF16)
        copy_as(rows, TIC_BF16, TIC_F32, false);
    else if (rows->round)
        copy_as(rows, TIC_F32, TIC_F32, true);
    else
        copy_as(rows, TIC_F32, TIC_F32, false);
}

/* ---- epilogue -------------------------------------------------------------------------------- */

/* The steps of kernels.h's tic_gemm_args, in their order. What a call decides for all of a tile is
 * constant in finish_as, and stands in locals: stores could change what `args` points to. */

typedef struct cursor { /* row i0 of the tile, column j0, of a matrix of either type; NULL: none */
    char *at;
    int64_t step; /* bytes from row to row */
} cursor;

ALWAYS_INLINE cursor cursor_at(const void *data, tic_dtype type, int64_t ld,
                               const tic_gemm_tile *tile) {
    const int64_t size = (int64_t)tic_dtype_size(type);
    if (data == NULL)
        return (cursor){NULL, 0};
    return (cursor){(char *)(uintptr_t)data + (tile->i0 * ld + tile->j0) * size, ld * size};
}

ALWAYS_INLINE void finish_as(const tic_gemm_args *args, bool accumulate, const tic_gemm_tile *tile,
                             tic_act act, bool backward, tic_dtype type, tic_dtype kept_type) {
    const tic_mat *kept = backward ? &args->grad_pre : &args->pre;
    const float *bias = args->bias == NULL ? NULL : args->bias + tile->j0, *sums = tile->sums;
    cursor c = cursor_at(args->c.data, type, args->c.ld, tile);
    cursor pre = cursor_at(act == TIC_ACT_NONE ? NULL : kept->data, kept_type, kept->ld, tile);
    cursor residual = cursor_at(args->residual, TIC_F32, args->ld_residual, tile);
    const int rows = tile->rows, cols = tile->cols;
    for (int y = 0; y < rows; y++) {
        for (int x = 0; x < cols; x += VF_LANES) {
            const int n = cols - x < VF_LANES ? cols - x : VF_LANES;
            vf s = vf_load_as(sums, TIC_F32, x, n);
            if (bias != NULL)
                s += vf_load_as(bias, TIC_F32, x, n);
            if (act != TIC_ACT_NONE && backward) {
                s *= vf_act_slope(vf_load_as(pre.at, kept_type, x, n), act);
            } else if (act != TIC_ACT_NONE) {
                if (pre.at != NULL)
                    vf_store_as(pre.at, kept_type, x, s, n);
                s = vf_act(s, act);
            }
            if (residual.at != NULL)
                s += vf_load_as(residual.at, TIC_F32, x, n);
            if (type == TIC_F32 && accumulate)
                s = vf_load_as(c.at, TIC_F32, x, n) + s;
            vf_store_as(c.at, type, x, s, n);
        }
        sums += tile->ld;
        c.at += c.step;
        pre.at = pre.at == NULL ? NULL : pre.at + pre.step;
        residual.at = residual.at == NULL ? NULL : residual.at + residual.step;
    }
}

ALWAYS_INLINE void finish_type(const tic_gemm_args *args, bool accumulate,
                               const tic_gemm_tile *tile, tic_act act, bool backward) {
    const tic_dtype kept = backward ? args->grad_pre.type : args->pre.type;
    if (args->c.type == TIC_F32 && kept == TIC_F32)
        finish_as(args, accumulate, tile, act, backward, TIC_F32, TIC_F32);
    else if (args->c.type == TIC_F32)
        finish_as(args, accumulate, tile, act, backward, TIC_F32, TIC_BF16);
    else if (kept == TIC_F32)
        finish_as(args, accumulate, tile, act, backward, TIC_BF16, TIC_F32);
    else
        finish_as(args, accumulate, tile, act, backward, TIC_BF16, TIC_BF16);
}

static void finish(const tic_gemm_args *args, bool accumulate, const tic_gemm_tile *tile) {
    const bool backward = args->grad_pre.data != NULL;
    if (args->act == TIC_ACT_NONE)
        finish_type(args, accumulate, tile, TIC_ACT_NONE, false);
    else if (args->act == TIC_ACT_GELU && !backward)
        finish_type(args, accumulate, tile, TIC_ACT_GELU, false);
    else if (args->act == TIC_ACT_GELU)
        finish_type(args, accumulate, tile, TIC_ACT_GELU, true);
    else if (!backward)
        finish_type(args, accumulate, tile, TIC_ACT_QUICK_GELU, false);
    else
        finish_type(args, accumulate, tile, TIC_ACT_QUICK_GELU, true);
}

const tic_gemm_vec TIC_TIERED(tic_gemm_vec) = {pack, sum, copy, finish};
