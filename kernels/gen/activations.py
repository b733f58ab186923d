#!/usr/bin/env python3
"""Writes kernels/gen/activations.h: GELU, quick GELU and their slopes as tables of polynomials.

Each function is 1/2 + sign(x) F(|x|) or x times that (kernels/amx/activate.h). F is cut into 16 equal
intervals, since one VPERMPS looks up 16 numbers: on each a polynomial through Chebyshev nodes, in the
distance from the interval's middle counted in intervals. From `end` on F is taken to be 1/2, which
the last constant is shifted to meet exactly.

Regenerate: the build does; by hand: python3 kernels/gen/activations.py OUTPUT
"""

import math
import struct
import sys

INTERVALS = 16


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def gelu(t):
    return 0.5 * math.erf(t / math.sqrt(2))


def gelu_slope(t):
    return gelu(t) + t * math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)


def quick(t):
    return 0.5 * math.tanh(0.851 * t)


def quick_slope(t):
    s = 0.5 + quick(t)
    return quick(t) + 1.702 * t * s * (1 - s)


# name, F, end, degree
FUNCTIONS = [
    ("gelu", gelu, 5.5, 5),
    ("gelu_slope", gelu_slope, 6.0, 5),
    ("quick", quick, 11.0, 6),
    ("quick_slope", quick_slope, 12.5, 8),
]


def solve(rows):
    """Gauss with pivots; each row ends with its right side."""
    n = len(rows)
    for i in range(n):
        best = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def interval(function, first, width, degree):
    """Coefficients c of sum c[d] r^d with r = (t - first) / width - 1/2 in -1/2 .. 1/2."""
    rows = []
    for node in range(degree + 1):
        r = 0.5 * math.cos(math.pi * (node + 0.5) / (degree + 1))
        rows.append([r**d for d in range(degree + 1)] + [function(first + width * (r + 0.5))])
    return solve(rows)


LAST = 0.49  # r is clamped to this in the last interval, safely inside of it


def table(function, end, degree):
    # the last interval is used up to LAST only, so that `end` is where it stops
    width = end / (INTERVALS - 0.5 + LAST)
    rows = [interval(function, i * width, width, degree) for i in range(INTERVALS)]
    last = [f32(c) for c in rows[-1]]
    value = last[degree]
    for d in range(degree - 1, 0, -1):
        value = f32(value * LAST_F32 + last[d])
    rows[-1][0] = 0.5 - value * LAST_F32
    return width, rows


# What the clamped argument leaves for r in f32: 15.5 + LAST - 1/2 - 15, all of it exact but LAST.
LAST_F32 = f32(f32(15 + LAST) - 15)


def emit(out):
    print("/* Written by kernels/gen/activations.py: polynomials of degree d on %d intervals, for" % INTERVALS, file=out)
    print(" * kernels/amx/activate.h. F(t), with t' = min(t / width - 1/2, %.2f): row i holds the" % (INTERVALS - 1 + LAST), file=out)
    print(" * coefficients of (t' - round t')^i, one for each value of round t'. */", file=out)
    print("#ifndef TIC_GEN_ACTIVATIONS_H\n#define TIC_GEN_ACTIVATIONS_H\n", file=out)
    print("static const float tic_table_last = %.9ef;\n" % f32(INTERVALS - 1 + LAST), file=out)
    for name, function, end, degree in FUNCTIONS:
        width, rows = table(function, end, degree)
        print("enum { tic_%s_degree = %d };" % (name, degree), file=out)
        print("static const float tic_%s_scale = %.9ef; /* intervals a unit: ends at %g */" % (name, 1 / width, end), file=out)
        print("static const float tic_%s_table[%d][%d] __attribute__((aligned(64))) = {" % (name, degree + 1, INTERVALS), file=out)
        for d in range(degree + 1):
            print("    {" + ", ".join("%.9ef" % f32(row[d]) for row in rows) + "},", file=out)
        print("};\n", file=out)
    print("#endif", file=out)


if __name__ == "__main__":
    with open(sys.argv[1], "w") as file:
        emit(file)
