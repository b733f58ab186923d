/* What a tile of C touches beside A and B, asked for while it is multiplied: rows of a tile lie too
 * far apart for the hardware to foresee, and asked for all at once they would hold up the panels'
 * loads, since a core waits for some 12 to 24 lines at a time. */
#pragma once
#include "kernels/drive/gemm_cut.h"

/* C, pre or grad_pre, residual; and the list's end. */
enum { MOST_ROWS = 3 * TIC_GEMM_TALLEST + 1 };

typedef struct tic_gemm_rows_ahead {
    const void *at[MOST_ROWS]; /* where each row of the tile begins */
    int64_t count;
} tic_gemm_rows_ahead;

static inline void tic_gemm_list(tic_gemm_rows_ahead *list, const void *data, tic_dtype type,
                                 int64_t ld, const tic_gemm_tile *tile) {
    const size_t size = tic_dtype_size(type);
    const char *row = (const char *)data + (size_t)(tile->i0 * ld + tile->j0) * size;
    const void **at = list->at + list->count;
    const int rows = tile->rows; /* in a local: stores could change it */
    for (int y = 0; y < rows; y++, row += (size_t)ld * size)
        at[y] = row;
    list->count += rows;
}

/* What a thread packs next, as rows of bytes, a row for each value of p. */
typedef struct tic_gemm_source {
    const char *from;  /* where a line begins */
    int64_t ld, lines; /* from row to row; of each row */
} tic_gemm_source;

static inline tic_gemm_source tic_gemm_source_of(tic_mat mat, int64_t p, int64_t first,
                                                 int64_t columns) {
    const size_t size = tic_dtype_size(mat.type);
    const uintptr_t from = (uintptr_t)mat.data + (size_t)(p * mat.ld + first) * size;
    const uintptr_t end = from + (size_t)columns * size, line = TIC_GEMM_LINE;
    return (tic_gemm_source){(const char *)(from / line * line), mat.ld * (int64_t)size,
                             (int64_t)((end + line - 1) / line - from / line)};
}

/* Inlined by force: gcc 12 takes a function of prefetches for one without effects and drops it. */
static inline __attribute__((always_inline)) void
tic_gemm_ask_at_once(const void *data, tic_dtype type, int64_t ld, const tic_gemm_tile *tile) {
    const size_t size = tic_dtype_size(type);
    const char *row = (const char *)data + (size_t)(tile->i0 * ld + tile->j0) * size;
    for (int y = 0; y < tile->rows; y++, row += (size_t)ld * size)
        for (size_t x = 0; x < (size_t)tile->cols * size; x += TIC_GEMM_LINE)
            __builtin_prefetch(row + x);
}

/* What is read comes first. */
static inline void tic_gemm_list_epilogue(tic_gemm_rows_ahead *list, const tic_gemm_args *args,
                                          const tic_gemm_tile *tile) {
    const tic_mat *pre = &args->pre, *grad = &args->grad_pre, *c = &args->c;
    if (grad->data != NULL)
        tic_gemm_list(list, grad->data, grad->type, grad->ld, tile);
    if (args->residual != NULL && args->residual != c->data)
        tic_gemm_list(list, args->residual, TIC_F32, args->ld_residual, tile);
    tic_gemm_list(list, c->data, c->type, c->ld, tile);
    if (pre->data != NULL)
        tic_gemm_list(list, pre->data, pre->type, pre->ld, tile);
}

/* Asks for what the micro-kernel does not get to in so many rounds. */
static inline __attribute__((always_inline)) void
tic_gemm_ask(tic_gemm_rows_ahead *list, const tic_gemm_micro *micro, int64_t rounds) {
    for (; list->count > rounds; list->count--)
        for (int x = 0; x < micro->tile_n * 4; x += TIC_GEMM_LINE)
            __builtin_prefetch((const char *)list->at[list->count - 1] + x);
}
