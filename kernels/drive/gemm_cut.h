/* How a call of the blocked gemm is cut: blocks, spans, bands, strips, and what memory they take.
 * gemm_blocked.c, which works by it, begins with what the words mean. */
#pragma once
#include "kernels/drive/gemm.h"

enum {
    TIC_GEMM_LINE = 64,  /* bytes of a cache line */
    TIC_GEMM_DEEP = 512, /* steps of a block of a direct product that packs, at most */
};

/* What a micro-kernel prefetches in so many steps; divisions that a tile need not repeat. */
typedef struct tic_gemm_asks {
    int64_t rows, lines;
} tic_gemm_asks;

static inline tic_gemm_asks tic_gemm_asks_of(const tic_gemm_micro *micro, int64_t steps) {
    return micro->lanes == 0
               ? (tic_gemm_asks){0, 0}
               : (tic_gemm_asks){steps / micro->rows_every, steps / micro->next_every};
}

typedef struct tic_gemm_cut { /* everything about the call that the threads share */
    const tic_gemm_args *args;
    const tic_gemm_micro *micro;
    const tic_packed *packed;           /* B, when it comes packed */
    bool direct, along;                 /* along: A's rows stand as they are, or are copied */
    bool shallow;                       /* direct, k <= SHALLOW: the loops go along C's rows */
    bool in_place, b_in_place;          /* A (or Aᵀ), B: read where it is */
    bool own_b;                         /* B is packed by each thread for itself */
    bool own_columns;                   /* own_b, and a thread's share of C are columns */
    int64_t block, blocks;              /* of k: length (the last may be shorter) and number */
    int64_t span;                       /* blocks that are packed together */
    int64_t steps, vectors;             /* of a whole block; of a whole tile, or 1 */
    tic_gemm_asks asks;                 /* of a whole block's steps */
    int64_t columns;                    /* packed at a time: nc, in whole panels */
    int64_t tiles, band;                /* of rows: all of m, and at most a band */
    int64_t height, higher;             /* of a tile; so many first ones have a row more */
    int64_t strip;                      /* columns, in whole panels */
    int64_t lda, ldb;                   /* bytes, as the micro-kernel has them */
    int64_t b_tiles;                    /* tiles that prefetch a panel of B, whole lines of it */
    int64_t apart;                      /* values of p from one prefetched line to the next */
    int64_t apart_bytes;                /* of B's panel, so many */
    size_t a_tile, b_panel;             /* bytes from tile to tile of a block, panel to panel */
    size_t a_block, b_block;            /* from block to block of a row, of a panel */
    size_t a_bytes, b_bytes, own_bytes; /* A's block; B's; A's and the gathered tiles of a thread */
    size_t all_b_bytes;                 /* of all that pack it */
    unsigned char *b, *own;
    _Atomic int32_t *flow; /* [tiles]: pieces that an item (in a flow: a band) is through with */
} tic_gemm_cut;

tic_gemm_cut tic_gemm_cut_of(const tic_variant *variant, const int *knobs,
                             const tic_gemm_args *args, int threads);

/* Values of p in a block, at most, of a product whose plan says kc. */
int64_t tic_gemm_block(const tic_gemm_micro *micro, bool direct, bool packed, int64_t kc);

/* The length of k's blocks, as few and as equal as can be, of at most so many each. */
int64_t tic_gemm_equal_block(const tic_gemm_micro *micro, int64_t k, int64_t most);

/* Whether it may read Aᵀ, f32 with rows ld apart, where it stands, in blocks of so many of k. */
bool tic_gemm_a_fits(const tic_gemm_micro *micro, bool direct, int64_t k, int64_t block,
                     int64_t ld);

/* Steps of the micro-kernel that k values of p make, the last padded. */
static inline int64_t tic_gemm_steps(const tic_gemm_micro *micro, int64_t k) {
    return tic_round_up(k, micro->format.k_unit) / tic_panel_step(micro->format.panel);
}

/* Bytes of them in a panel of that width. */
static inline size_t tic_gemm_steps_bytes(const tic_gemm_micro *micro, int64_t k, int width) {
    return (size_t)(tic_gemm_steps(micro, k) * width) * 4;
}
