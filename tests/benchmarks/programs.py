"""bench_kernels, bench_builds and bench_step on one tiny case each: every row was checked and
measured; what is wrong or dies is reported and not timed."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

KERNELS, STEP = os.environ["BENCH_KERNELS"], os.environ["BENCH_STEP"]
BUILDS, TURNS = os.environ["BENCH_BUILDS"], os.environ["TICLIP_TURNS"]
TINY = "gemm/nn,m32,n512,k768"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def rows(program, *flags):
    done = run(program, *flags, "--benchmark_format=json", "--benchmark_min_time=0.01")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return report["context"], report["benchmarks"]


class Kernels(unittest.TestCase):
    def test_every_row_of_a_case_is_checked_and_measured(self):
        context, found = rows(KERNELS, f"--benchmark_filter=^{TINY}/f32/", "--scaling")
        self.assertEqual(context["optimised"] in ("yes", "no"), True)
        self.assertGreaterEqual(int(context["threads"]), 1)
        names = [row["name"].split("/iterations:")[0] for row in found]
        self.assertEqual(names[0], f"{TINY}/f32/auto")
        self.assertIn(f"{TINY}/f32/portable", names)
        for row in found:
            self.assertNotIn("error_message", row, row)
            self.assertGreater(row["GMAC/s"], 0)
            self.assertTrue(0 < row["peak"] < 2, row)
            self.assertAlmostEqual(row["GMAC/s"] * row["us"] * 1e3, 32 * 512 * 768, delta=1e3)
            self.assertEqual("scaling" in row, "peer:" not in row["name"])

    def test_isa_keeps_everything_to_it(self):
        context, found = rows(KERNELS, f"--benchmark_filter=^{TINY}/f32/", "--isa", "portable")
        names = {row["name"].split("/iterations:")[0] for row in found}
        self.assertEqual(names - {f"{TINY}/f32/packed"}, {f"{TINY}/f32/auto", f"{TINY}/f32/portable"})
        once = run(KERNELS, "--isa", "portable", "--isa", "portable")
        self.assertEqual(once.returncode, 2, once.stderr)
        self.assertEqual(context["isa"], "portable")
        self.assertTrue(context["plan"].startswith("portable"), context["plan"])

    def test_memory_bound_rows_are_shares_of_a_triad(self):
        _, found = rows(KERNELS, "--benchmark_filter=^l2norm/m8192,n512/f32/auto")
        self.assertEqual(len(found), 1)
        self.assertGreater(found[0]["GB/s"], 0)
        self.assertTrue(0 < found[0]["triad"] < 10, found[0])
        self.assertNotIn("peak", found[0])

    def test_list_names_every_operation(self):
        done = run(KERNELS, "--list")
        listed = {line.split("/")[0] for line in done.stdout.splitlines()}
        wanted = {"gemm", "attention", "attention_backward", "contrastive", "distill", "layernorm"}
        wanted |= {"layernorm_backward", "patchify", "embedding", "embedding_backward", "l2norm"}
        self.assertEqual(listed, wanted | {"l2norm_backward", "adamw"})

    def test_bad_flags_are_refused(self):
        for flags in (["--nonsense"], ["--samples", "0"], ["--threads"], ["--plan", "/nowhere"], ["--isa", "sse"]):
            done = run(KERNELS, *flags)
            self.assertIn(done.returncode, (2, 3), flags)
            self.assertTrue(done.stderr.strip().splitlines()[-1].startswith("bench_kernels: "))

    def test_a_plan_of_another_machine_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            plan = pathlib.Path(folder, "plan.txt")
            plan.write_text("gemm/f32/any ref\n")
            for program in (KERNELS, STEP):
                done = run(program, "--plan", str(plan), "--benchmark_filter=^none$")
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn(f"--plan {plan}: ", done.stderr)

    def with_peer(self, script):
        """The row of peer:blis when that program is `script`."""
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "bench_kernels")
            shutil.copy(KERNELS, program)
            peer = pathlib.Path(folder, "peer_blis")
            peer.write_text(script)
            peer.chmod(0o755)
            _, found = rows(program, f"--benchmark_filter=^{TINY}/f32/peer:blis/")
            self.assertEqual(len(found), 1)
            return found[0]

    def test_a_peer_that_computes_nothing_is_not_timed(self):
        answer = "import struct,sys\nwhile sys.stdin.buffer.read(96):\n"
        answer += " sys.stdout.buffer.write(struct.pack('d120x', 1e-3)); sys.stdout.flush()\n"
        row = self.with_peer(f"#!/usr/bin/env python3\n{answer}")
        self.assertIn("off by", row["error_message"])
        self.assertIn("not timed", row["error_message"])

    def test_a_peer_that_dies_is_told(self):
        row = self.with_peer("#!/bin/sh\nkill -ILL $$\n")
        self.assertIn("Illegal instruction", row["error_message"])


class Builds(unittest.TestCase):
    def duel(self, *flags, code=0):
        done = run(BUILDS, "--rounds", "2", "--seconds", "0", *flags)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_a_build_against_a_copy_of_itself(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copy(TURNS, folder)
            line = "gemm/f32/nn,m32+,n512,k768 portable"
            done = self.duel("--new-plan", line, TURNS, copy, TINY, "packed", "bf16/|/f32/")
        header, *found, mean = done.stdout.splitlines()
        self.assertEqual([row.split()[0] for row in found],
                         [f"{TINY}/f32/packed", f"{TINY},out16/bf16/packed", f"{TINY}/bf16/packed"])
        for row in found:
            ratio = float(row.split()[3])
            self.assertGreater(ratio, 0)
        if "portable" not in found[1]:
            self.assertTrue(found[0].endswith(", portable"), found[0])
            self.assertLess(float(found[0].split()[3]), 1)
        self.assertIn("of 3, geometric mean", mean)

    def test_what_is_wrong_is_told(self):
        for code, flags in [
            (2, [TURNS]),
            (2, ["--rounds", "many", TURNS, TURNS]),
            (2, ["--fast", "1", TURNS, TURNS]),
            (2, [TURNS, TURNS, "no such case"]),
            (2, ["--new-plan", "gemm/f32/any no-such", TURNS, TURNS]),
            (2, ["--isa", "avx3", TURNS, TURNS]),
            (3, [TURNS, "/nowhere.so"]),
        ]:
            done = self.duel(*flags, code=code)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class Step(unittest.TestCase):
    def test_a_step_is_measured(self):
        _, found = rows(STEP, "--benchmark_filter=^ViT-Pico-8-40/64/f32/web")
        self.assertEqual(len(found), 1)
        row = found[0]
        self.assertNotIn("error_message", row)
        self.assertTrue(0 < row["mfu"] < 2, row)
        self.assertGreaterEqual(row["issued/logical"], 1)
        self.assertGreater(row["nominal_GMAC/s"], row["GMAC/s"])
        self.assertAlmostEqual(row["mfu"] * row["peak_GMAC/s"] / row["GMAC/s"], 1, delta=0.5)

    def test_a_profile_adds_up(self):
        done = run(STEP, "--seconds", "0", "--profile", "ViT-Pico-8-40/64/f32/web")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line.split() for line in done.stdout.splitlines()[3:]]
        shares = [float(w[:-1]) for line in lines for w in line if w.endswith("%")]
        self.assertAlmostEqual(sum(shares[:-1]), shares[-1], delta=0.05 * len(shares))
        self.assertEqual({"gemm", "attention", "adamw"} - {line[0] for line in lines}, set())

    def test_unknown_case_is_refused(self):
        done = run(STEP, "--profile", "ViT-Pico")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--list", done.stderr)


if __name__ == "__main__":
    unittest.main()
