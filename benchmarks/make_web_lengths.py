#!/usr/bin/env python3
"""Writes web_lengths.txt: 1024 caption lengths (tokens, SOT and EOT included) like those of web
alt-texts, for the `web` cases of bench_step and of its peers.

A length is clamp(round(exp(mu + 0.6 z)), 4, 77) with z standard normal and mu such that the mean of
all is 20. Each block of 32 draws one z from each of 32 equally likely intervals and is shuffled, so
that every batch of a multiple of 32 has nearly the same mean. Python's random.Random(20).
"""

import math
import pathlib
import random
import statistics

BLOCK, BLOCKS, SIGMA, MEAN, LEAST, MOST = 32, 32, 0.6, 20.0, 4, 77


def lengths(mu):
    rng = random.Random(20)
    normal = statistics.NormalDist()
    result = []
    for _ in range(BLOCKS):
        block = []
        for stratum in range(BLOCK):
            z = normal.inv_cdf(min(max((stratum + rng.random()) / BLOCK, 1e-9), 1 - 1e-9))
            block.append(min(max(round(math.exp(mu + SIGMA * z)), LEAST), MOST))
        rng.shuffle(block)
        result += block
    return result


def main():
    low, high = 1.0, 4.0
    for _ in range(60):
        middle = (low + high) / 2
        if statistics.fmean(lengths(middle)) < MEAN:
            low = middle
        else:
            high = middle
    values = lengths(high)
    path = pathlib.Path(__file__).with_name("web_lengths.txt")
    rows = [" ".join(str(v) for v in values[i : i + 32]) for i in range(0, len(values), 32)]
    path.write_text("\n".join(rows) + "\n")
    print(f"{path.name}: {len(values)} lengths, mean {statistics.fmean(values):.3f}, mu {high:.6f}")


if __name__ == "__main__":
    main()
