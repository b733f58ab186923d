/* What a micro-kernel of the bf16 GEMM on AMX tiles has done between its products, a little in
 * every turn: rows of the block before are finished, and lines that will be needed are asked for. A
 * turn is one call, so that the loop around it keeps its addresses in registers.
 *
 * Lines are asked for into L2. Of A, those of the strip's chunk that comes next. Of what the
 * epilogue reads and writes, those of the block that is being multiplied: its rows are finished
 * amid the next one's products, and a store that waits for its line holds up the loads of tiles
 * behind it. A block has a line or two of each row, a row apart: no stream that the CPU would
 * foresee. */
#ifndef TIC_AMX_MEANWHILE_H
#define TIC_AMX_MEANWHILE_H

#include "kernels/amx/finish.h"

typedef struct lines { /* to be asked for: `bytes` of each of some rows */
    const char *row, *at;
    int64_t step, bytes; /* from row to row; of a row, a multiple of 64 */
    int64_t left, turn;  /* lines; in every turn */
} lines;

typedef struct meanwhile {
    tic_amx_finish_rows finish;
    tic_amx_finish rows;
    int64_t turn; /* rows that are finished in every turn */
    lines a, c, kept, residual;
    bool others; /* kept or residual is not empty */
} meanwhile;

TIC_INLINE void ask(lines *l) {
    int64_t count = l->left < l->turn ? l->left : l->turn;
    l->left -= count;
    for (; count > 0; count--) {
        __builtin_prefetch(l->at, 0, 2);
        l->at += 64;
        if (l->at >= l->row + l->bytes) {
            l->row += l->step;
            l->at = l->row;
        }
    }
}

static __attribute__((noinline)) void take_turn(meanwhile *m) {
    if (m->rows.left > 0)
        m->finish(&m->rows, m->turn);
    ask(&m->a);
    ask(&m->c);
    if (m->others) {
        ask(&m->kept);
        ask(&m->residual);
    }
}

TIC_INLINE int64_t a_turn(int64_t count, int64_t turns) {
    return turns > 0 ? (count + turns - 1) / turns : 0;
}

/* So many rows, while `turns` go by. */
TIC_INLINE lines lines_ahead(tic_amx_rows_ahead rows, int64_t turns) {
    lines l = {.row = rows.from, .at = rows.from, .step = rows.step};
    l.bytes = tic_round_up(rows.bytes, 64);
    l.left = rows.rows * l.bytes / 64;
    l.turn = a_turn(l.left, turns);
    return l;
}

/* Of mat, the block of strip s and panel q. */
TIC_INLINE lines lines_of(tic_mat mat, const tic_amx_band *band, int tiles, int64_t s, int64_t q,
                          int64_t turns) {
    const int64_t rows = TIC_TILE_ROWS * tiles, i = band->i0 + s * rows;
    const tic_amx_rows from = tic_amx_rows_at(mat, i, band->j0 + q * TIC_AMX_PANEL);
    lines l = {.row = from.data, .at = from.data, .step = from.step};
    l.bytes = TIC_AMX_PANEL * (int64_t)tic_dtype_size(mat.type);
    if (from.data != NULL)
        l.left = tic_least(band->args->m - i, rows) * l.bytes / 64;
    l.turn = a_turn(l.left, turns);
    return l;
}

TIC_INLINE void lines_of_block(meanwhile *m, const tic_amx_band *band, int tiles, int64_t s,
                               int64_t q, int64_t turns) {
    const tic_gemm_args *args = band->args;
    const tic_mat kept = tic_amx_kept(args);
    m->c = lines_of(args->c, band, tiles, s, q, turns);
    m->others = kept.data != NULL || args->residual != NULL;
    if (m->others) {
        m->kept = lines_of(kept, band, tiles, s, q, turns);
        m->residual =
            lines_of(tic_f32(args->residual, args->ld_residual), band, tiles, s, q, turns);
    }
}

#endif
