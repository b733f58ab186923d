"""The pages of the reproduction from made-up results: means, errors, verdicts, tables and figures."""

import json
import math
import pathlib
import statistics
import sys
import tempfile
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "reproduction"))
import figures  # noqa: E402
import measured  # noqa: E402
import page  # noqa: E402
import real_data  # noqa: E402
import trends  # noqa: E402
from runs import EXPERIMENTS, EXTRA  # noqa: E402

STEPS = ["2018", "2019", "2020", "2021", "2022"]
N = len(STEPS)


def retrieval(backward, in_domain, forward):
    if in_domain is None:
        return {"E": [[backward, None]]}
    e = [[in_domain if i == j else backward if j < i else forward for j in range(N)] for i in range(N)]
    return {"metric": "mean_recall@1", "pairs": 400, "E": e, "in_domain": in_domain,
            "backward": backward, "forward": forward,
            "relative": {"backward": backward - in_domain, "forward": forward - in_domain},
            "stderrs": {"in_domain": 0.01, "backward": 0.01, "forward": 0.01}}


def method(backward, in_domain, forward, macs=10**12, extra=0):
    return {"macs": {"nominal": macs, "extra": extra}, "tasks": {
        "retrieval": retrieval(backward, in_domain, forward),
        "retrieval/web": retrieval(backward, in_domain, forward / 2),
        "retrieval/studio": retrieval(backward, in_domain, in_domain),
        "classification": retrieval(0.1, 0.2, 0.1),
        "static/static-classification": {"metric": "acc1", "last": 0.25},
        "static/static-classification-night": {"metric": "acc1", "last": 0.35},
        "static/static-classification-sketch": {"metric": "acc1", "last": 0.15},
        "static/static-retrieval": {"metric": "mean_recall@1", "last": (in_domain or 0) / 2}}}


SPENT = {"seconds": 50, "pairs": 300, "nominal": 3000, "extra": 1000}
LEDGER = [{"event": "step_end", "spent": SPENT},
          {"event": "evaluation", "spent": {"seconds": 10, "pairs": 70}},
          {"event": "step_end", "same_as": "oracle", "spent": SPENT},
          {"event": "patched", "step": "2021", "coefficient": 0.3}]


def write(folder, name, seed, methods, precision="f32"):
    run = folder / f"{name}-{seed}"
    run.mkdir()
    document = {"machine": {"cpu": "a CPU", "threads": 2, "ticlip": "9", "fingerprint": "f"},
                "steps": STEPS, "methods": methods,
                "experiment": {"model": "M", "batch": 2, "lr": 1e-3, "pairs": 63000, "macs": 0,
                               "precision": precision, "warmup": 3, "seed": seed}}
    (run / "results.json").write_text(json.dumps(document))
    (run / "ledger.jsonl").write_text("".join(json.dumps(event) + "\n" for event in LEDGER))


def everything(shift):
    values = {m: method(0.3 + shift, 0.4 + shift, 0.1) for m in page.ORDER + page.ABLATIONS}
    values["sequential"] = method(0.1 + shift, 0.45 + shift, 0.09)
    values["oracle"] = method(0.301 + shift, 0.6 + shift, 0.1, macs=4 * 10**12)
    values["lwf"] = method(0.29 + 3 * shift, 0.4 + shift, 0.1, extra=10**11)
    return values


class Tables(unittest.TestCase):
    def rows_have_their_columns(self, text):
        columns = 0
        for line in text.splitlines():
            self.assertNotIn("nan", line)
            if columns and line.startswith("|"):
                self.assertEqual(line.count("|"), columns, line)
            columns = line.count("|") if line.startswith("|") else 0


class Page(Tables):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for seed, shift in enumerate((-0.01, 0.0, 0.01)):
            write(self.folder, "methods", seed, everything(shift))
            for name in EXPERIMENTS:
                if name != "methods":
                    write(self.folder, name, seed, everything(shift - 0.1))
        for name in EXTRA:
            write(self.folder, name, 0, everything(0.05))

    def experiments(self):
        return {name: measured.Experiment(self.folder, name) for name in (*EXPERIMENTS, *EXTRA)}

    def test_means_and_errors(self):
        x = self.experiments()["methods"]
        value = x.retrieval("sequential", "backward")
        self.assertAlmostEqual(value.mean, 0.1)
        self.assertAlmostEqual(value.error, 0.01 / math.sqrt(3))
        self.assertAlmostEqual(x.statics("lwf", page.STATIC["shifts"]).mean, 0.25)
        self.assertAlmostEqual(x.statics("lwf", page.STATIC["mean"]).mean, 0.95 / 4)
        self.assertAlmostEqual(x.spent("lwf").mean, 1.1e12)
        self.assertAlmostEqual(x.cells("oracle", "retrieval", "2020", ("2021", "2022")).mean, 0.1)

    def test_a_run_that_goes_on_is_left_out(self):
        values = everything(0)
        write(self.folder, "iid", 3, {**values, "lwf": method(0.1, None, 0.1)})
        del values["lwf"]
        write(self.folder, "iid", 4, values)
        self.assertEqual(len(self.experiments()["iid"].results), 3)

    def test_seconds_are_those_that_were_spent(self):
        x = self.experiments()["methods"]
        self.assertEqual(x.seconds(), 3 * 60)
        trained, evaluated = x.pairs()
        self.assertAlmostEqual(trained, 3 * 400)
        self.assertEqual(evaluated, 3 * 70)

    def test_coefficients(self):
        found = self.experiments()["methods"].coefficients()
        self.assertEqual(list(found), ["2021"])
        self.assertEqual(found["2021"].samples, [0.3] * 3)

    def test_what_seeds_have_in_common_cancels(self):
        x = self.experiments()["methods"]
        difference = measured.combine(lambda a, b: b - a, x.retrieval("sequential", "backward"),
                                      x.retrieval("cumulative-all", "backward"))
        self.assertAlmostEqual(difference.mean, 0.2)
        self.assertLess(difference.error, 1e-12)

    def trend(self, beginning):
        rows = trends.trends(self.experiments(), page.LABELS, page.ORDER)
        found = [i for i, row in enumerate(rows) if row[0].startswith(beginning)]
        self.assertEqual(len(found), 1, beginning)
        return rows[found[0]:]

    def test_verdicts(self):
        self.assertEqual(self.trend("Sequential forgets")[0][-1], "reproduced")
        within = self.trend("Cumulative-All is within 1 %")
        self.assertEqual(within[0][-1], "reproduced")  # 0.3 / 0.301
        self.assertEqual(within[1][-1], "not reproduced")  # 0.4 / 0.6
        self.assertEqual(within[0][1], "YFCC 1.00, RedCaps 1.01, M 0.97, L 0.97")
        self.assertEqual(self.trend("LwF is below")[0][-1], "undecided")
        self.assertEqual(self.trend("Warm-up in every step")[0][-1], "reproduced")
        self.assertEqual(self.trend("Const-cosine improves")[0][-1], "not reproduced")
        # On 2021 and 2022: 0.1 of (0.301 + 0.6) / 2; on 2018 to 2020: (0.301 + 0.301 + 0.6) / 3 of 0.301.
        late = self.trend("A model of data to 2020")
        self.assertEqual(late[0][-1], "reproduced")
        self.assertIn("more compute", late[0][2])
        expected = statistics.fmean((0.1 / (0.4505 + s)) / ((1.202 / 3 + s) / (0.301 + s))
                                    for s in (-0.01, 0, 0.01))
        self.assertAlmostEqual(float(late[0][3].split()[0]), expected, delta=6e-4)

    def test_more_compute_alone_is_no_falling_behind(self):
        """Oracle's later models twice as good on every step, as by more compute: the ratio on late
        steps is 0.5, and so is the control."""
        for seed in range(3):
            path = self.folder / f"methods-{seed}" / "results.json"
            document = json.loads(path.read_text())
            for task in document["methods"]["oracle"]["tasks"].values():
                if "E" in task:
                    noise = 1 + 0.01 * (seed - 1)
                    task["E"] = [[noise * 0.2] * N if i < N - 1 else [0.4] * N for i in range(N)]
            path.write_text(json.dumps(document))
        trend = self.trend("A model of data to 2020")[0]
        self.assertEqual(trend[3].split()[0], "1.000")
        self.assertNotEqual(trend[-1], "reproduced")

    def test_a_verdict_needs_95_percent(self):
        # mean 1, standard error 1 / 2.9 and 1 / 3, on either side of the quantile of 2.920
        spread = math.sqrt(3)
        for errors, word in ((2.9, "undecided"), (3.0, "reproduced")):
            off = spread / errors
            self.assertEqual(trends.verdict(measured.Value([1 - off, 1, 1 + off])), word)
            self.assertEqual(trends.verdict(measured.Value([-1 - off, -1, off - 1])),
                             "undecided" if word == "undecided" else "not reproduced")

    def test_one_seed_decides_nothing(self):
        self.assertEqual(trends.verdict(measured.Value([0.3])), "undecided")

    def test_a_difference_of_nothing_is_no_trend(self):
        self.assertEqual(trends.verdict(measured.Value([0.0, 0.0, 0.0])), "not reproduced")

    def test_rank_correlation(self):
        self.assertAlmostEqual(trends.rank_correlation([1, 2, 3], [10, 30, 20]), 0.5)
        self.assertTrue(math.isnan(trends.rank_correlation([1, 1], [1, 2])))

    def test_page_and_figures(self):
        docs = self.folder / "docs"
        all_of = self.experiments()
        methods = page.write_figures(all_of["methods"], docs / "reproduction")
        text = page.compose(all_of, methods, "0123abc", "## Reading\n")
        for name in docs.glob("reproduction/*.svg"):
            xml.dom.minidom.parse(str(name))
        self.assertEqual(len(list(docs.glob("reproduction/*.svg"))), 1 + len(page.ORDER))
        for words in (*page.LABELS.values(), *page.EXTRAS.values(), "0123abc", "## Reading"):
            self.assertIn(words, text)
        self.rows_have_their_columns(text)

    def test_how_the_learning_rate_was_chosen(self):
        all_of = self.experiments()  # of seed 0 the default has 0.44 and 0.59, the others 0.50 and 0.65
        self.assertEqual(page.best_rates(all_of), {"sequential": "lr-half", "oracle": "lr-half"})
        first, second = (r["methods"] for r in all_of["methods"].results[:2])
        first["sequential"]["tasks"]["retrieval"]["in_domain"] = 0.51
        second["oracle"]["tasks"]["retrieval"]["in_domain"] = 0.99  # another seed: no part in it
        text = " ".join("\n".join(page.defaults(all_of)).split())
        self.assertIn("Sequential with 0.0015, the default; Oracle with 0.00075.", text)

    def test_runs_of_different_kinds_are_not_averaged(self):
        page.check_alike(self.experiments())
        write(self.folder, "methods", 3, everything(0), "bf16")
        with self.assertRaises(SystemExit):
            page.check_alike(self.experiments())

    def test_labels_keep_their_distance(self):
        self.assertEqual(figures.spread([10, 50], 15), [10, 50])
        places = figures.spread([10, 10, 13, 60], 15)  # 11 in the mean, the middle one's
        for place, wanted in zip(places, [-4, 11, 26, 60]):
            self.assertAlmostEqual(place, wanted)

    def test_figures_hold_their_marks(self):
        drawn = figures.trade_off("T", [("a", 1, 0.5, 0.1), ("b & c", 2, 0.7, 0)], "x", "y")
        self.assertEqual(drawn.count("<circle"), 2)
        self.assertIn("b &amp; c", drawn)
        self.assertEqual(figures.heat_map("E", ["1", "2"], [[0, 1], [1, 0]], 1).count("<rect"), 4)

class RealData(Tables):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for seed, shift in enumerate((-0.01, 0.0, 0.01)):
            methods = everything(shift)
            for one in methods.values():
                for name in real_data.CATEGORIES:
                    one["tasks"]["classification/" + name] = retrieval(0.1, 0.2 + shift, 0.1)
            write(folder, "photographs", seed, methods)
        self.x = measured.Experiment(folder, "photographs")

    def test_measured_part(self):
        text = real_data.compose(self.x)
        self.rows_have_their_columns(text)
        for words in (*page.LABELS.values(), "3 seeds", *real_data.CATEGORIES):
            self.assertIn(words, text)
        self.assertIn("| Sequential | 1.0 T | 0.100 ±0.006 | 0.450 ±0.006 | 0.090 ±0.000 |", text)
        self.assertIn("| Sequential | 0.200 ±0.006 |", text)
        self.assertIn("      2022        0.100    0.100    0.100    0.100    0.450\n", text)
        self.assertRegex(text, r"\| Sequential forgets \|.*\| reproduced \|")

    def test_one_seed_has_the_evaluation_sets_errors_and_no_verdicts(self):
        text = real_data.compose(self.x.only(1))
        self.rows_have_their_columns(text)
        self.assertIn("| Sequential | 1.0 T | 0.100 ±0.010 | 0.450 ±0.010 | 0.090 ±0.010 |", text)
        self.assertIn("1 seed of", text)
        self.assertNotIn("reproduced", text)

    def test_what_is_written_by_hand_stays(self):
        old = f"# Title\n{real_data.BEGIN}\n\nold\n{real_data.END}\nwhy\n"
        self.assertEqual(real_data.place(old, "new"), old.replace("old", "new"))
        with self.assertRaises(ValueError):
            real_data.place("# Title\n", "new")


if __name__ == "__main__":
    unittest.main()
