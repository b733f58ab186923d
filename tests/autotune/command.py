"""`ticlip tune`, and the plans that `ticlip run` makes, takes and refuses, as a user meets them.

Usage: command.py TICLIP; the small world is in the environment (TIC_TINY_WORLD).
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from tiny_model import tiny_model

TICLIP = sys.argv.pop(1)
WORLD = os.path.join(os.environ["TIC_TINY_WORLD"], "plain")
MODEL = tiny_model(layers=2)


class Tune(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.environment = dict(os.environ, XDG_CACHE_HOME=str(self.folder / "cache"))
        self.model = self.folder / "model.json"
        self.model.write_text(json.dumps(MODEL), encoding="utf-8")

    def call(self, *arguments, code=0):
        done = subprocess.run([TICLIP, *map(str, arguments)], capture_output=True, text=True,
                              timeout=240, check=False, env=self.environment)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def tune(self, *more, code=0):
        return self.call("tune", "--model", self.model, "--batch", "16", "--precision", "f32",
                         "--threads", "1", "--seconds", "1", *more, code=code)

    def run_model(self, out, *more, code=0):
        return self.call("run", "--data", WORLD, "--out", self.folder / out, "--model", self.model,
                         "--batch", "16", "--warmup", "2", "--vocab-size", "600", "--eval-pairs",
                         "20", "--precision", "f32", "--first-step", "2020", "--threads", "1",
                         "--pairs", "192", "--methods", "sequential", *more, code=code)

    def plan_file(self):
        files = list((self.folder / "cache" / "ticlip").glob("plan-*-1t.txt"))
        self.assertEqual(len(files), 1)
        return files[0]

    def test_json_table_and_file(self):
        found = json.loads(self.tune("--json").stdout)
        lines = self.plan_file().read_text(encoding="utf-8").splitlines()
        self.assertEqual(lines[0], "ticlip plan 1")
        self.assertEqual(lines[1], "machine " + found["machine"])
        self.assertEqual(found["plan"], str(self.plan_file()))
        keys = [problem["key"] for problem in found["problems"]]
        self.assertEqual(len(keys), len(set(keys)))
        self.assertTrue(any(key.startswith("gemm/f32/tn,") for key in keys))
        self.assertTrue(any(key.startswith("attention_backward/f32/") for key in keys))
        for problem in found["problems"]:
            self.assertIn(f"{problem['key']} {problem['winner']}", lines)
            self.assertGreater(problem["seconds"], 0)
            if problem["winner"] != problem["default"]:
                self.assertGreaterEqual(problem["gain"], 0.02)
        text = self.tune().stdout
        for word in ("problem", "so far", "winner", "gain", "share of peak", "vision qkv"):
            self.assertIn(word, text)

    def test_a_second_tuning_begins_with_what_the_first_found(self):
        first = {p["key"]: p["winner"] for p in json.loads(self.tune("--json").stdout)["problems"]}
        second = json.loads(self.tune("--json").stdout)["problems"]
        self.assertEqual({p["key"]: p["default"] for p in second}, first)
        for problem in second:
            if problem["winner"] != problem["default"]:
                self.assertGreaterEqual(problem["gain"], 0.02)

    def test_explain_tells_all_and_writes_nothing(self):
        text = self.tune("--explain", "vision up dW").stdout
        for word in ("MAC a byte", "triad", "bound", "the default", "the reference", "reached"):
            self.assertIn(word, text)
        self.assertFalse(list((self.folder / "cache").rglob("plan-*")))
        done = self.tune("--explain", "no such thing", code=2)
        self.assertIn("no such thing", done.stderr)

    def test_against_measures_both_plans_and_writes_nothing(self):
        self.tune()
        file = self.plan_file()
        text = file.read_text(encoding="utf-8")
        same = json.loads(self.tune("--against", file, "--json").stdout)
        self.assertEqual(same["differ"], 0)
        self.assertEqual(same["alike"], len(same["problems"]))
        kernels = [line.split()[0] for line in text.splitlines() if line.startswith("gemm/f32/nt,")]
        other = self.folder / "other.txt"
        other.write_text(self.signed("".join(
            f"{line.split()[0]} ref\n" if line.split()[0] == kernels[0] else line + "\n"
            for line in text.splitlines())), encoding="utf-8")
        found = json.loads(self.tune("--against", other, "--json").stdout)
        self.assertEqual(found["differ"], 1)
        row, = [row for row in found["problems"] if row["plan"] != row["against"]]
        self.assertEqual(row["key"], kernels[0])
        self.assertGreater(row["ratio"], 1)
        self.assertIn("1 of them more than 2 % apart", self.tune("--against", other).stdout)
        self.assertEqual(file.read_text(encoding="utf-8"), text)
        self.assertIn("no such plan", self.tune("--against", self.folder / "none", code=3).stderr)
        other.write_text(text[:-2], encoding="utf-8")
        self.assertIn("refused", self.tune("--against", other, code=3).stderr)

    def test_first_run_tunes_and_the_next_takes_it(self):
        first = self.run_model("a")
        self.assertIn("tuned", first.stderr)
        plan = self.plan_file().read_text(encoding="utf-8").splitlines()
        own = (self.folder / "a" / "plan.txt").read_text(encoding="utf-8").splitlines()
        for line in plan[2:-1]:
            self.assertIn(line, own)
        self.assertNotIn("tuned", self.run_model("b").stderr)
        weights = [(self.folder / name / "sequential/2022/open_clip_model.safetensors").read_bytes()
                   for name in "ab"]
        self.assertEqual(*weights)

    def test_no_tune_measures_nothing(self):
        done = self.run_model("a", "--no-tune")
        self.assertNotIn("tun", done.stderr)
        self.assertFalse(list((self.folder / "cache").rglob("plan-*")))

    def test_bad_plans_are_refused_and_the_run_goes_on(self):
        self.tune()
        file = self.plan_file()
        good = file.read_text(encoding="utf-8")
        bad = {"altered": good.replace("attention/f32/any ", "attention/f32/any  "),
               "cut off": good[:len(good) // 2],
               "another build of ticlip": None}
        for i, (reason, text) in enumerate(bad.items()):
            if text is None:
                text = self.signed(good.replace("kernels=", "kernels=f"))
            file.write_text(text, encoding="utf-8")
            done = self.run_model(f"r{i}", "--no-tune")
            self.assertIn(reason, done.stderr)
            self.assertIn(str(file), done.stderr)
            self.assertTrue((self.folder / f"r{i}" / "results.json").exists())
        done = self.run_model("anew")
        self.assertIn("another build of ticlip", done.stderr)
        self.assertIn("tuned", done.stderr)
        self.assertNotIn("kernels=f", file.read_text(encoding="utf-8").replace(
            good.splitlines()[1], ""))

    @staticmethod
    def signed(text):
        import hashlib
        body = "".join(line + "\n" for line in text.splitlines()[:-1])
        return body + "sha256 " + hashlib.sha256(body.encode()).hexdigest() + "\n"

    def test_a_given_plan_overrides(self):
        given = self.folder / "mine.txt"
        self.tune("--plan", given)
        self.assertFalse((self.folder / "cache").exists())
        text = given.read_text(encoding="utf-8").splitlines()
        text.insert(2, "adamw/f32/any ref")
        given.write_text(self.signed("\n".join(text)), encoding="utf-8")
        done = self.run_model("a", "--plan", given)
        self.assertNotIn("tuned", done.stderr)
        self.assertIn("adamw/f32/any ref\n",
                      (self.folder / "a" / "plan.txt").read_text(encoding="utf-8"))
        done = self.run_model("b", "--plan", self.folder / "none.txt", code=3)
        self.assertIn("none.txt", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
