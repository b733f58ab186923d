"""bench_tic on a tiny world: its counters are the run's own, and a baseline, as it is or as
record_tic.py keeps it, is set beside them."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import record_tic  # noqa: E402

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
        record = [sys.executable, str(ROOT / "benchmarks" / "record_tic.py"), baseline, "--results",
                  str(self.folder)]
        recorded = subprocess.run(record, capture_output=True, text=True, check=True).stdout.strip()
        self.assertNotIn(str(self.folder), pathlib.Path(recorded).read_text(), "a path of this machine")
        second = run(*TINY, "--compare", recorded)
        self.assertEqual(second.returncode, 0, second.stderr)
        lines = second.stdout.splitlines()
        self.assertTrue(any(line.split()[0] == "in_domain" and line.endswith("+0.0%")
                            for line in lines if line.split()), second.stdout)

    def test_all_is_the_whole_table(self):
        done = run("--methods", "all", "--world", "100", "--benchmark_list_tests")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = re.findall(r'\.name = "([^"]+)"', (ROOT / "continual" / "methods.c").read_text())
        self.assertEqual([line.split("/")[0] for line in done.stdout.splitlines()], rows)

    def test_what_was_not_measured_is_kept(self):
        def document(budget, **rates):
            context = dict.fromkeys(record_tic.CONTEXT, "x") | {"budget": budget, "host_name": "h"}
            rows = [{"name": f"{method}/iterations:1", **dict.fromkeys(record_tic.COUNTERS, rate)}
                    for method, rate in rates.items()]
            return {"context": context, "benchmarks": rows}

        before = record_tic.merge([document("9 pairs", lwf=1, oracle=2)])
        self.assertNotIn("host_name", before["context"])
        kept = record_tic.rows_of(record_tic.merge([document("9 pairs", sequential=3, oracle=4)], before))
        self.assertEqual({method: row["pairs/s"] for method, row in kept.items()},
                         {"sequential": 3, "oracle": 4, "lwf": 1})
        fresh = record_tic.merge([document("8 pairs", sequential=3)], before)
        self.assertEqual(list(record_tic.rows_of(fresh)), ["sequential"], "of another budget")
        with self.assertRaises(ValueError):
            record_tic.merge([document("8 pairs", lwf=1), document("9 pairs", oracle=1)])

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
