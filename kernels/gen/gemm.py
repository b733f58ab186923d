#!/usr/bin/env python3
"""Writes GEMM's micro-kernels for one instruction set and one largest tile of C: a function for
every number of rows and of vectors up to it, each for two layouts of A, and the table of them that
kernels/drive/gemm.h describes.

The inner loops are inline assembly: with 24 to 28 sums in 32 registers (12 in 16) none may be left
over for a compiler's own ideas. tests/kernels/spills.py checks what came of it."""

import common

# Steps of a round of the inner loop, one row prefetched in each, and from one line prefetched to L2 to
# the next. A step of ymm registers takes 6 cycles and 20 instructions; where another thread of the core
# takes every other cycle of the front end, few more fit in.
ROUND = {"ymm": 8, "zmm": 4}
NEXT_EVERY = {"ymm": 4, "zmm": 1}


class Tile:
    """rows x vectors sums, and the registers that hold them."""

    def __init__(self, isa, instruction, rows, vectors):
        self.isa, self.fma, self.rows, self.vectors = isa, instruction, rows, vectors
        self.sums = rows * vectors
        self.b = self.sums
        self.x = self.sums + vectors
        self.spare = min(isa.registers - self.x, rows, 4)
        assert self.spare >= 1, "no register is left for A"
        self.used = self.x + self.spare
        self.round, self.next_every = ROUND[isa.register], NEXT_EVERY[isa.register]
        assert self.round % self.next_every == 0 and self.round % 4 == 0
        # with registers to spare, four steps share an addition to their pointers
        self.strided = isa.register == "ymm"

    def sum(self, i, j):
        return self.isa.reg(i * self.vectors + j)

    def registers(self):
        """Lines of the header's register map."""
        return [
            (f"sums [{self.rows}][{self.vectors}]", common.span(self.isa, 0, self.sums)),
            ("a step of B", common.span(self.isa, self.b, self.vectors)),
            ("A's element in every lane, in turn", common.span(self.isa, self.x, self.spare)),
        ]

    # A's element of row i at step u of an unrolled round. Rows in groups of three share a pointer.
    def along(self, i, u):
        base, rest = f"%[a{i // 3 * 3}]", i % 3
        return [f"{4 * u}({base})", f"{4 * u}({base},%[lda])", f"{4 * u}({base},%[lda],2)"][rest]

    def across(self, i, u):
        return f"{4 * i}{self.at('a0', 'lda', u)}"

    def at(self, pointer, stride, u):
        """The address of step u of what lies `stride` from step to step."""
        if not self.strided:
            return f"(%[{pointer}])"
        p, far = f"%[{pointer}]", f"%[{pointer}_3]"
        return [f"({p})", f"({p},%[{stride}])", f"({p},%[{stride}],2)", f"({far})"][u % 4]

    def advance(self, pointer, stride, u):
        """After step u of a round."""
        if not self.strided:
            return [f"add %[{stride}], %[{pointer}]"]
        if u % 4 < 3:
            return []
        return [f"lea (%[{p}],%[{stride}],4), %[{p}]" for p in (pointer, pointer + "_3")]

    def step(self, layout, u, ask):
        """One step: loads of B, then each of A's elements times all of them; or a prefetch to L2 before."""
        out = ["prefetcht1 (%[next])", "add %[next_step], %[next]"] if ask else []
        for j in range(self.vectors):
            at = f"{j * self.isa.bytes}{self.at('b', 'ldb', u)}"
            out.append(f"vmovups {at}, {self.isa.reg(self.b + j)}")
        for i in range(self.rows):
            x = self.isa.reg(self.x + i % self.spare)
            out.append(f"vbroadcastss {layout(i, u)}, {x}")
            for j in range(self.vectors):
                out.append(f"{self.fma} {self.isa.reg(self.b + j)}, {x}, {self.sum(i, j)}")
        return out

    def ask(self):
        """The tile's part of the next row of the list to L1, until the entry that holds its own address."""
        lines = range(0, self.vectors * self.isa.bytes, 64)
        out = ["mov (%[rows]), %[row]"] + [f"prefetcht0 {x}(%[row])" for x in lines]
        return out + ["cmp %[row], %[rows]", "lea 8(%[rows]), %[row]", "cmovne %[row], %[rows]"]

    def clear(self):
        wide = self.isa.register == "zmm"
        op = "vpxord" if wide else "vxorps"
        return [f"{op} {r}, {r}, {r}" for r in (self.isa.reg(x) for x in range(self.sums))]

    def each_of_c(self, load):
        """Loads the sums from C, or stores them; %[c] ends where it began (load) or at the end."""
        out = ["mov %[c], %[row]"]
        for i in range(self.rows):
            for j in range(self.vectors):
                at = f"{j * self.isa.bytes}(%[row])"
                pair = (at, self.sum(i, j)) if load else (self.sum(i, j), at)
                out.append("vmovups %s, %s" % pair)
            if i + 1 < self.rows:
                out.append("add %[row_bytes], %[row]")
        return out


def body(tile, across):
    """The lines of a micro-kernel."""
    layout = tile.across if across else tile.along
    pointers = [] if across else list(range(0, tile.rows, 3))
    a_on = lambda steps: [f"add ${4 * steps}, %[a{p}]" for p in pointers]
    lines = ["/* sums: C's, or zeros */", "cmpb $0, %[add]", "jz 1f"]
    lines += tile.each_of_c(True) + ["jmp 2f", "1:"] + tile.clear()
    lines += [f"2: sub ${tile.round}, %[k]", "jl 4f", f"/* {tile.round} steps */", "3:"]
    for u in range(tile.round):
        lines += tile.step(layout, u, u % tile.next_every == 0) + tile.advance("b", "ldb", u)
        lines += tile.advance("a0", "lda", u) if across else []
    lines += tile.ask() + a_on(tile.round)
    lines += [f"sub ${tile.round}, %[k]", "jge 3b"]
    lines += [f"4: add ${tile.round}, %[k]", "jz 6f", "/* one step */", "5:"]
    lines += tile.step(layout, 0, tile.next_every == 1) + ["add %[ldb], %[b]"]
    lines += ["add %[lda], %[a0]"] if across else a_on(1)
    lines += ["dec %[k]", "jnz 5b", "6:"]
    return lines + tile.each_of_c(False) + ["vzeroupper"]


def function(out, tile, name, across):
    pointers = {f"a{p}": f"a + {p} * lda" for p in ([0] if across else range(0, tile.rows, 3))}
    if tile.strided:
        pointers["b_3"] = "b + 3 * ldb"
        pointers |= {"a0_3": "a + 3 * lda"} if across else {}
    out.line(f"TIC_PRODUCT static void {name}(int64_t k, const void *a, int64_t lda, const void *b,")
    out.line(" " * (len(name) + 25) + "int64_t ldb, bool add, float *c, int64_t ldc,")
    out.line(" " * (len(name) + 25) + "const tic_gemm_ahead *ahead) {")
    for p, value in pointers.items():
        out.line(f"    const char *{p} = (const char *){value};".replace(" + 0 * lda", ""))
    out.line("    const void *next = ahead->next, *const *rows = ahead->rows;")
    out.line("    const int64_t row_bytes = 4 * ldc; /* in memory: with a frame pointer no register is left */")
    out.line("    float *row;")
    inout = ", ".join([f'[{p}] "+r"({p})' for p in pointers] + ['[b] "+r"(b)', '[k] "+r"(k)'])
    operands = f': {inout}, [next] "+r"(next), [rows] "+r"(rows), [row] "=&r"(row)\n        '
    operands += ': [lda] "r"(lda), [ldb] "r"(ldb), [c] "m"(c), [row_bytes] "m"(row_bytes), [add] "m"(add), '
    operands += '[next_step] "r"(ahead->step)\n        '
    operands += f': {tile.isa.clobbers(min(tile.used, tile.isa.registers))}, "cc", "memory"'
    out.asm(body(tile, across), operands)
    out.line("}")
    out.line()


def cycles(tile, rate):
    """What a step must take at least: `rate` multiply-adds a cycle, two loads a cycle."""
    loads, fmas = tile.vectors + tile.rows, tile.sums
    bound = max(loads / 2, fmas / rate)
    return f"a step of the whole tile: {fmas} multiply-adds at {rate} a cycle, {loads} loads at 2: {bound:g} cycles"


def options(parser):
    parser.add_argument("--isa", required=True, choices=sorted(common.ISAS))
    parser.add_argument("--rows", type=int, required=True, help="of the largest tile")
    parser.add_argument("--vectors", type=int, required=True, help="of the largest tile")
    parser.add_argument("--pairs", action="store_true", help="of bf16, through VDPBF16PS")


def generate(out, args):
    isa = common.ISAS[args.isa]
    fma = "vdpbf16ps" if args.pairs else "vfmadd231ps"
    whole = Tile(isa, fma, args.rows, args.vectors)
    columns = args.vectors * isa.lanes
    name = f"tic_gemm_{'pairs' if args.pairs else 'f32'}_{isa.name}_{args.rows}x{columns}"
    about = [
        f"GEMM tiles of 1 to {args.rows} rows and 1 to {args.vectors} vectors of {isa.lanes}, "
        f"{'pairs of bf16' if args.pairs else 'f32'}, {isa.flags}.",
        f"{fma}: C[rows, columns] = (add ? C : 0) + A B, a sum's products in the order of k.",
        "along_R_V: a row of A has its steps next to each other, rows are lda bytes apart.",
        "across_R_V: a step of A has its rows next to each other, steps are lda bytes apart.",
        f"A line at `next` is asked for to come to L2 each {whole.next_every} steps: what the driver reads soon;",
        f"one of the rows listed to come to L1 each round of {whole.round}: what the tile touches.",
    ]
    rates = [cycles(whole, 2)]
    if isa.register == "zmm":  # Zen 4's units are half as wide
        rates = [("Sapphire Rapids: ", 0.5 if args.pairs else 2), ("Zen 4: ", 1), ("Zen 5: ", 2)]
        rates = [cpu + cycles(whole, rate) for cpu, rate in rates]
    common.header(out, about, whole.registers(), rates)
    out.block('#include "kernels/drive/gemm.h"')
    out.line()
    out.line(f"_Static_assert(TIC_GEMM_TALLEST >= {args.rows}, \"as written\");")
    out.line()
    names = {False: [], True: []}
    for across in (False, True):
        for rows in range(1, args.rows + 1):
            for vectors in range(1, args.vectors + 1):
                one = f"{'across' if across else 'along'}_{rows}_{vectors}"
                tile = Tile(isa, fma, rows, vectors)
                function(out, tile, one, across)
                names[across].append(one)
    for across in (False, True):
        out.line(f"static tic_gemm_run *const {'across' if across else 'along'}[] = {{")
        for i in range(0, len(names[across]), args.vectors):
            out.line("    " + ", ".join(names[across][i : i + args.vectors]) + ",")
        out.line("};")
        out.line()
    panel, unit = ("TIC_PANEL_PAIRS", 2) if args.pairs else ("TIC_PANEL_F32", 1)
    out.block(f"""
const tic_gemm_micro {name} = {{
    .tile_m = {args.rows},
    .tile_n = {columns},
    .lanes = {isa.lanes},
    .rows_every = {whole.round},
    .next_every = {whole.next_every},
    .format = TIC_GEMM_FORMAT({panel}, {columns}, {unit}, {isa.name}),
    .along = along,
    .across = across,
}};
""")


if __name__ == "__main__":
    common.main(__doc__, options, generate)
