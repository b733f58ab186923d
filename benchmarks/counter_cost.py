"""What counting MACs costs a training step, in instructions that valgrind counts.

usage: counter_cost.py COUNTED UNCOUNTED [--case NAME]

COUNTED and UNCOUNTED are bench_step of two builds, the second configured with -Dcounters=false:
there the counters are gone, and with them the sums that loops keep for them. Both run the same two
steps on one thread under `valgrind --tool=callgrind`, which has AVX2 and counts what is executed
inside tic_model_gradients and tic_model_update. Differences of less than 0.1 % cannot be timed on a
machine that does other things; instructions can be counted to the last one. Besides, bench_step
times reading the counters, which the trainer does twice an iteration.

Exit 1 when the two together are not below 0.5 % of a step.
"""
import argparse
import json
import os
import re
import subprocess
import sys

LIMIT = 0.5  # per cent


def instructions(program, case):
    """Of two steps."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         "--toggle-collect=tic_model_gradients", "--toggle-collect=tic_model_update",
         program, "--threads", "1", "--seconds", "0", "--profile", case],
        env=dict(os.environ, OMP_WAIT_POLICY="passive"),  # or bench_step starts itself again
        check=True, capture_output=True, text=True)
    if "mean of 1 steps" not in done.stdout:
        sys.exit("another number of steps:\n" + done.stdout)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def timed(program, case):
    """(seconds a step, seconds a read of the counters, issued MACs for a logical one)"""
    done = subprocess.run(
        [program, f"--benchmark_filter=^{case}/", "--benchmark_format=json",
         "--benchmark_min_time=0.5"], check=True, capture_output=True, text=True)
    (result,) = json.loads(done.stdout)["benchmarks"]
    return result["real_time"] * 1e-3, result["read_us"] * 1e-6, result["issued/logical"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("counted")
    parser.add_argument("uncounted")
    parser.add_argument("--case", default="ViT-Pico-8-40/64/f32/web")
    args = parser.parse_args()
    step, read, issued = timed(args.counted, args.case)
    if not issued >= 1 or timed(args.uncounted, args.case)[2] >= 1:
        sys.exit("the first program must count, the second must not")
    counted = instructions(args.counted, args.case)
    uncounted = instructions(args.uncounted, args.case)
    counting = 100 * (counted - uncounted) / uncounted
    reading = 100 * 2 * read / step
    print(f"{args.case}, AVX2, one thread: {uncounted / 2e6:.2f} M instructions a step")
    print(f"counting {(counted - uncounted) / 2e3:.1f} k more: {counting:.4f} %")
    print(f"reading, {read * 1e6:.2f} us twice in {step * 1e3:.1f} ms: {reading:.4f} %")
    print(f"together {max(counting, 0) + reading:.4f} % of a step; at most {LIMIT} % is allowed")
    if not max(counting, 0) + reading < LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
