/* GEMM's epilogue (kernels.h: tic_gemm_args, in that order) on rows of a finished block of 32
 * columns, cut into single rows so that a micro-kernel can do a few between its products: the
 * vector units are idle there, while behind the products they would cost as much again. */
#ifndef TIC_AMX_FINISH_H
#define TIC_AMX_FINISH_H

#include "kernels/amx/activate.h"
#include "kernels/drive/gemm_amx.h"

typedef struct row_of { /* 32 columns of a matrix's next row; data NULL: there is none */
    char *data;
    int64_t step; /* bytes to the row after it */
    tic_dtype type;
} row_of;

typedef struct rows_left {   /* of the block whose sums have left the tiles */
    int64_t left;            /* rows */
    lane_mask first, second; /* columns of C in the two vectors */
    const float *sums, *bias;
    row_of c, pre, grad, residual;
    bool accumulate;
} rows_left;

TIC_INLINE row_of row_at(tic_mat mat, int64_t i, int64_t j) {
    const int64_t size = (int64_t)tic_dtype_size(mat.type);
    char *data = mat.data != NULL ? (char *)mat.data + (i * mat.ld + j) * size : NULL;
    return (row_of){data, mat.ld * size, mat.type};
}

/* The state behind the last chunk of block (strip s, panel q) of a band. */
TIC_INLINE void finish_begin(rows_left *r, const tic_amx_band *band, int tiles, int64_t s,
                             int64_t q) {
    const tic_gemm_args *args = band->args;
    const int64_t rows = 16 * tiles, i = band->i0 + s * rows, j = band->j0 + q * TIC_AMX_PANEL;
    r->left = args->m - i < rows ? args->m - i : rows;
    r->first = lanes_first(args->n - j);
    r->second = lanes_first(args->n - j - 16);
    r->sums = band->sums;
    r->bias = args->bias != NULL ? args->bias + j : NULL;
    r->c = row_at(args->c, i, j);
    r->pre = row_at(args->pre, i, j);
    r->grad = row_at(args->grad_pre, i, j);
    r->residual = row_at(tic_f32(args->residual, args->ld_residual), i, j);
    r->accumulate = band->accumulate;
}

typedef struct pair_of {
    lanes x, y;
} pair_of;

TIC_INLINE pair_of load_row(const rows_left *r, const row_of *from) {
    if (from->type == TIC_F32)
        return (pair_of){lanes_load((const float *)(const void *)from->data, r->first),
                         lanes_load((const float *)(const void *)from->data + 16, r->second)};
    return (pair_of){lanes_load_bf16((const tic_bf16 *)(const void *)from->data, r->first),
                     lanes_load_bf16((const tic_bf16 *)(const void *)from->data + 16, r->second)};
}

TIC_INLINE void store_row(const rows_left *r, row_of *to, pair_of v) {
    if (to->type == TIC_F32) {
        lanes_store((float *)(void *)to->data, v.x, r->first);
        lanes_store((float *)(void *)to->data + 16, v.y, r->second);
    } else {
        lanes_store_pair_bf16((tic_bf16 *)(void *)to->data, v.x, v.y, r->first, r->second);
    }
    to->data += to->step;
}

TIC_INLINE void finish_row(rows_left *r, tic_act act, bool slope, pair_of v) {
    if (r->bias != NULL) {
        v.x += lanes_load(r->bias, r->first);
        v.y += lanes_load(r->bias + 16, r->second);
    }
    if (slope) {
        pair_of pre = load_row(r, &r->grad);
        v.x *= lanes_act_slope(pre.x, act);
        v.y *= lanes_act_slope(pre.y, act);
        r->grad.data += r->grad.step;
    } else if (act != TIC_ACT_NONE) {
        if (r->pre.data != NULL)
            store_row(r, &r->pre, v);
        v.x = lanes_act(v.x, act);
        v.y = lanes_act(v.y, act);
    }
    if (r->residual.data != NULL) {
        pair_of other = load_row(r, &r->residual);
        v.x += other.x;
        v.y += other.y;
        r->residual.data += r->residual.step;
    }
    if (r->accumulate) {
        pair_of other = load_row(r, &r->c);
        v.x = other.x + v.x;
        v.y = other.y + v.y;
    }
    store_row(r, &r->c, v);
}

/* The next `count` rows. */
TIC_INLINE void finish_rows(rows_left *r, tic_act act, bool slope, int64_t count) {
    for (int64_t y = 0; y < count; y++) {
        pair_of v = {lanes_load(r->sums, 0xffff), lanes_load(r->sums + 16, 0xffff)};
        r->sums += TIC_AMX_PANEL;
        finish_row(r, act, slope, v);
    }
    r->left -= count;
}

#endif
