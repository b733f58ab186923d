#!/usr/bin/env python3
"""Every experiment of docs/reproduction.md on the embedded data set: one run folder an experiment
and seed. What is done is not done again, and a run that was interrupted goes on.

    python3 benchmarks/reproduction/runs.py --ticlip build/cli/ticlip --folder reproduction
    python3 benchmarks/reproduction/page.py --folder reproduction      # writes docs/reproduction.md
"""

import argparse
import pathlib
import subprocess
import sys
import time

# Experiment: the settings that differ from the defaults. `methods` runs the whole table; the others
# change one thing and are compared with the same methods there.
EXPERIMENTS = {
    "methods": ["--methods", "all"],
    # Table 6: warm-up. The default is `first`.
    "warmup-none": ["--methods", "cumulative-all", "--warmup-in", "none"],
    "warmup-all": ["--methods", "cumulative-all", "--warmup-in", "all"],
    "warmup-tenth": ["--methods", "cumulative-all", "--warmup-in", "tenth"],
    # Table 7: the same peak learning rate in every step, or a lower one in each.
    "lr-decay": ["--methods", "cumulative-all", "--lr-decay", "0.7"],
    # Appendix B.5: constant learning rate with a decay branch.
    "const-cosine": ["--methods", "cumulative-all", "--schedule", "const-cosine"],
    # Table 3: steps without any shift in time.
    "iid": ["--methods", "cumulative-all,oracle", "--granularity", "iid:7"],
}


def run(command):
    print("$", " ".join(command), flush=True)
    return subprocess.run(command, stdout=subprocess.DEVNULL).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticlip", default="build/cli/ticlip")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("reproduction"))
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every experiment (3)")
    parser.add_argument("--only", default=",".join(EXPERIMENTS), help="experiments, by name")
    parser.add_argument("--pairs", help="another budget (a try-out: the page tells it)")
    args = parser.parse_args()
    chosen = args.only.split(",")
    unknown = [name for name in chosen if name not in EXPERIMENTS]
    if unknown:
        sys.exit(f"runs: no experiment {unknown[0]}; there are {', '.join(EXPERIMENTS)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    world = args.folder / "world"
    if not (world / "classes.json").exists() and run([args.ticlip, "world", str(world)]) != 0:
        sys.exit("runs: the data set could not be generated")
    begun = time.monotonic()
    total = len(chosen) * args.seeds
    done = 0
    # Seed by seed, so that what is there when time runs out is whole.
    for seed in range(args.seeds):
        for name in chosen:
            command = [args.ticlip, "run", "--data", str(world), "--index",
                       str(args.folder / "index.bin"), "--out", str(args.folder / f"{name}-{seed}"),
                       "--seed", str(seed)] + EXPERIMENTS[name]
            if args.pairs:
                command += ["--pairs", args.pairs]
            code = run(command)
            if code != 0:
                sys.exit(code)
            done += 1
            print(f"{done} of {total} experiments, {(time.monotonic() - begun) / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()
