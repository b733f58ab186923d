"""What the comparisons with PyTorch share: running programs, the machine, tables of ratios."""

import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "benchmarks"


def fail(text):
    sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {text}")


def output_of(command, env=None):
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        fail(f"{command[0]} failed: {lines[-1] if lines else done.returncode}")
    return done.stdout


def benchmark(program, filters, *flags):
    """The rows of a Google Benchmark program whose names match, and its context."""
    pattern = "|".join(f"^{name}/" for name in filters)
    command = [str(program), f"--benchmark_filter={pattern}", "--benchmark_format=json", *flags]
    printed = output_of(command)
    if not printed:
        fail(f"{program} has no row {', '.join(filters)}")
    report = json.loads(printed)
    rows = report["benchmarks"]
    if len(rows) != len(filters):
        fail(f"{program}: {len(rows)} rows for {', '.join(filters)}")
    for row in rows:
        if row.get("error_occurred"):
            fail(f"{row['name']}: {row['error_message']}")
    return rows, report["context"]


# What keeps PyTorch and its libraries to an instruction set, as --isa keeps ticlip.
TORCH_ISA = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
}


def torch_environment(isa):
    """The environment of a PyTorch that has no more than `isa`; None: as it chooses."""
    return os.environ | TORCH_ISA[isa] if isa else None


def ratio_of(theirs, ours):
    """Median, least and greatest of theirs / ours, round by round."""
    ratios = [a / b for a, b in zip(theirs, ours)]
    return {
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "greatest": max(ratios),
        "rounds": len(ratios),
    }


def spread(result):
    return f"{result['ratio']:.2f} ({result['least']:.2f}-{result['greatest']:.2f})"


def machine_of(context):
    """The machine of a benchmark's context, in words."""
    kept = f" (of {context['isa_of_cpu']})" if "isa_of_cpu" in context else ""
    return f"{context['cpu']}, {context['isa']}{kept}, {context['threads']} threads"


def print_table(rows, markdown, out=sys.stdout):
    """rows: lists of strings, the first the head; the first column is text, the others numbers."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells), file=out)
        if markdown and number == 0:
            print("|---" + "|---:" * (len(row) - 1) + "|", file=out)
