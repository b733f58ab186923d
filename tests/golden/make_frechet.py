#!/usr/bin/env python3
"""Makes frechet.safetensors, the golden file of tests/continual/shift.c, with NumPy.

    pip install numpy safetensors && python3 tests/golden/make_frechet.py

The trace of (S1 S2)^(1/2) is the sum of the singular values of A B^T, A and B being the centred
features divided by sqrt(n - 1): no square root of a matrix and no eigenvalue is taken, so that nothing
is lost where a covariance is singular. Beside the distance stands the smallest of the singular values
that are not zero by their number, min(d, n - 1 of both).
"""

import os

import numpy as np
from safetensors.numpy import save_file

# name: pictures in both sets, numbers of an embedding; few pictures: a singular covariance.
CASES = {"square": (40, 60, 6), "wide": (120, 90, 33), "singular": (9, 12, 20), "one": (50, 50, 1),
         "half": (300, 6, 16)}


def centred(features):
    x = features.astype(np.float64)
    return (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)


def main():
    random = np.random.default_rng(7)
    tensors = {}
    for name, (n, m, d) in CASES.items():
        mix = random.normal(size=(d, d)) / np.sqrt(d)
        a = random.normal(size=(n, d)).astype(np.float32)
        b = (random.normal(size=(m, d)) @ mix + random.normal(size=d)).astype(np.float32)
        x, y = centred(a), centred(b)
        apart = a.astype(np.float64).mean(axis=0) - b.astype(np.float64).mean(axis=0)
        values = np.linalg.svd(x @ y.T, compute_uv=False)
        distance = apart @ apart + (x * x).sum() + (y * y).sum() - 2 * values.sum()
        tensors |= {f"{name}.a": a, f"{name}.b": b,
                    f"{name}.expect": np.array([distance, values[min(d, n - 1, m - 1) - 1]])}
    save_file(tensors, os.path.join(os.path.dirname(__file__), "frechet.safetensors"))


if __name__ == "__main__":
    main()
