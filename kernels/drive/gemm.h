/* Between GEMM's driver, its micro-kernels and their packing; inside kernels/ only. */
#ifndef TIC_DRIVE_GEMM_H
#define TIC_DRIVE_GEMM_H

#include "kernels/kernels.h"
#include "kernels/room.h"

/* One panel to be packed: `width` rows of op(A), or columns of op(B), over k consecutive p, as
 * to[p * width + i]. Rows from `valid` on become zeros. */
typedef struct tic_gemm_panel {
    const void *from; /* element (i, p) is from[i * ld + p] when `across`, else from[p * ld + i] */
    tic_dtype type;
    bool across;
    int64_t ld, k;
    int width, valid;
    bool round;  /* f32 elements to the nearest bf16 */
    void *to;    /* aligned to 64 bytes */
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

/* A micro-kernel: C[tile_m, tile_n] = (accumulate ? C : 0) + sum over p of a[p, :]ᵀ b[p, :], always
 * the whole tile. Panels stand in `panel` elements, k padded with zeros to k_unit; a panel starts
 * at a multiple of 64 bytes and may be read TIC_GEMM_SLACK bytes past its end. */
typedef struct tic_gemm_micro {
    int tile_m, tile_n, k_unit;
    int update; /* MACs that accumulating to a tile issues beside the product: BLIS adds
                   beta C with FMAs, tile_m * tile_n of them; 0 where it is an addition */
    tic_dtype panel;
    const tic_gemm_vec *vec;
    void (*tile)(int64_t k, const void *a, const void *b, bool accumulate, float *c, int64_t ldc);
} tic_gemm_micro;
enum { TIC_GEMM_SLACK = 512 };

extern const tic_gemm_vec tic_gemm_vec_portable, tic_gemm_vec_avx2, tic_gemm_vec_avx512;
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

/* "nt,m1600,n768,k3072,bias,gelu": the shape part of a problem's key. */
void tic_gemm_shape(const tic_gemm_args *args, char shape[TIC_SHAPE_TEXT]);

#endif
