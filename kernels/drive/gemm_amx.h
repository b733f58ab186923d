/* Between GEMM's driver for tiles and its generated micro-kernels; inside kernels/ only. */
#ifndef TIC_DRIVE_GEMM_AMX_H
#define TIC_DRIVE_GEMM_AMX_H

#include "kernels/amx.h"
#include "kernels/drive/gemm.h"

enum {
    TIC_AMX_STRIP = 3,  /* row tiles of A that a micro-kernel takes at once, at most */
    TIC_AMX_PANEL = 32, /* columns of B: two tiles, side by side in every step */
    TIC_AMX_PANEL_STEP = 2 * TIC_TILE_BYTES,
    TIC_AMX_BLOCK = TIC_AMX_STRIP * TIC_TILE_ROWS * TIC_AMX_PANEL, /* elements of C */
};

typedef struct tic_amx_rows_ahead {
    const void *from;
    int64_t rows, step, bytes; /* bytes from row to row; of a row */
} tic_amx_rows_ahead;

/* A rectangle of C that one thread computes: `strips` of 16 R rows, R the micro-kernel's, times
 * `panels` of 32 columns, over all steps of k in chunks of `chunk`. `group` strips take a chunk
 * before they take the next one; meanwhile a block's sums stay as tiles in `partial`. Row tile i of
 * strip s of A, step p, stands at a + s a_strip + i a_tile + p a_step, its rows a_row bytes apart:
 * packed, or where they are. Panel q of B: step p's two tiles at b + q b_panel + p * 2 KiB. ahead:
 * meanwhile the lines of A's next strip are asked for. */
typedef struct tic_amx_band {
    const tic_gemm_args *args;
    bool accumulate; /* C is added to: args->accumulate, or sums of an earlier span stand there */
    int64_t i0, j0, strips, group, panels, steps, chunk;
    const unsigned char *a, *b;
    int64_t a_strip, a_tile, a_row, a_step, b_panel;
    int64_t keep; /* of each chunk of A the first steps, which L1 keeps from panel to panel; the
                     others pass through */
    bool ahead;
    tic_amx_rows_ahead next; /* without `ahead`: other rows, asked for in the course of the call */
    unsigned char *copy;     /* [chunk][R] tiles, or NULL */
    float *partial;          /* [group][panels][16 R][32]; NULL: one chunk */
    float *sums; /* [TIC_AMX_BLOCK], 64-byte aligned: the block that is being finished */
} tic_amx_band;

/* One tier's. Issues strips * R * panels * 2 * steps * TIC_TILE_MACS; configures the tiles. */
typedef struct tic_gemm_amx {
    const tic_amx_packing *packing;
    void (*band[TIC_AMX_STRIP])(const tic_amx_band *band); /* [R - 1] */
} tic_gemm_amx;
/* gemm_amx_weights.c */
extern const tic_gemm_micro tic_gemm_tiles_micro;
extern const tic_gemm_amx tic_gemm_amx_amx, tic_gemm_amx_amx_emulated;

#endif
