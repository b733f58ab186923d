#!/usr/bin/env python3
"""ticlip's training step against PyTorch's: runs bench_step and peers/torch_step.py in turn
(A B A B ...) and prints pairs/s of both and their ratio. The ratio is the median over the rounds of
ticlip's rate divided by PyTorch's in the same round, with its least and greatest value.

    python3 benchmarks/compare_step.py                      # all cases of --cases
    python3 benchmarks/compare_step.py --markdown           # the table of docs/performance.md

PyTorch is run by --python (default: this interpreter); peers/torch_step.py says what it needs.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_CASES = (
    "ViT-Nano-8-40/128/f32/web",
    "ViT-Nano-8-40/128/bf16/web",
    "ViT-S-32/64/f32/web",
    "ViT-S-32/64/bf16/web",
    "ViT-B-32/32/f32/web",
    "ViT-B-32/32/f32/full",
    "ViT-B-32/32/bf16/web",
)


def output_of(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        sys.exit(f"compare_step: {command[0]} failed: {lines[-1] if lines else done.returncode}")
    return done.stdout


def run_ticlip(args, case):
    command = [args.bench, "--threads", str(args.threads)]
    command += [f"--benchmark_filter=^{case}/", f"--benchmark_min_time={args.seconds}"]
    report = json.loads(output_of(command + ["--benchmark_format=json"]))["benchmarks"]
    if len(report) != 1 or report[0].get("error_occurred"):
        why = report[0]["error_message"] if report else "no such case"
        sys.exit(f"compare_step: {case}: {why}")
    return report[0]


def run_torch(args, case, config):
    _, batch, precision, captions = case.split("/")
    command = [args.python, str(HERE / "peers" / "torch_step.py"), config, "--batch", batch]
    command += ["--precision", precision, "--captions", captions]
    command += ["--seconds", str(args.seconds), "--threads", str(args.threads)]
    return json.loads(output_of(command))


def compare(args, case, folder):
    config = os.path.join(folder, "config.json")
    pathlib.Path(config).write_text(output_of([args.bench, "--config", case.split("/")[0]]))
    ours, theirs, ratios = [], [], []
    for round_number in range(args.rounds):
        print(f"{case}: round {round_number + 1} of {args.rounds}", file=sys.stderr)
        ours.append(run_ticlip(args, case))
        theirs.append(run_torch(args, case, config))
        ratios.append(ours[-1]["pairs/s"] / theirs[-1]["pairs_per_second"])
    return {
        "case": case,
        "ticlip": statistics.median(run["pairs/s"] for run in ours),
        "nominal": statistics.median(run["nominal_GMAC/s"] for run in ours),
        "logical": statistics.median(run["logical_GMAC/s"] for run in ours),
        "torch": statistics.median(run["pairs_per_second"] for run in theirs),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "greatest": max(ratios),
        "torch_version": theirs[0]["torch"],
        "growth_KiB": max(run["growth_KiB"] for run in ours),
    }


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def rows_of(results):
    yield "case", "ticlip pairs/s", "nominal GMAC/s", "logical GMAC/s", "PyTorch pairs/s", "ratio"
    for r in results:
        spread = f"{r['ratio']:.2f} ({r['least']:.2f}-{r['greatest']:.2f})"
        rates = (f"{r[key]:.4g}" for key in ("ticlip", "nominal", "logical", "torch"))
        yield (r["case"], *rates, spread)


def print_table(results, markdown):
    rows = [list(row) for row in rows_of(results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells))
        if markdown and number == 0:
            print("|---" + "|---:" * (len(row) - 1) + "|")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", default=str(HERE.parent / "build/benchmarks/bench_step"))
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch")
    parser.add_argument("--cases", nargs="+", default=DEFAULT_CASES, metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each run, at least")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not os.path.exists(args.bench):
        parser.error(f"{args.bench} is missing: build first, or name it with --bench")
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(args, case, folder) for case in args.cases]
    if args.json:
        print(json.dumps(results, indent=2))
        return
    print(
        f"{cpu_name()}, {args.threads} threads, PyTorch {results[0]['torch_version']}, "
        f"{args.rounds} rounds of at least {args.seconds:g} s; median (least-greatest)\n"
    )
    print_table(results, args.markdown)


if __name__ == "__main__":
    main()
