"""The paper's trends, each as a ratio or difference that is compared with a limit.

A trend is `reproduced` when the measured value is on the right side of the limit with 95 %
confidence, one-sided, by Student's t over seeds (2.92 standard errors with three seeds),
`not reproduced` when it is that far on the wrong side, else `undecided`.
"""

import math
import statistics

from measured import combine, ratio
from paper import TABLE_2

# One-sided 95 % quantiles of Student's t, by degrees of freedom.
QUANTILES = {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.860, 9: 1.833}
# Of TABLE_2's retrieval columns.
COLUMNS = {"backward": 1, "in_domain": 2, "forward": 3}
WORDS = {"backward": "backward", "in_domain": "in-domain", "forward": "forward"}
NAMES = {"TiC-YFCC": "YFCC", "TiC-RedCaps": "RedCaps", "TiC-DataComp M": "M", "TiC-DataComp L": "L"}


def verdict(above):
    """Of a value that is positive when the trend holds."""
    n = len(above.samples)
    if n < 2:
        return "undecided"
    bar = QUANTILES[min(n - 1, 9)] * above.error
    if above.mean >= bar and above.mean > 0:
        return "reproduced"
    return "not reproduced" if above.mean <= -bar else "undecided"


def paper_ratios(key, a, b):
    """The paper's own ratio of two methods, for each of its benchmarks that has both."""
    column = COLUMNS[key]
    found = [f"{NAMES[name]} {rows[a][column] / rows[b][column]:.2f}"
             for name, rows in TABLE_2.items() if a in rows and b in rows]
    return ", ".join(found)


class Trends:
    """Collects rows (claim, the paper's figures, what is measured, value, condition, verdict)."""

    def __init__(self, all_of, labels):
        self.all_of, self.labels, self.rows = all_of, labels, []

    def add(self, claim, paper, what, value, sign, limit):
        above = combine(lambda v: sign * (v - limit), value)
        self.rows.append((claim, paper, what, str(value), f"{'>' if sign > 0 else '<'} {limit:g}",
                          verdict(above)))

    def methods(self, claim, key, a, b, sign, limit):
        """Ratio of two methods' retrieval in the main experiment."""
        x = self.all_of["methods"]
        if a in x.methods() and b in x.methods():
            self.add(claim, paper_ratios(key, a, b),
                     f"{WORDS[key]}, {self.labels[a]} / {self.labels[b]}",
                     ratio(x.retrieval(a, key), x.retrieval(b, key)), sign, limit)

    def variant(self, claim, paper, key, name, sign, limit):
        """Cumulative-All with another setting over Cumulative-All with the default."""
        x, y = self.all_of["methods"], self.all_of[name]
        if y:
            self.add(claim, paper, f"{WORDS[key]}, {name} / default",
                     ratio(y.retrieval("cumulative-all", key), x.retrieval("cumulative-all", key)),
                     sign, limit)


def best_ewc(x):
    return max((m for m in x.methods() if m in ("ewc-1", "ewc-10", "ewc-100", "ewc-400")),
               key=lambda m: x.retrieval(m, "backward").mean)


def of_methods(t):
    t.methods("Sequential forgets", "backward", "sequential", "cumulative-all", -1, 1)
    t.methods("... but transfers forward about as Cumulative-All does", "forward", "sequential",
              "cumulative-all", 1, 0.8)
    t.methods("... and at larger scale is ahead of it on the present step (L, XL)", "in_domain",
              "sequential", "cumulative-all", 1, 1)
    t.methods("Cumulative-All is within 1 % of Oracle at 2.5 to 4 times less compute: past steps",
              "backward", "cumulative-all", "oracle", 1, 0.99)
    t.methods("... the present step", "in_domain", "cumulative-all", "oracle", 1, 0.99)
    t.methods("... coming steps", "forward", "cumulative-all", "oracle", 1, 0.99)
    t.methods("With more compute Cumulative-All reaches it (Cumulative-All*): past steps", "backward",
              "cumulative-all-star", "oracle", 1, 0.99)
    t.methods("... the present step", "in_domain", "cumulative-all-star", "oracle", 1, 0.99)
    t.methods("Cumulative-Equal is at least as good as -Exp", "backward", "cumulative-equal",
              "cumulative-exp", 1, 1)
    t.methods("Cumulative-Equal is within 2 % of -All with a smaller buffer", "backward",
              "cumulative-equal", "cumulative-all", 1, 0.98)
    t.methods("... within 10 %, as on YFCC", "backward", "cumulative-equal", "cumulative-all", 1, 0.9)
    t.methods("... and not behind it on the present step", "in_domain", "cumulative-equal",
              "cumulative-all", 1, 0.98)
    t.methods("Patching forgets less than Sequential", "backward", "patching", "sequential", 1, 1)
    t.methods("... and more than Cumulative-All", "backward", "patching", "cumulative-all", -1, 1)
    t.methods("... and is near Sequential or ahead of it on the present step", "in_domain", "patching",
              "sequential", 1, 0.95)
    t.methods("LwF is below Cumulative-All", "backward", "lwf", "cumulative-all", -1, 1)
    t.methods("EWC is below Cumulative-All, whichever lambda", "backward",
              best_ewc(t.all_of["methods"]), "cumulative-all", -1, 1)
    t.methods("Restart is far below Cumulative-All: past steps", "backward", "restart",
              "cumulative-all", -1, 0.9)
    t.methods("... the present step", "in_domain", "restart", "cumulative-all", -1, 0.9)


def of_ablations(t):
    x = t.all_of["methods"]
    t.methods("Count-based sampling brings no gain (App. E.2)", "backward", "cumulative-count",
              "cumulative-all", -1, 1.01)
    t.methods("Oversampling old steps brings no gain (App. E.2)", "backward", "cumulative-even",
              "cumulative-all", -1, 1.01)
    a, b = x.retrieval("cumulative-low", "backward"), x.retrieval("cumulative-high", "backward")
    t.add("Which half by alignment is kept matters little (App. B.4)", "less than 0.5 points",
          "backward, least less most aligned, absolute", combine(lambda p, q: abs(p - q), a, b), -1,
          0.005)
    lead = {half: combine(lambda p, q: p - q, x.retrieval("sequential" + half, "in_domain"),
                          x.retrieval("cumulative-all" + half, "in_domain")) for half in ("", "-half")}
    t.add("With reduced compute Sequential's lead over Cumulative-All on the present step disappears "
          "(Table 10)", "", "in-domain, lead at half the compute less lead at full",
          combine(lambda h, f: h - f, lead["-half"], lead[""]), -1, 0)


def of_schedules(t):
    t.variant("Leaving out the first warm-up costs (Table 6)", "ImageNet 29.9 to 24.1: 0.81",
              "in_domain", "warmup-none", -1, 1)
    t.variant("Warm-up in every step costs (Table 6)", "4.3 points", "in_domain", "warmup-all", -1, 1)
    t.variant("The same peak learning rate in every step is best (Table 7)", "", "in_domain",
              "lr-decay", -1, 1)
    t.variant("Const-cosine improves Cumulative-All (App. B.5)", "", "backward", "const-cosine", 1, 1)
    t.variant("... on the present step too", "", "in_domain", "const-cosine", 1, 1)
    y = t.all_of["iid"]
    if y:
        t.add("Without shift Cumulative-All is within 1 % of Oracle (Table 3)",
              "ImageNet 80.0 of 80.9: 0.99", "in-domain, Cumulative-All / Oracle",
              ratio(y.retrieval("cumulative-all", "in_domain"), y.retrieval("oracle", "in_domain")),
              1, 0.99)


def rank_correlation(a, b):
    """Spearman's; nan where one side is all the same."""
    if min(len(set(a)), len(set(b))) < 2:
        return math.nan
    def ranks(values):
        return [sorted(values).index(v) for v in values]
    return statistics.correlation(ranks(a), ranks(b))


def of_time(t):
    """The paper's first experiment: a model of 2020 on later years, here Oracle's. Oracle's model of
    2022 was given more compute than that of 2020, which makes it better on every year: the ratio on
    years that both have seen is the control."""
    x = t.all_of["methods"]
    seen, late = ("2018", "2019", "2020"), ("2021", "2022")
    if not {*seen, *late} <= set(x.steps()):
        return

    def kept(task, years):
        return ratio(x.cells("oracle", task, "2020", years), x.cells("oracle", task, "2022", years))

    def behind(task):
        return ratio(kept(task, late), kept(task, seen))

    t.add("A model of data to 2020 falls behind on 2021 and 2022", "8 points", "Oracle's model of "
          "2020 / of 2022, on 2021 and 2022, divided by the same ratio on 2018 to 2020 (the control: "
          "Oracle's model of 2022 had more compute)", behind("retrieval"), -1, 1)
    t.add("... less where little changes (the paper's Flickr, here the studio)", "",
          "the same, web / studio", ratio(behind("retrieval/web"), behind("retrieval/studio")), -1, 1)


def of_ranks(t, methods):
    x = t.all_of["methods"]
    scores = [x.statics(m, lambda name: True) for m in methods], [x.retrieval(m, "in_domain")
                                                                  for m in methods]
    value = combine(lambda *row: rank_correlation(row[:len(methods)], row[len(methods):]),
                    *scores[0], *scores[1])
    if not math.isnan(value.mean):
        t.add("Static and dynamic scores rank models differently", "",
              "rank correlation of the methods' static mean and in-domain retrieval", value, -1, 0.9)


def trends(all_of, labels, order):
    t = Trends(all_of, labels)
    of_methods(t)
    of_ablations(t)
    of_schedules(t)
    of_time(t)
    of_ranks(t, [m for m in order if m in all_of["methods"].methods()])
    return t.rows
