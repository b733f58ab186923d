#!/usr/bin/env python3
"""Writes the product micro-kernels of attention for one tier.

    python3 kernels/gen/attention.py avx512 > attention_avx512.c

A kernel is a tile of registers, C[rows, vectors], that a loop over k adds A[rows, k] B[k, vectors]
to. Two families differ in where A's element (i, p) lies, because attention reads P' and dS' both
ways and transposes neither (' is the transpose):

    along    a[i * lda + p]     S' = K Q', dP' = V dO', dV = P' dO, dK = dS' Q
    across   a[p * lda + i]     O = P V, dQ = dS K

avx2 and avx512 are inline assembly: for twelve rows a compiler keeps twelve pointers and spills
half of them, where here three rows share a pointer and the stride. portable is C on vectors of 4.

avx512_bf16 multiplies pairs of bf16 (VDPBF16PS) and reads A and B as AMX does, in tiles or, A, as
rows (kernels/amx.h): what surrounds the products is then the same for both.
"""

import sys


class Tier:
    def __init__(self, name, register, lanes, rows):
        self.name, self.register, self.lanes = name, register, lanes
        self.rows = rows  # most rows of a tile, by its number of vectors less one
        self.bytes = 4 * lanes


# Registers: rows * vectors sums, a vector of B a column, a broadcast of A. With one vector avx512
# multiplies by a broadcast from memory and needs no register for it. Ten or more sums hide the
# latency of two multiply-adds a cycle; what more rows save is loads of B.
TIERS = {
    "portable": Tier("portable", None, 4, (6, 6)),
    "avx2": Tier("avx2", "ymm", 8, (12, 6, 4)),
    "avx512": Tier("avx512", "zmm", 16, (16, 12, 8, 6)),
    "avx512_bf16": Tier("avx512_bf16", "zmm", 16, (16, 8, 8, 6)),
}
UNROLL = {"along": 4, "across": 2}
INTO = {"c": 0, "ldc": 8, "factor": 16, "add": 24}  # offsets in tic_attention_into


class Tile:
    """One kernel in assembly."""

    def __init__(self, tier, family, rows, vectors):
        self.tier, self.family, self.rows, self.vectors = tier, family, rows, vectors
        self.name = f"{family}_{rows}_{vectors}"
        self.embedded = tier.register == "zmm" and vectors == 1
        self.sums = rows * vectors
        self.used = self.sums + vectors + (0 if self.embedded else 1)
        # of A: one for three rows in `along`, one for all in `across`
        self.pointers = (rows + 2) // 3 if family == "along" else 1
        self.lines = []

    def emit(self, *lines):
        self.lines += lines

    def register(self, i):
        return f"%%{self.tier.register}{i}"

    def sum(self, row, vector):
        return self.register(row * self.vectors + vector)

    def b(self, vector):
        return self.register(self.sums + vector)

    def a(self, row, step):
        if self.family == "across":
            return f"{4 * row}(%[a0])"
        index = ("", ",%[lda]", ",%[lda],2")[row % 3]
        return f"{4 * step}(%[a{row // 3}]{index})"

    def step(self, step):
        """Adds A[:, step] B[step, :]."""
        for v in range(self.vectors):
            self.emit(f"vmovups {v * self.tier.bytes}(%[b]), {self.b(v)}")
        self.emit("add %[ldb], %[b]")
        for r in range(self.rows):
            if self.embedded:
                a = f"{self.a(r, step)}%{{1to{self.tier.lanes}%}}"
                self.emit(f"vfmadd231ps {a}, {self.b(0)}, {self.sum(r, 0)}")
                continue
            spare = self.register(self.sums + self.vectors)
            self.emit(f"vbroadcastss {self.a(r, step)}, {spare}")
            for v in range(self.vectors):
                self.emit(f"vfmadd231ps {spare}, {self.b(v)}, {self.sum(r, v)}")
        if self.family == "across":
            self.emit("add %[lda], %[a0]")

    def steps(self, count):
        for step in range(count):
            self.step(step)
        if self.family == "along":
            self.emit(*[f"add ${4 * count}, %[a{i}]" for i in range(self.pointers)])

    def loop(self):
        unroll = UNROLL[self.family]
        self.emit("mov %[k], %[n]", f"sar ${unroll.bit_length() - 1}, %[n]", "jz 4f", "3:")
        self.steps(unroll)
        self.emit("dec %[n]", "jnz 3b", "4:", f"and ${unroll - 1}, %[k]", "jz 6f", "5:")
        self.steps(1)
        self.emit("dec %[k]", "jnz 5b", "6:")

    def each_sum(self, line):
        """line(address, register) for every vector of C."""
        self.emit(f"mov {INTO['c']}(%[into]), %[n]")
        for r in range(self.rows):
            for v in range(self.vectors):
                self.emit(line(f"{v * self.tier.bytes}(%[n])", self.sum(r, v)))
            if r + 1 < self.rows:
                self.emit(f"add {INTO['ldc']}(%[into]), %[n]")

    def begin(self):
        self.emit(f"cmpq $0, {INTO['add']}(%[into])", "jne 1f")
        for i in range(self.sums):
            x = f"%%xmm{i}" if i < 16 else self.register(i)
            self.emit(f"{'vxorps' if i < 16 else 'vpxord'} {x}, {x}, {x}")
        self.emit("jmp 2f", "1:")
        self.each_sum(lambda at, register: f"vmovups {at}, {register}")
        self.emit("2:")

    def end(self):
        self.emit(f"mov {INTO['factor']}(%[into]), %[n]", "test %[n], %[n]", "jz 7f")
        for r in range(self.rows):
            self.emit(f"vbroadcastss {4 * r}(%[n]), {self.b(0)}")
            for v in range(self.vectors):
                self.emit(f"vmulps {self.b(0)}, {self.sum(r, v)}, {self.sum(r, v)}")
        self.emit("7:")
        self.each_sum(lambda at, register: f"vmovups {register}, {at}")
        self.emit("vzeroupper")

    def text(self):
        self.begin()
        self.loop()
        self.end()
        more = range(1, self.pointers)
        outputs = ['[n] "=&r"(n)', '[k] "+&r"(k)', '[b] "+&r"(b)', '[a0] "+&r"(a)']
        outputs += [f'[a{i}] "+&r"(a{i})' for i in more]
        inputs = ['[ldb] "r"(ldb * 4)', '[into] "r"(into)']
        if self.family == "across" or self.rows > 1:
            inputs.append('[lda] "r"(lda * 4)')
        clobbers = [f'"xmm{i}"' for i in range(self.used)] + ['"cc"', '"memory"']
        return "\n".join(
            [f"/* {self.sums} sums; {self.used} registers */"]
            + [f"TIC_PRODUCT static void {self.name}({PARAMETERS}) {{"]
            + [f"    const float *a{i} = a + {3 * i} * lda;" for i in more]
            + ["    int64_t n;", "    (void)lda;", "    __asm__ volatile("]
            + [f'        "{line}\\n"' for line in self.lines]
            + [f"        : {', '.join(outputs)}", f"        : {', '.join(inputs)}"]
            + [f"        : {', '.join(clobbers)});", "}"]
        )


PARAMETERS = (
    "int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,\n"
    "    const tic_attention_into *into"
)

PORTABLE = """/* {rows} x {vectors} sums */
TIC_PRODUCT static void {family}_{rows}_{vectors}({parameters}) {{
    enum {{ ROWS = {rows}, VECTORS = {vectors} }};
    vector sum[ROWS][VECTORS] = {{0}};
    float *c = into->c;
    for (int r = 0; into->add && r < ROWS; r++)
        memcpy(sum[r], c + r * (into->ldc / 4), sizeof sum[r]);
    for (; k > 0; k--, a += {step}, b += ldb) {{
        vector x[VECTORS];
        memcpy(x, b, sizeof x);
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++)
                sum[r][v] += {element} * x[v];
    }}
    for (int r = 0; r < ROWS; r++) {{
        for (int v = 0; into->factor && v < VECTORS; v++)
            sum[r][v] *= into->factor[r];
        memcpy(c + r * (into->ldc / 4), sum[r], sizeof sum[r]);
    }}
}}"""


def tile(tier, family, rows, vectors):
    if tier.register:
        return Tile(tier, family, rows, vectors).text()
    element, step = ("a[r * lda]", "1") if family == "along" else ("a[r]", "lda")
    return PORTABLE.format(
        rows=rows, vectors=vectors, family=family, parameters=PARAMETERS, element=element, step=step
    )


class PairTile(Tile):
    """A tile that VDPBF16PS sums, 16 pairs of k at a time: the `along` of bf16. A's rows lie a_row
    bytes apart, vectors of B b_tile bytes."""

    def __init__(self, tier, rows, vectors):
        super().__init__(tier, "along", rows, vectors)
        self.name = f"pairs_{rows}_{vectors}"

    def a(self, row, step):
        return super().a(row, step).replace("lda", "a_row")

    def loop(self):
        self.emit("3:", "mov $16, %[n]", "cmp %[n], %[k]", "cmovl %[k], %[n]", "sub %[n], %[k]")
        self.emit("4:")
        for v in range(self.vectors):
            at = ("(%[b])", "(%[b],%[b_tile])", "(%[b],%[b_tile],2)", "(%[b3])")[v]
            self.emit(f"vmovups {at}, {self.b(v)}")
        self.emit(*["add $64, %[b]"] + ["add $64, %[b3]"] * (self.vectors > 3))
        for r in range(self.rows):
            if self.embedded:
                a = f"{self.a(r, 0)}%{{1to16%}}"
                self.emit(f"vdpbf16ps {a}, {self.b(0)}, {self.sum(r, 0)}")
                continue
            spare = self.register(self.sums + self.vectors)
            self.emit(f"vbroadcastss {self.a(r, 0)}, {spare}")
            for v in range(self.vectors):
                self.emit(f"vdpbf16ps {spare}, {self.b(v)}, {self.sum(r, v)}")
        self.emit(*[f"add $4, %[a{i}]" for i in range(self.pointers)], "dec %[n]", "jnz 4b")
        self.emit(*[f"add %[skip], %[a{i}]" for i in range(self.pointers)])
        self.emit("test %[k], %[k]", "jnz 3b")

    def each_sum(self, line):
        self.emit("mov %[c], %[n]")
        for r in range(self.rows):
            for v in range(self.vectors):
                self.emit(line(f"{64 * v}(%[n])", self.sum(r, v)))
            if r + 1 < self.rows:
                self.emit("add %[ldc], %[n]")

    def begin(self):
        super().begin()
        self.lines[0] = "cmpq $0, %[add]"

    def end(self):
        self.each_sum(lambda at, register: f"vmovups {register}, {at}")
        self.emit("vzeroupper")

    def text(self):
        self.begin()
        self.loop()
        self.end()
        more = range(1, self.pointers)
        outputs = ['[n] "=&r"(n)', '[k] "+&r"(k)', '[b] "+&r"(b)', '[a0] "+&r"(a0)']
        outputs += [f'[a{i}] "+&r"(a{i})' for i in more]
        outputs += ['[b3] "+&r"(b3)'] * (self.vectors > 3)
        inputs = ['[skip] "m"(skip)', '[ldc] "m"(ldc)', '[c] "m"(block->c)', '[add] "m"(add)']
        inputs += ['[a_row] "r"(block->a_row)'] * (self.rows > 1)
        inputs += ['[b_tile] "r"(block->b_tile)'] * (self.vectors > 1)
        clobbers = [f'"xmm{i}"' for i in range(self.used)] + ['"cc"', '"memory"']
        return "\n".join(
            [f"/* {self.sums} sums; {self.used} registers */"]
            + [f"TIC_PRODUCT static void {self.name}({PAIR_PARAMETERS}) {{"]
            + ["    const char *a0 = block->a, *b = block->b;"]
            + [f"    const char *a{i} = a0 + {3 * i} * block->a_row;" for i in more]
            + ["    const char *b3 = b + 3 * block->b_tile;"] * (self.vectors > 3)
            + ["    const int64_t skip = block->a_step - 64, ldc = block->ldc * 4;", "    int64_t n;"]
            + ["    __asm__ volatile("]
            + [f'        "{line}\\n"' for line in self.lines]
            + [f"        : {', '.join(outputs)}", f"        : {', '.join(inputs)}"]
            + [f"        : {', '.join(clobbers)});", "}"]
        )


PAIR_PARAMETERS = "const tic_amx_block *block, int64_t k, int64_t add"


def write_pairs(tier, out):
    print('#include "kernels/amx.h"\n#include "kernels/ops.h"\n', file=out)
    names = []
    for vectors, most in enumerate(tier.rows, 1):
        for rows in range(1, most + 1):
            print(PairTile(tier, rows, vectors).text() + "\n", file=out)
        names.append("{" + ", ".join(f"pairs_{r}_{vectors}" for r in range(1, most + 1)) + "}")
    most = ", ".join(str(r) for r in tier.rows)
    print(f"const tic_attention_pairs tic_attention_pairs_{tier.name} = {{", file=out)
    print(f"    .vectors = {len(tier.rows)}, .rows = {{{most}}},", file=out)
    print("    .tile = {" + ",\n        ".join(names) + "},\n};", file=out)


def header(tier):
    """What a generated file begins with; of assembly, what the largest tiles take."""
    lines = [
        "GENERATED by kernels/gen/attention.py: edit that, not this.",
        f"  python3 kernels/gen/attention.py {tier.name} > FILE",
    ]
    if not tier.register:
        return "/* " + "\n * ".join(lines) + " */"
    pairs = tier.name.endswith("bf16")
    lines += [
        "",
        "Registers: sums first, then a vector of B a column, then A's element, but for",
        "tiles that multiply by it from memory. Largest tiles:",
    ]
    for vectors, rows in enumerate(tier.rows, 1):
        tile = PairTile(tier, rows, vectors) if pairs else Tile(tier, "along", rows, vectors)
        lines.append(f"  {rows} x {vectors}: {tile.sums} sums, {tile.used} registers")
    unit = "multiply-adds of pairs" if pairs else "multiply-adds"
    lines += [
        f"Expected: {unit} at the rate of the unit, as long as a step's loads, one a",
        "row and one a vector, are no more than two a cycle.",
    ]
    return "/* " + "\n * ".join(lines).replace(" * \n", " *\n") + " */"


def write(tier, out):
    print(header(tier), file=out)
    if tier.name.endswith("bf16"):
        write_pairs(tier, out)
        return
    print('#include "kernels/ops.h"\n', file=out)
    if not tier.register:
        print("#include <string.h>\n", file=out)
        print("typedef float vector __attribute__((vector_size(16)));\n", file=out)
    tables = []
    for family in ("along", "across"):
        names = []
        for vectors, most in enumerate(tier.rows, 1):
            for rows in range(1, most + 1):
                print(tile(tier, family, rows, vectors) + "\n", file=out)
            names.append("{" + ", ".join(f"{family}_{r}_{vectors}" for r in range(1, most + 1)) + "}")
        tables.append(f"    .{family} = {{" + ",\n        ".join(names) + "},")
    most = ", ".join(str(r) for r in tier.rows)
    print(f"const tic_attention_products tic_attention_products_{tier.name} = {{", file=out)
    print(f"    .lanes = {tier.lanes}, .vectors = {len(tier.rows)}, .rows = {{{most}}},", file=out)
    print("\n".join(tables) + "\n};", file=out)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in TIERS:
        sys.exit(f"usage: attention.py {'|'.join(TIERS)}")
    write(TIERS[sys.argv[1]], sys.stdout)
