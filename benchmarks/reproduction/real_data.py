#!/usr/bin/env python3
"""Writes the measured part of docs/real-data.md, between its two marks, from runs on the fashion
photographs: one folder a seed, NAME-SEED, as the page's command makes them.

    python3 benchmarks/reproduction/real_data.py --runs reproduction/fashion
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from measured import Experiment  # noqa: E402
from page import (ABLATIONS, KEYS, LABELS, ORDER, ROOT, check_alike, methods_of, paragraph,  # noqa: E402
                  table)
from trends import Trends, of_ablations, of_methods  # noqa: E402

BEGIN = "<!-- from here on written by `benchmarks/reproduction/real_data.py` -->"
END = "<!-- until here -->"
SHOWN = ("sequential", "cumulative-all", "oracle")
CATEGORIES = ("Accessories", "Apparel", "Footwear", "Personal Care")


def cell(x, method, task, key):
    """A mean over seeds with its error by their spread; of one seed with the evaluation sets'."""
    value = str(x.task(method, task, key))
    if len(x.results) > 1:
        return value
    return f"{value} ±{x.results[0]['methods'][method]['tasks'][task]['stderrs'][key]:.3f}"


def scores(x, wanted):
    rows = [[LABELS[m], f"{x.spent(m).mean / 1e12:.1f} T"] +
            [cell(x, m, "retrieval", key) for key in KEYS] +
            [cell(x, m, "classification", key) for key in KEYS[:2]] for m in methods_of(x, wanted)]
    return table(["method", "MACs", "backward", "in-domain", "forward", "class., backward",
                  "class., in-domain"], rows)


def categories(x):
    rows = [[LABELS[m]] + [cell(x, m, f"classification/{name}", "in_domain") for name in CATEGORIES]
            for m in methods_of(x, ORDER)]
    return table(["method", *CATEGORIES], rows)


def matrix(x, method):
    """Recall@1, as ticlip prints it, of the mean over seeds."""
    lines = [f"{LABELS[method]}: recall@1 after training to a step (row) on the pairs of a step (column)",
             " " * 10 + "".join(f"{step:>9}" for step in x.steps())]
    lines += [f"  {step:<8}" + "".join(f"{value:9.3f}" for value in row)
              for step, row in zip(x.steps(), x.matrix(method))]
    return "\n".join("    " + line for line in lines) + "\n"


def verdicts(x):
    """The trends as on the generated data; nothing of one seed, which decides none."""
    if len(x.results) < 2:
        return []
    trends = Trends({"methods": x}, LABELS)
    of_methods(trends)
    of_ablations(trends)
    counts = {word: sum(row[-1] == word for row in trends.rows)
              for word in ("reproduced", "not reproduced", "undecided")}
    return ["## The paper's trends\n",
            paragraph(f"""The same limits and the same rule as on the generated data
            ([reproduction.md](reproduction.md)): {counts['reproduced']} reproduced,
            {counts['not reproduced']} not reproduced, {counts['undecided']} undecided."""),
            table(["the paper says", "measured here", "value", "limit", "verdict"],
                  [[row[0], *row[2:]] for row in trends.rows], 2)]


def compose(x):
    machine, settings = x.results[0]["machine"], x.results[0]["experiment"]
    seeds = f"{len(x.results)} seed{'s' if len(x.results) > 1 else ''}"
    errors = ("Means over seeds, ± the standard error of that mean by their spread." if
              len(x.results) > 1 else "± is the standard error of the evaluation sets' sizes.")
    return "\n".join([
        paragraph(f"""{seeds} of the weights, the order, the crops and the held-out pairs,
        {settings['precision']}, on {machine['cpu'].strip()} (`{machine['fingerprint']}`). Training and
        evaluation took {x.seconds() / 60:.0f} minutes, added up from the ledgers."""),
        "## The methods\n",
        paragraph(f"""Retrieval: mean recall@1 on held-out pairs. Classification: accuracy among the values
        of `articleType`. {errors} MACs are nominal, with what a method does beside training."""),
        scores(x, ORDER), "## The ablations\n", scores(x, ABLATIONS),
        *verdicts(x),
        "## Classification by category\n",
        paragraph("""In-domain accuracy on the pairs of a category, always among all kinds."""),
        categories(x), "## Matrices\n", *[matrix(x, m) for m in SHOWN]])


def place(text, measured):
    """The page with what is measured between its marks. ValueError without them."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError("the page lacks its two marks")
    return f"{text.split(BEGIN)[0]}{BEGIN}\n\n{measured}\n{END}{text.split(END)[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("reproduction/fashion"),
                        help="the folders without their -SEED (reproduction/fashion)")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs" / "real-data.md")
    args = parser.parse_args()
    x = Experiment(args.runs.parent, args.runs.name)
    if not x:
        sys.exit(f"real_data: no results in {args.runs}-*")
    check_alike({"methods": x})
    args.page.write_text(place(args.page.read_text(), compose(x)))
    print(args.page)


if __name__ == "__main__":
    main()
