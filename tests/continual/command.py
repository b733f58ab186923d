"""`ticlip run`, `eval` and `train` as commands: exit codes, output, SIGINT, two runs on one folder.

Usage: command.py TICLIP; the small world is in the environment (TIC_TINY_WORLD).
"""
import html.parser
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from tiny_model import tiny_model

TICLIP = sys.argv.pop(1)
WORLD = os.path.join(os.environ["TIC_TINY_WORLD"], "plain")
MODEL = tiny_model()


class Page(html.parser.HTMLParser):
    """Tables and figures' words by the heading or summary before them, and which elements were left
    open."""
    def __init__(self):
        super().__init__()
        self.open, self.tables, self.titles, self.heading, self.text = [], {}, [], "", ""
        self.figures = {}

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "rect", "path", "circle"):
            self.open.append(tag)
        self.titles.append(tag)
        self.text = ""
        if tag == "tr":
            self.tables.setdefault(self.heading, []).append([])
        if tag == "svg":
            self.figures.setdefault(self.heading, []).append([])

    def handle_startendtag(self, tag, attrs):
        self.titles.append(tag)

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if tag in ("rect", "path", "circle"):
            return
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")
        if tag in ("h2", "summary"):
            self.heading = self.text
        if tag == "text":
            self.figures[self.heading][-1].append(self.text)
        if tag in ("td", "th"):
            self.tables[self.heading][-1].append(self.text)


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.environ["XDG_CACHE_HOME"] = self.folder.name
        self.model = os.path.join(self.folder.name, "model.json")
        with open(self.model, "w", encoding="utf-8") as file:
            json.dump(MODEL, file)

    def line(self, out, *more, pairs=192):
        return [TICLIP, "run", "--data", WORLD, "--out", os.path.join(self.folder.name, out),
                "--model", self.model, "--batch", "16", "--warmup", "2", "--vocab-size", "600",
                "--eval-pairs", "20", "--precision", "f32", "--first-step", "2020", "--threads", "1",
                "--no-tune", "--pairs", str(pairs), *more]

    def call(self, line, code=0):
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def weights(self, out, name="sequential/2022"):
        path = os.path.join(self.folder.name, out, name, "open_clip_model.safetensors")
        with open(path, "rb") as file:
            return file.read()

    def test_tables_and_json(self):
        done = self.call(self.line("a"))
        for text in ("Sequential", "Cumulative-All", "Oracle", "in-domain", "2022", "results.json"):
            self.assertIn(text, done.stdout)
        self.assertNotIn("\033", done.stdout, "colours in a pipe")
        results = json.loads(self.call(self.line("a", "--json")).stdout)
        self.assertEqual(results["schema"], 1)
        self.assertEqual(set(results["methods"]), {"sequential", "cumulative-all", "oracle"})
        evaluated = json.loads(self.call(
            [TICLIP, "eval", os.path.join(self.folder.name, "a", "oracle", "2022"), "--data", WORLD,
             "--json", "--index",
             os.path.join(self.folder.name, "a", "index.bin")]).stdout)
        self.assertEqual(evaluated["tasks"]["retrieval"]["per_step"],
                         results["methods"]["oracle"]["tasks"]["retrieval"]["E"][-1])

    def matrices_are_drawn(self, page, results):
        """Every dynamic task's, a figure a method, retrieval's first."""
        tasks = [t for t in results["methods"]["lwf"]["tasks"] if not t.startswith("static/")]
        self.assertGreater(len(tasks), 2, "retrieval, classification and a subset")
        heads = {t: t for t in tasks} | {"retrieval": "Retrieval, matrix by matrix"}
        self.assertEqual(list(page.figures)[:2], ["", heads["retrieval"]], "spending, retrieval")
        self.assertEqual(set(page.figures), {""} | set(heads.values()))
        for task, head in heads.items():
            metric = "mean recall@1" if task.startswith("retrieval") else "accuracy"
            self.assertEqual([words[0] for words in page.figures[head]], ["Sequential", "LwF"])
            for name, words in zip(("sequential", "lwf"), page.figures[head]):
                self.assertEqual(words[1], "evaluated on a step: " + metric)
                drawn = [w for w in words if "." in w]
                told = [v for row in results["methods"][name]["tasks"][task]["E"] for v in row]
                self.assertEqual(drawn, [f"{v:.3f}" for v in told if v is not None], task)

    def large_matrices_have_no_numbers(self, results):
        """40 steps: each in its place, every fifth column and second row named, the shades told."""
        run, n = os.path.join(self.folder.name, "large"), 40
        results = json.loads(json.dumps(results))
        results["steps"] = [f"s{i}" for i in range(n)]
        for method in results["methods"].values():
            method["tasks"] = {"retrieval": method["tasks"]["retrieval"]}
            method["tasks"]["retrieval"]["E"] = [[(i + j) / 100 for j in range(n)] for i in range(n)]
        os.mkdir(run)
        with open(os.path.join(run, "results.json"), "w", encoding="utf-8") as file:
            json.dump(results, file)
        self.call([TICLIP, "report", run])
        page = Page()
        with open(os.path.join(run, "report.html"), encoding="utf-8") as file:
            page.feed(file.read())
        self.assertEqual(list(page.figures), ["", "Retrieval, matrix by matrix"], "no other task")
        self.assertNotIn("Static tasks", page.tables)
        for words in page.figures["Retrieval, matrix by matrix"]:
            self.assertEqual(words[2:], [f"s{j}" for j in range(0, n, 5)] +
                             [f"s{i}" for i in range(0, n, 2)] +
                             ["rows: trained to a step", "shades: 0 to 0.780"])
        self.assertGreater(page.titles.count("rect"), 2 * n * n)

    def test_report(self):
        """A page whose table tells what results.json does, and that says so when there is no run."""
        run = os.path.join(self.folder.name, "r")
        results = json.loads(self.call(self.line("r", "--methods", "sequential,lwf", "--json")).stdout)
        self.call([TICLIP, "report", run])
        page = Page()
        with open(os.path.join(run, "report.html"), encoding="utf-8") as file:
            page.feed(file.read())
        self.assertEqual(page.open, [], "elements that were not closed")
        head, *rows = page.tables["Budget and spending"]
        rows = {row[0]: dict(zip(head, row)) for row in rows}
        self.assertEqual(set(rows), {"Sequential", "LwF"})
        for name, label in (("sequential", "Sequential"), ("lwf", "LwF")):
            macs, row = results["methods"][name]["macs"], rows[label]
            self.assertEqual(row["of budget"], f"{100 * macs['nominal'] / macs['budget']:.2f} %")
            for purpose, spent in macs["by_purpose"].items():
                told = row["issued: " + purpose].split()
                size = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[told[1] if len(told) > 1 else ""]
                self.assertAlmostEqual(float(told[0]) * size / spent["issued"], 1, delta=0.006)
        self.assertEqual(rows["Sequential"]["issued: teacher"], "-")
        scores = [row for row in page.tables["Dynamic tasks"] if row[:2] == ["retrieval", "LwF"]]
        self.assertTrue(scores[0][2].startswith(
            f"{results['methods']['lwf']['tasks']['retrieval']['in_domain']:.3f} "))
        self.matrices_are_drawn(page, results)
        self.large_matrices_have_no_numbers(results)
        elsewhere = os.path.join(self.folder.name, "page.html")
        done = self.call([TICLIP, "report", run, "--out", elsewhere, "--json"])
        self.assertEqual(json.loads(done.stdout)["report"], elsewhere)
        self.assertTrue(os.path.getsize(elsewhere) > 0)
        self.call([TICLIP, "report", self.folder.name], code=3)

    def test_experiment_file_with_flags_over_it(self):
        path = os.path.join(self.folder.name, "e.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"data": WORLD, "out": os.path.join(self.folder.name, "e"),
                       "model": self.model, "batch": 16, "warmup": 2, "vocab_size": 600,
                       "eval_pairs": 20, "precision": "f32", "pairs": 192, "first_step": "2020"}, file)
        done = self.call([TICLIP, "run", path, "--methods", "sequential", "--no-tune", "--json"])
        self.assertEqual(list(json.loads(done.stdout)["methods"]), ["sequential"])
        self.call(self.line("b", "--methods", "sequential"))
        self.assertEqual(self.weights("e"), self.weights("b"))

    def test_keywords_are_refused_before_anything_is_read(self):
        for words in ("a,,b", "w" * 64, ",".join("abcdefghijklmnopq")):
            done = self.call(self.line("k", "--keywords", words), code=2)
            self.assertIn("keywords: at most 16 words", done.stderr)
            self.assertFalse(os.path.exists(os.path.join(self.folder.name, "k")))

    def test_dry_run_trains_nothing(self):
        done = self.call(self.line("d", "--dry-run"))
        self.assertIn("nominal", done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertFalse(os.path.exists(os.path.join(self.folder.name, "d", "ledger.jsonl")))

    def test_dry_run_tells_what_is_beside_training(self):
        foretold = {}
        for method in ("sequential", "lwf"):
            line = self.line("d", "--dry-run", "--json", "--methods", method)
            foretold[method] = json.loads(self.call(line).stdout)
        nothing, teacher = foretold["sequential"], foretold["lwf"]
        self.assertEqual(nothing["extra"], 0)
        self.assertEqual(nothing["pairs"], teacher["pairs"])
        # From the second step on, a forward pass: a third of training. All steps are equally long.
        per_step = teacher["nominal"] / teacher["steps"]
        self.assertEqual(teacher["extra"], per_step * (teacher["steps"] - 1) / 3)
        self.assertGreater(teacher["memory"], nothing["memory"])

    def test_usage(self):
        done = self.call(self.line("u", "--methods", "sequentail"), 2)
        self.assertIn("sequential", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1)
        self.call([TICLIP, "run", "--bacth", "3"], 2)

    def wait_for(self, path):
        for _ in range(600):
            if os.path.exists(path):
                return
            time.sleep(0.05)
        self.fail(path + " never came")

    def test_interrupt_exits_6_and_the_same_command_continues(self):
        line = self.line("i", "--methods", "sequential", pairs=9600)
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as running:
            self.wait_for(os.path.join(self.folder.name, "i", "sequential", "2020"))
            other = self.call(line, 5)
            self.assertEqual(len(other.stderr.strip().splitlines()), 1)
            running.send_signal(signal.SIGINT)
            _, text = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 6, text)
        self.assertIn("continues", text)
        self.call(line)
        self.call(self.line("j", "--methods", "sequential", pairs=9600))
        self.assertEqual(self.weights("i"), self.weights("j"))

    def test_train_one_step(self):
        self.call(self.line("t", "--methods", "sequential"))
        line = self.line("o", pairs=64)
        line[1] = "train"
        self.call(line + ["--from", os.path.join(self.folder.name, "t", "sequential", "2020"),
                          "--step", "2021"])
        self.assertEqual(self.weights("t", "sequential/2021"), self.weights("o", "sequential/2021"))

    def of_run(self, name, *more):
        """A run with everything that decides the held-out pairs set to something else than usual,
        and its checkpoint's name."""
        self.call(self.line(name, "--methods", "sequential", "--seed", "3", "--eval-pairs", "15",
                            "--min-step", "2", "--keywords", "a", *more))
        return os.path.join(self.folder.name, name, "sequential", "2021")

    def test_eval_scores_on_the_pairs_that_the_run_held_out(self):
        checkpoint = self.of_run("s")
        line = [TICLIP, "eval", checkpoint, "--data", WORLD, "--json"]
        told = json.loads(self.call([TICLIP, "run", *self.line(
            "s", "--methods", "sequential", "--seed", "3", "--eval-pairs", "15", "--min-step", "2",
            "--keywords", "a", "--json")[2:]]).stdout)["methods"]["sequential"]["tasks"]
        found = json.loads(self.call(line).stdout)["tasks"]
        self.assertEqual(set(found), set(told))
        self.assertIn("retrieval/a", found)
        for task, one in found.items():
            if "per_step" in one:
                self.assertEqual(one["per_step"], told[task]["E"][1], task)
                self.assertEqual(one["pairs"], told[task]["pairs_per_step"], task)
        self.assertEqual(json.loads(self.call(line + ["--seed", "3"]).stdout)["tasks"], found)
        for flag in (["--seed", "0"], ["--eval-pairs", "20"], ["--granularity", "month"],
                     ["--first-step", "none"], ["--steps", "2021,2022"], ["--min-step", "0"],
                     ["--time-field", "date"], ["--filter"]):
            done = self.call(line + flag, 2)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(flag[0][2:], done.stderr)

    def test_training_on_from_a_checkpoint_holds_out_what_its_run_did(self):
        checkpoint = self.of_run("s")
        line = [TICLIP, "train", "--data", WORLD, "--out", os.path.join(self.folder.name, "o"),
                "--batch", "16", "--pairs", "64", "--no-tune", "--from", checkpoint,
                "--step", "2022", "--threads", "1", "--precision", "f32"]
        for flag in (["--seed", "0"], ["--eval-pairs", "20"], ["--first-step", "none"]):
            self.assertIn(flag[0][2:], self.call(line + flag, 2).stderr)
        self.call(line + ["--warmup", "2"])
        self.assertEqual(self.weights("s"), self.weights("o"))
        settings = {}
        for run in ("s", "o"):
            with open(os.path.join(self.folder.name, run, "experiment.json"),
                      encoding="utf-8") as file:
                settings[run] = json.load(file)
        for key in ("seed", "eval_pairs", "first_step", "min_step", "keywords"):
            self.assertEqual(settings["o"][key], settings["s"][key])


if __name__ == "__main__":
    unittest.main(verbosity=2)
