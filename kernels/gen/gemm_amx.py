#!/usr/bin/env python3
"""Micro-kernels of the bf16 GEMM on AMX tiles: strips of one to three row tiles of A times panels
of two tiles of B, the epilogue of each block between the products of the next one.

The file is compiled with the instructions and with the emulated tiles (kernels/amx.h)."""

import common

ACTS = [  # name, tic_act, whether the slope at grad_pre is multiplied
    ("plain", "TIC_ACT_NONE", "false"),
    ("gelu", "TIC_ACT_GELU", "false"),
    ("quick_gelu", "TIC_ACT_QUICK_GELU", "false"),
    ("gelu_slope", "TIC_ACT_GELU", "true"),
    ("quick_gelu_slope", "TIC_ACT_QUICK_GELU", "true"),
]


def order(rows):
    """The products of a step: (row tile, column tile) with A's and B's loads before the first use
    of what is not in its register. The two loads of B lie as far apart as can be: from L2 they take
    longer than a product. Three row tiles leave one register for A: its tiles are gone through down
    and up again, so that two of three are loaded twice, the second time from L1."""
    down = [(i, 0) for i in range(rows)]
    up = [(i, 1) for i in reversed(range(rows))] if rows == 3 else [(i, 1) for i in range(rows)]
    return down + up


class Registers:
    def __init__(self, rows):
        self.rows = rows
        self.a = [6, 6, 6] if rows == 3 else [4, 5]
        self.b = [7, 7] if rows == 3 else [6, 7]

    def c(self, i, j):
        return 2 * i + j


def at(i, stride, base):
    return base + ["", f" + {stride}", f" + 2 * {stride}"][i]


def step(out, rows, begin=None, finish=False):
    """One step of k. begin: "first" block of all, whose tiles start, or a "next" one, whose tiles
    hold the sums of the block before: these leave as their registers are needed. finish: rows of an
    ended block are finished amid the products."""
    regs, held = Registers(rows), {}
    pad = " " * 16
    for n, (i, j) in enumerate(order(rows)):
        if n == rows and finish:
            out.line(f"{pad}finish_some(&r, per_step);")
        if n == rows:
            out.line(f"{pad}ask(&next);")
            out.line(f"{pad}ask_out(&out);")
        if held.get(("b", regs.b[j])) != j:
            out.line(f"{pad}LOAD_B({regs.b[j]}, b + {j} * TIC_TILE_BYTES);")
            held["b", regs.b[j]] = j
        if held.get(("a", regs.a[i])) != i:
            out.line(f"{pad}LOAD_A({regs.a[i]}, {at(i, 'a_tile', 'a')}, p < keep);")
            held["a", regs.a[i]] = i
        c, place = regs.c(i, j), f"{i} * 16 * 32 + {j} * 16"
        if begin == "next":
            out.line(f"{pad}TIC_TILE_STORE({c}, to + {place}, 128);")
        if begin is not None:
            out.line(f"{pad}START({c}, {place});")
        out.line(f"{pad}TIC_TILE_PRODUCT({c}, {regs.a[i]}, {regs.b[j]});")


def kernel(out, rows, act):
    name, tic_act, slope = act
    tile_step = "a_tile = band->a_tile, " if rows > 1 else ""
    out.line(f"#define finish_some(r, n) finish_up_to(r, {tic_act}, {slope}, n)")
    out.block(f"""
TIC_PRODUCT_BF16 static void band_{rows}_{name}(const tic_amx_band *band) {{
    const int64_t {tile_step}a_row = band->a_row, a_step = band->a_step;
    const int64_t keep = band->keep;
    const bool streams = band->strips > 1 && band->panels > 1; /* else B is read once, or is what stays */
    rows_left r = {{.left = 0}};
    float *to = NULL; /* where the sums in the tiles go; NULL: there are none */
    tic_amx_begin();
    for (int64_t first = 0; first < band->steps; first += band->chunk) {{
        int64_t n = band->steps - first < band->chunk ? band->steps - first : band->chunk;
        lines_ahead next = ahead_begin(band, {rows}, n);
        for (int64_t block = 0; block < band->strips * band->panels; block++) {{
            int64_t s = block / band->panels, q = block % band->panels, per_step = 0;
            float *partial = band->sums; /* one chunk: the block's end */
            if (band->partial != NULL)
                partial = band->partial + block * {rows} * 16 * TIC_AMX_PANEL;
            const float *from = first > 0 ? partial : NULL;
            const unsigned char *a = band->a + s * band->a_strip + first * a_step;
            const unsigned char *b = band->b + q * band->b_panel + first * TIC_AMX_PANEL_STEP;
            if (q == 0)
                ahead_strip(&next, band, s, first);
            rows_out out = {{.left = 0}};
            if (first + n == band->steps)
                out = out_begin(band, {rows}, s, q, n);
            int64_t p = 0;
            if (to != NULL) {{""")
    step(out, rows, begin="next")
    out.block("""
                per_step = rows_a_step(&r, n);
            } else {""")
    step(out, rows, begin="first")
    out.block(f"""
            }}
            for (p = 1; p < n; p++) {{
                a += a_step;
                b += TIC_AMX_PANEL_STEP;""")
    step(out, rows, finish=True)
    out.block(f"""
            }}
            if (r.left > 0)
                rest_{name}(&r);
            to = partial;
            if (first + n == band->steps) {{
                to = band->sums;
                finish_begin(&r, band, {rows}, s, q);
            }}
        }}
    }}
    if (to != NULL) {{""")
    for i in range(rows):
        for j in range(2):
            out.line(f"        TIC_TILE_STORE({2 * i + j}, to + {i} * 16 * 32 + {j} * 16, 128);")
    out.block(f"""
        rest_{name}(&r);
    }}
    tic_amx_end();
}}
#undef finish_some
""")
    out.line()


def generate(out, args):
    common.header(
        out,
        ["Bands of C[16 R rows, 32 columns] blocks, R = 1 .. 3, over packed A and B in bf16, with",
         "each of the epilogue's activations. The sums of a block leave the tiles during the first",
         "step of the next one; its rows are finished, a few a step, in the others."],
        [("C", "R = 3: tmm0 .. tmm5, tile (i, j) in 2 i + j; else tmm0 .. tmm3"),
         ("A", "R = 3: tmm6, five loads a step; else tmm4 and tmm5"),
         ("B", "R = 3: tmm7; else tmm6 and tmm7")],
        ["16 cycles a tile product, 96 a step of R = 3, as long as fewer than 5 KiB of it miss L1",
         "(kernels/drive/gemm_amx.c says what it comes to)"],
    )
    out.block("""
#include "kernels/amx/finish.h"

/* A tile starts with what earlier chunks left of its sums. */
#define START(c, place)                                                                            \\
    if (from != NULL)                                                                              \\
        TIC_TILE_STREAM(c, from + (place), 128);                                                   \\
    else                                                                                           \\
        TIC_TILE_ZERO(c)

#define LOAD_A(t, from, kept)                                                                      \\
    if (kept)                                                                                      \\
        TIC_TILE_LOAD(t, from, a_row);                                                             \\
    else                                                                                           \\
        TIC_TILE_STREAM(t, from, a_row)
#define LOAD_B(t, from)                                                                            \\
    if (streams)                                                                                   \\
        TIC_TILE_STREAM(t, from, 64);                                                              \\
    else                                                                                           \\
        TIC_TILE_LOAD(t, from, 64)

/* Lines of A's next strip that are asked for, some in every step, until all of a chunk are. */
typedef struct lines_ahead {
    const unsigned char *row, *line, *end; /* of the strip */
    int64_t step, bytes;                   /* from row to row; of a row that the chunk reads */
    int64_t rows, per_step, left;          /* of a strip; lines a step; rows to come */
} lines_ahead;

TIC_INLINE lines_ahead ahead_begin(const tic_amx_band *band, int tiles, int64_t n) {
    const int64_t lines = tiles * TIC_TILE_ROWS * n, steps = band->panels * n;
    return (lines_ahead){.step = band->a_row,
                         .bytes = n * TIC_TILE_K * 2,
                         .rows = tiles * TIC_TILE_ROWS,
                         .per_step = band->ahead ? (lines + steps - 1) / steps : 0};
}

/* Strip s begins: the one after it is asked for, if there is one. */
TIC_INLINE void ahead_strip(lines_ahead *next, const tic_amx_band *band, int64_t s, int64_t first) {
    next->left = s + 1 < band->strips ? next->rows : 0;
    next->row = band->a + (s + 1) * band->a_strip + first * band->a_step;
    next->line = next->row;
}

TIC_INLINE void ask(lines_ahead *next) {
    for (int64_t x = 0; x < next->per_step && next->left > 0; x++) {
        __builtin_prefetch(next->line, 0, 2);
        next->line += 64;
        if (next->line >= next->row + next->bytes) {
            next->row += next->step;
            next->line = next->row;
            next->left--;
        }
    }
}

/* What the epilogue reads and writes of a block is asked for, into L2, while the block is multiplied:
 * its rows are finished amid the next one's products, and a store that waits for its line holds up
 * the loads of tiles behind it. A block has a line or two of each row, a row apart: no stream that
 * the CPU would foresee. */
typedef struct rows_out {
    const char *c, *other[3];      /* next row of C; of pre, grad and residual, NULL: there is none */
    int64_t c_step, other_step[3]; /* bytes to the row after it */
    int64_t left, per_step;        /* rows */
    bool c_wide, wide[3], more;    /* f32: two lines a row; whether there are others */
} rows_out;

TIC_INLINE rows_out out_begin(const tic_amx_band *band, int tiles, int64_t s, int64_t q, int64_t n) {
    const tic_gemm_args *args = band->args;
    const int64_t rows = 16 * tiles, i = band->i0 + s * rows, j = band->j0 + q * TIC_AMX_PANEL;
    const row_of c = row_at(args->c, i, j);
    const row_of other[3] = {row_at(args->pre, i, j), row_at(args->grad_pre, i, j),
                             row_at(tic_f32(args->residual, args->ld_residual), i, j)};
    rows_out out = {.c = c.data, .c_step = c.step, .c_wide = c.type == TIC_F32};
    out.left = args->m - i < rows ? args->m - i : rows;
    out.per_step = (out.left + n - 1) / n;
    for (int y = 0; y < 3; y++) {
        out.other[y] = other[y].data;
        out.other_step[y] = other[y].step;
        out.wide[y] = other[y].type == TIC_F32;
        out.more |= other[y].data != NULL;
    }
    return out;
}

TIC_INLINE void ask_line(const char *at, bool wide) {
    __builtin_prefetch(at, 0, 2);
    if (wide)
        __builtin_prefetch(at + 64, 0, 2);
}

static __attribute__((noinline)) void ask_others(rows_out *out, int64_t rows) {
    for (int y = 0; y < 3; y++)
        for (int64_t x = 0; out->other[y] != NULL && x < rows; x++) {
            ask_line(out->other[y], out->wide[y]);
            out->other[y] += out->other_step[y];
        }
}

TIC_INLINE void ask_out(rows_out *out) {
    const int64_t rows = out->left < out->per_step ? out->left : out->per_step;
    for (int64_t x = 0; x < rows; x++) {
        ask_line(out->c, out->c_wide);
        out->c += out->c_step;
    }
    out->left -= rows;
    if (out->more)
        ask_others(out, rows);
}

/* So many rows of the pending block in each of n - 1 steps that none or few are left after them. */
static int64_t rows_a_step(const rows_left *r, int64_t n) {
    int64_t per_step = n > 1 ? r->left / (n - 1) : 0;
    return per_step > 0 ? per_step : 1;
}

TIC_INLINE void finish_up_to(rows_left *r, tic_act act, bool slope, int64_t count) {
    finish_rows(r, act, slope, r->left < count ? r->left : count);
}
""")
    out.line()
    for name, act, slope in ACTS:
        out.block(f"""
static __attribute__((noinline)) void rest_{name}(rows_left *r) {{
    finish_rows(r, {act}, {slope}, r->left);
}}
""")
        out.line()
    for rows in (1, 2, 3):
        for act in ACTS:
            kernel(out, rows, act)
    for rows in (1, 2, 3):
        names = [name for name, _, _ in ACTS]
        out.block(f"""
static void band_{rows}(const tic_amx_band *band) {{
    const tic_gemm_args *args = band->args;
    if (args->act == TIC_ACT_NONE)
        band_{rows}_{names[0]}(band);
    else if (args->act == TIC_ACT_GELU)
        (args->grad_pre.data != NULL ? band_{rows}_{names[3]} : band_{rows}_{names[1]})(band);
    else
        (args->grad_pre.data != NULL ? band_{rows}_{names[4]} : band_{rows}_{names[2]})(band);
}}
""")
        out.line()
    out.block("""
const tic_gemm_amx TIC_TIERED(tic_gemm_amx) = {
    &TIC_TIERED(tic_amx_packing),
    {band_1, band_2, band_3},
};
""")


if __name__ == "__main__":
    common.main(__doc__, lambda parser: None, generate)
