#!/usr/bin/env python3
"""Keeps what bench_tic measured as this kind of machine's baseline, benchmarks/results/tic_KIND.json:

    bench_tic --methods all --benchmark_out=tic.json
    record_tic.py tic.json...

A method that was not measured is kept from before, if machine, world and budget are the same; of a
method in several files the last counts. Paths, names and the load of the machine are not kept.
"""

import argparse
import json
import pathlib
import sys

from comparison import HERE
from results import kind_of

CONTEXT = ("cpu", "isa", "cores", "threads", "compiler", "optimised", "world", "budget")
COUNTERS = ("pairs", "pairs/s", "GMAC/s", "mfu", "issued/nominal", "in_domain", "backward", "forward")


def rows_of(document):
    """{method: its counters}, in the order of the methods' table."""
    return {row["name"].split("/")[0]: {key: row[key] for key in COUNTERS}
            for row in document["benchmarks"] if not row.get("error_occurred")}


def failures(document):
    return [f"{row['name']}: {row['error_message']}" for row in document["benchmarks"]
            if row.get("error_occurred")]


def context_of(document):
    return {key: document["context"][key] for key in CONTEXT}


def merge(documents, before=None):
    """One document of them all. ValueError where they do not belong together."""
    context = context_of(documents[-1])
    if any(context_of(document) != context for document in documents):
        raise ValueError("the files are of different machines, numbers of threads, worlds or budgets")
    rows = {}
    for document in documents:
        rows |= rows_of(document)
    if not rows:
        raise ValueError("nothing was measured")
    if before and context_of(before) == context:
        rows |= {method: row for method, row in rows_of(before).items() if method not in rows}
    return {"context": context,
            "benchmarks": [{"name": method, **counters} for method, counters in rows.items()]}


def to_text(document):
    """A line a method, so that a change of one shows as such."""
    rows = ",\n".join("  " + json.dumps(row) for row in document["benchmarks"])
    return f'{{\n"context": {json.dumps(document["context"])},\n"benchmarks": [\n{rows}\n]\n}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    args = parser.parse_args()
    documents = [json.loads(path.read_text()) for path in args.files]
    for document in documents:
        if failures(document):
            sys.exit("record_tic: " + failures(document)[0])
    try:
        path = args.results / f"tic_{kind_of(documents[-1]['context'])}.json"
        merged = merge(documents, json.loads(path.read_text()) if path.exists() else None)
    except ValueError as wrong:
        sys.exit(f"record_tic: {wrong}")
    path.write_text(to_text(merged))
    print(path)


if __name__ == "__main__":
    main()
