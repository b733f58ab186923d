"""`ticlip verify` and `ticlip compare`: every field of a run is altered, one at a time, and each
alteration is caught and named; also when the ledger's chain is made whole again afterwards.

Usage: verify.py TICLIP; the small world is in the environment (TIC_TINY_WORLD).
"""
import copy
import hashlib
import json
import os
import shutil
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
# What a changed ledger whose chain was made whole again cannot be told from a true one by: times and
# the machine. (The chain's own fields are made anew.)
UNPROVEN = {"time", "seconds", "machine", "seq", "prev"}


def leaves(value, path=()):
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], path + (key,))
    elif isinstance(value, list):
        for i, one in enumerate(value[:2]):
            yield from leaves(one, path + (i,))
    else:
        yield path


def altered(document, path):
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    value = at[path[-1]]
    if isinstance(value, bool):
        at[path[-1]] = not value
    elif isinstance(value, int):
        at[path[-1]] = value + 1
    elif isinstance(value, float):
        at[path[-1]] = value * 0.5 + 0.013
    elif value is None:
        at[path[-1]] = 0.5
    else:
        flipped = "1" if value[-1:] == "0" else "0"
        at[path[-1]] = value[:-1] + flipped
    return document


def dump(line):
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False)


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.top = cls.holder.name
        os.environ["XDG_CACHE_HOME"] = cls.top
        cls.model = os.path.join(cls.top, "model.json")
        with open(cls.model, "w", encoding="utf-8") as file:
            json.dump(MODEL, file)
        cls.run_folder = cls.train("whole")

    @classmethod
    def train(cls, out, *more, methods="sequential,cumulative-all", pairs="192", data=WORLD):
        folder = os.path.join(cls.top, out)
        cls.run_it(folder, *more, methods=methods, pairs=pairs, data=data)
        return folder

    @classmethod
    def command(cls, folder, *more, methods="sequential,cumulative-all", pairs="192", data=WORLD):
        return [TICLIP, "run", "--data", data, "--out", folder, "--model", cls.model,
                "--batch", "16", "--warmup", "2", "--vocab-size", "600", "--eval-pairs",
                "20", "--precision", "f32", "--first-step", "2020", "--threads", "1",
                "--no-tune", "--methods", methods, "--pairs", pairs, *more]

    @classmethod
    def run_it(cls, folder, *more, **settings):
        """Begins the run, or goes on with it."""
        subprocess.run(cls.command(folder, *more, **settings), check=True, capture_output=True,
                       timeout=300)

    def setUp(self):
        self.copy = os.path.join(self.top, "copy")
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.run_folder, self.copy)

    def verify(self, *more, folder=None):
        return subprocess.run([TICLIP, "verify", folder or self.copy, "--threads", "1", *more],
                              capture_output=True, text=True, timeout=300, check=False)

    def caught(self, names, what, *more):
        done = self.verify(*more)
        self.assertEqual(done.returncode, 4, f"{what}: {done.stdout}{done.stderr}")
        self.assertNotIn("verified", done.stdout, what)
        self.assertTrue(any(name in done.stderr for name in names), f"{what}: {done.stderr}")

    def path(self, name):
        return os.path.join(self.copy, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def write_bytes(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    # ---- what holds ---------------------------------------------------------------------------

    def test_a_true_run_is_verified(self):
        done = self.verify("--deep", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("verified\n"), done.stdout)
        for claim in ("ledger", "experiment.json", "results.json", "vocabulary", "plan", "data",
                      "steps", "sequential/2022", "cumulative-all/2021", "evaluated again"):
            self.assertIn(claim, done.stdout)
        told = json.loads(self.verify("--json").stdout)
        self.assertTrue(told["verified"])
        self.assertIsNone(told["broken"])

    def test_every_method(self):
        folder = self.train("all", methods="all")
        done = self.verify(folder=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_strict_accounting_and_carried_leftovers(self):
        folder = self.train("strict", "--accounting", "strict", "--carry",
                            methods="sequential,lwf", pairs="250")
        done = self.verify(folder=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("all of the method's work included", done.stdout)

    def test_no_run(self):
        os.mkdir(self.path("empty"))
        self.assertEqual(self.verify(folder=self.path("empty")).returncode, 3)

    def events(self, folder):
        try:
            with open(os.path.join(folder, "ledger.jsonl"), encoding="utf-8") as file:
                return [json.loads(line)["event"] for line in file.read().split("\n")[:-1]]
        except FileNotFoundError:
            return []

    def interrupted(self, out, ready, **settings):
        """A run that gets SIGINT as soon as its folder is ready, and exits with 6."""
        folder = os.path.join(self.top, out)
        with subprocess.Popen(self.command(folder, "--eval-pairs", "200", **settings),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
            until = time.monotonic() + 120
            while not ready(folder) and run.poll() is None and time.monotonic() < until:
                time.sleep(0.001)
            run.send_signal(signal.SIGINT)
            _, told = run.communicate(timeout=120)
        return folder, run.returncode, told

    def in_progress(self, out, ready, claim, **settings):
        """Such a run as the copy, which verifies and tells `claim` of its step."""
        folder, code, told = self.interrupted(out, ready, **settings)
        self.assertEqual(code, 6, told)
        shutil.rmtree(self.copy)
        shutil.copytree(folder, self.copy)
        done = self.verify()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(claim, done.stdout)

    def test_an_honest_run_that_was_stopped_while_evaluating(self):
        """Results are of the evaluation before: the ledger knows of a step more."""
        data = os.path.join(os.environ["TIC_TINY_WORLD"], "full")
        settings = {"methods": "sequential", "data": data}
        for attempt in range(5): # the evaluation may be over before the signal comes
            folder, code, told = self.interrupted(
                f"stopped{attempt}", lambda f: self.events(f).count("step_end") == 2, **settings)
            if code == 6 and self.events(folder)[-1] == "step_end":
                break
        self.assertEqual(code, 6, told)
        self.assertIn("stopped while evaluating", told)
        with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
            self.assertLess(json.load(file)["ledger"]["events"], len(self.events(folder)))
        done = self.verify(folder=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("every number follows from the ledger's first", done.stdout)
        self.assertIn("not evaluated yet", done.stdout)
        shutil.rmtree(self.copy)
        shutil.copytree(folder, self.copy)
        results = json.loads(self.read("results.json"))
        results["methods"]["sequential"]["pairs_seen"] += 1
        self.write("results.json", json.dumps(results))
        self.caught(["results.json: methods/sequential/pairs_seen"], "behind, and altered")
        self.run_it(folder, "--eval-pairs", "200", **settings)
        done = self.verify(folder=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_part_of_a_state(self):
        """A run in progress: neither header, metadata nor values of its state may change."""
        self.in_progress("begun", lambda f: "step_start" in self.events(f),
                         "state.safetensors is whole", methods="sequential", pairs="96000")
        name = "sequential/2020/state.safetensors"
        with open(self.path(name), "rb") as file:
            was = file.read()
        header = 8 + int.from_bytes(was[:8], "little")
        places = [0, 7, header, header + 3, (header + len(was)) // 2, len(was) - 4, len(was) - 1]
        for word in (b'"spent"', b'"iterations"', b'\\"order\\"', b'"from"', b'"board"', b'"updates"',
                     b'"checksum":"', b'"weight.', b'"F32"', b'"data_offsets"', b'"moment2.'):
            self.assertIn(word, was[:header])
            places += [was.index(word) + at for at in (1, len(word) + 2)]
        for at in places:
            with open(self.path(name), "wb") as file:
                file.write(was[:at] + bytes([was[at] ^ 1]) + was[at + 1:])
            self.caught(["sequential/2020: "], f"byte {at}")
        for changed in (was[:-1], was + b"\0", b""):
            with open(self.path(name), "wb") as file:
                file.write(changed)
            self.caught(["sequential/2020: "], f"{len(changed)} bytes")

    def test_results_that_leave_evaluations_out(self):
        results = json.loads(self.read("results.json"))
        lines = self.read("ledger.jsonl").splitlines()
        at = [json.loads(line)["event"] for line in lines].index("evaluation") + 1
        results["ledger"] = {"events": at,
                             "last": hashlib.sha256(lines[at - 1].encode()).hexdigest()}
        self.write("results.json", json.dumps(results))
        self.caught(["results.json: 5 evaluations of the ledger are missing"], "left out")

    def test_long_names_of_subtrees(self):
        """Two that begin alike, too long for the name of a task, are not one task."""
        data = os.path.join(self.top, "long-names")
        os.mkdir(data)
        for name in os.listdir(WORLD):
            if name.endswith(".tar"):
                os.symlink(os.path.realpath(os.path.join(WORLD, name)), os.path.join(data, name))
        with open(os.path.join(WORLD, "classes.json"), encoding="utf-8") as file:
            classes = json.load(file)
        for i, one in enumerate(classes["classes"]):
            one["subtree"] = ("n" * 63, "n" * 90 + "1", "n" * 90 + "2")[i % 3]
        with open(os.path.join(data, "classes.json"), "w", encoding="utf-8") as file:
            json.dump(classes, file)
        folder = self.train("long", methods="sequential", data=data)
        with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
            tasks = json.load(file)["methods"]["sequential"]["tasks"]
        self.assertEqual([t for t in tasks if t.startswith("classification/")],
                         ["classification/" + "n" * 63])
        done = self.verify(folder=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # ---- what was altered ---------------------------------------------------------------------

    def test_every_field_of_the_ledger(self):
        lines = [json.loads(line) for line in self.read("ledger.jsonl").splitlines()]
        tried = set()
        for i, line in enumerate(lines):
            for path in leaves(line):
                shape = (line["event"],) + tuple(k for k in path if isinstance(k, str))
                if shape in tried and i + 1 < len(lines):
                    continue
                tried.add(shape)
                changed = [dump(one) for one in lines]
                changed[i] = dump(altered(line, path))
                self.write("ledger.jsonl", "\n".join(changed) + "\n")
                self.caught(["ledger"], f"line {i + 1} {path}")
        self.assertGreater(len(tried), 60)

    def rechained(self, lines):
        last = "0" * 64
        texts = []
        for seq, line in enumerate(lines):
            line = dict(line, seq=seq, prev=last)
            texts.append(dump(line))
            last = hashlib.sha256(texts[-1].encode()).hexdigest()
        self.write("ledger.jsonl", "\n".join(texts) + "\n")
        results = json.loads(self.read("results.json"))
        results["ledger"] = {"events": len(texts), "last": last}
        self.write("results.json", json.dumps(results))

    def test_fields_behind_a_chain_made_whole_again(self):
        lines = [json.loads(line) for line in self.read("ledger.jsonl").splitlines()]
        results = self.read("results.json")
        tried = set()
        for i, line in enumerate(lines):
            for path in leaves(line):
                keys = tuple(k for k in path if isinstance(k, str))
                if UNPROVEN & set(keys) or (line["event"],) + keys in tried:
                    continue
                tried.add((line["event"],) + keys)
                self.write("results.json", results)
                self.rechained(lines[:i] + [altered(line, path)] + lines[i + 1:])
                # by its own name, or by what no longer follows from it
                where = ["data:", "model:", "results.json: methods/", "sequential/20",
                         "cumulative-all/20", "ledger: "]
                self.caught(where + list(keys), f"line {i + 1} {path}")
        self.assertGreater(len(tried), 40)

    def test_lines_dropped_and_swapped(self):
        lines = self.read("ledger.jsonl").splitlines()
        for changed in (lines[:-1], lines[:3] + lines[4:], lines[:2] + [lines[3], lines[2]] + lines[4:]):
            self.write("ledger.jsonl", "\n".join(changed) + "\n")
            self.caught(["ledger"], "lines")

    def test_every_field_of_the_results(self):
        results = json.loads(self.read("results.json"))
        tried = set()
        for path in leaves(results):
            keys = tuple(k for k in path if isinstance(k, str))
            if keys in tried:
                continue
            tried.add(keys)
            self.write("results.json", json.dumps(altered(results, path)))
            self.caught(["results.json", "ledger"], path)
        self.assertGreater(len(tried), 60)

    def test_every_setting(self):
        settings = json.loads(self.read("experiment.json"))
        for key in settings:
            self.write("experiment.json", json.dumps(altered(settings, (key,))))
            self.caught([key], key)
        for key in settings:
            self.write("experiment.json",
                       json.dumps({k: v for k, v in settings.items() if k != key}))
            self.caught([key], f"without {key}")

    def test_every_file(self):
        claims = {"plan.txt": "plan", "vocab.txt.gz": "vocabulary", "index.bin": "index.bin",
                  "ledger.jsonl": "ledger", "results.json": "results.json",
                  "experiment.json": "experiment.json"}
        remade = ("index.bin", "events.out") # or only for the eye: may be missing
        names = [os.path.relpath(os.path.join(at, name), self.copy)
                 for at, _, names in os.walk(self.copy) for name in names]
        self.assertEqual(len(names), len(set(names)))
        self.assertTrue(set(claims) < set(names))
        tried = 0
        for name in sorted(names):
            if name == "lock":
                continue # empty
            claim = claims.get(name, "/20")
            with open(self.path(name), "rb") as file:
                was = file.read()
            for at in (0, len(was) // 2, len(was) - 1):
                if chr(was[at]).isspace() and name.endswith(".json"):
                    at += 1 if at == 0 else -1 # white space says nothing
                self.write_bytes(name, was[:at] + bytes([was[at] ^ 1]) + was[at + 1:])
                self.caught([claim], f"{name} at {at}")
                tried += 1
            os.remove(self.path(name))
            if not os.path.basename(name).startswith(remade):
                self.assertIn(self.verify().returncode, (3, 4), name)
            self.write_bytes(name, was)
        self.assertGreater(tried, 3 * (6 + 6 * 2))
        self.assertEqual(self.verify().returncode, 0)

    def test_the_fisher_information_of_a_step_in_progress(self):
        fisher = "ewc-1/2021/fisher.safetensors"
        self.in_progress("fisher", lambda f: os.path.exists(os.path.join(f, fisher)),
                         "fisher.safetensors is whole", methods="ewc-1", pairs="9600")
        with open(self.path(fisher), "rb") as file:
            was = file.read()
        for at in (0, was.index(b"extra") + 9, len(was) // 2, len(was) - 1):
            self.write_bytes(fisher, was[:at] + bytes([was[at] ^ 1]) + was[at + 1:])
            self.caught(["ewc-1/2021: "], f"byte {at}")

    def test_every_file_that_a_step_hands_on(self):
        """Trunks and moments: the next step goes on from them."""
        folder = self.train("handed", "--schedule", "const-cosine", "--keep-optimizer",
                            methods="sequential", pairs="480")
        shutil.rmtree(self.copy)
        shutil.copytree(folder, self.copy)
        self.assertEqual(self.verify().returncode, 0)
        step = self.path("sequential/2021")
        files = {os.path.relpath(os.path.join(at, name), step)
                 for at, _, names in os.walk(step) for name in names}
        whole = {"open_clip_model.safetensors", "open_clip_config.json", "optimizer.safetensors"}
        self.assertEqual(files, whole | {"trunk/" + name for name in whole})
        for name in sorted(files):
            path = os.path.join(step, name)
            with open(path, "rb") as file:
                was = file.read()
            for at in (0, len(was) // 2, len(was) - 1):
                with open(path, "wb") as file:
                    file.write(was[:at] + bytes([was[at] ^ 1]) + was[at + 1:])
                self.caught(["sequential/2021/" + name], name)
            os.remove(path)
            self.caught(["sequential/2021/" + name], name)
            with open(path, "wb") as file:
                file.write(was)
        self.assertEqual(self.verify().returncode, 0)

    def test_other_data(self):
        other = os.path.join(self.top, "other")
        shutil.copytree(WORLD, other, dirs_exist_ok=True)
        shards = sorted(name for name in os.listdir(other) if name.endswith(".tar"))
        os.remove(os.path.join(other, shards[-1]))
        os.remove(self.path("index.bin"))
        done = self.verify("--data", other)
        self.assertIn(done.returncode, (3, 4), done.stdout + done.stderr)

    def test_results_that_are_gone(self):
        self.rechained([json.loads(line) for line in self.read("ledger.jsonl").splitlines()])
        os.remove(self.path("results.json"))
        self.caught(["results.json: it is missing"], "no results")

    def test_a_score_that_was_never_reached(self):
        """One hit more in the ledger, its chain made whole, and the results made from it by the
        program itself: everything agrees, and only computing it again tells."""
        lines = [json.loads(line) for line in self.read("ledger.jsonl").splitlines()]
        event = [line for line in lines if line["event"] == "evaluation"
                 and line["method"] == "sequential"][-1]
        score = next(s for s in event["scores"] if s["task"] == "retrieval" and s["value"] < 1)
        score["value"] += 1 / (2 * score["pairs"]) # a hit, of two directions
        self.rechained(lines)
        was = self.read("results.json")
        os.remove(self.path("results.json"))
        self.run_it(self.copy)
        self.assertNotEqual(json.loads(was)["methods"], json.loads(self.read("results.json"))["methods"])
        done = self.verify()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        name = event["method"] + "/" + event["step"]
        done = self.verify("--deep", "99")
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        for part in (name, "retrieval", "computed again, the ledger says"):
            self.assertIn(part, done.stderr)

    def forged(self, lines, **settings):
        """The chain made whole, and the results made from it by the program itself."""
        self.rechained(lines)
        os.remove(self.path("results.json"))
        self.run_it(self.copy, **settings)

    def test_scores_left_out_and_put_in(self):
        """A mean leaves out what is not there: without its lowest scores it is higher."""
        tidy = self.read("ledger.jsonl").splitlines()
        def worst(scores, task):
            return min((s for s in scores if s["task"] == task), key=lambda s: s["value"])
        def without(task):
            return lambda scores: scores.remove(worst(scores, task))
        def more(**keys):
            return lambda scores: scores.append(dict(scores[0], **keys))
        def first(**keys):
            return lambda scores: scores[0].update(keys)
        for what, change, told in (
                ("lowest retrieval", without("retrieval"), "retrieval of step"),
                ("lowest classification", without("classification"), "classification of step"),
                ("another step", first(step=-1), "retrieval of step -1 where retrieval of step 2020"),
                ("twice", more(), "an evaluation of these data gives"),
                ("another task", first(task="guessing"), "guessing of step 0 where"),
                ("another metric", first(metric="acc1"), "it is mean_recall@1"),
                ("more pairs than held out", first(pairs=21, value=1), "20 are held out"),
                ("no number", first(value="1"), "cannot give"),
                ("part of a hit", first(value=0.0101), "cannot give")):
            # alike in every evaluation, so that none differs from the others
            for alike in (False, True) if what in ("lowest classification", "twice") else (False,):
                lines = [json.loads(line) for line in tidy]
                events = [line for line in lines if line["event"] == "evaluation"]
                if not alike: # only the last one of a method, else all of the run
                    events = [line for line in events if line["method"] == "sequential"][-1:]
                for event in events:
                    change(event["scores"])
                shutil.rmtree(self.copy)
                shutil.copytree(self.run_folder, self.copy)
                self.forged(lines)
                done = self.verify()
                self.assertEqual(done.returncode, 4, f"{what}: {done.stdout}{done.stderr}")
                self.assertIn("sequential/2020: " if alike else "sequential/2022: ", done.stderr,
                              what)
                self.assertIn(told, done.stderr, what)

    def of(self, lines, method, step, event):
        return next(line for line in lines if line["event"] == event and
                    line["method"] == method and line["step"] == step)

    def test_what_methods_do_beside_training(self):
        """Behind a whole chain: MACs beside training, and lines that contradict each other."""
        methods = "sequential,cumulative-all,ewc-1,cumulative-low,patching"
        folder = self.train("beside", methods=methods)
        with open(os.path.join(folder, "ledger.jsonl"), encoding="utf-8") as file:
            tidy = file.read().splitlines()

        def more_macs(method, purpose):
            def change(lines):
                macs = self.of(lines, method, "2021", "step_end")["spent"]["macs"]
                for kind in ("logical", "issued"):
                    macs.setdefault(purpose, {"logical": 0, "issued": 0})[kind] += 1
            return change
        def no_patch(lines):
            lines.remove(self.of(lines, "patching", "2021", "patched"))
        def patch_of_sequential(lines):
            line = dict(self.of(lines, "patching", "2021", "patched"), method="sequential")
            lines.insert(lines.index(self.of(lines, "sequential", "2021", "step_end")), line)
        def two_starts(lines):
            line = self.of(lines, "sequential", "2021", "step_start")
            lines.insert(lines.index(line), dict(line, budget=1))
        def interrupted(**keys):
            def change(lines):
                at = lines.index(self.of(lines, "sequential", "2021", "step_start"))
                lines.insert(at + 1, {"event": "interrupted", "method": "sequential",
                                      "step": "2021", **keys})
            return change
        def better_than_its_source(lines):
            score = self.of(lines, "cumulative-all", "2020", "evaluation")["scores"][0]
            score["value"] += 0.5
        def key_of_its_own(lines):
            self.of(lines, "sequential", "2021", "evaluation")["spent"]["order"] = "0" * 64
        for change, told in (
                (more_macs("ewc-1", "fisher"), "ewc-1/2021: "),
                (more_macs("cumulative-low", "selection"), "cumulative-low/2021: "),
                (more_macs("patching", "patching"), "patching/2021: "),
                (more_macs("sequential", "selection"), "sequential/2021: "),
                (no_patch, "patching/2021 is patched not once"),
                (patch_of_sequential, "sequential/2021 is patched not once"),
                (two_starts, "sequential/2021 begins not once"),
                (interrupted(), "interrupted: iteration -1"),
                (interrupted(iteration=99), "interrupted: iteration 99"),
                (better_than_its_source, "cumulative-all/2020: its evaluation is not sequential's"),
                (key_of_its_own, "sequential/2021: ")):
            lines = [json.loads(line) for line in tidy]
            change(lines)
            shutil.rmtree(self.copy)
            shutil.copytree(folder, self.copy)
            self.forged(lines, methods=methods)
            done = self.verify()
            self.assertEqual(done.returncode, 4, f"{told}: {done.stdout}{done.stderr}")
            self.assertIn(told, done.stderr)
        # What the pool by alignment follows from.
        shutil.rmtree(self.copy)
        shutil.copytree(folder, self.copy)
        name = "cumulative-low/2021/alignment.safetensors"
        with open(self.path(name), "rb") as file:
            was = file.read()
        self.write_bytes(name, was[:-1] + bytes([was[-1] ^ 1]))
        self.caught(["cumulative-low/2021"], name)
        os.remove(self.path(name))
        self.caught(["cumulative-low/2021"], name)
        self.assertFalse(os.path.exists(self.path(name)))

    def test_an_index_made_with_other_times(self):
        """Its digest made anew: only indexing the shards again tells."""
        with open(self.path("index.bin"), "rb") as file:
            was = file.read()
        body = was[:-32]
        pairs = json.loads(self.read("ledger.jsonl").splitlines()[0])["data_pairs"]
        self.assertGreater(pairs, 100)
        at = len(body) // 2 # amid the pairs
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        self.write_bytes("index.bin", changed + hashlib.sha256(changed).digest())
        self.caught(["index.bin", "data", "steps", "ledger", "sequential/", "cumulative-all/"],
                    "index", "--deep", "1")

    def test_an_evaluation_put_in(self):
        lines = [json.loads(line) for line in self.read("ledger.jsonl").splitlines()]
        at = [line["event"] for line in lines].index("evaluation")
        extra = copy.deepcopy(lines[at])
        extra["scores"] = [dict(extra["scores"][0], task="retrieval/easy", value=1)]
        self.forged(lines[:at] + [extra] + lines[at:])
        self.caught(["ledger: sequential/2020 is evaluated not once"], "evaluation")

    def test_static_scores(self):
        data = os.path.join(os.environ["TIC_TINY_WORLD"], "full")
        folder = self.train("static", methods="sequential", data=data)
        done = self.verify(folder=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for metric, value, told in (("acc1", 0.987654321, "which"), ("acc1", -0.5, "which"),
                                    ("mean_recall@1", 0.987654321, "which"),
                                    ("mean_recall@1", 1.5, "which")):
            shutil.rmtree(self.copy)
            shutil.copytree(folder, self.copy)
            lines = [json.loads(line) for line in self.read("ledger.jsonl").splitlines()]
            score = next(s for line in lines if line["event"] == "evaluation"
                         for s in line["scores"] if s["step"] == -1 and s["metric"] == metric)
            score["value"] = value
            self.forged(lines, methods="sequential", data=data)
            done = self.verify()
            self.assertEqual(done.returncode, 4, f"{value}: {done.stdout}{done.stderr}")
            self.assertIn(f"{score['task']} of step all is", done.stderr)
            self.assertIn(told, done.stderr)

    # ---- compare ------------------------------------------------------------------------------

    def test_compare_ranks_what_had_the_same_rules(self):
        same = self.train("rate", "--lr", "0.002")
        done = subprocess.run([TICLIP, "compare", self.run_folder, same, "--json"], check=True,
                              capture_output=True, text=True, timeout=60)
        rows = json.loads(done.stdout)["runs"]
        self.assertEqual(len(rows), 4)
        means = [row["mean"] for row in rows]
        self.assertEqual(means, sorted(means, reverse=True))

    def test_compare_refuses_and_says_in_what(self):
        for what, flags, pairs in (("budgets", [], "240"), ("data", ["--first-step", "2021"], "192"),
                                   ("evaluation sets", ["--eval-pairs", "10"], "192"),
                                   ("evaluation sets", ["--seed", "3", "--lr", "0.002"], "192"),
                                   ("budgets", ["--accounting", "strict"], "192")):
            other = self.train("other-" + what.replace(" ", "-") + "".join(flags), *flags,
                               pairs=pairs)
            done = subprocess.run([TICLIP, "compare", self.run_folder, other], capture_output=True,
                                  text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 4, done.stdout)
            self.assertIn(what, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
