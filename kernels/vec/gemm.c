/* GEMM's packing and epilogue at one vector width. */
#include "kernels/drive/gemm.h"
#include "kernels/vec/gelu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- packing -------------------------------------------------------------------------------- */

/* The panel's rows lie next to each other in the source: whole vectors are copied for each p. The
 * sums of a column are added up over p in rising order. */
ALWAYS_INLINE void pack_along(const tic_gemm_panel *panel, tic_dtype type) {
    float *to = panel->to;
    for (int i = 0; i < panel->width; i += VF_LANES) {
        int out = panel->width - i < VF_LANES ? panel->width - i : VF_LANES;
        int in = panel->valid - i < out ? panel->valid - i : out;
        vf sum = vf_set(0);
        for (int64_t p = 0; p < panel->k; p++) {
            vf x = in > 0 ? vf_load_as(panel->from, type, p * panel->ld + i, in) : vf_set(0);
            sum += x;
            vf_store_as(to, TIC_F32, p * panel->width + i, x, out);
        }
        if (panel->sums != NULL && in > 0)
            vf_store_part(panel->sums + i, vf_load_part(panel->sums + i, in) + sum, in);
    }
}

ALWAYS_INLINE vf4 load4(const void *from, tic_dtype type, int64_t i) {
    typedef uint32_t vu4 __attribute__((vector_size(16)));
    typedef uint16_t vh4 __attribute__((vector_size(8)));
    if (type == TIC_F32) {
        vf4 v;
        memcpy(&v, (const float *)from + i, sizeof v);
        return v;
    }
    vh4 h;
    memcpy(&h, (const tic_bf16 *)from + i, sizeof h);
    return (vf4)(__builtin_convertvector(h, vu4) << 16);
}

ALWAYS_INLINE float load1(const void *from, tic_dtype type, int64_t i) {
    return type == TIC_F32 ? ((const float *)from)[i] : tic_from_bf16(((const tic_bf16 *)from)[i]);
}

/* Four p of the `rows` (1 to 4) sources from row i on, transposed to columns i .. i + wide - 1. */
ALWAYS_INLINE void transpose4(const tic_gemm_panel *panel, tic_dtype type, int i, int64_t p,
                              int rows, int wide) {
    vf4 r[4] = {0};
    float *to = (float *)panel->to + p * panel->width + i;
    for (int x = 0; x < rows; x++)
        r[x] = load4(panel->from, type, (i + x) * panel->ld + p);
    vf4 low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    vf4 low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    vf4 high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    vf4 high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    vf4 c[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
    for (int y = 0; y < 4; y++)
        memcpy(to + y * panel->width, &c[y], sizeof(float) * (size_t)wide);
}

ALWAYS_INLINE void pack_four(const tic_gemm_panel *panel, tic_dtype type, int i, int rows,
                             int wide) {
    int64_t p = 0;
    for (; p + 4 <= panel->k; p += 4)
        transpose4(panel, type, i, p, rows, wide);
    for (; p < panel->k; p++) {
        float *to = (float *)panel->to + p * panel->width + i;
        for (int x = 0; x < wide; x++)
            to[x] = x < rows ? load1(panel->from, type, (i + x) * panel->ld + p) : 0;
    }
}

/* The source's rows run along p: four at a time are transposed. */
ALWAYS_INLINE void pack_across(const tic_gemm_panel *panel, tic_dtype type) {
    for (int i = 0; i < panel->width; i += 4) {
        int wide = panel->width - i < 4 ? panel->width - i : 4;
        int rows = panel->valid - i < wide ? panel->valid - i : wide;
        if (rows == 4)
            pack_four(panel, type, i, 4, 4);
        else if (rows == 2 && wide == 2) /* the end of six rows */
            pack_four(panel, type, i, 2, 2);
        else
            pack_four(panel, type, i, rows < 0 ? 0 : rows, wide);
    }
}

static void pack(const tic_gemm_panel *panel) {
    if (panel->across && panel->type == TIC_F32)
        pack_across(panel, TIC_F32);
    else if (panel->across)
        pack_across(panel, TIC_BF16);
    else if (panel->type == TIC_F32)
        pack_along(panel, TIC_F32);
    else
        pack_along(panel, TIC_BF16);
    if (!panel->round)
        return;
    float *to = panel->to; /* still in L1 */
    int64_t count = panel->width * panel->k;
    for (int64_t x = 0; x < count; x += VF_LANES) {
        int64_t n = count - x < VF_LANES ? count - x : VF_LANES;
        vf_store_as(to, TIC_F32, x, vf_round_bf16(vf_load_as(to, TIC_F32, x, n)), n);
    }
}

/* ---- epilogue (kernels.h: tic_gemm_args, in that order) ---------------------------------------
 */

/* n elements of C from (i, j) on. */
ALWAYS_INLINE void finish_vector(const tic_gemm_args *args, bool accumulate, tic_act act, vf s,
                                 int64_t i, int64_t j, int64_t n) {
    if (args->bias != NULL)
        s += vf_load_as(args->bias, TIC_F32, j, n);
    if (act != TIC_ACT_NONE && args->grad_pre.data != NULL) {
        vf pre = vf_load_as(args->grad_pre.data, args->grad_pre.type, i * args->grad_pre.ld + j, n);
        s *= vf_act_slope(pre, act);
    } else if (act != TIC_ACT_NONE) {
        if (args->pre.data != NULL)
            vf_store_as(args->pre.data, args->pre.type, i * args->pre.ld + j, s, n);
        s = vf_act(s, act);
    }
    if (args->residual != NULL)
        s += vf_load_as(args->residual, TIC_F32, i * args->ld_residual + j, n);
    int64_t at = i * args->c.ld + j;
    if (accumulate)
        s = vf_load_as(args->c.data, TIC_F32, at, n) + s;
    vf_store_as(args->c.data, args->c.type, at, s, n);
}

ALWAYS_INLINE void finish_as(const tic_gemm_args *args, bool accumulate, const tic_gemm_tile *tile,
                             tic_act act) {
    for (int y = 0; y < tile->rows; y++) {
        const float *sums = tile->sums + y * tile->ld;
        for (int x = 0; x < tile->cols; x += VF_LANES) {
            int n = tile->cols - x < VF_LANES ? tile->cols - x : VF_LANES;
            finish_vector(args, accumulate, act, vf_load_as(sums, TIC_F32, x, n), tile->i0 + y,
                          tile->j0 + x, n);
        }
    }
}

static void finish(const tic_gemm_args *args, bool accumulate, const tic_gemm_tile *tile) {
    if (args->act == TIC_ACT_GELU)
        finish_as(args, accumulate, tile, TIC_ACT_GELU);
    else if (args->act == TIC_ACT_QUICK_GELU)
        finish_as(args, accumulate, tile, TIC_ACT_QUICK_GELU);
    else
        finish_as(args, accumulate, tile, TIC_ACT_NONE);
}

const tic_gemm_vec TIC_TIERED(tic_gemm_vec) = {pack, finish};
