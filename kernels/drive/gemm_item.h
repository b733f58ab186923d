/* Between gemm_blocked.c, which shares a piece's items out to threads, and gemm_item.c, which
 * packs, multiplies and finishes one. gemm_blocked.c begins with what the words mean. */
#pragma once
#include "kernels/drive/gemm_cut.h"

typedef struct tic_gemm_piece {
    int64_t column, columns;  /* range of C's columns */
    int64_t block, blocks;    /* span: first block of k, number */
    int64_t bands, stretches; /* of its items: rows, columns */
} tic_gemm_piece;

/* Packs the piece's part of B: the calling thread all of it, or every thread of the region its
 * share; these wait for each other. */
void tic_gemm_pack_b(const tic_gemm_cut *cut, const tic_gemm_piece *piece);
/* Item x of bands * stretches, by the calling thread, whose part of cut->own and, where it packs
 * for itself, of cut->b is used. */
void tic_gemm_item(tic_ctx *ctx, const tic_gemm_cut *cut, const tic_gemm_piece *piece, int64_t x);
