#!/usr/bin/env python3
"""Micro-kernels of the bf16 GEMM on AMX tiles: strips of one to three row tiles of A times panels
of two tiles of B, the epilogue of each block between the products of the next one.

A and B have one register each, so that two by two tiles write six of the eight and load five tiles a
step, one of them twice, the second time from L1. Four loads and all eight registers are no faster
where a core is all ours, and much slower when its other hardware thread is busy: a thread then has
few physical tiles to rename what it writes to (benchmarks/bench_tiles shows both).

The file is compiled with the instructions and with the emulated tiles (kernels/amx.h)."""

import common


def order(rows):
    """The products of a step: (row tile, column tile). A's tiles are gone through down for the first
    tile of B and up again for the second, so that the two loads of B lie as far apart as can be:
    from L2 they take longer than a product."""
    return [(i, 0) for i in range(rows)] + [(i, 1) for i in reversed(range(rows))]


def place(i, j):
    return 16 * (32 * i + j)


def step(out, rows, pad, load="TIC_TILE_LOAD", begin=None):
    """One step of k, A's tiles loaded by `load`. begin: "first" block of all, whose tiles start, or a
    "next" one, whose tiles hold the sums of the block before: these leave as their registers are
    needed."""
    held = (None, None)
    for i, j in order(rows):
        if held[1] != j:
            out.line(f"{pad}TIC_TILE_STREAM(7, b{['', ' + TIC_TILE_BYTES'][j]}, 64);")
        if held[0] != i:
            out.line(f"{pad}{load}(6, a{['', ' + a_tile', ' + 2 * a_tile'][i]}, a_row);")
        held = (i, j)
        if begin == "next":
            out.line(f"{pad}TIC_TILE_STORE({2 * i + j}, to + {place(i, j)}, 128);")
        if begin is not None:
            out.line(f"{pad}START({2 * i + j}, {place(i, j)});")
        out.line(f"{pad}TIC_TILE_PRODUCT({2 * i + j}, 6, 7);")
    out.line(f"{pad}a += a_step, b += TIC_AMX_PANEL_STEP;")


def steps(out, rows, pad, load, end):
    out.line(f"{pad}for (; p < {end}; p++) {{")
    step(out, rows, pad + "    ", load)
    out.line(f"{pad}    take_turn(&m);")
    out.line(f"{pad}}}")


def kernel(out, rows):
    tile_step = "const int64_t a_tile = copies ? TIC_TILE_BYTES : band->a_tile;" if rows > 1 else ""
    pad = " " * 20
    out.block(f"""
TIC_PRODUCT_BF16 static void band_{rows}(const tic_amx_band *band) {{
    const bool copies = band->copy != NULL;
    const int64_t a_row = copies ? 64 : band->a_row;
    const int64_t a_step = copies ? {rows} * TIC_TILE_BYTES : band->a_step;
    {tile_step}
    meanwhile m = {{.finish = TIC_TIERED(tic_amx_finish_rows)(band)}};
    float *to = NULL; /* where the sums in the tiles go; NULL: there are none */
    m.a = lines_ahead(band->next, band->strips * band->panels * turns_of(band));
    tic_amx_begin();
    for (int64_t group = 0; group < band->strips; group += band->group) {{
        const int64_t last = tic_least(group + band->group, band->strips);
        for (int64_t first = 0; first < band->steps; first += band->chunk) {{
            const int64_t n = tic_least(band->chunk, band->steps - first);
            const int64_t kept = tic_least(n, band->keep); /* what L1 has room for */
            const bool finishes = first + n == band->steps;
            for (int64_t s = group; s < last; s++) {{
                float *partial = band->sums; /* one chunk: the block's end */
                if (band->partial != NULL)
                    partial = band->partial + (s - group) * band->panels * {512 * rows};
                const unsigned char *strip = band->a + s * band->a_strip + first * band->a_step;
                if (copies) {{
                    copy_strip(band, {rows}, strip, n);
                    strip = band->copy;
                }}
                if (band->ahead)
                    m.a = next_of_a(band, {rows}, s, group, last, first);
                for (int64_t q = 0; q < band->panels; q++) {{
                    const float *from = first > 0 ? partial : NULL;
                    const unsigned char *a = strip;
                    const unsigned char *b =
                        band->b + q * band->b_panel + first * TIC_AMX_PANEL_STEP;
                    int64_t p = 1;
                    m.turn = a_turn(m.rows.left, n - 1);
                    if (finishes)
                        lines_of_block(&m, band, {rows}, s, q, n - 1);
                    if (to != NULL) {{""")
    step(out, rows, pad + "    ", begin="next")
    out.line(f"{pad}}} else {{")
    step(out, rows, pad + "    ", begin="first")
    out.line(f"{pad}}}")
    steps(out, rows, pad, "TIC_TILE_LOAD", "kept")
    steps(out, rows, pad, "TIC_TILE_STREAM", "n")
    out.block(f"""
                    if (m.rows.left > 0) /* a chunk of one step */
                        m.finish(&m.rows, m.rows.left);
                    to = partial;
                    if (band->partial != NULL)
                        partial += {512 * rows};
                    if (finishes) {{
                        to = band->sums;
                        tic_amx_finish_begin(&m.rows, band, {rows}, s, q);
                    }}
                }}
            }}
        }}
    }}
    if (to != NULL) {{""")
    for i, j in order(rows):
        out.line(f"        TIC_TILE_STORE({2 * i + j}, to + {place(i, j)}, 128);")
    out.block("""
        m.finish(&m.rows, m.rows.left);
    }
    tic_amx_end();
}
""")
    out.line()


def generate(out, args):
    common.header(
        out,
        ["Bands of C[16 R rows, 32 columns] blocks, R = 1 .. 3, over A and packed B in bf16. The",
         "sums of a block leave the tiles during the first step of the next one; its rows are",
         "finished (kernels/amx/finish.c), a few a step, in the others."],
        [("C", "tmm0 .. tmm5, tile (i, j) in 2 i + j"), ("A", "tmm6, 2 R - 1 loads a step"),
         ("B", "tmm7, two loads")],
        ["16 cycles a tile product, 64 a step of R = 2, as long as fewer than 3 KiB of it miss L1",
         "(kernels/drive/gemm_amx.c says what it comes to)"],
    )
    out.block("""
#include "kernels/amx/meanwhile.h"

/* A tile starts with what earlier chunks left of its sums. */
#define START(c, place)                                                                            \\
    if (from != NULL)                                                                              \\
        TIC_TILE_STREAM(c, from + (place), 128);                                                   \\
    else                                                                                           \\
        TIC_TILE_ZERO(c)

/* n steps of a strip, row by row as they stand, into tiles. */
TIC_INLINE void copy_strip(const tic_amx_band *band, int tiles, const unsigned char *from, int64_t n) {
    for (int i = 0; i < tiles * TIC_TILE_ROWS; i++)
        for (int64_t p = 0; p < n; p++)
            memcpy(band->copy + (p * tiles + i / TIC_TILE_ROWS) * TIC_TILE_BYTES +
                       i % TIC_TILE_ROWS * 64,
                   from + i * band->a_row + p * band->a_step, 64);
}

/* Of a block: a chunk's first step, in which sums leave the tiles, has none. */
TIC_INLINE int64_t turns_of(const tic_amx_band *band) {
    return band->steps - tic_ceil_div(band->steps, band->chunk);
}

/* What of A comes after chunk `first` of strip s, one of strips group .. last - 1. */
TIC_INLINE lines next_of_a(const tic_amx_band *band, int tiles, int64_t s, int64_t group,
                           int64_t last, int64_t first) {
    const int64_t turns = band->panels * (tic_least(band->chunk, band->steps - first) - 1);
    int64_t strip = s + 1, step = first;
    if (strip == last) {
        step = first + band->chunk;
        strip = step < band->steps ? group : last;
        step = step < band->steps ? step : 0;
    }
    if (strip == band->strips)
        return (lines){.left = 0};
    return lines_ahead(
        (tic_amx_rows_ahead){.from = band->a + strip * band->a_strip + step * band->a_step,
                             .rows = tiles * TIC_TILE_ROWS,
                             .step = band->a_row,
                             .bytes = tic_least(band->chunk, band->steps - step) * band->a_step},
        turns);
}
""")
    out.line()
    for rows in (1, 2, 3):
        kernel(out, rows)
    out.block("""
const tic_gemm_amx TIC_TIERED(tic_gemm_amx) = {
    &TIC_TIERED(tic_amx_packing),
    {band_1, band_2, band_3},
};
""")


if __name__ == "__main__":
    common.main(__doc__, lambda parser: None, generate)
