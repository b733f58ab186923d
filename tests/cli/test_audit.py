"""`ticlip audit`: what it proves, that it proves the same at other addresses, and what it says of
kernels that are wrong (in TICLIP_WRONG, a ticlip that has some)."""

import json
import os
import shutil
import subprocess
import sys
import unittest

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from tiny_model import tiny_model

MODEL = tiny_model()
SAME = ("problem", "kernel", "holds", "stepped_issued", "stepped_certified", "caught_size",
        "micro_kernel_calls", "logical", "issued", "certified")


class Audit(harness.Case):
    def setUp(self):
        super().setUp()
        self.model = self.folder / "model.json"
        self.model.write_text(json.dumps(MODEL))

    def line(self, *more):
        return ("audit", "--model", self.model, "--batch", "5", "--tokens", "7", *more)

    def test_every_problem_of_a_model(self):
        for precision in ("f32", "bf16"):
            told = self.succeed_json(*self.line("--precision", precision), timeout=600)
            self.assertEqual(told["failed"], 0)
            self.assertGreater(told["proven"], 30)
            for row in told["rows"]:
                self.assertTrue(row["holds"])
                self.assertEqual(row["stepped_issued"], row["stepped_certified"])
                self.assertEqual(row["issued"], row["certified"])
                self.assertGreaterEqual(row["issued"], row["logical"])
                multiplies = row["operation"] in ("gemm", "attention", "attention_backward",
                                                  "contrastive", "distill")
                self.assertEqual(row["issued"] > 0, multiplies, row["problem"])
                if multiplies:
                    self.assertTrue(row["whole"])

    def test_addresses_do_not_matter(self):
        line = self.line("--only", "attention")
        first = [[row[key] for key in SAME] for row in self.succeed_json(*line)["rows"]]
        again = [[row[key] for key in SAME] for row in self.succeed_json(*line)["rows"]]
        self.assertEqual(first, again)
        setarch = shutil.which("setarch")
        if setarch is None:
            return
        fixed = subprocess.run([setarch, "-R", harness.TICLIP, *map(str, line), "--json"],
                               check=True, capture_output=True, env=self.environment, timeout=300)
        rows = json.loads(fixed.stdout)["rows"]
        self.assertEqual(first, [[row[key] for key in SAME] for row in rows])

    def wrong(self, variant):
        done = subprocess.run(
            [os.environ["TICLIP_WRONG"], *map(str, self.line("--variant", variant, "--only",
                                                             "vision pooled up"))],
            capture_output=True, encoding="utf-8", env=self.environment, timeout=300, check=False)
        self.assertEqual(done.returncode, harness.VERIFY, done.stdout + done.stderr)
        return done.stderr.splitlines()[-1]

    def test_a_wrong_counter_is_named(self):
        error = self.wrong("wrong-counter")
        for part in ("wrong-counter", "vision pooled up", "issued", "executed", "miscounted",
                     "tic_line_dot"):
            self.assertIn(part, error)

    def test_a_multiply_add_too_many_is_named(self):
        error = self.wrong("wrong-kernel")
        for part in ("wrong-kernel", "vision pooled up", "issued", "executed", "they part in"):
            self.assertIn(part, error)

    def test_hidden_products_are_refused(self):
        self.assertIn("the shape needs", self.wrong("hidden"))
        error = self.wrong("hidden-twice")
        for part in ("hidden-twice", "terms more", "multiplications more outside of products"):
            self.assertIn(part, error)

    def test_products_of_bf16_outside_of_kernels_are_refused(self):
        with open("/proc/cpuinfo", encoding="utf-8") as cpu:
            if "avx512_bf16" not in cpu.read():
                self.skipTest("no VDPBF16PS on this machine")
        self.assertIn("32 MACs of bf16 outside of products, in stray", self.wrong("misplaced"))

    def test_usage(self):
        self.fail_with(harness.USAGE, ["nothing to audit"], *self.line("--only", "nonesuch"))
        self.fail_with(harness.USAGE, ["nothing to audit"], *self.line("--variant", "nonesuch"))


if __name__ == "__main__":
    harness.main()
