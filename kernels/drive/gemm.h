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
                        VDPBF16PS */
    TIC_PANEL_TILES, /* bf16, for each 32 of p: tiles of 16 columns (kernels/amx.h) */
} tic_panel;
static inline int tic_panel_step(tic_panel panel) { /* values of p in a step */
    return panel == TIC_PANEL_F32 ? 1 : 2;
}

/* Panels next to each other to be packed, over k consecutive p. Panel i takes the next `valid`
 * columns of the source, the first `wider` panels one more, the last what is left of `columns`;
 * columns up to `width` and, for pairs, a last odd p become zeros. Nothing else is written. */
typedef struct tic_gemm_panels {
    tic_panel kind;
    const void *from; /* element (i, p) is from[i * ld + p] when `across`, else from[p * ld + i] */
    tic_dtype type;
    bool across;
    int64_t ld, k;
    int64_t columns;
    int valid, wider;
    int width;   /* unless `across` it is the stride */
    int stride;  /* the whole panel's width: a step is 4 * stride bytes */
    bool round;  /* TIC_PANEL_F32: f32 elements to the nearest bf16 */
    void *to;    /* of column 0 of the first at p = 0 */
    size_t next; /* bytes from a panel to the next */
    float *sums; /* [columns] or NULL (never with `across`): sums[i] += the sum over p, unrounded */
} tic_gemm_panels;

/* Rows of A to be copied, k values each, `stride` bytes apart, as a panel of that kind has them:
 * f32, or bf16 with a zero behind an odd k. */
typedef struct tic_gemm_rows {
    tic_panel kind;
    const void *from;
    tic_dtype type;
    int64_t ld, rows, k, stride;
    bool round;
    void *to;
} tic_gemm_rows;

/* One finished tile: rows x cols sums at tile[i * ld + j] that belong at C[i0 + i, j0 + j]. */
typedef struct tic_gemm_tile {
    const float *sums;
    int64_t ld, i0, j0;
    int rows, cols;
} tic_gemm_tile;

/* Packing and epilogue at one vector width (kernels/vec/gemm.c). */
typedef struct tic_gemm_vec {
    void (*pack)(const tic_gemm_panels *panels);
    void (*sum)(const tic_gemm_panels *panels); /* nothing but `sums`, of f32 */
    void (*copy)(const tic_gemm_rows *rows);
    void (*finish)(const tic_gemm_args *args, bool accumulate, const tic_gemm_tile *tile);
} tic_gemm_vec;
extern const tic_gemm_vec tic_gemm_vec_portable, tic_gemm_vec_avx2, tic_gemm_vec_avx512,
    tic_gemm_vec_avx512bf16;

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

/* What a micro-kernel asks for while it multiplies; none of it is read. */
typedef struct tic_gemm_ahead {
    const void *next;        /* each whole micro->next_every steps a line, to L2 ... */
    int64_t step;            /* ... so many bytes on */
    const void *const *rows; /* each whole rows_every steps as much of one as the tile is wide, to
                                L1. The last entry holds its own address: no other core's line,
                                since it is asked for until the end */
} tic_gemm_ahead;
enum { TIC_GEMM_TALLEST = 16 }; /* rows of any micro-kernel's tile */

/* A tile of C: (add ? C : 0) + sum over k steps, in their order. A's element (row i, step s) stands
 * at a + i * lda + 4 s (`along`: A as it is, or its rows copied) or at a + s * lda + 4 i (`across`:
 * A packed as B is, or Aᵀ as it stands), B's at b + s * ldb: 4 * tile_n bytes apart in a panel, the
 * only layout that micro-kernels for whole tiles alone take; these ask for nothing ahead. */
typedef void tic_gemm_run(int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb,
                          bool add, float *c, int64_t ldc, const tic_gemm_ahead *ahead);

/* The micro-kernels of one largest tile, tile_m x tile_n. */
typedef struct tic_gemm_micro {
    int tile_m, tile_n;
    int lanes; /* there is one for each number of rows and of vectors of so many columns; 0: for
                  whole tiles alone, across[0] (A's panels are then tile_m wide) */
    int rows_every, next_every; /* steps from a row to the next, from a line to the next, of what
                                   tic_gemm_ahead lists; 0 exactly where lanes is */
    int update; /* MACs that adding to a tile issues beside the product: BLIS adds beta C with
                   FMAs, tile_m * tile_n of them; 0 where sums begin as C */
    tic_gemm_format format;      /* of B; width = tile_n */
    tic_gemm_run *const *along;  /* [(rows - 1) * tile_n / lanes + vectors - 1], or NULL */
    tic_gemm_run *const *across; /* the same */
} tic_gemm_micro;
/* Whole tiles may read panels so many bytes past their end. */
enum { TIC_GEMM_SLACK = 512 };

/* The generic micro-kernel of each width: 6 x two vectors (kernels/vec/gemm_tile.c). */
extern const tic_gemm_micro tic_gemm_micro_portable, tic_gemm_micro_avx2, tic_gemm_micro_avx512;
/* Generated (kernels/gen/gemm.py). */
extern const tic_gemm_micro tic_gemm_f32_avx512_14x32, tic_gemm_f32_avx512_9x48,
    tic_gemm_f32_avx512_6x64, tic_gemm_f32_avx2_6x16, tic_gemm_f32_avx2_4x24,
    tic_gemm_pairs_avx512bf16_14x32;
/* BLIS's own (kernels/blis.c). */
extern const tic_gemm_micro tic_gemm_blis_haswell, tic_gemm_blis_skx;
const char *tic_gemm_blis_unavailable(const tic_variant *variant);

/* `run` of the registry: packing, blocking and threads around variant->micro. Its knobs: blocks of
 * k, of m and of n, the most columns of a B that is read where it stands, and the most columns of C
 * for which Aᵀ is. Micro-kernels for whole tiles alone do neither. */
enum { TIC_GEMM_KC, TIC_GEMM_MC, TIC_GEMM_NC, TIC_GEMM_IN_PLACE, TIC_GEMM_A_IN_PLACE };
tic_status tic_gemm_blocked(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                            const void *args, tic_error *err);
size_t tic_gemm_blocked_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                const tic_gemm_args *args);
/* The same on AMX tiles, bf16 only, and on emulated ones (kernels/drive/gemm_amx.c). */
tic_status tic_gemm_tiles(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                          const void *args, tic_error *err);
tic_status tic_gemm_tiles_emulated(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                   const void *args, tic_error *err);
size_t tic_gemm_tiles_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                              const tic_gemm_args *args);
/* `run` of the reference (kernels/ref/gemm.c). */
tic_status tic_gemm_ref(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                        const void *args, tic_error *err);

/* The epilogue stores or accumulates f32 sums and does nothing else. */
static inline bool tic_gemm_is_direct(const tic_gemm_args *args) {
    return args->c.type == TIC_F32 && args->bias == NULL && args->act == TIC_ACT_NONE &&
           args->residual == NULL;
}

/* "nt,m1024+,n768,k3072,bias,gelu": the shape part of a problem's key, a class of shapes. */
void tic_gemm_shape(const tic_gemm_args *args, char shape[TIC_SHAPE_TEXT]);

#endif
