#!/usr/bin/env python3
"""The measured part of docs/performance.md, and what it is made from.

    performance_page.py record --kernels K.json... [--steps S.json] [--operations O.json]
                               [--profiles P.txt...]
        keeps a machine's results in benchmarks/results/KIND.json: K.json is what
        `bench_kernels --benchmark_format=json` printed, S.json compare_step.py's and O.json
        compare_ops.py's --json, P.txt what `bench_step --profile` printed. What is not given is
        kept from before.
    performance_page.py summary [KIND]   this machine's column, gemm by class, worst shapes: as text
    performance_page.py page [--check]   writes (or compares) the page and its figures
"""

import argparse
import io
import json
import pathlib
import sys
import textwrap

import figure
import results as r
from comparison import HERE, print_table, spread
from targets import COLUMNS, ROWS

RESULTS, DOCS = HERE / "results", HERE.parent / "docs"
PAGE = DOCS / "performance.md"
BEGIN = "<!-- from here on written by `benchmarks/performance_page.py page` -->"
END = "<!-- until here -->"


def load(kind):
    path = RESULTS / f"{kind}.json"
    return json.loads(path.read_text()) if path.exists() else None


def everything():
    return {kind: load(kind) for kind in COLUMNS}


# ---- tables, as lists of rows


def target_rows(measured):
    kinds = [kind for kind in COLUMNS if kind in measured]
    yield ["what", *(COLUMNS[kind] for kind in kinds)]
    for row in ROWS:
        yield [row.what, *(row.cell(kind, measured[kind]) for kind in kinds)]


def class_rows(results):
    yield "gemm of the ViT shapes", "shapes", "share of peak", "least", "GMAC/s", "over best peer"
    for precision in ("f32", "bf16"):
        for bare in (True, False):
            for trans, name in (("nt", "forward"), ("nn", "dX"), ("tn", "dW")):
                found = r.gemms(results, precision, bare, trans=trans)
                if not found:
                    continue
                shares = [gemm.ours["peak"] for gemm in found]
                over = r.mean(gemm.best_peer()[1] for gemm in found if gemm.peers)
                yield (
                    f"{precision}, {name}{'' if bare else ', with epilogues'}",
                    str(len(found)),
                    f"{r.mean(shares):.1%}",
                    f"{min(shares):.1%}",
                    f"{r.mean(gemm.ours['GMAC/s'] for gemm in found):.4g}",
                    f"{over:.2f}x" if over else "-",
                )


def worst_rows(results, count=6):
    yield "shape on which a peer is nearest or ahead", "site", "best peer", "over it"
    for precision in ("f32", "bf16"):
        found = [g for g in r.gemms(results, precision, True, vit=False) if g.peers]
        for gemm in sorted(found, key=lambda g: g.best_peer()[1])[:count]:
            peer, ratio = gemm.best_peer()
            yield f"{gemm.shape}/{precision}", gemm.about, peer[5:], f"{ratio:.2f}x"


def other_rows(results):
    yield "operation", "site", "us", "rate", "share", "of"
    for name, rows in results["kernels"].items():
        ours = rows.get("auto", {})
        if name.startswith("gemm/") or "us" not in ours:
            continue
        macs = "GMAC/s" in ours
        rate = f"{ours['GMAC/s']:.4g} GMAC/s" if macs else f"{ours['GB/s']:.4g} GB/s"
        share = f"{ours['peak' if macs else 'triad']:.1%}"
        yield name, rows.get("about", ""), f"{ours['us']:.4g}", rate, share, "peak" if macs else "triad"


def operation_rows(results):
    yield "operation", "ticlip ms", "PyTorch ms", "PyTorch / ticlip", "ticlip MB", "PyTorch MB"
    for row in results["operations"]:
        times = f"{row['seconds'] * 1e3:.3g}", f"{row['torch_seconds'] * 1e3:.3g}"
        memory = [f"{row[k] / 1e6:.3g}" if row["bytes"] else "-" for k in ("bytes", "torch_bytes")]
        yield f"{row['name']}, {row['precision']}", *times, spread(row), *memory


def step_rows(results):
    yield "step", "ticlip pairs/s", "GMAC/s", "MFU", "PyTorch pairs/s", "ratio", "two cores / one"
    for row in results["steps"]:
        cells = f"{row['pairs/s']:.4g}", f"{row['GMAC/s']:.4g}", f"{row['mfu']:.1%}"
        alone = spread(row["scaling"]) if "scaling" in row else "-"
        yield row["case"], *cells, f"{row['torch']:.4g}", spread(row), alone


def failures(results):
    """Rows that were not timed, and why."""
    for name, rows in results["kernels"].items():
        for variant, row in rows.items():
            if variant != "about" and "error" in row:
                yield f"{name}/{variant}: {row['error']}"


# ---- the page


def table(rows, markdown=True):
    out = io.StringIO()
    rows = list(rows)
    if len(rows) > 1:
        print_table(rows, markdown, out)
    return out.getvalue()


def figure_of(results):
    rows = [
        (f"{row['name']}, {row['precision']}", row["ratio"], row["least"], row["greatest"])
        for row in results["operations"]
    ]
    rows += [(row["case"], row["ratio"], row["least"], row["greatest"]) for row in results["steps"]]
    title = f"times as fast as PyTorch {torch_version(results)} on {results['machine']['cpu']}"
    return figure.bars(title, "x", rows) if rows else None


def torch_version(results):
    return next((row["torch_version"] for row in results["steps"]), "")


def machine_text(results):
    machine = results["machine"]
    kept = f", kept to it: it has {machine['isa_of_cpu']}" if "isa_of_cpu" in machine else ""
    return (
        f"{machine['cpu']}; {machine['isa']}{kept}; {machine['threads']} threads of {machine['cores']} "
        f"cores; compiler {machine['compiler']}"
    )


def section(kind, results):
    parts = [f"### {COLUMNS[kind]}\n\nMeasured on: {machine_text(results)}.\n"]
    if results["operations"] or results["steps"]:
        parts.append(
            f"Beside PyTorch {torch_version(results)}, in turns; ratios are medians over the rounds "
            f"(least-greatest).\n\n![times as fast as PyTorch](images/performance-{kind}.svg)\n"
        )
    sections = [operation_rows, step_rows, class_rows, worst_rows, other_rows]
    parts += filter(None, (table(rows(results)) for rows in sections))
    for profile in results.get("profiles", []):
        parts.append("Where a step's time goes:\n\n" + textwrap.indent(profile, "    ") + "\n")
    not_timed = list(failures(results))
    if not_timed:
        parts.append("Not timed:\n\n" + "\n".join(f"* {line}" for line in not_timed) + "\n")
    return "\n".join(parts)


def page_text(old, measured):
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        sys.exit(f"performance_page: {PAGE} has lost its markers")
    parts = [table(target_rows(measured))]
    parts += [section(kind, found) for kind, found in measured.items() if found]
    return head + BEGIN + "\n\n" + "\n".join(parts) + "\n" + END + tail


def write_page(check):
    measured = everything()
    files = {PAGE: page_text(PAGE.read_text(), measured)}
    for kind, found in measured.items():
        drawn = found and figure_of(found)
        if drawn:
            files[DOCS / "images" / f"performance-{kind}.svg"] = drawn
    for path, text in files.items():
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"performance_page: {path.name} is not what the results say: run `page`")


# ---- the other verbs


def write_record(args):
    def documents(paths):
        return [json.loads(pathlib.Path(path).read_text()) for path in paths]

    kernels = documents(args.kernels)
    steps = [row for report in documents(args.steps) for row in report["steps"]]
    operations = [row for report in documents(args.operations) for row in report["operations"]]
    if not kernels and not steps and not operations:
        sys.exit("performance_page: nothing to record")
    profiles = [pathlib.Path(path).read_text() for path in args.profiles]
    fresh = r.record(kernels, steps, operations, profiles)
    old = load(fresh["kind"])
    if old and old["machine"] != fresh["machine"]:
        print(f"performance_page: {machine_text(old)} is forgotten", file=sys.stderr)
        old = None
    for part in ("kernels", "steps", "operations", "profiles"):
        if old and not fresh[part]:
            fresh[part] = old.get(part, fresh[part])
    if old: # of the steps, case by case, in the order of before
        rows = {row["case"]: row for row in [*old["steps"], *fresh["steps"]]}
        fresh["steps"] = list(rows.values())
    low = r.beside_a_low_peak(fresh["kernels"])
    if low:
        print(
            f"performance_page: {len(low)} rows stood beside a low peak, such as {low[0]}: measure them again",
            file=sys.stderr,
        )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{fresh['kind']}.json"
    path.write_text(r.to_text(fresh))
    print(path)


def print_summary(kind):
    kinds = [kind] if kind else [kind for kind in COLUMNS if load(kind)]
    for kind in kinds:
        found = load(kind)
        if not found:
            sys.exit(f"performance_page: {kind} was not measured")
        print(machine_text(found) + "\n")
        for rows in (target_rows({kind: found}), *(f(found) for f in (class_rows, worst_rows))):
            print(table(rows, markdown=False))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    record = verbs.add_parser("record")
    for name in ("kernels", "steps", "operations", "profiles"):
        record.add_argument(f"--{name}", nargs="+", default=[], metavar="FILE")
    verbs.add_parser("summary").add_argument("kind", nargs="?", choices=list(COLUMNS))
    verbs.add_parser("page").add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.verb == "record":
        write_record(args)
    elif args.verb == "summary":
        print_summary(args.kind)
    else:
        write_page(args.check)


if __name__ == "__main__":
    main()
