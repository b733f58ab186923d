#!/usr/bin/env python3
"""ticlip's operations against PyTorch's on the same shapes, in turn (A B A B ...): seconds of both
and how many times as long PyTorch takes, the median over the rounds with its least and greatest
value. ticlip's time is the sum of the rows of bench_kernels that do the same work.

    python3 benchmarks/compare_ops.py
    python3 benchmarks/compare_ops.py --only attention --json

PyTorch is run by --python (default: this interpreter); without it, it is told how to install it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from comparison import BUILD, HERE, TORCH_ISA, benchmark, fail, machine_of, print_table, ratio_of
from comparison import spread, torch_environment


def attention(tokens, sequences, heads, causal):
    shape = f"s{sequences},h{heads},d64,l{tokens}" + (",causal" if causal else "")
    ask = {"op": "attention", "s": sequences, "h": heads, "l": tokens, "d": 64, "causal": causal}
    return f"attention, {tokens} tokens", ask, [f"attention/{shape}", f"attention_backward/{shape}"]


def gemm(name, trans, m, n, k, suffix=""):
    ask = {"op": "gemm", "trans": trans, "m": m, "n": n, "k": k}
    return name, ask, [f"gemm/{trans},m{m},n{n},k{k}{suffix}"]


# What it is called, what PyTorch is asked, and ticlip's rows of the same work; {out} stands for what
# a name says of an output in bf16.
OPERATIONS = [
    gemm("gemm, ViT-B-32 qkv", "nt", 1600, 2304, 768),
    gemm("gemm, ViT-B-32 qkv dX", "nn", 1600, 768, 2304),
    gemm("gemm, ViT-B-32 qkv dW", "tn", 2304, 768, 1600, ",accumulate"),
    gemm("gemm, ViT-B-32 down", "nt", 1600, 768, 3072),
    gemm("gemm, ViT-S-32 qkv", "nt", 3200, 1152, 384),
    (
        "gemm with bias and GELU, ViT-B-32 up",
        {"op": "linear_gelu", "m": 1600, "n": 3072, "k": 768},
        ["gemm/nt,m1600,n3072,k768,bias,gelu,pre{out}"],
    ),
    attention(197, 16, 12, False),
    attention(77, 32, 8, True),
    attention(50, 32, 12, False),
    attention(16, 32, 8, True),
    (
        "contrastive, B 8192, D 512",
        {"op": "contrastive", "m": 8192, "n": 512},
        ["contrastive/m8192,n512"],
    ),
    (
        "layernorm, 1600 x 768",
        {"op": "layernorm", "m": 1600, "n": 768},
        ["layernorm/m1600,n768", "layernorm_backward/m1600,n768"],
    ),
    (
        "layernorm, 131072 x 768",
        {"op": "layernorm", "m": 131072, "n": 768},
        ["layernorm/m131072,n768", "layernorm_backward/m131072,n768"],
    ),
    ("adamw, 64 M", {"op": "adamw", "n": 1 << 26}, [f"adamw/n{1 << 26}"]),
]
ONE_PRECISION = {"adamw"}


def rows_for(operation, precision):
    """Names of bench_kernels' rows, without a variant; none where PyTorch's has no such precision."""
    if precision == "bf16" and operation[1]["op"] in ONE_PRECISION:
        return []
    out = ",out16" if precision == "bf16" else ""
    return [f"{row.format(out=out)}/{precision}" for row in operation[2]]


class Torch:
    def __init__(self, args):
        command = [args.python, str(HERE / "peers" / "torch_ops.py")]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command + ["--threads", str(args.threads)],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env=torch_environment(args.isa),
        )
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            lines = self.process.stderr.read().strip().splitlines()
            fail(lines[-1] if lines else "PyTorch ended")
        return json.loads(line)

    def ask(self, what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.answer()


def run_ticlip(args, rows):
    flags = ["--threads", str(args.threads), f"--benchmark_min_time={args.seconds}"]
    flags += ["--plan", args.plan] if args.plan else []
    flags += ["--isa", args.isa] if args.isa else []
    rows, context = benchmark(args.bench, [f"{row}/auto" for row in rows], *flags)
    return rows, context


def compare(args, torch, operation, precision):
    name, ask, _ = operation
    rows = rows_for(operation, precision)
    ours, theirs = [], []
    for _ in range(args.rounds):
        measured, context = run_ticlip(args, rows)
        ours.append(measured)
        theirs.append(torch.ask(ask | {"precision": precision, "seconds": args.seconds}))
    seconds = [sum(row["us"] for row in rows) * 1e-6 for rows in ours]
    result = {"name": name, "op": ask["op"], "precision": precision, "context": context}
    result["seconds"] = statistics.median(seconds)
    result["torch_seconds"] = statistics.median(run["seconds"] for run in theirs)
    result["torch_bytes"] = max(run["peak_bytes"] for run in theirs)
    result["bytes"] = max(sum(row.get("memory", 0) for row in rows) for rows in ours)
    result |= ratio_of([run["seconds"] for run in theirs], seconds)
    return result


def rows_of(results):
    yield "operation", "ticlip ms", "PyTorch ms", "ratio", "ticlip MB", "PyTorch MB"
    for r in results:
        milliseconds = f"{r['seconds'] * 1e3:.3g}", f"{r['torch_seconds'] * 1e3:.3g}"
        memory = [f"{r[key] / 1e6:.3g}" if r["bytes"] else "-" for key in ("bytes", "torch_bytes")]
        yield f"{r['name']}, {r['precision']}", *milliseconds, spread(r), *memory


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", default=str(BUILD / "bench_kernels"))
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch")
    parser.add_argument("--only", default="", help="operations whose names contain this")
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each turn, at least")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plan", help="what `ticlip tune` wrote")
    parser.add_argument("--isa", choices=TORCH_ISA, help="both kept to it, for CPUs that have more")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not os.path.exists(args.bench):
        parser.error(f"{args.bench} is missing: build first, or name it with --bench")
    torch = Torch(args)
    results = []
    for operation in OPERATIONS:
        for precision in args.precisions:
            if args.only in operation[0] and rows_for(operation, precision):
                print(f"{operation[0]}, {precision}", file=sys.stderr)
                results.append(compare(args, torch, operation, precision))
    if not results:
        parser.error(f"no operation's name contains {args.only!r}")
    if args.json:
        print(json.dumps({"torch": torch.about["torch"], "operations": results}, indent=1))
        return
    print(
        f"{machine_of(results[0]['context'])}, PyTorch {torch.about['torch']}, {args.rounds} "
        f"rounds of at least {args.seconds:g} s; median (least-greatest)\n"
    )
    print_table(rows_of(results), args.markdown)


if __name__ == "__main__":
    main()
