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
# Beyond the paper and for causes: one seed each, compared with the same seed of `methods`.
STREAM = "sequential,cumulative-exp,cumulative-equal,cumulative-all"
EXTRA = {
    "buffer-0.25": ["--methods", "cumulative-exp,cumulative-equal", "--buffer", "0.25"],
    "replay-0.25": ["--methods", "cumulative-equal", "--replay-share", "0.25"],
    "replay-0.75": ["--methods", "cumulative-equal", "--replay-share", "0.75"],
    # The same budget over more steps; warm-up is the same share of the first step.
    "quarter": ["--methods", STREAM, "--granularity", "quarter", "--warmup", "22"],
    "month": ["--methods", STREAM, "--granularity", "month", "--warmup", "7"],
    # How the default learning rate was chosen: on Sequential and Oracle alone.
    "lr-half": ["--methods", "sequential,oracle", "--lr", "0.00075"],
    "lr-double": ["--methods", "sequential,oracle", "--lr", "0.003"],
    # Whether what is not reproduced is for want of compute.
    "compute-2": ["--methods", "sequential,cumulative-all,oracle", "--pairs", "252000"],
}


def run(command):
    print("$", " ".join(command), flush=True)
    return subprocess.run(command, stdout=subprocess.DEVNULL).returncode


def note_commit(folder):
    """Which sources it was run with, for the page; nothing where there is no repository."""
    here = pathlib.Path(__file__).resolve().parent
    found = subprocess.run(["git", "-C", str(here), "rev-parse", "--short=10", "HEAD"],
                           capture_output=True, text=True)
    path = folder / "commit.txt"
    if found.returncode == 0 and not path.exists():
        path.write_text(found.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticlip", default="build/cli/ticlip")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("reproduction"))
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every experiment (3)")
    parser.add_argument("--only", default=",".join([*EXPERIMENTS, *EXTRA]),
                        help="experiments, by name")
    parser.add_argument("--pairs", help="another budget (a try-out: the page tells it)")
    args = parser.parse_args()
    chosen = args.only.split(",")
    settings = {**EXPERIMENTS, **EXTRA}
    unknown = [name for name in chosen if name not in settings]
    if unknown:
        sys.exit(f"runs: no experiment {unknown[0]}; there are {', '.join(settings)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    note_commit(args.folder)
    world = args.folder / "world"
    if not (world / "classes.json").exists() and run([args.ticlip, "world", str(world)]) != 0:
        sys.exit("runs: the data set could not be generated")
    begun = time.monotonic()
    # Seed by seed, so that what is there when time runs out is whole.
    plan = [(name, seed) for seed in range(args.seeds) for name in chosen if name in EXPERIMENTS]
    plan += [(name, 0) for name in chosen if name in EXTRA]
    for done, (name, seed) in enumerate(plan, 1):
        command = [args.ticlip, "run", "--data", str(world), "--index",
                   str(args.folder / "index.bin"), "--out", str(args.folder / f"{name}-{seed}"),
                   "--seed", str(seed)] + settings[name]
        if args.pairs and "--pairs" not in command:
            command += ["--pairs", args.pairs]
        code = run(command)
        if code != 0:
            sys.exit(code)
        print(f"{done} of {len(plan)} experiments, {(time.monotonic() - begun) / 60:.1f} min",
              flush=True)


if __name__ == "__main__":
    main()
