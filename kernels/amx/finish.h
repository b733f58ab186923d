/* GEMM's epilogue (kernels.h: tic_gemm_args, in that order) on rows of a finished block of 32
 * columns, a few at a time, so that a micro-kernel can have them finished between its products: the
 * vector units are idle there, while behind the products they would cost as much again. */
#ifndef TIC_AMX_FINISH_H
#define TIC_AMX_FINISH_H

#include "kernels/amx/lanes.h"
#include "kernels/drive/gemm_amx.h"

typedef struct tic_amx_rows { /* of a matrix, 32 columns: the next one; data NULL: there are none */
    char *data;
    int64_t step; /* bytes to the row after it */
} tic_amx_rows;

typedef struct tic_amx_finish { /* of the block whose sums have left the tiles */
    int64_t left;               /* rows */
    lane_mask first, second;    /* columns of C in the two vectors */
    const float *sums, *bias;
    tic_amx_rows c, kept, residual; /* kept: pre or grad_pre */
    const tic_gemm_args *args;
    bool accumulate;
} tic_amx_finish;

/* Finishes the next `rows`, or what is left of them. Names no tile. */
typedef void (*tic_amx_finish_rows)(tic_amx_finish *f, int64_t rows);
/* For the epilogue of this band. */
tic_amx_finish_rows tic_amx_finish_rows_amx(const tic_amx_band *band);
tic_amx_finish_rows tic_amx_finish_rows_amx_emulated(const tic_amx_band *band);

static inline tic_amx_rows tic_amx_rows_at(tic_mat mat, int64_t i, int64_t j) {
    const int64_t size = (int64_t)tic_dtype_size(mat.type);
    char *data = mat.data != NULL ? (char *)mat.data + (i * mat.ld + j) * size : NULL;
    return (tic_amx_rows){data, mat.ld * size};
}

/* What the activation's slope is taken of, in backward, or what its argument is kept in. */
static inline tic_mat tic_amx_kept(const tic_gemm_args *args) {
    return args->grad_pre.data != NULL ? args->grad_pre : args->pre;
}

/* The state behind the last chunk of block (strip s, panel q) of a band. */
static inline void tic_amx_finish_begin(tic_amx_finish *f, const tic_amx_band *band, int tiles,
                                        int64_t s, int64_t q) {
    const tic_gemm_args *args = band->args;
    const int64_t rows = TIC_TILE_ROWS * tiles, i = band->i0 + s * rows;
    const int64_t j = band->j0 + q * TIC_AMX_PANEL;
    f->left = args->m - i < rows ? args->m - i : rows;
    f->first = lanes_first(args->n - j);
    f->second = lanes_first(args->n - j - TIC_TILE_COLS);
    f->sums = band->sums;
    f->bias = args->bias != NULL ? args->bias + j : NULL;
    f->c = tic_amx_rows_at(args->c, i, j);
    f->kept = tic_amx_rows_at(tic_amx_kept(args), i, j);
    f->residual = tic_amx_rows_at(tic_f32(args->residual, args->ld_residual), i, j);
    f->args = args;
    f->accumulate = band->accumulate;
}

#endif
