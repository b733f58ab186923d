#!/usr/bin/env python3
"""Writes docs/reproduction.md and its figures from the results of runs.py.

Every number is a mean over seeds of what a run's results.json tells; its error is the standard error
of that mean, from the spread over seeds. What explains the verdicts is written by hand, in
reading.md beside this file, and put into the page as it is.
"""

import argparse
import math
import pathlib
import sys
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import figures  # noqa: E402
from measured import Experiment, combine, ratio  # noqa: E402
from paper import TABLE_2  # noqa: E402
from runs import EXPERIMENTS, EXTRA  # noqa: E402
from trends import trends  # noqa: E402

ROOT = HERE.parent.parent
LABELS = {"restart": "Restart", "sequential": "Sequential", "patching": "Patching",
          "cumulative-exp": "Cumulative-Exp", "cumulative-equal": "Cumulative-Equal",
          "cumulative-all": "Cumulative-All", "lwf": "LwF", "ewc-1": "EWC (1)",
          "ewc-10": "EWC (10)", "ewc-100": "EWC (100)", "ewc-400": "EWC (400)",
          "cumulative-all-star": "Cumulative-All*", "oracle": "Oracle",
          "cumulative-count": "Cumulative-All, count-based",
          "cumulative-even": "Cumulative-All, oversampled by inverse share",
          "cumulative-low": "replay of the least aligned half",
          "cumulative-high": "replay of the most aligned half",
          "sequential-half": "Sequential, half the compute",
          "cumulative-all-half": "Cumulative-All, half the compute",
          "lwf-equal": "LwF with replay", "ewc-equal": "EWC (100) with replay"}
# As in Table 2; then the ablations.
ORDER = ("restart", "sequential", "patching", "cumulative-exp", "cumulative-equal",
         "cumulative-all", "lwf", "ewc-1", "ewc-10", "ewc-100", "ewc-400", "cumulative-all-star",
         "oracle")
ABLATIONS = tuple(m for m in LABELS if m not in ORDER)
KEYS = ("backward", "in_domain", "forward")


def table(head, rows, left=1):
    """Columns are numbers, but for the first `left`."""
    lines = ["| " + " | ".join(head) + " |",
             "|" + "---|" * left + "---:|" * (len(head) - left)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def methods_of(x, wanted):
    return [m for m in wanted if m in x.methods()]


def retrieval_cells(x, method):
    return [str(x.retrieval(method, key)) for key in KEYS]


# ---- tables -------------------------------------------------------------------------------------

STATIC = {"classification": lambda name: name == "static-classification",
          "shifts": lambda name: name.startswith("static-classification-"),
          "retrieval": lambda name: name == "static-retrieval", "mean": lambda name: True}


def main_table(x, wanted):
    rows = [[LABELS[m], f"{x.spent(m).mean / 1e12:.1f} T"] +
            [str(x.statics(m, which)) for which in STATIC.values()] + retrieval_cells(x, m) +
            [str(x.task(m, "classification", "in_domain"))] for m in methods_of(x, wanted)]
    return table(["method", "MACs"] + [f"static {name}" for name in STATIC] +
                 ["backward", "in-domain", "forward", "classification in-domain"], rows)


def relative_table(x):
    rows = [[LABELS[m], str(x.relative(m, "backward")), str(x.relative(m, "forward"))]
            for m in methods_of(x, ORDER)]
    return table(["method", "backward", "forward"], rows)


def paper_table(x):
    rows = []
    for m in methods_of(x, ORDER):
        row = [LABELS[m], f"{x.spent(m).mean / x.spent('oracle').mean:.2f}"]
        row += [str(ratio(x.retrieval(m, key), x.retrieval("oracle", key))) for key in KEYS[:2]]
        for benchmark in TABLE_2.values():
            macs, backward, in_domain, _ = benchmark["oracle"]
            row.append("-" if m not in benchmark else
                       f"{benchmark[m][0] / macs:.2f}: {benchmark[m][1] / backward:.2f}, "
                       f"{benchmark[m][2] / in_domain:.2f}")
        rows.append(row)
    return table(["of Oracle's", "MACs", "backward", "in-domain"] + list(TABLE_2), rows)


def coefficients(x):
    found = x.coefficients()
    if not found:
        return []
    return ["### What Patching chose\n", paragraph("""The share of the weights just trained in the patched
            model, as chosen on the earlier steps' held-out pairs."""),
            table(["step"] + list(found), [["share"] + [str(v) for v in found.values()]])]


VARIANTS = {"warmup-none": "no warm-up (Table 6)", "warmup-all": "warm-up in every step (Table 6)",
            "warmup-tenth": "a tenth of the warm-up in later steps (Table 6)",
            "lr-decay": "peak learning rate times 0.7 a step (Table 7)",
            "const-cosine": "const-cosine (App. B.5)"}


def variants(all_of):
    rows = [["the default: cosine, warm-up in the first step"] +
            retrieval_cells(all_of["methods"], "cumulative-all")]
    rows += [[words] + retrieval_cells(all_of[name], "cumulative-all")
             for name, words in VARIANTS.items() if all_of[name]]
    return table(["Cumulative-All with", "backward", "in-domain", "forward"], rows)


# ---- beyond the paper: seed 0, errors of the evaluation sets' sizes --------------------------------

EXTRAS = {"methods": "the default", "buffer-0.25": "a quarter of the buffer",
          "replay-0.25": "a quarter of the draws are replay",
          "replay-0.75": "three quarters of the draws are replay",
          "quarter": "steps of a quarter", "month": "steps of a month"}


def with_error(result, method, key):
    task = result["methods"][method]["tasks"]["retrieval"]
    return f"{task[key]:.3f} ±{task['stderrs'][key]:.3f}"


def one_seed_rows(all_of, name, words, wanted):
    one = all_of[name].only(0)
    return [[words, str(len(one.steps())), LABELS[m], f"{one.spent(m).mean / 1e12:.1f} T"] +
            [with_error(one.results[0], m, key) for key in KEYS]
            for m in methods_of(one, wanted)] if one else []


def extra_table(all_of, names, wanted, what="setting"):
    rows = [row for name, words in names.items() for row in one_seed_rows(all_of, name, words, wanted)]
    return table([what, "steps", "method", "MACs", "backward", "in-domain", "forward"], rows, 3)


def beyond(all_of):
    streams = ("sequential", "cumulative-exp", "cumulative-equal", "cumulative-all")
    return ["## Beyond the paper\n",
            paragraph("""What its reviewers asked for: many more steps, smaller buffers, weighted replay.
            Seed 0 alone; ± is the standard error of the evaluation sets' sizes. The budget of the whole
            sequence is the same, so a step of a longer stream has less of it; warm-up is the same share
            of the first step. Columns are comparable within a number of steps only: evaluation sets of shorter steps
            are smaller, and easier to search."""), extra_table(all_of, EXTRAS, streams)]


def more_compute(all_of):
    names = {"methods": "126,000 pairs", "compute-2": "252,000 pairs"}
    return ["## More compute\n", paragraph("""Whether what is not reproduced is for want of compute: seed
            0, ± the error of the evaluation sets' sizes."""),
            extra_table(all_of, names, ("sequential", "cumulative-all", "oracle"))]


RATES = {"lr-half": "0.00075", "methods": "0.0015, the default", "lr-double": "0.003"}


def best_rates(all_of):
    """{method: the setting with its highest in-domain retrieval, of seed 0}"""
    def score(name, method):
        return all_of[name].only(0).retrieval(method, "in_domain").mean
    return {m: max(RATES, key=lambda name: score(name, m)) for m in ("sequential", "oracle")}


def defaults(all_of):
    told = "; ".join(f"{LABELS[m]} with {RATES[name]}" for m, name in best_rates(all_of).items())
    return ["## The defaults\n", paragraph(f"""Model, batch, warm-up and budget were chosen once, on Oracle
            alone ([world.md](world.md) says how); the peak learning rate on Sequential and Oracle: seed
            0, ± the error of the evaluation sets' sizes. No other method took part. Highest on the present
            step (in-domain) of the three: {told}."""),
            extra_table(all_of, RATES, ("sequential", "oracle"), "peak learning rate")]


# ---- figures --------------------------------------------------------------------------------------

def write_figures(x, folder):
    folder.mkdir(parents=True, exist_ok=True)
    methods = methods_of(x, ORDER)
    points = []
    for m in methods:
        both = combine(lambda a, b: (a + b) / 2, x.retrieval(m, "backward"),
                       x.retrieval(m, "in_domain"))
        points.append((LABELS[m], x.spent(m).mean / 1e12, both.mean,
                       0 if math.isnan(both.error) else both.error))
    (folder / "trade-off.svg").write_text(figures.trade_off(
        "Retrieval (mean of backward and in-domain) against compute", points,
        "nominal MACs of the sequence, teacher, Fisher and searches included (T)", "recall@1"))
    top = max(max(map(max, x.matrix(m))) for m in methods)
    for m in methods:
        (folder / f"E-{m}.svg").write_text(figures.heat_map(LABELS[m], x.steps(), x.matrix(m), top))
    return methods


# ---- the page ---------------------------------------------------------------------------------------

def paragraph(text):
    return textwrap.fill(" ".join(text.split()), 108, break_long_words=False,
                         break_on_hyphens=False) + "\n"


def intro(all_of, commit):
    x = all_of["methods"]
    machine, settings = x.results[0]["machine"], x.results[0]["experiment"]
    minutes = sum(y.seconds() for y in all_of.values()) / 60
    trained, evaluated = (sum(part) / 1e6 for part in zip(*(y.pairs() for y in all_of.values())))
    held_out = x.results[0]["methods"][x.methods()[0]]["tasks"]["retrieval"]["pairs"]
    budget = f"{settings['pairs']:,} pairs" if settings["pairs"] else f"{settings['macs']:.3g} MACs"
    count = len(x.results)
    return [
        "# Reproduction of the paper on the embedded data set\n",
        paragraph(f"""Written by `make reproduce`: ticlip {machine['ticlip']}
        {f'at commit {commit}' if commit else ''} on {machine['cpu'].strip()}
        (`{machine['fingerprint']}`), {settings['precision']}. Training and evaluation of all runs took
        {minutes:.0f} minutes, added up from their ledgers: {trained:.1f} M pairs of training, with what is
        beside it, and {evaluated:.1f} M of evaluation.
        {count} seed{'s' if count > 1 else ''} of the weights, the order, the crops and the held-out
        pairs, on one generated world. Model {settings['model']}, batch {settings['batch']}, peak
        learning rate {settings['lr']:g}, warm-up {settings['warmup']} iterations, a budget of {budget}
        for {len(x.steps())} steps."""),
        paragraph(f"""Numbers are means over seeds, ± the standard error of that mean; retrieval is mean
        recall@1 on {held_out} held-out pairs a step (chance {1 / held_out:.4f}). The data set is
        generated: trends are compared with the paper's, not absolute values.""")]


def verdicts(marks):
    counts = {v: sum(1 for row in marks if row[-1] == v)
              for v in ("reproduced", "not reproduced", "undecided")}
    return ["## The paper's trends\n", paragraph(f"""{counts['reproduced']} reproduced,
        {counts['not reproduced']} not reproduced, {counts['undecided']} undecided.
        *Reproduced* means on the right side of the limit with 95 % confidence (one-sided, Student's t
        over seeds: 2.92 standard errors with three), *not reproduced* as far on the wrong side. The
        paper's figures are the same ratio, from its Table 2, where they are no others; M and L are
        TiC-DataComp."""),
            table(["the paper says", "its figures", "measured here", "value", "limit", "verdict"],
                  [list(row) for row in marks], 3)]


def compose(all_of, methods, commit="", reading=""):
    x = all_of["methods"]
    parts = intro(all_of, commit) + verdicts(trends(all_of, LABELS, ORDER))
    parts += [reading] if reading else []
    parts += ["## Methods (as Table 2)\n", main_table(x, ORDER),
              paragraph("""*static*: the last model; accuracy on the classification set and its shifts
              (sketch, noise, night), recall@1 on the retrieval set, the mean of all five. *MACs*: nominal, of
              the whole sequence, with what a method does beside training. *classification*: accuracy on
              the stream's own labels, of every model on its own step."""),
              "### Relative to the model's own step (App. F)\n",
              "Means of E[i][j] - E[i][i] over earlier and over later steps.\n", relative_table(x),
              *coefficients(x),
              "## Ablations (App. B.4, E.2, Table 10)\n", main_table(x, ABLATIONS),
              "## Schedules (Tables 6 and 7, App. B.5)\n", variants(all_of)]
    if all_of["iid"]:
        parts += ["## Steps without shift (as Table 3)\n",
                  main_table(all_of["iid"], ("cumulative-all", "oracle"))]
    if any(all_of[name] for name in EXTRAS if name != "methods"):
        parts += beyond(all_of)
    if all_of["compute-2"]:
        parts += more_compute(all_of)
    if all_of["lr-half"] and all_of["lr-double"]:
        parts += defaults(all_of)
    parts += ["## Beside the paper's numbers\n",
              paragraph("""Each method against Oracle: share of its MACs, of its backward and in-domain
              retrieval; the paper's as `MACs: backward, in-domain`."""), paper_table(x),
              "## Compute against retrieval (as Fig. 1)\n",
              "![Retrieval against compute](reproduction/trade-off.svg)\n", "## Matrices\n",
              "Rows: trained to a step; columns: evaluated on a step's held-out pairs; means over seeds.\n",
              "\n".join(f"![{LABELS[m]}](reproduction/E-{m}.svg)" for m in methods) + "\n"]
    return "\n".join(parts)


def check_alike(all_of):
    """Runs of different precision or kernels are not averaged."""
    kinds = {(r["experiment"]["precision"], r["machine"]["fingerprint"])
             for y in all_of.values() for r in y.results}
    if len(kinds) > 1:
        sys.exit(f"page: runs of different precision or machine: {sorted(kinds)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("reproduction"))
    parser.add_argument("--docs", type=pathlib.Path, default=ROOT / "docs")
    args = parser.parse_args()
    all_of = {name: Experiment(args.folder, name) for name in (*EXPERIMENTS, *EXTRA)}
    if not all_of["methods"]:
        sys.exit(f"page: no results in {args.folder}/methods-*; run runs.py first")
    check_alike(all_of)
    commit = args.folder / "commit.txt"
    methods = write_figures(all_of["methods"], args.docs / "reproduction")
    (args.docs / "reproduction.md").write_text(
        compose(all_of, methods, commit.read_text().strip() if commit.exists() else "",
                (HERE / "reading.md").read_text()))
    print(args.docs / "reproduction.md")


if __name__ == "__main__":
    main()
