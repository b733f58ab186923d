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


def step(out, rows, store=False, finish=False):
    """One step of k. store: the tiles hold the sums of the block before, which leave as their
    registers are needed. finish: some of its rows are finished amid the products."""
    regs, held = Registers(rows), {}
    for n, (i, j) in enumerate(order(rows)):
        if n == rows and finish:
            out.line("                finish_some(&r, per_step);")
        if held.get(("b", regs.b[j])) != j:
            out.line(f"                TIC_TILE_LOAD({regs.b[j]}, b + {j} * TIC_TILE_BYTES, 64);")
            held["b", regs.b[j]] = j
        if held.get(("a", regs.a[i])) != i:
            out.line(f"                TIC_TILE_LOAD({regs.a[i]}, a + {i} * TIC_TILE_BYTES, 64);")
            held["a", regs.a[i]] = i
        c = regs.c(i, j)
        if store:
            out.line(f"                TIC_TILE_STORE({c}, band->sums + {i} * 16 * 32 + {j} * 16, 128);")
            out.line(f"                TIC_TILE_ZERO({c});")
        out.line(f"                TIC_TILE_PRODUCT({c}, {regs.a[i]}, {regs.b[j]});")


def kernel(out, rows, act):
    name, tic_act, slope = act
    out.line(f"#define finish_some(r, n) finish_up_to(r, {tic_act}, {slope}, n)")
    out.block(f"""
TIC_PRODUCT_BF16 static void band_{rows}_{name}(const tic_amx_band *band) {{
    rows_left r = {{.left = 0}};
    bool full = false; /* the tiles hold a finished block */
    tic_amx_begin();
    for (int64_t first = 0; first < band->steps; first += band->chunk) {{
        int64_t n = band->steps - first < band->chunk ? band->steps - first : band->chunk;
        for (int64_t block = 0; block < band->strips * band->panels; block++) {{
            int64_t s = block / band->panels, q = block % band->panels, per_step = 0;
            const unsigned char *a = band->a + s * band->a_strip + first * {rows} * TIC_TILE_BYTES;
            const unsigned char *b = band->b + q * band->b_panel + first * TIC_AMX_PANEL_STEP;
            if (full) {{""")
    step(out, rows, store=True)
    out.block("""
                per_step = rows_a_step(&r, n);
            } else {""")
    for c in range(2 * rows):
        out.line(f"                TIC_TILE_ZERO({c});")
    step(out, rows)
    out.block(f"""
            }}
            for (int64_t p = 1; p < n; p++) {{
                a += {rows} * TIC_TILE_BYTES;
                b += TIC_AMX_PANEL_STEP;""")
    step(out, rows, finish=True)
    out.block(f"""
            }}
            if (r.left > 0)
                rest_{name}(&r);
            finish_begin(&r, band, {rows}, s, q, first, n);
            full = true;
        }}
    }}
    if (full) {{""")
    for i in range(rows):
        for j in range(2):
            out.line(f"        TIC_TILE_STORE({2 * i + j}, band->sums + {i} * 16 * 32 + {j} * 16, 128);")
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
