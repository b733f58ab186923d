#!/usr/bin/env python3
"""Writes the products of the contrastive and the distillation loss: C[rows, panel] = or += A B over
`k` units of four bytes (an f32, or two bf16), for every number of rows up to a register tile's.

A is read in place, whatever its layout: `rows` takes a row's units next to each other (features,
and dS for d_image), `columns` takes a unit's rows next to each other (dS for d_text). B is a packed
panel [k][panel]. What the drivers do with them: kernels/drive/scores.h."""

import sys

TIERS = {
    # tier: vector register, lanes, rows of the largest tile, instruction, C element, units' type
    "avx2": ("ymm", 8, 6, "vfmadd231ps", "TIC_F32", 1, "two FMAs a cycle"),
    "avx512": ("zmm", 16, 14, "vfmadd231ps", "TIC_F32", 1,
               "two FMAs a cycle on Sapphire Rapids and Zen 5, one on Zen 4"),
    "avx512_bf16": ("zmm", 16, 14, "vdpbf16ps", "TIC_BF16", 2,
                    "two VDPBF16PS a cycle on Zen 5, one on Zen 4, half of one on Sapphire Rapids"),
}
UNROLL = 4


class Tile:
    """The register map of a tile of `rows` by two vectors."""

    def __init__(self, tier, rows):
        self.reg, self.lanes, self.most, self.fma = TIERS[tier][:4]
        self.rows = rows
        self.bytes = self.lanes * 4
        free = 2 * self.most  # accumulators stand first
        self.broadcast = [free, free + 1]
        self.b = [free + 2, free + 3]

    def acc(self, row, half):
        return f"%%{self.reg}{2 * row + half}"

    def step(self, address, b_offset):
        """One unit of k; address(i) is A's operand for row i."""
        out = [f"vmovups {b_offset}(%[b]), %%{self.reg}{self.b[0]}",
               f"vmovups {b_offset + self.bytes}(%[b]), %%{self.reg}{self.b[1]}"]
        for i in range(self.rows):
            x = f"%%{self.reg}{self.broadcast[i % 2]}"
            out.append(f"vbroadcastss {address(i)}, {x}")
            for half in range(2):
                out.append(f"{self.fma} %%{self.reg}{self.b[half]}, {x}, {self.acc(i, half)}")
        return out

    def clear(self):
        return [f"vxorps %%xmm{r}, %%xmm{r}, %%xmm{r}" if r < 16 else
                f"vpxord %%zmm{r}, %%zmm{r}, %%zmm{r}" for r in range(2 * self.rows)]

    def finish(self):
        """The sums are stored at c, or added to what is there."""
        out = ["testb %[accumulate], %[accumulate]", "jz 6f"]
        for add in (True, False):
            for i in range(self.rows):
                for half in range(2):
                    if add:
                        out.append(f"vaddps {half * self.bytes}(%[c]), {self.acc(i, half)}, "
                                   f"{self.acc(i, half)}")
                    out.append(f"vmovups {self.acc(i, half)}, {half * self.bytes}(%[c])")
                out.append("add %[c_step], %[c]")
            out += ["jmp 7f", "6:"] if add else ["7:"]
        return out

    def clobbers(self):
        used = list(range(2 * self.rows)) + self.broadcast + self.b
        return ", ".join(f'"xmm{r}"' for r in used)

    def prefetch(self):
        """C's lines travel while the sums are formed."""
        out = ["mov %[c], %[line]"]
        for _ in range(self.rows):
            out += [f"prefetcht0 {offset}(%[line])" for offset in range(0, 2 * self.bytes, 64)]
            out.append("add %[c_step], %[line]")
        return out


def function(tier, rows, layout):
    tile = Tile(tier, rows)
    bases = (rows + 2) // 3 if layout == "rows" else 1
    advance = [f"add %[step], %[a{g}]" for g in range(bases)]
    if layout == "rows":
        def address(p):
            scaled = ["(%[a{g}])", "(%[a{g}],%[lda])", "(%[a{g}],%[lda],2)"]
            return lambda i: (str(4 * p) if p else "") + scaled[i % 3].format(g=i // 3)
        advance = [f"add ${4 * UNROLL}, %[a{g}]" for g in range(bases)]
        single = [f"add $4, %[a{g}]" for g in range(bases)]
    else:
        def address(p):
            return lambda i: f"{4 * i}(%[a0])"
        single = ["add %[lda], %[a0]"]
    lines = tile.prefetch() + tile.clear() + ["test %[n], %[n]", "jz 2f", "1:"]
    for p in range(UNROLL):
        lines += tile.step(address(p), p * 2 * tile.bytes)
        if layout == "columns":
            lines += single
    lines += advance if layout == "rows" else []
    lines += [f"add ${UNROLL * 2 * tile.bytes}, %[b]", "dec %[n]", "jnz 1b", "2:",
              "test %[rest], %[rest]", "jz 4f", "3:"]
    lines += tile.step(address(0), 0) + single
    lines += [f"add ${2 * tile.bytes}, %[b]", "dec %[rest]", "jnz 3b", "4:"] + tile.finish()

    text = "\n".join(f'        "{line}\\n\\t"' for line in lines)
    pointers = "".join(f"    const char *a{g} = (const char *)a_data + {3 * g} * lda * 4;\n"
                       for g in range(bases))
    outputs = ", ".join(f'[a{g}] "+r"(a{g})' for g in range(bases))
    return f"""
TIC_PRODUCT static void {layout}_{rows}(int64_t k, const void *a_data, int64_t lda,
                                                 const void *b, float *c, int64_t ldc,
                                                 bool accumulate) {{
{pointers}    const int64_t step = lda * 4, c_step = ldc * 4;
    int64_t n = k / {UNROLL}, rest = k % {UNROLL};
    const char *line;
    __asm__ volatile(
{text}
        : {outputs}, [b] "+r"(b), [c] "+r"(c), [n] "+r"(n), [rest] "+r"(rest), [line] "=&r"(line)
        : [lda] "r"(step), [c_step] "r"(c_step), [accumulate] "q"(accumulate)
        : "memory", "cc", {tile.clobbers()});
}}
"""


PORTABLE = """/* Written by kernels/gen/contrastive.py portable; do not edit.
 *
 * C[rows, 8] = or += A B: `rows` of A by a packed panel of B, rows = 1 .. 4, in vectors of four. A
 * product and its sum are rounded each. */
#include "kernels/ops.h"

#include <string.h>

typedef float vector __attribute__((vector_size(16)));

/* A's element (i, p) is a[i * row + p * step]. */
TIC_PRODUCT static void tile(int rows, int64_t k, const float *a, int64_t row,
                                           int64_t step, const float *b, float *c, int64_t ldc,
                                           bool accumulate) {
    vector sums[4][2] = {0};
    for (int64_t p = 0; p < k; p++) {
        vector left, right;
        memcpy(&left, b + p * 8, sizeof left);
        memcpy(&right, b + p * 8 + 4, sizeof right);
        for (int i = 0; i < rows; i++) {
            sums[i][0] += a[i * row + p * step] * left;
            sums[i][1] += a[i * row + p * step] * right;
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 8; j++)
            c[i * ldc + j] = (accumulate ? c[i * ldc + j] : 0) + sums[i][j / 4][j % 4];
}

static void rows(int count, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                 int64_t ldc, bool accumulate) {
    tile(count, k, a, lda, 1, b, c, ldc, accumulate);
}

static void columns(int count, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                    int64_t ldc, bool accumulate) {
    tile(count, k, a, 1, lda, b, c, ldc, accumulate);
}

const tic_scores_products tic_scores_products_portable = {
    .strip = 4,
    .row_unit = 1,
    .panel = 8,
    .k_unit = 1,
    .unit = TIC_F32,
    .rows = rows,
    .columns = columns,
};
"""


def source(tier):
    if tier == "portable":
        return PORTABLE
    reg, lanes, most, fma, dtype, per_unit, rate = TIERS[tier]
    last = 2 * most
    out = f"""/* Written by kernels/gen/contrastive.py {tier}; do not edit.
 *
 * C[rows, {2 * lanes}] = or += A B: `rows` of A by a packed panel of B, rows = 1 .. {most}.
 *   {reg}0 .. {reg}{last - 1}  sums, two vectors a row      {reg}{last}, {reg}{last + 1}  A's element, in turn
 *   {reg}{last + 2}, {reg}{last + 3}  B's row
 * A tile of {most} rows issues {2 * most} {fma} a unit of k: {most} cycles at {rate}. */
#include "kernels/ops.h"
"""
    for layout in ("rows", "columns"):
        for rows in range(1, most + 1):
            out += function(tier, rows, layout)
    for layout in ("rows", "columns"):
        names = ", ".join(f"{layout}_{rows}" for rows in range(1, most + 1))
        out += f"""
static void {layout}(int count, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                 int64_t ldc, bool accumulate) {{
    static tic_scores_tile *const tiles[] = {{{names}}};
    tiles[count - 1](k, a, lda, b, c, ldc, accumulate);
}}
"""
    return out + f"""
const tic_scores_products tic_scores_products_{tier} = {{
    .strip = {most},
    .row_unit = 1,
    .panel = {2 * lanes},
    .k_unit = 1,
    .unit = {dtype},
    .rows = rows,
    .columns = columns,
}};
"""


if __name__ == "__main__":
    sys.stdout.write(source(sys.argv[1]))
