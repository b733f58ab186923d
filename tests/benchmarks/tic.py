"""bench_tic on a tiny world: its counters are the run's own, and a baseline is set beside them."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

TIC = os.environ["BENCH_TIC"]
TINY = ["--world", "600", "--pairs", "1800", "--methods", "sequential", "--threads", "1"]


def run(*flags):
    return subprocess.run([TIC, *flags], capture_output=True, text=True)


class Tic(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_counters_and_comparison(self):
        baseline = str(self.folder / "baseline.json")
        first = run(*TINY, f"--benchmark_out={baseline}")
        self.assertEqual(first.returncode, 0, first.stderr)
        row, = json.loads(pathlib.Path(baseline).read_text())["benchmarks"]
        self.assertGreater(row["pairs/s"], 0)
        self.assertGreater(row["mfu"], 0)
        self.assertTrue(0 < row["issued/nominal"])
        for measure in ("in_domain", "backward", "forward"):
            self.assertTrue(0 <= row[measure] <= 1)
        second = run(*TINY, "--compare", baseline)
        self.assertEqual(second.returncode, 0, second.stderr)
        lines = second.stdout.splitlines()
        self.assertTrue(any(line.split()[0] == "in_domain" and line.endswith("+0.0%")
                            for line in lines if line.split()), second.stdout)

    def test_another_budget_is_not_compared(self):
        baseline = self.folder / "baseline.json"
        row = {"name": "sequential/iterations:1", "pairs": 7, "pairs/s": 1.0}
        baseline.write_text(json.dumps({"context": {"cpu": "a CPU", "isa": "avx2", "threads": "3"},
                                        "benchmarks": [row]}))
        done = run(*TINY, "--compare", str(baseline))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("baseline: a CPU, avx2, 3 threads", done.stdout)
        self.assertRegex(done.stdout, r"sequential +another budget: 7 pairs in the baseline, 1\d+ now")
        self.assertNotIn("%", done.stdout.split("another budget")[1])

    def test_refusals(self):
        for flags, code in ((["--methods", "nothing"], 2), (["--compare", "/nowhere"], 3),
                            (["--nonsense"], 2), (["--pairs", "0"], 2)):
            done = run(*flags)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertTrue(done.stderr.strip().splitlines()[-1].startswith("bench_tic: "))


if __name__ == "__main__":
    unittest.main()
