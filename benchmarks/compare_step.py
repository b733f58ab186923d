#!/usr/bin/env python3
"""ticlip's training step against PyTorch's: runs bench_step and peers/torch_step.py in turn
(A B A B ...) and prints pairs/s of both and their ratio. The ratio is the median over the rounds of
ticlip's rate divided by PyTorch's in the same round, with its least and greatest value. With
--scaling ticlip also takes a turn with one thread.

    python3 benchmarks/compare_step.py                      # the cases of the targets
    python3 benchmarks/compare_step.py --cases ViT-B-32/32/f32/web --json

PyTorch is run by --python (default: this interpreter); peers/torch_step.py says what it needs.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

from comparison import BUILD, HERE, TORCH_ISA, benchmark, machine_of, output_of, print_table
from comparison import ratio_of, spread, torch_environment

DEFAULT_CASES = tuple(
    f"{model}/{precision}/{captions}"
    for model in ("ViT-Pico-8-40/64", "ViT-S-32/64", "ViT-B-32/32", "ViT-B-16/16")
    for precision in ("f32", "bf16")
    for captions in ("web", "full")
)


def run_ticlip(args, case, threads):
    flags = ["--threads", str(threads), f"--benchmark_min_time={args.seconds}"]
    flags += ["--plan", args.plan] if args.plan else []
    flags += ["--isa", args.isa] if args.isa else []
    rows, context = benchmark(args.bench, [case], *flags)
    return rows[0], context


def run_torch(args, case, config):
    _, batch, precision, captions = case.split("/")
    command = [args.python, str(HERE / "peers" / "torch_step.py"), config, "--batch", batch]
    command += ["--precision", precision, "--captions", captions]
    command += ["--seconds", str(args.seconds), "--threads", str(args.threads)]
    return json.loads(output_of(command, torch_environment(args.isa)))


def compare(args, case, folder):
    config = os.path.join(folder, "config.json")
    pathlib.Path(config).write_text(output_of([args.bench, "--config", case.split("/")[0]]))
    ours, theirs, alone = [], [], []
    for round_number in range(args.rounds):
        print(f"{case}: round {round_number + 1} of {args.rounds}", file=sys.stderr)
        row, context = run_ticlip(args, case, args.threads)
        ours.append(row)
        theirs.append(run_torch(args, case, config))
        if args.scaling:
            alone.append(run_ticlip(args, case, 1)[0]["pairs/s"])

    def median(counter):
        return statistics.median(run[counter] for run in ours)

    result = {"case": case, "torch_version": theirs[0]["torch"], "context": context}
    for counter in ("pairs/s", "nominal_GMAC/s", "GMAC/s", "mfu", "peak_GMAC/s"):
        result[counter] = median(counter)
    result["torch"] = statistics.median(run["pairs_per_second"] for run in theirs)
    rates = [run["pairs/s"] for run in ours]
    result |= ratio_of(rates, [run["pairs_per_second"] for run in theirs])
    if alone:
        result["scaling"] = ratio_of(rates, alone)
    result["growth_KiB"] = max(run["growth_KiB"] for run in ours)
    return result


def rows_of(results):
    yield "case", "ticlip pairs/s", "GMAC/s", "MFU", "PyTorch pairs/s", "ratio", "2 cores / 1"
    for r in results:
        cells = f"{r['pairs/s']:.4g}", f"{r['GMAC/s']:.4g}", f"{r['mfu']:.1%}", f"{r['torch']:.4g}"
        yield r["case"], *cells, spread(r), spread(r["scaling"]) if "scaling" in r else "-"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", default=str(BUILD / "bench_step"))
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch")
    parser.add_argument("--cases", nargs="+", default=DEFAULT_CASES, metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each run, at least")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plan", help="what `ticlip tune` wrote")
    parser.add_argument("--scaling", action="store_true", help="one thread too")
    parser.add_argument("--isa", choices=TORCH_ISA, help="both kept to it, for CPUs that have more")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not os.path.exists(args.bench):
        parser.error(f"{args.bench} is missing: build first, or name it with --bench")
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(args, case, folder) for case in args.cases]
    if args.json:
        print(json.dumps({"steps": results}, indent=1))
        return
    print(
        f"{machine_of(results[0]['context'])}, PyTorch {results[0]['torch_version']}, "
        f"{args.rounds} rounds of at least {args.seconds:g} s; median (least-greatest)\n"
    )
    print_table(rows_of(results), args.markdown)


if __name__ == "__main__":
    main()
