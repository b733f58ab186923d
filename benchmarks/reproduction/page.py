#!/usr/bin/env python3
"""Writes docs/reproduction.md and its figures from the results of runs.py.

Every number is a mean over seeds of what a run's results.json tells; its error is the standard error
of that mean, from the spread over seeds. A trend is a difference that the paper says is positive:
`reproduced` when it is at least two standard errors above zero, `not reproduced` when it is two below,
else `undecided`. "Near" is a difference too: what is left of the allowed distance.
"""

import argparse
import json
import math
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import figures  # noqa: E402
from paper import TABLE_2  # noqa: E402

ROOT = HERE.parent.parent
ORDER = ("restart", "sequential", "patching", "cumulative-exp", "cumulative-equal",
         "cumulative-all", "lwf", "ewc-1", "ewc-10", "ewc-100", "ewc-400", "cumulative-all-star",
         "oracle")
ABLATIONS = ("cumulative-count", "cumulative-even", "cumulative-low", "cumulative-high",
             "sequential-half", "cumulative-all-half", "lwf-equal", "ewc-equal")
LABELS = {"restart": "Restart", "sequential": "Sequential", "patching": "Patching",
          "cumulative-exp": "Cumulative-Exp", "cumulative-equal": "Cumulative-Equal",
          "cumulative-all": "Cumulative-All", "lwf": "LwF", "ewc-1": "EWC (1)",
          "ewc-10": "EWC (10)", "ewc-100": "EWC (100)", "ewc-400": "EWC (400)",
          "cumulative-all-star": "Cumulative-All*", "oracle": "Oracle",
          "cumulative-count": "count-based", "cumulative-even": "oversampled by inverse share",
          "cumulative-low": "replay of the least aligned", "sequential-half": "Sequential, half",
          "cumulative-high": "replay of the most aligned", "lwf-equal": "LwF with replay",
          "cumulative-all-half": "Cumulative-All, half", "ewc-equal": "EWC (100) with replay"}


class Value:
    """A mean over seeds and its standard error (nan with one seed)."""

    def __init__(self, samples):
        self.samples = list(samples)
        self.mean = statistics.fmean(self.samples)
        n = len(self.samples)
        self.error = statistics.stdev(self.samples) / math.sqrt(n) if n > 1 else math.nan

    def __str__(self):
        return f"{self.mean:.3f} ±{self.error:.3f}" if len(self.samples) > 1 else f"{self.mean:.3f}"


def combine(function, *values):
    """The same seeds side by side: what they have in common cancels."""
    return Value(function(*row) for row in zip(*(v.samples for v in values)))


class Experiment:
    def __init__(self, folder, name):
        self.results = [json.loads(path.read_text())
                        for path in sorted(folder.glob(f"{name}-[0-9]*/results.json"))]

    def __bool__(self):
        return bool(self.results)

    def steps(self):
        return self.results[0]["steps"]

    def methods(self):
        return [m for m in self.results[0]["methods"] if all(m in r["methods"] for r in self.results)]

    def task(self, method, task, key):
        return Value(r["methods"][method]["tasks"][task][key] for r in self.results)

    def retrieval(self, method, key):
        return self.task(method, "retrieval", key)

    def macs(self, method, key="nominal"):
        return Value(r["methods"][method]["macs"][key] for r in self.results)

    def spent(self, method):
        return combine(lambda a, b: a + b, self.macs(method), self.macs(method, "extra"))

    def statics(self, method):
        """Mean accuracy of the last model over the static classification sets."""
        means = []
        for r in self.results:
            tasks = r["methods"][method]["tasks"]
            means.append(statistics.fmean(t["last"] for name, t in tasks.items()
                                          if name.startswith("static/") and t["metric"] == "acc1"))
        return Value(means)

    def matrix(self, method):
        rows = [r["methods"][method]["tasks"]["retrieval"]["E"] for r in self.results]
        n = len(rows[0])
        return [[statistics.fmean(e[i][j] for e in rows) for j in range(n)] for i in range(n)]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def main_table(x, methods):
    rows = []
    for m in methods:
        if m not in x.methods():
            continue
        rows.append([LABELS[m], f"{x.spent(m).mean / 1e12:.1f} T", str(x.statics(m)),
                     str(x.retrieval(m, "backward")), str(x.retrieval(m, "in_domain")),
                     str(x.retrieval(m, "forward")), str(x.task(m, "classification", "in_domain"))])
    return table(["method", "MACs", "static acc1", "backward", "in-domain", "forward",
                  "classification"], rows)


# ---- trends -------------------------------------------------------------------------------------

def verdict(difference):
    if math.isnan(difference.error):
        return "undecided"
    if difference.mean >= 2 * difference.error and difference.mean > 0:
        return "reproduced"
    return "not reproduced" if difference.mean <= -2 * difference.error else "undecided"


def less(x, key, low, high, other=None):
    """high - low, of the same measure; `other`: the experiment that has `low`."""
    return combine(lambda a, b: b - a, (other or x).retrieval(low, key), x.retrieval(high, key))


def within(x, key, method, of, share):
    """What is left of the distance that is allowed, `share` of the other's value."""
    return combine(lambda a, b: a - (1 - share) * b, x.retrieval(method, key), x.retrieval(of, key))


def trends(all_of):
    x = all_of["methods"]
    out = []

    def add(claim, measured, difference):
        out.append((claim, f"{measured} {difference}", verdict(difference)))

    add("Sequential forgets: backward far below Cumulative-All", "Cumulative-All - Sequential",
        less(x, "backward", "sequential", "cumulative-all"))
    add("Cumulative-All within 1 % of Oracle on past steps, at 2.5 to 4 times less compute",
        "backward, Cumulative-All - 0.99 Oracle", within(x, "backward", "cumulative-all", "oracle", 0.01))
    add("... and on the present one", "in-domain, Cumulative-All - 0.99 Oracle",
        within(x, "in_domain", "cumulative-all", "oracle", 0.01))
    add("Sequential transfers forward about as Cumulative-All (within 20 %)",
        "forward, Sequential - 0.8 Cumulative-All",
        within(x, "forward", "sequential", "cumulative-all", 0.2))
    add("Cumulative-Equal at least as good as -Exp on past steps", "Equal - Exp",
        less(x, "backward", "cumulative-exp", "cumulative-equal"))
    add("Cumulative-Equal near Cumulative-All (within 10 %, the paper's YFCC)",
        "backward, Equal - 0.9 All", within(x, "backward", "cumulative-equal", "cumulative-all", 0.1))
    add("Patching above Sequential on past steps", "Patching - Sequential",
        less(x, "backward", "sequential", "patching"))
    add("... and below Cumulative-All", "Cumulative-All - Patching",
        less(x, "backward", "patching", "cumulative-all"))
    add("LwF below Cumulative-All on past steps", "Cumulative-All - LwF",
        less(x, "backward", "lwf", "cumulative-all"))
    add("EWC below Cumulative-All on past steps", "Cumulative-All - EWC (100)",
        less(x, "backward", "ewc-100", "cumulative-all"))
    add("Restart far below Cumulative-All", "in-domain, Cumulative-All - Restart",
        less(x, "in_domain", "restart", "cumulative-all"))
    add("More compute helps Cumulative-All on the present step (Cumulative-All*)",
        "in-domain, All* - All", less(x, "in_domain", "cumulative-all", "cumulative-all-star"))
    add("Count-based sampling brings no gain (less than 1 % of Cumulative-All)",
        "backward, 1.01 All - count-based", combine(lambda a, b: 1.01 * a - b,
        x.retrieval("cumulative-all", "backward"), x.retrieval("cumulative-count", "backward")))
    add("Oversampling old steps brings no gain (less than 1 %)", "backward, 1.01 All - oversampled",
        combine(lambda a, b: 1.01 * a - b, x.retrieval("cumulative-all", "backward"),
                x.retrieval("cumulative-even", "backward")))
    gap = combine(lambda a, b, c, d: (a - b) - (c - d), x.retrieval("sequential", "in_domain"),
                  x.retrieval("cumulative-all", "in_domain"),
                  x.retrieval("sequential-half", "in_domain"),
                  x.retrieval("cumulative-all-half", "in_domain"))
    add("With half the compute the in-domain gap of Sequential over Cumulative-All shrinks (Table 10)",
        "gap at full - gap at half", gap)
    for name, claim in (("warmup-none", "Leaving out the first warm-up costs in-domain (Table 6)"),
                        ("warmup-all", "Warm-up in every step costs in-domain (Table 6)"),
                        ("lr-decay", "The same peak learning rate in every step is best (Table 7)")):
        if all_of[name]:
            add(claim, f"default - {name}",
                less(x, "in_domain", "cumulative-all", "cumulative-all", all_of[name]))
    if all_of["const-cosine"]:
        change = less(x, "backward", "cumulative-all", "cumulative-all", all_of["const-cosine"])
        add("Const-cosine improves Cumulative-All (App. B.5)", "backward, const-cosine - cosine",
            combine(lambda d: -d, change))
    if all_of["iid"]:
        add("Without shift Cumulative-All is within 1 % of Oracle (Table 3)",
            "in-domain, Cumulative-All - 0.99 Oracle",
            within(all_of["iid"], "in_domain", "cumulative-all", "oracle", 0.01))
    return out


def paper_table(x):
    rows = []
    for m in ORDER:
        if m not in x.methods():
            continue
        ours = combine(lambda a, b: a / b, x.retrieval(m, "backward"), x.retrieval("oracle", "backward"))
        here = combine(lambda a, b: a / b, x.retrieval(m, "in_domain"), x.retrieval("oracle", "in_domain"))
        row = [LABELS[m], f"{x.spent(m).mean / x.spent('oracle').mean:.2f}", str(ours), str(here)]
        for benchmark in TABLE_2.values():
            if m in benchmark:
                macs, backward, in_domain, _ = benchmark[m]
                o = benchmark["oracle"]
                row.append(f"{macs / o[0]:.2f}: {backward / o[1]:.2f}, {in_domain / o[2]:.2f}")
            else:
                row.append("-")
        rows.append(row)
    return table(["of Oracle's", "MACs", "backward", "in-domain"] + list(TABLE_2), rows)


def variants(all_of):
    x = all_of["methods"]
    rows = [["default (cosine, warm-up in the first step)"] +
            [str(x.retrieval("cumulative-all", k)) for k in ("backward", "in_domain", "forward")]]
    names = {"warmup-none": "no warm-up", "warmup-all": "warm-up in every step",
             "warmup-tenth": "a tenth of the warm-up in later steps",
             "lr-decay": "peak learning rate times 0.7 a step", "const-cosine": "const-cosine"}
    for name, words in names.items():
        if all_of[name]:
            rows.append([words] + [str(all_of[name].retrieval("cumulative-all", k))
                                   for k in ("backward", "in_domain", "forward")])
    return table(["Cumulative-All with", "backward", "in-domain", "forward"], rows)


def write_figures(x, folder):
    folder.mkdir(parents=True, exist_ok=True)
    methods = [m for m in ORDER if m in x.methods()]
    points = []
    for m in methods:
        back, here = x.retrieval(m, "backward"), x.retrieval(m, "in_domain")
        both = combine(lambda a, b: (a + b) / 2, back, here)
        points.append((LABELS[m], x.spent(m).mean / 1e12, both.mean,
                       0 if math.isnan(both.error) else both.error))
    (folder / "trade-off.svg").write_text(figures.trade_off(
        "Retrieval (mean of backward and in-domain) against compute", points,
        "nominal MACs of the sequence, teacher, Fisher and searches included (T)", "recall@1"))
    top = max(max(map(max, x.matrix(m))) for m in methods)
    for m in methods:
        (folder / f"E-{m}.svg").write_text(figures.heat_map(LABELS[m], x.steps(), x.matrix(m), top))
    return methods


def compose(all_of, methods):
    x = all_of["methods"]
    machine, experiment = x.results[0]["machine"], x.results[0]["experiment"]
    marks = trends(all_of)
    counts = {v: sum(1 for _, _, w in marks if w == v)
              for v in ("reproduced", "not reproduced", "undecided")}
    parts = [f"""# Reproduction of the paper on the embedded data set

Written by `make reproduce` ({machine['cpu'].strip()}, {machine['threads']} threads,
{experiment['precision']}): {len(x.results)} seed{'s' if len(x.results) > 1 else ''}, model
{experiment['model']}, batch {experiment['batch']}, peak learning rate {experiment['lr']:g}, a budget of
{experiment['pairs'] or experiment['macs']:,} {'pairs' if experiment['pairs'] else 'MACs'} for
{len(x.steps())} steps. Numbers are means over seeds, ± the standard error of that mean; retrieval is
mean recall@1 on held-out pairs (chance 0.0025). The data set is generated (docs/world.md): trends are
compared with the paper's, not absolute values.

## The paper's trends

{counts['reproduced']} reproduced, {counts['not reproduced']} not reproduced, {counts['undecided']}
undecided (a difference of less than two standard errors).
""", table(["the paper says", "measured", "verdict"], [list(t) for t in marks]),
             "## Methods (as Table 2)\n", main_table(x, ORDER),
             "\n*static acc1*: the last model, mean over the static classification sets. *MACs*: nominal, "
             "of the whole\nsequence, with what a method does beside training.\n",
             "## Ablations (App. B.4, E.2, Table 10)\n", main_table(x, ABLATIONS),
             "## Schedules (Tables 6 and 7, App. B.5)\n", variants(all_of)]
    if all_of["iid"]:
        y = all_of["iid"]
        parts += ["## Steps without shift (as Table 3)\n", main_table(y, ("cumulative-all", "oracle"))]
    parts += ["## Beside the paper's numbers\n",
              "Each method against Oracle: share of its MACs, of its backward and in-domain retrieval; the "
              "paper's as\n`MACs: backward, in-domain`.\n", paper_table(x),
              "## Compute against retrieval (as Fig. 1)\n", "![](reproduction/trade-off.svg)\n",
              "## Matrices\n", "Rows: trained to a step; columns: evaluated on a step's held-out pairs.\n",
              "\n".join(f"![{LABELS[m]}](reproduction/E-{m}.svg)" for m in methods) + "\n"]
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("reproduction"))
    parser.add_argument("--docs", type=pathlib.Path, default=ROOT / "docs")
    args = parser.parse_args()
    names = ("methods", "warmup-none", "warmup-all", "warmup-tenth", "lr-decay", "const-cosine", "iid")
    all_of = {name: Experiment(args.folder, name) for name in names}
    if not all_of["methods"]:
        sys.exit(f"page: no results in {args.folder}/methods-*; run runs.py first")
    methods = write_figures(all_of["methods"], args.docs / "reproduction")
    (args.docs / "reproduction.md").write_text(compose(all_of, methods))
    print(args.docs / "reproduction.md")


if __name__ == "__main__":
    main()
