"""`ticlip compare`: several seeds as one row, and a run beside the paper's Table 2.

Usage: compare.py TICLIP; the small world is in the environment (TIC_TINY_WORLD).
"""
import json
import math
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from tiny_model import tiny_model

TICLIP = sys.argv.pop(1)
WORLD = os.path.join(os.environ["TIC_TINY_WORLD"], "full")
# The digest of the paper, word for word.
TABLE_2 = pathlib.Path(__file__).resolve().parents[1] / "golden" / "paper_table_2.md"
MODEL = tiny_model()
BENCHMARKS = {"TiC-YFCC": "tic-yfcc", "TiC-RedCaps": "tic-redcaps",
              "TiC-DataComp M": "tic-datacomp-m", "TiC-DataComp L": "tic-datacomp-l",
              "TiC-DataComp XL, Bestpool": "tic-datacomp-xl"}
NAMES = {"Restart": "restart", "Sequential": "sequential", "Patching": "patching",
         "Cum-Exp": "cumulative-exp", "Cum-Equal": "cumulative-equal", "Cum-All": "cumulative-all",
         "LwF": "lwf", "Cum-All*": "cumulative-all-star", "Oracle": "oracle"}
KEYS = ("imagenet", "shifts", "flickr30k", "static", "backward", "in_domain", "forward")


def digest():
    """{benchmark: {method: {"macs", KEYS...}}} as the digest's sentences say it."""
    papers = {}
    for line in TABLE_2.read_text().splitlines():
        label, macs, rest = re.match(r"\*\*(.+?)\*\* \(([\d.e]+)\): (.*)$", line).groups()
        methods = papers[BENCHMARKS[label]] = {}
        for sentence in re.split(r"\.(?: |$)", rest):
            if not sentence:
                continue
            name, own, scores = re.match(r"(\S+) (?:\(([\d.e]+)\) )?(.*)$", sentence).groups()
            numbers = [None if n == "-" else float(n) for n in scores.replace("|", " ").split()]
            methods[NAMES[name]] = dict(zip(KEYS, numbers, strict=True), macs=float(own or macs))
    return papers


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.top = holder.name
        os.environ["XDG_CACHE_HOME"] = cls.top
        cls.model = os.path.join(cls.top, "model.json")
        with open(cls.model, "w", encoding="utf-8") as file:
            json.dump(MODEL, file)
        cls.runs = [cls.train(f"run-{seed}", "--seed", str(seed)) for seed in range(3)]
        cls.results = []
        for run in cls.runs:
            with open(os.path.join(run, "results.json"), encoding="utf-8") as file:
                cls.results.append(json.load(file))

    @classmethod
    def train(cls, out, *more, methods="sequential,lwf,oracle"):
        folder = os.path.join(cls.top, out)
        subprocess.run(cls.command(folder, "--methods", methods, "--pairs", "192", *more),
                       check=True, capture_output=True, timeout=300)
        return folder

    @classmethod
    def command(cls, folder, *more):
        return [TICLIP, "run", "--data", WORLD, "--out", folder, "--model", cls.model, "--batch",
                "16", "--warmup", "2", "--vocab-size", "600", "--eval-pairs", "20", "--precision",
                "f32", "--first-step", "2020", "--threads", "1", "--no-tune", *more]

    def compare(self, *arguments, code=0):
        done = subprocess.run([TICLIP, "compare", *arguments], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def json(self, *arguments):
        return json.loads(self.compare(*arguments, "--json"))

    def samples(self, method, *keys):
        values = []
        for result in self.results:
            at = result["methods"][method]
            for key in keys:
                at = at[key]
            values.append(at)
        return values

    def close(self, got, samples):
        """Mean and standard error as Python's statistics has them, to the 12 digits printed; none
        where a seed has no number (a subset too small to be scored)."""
        if None in samples:
            self.assertEqual(got, {"mean": None, "stderr": None})
            return
        self.assertAlmostEqual(got["mean"], statistics.fmean(samples), delta=1e-11)
        self.assertAlmostEqual(got["stderr"], statistics.stdev(samples) / math.sqrt(len(samples)),
                               delta=1e-11)

    # ---- seeds --------------------------------------------------------------------------------

    def test_seeds_are_one_row_with_an_error(self):
        rows = {row["method"]: row for row in self.json(*self.runs)["runs"]}
        self.assertEqual(set(rows), {"sequential", "lwf", "oracle"})
        for method, row in rows.items():
            self.assertEqual(row["seeds"], [0, 1, 2])
            self.assertEqual(row["runs"], self.runs)
            self.assertTrue(row["run"].endswith("run-*"))
            for key in ("in_domain", "backward", "forward"):
                samples = self.samples(method, "tasks", "retrieval", key)
                self.close({"mean": row[key], "stderr": row["stderrs"][key]}, samples)
            self.assertTrue(row["stderrs"]["mean"] > 0)

    def test_every_task(self):
        rows = {row["method"]: row for row in self.json(*self.runs)["runs"]}
        tasks = rows["lwf"]["tasks"]
        self.assertEqual(set(tasks), set(self.results[0]["methods"]["lwf"]["tasks"]))
        self.assertTrue({"retrieval", "classification", "retrieval/studio"} <= set(tasks))
        self.close(tasks["retrieval"]["relative_backward"],
                   self.samples("lwf", "tasks", "retrieval", "relative", "backward"))
        for task, row in tasks.items():
            for key in ("last", "mean") if task.startswith("static/") else ("in_domain", "forward"):
                self.close(row[key], self.samples("lwf", "tasks", task, key))
        text = self.compare(*self.runs, "--tasks")
        for task in tasks:
            self.assertIn("\n" + task, text)

    def test_one_run_has_no_error(self):
        rows = self.json(self.runs[1])["runs"]
        self.assertEqual(rows[0]["seeds"], [1])
        self.assertIsNone(rows[0]["stderrs"]["backward"])

    def test_methods_may_lie_in_runs_of_their_own(self):
        other = self.train("more", methods="restart")
        rows = {row["method"]: row for row in self.json(self.runs[0], other)["runs"]}
        self.assertEqual(rows["restart"]["runs"], [other])
        self.assertEqual(rows["oracle"]["runs"], [self.runs[0]])

    def test_other_settings_are_ranked_with_the_same_seeds_only(self):
        other = self.train("rate", "--lr", "0.002")
        rows = self.json(self.runs[0], other)["runs"]
        self.assertEqual(len(rows), 6)
        self.assertIn("evaluation sets", self.compare(self.runs[1], other, code=4))
        self.assertIn("evaluation sets", self.compare(*self.runs[:2], other, code=4))

    # ---- the paper ----------------------------------------------------------------------------

    def test_the_papers_numbers(self):
        got = {name: paper["methods"] for name, paper in self.json("--paper", "all")["papers"].items()}
        self.assertEqual(got, digest())
        for name in BENCHMARKS.values():
            self.assertEqual(list(self.json("--paper", name)["papers"]), [name])
            self.assertIn("Oracle", self.compare("--paper", name))

    def test_beside_the_paper(self):
        for name in ("tic-yfcc", "tic-redcaps", "tic-datacomp-m", "tic-datacomp-l"):
            document = self.json(*self.runs, "--paper", name)
            paper = digest()[name]
            rows = {row["method"]: row for row in document["methods"]}
            self.assertEqual(set(rows), set(paper) | {"sequential", "lwf", "oracle"})
            for method in paper:
                for key in ("macs", "static", "backward", "in_domain", "forward"):
                    self.assertAlmostEqual(rows[method]["paper"][key],
                                           paper[method][key] / paper["oracle"][key], delta=1e-11)
            self.assertIsNone(rows["patching"]["ours"])
            self.assertEqual(rows["oracle"]["ours"]["backward"], {"mean": 1.0, "stderr": 0.0})
            for key in ("backward", "in_domain", "forward"):
                of = self.samples("oracle", "tasks", "retrieval", key)
                self.close(rows["lwf"]["ours"][key], [a / b for a, b in zip(
                    self.samples("lwf", "tasks", "retrieval", key), of, strict=True)])
            spent = [a + b for a, b in zip(self.samples("lwf", "macs", "nominal"),
                                           self.samples("lwf", "macs", "extra"), strict=True)]
            self.assertAlmostEqual(rows["lwf"]["ours"]["macs"]["mean"],
                                   spent[0] / self.samples("oracle", "macs", "nominal")[0],
                                   delta=1e-11)
            self.assertTrue(self.samples("lwf", "macs", "extra")[0] > 0)
            self.close(rows["sequential"]["ours"]["static"],
                       [a / b for a, b in zip(self.statics("sequential"), self.statics("oracle"),
                                              strict=True)])

    def test_static_last_and_mean_over_models(self):
        for method in self.results[0]["methods"].values():
            for name, task in method["tasks"].items():
                if name.startswith("static/"):
                    self.assertEqual(len(task["per_step"]), 3)
                    self.assertEqual(task["last"], task["per_step"][-1])
                    self.assertAlmostEqual(task["mean"], statistics.fmean(task["per_step"]),
                                           delta=1e-12)

    def test_every_dynamic_task_has_a_matrix(self):
        for method in self.results[0]["methods"].values():
            for name, task in method["tasks"].items():
                if name.startswith("static/"):
                    continue
                e = task["E"]
                self.assertEqual([len(row) for row in e], [3, 3, 3])
                for key, cells in (("in_domain", [e[i][i] for i in range(3)]),
                                   ("backward", [e[1][0], e[2][0], e[2][1]]),
                                   ("forward", [e[0][1], e[0][2], e[1][2]])):
                    there = [cell for cell in cells if cell is not None]
                    self.assertEqual(task[key] is None, not there)
                    if there:
                        self.assertAlmostEqual(task[key], statistics.fmean(there), delta=1e-12)

    def statics(self, method):
        return [statistics.fmean(task["last"] for name, task in r["methods"][method]["tasks"].items()
                                 if name.startswith("static/")) for r in self.results]

    def test_a_method_that_the_paper_has_not(self):
        rows = {row["method"]: row for row in
                self.json(self.runs[0], "--paper", "tic-datacomp-l")["methods"]}
        self.assertIsNone(rows["lwf"]["paper"])
        self.assertIsNone(rows["lwf"]["ours"]["backward"]["stderr"])

    def test_xl_has_no_retrieval_of_oracle(self):
        star = self.train("star", "--seed", "0", methods="cumulative-all-star")
        document = self.json(self.runs[0], star, "--paper", "tic-datacomp-xl")
        rows = {row["method"]: row for row in document["methods"]}
        self.assertEqual(document["of"], {"macs": "oracle", "static": "oracle",
                                          "retrieval": "cumulative-all-star"})
        self.assertIsNone(rows["oracle"]["paper"]["backward"])
        self.assertAlmostEqual(rows["sequential"]["paper"]["backward"], 63.1 / 71.0, delta=1e-11)
        self.assertEqual(rows["cumulative-all-star"]["ours"]["forward"]["mean"], 1)
        text = self.compare(self.runs[0], star, "--paper", "tic-datacomp-xl")
        self.assertIn("divided by Cumulative-All*'s", text)
        # A run without it has no quotient to show, and says so with a dash.
        alone = {row["method"]: row for row in
                 self.json(self.runs[0], "--paper", "tic-datacomp-xl")["methods"]}
        self.assertIsNone(alone["sequential"]["ours"]["backward"])
        self.assertIsNotNone(alone["sequential"]["ours"]["macs"])

    def test_refusals(self):
        self.assertIn('"tic-yfcc"', self.compare("--paper", "tic-yfc", code=2))
        self.assertIn("RUN", self.compare(code=2))
        alone = self.train("alone", methods="sequential")
        self.assertIn("oracle", self.compare(alone, "--paper", "tic-yfcc", code=2))
        other = self.train("decayed", "--weight-decay", "0.1")
        self.assertIn("weight-decay", self.compare(self.runs[0], other, "--paper", "tic-yfcc", code=4))
        self.assertIn("repeats", self.compare(self.runs[0], alone, "--paper", "tic-yfcc", code=4))
        copy = self.copied("again")
        for paper in ([], ["--paper", "tic-yfcc"]):
            for same in (self.runs[0] + os.sep, copy):
                self.assertIn("are the same run",
                              self.compare(self.runs[0], same, *paper, code=2))

    # ---- what is no result --------------------------------------------------------------------

    def copied(self, name):
        folder = os.path.join(self.top, name)
        shutil.copytree(self.runs[0], folder)
        return folder

    def refused(self, folder, *names):
        """Alone, beside a run, and beside the paper."""
        for arguments in ([folder], [self.runs[1], folder], [folder, "--paper", "tic-yfcc"]):
            told = self.compare(*arguments, code=4)
            for name in (folder, *names):
                self.assertIn(name, told)

    def test_a_run_that_is_not_finished(self):
        """Stopped after the first step's evaluation: the same rules, but 2021 and 2022 are missing."""
        folder = os.path.join(self.top, "stopped")
        ledger = pathlib.Path(folder, "ledger.jsonl")
        with subprocess.Popen(self.command(folder, "--methods", "oracle", "--pairs", "19200"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (ledger.exists() and
                                                  '"evaluation"' in ledger.read_text()):
                time.sleep(0.002)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=300), 6) # interrupted
        self.assertEqual(ledger.read_text().count('"event":"evaluation"'), 1)
        self.refused(folder, "not finished", "oracle", "2021")

    def test_a_run_without_any_score(self):
        folder = self.copied("begun")
        path = pathlib.Path(folder, "ledger.jsonl")
        lines = path.read_text().splitlines(keepends=True)
        first = next(i for i, line in enumerate(lines) if '"event":"evaluation"' in line)
        path.write_text("".join(lines[:first]))
        os.remove(os.path.join(folder, "results.json"))
        self.refused(folder, "not finished", "sequential", "2020")

    def test_results_that_were_altered(self):
        folder = self.copied("altered")
        path = pathlib.Path(folder, "results.json")
        results = json.loads(path.read_text())
        results["methods"]["lwf"]["tasks"]["retrieval"]["backward"] += 0.1
        path.write_text(json.dumps(results))
        self.refused(folder, "results.json", "methods/lwf/tasks/retrieval/backward", "ledger")

    def test_settings_that_were_altered(self):
        folder = self.copied("settings")
        path = pathlib.Path(folder, "experiment.json")
        path.write_text(json.dumps(dict(json.loads(path.read_text()), lr=0.002)))
        self.refused(folder, "experiment.json", "lr")


if __name__ == "__main__":
    unittest.main(verbosity=2)
