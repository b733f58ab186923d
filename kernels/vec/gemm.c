/* GEMM's packing and epilogue at one vector width. */
#include "kernels/drive/gemm.h"
#include "kernels/vec/gelu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- packing: steps of 4 bytes --------------------------------------------------------------- */

/* n values (n <= LANES) as floats, whose upper halves are bf16 when they are to be rounded. */
ALWAYS_INLINE vf load_values(const tic_gemm_panel *panel, tic_dtype type, bool round, int64_t at,
                             int64_t n) {
    vf v = n > 0 ? vf_load_as(panel->from, type, at, n) : vf_set(0);
    return round ? vf_round_bf16(v) : v;
}

/* Rows r and r + d of a square of LANES x LANES trade blocks; after d = 1, 2, 4, ... it is
 * transposed. */
#define EXCHANGE(d, low, high)                                                                     \
    for (int r = 0; r < VF_LANES; r++) {                                                           \
        if (r & (d))                                                                               \
            continue;                                                                              \
        vu x = square[r], y = square[r + (d)];                                                     \
        square[r] = SHUFFLE(x, y, low);                                                            \
        square[r + (d)] = SHUFFLE(x, y, high);                                                     \
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
ALWAYS_INLINE vu load_steps(const tic_gemm_panel *panel, tic_panel kind, tic_dtype type, bool round,
                            int64_t at, int64_t n) {
    if (kind == TIC_PANEL_F32)
        return (vu)load_values(panel, type, round, at, clip(n, VF_LANES));
    if (type == TIC_BF16 && n >= 2 * VF_LANES) {
        vu whole;
        memcpy(&whole, (const tic_bf16 *)panel->from + at, sizeof whole);
        return whole;
    }
#if defined(__AVX512BF16__) /* the only tier with micro-kernels that take pairs */
    return (vu)_mm512_cvtne2ps_pbh(
        load_values(panel, type, false, at + VF_LANES, clip(n - VF_LANES, VF_LANES)),
        load_values(panel, type, false, at, clip(n, VF_LANES)));
#else
    __builtin_unreachable();
#endif
}

/* LANES rows of the source from column i on, LANES steps of them from step s on: `rows` and
 * `values` exist, `wide` columns of `steps` steps are written. */
ALWAYS_INLINE void pack_square(const tic_gemm_panel *panel, tic_panel kind, tic_dtype type,
                               bool round, int i, int64_t s, int64_t steps) {
    const int64_t per = kind == TIC_PANEL_F32 ? 1 : 2;
    const int64_t rows = clip(panel->valid - i, VF_LANES), wide = clip(panel->width - i, VF_LANES);
    vu square[VF_LANES];
    for (int r = 0; r < VF_LANES; r++)
        square[r] = r < rows ? load_steps(panel, kind, type, round, (i + r) * panel->ld + s * per,
                                          panel->k - s * per)
                             : (vu){0};
    TRANSPOSE(square)
    float *to = (float *)panel->to + s * panel->stride + i;
    for (int64_t x = 0; x < steps; x++)
        vf_store_as(to, TIC_F32, x * panel->stride, (vf)square[x], wide);
}

/* The source's rows run along p: squares are transposed. */
ALWAYS_INLINE void pack_across(const tic_gemm_panel *panel, tic_panel kind, tic_dtype type,
                               bool round) {
    const int64_t per = kind == TIC_PANEL_F32 ? 1 : 2, steps = (panel->k + per - 1) / per;
    for (int i = 0; i < panel->width; i += VF_LANES) {
        int64_t s = 0;
        for (; s + VF_LANES <= steps; s += VF_LANES)
            pack_square(panel, kind, type, round, i, s, VF_LANES);
        if (s < steps)
            pack_square(panel, kind, type, round, i, s, steps - s);
    }
}

/* Rows of the source are far apart, too far for the hardware to foresee the next ones. */
ALWAYS_INLINE void prefetch_row(const tic_gemm_panel *panel, tic_dtype type, int64_t p) {
    const char *row = (const char *)panel->from + (size_t)(p * panel->ld) * tic_dtype_size(type);
    for (int64_t x = 0; x < panel->ahead_bytes; x += 64)
        __builtin_prefetch(row + x);
}

/* The panel's columns lie next to each other in the source: whole vectors are copied for each step.
 * The sums of a column are added up over p in rising order. */
ALWAYS_INLINE void pack_along(const tic_gemm_panel *panel, tic_panel kind, tic_dtype type,
                              bool round) {
    const int64_t per = kind == TIC_PANEL_F32 ? 1 : 2, steps = (panel->k + per - 1) / per;
    const bool second = kind == TIC_PANEL_PAIRS;
    const int64_t ld = panel->ld, stride = panel->stride;
    for (int i = 0; i < panel->width; i += VF_LANES) {
        const int64_t wide = clip(panel->width - i, VF_LANES);
        const int64_t valid = clip(panel->valid - i, VF_LANES);
        vf sum = vf_set(0);
        for (int64_t s = 0; s < steps; s++) {
            const int64_t at = s * per * ld + i;
            for (int64_t y = 0; i == 0 && y < per; y++)
                prefetch_row(panel, type, s * per + y + panel->ahead);
            vf x = load_values(panel, type, false, at, valid), y = vf_set(0);
            sum += x;
            if (second && s * 2 + 1 < panel->k) {
                y = load_values(panel, type, false, at + ld, valid);
                sum += y;
            }
            vf step = second ? (vf)vf_pair_bf16(x, y) : round ? vf_round_bf16(x) : x;
            vf_store_as(panel->to, TIC_F32, s * stride + i, step, wide);
        }
        if (panel->sums != NULL && valid > 0)
            vf_store_part(panel->sums + i, vf_load_part(panel->sums + i, valid) + sum, valid);
    }
}

/* A vector of columns of a panel that takes floats, or pairs of bf16, as they are: `valid` lanes of
 * it exist, `wide` are written. */
ALWAYS_INLINE void copy_column(const tic_gemm_panel *panel, tic_panel kind, int i, int64_t valid,
                               int64_t wide, bool sums) {
    const bool pairs = kind == TIC_PANEL_PAIRS;
    const tic_dtype type = pairs ? TIC_BF16 : TIC_F32;
    const int64_t per = pairs ? 2 : 1, stride = panel->stride, k = panel->k;
    const int64_t row = panel->ld * (int64_t)tic_dtype_size(type); /* bytes */
    const char *from = (const char *)panel->from + (size_t)i * tic_dtype_size(type);
    float *to = (float *)panel->to + i;
    vf sum = vf_set(0);
    for (int64_t p = 0; p < k; p += per) {
        for (int64_t y = 0; i == 0 && y < per; y++)
            prefetch_row(panel, type, p + y + panel->ahead);
        vu step = (vu)vf_load_as(from, type, 0, valid);
        if (pairs)
            step >>= 16;
        if (pairs && p + 1 < k)
            step |= (vu)vf_load_as(from + row, type, 0, valid);
        vf_store_as(to, TIC_F32, 0, (vf)step, wide);
        if (sums && pairs)
            sum = sum + (vf)(step << 16) + (vf)(step & 0xffff0000);
        else if (sums)
            sum += (vf)step;
        from += per * row;
        to += stride;
    }
    if (sums)
        vf_store_as(panel->sums, TIC_F32, i, vf_load_as(panel->sums, TIC_F32, i, valid) + sum,
                    valid);
}

/* Vector after vector; of whole ones the compiler knows that they are. */
ALWAYS_INLINE void copy_along(const tic_gemm_panel *panel, tic_panel kind, bool sums) {
    for (int i = 0; i < panel->width; i += VF_LANES) {
        const int64_t valid = clip(panel->valid - i, VF_LANES);
        const int64_t wide = clip(panel->width - i, VF_LANES);
        if (valid == VF_LANES)
            copy_column(panel, kind, i, VF_LANES, VF_LANES, sums);
        else
            copy_column(panel, kind, i, valid, wide, sums);
    }
}

ALWAYS_INLINE void pack_as(const tic_gemm_panel *panel, tic_panel kind, tic_dtype type,
                           bool round) {
    const bool as_they_are = kind == TIC_PANEL_F32 ? type == TIC_F32 && !round : type == TIC_BF16;
    const int last = (panel->width - 1) / VF_LANES * VF_LANES; /* where the last vector begins */
    const bool copied = as_they_are && !panel->across && panel->valid > last;
    if (copied && panel->sums != NULL)
        copy_along(panel, kind, true);
    else if (copied)
        copy_along(panel, kind, false);
    else if (panel->across)
        pack_across(panel, kind, type, round);
    else
        pack_along(panel, kind, type, round);
}

static void pack(const tic_gemm_panel *panel) {
#if defined(__AVX512BF16__)
    if (panel->kind == TIC_PANEL_PAIRS) {
        if (panel->type == TIC_BF16)
            pack_as(panel, TIC_PANEL_PAIRS, TIC_BF16, false);
        else
            pack_as(panel, TIC_PANEL_PAIRS, TIC_F32, false);
        return;
    }
#endif
    if (panel->type == TIC_BF16)
        pack_as(panel, TIC_PANEL_F32, TIC_BF16, false);
    else if (panel->round)
        pack_as(panel, TIC_PANEL_F32, TIC_F32, true);
    else
        pack_as(panel, TIC_PANEL_F32, TIC_F32, false);
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

const tic_gemm_vec TIC_TIERED(tic_gemm_vec) = {pack, copy, finish};
