"""The benchmarks' scripts, on output recorded from the programs (recorded.json) and on the results
that the page was written from."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock
from xml.etree import ElementTree

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "benchmarks"))

import compare_ops
import compare_step
import comparison
import figure
import performance_page
import results as r
import targets

RECORDED = json.loads((pathlib.Path(__file__).parent / "recorded.json").read_text())


def record(**parts):
    chosen = RECORDED | parts
    return r.record([chosen["kernels"]], chosen["steps"], chosen["operations"])


class Results(unittest.TestCase):
    def setUp(self):
        self.found = record()

    def test_rows_become_cases(self):
        rows = self.found["kernels"]["gemm/nt,m1600,n768,k768/f32"]
        self.assertEqual(set(rows), {"auto", "packed", "peer:blis", "peer:onednn", "about"})
        self.assertEqual(rows["auto"]["ran"], "blis-skx-32x12")
        self.assertEqual(rows["about"], "ViT-B-32 vision, projection")
        self.assertEqual(rows["peer:onednn"], {"error": "died: Illegal instruction"})
        self.assertEqual(self.found["kind"], "amx_bf16")

    def test_shares_are_geometric_means_of_packed_rows(self):
        self.assertAlmostEqual(r.gemm_share(self.found, "f32", True), (0.9 * 0.4) ** 0.5)
        self.assertAlmostEqual(r.gemm_share(self.found, "f32", False), 0.8)
        self.assertIsNone(r.gemm_share(self.found, "bf16", True))
        self.assertAlmostEqual(r.over_blis(self.found), (1.125 * 0.5) ** 0.5)

    def test_worst_shape_against_the_best_peer(self):
        self.assertAlmostEqual(r.worst_over_peer(self.found, "f32", True), 0.5)
        self.assertAlmostEqual(r.worst_over_peer(self.found, "f32", False), 0.375)
        self.assertIsNone(r.worst_over_peer(self.found, "bf16", True))

    def test_steps_and_operations(self):
        self.assertEqual(r.step_ratio(self.found, "ViT-B-32", "f32", "web"), 2.5)
        self.assertEqual(r.step_mfu(self.found, "ViT-B-32", "f32"), 0.7)
        self.assertEqual(r.step_scaling(self.found, "ViT-B-32", "f32"), 1.9)
        self.assertIsNone(r.step_ratio(self.found, "ViT-B-32", "f32", "full"))
        name = "contrastive, B 8192, D 512"
        self.assertEqual(r.memory_over_torch(self.found, name, "f32"), 25)

    def test_a_second_machine_is_refused(self):
        other = json.loads(json.dumps(RECORDED["steps"]))
        other[0]["context"]["cpu"] = "another"
        with self.assertRaisesRegex(ValueError, "2 machines"):
            record(steps=other)

    def test_a_limited_machine_is_a_kind_of_its_own(self):
        def limited(isa):
            steps = json.loads(json.dumps(RECORDED["steps"]))
            for row in steps:
                row["context"] |= {"isa": isa, "isa_of_cpu": "amx_bf16"}
            return steps

        self.assertEqual(r.record([], limited("avx2"), [])["kind"], "avx2_limited")
        with self.assertRaisesRegex(ValueError, "no column for avx512"):
            r.record([], limited("avx512"), [])
        with self.assertRaisesRegex(ValueError, "2 machines"):
            record(steps=limited(RECORDED["steps"][0]["context"]["isa"]))

    def test_a_cpu_may_be_a_kind_of_its_own(self):
        def kind(cpu, **more):
            steps = json.loads(json.dumps(RECORDED["steps"]))
            for row in steps:
                row["context"] |= {"isa": "avx512_bf16", "cpu": cpu, **more}
            return r.record([], steps, [])["kind"]

        self.assertEqual(kind("AMD EPYC, family 26 model 2"), "avx512_bf16_zen5")
        self.assertEqual(kind("AMD EPYC, family 25 model 17"), "avx512_bf16")
        self.assertEqual(kind("AMD EPYC, family 26 model 80"), "avx512_bf16")
        limited = {"isa": "avx2", "isa_of_cpu": "avx512_bf16"}
        self.assertEqual(kind("AMD EPYC, family 26 model 2", **limited), "avx2_limited")

    def test_rows_beside_a_low_peak_are_told(self):
        kernels = {f"gemm/x{i}/f32": {"about": "", "auto": {"peak_GMAC/s": 200 + i}} for i in range(5)}
        self.assertEqual(r.beside_a_low_peak(kernels), [])
        kernels["gemm/x9/f32"] = {"auto": {"peak_GMAC/s": 110}, "peer:x": {"peak_GMAC/s": 210}}
        kernels["gemm/x9/bf16"] = {"auto": {"peak_GMAC/s": 110}}
        self.assertEqual(r.beside_a_low_peak(kernels), ["gemm/x9/f32/auto"])

    def test_torch_is_kept_to_the_same(self):
        self.assertEqual(comparison.torch_environment("avx2")["ATEN_CPU_CAPABILITY"], "avx2")
        self.assertIsNone(comparison.torch_environment(None))

    def test_another_plan_is_refused(self):
        other = json.loads(json.dumps(RECORDED["steps"]))
        other[0]["context"]["plan"] = "another"
        with self.assertRaisesRegex(ValueError, "2 machines.* or plans"):
            record(steps=other)

    def test_text_is_json_and_stable(self):
        text = r.to_text(self.found)
        again = json.loads(text)
        self.assertEqual(r.to_text(again), text)
        self.assertEqual(again["kernels"], self.found["kernels"])


class Page(unittest.TestCase):
    def test_cells_say_met_short_or_not_measured(self):
        row = targets.Row("x", lambda found: found["x"], "%", 0.9, None, 0.8)
        self.assertEqual(row.cell("avx2", None), "not measured here (target 90 %)")
        self.assertEqual(row.cell("avx2", {"x": 0.91}), "91.0 %, met (target 90 %)")
        self.assertEqual(row.cell("avx2", {"x": 0.89}), "89.0 %, short (target 90 %)")
        self.assertEqual(row.cell("avx512_bf16", {"x": 0.89}), "89.0 %")
        self.assertEqual(row.cell("avx2", {"x": float("nan")}), "nan %, short (target 90 %)")

    def test_page_is_written_between_its_markers(self):
        old = f"before {performance_page.BEGIN} old {performance_page.END} after"
        found = record()
        found["profiles"] = ["gemm  1 ms"]
        page = performance_page.page_text(old, {"avx2": None, "avx512_bf16": None, "amx_bf16": found})
        self.assertTrue(page.startswith("before ") and page.endswith(" after"))
        self.assertNotIn(" old ", page)
        self.assertIn("peer:onednn: died: Illegal instruction", page)
        self.assertIn("| ViT-B-32/32/f32/web |", page)
        self.assertIn("\n    gemm  1 ms\n", page)
        with self.assertRaises(SystemExit):
            performance_page.page_text("no markers", {})

    def test_record_keeps_what_was_not_measured_again(self):
        with tempfile.TemporaryDirectory() as folder:
            k = pathlib.Path(folder, "k.json")
            s = pathlib.Path(folder, "s.json")
            k.write_text(json.dumps(RECORDED["kernels"]))
            s.write_text(json.dumps({"steps": RECORDED["steps"]}))
            with mock.patch.object(performance_page, "RESULTS", pathlib.Path(folder, "results")):
                for argv in (["--kernels", str(k)], ["--steps", str(s)]):
                    with mock.patch.object(sys, "argv", ["page", "record", *argv]):
                        with contextlib.redirect_stdout(io.StringIO()):
                            performance_page.main()
                kept = performance_page.load("amx_bf16")
                # another step, then the first again: each keeps the other, in its place
                first = RECORDED["steps"][0]
                for row in (dict(first, case="ViT-X/1/f32/web"), dict(first, ratio=9.5)):
                    s.write_text(json.dumps({"steps": [row]}))
                    with mock.patch.object(sys, "argv", ["page", "record", "--steps", str(s)]):
                        with contextlib.redirect_stdout(io.StringIO()):
                            performance_page.main()
                merged = performance_page.load("amx_bf16")
            self.assertEqual(len(kept["steps"]), len(RECORDED["steps"]))
            self.assertIn("gemm/nt,m1600,n768,k768/f32", kept["kernels"])
            self.assertEqual([(row["case"], row["ratio"]) for row in merged["steps"]],
                             [(first["case"], 9.5), ("ViT-X/1/f32/web", first["ratio"])])

    def test_the_committed_page_is_what_the_results_say(self):
        done = subprocess.run(
            [sys.executable, TOP / "benchmarks" / "performance_page.py", "page", "--check"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_row_of_the_issue_has_a_target_somewhere(self):
        for kind in targets.COLUMNS:
            self.assertGreater(sum(row.targets[kind] is not None for row in targets.ROWS), 12)


class Figure(unittest.TestCase):
    def test_bars_are_well_formed_and_in_proportion(self):
        rows = [("a & b", 2.0, 1.5, 2.5), ("c", 1.0, 1.0, 1.0), ("slow", 0.5, 0.4, 0.6)]
        root = ElementTree.fromstring(figure.bars("t < u", "x", rows))
        bars = [e for e in root if e.tag.endswith("rect")][1:]
        widths = [float(bar.get("width")) for bar in bars]
        self.assertAlmostEqual(widths[0] / widths[1], 2, delta=0.01)
        self.assertNotEqual(bars[2].get("fill"), bars[1].get("fill"))


class Comparisons(unittest.TestCase):
    def test_ratio_is_the_median_round_by_round(self):
        found = comparison.ratio_of([2, 4, 9], [1, 1, 3])
        self.assertEqual((found["ratio"], found["least"], found["greatest"]), (3, 2, 4))

    def test_tables(self):
        out = io.StringIO()
        comparison.print_table([["a", "b"], ["x", "10"]], True, out)
        self.assertEqual(out.getvalue(), "| a |  b |\n|---|---:|\n| x | 10 |\n")

    @unittest.skipUnless("BENCH_KERNELS" in os.environ, "the programs were not built")
    def test_every_row_that_is_compared_exists(self):
        def listed(program):
            done = subprocess.run([program, "--list"], capture_output=True, text=True)
            return {line.split()[0] for line in done.stdout.splitlines()}

        kernels, steps = listed(os.environ["BENCH_KERNELS"]), listed(os.environ["BENCH_STEP"])
        for operation in compare_ops.OPERATIONS:
            for precision in ("f32", "bf16"):
                for row in compare_ops.rows_for(operation, precision):
                    self.assertIn(f"{row}/auto", kernels)
        self.assertEqual(set(compare_step.DEFAULT_CASES) - steps, set())
        names = {operation[0] for operation in compare_ops.OPERATIONS}
        self.assertIn(targets.LOSS, names)
        for tokens in (197, 77, 50, 16):
            self.assertIn(f"attention, {tokens} tokens", names)

    def test_a_missing_torch_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "torch.py").write_text("raise ImportError('no', name='torch')")
            for program, flags in (("torch_ops.py", []), ("torch_step.py", ["x.json"])):
                pathlib.Path(folder, "x.json").write_text("{}")
                done = subprocess.run(
                    [sys.executable, TOP / "benchmarks" / "peers" / program, *flags],
                    cwd=folder,
                    env=os.environ | {"PYTHONPATH": folder},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                )
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("pip install torch", done.stderr)


if __name__ == "__main__":
    unittest.main()
