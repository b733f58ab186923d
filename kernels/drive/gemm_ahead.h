/* What is prefetched while tiles are multiplied: rows of C and of what its epilogue touches, and
 * the sources that are packed next. Both lie too far apart for the hardware to foresee, and
 * prefetched all at once they would hold up the panels' loads: a core waits for some 12 to 24 lines
 * at a time. Addresses are computed as integers, since some lie beyond an operand's end. */
#pragma once
#include "kernels/drive/gemm_cut.h"

/* C, pre or grad_pre, residual; and the list's end. */
enum { TIC_GEMM_MOST_ROWS = 3 * TIC_GEMM_TALLEST + 1 };

typedef struct tic_gemm_row_list {
    const void *at[TIC_GEMM_MOST_ROWS]; /* where each row of the tile begins */
    int64_t count;
} tic_gemm_row_list;

static inline uintptr_t tic_gemm_address(const void *data, tic_dtype type, int64_t ld, int64_t i,
                                         int64_t j) {
    return (uintptr_t)data + (uintptr_t)(i * ld + j) * tic_dtype_size(type);
}

/* Appends the tile's rows of one matrix. The micro-kernel prefetches as much of each as a tile of
 * floats is wide: of bf16 the next panel's part as well. */
static inline void tic_gemm_list_rows(tic_gemm_row_list *list, const void *data, tic_dtype type,
                                      int64_t ld, const tic_gemm_tile *tile) {
    const uintptr_t row = tic_gemm_address(data, type, ld, tile->i0, tile->j0);
    const uintptr_t step = (uintptr_t)ld * tic_dtype_size(type);
    const void **at = list->at + list->count;
    const int rows = tile->rows; /* in a local: stores could change it */
    for (int y = 0; y < rows; y++)
        at[y] = (const void *)(row + (uintptr_t)y * step);
    list->count += rows;
}

/* What is read comes first: the last ones may be prefetched late. */
static inline void tic_gemm_list_epilogue(tic_gemm_row_list *list, const tic_gemm_args *args,
                                          const tic_gemm_tile *tile) {
    const tic_mat *pre = &args->pre, *grad = &args->grad_pre, *c = &args->c;
    if (grad->data != NULL)
        tic_gemm_list_rows(list, grad->data, grad->type, grad->ld, tile);
    if (args->residual != NULL && args->residual != c->data)
        tic_gemm_list_rows(list, args->residual, TIC_F32, args->ld_residual, tile);
    tic_gemm_list_rows(list, c->data, c->type, c->ld, tile);
    if (pre->data != NULL)
        tic_gemm_list_rows(list, pre->data, pre->type, pre->ld, tile);
}

/* Prefetches at once what the micro-kernel does not get to, and ends the list. Inlined by force:
 * gcc 12 takes a function of prefetches for one without effects and drops it. */
static inline __attribute__((always_inline)) void
tic_gemm_prefetch_rest(tic_gemm_row_list *list, const tic_gemm_micro *micro, int64_t gets_to) {
    for (; list->count > gets_to; list->count--)
        for (int x = 0; x < micro->tile_n * 4; x += TIC_GEMM_LINE)
            __builtin_prefetch((const void *)((uintptr_t)list->at[list->count - 1] + (uintptr_t)x));
    list->at[list->count] = &list->at[list->count];
}

/* A part of Aᵀ or B that is packed next: a row for each value of p. */
typedef struct tic_gemm_source {
    uintptr_t from;    /* where a line begins */
    int64_t row_bytes; /* from row to row */
    int64_t lines;     /* of each row */
} tic_gemm_source;

static inline tic_gemm_source tic_gemm_source_of(tic_mat mat, int64_t p, int64_t first,
                                                 int64_t columns) {
    const uintptr_t from = tic_gemm_address(mat.data, mat.type, mat.ld, p, first);
    const uintptr_t end = from + (size_t)columns * tic_dtype_size(mat.type), line = TIC_GEMM_LINE;
    return (tic_gemm_source){from / line * line, mat.ld * (int64_t)tic_dtype_size(mat.type),
                             (int64_t)((end + line - 1) / line - from / line)};
}

/* What the thread packs, or reads in place, after an item: A's next band, or the next block's B and
 * A. Prefetched to L2 in portions, one a tile: a line of every `apart`-th row, beginning with each
 * of them in turn. */
typedef struct tic_gemm_sources {
    tic_gemm_source of[2];
    int64_t portions, done;
} tic_gemm_sources;

/* The next portion's first line; its others are *step bytes apart, `apart` rows. `beside`, again
 * and again, when none is left. */
static inline const void *tic_gemm_next_portion(tic_gemm_sources *sources, int64_t apart,
                                                const void *beside, int64_t *step) {
    const tic_gemm_source *source = sources->of;
    int64_t n = sources->done;
    *step = 0;
    if (n == sources->portions)
        return beside;
    sources->done++;
    if (n >= source->lines * apart)
        n -= source++->lines * apart;
    *step = apart * source->row_bytes;
    return (const void *)(source->from + (uintptr_t)(n % apart * source->row_bytes) +
                          (uintptr_t)(n / apart) * TIC_GEMM_LINE);
}
