/* GEMM's epilogue (kernels.h: tic_gemm_args, in that order) on rows of a finished block of 32
 * columns, cut into single rows so that a micro-kernel can do a few between its products: the
 * vector units are idle there, while behind the products they would cost as much again. */
#ifndef TIC_AMX_FINISH_H
#define TIC_AMX_FINISH_H

#include "kernels/amx/activate.h"
#include "kernels/drive/gemm_amx.h"

typedef struct rows_left { /* of the block whose sums have left the tiles */
    const tic_gemm_args *args;
    int64_t i, j;            /* of the next row */
    int64_t left;            /* rows */
    const float *sums;       /* of the next row */
    float *partial;          /* of the next row: sums of other chunks; NULL: there are none */
    lane_mask first, second; /* columns of C in the two vectors */
    bool add_partial, last;  /* chunks went before; none comes after */
    bool accumulate;
} rows_left;

/* The state behind block (strip s, panel q) of a band, with chunk steps first .. first + n - 1. */
TIC_INLINE void finish_begin(rows_left *r, const tic_amx_band *band, int tiles, int64_t s,
                             int64_t q, int64_t first, int64_t n) {
    const tic_gemm_args *args = band->args;
    const int64_t rows = 16 * tiles;
    r->args = args;
    r->i = band->i0 + s * rows;
    r->j = band->j0 + q * TIC_AMX_PANEL;
    r->left = args->m - r->i < rows ? args->m - r->i : rows;
    r->sums = band->sums;
    r->first = lanes_first(args->n - r->j);
    r->second = lanes_first(args->n - r->j - 16);
    r->partial = NULL;
    if (band->partial != NULL)
        r->partial = band->partial + (s * band->panels + q) * rows * TIC_AMX_PANEL;
    r->add_partial = r->partial != NULL && first > 0;
    r->last = r->partial == NULL || first + n == band->steps;
    r->accumulate = band->accumulate || (r->partial == NULL && first > 0);
}

TIC_INLINE void prefetch_row(const void *data, tic_dtype type, int64_t at) {
    const char *p = (const char *)data + (size_t)at * tic_dtype_size(type);
    __builtin_prefetch(p, 1, 2);
    __builtin_prefetch(p + 63, 1, 2);
    if (type == TIC_F32)
        __builtin_prefetch(p + 127, 1, 2);
}

/* What this row's right neighbours, 32 columns on, will touch: their block is being multiplied. */
TIC_INLINE void prefetch_next(const tic_gemm_args *args, int64_t i, int64_t j) {
    prefetch_row(args->c.data, args->c.type, i * args->c.ld + j + 32);
    if (args->residual != NULL && args->residual != args->c.data)
        prefetch_row(args->residual, TIC_F32, i * args->ld_residual + j + 32);
    if (args->grad_pre.data != NULL)
        prefetch_row(args->grad_pre.data, args->grad_pre.type, i * args->grad_pre.ld + j + 32);
    if (args->pre.data != NULL)
        prefetch_row(args->pre.data, args->pre.type, i * args->pre.ld + j + 32);
}

/* 16 columns of C from (i, j) on. */
TIC_INLINE void finish_vector(const tic_gemm_args *args, tic_act act, bool slope, bool accumulate,
                              lanes x, int64_t i, int64_t j, lane_mask mask) {
    if (args->bias != NULL)
        x += lanes_load(args->bias + j, mask);
    if (slope) {
        const tic_mat *pre = &args->grad_pre;
        x *= lanes_act_slope(lanes_load_as(pre->data, pre->type, i * pre->ld + j, mask), act);
    } else if (act != TIC_ACT_NONE) {
        if (args->pre.data != NULL)
            lanes_store_as(args->pre.data, args->pre.type, i * args->pre.ld + j, x, mask);
        x = lanes_act(x, act);
    }
    if (args->residual != NULL)
        x += lanes_load(args->residual + i * args->ld_residual + j, mask);
    if (accumulate)
        x = lanes_load((const float *)args->c.data + i * args->c.ld + j, mask) + x;
    lanes_store_as(args->c.data, args->c.type, i * args->c.ld + j, x, mask);
}

/* The next `count` rows. */
TIC_INLINE void finish_rows(rows_left *r, tic_act act, bool slope, int64_t count) {
    const tic_gemm_args *args = r->args;
    for (int64_t y = 0; y < count; y++) {
        lanes x[2] = {lanes_load(r->sums, 0xffff), lanes_load(r->sums + 16, 0xffff)};
        r->sums += TIC_AMX_PANEL;
        if (r->partial != NULL) {
            if (r->add_partial) {
                x[0] = lanes_load(r->partial, 0xffff) + x[0];
                x[1] = lanes_load(r->partial + 16, 0xffff) + x[1];
            }
            if (!r->last) {
                lanes_store(r->partial, x[0], 0xffff);
                lanes_store(r->partial + 16, x[1], 0xffff);
            }
            r->partial += TIC_AMX_PANEL;
        }
        if (r->last) {
            prefetch_next(args, r->i, r->j);
            finish_vector(args, act, slope, r->accumulate, x[0], r->i, r->j, r->first);
            finish_vector(args, act, slope, r->accumulate, x[1], r->i, r->j + 16, r->second);
        }
        r->i++;
    }
    r->left -= count;
}

#endif
