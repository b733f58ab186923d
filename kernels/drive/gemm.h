/* Between GEMM's driver, its micro-kernels and their packing; inside kernels/ only. */
#ifndef TIC_DRIVE_GEMM_H
#define TIC_DRIVE_GEMM_H

#include "kernels/kernels.h"
#include "kernels/room.h"

/* How elements stand in a panel: `width` rows of op(A), or columns of op(B), over k consecutive p.
 * A step is 4 bytes a column: one float, or a pair of bf16. */
typedef enum tic_panel {
    TIC_PANEL_F32,   /* floats: to[p * width + i] */
    TIC_PANEL_PAIRS, /* bf16: to[(p / 2) * 2 * width + 2 * i + p % 2], k even: operands of
                        VDPBF16PS, and B's of TDPBF16PS */
} tic_panel;
static inline int tic_panel_step(tic_panel panel) { /* values of p in a step */
    return panel == TIC_PANEL_F32 ? 1 : 2;
}

/* Columns first .. first + width - 1 of a panel to be packed, over k consecutive p: columns from
 * `valid` on and, for pairs, a last odd p become zeros. Nothing else is written. */
typedef struct tic_gemm_panel {
    tic_panel kind;
    const void *from; /* element (i, p) is from[i * ld + p] when `across`, else from[p * ld + i] */
    tic_dtype type;
    bool across;
    int64_t ld, k;
    int width, valid;
    int stride;  /* the whole panel's width: a step is 4 * stride bytes */
    bool round;  /* TIC_PANEL_F32: f32 elements to the nearest bf16 */
    void *to;    /* of column 0 of these at p = 0 */
    float *sums; /* [valid] or NULL (never with `across`): sums[i] += the sum over p, unrounded */
} tic_gemm_panel;

/* One finished tile: rows x cols sums at tile[i * ld + j] that belong at C[i0 + i, j0 + j]. */
typedef struct tic_gemm_tile {
    const float *sums;
    int64_t ld, i0, j0;
    int rows, cols;
} tic_gemm_tile;

/* Packing and epilogue at one vector width (kernels/vec/gemm.c). */
typedef struct tic_gemm_vec {
    void (*pack)(const tic_gemm_panel *panel);
    void (*finish)(const tic_gemm_args *args, bool accumulate, const tic_gemm_tile *tile);
} tic_gemm_vec;
extern const tic_gemm_vec tic_gemm_vec_portable, tic_gemm_vec_avx2, tic_gemm_vec_avx512;

/* A packing of B: panel q holds columns q * width .., over all of k padded with zeros to k_unit,
 * and starts at q * width * (k in steps) * 4 bytes. A packing of another kind adds to tic_panel and
 * brings its own two functions. */
typedef struct tic_gemm_format {
    tic_panel panel;
    int width, k_unit;
    const tic_gemm_vec *vec; /* packs it */
    size_t (*bytes)(const struct tic_gemm_format *format, int64_t n, int64_t k);
    void (*pack_rows)(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows);
} tic_gemm_format;
size_t tic_gemm_panels_bytes(const tic_gemm_format *format, int64_t n, int64_t k);
void tic_gemm_panels_pack_rows(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows);
#define TIC_GEMM_FORMAT(kind, columns, unit, tier)                                                 \
    {                                                                                              \
        .panel = kind, .width = columns, .k_unit = unit, .vec = &tic_gemm_vec_##tier,              \
        .bytes = tic_gemm_panels_bytes, .pack_rows = tic_gemm_panels_pack_rows                     \
    }
/* Panels of either are read alike. */
bool tic_gemm_same_format(const tic_gemm_format *x, const tic_gemm_format *y);
/* The packing of this call when `format` reads it, else NULL: then b is packed. */
const tic_packed *tic_gemm_packed_for(const tic_gemm_args *args, const tic_gemm_format *format);

/* A micro-kernel: C[tile_m, tile_n] = (accumulate ? C : 0) + sum over p of a[p, :]ᵀ b[p, :], always
 * the whole tile. A's panels stand as B's do, tile_m wide; a panel of the call's own starts at a
 * multiple of 64 bytes and may be read TIC_GEMM_SLACK bytes past its end. */
typedef struct tic_gemm_micro {
    int tile_m, tile_n;
    int update;             /* MACs that accumulating to a tile issues beside the product: BLIS adds
                               beta C with FMAs, tile_m * tile_n of them; 0 where it is an addition */
    tic_gemm_format format; /* of B; width = tile_n */
    void (*tile)(int64_t k, const void *a, const void *b, bool accumulate, float *c, int64_t ldc);
} tic_gemm_micro;
enum { TIC_GEMM_SLACK = 512 };

/* The generic micro-kernel of each width: 6 x two vectors (kernels/vec/gemm_tile.c). */
extern const tic_gemm_micro tic_gemm_micro_portable, tic_gemm_micro_avx2, tic_gemm_micro_avx512;
/* BLIS's own (kernels/blis.c). */
extern const tic_gemm_micro tic_gemm_blis_haswell, tic_gemm_blis_skx;
const char *tic_gemm_blis_unavailable(const tic_variant *variant);

/* `run` of the registry: packing, blocking and threads around variant->micro. Knobs: kc, mc, nc. */
tic_status tic_gemm_blocked(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                            const void *args, tic_error *err);
size_t tic_gemm_blocked_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                const tic_gemm_args *args);
/* `run` of the reference (kernels/ref/gemm.c). */
tic_status tic_gemm_ref(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                        const void *args, tic_error *err);

/* "nt,m1024+,n768,k3072,bias,gelu": the shape part of a problem's key, a class of shapes. */
void tic_gemm_shape(const tic_gemm_args *args, char shape[TIC_SHAPE_TEXT]);

#endif
