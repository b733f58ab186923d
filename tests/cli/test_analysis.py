"""`ticlip data shift`, `data filters`, `data times` and --time-field on shards whose distances, shares
and matrices are known by hand, or computed here from `ticlip embed`'s files."""

import array
import json
import math
import os
import statistics
import sys
import xml.dom.minidom

import harness
import pictures
from harness import BAD_INPUT, USAGE, sample

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from tiny_model import tiny_model

MODEL = tiny_model(vocab_size=514)
YEAR = {2016: 1451606400, 2017: 1483228800, 2018: 1514764800, 2019: 1546300800}
DAY = 86400


def variant(picture, i):
    """A picture of other bytes and the same pixels."""
    comment = f"picture {i}".encode()
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


def npy(path):
    """The rows of a float32 .npy file, as `ticlip embed` writes them."""
    content = path.read_bytes()
    numbers = array.array("f", content[128:])
    columns = int(content[10:128].split(b"(")[1].split(b",")[1].split(b")")[0])
    return [numbers[i:i + columns] for i in range(0, len(numbers), columns)]


class Analysis(harness.Case):
    def drawn(self, path, *words):
        text = path.read_text()
        xml.dom.minidom.parseString(text)
        for word in words:
            self.assertIn(word, text)

    def train(self, data, *more):
        """A tiny model trained on the data; returns its last checkpoint."""
        model = self.folder / "model.json"
        model.write_text(json.dumps(MODEL))
        out = self.folder / "run"
        self.succeed("run", "--data", data, "--out", out, "--model", model, "--methods", "sequential",
                     "--batch", "4", "--warmup", "1", "--vocab-size", "514", "--eval-pairs", "2",
                     "--precision", "f32", "--threads", "1", "--no-tune", "--pairs", "24", *more)
        results = json.loads((out / "results.json").read_text())
        return out / "sequential" / results["steps"][-1], results

    def features(self, checkpoint, data):
        """{uid: (picture's unit vector, caption's)}"""
        prefix = self.folder / "e"
        self.succeed("embed", checkpoint, "--data", data, "--vocab",
                     checkpoint.parents[1] / "vocab.txt.gz", "--out", prefix)
        images, texts = npy(self.folder / "e.images.npy"), npy(self.folder / "e.texts.npy")
        ids = [line.split("\t")[2] for line in (self.folder / "e.ids.txt").read_text().splitlines()
               if line.startswith("image")]
        return dict(zip(ids, zip(images, texts, strict=True), strict=True))

    # ---- shift --------------------------------------------------------------------------------

    def shifted(self):
        """2016: 12 times one picture, words red, apple and tree; 2017: 6 times another, words red,
        apple and car."""
        return self.write_shard(
            [sample(i, variant(pictures.COLOUR, i), f"a red apple and the tree {i}",
                    timestamp=YEAR[2016] + i) for i in range(12)]
            + [sample(i, variant(pictures.GREY, i), f"A red apple, in his CAR {i}",
                      timestamp=YEAR[2017] + i) for i in range(12, 18)])

    STEPS = ("--first-step", "none")

    def test_variation_by_hand(self):
        data, svg = self.shifted(), self.folder / "f.svg"
        document = self.succeed_json("data", "shift", data, *self.STEPS, "--svg", svg)
        first, second = document["steps"]
        self.assertEqual((document["sample"], document["words"]), (6, 3))
        self.assertEqual((first["step"], first["pairs"], first["variation"]), ("2016", 12, 0))
        self.assertAlmostEqual(second["variation"], 1 / 3, delta=1e-11)  # 12 digits are printed
        self.assertEqual((second["rising"], second["falling"]), (["car"], ["tree"]))
        self.assertIsNone(second["frechet"])
        self.drawn(svg, "2016", "2017", "total variation")
        text = self.succeed("data", "shift", data, *self.STEPS)
        self.assertIn("2016 (chance)", text)
        self.assertRegex(text, r"2017 +0\.3333 +car +tree")

    def test_words_taken_of_a_caption(self):
        data = self.shifted()
        two = self.succeed_json("data", "shift", data, *self.STEPS, "--per-caption", "2")
        self.assertEqual((two["words"], two["steps"][1]["variation"]), (2, 0))  # red, apple
        nouns = self.folder / "index.noun"
        nouns.write_text("  1 licence\napple n 2\ncar n 5\n")
        document = self.succeed_json("data", "shift", data, *self.STEPS, "--nouns", nouns)
        self.assertEqual((document["words"], document["nouns"]), (1, str(nouns)))
        self.assertAlmostEqual(document["steps"][1]["variation"], 1 / 2, delta=1e-11)

    def test_frechet_of_two_pictures_is_their_distance(self):
        data, svg = self.shifted(), self.folder / "f.svg"
        checkpoint, _ = self.train(data, *self.STEPS)
        found = self.features(checkpoint, data)
        a, b = found[f"{0:032x}"][0], found[f"{12:032x}"][0]
        self.assertEqual(a, found[f"{11:032x}"][0])
        document = self.succeed_json("data", "shift", data, *self.STEPS, "--checkpoint", checkpoint,
                                     "--svg", svg)
        first, second = document["steps"]
        apart = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        self.assertGreater(apart, 1e-3)
        self.assertLessEqual(abs(second["frechet"] - apart), 1e-11)
        self.assertLessEqual(first["frechet"], 1e-11)
        self.drawn(svg, "Frechet")
        self.assertIn("Frechet", self.succeed("data", "shift", data, *self.STEPS, "--checkpoint",
                                              checkpoint))

    def test_shift_refuses(self):
        data = self.shifted()
        self.fail_with(BAD_INPUT, ["nothing"], "data", "shift", data, "--nouns",
                       self.folder / "nothing")
        self.fail_with(BAD_INPUT, ["no-model"], "data", "shift", data, "--checkpoint",
                       self.folder / "no-model")

    # ---- filters ------------------------------------------------------------------------------

    def dirty(self):
        """2016: 4 good, 1 short, 1 Spanish by its json; 2017: 6 good, 4 of other sides."""
        good = [sample(i, caption=f"a red apple on tree number {i}", timestamp=YEAR[2016] + i)
                for i in range(4)]
        bad = [sample(4, caption="red apple", timestamp=YEAR[2016]),
               sample(5, caption="una manzana roja", language="es", timestamp=YEAR[2016])]
        later = [sample(i, caption=f"the blue car of town {i}", timestamp=YEAR[2017] + i)
                 for i in range(10, 16)]
        square = [sample(i, variant(pictures.GREY, i), f"a white house with door {i}",
                         timestamp=YEAR[2017] + i) for i in range(20, 24)]
        return self.write_shard(good + bad + later + square)

    def test_shares_by_hand(self):
        data, svg = self.dirty(), self.folder / "f.svg"
        # COLOUR is 48 x 40 pixels, GREY 40 x 40.
        document = self.succeed_json("data", "filters", data, "--min-side", "40", "--svg", svg)
        first, second = document["steps"]
        self.assertEqual(first["kept"], {"words": 5, "english": 4, "shape": 6, "basic": 4})
        self.assertEqual(second["kept"], {"words": 10, "english": 10, "shape": 10, "basic": 10})
        self.assertEqual(document["all"]["kept"], {"words": 15, "english": 14, "shape": 16, "basic": 14})
        self.assertAlmostEqual(first["share"]["basic"], 4 / 6, delta=1e-11)
        self.assertIsNone(document["threshold"])
        self.drawn(svg, "2016", "basic filter")
        self.assertEqual(self.succeed_json("data", "filters", data, "--min-side", "41")["all"]["kept"]
                         ["shape"], 0)
        self.assertRegex(self.succeed("data", "filters", data), r"2016 +6 +83\.3 % +66\.7 %")

    def test_clip_score(self):
        data, svg = self.dirty(), self.folder / "f.svg"
        checkpoint, _ = self.train(data, "--first-step", "none")
        scores = {uid: sum(x * y for x, y in zip(*pair, strict=True))
                  for uid, pair in self.features(checkpoint, data).items()}
        self.assertEqual(len(scores), 16)
        ranked = sorted(scores.values(), reverse=True)
        document = self.succeed_json("data", "filters", data, "--checkpoint", checkpoint, "--keep",
                                     "0.3", "--svg", svg)
        self.assertLessEqual(abs(document["threshold"] - ranked[4]), 1e-6)  # 0.3 of 16: 5 pairs
        self.assertEqual(document["all"]["kept"]["score"], 5)
        self.drawn(svg, "CLIP score")
        middle = (ranked[7] + ranked[8]) / 2
        document = self.succeed_json("data", "filters", data, "--checkpoint", checkpoint, "--threshold",
                                     repr(middle))
        old = [scores[f"{i:032x}"] for i in range(6)]
        new = [score for uid, score in scores.items() if int(uid, 16) >= 10]
        for step, of in zip(document["steps"], (old, new), strict=True):
            self.assertEqual(step["kept"]["score"], sum(score >= middle for score in of))
            self.assertAlmostEqual(step["score"]["mean"], statistics.fmean(of), delta=1e-6)
            self.assertAlmostEqual(step["score"]["stderr"],
                                   statistics.stdev(of) / math.sqrt(len(of)), delta=1e-6)
        self.assertEqual(document["steps"][0]["kept"]["both"], sum(s >= middle for s in old[:4]))
        self.assertIn("mean score", self.succeed("data", "filters", data, "--checkpoint", checkpoint))

    def test_keep_is_as_many_as_it_says(self):
        """0.07 of 100 is 7.000000000000001 in double."""
        data = self.write_shard([sample(i, caption=f"{i} {'red blue old new'.split()[i % 4]} apples",
                                        timestamp=YEAR[2016] + i) for i in range(100)])
        checkpoint, _ = self.train(data, "--first-step", "none")
        ranked = sorted((sum(x * y for x, y in zip(*pair, strict=True))
                         for pair in self.features(checkpoint, data).values()), reverse=True)
        for keep, last in ((0.07, 7), (0.071, 8), (0.29, 29), (1, 100)):
            document = self.succeed_json("data", "filters", data, "--checkpoint", checkpoint, "--keep",
                                         keep)
            self.assertLessEqual(abs(document["threshold"] - ranked[last - 1]), 1e-6)
            self.assertEqual(document["all"]["kept"]["score"], last)

    def test_a_sample(self):
        data = self.dirty()
        document = self.succeed_json("data", "filters", data, "--sample", "9")
        self.assertEqual(sum(step["pairs"] for step in document["steps"]), 9)
        self.assertEqual(document, self.succeed_json("data", "filters", data, "--sample", "9"))
        self.assertEqual(document["pairs"], 9)

    def test_random_steps_hold_their_own_pairs(self):
        data = self.dirty()
        steps = ("--granularity", "iid:3")
        whole = self.succeed_json("data", "inspect", data, *steps)["steps"]
        told = self.succeed_json("data", "filters", data, *steps)
        self.assertEqual([step["pairs"] for step in told["steps"]],
                         [step["train"] + step["held_out"] for step in whole])
        self.assertTrue(min(step["pairs"] for step in told["steps"]) >= 2)
        for name in ("words", "english", "shape", "basic"):
            self.assertEqual(sum(step["kept"][name] for step in told["steps"]),
                             told["all"]["kept"][name])

    # ---- times --------------------------------------------------------------------------------

    # Days after the beginning of 2016, and how many later each was crawled; None: nobody knows.
    TIMES = [(1, 5), (20, 400), (300, 100), (310, 2), (370, 1), (380, 800), (500, 300), (720, 30),
             (740, 3), (1000, 40), (1090, 20), (1010, None)]

    def timed(self):
        return self.write_shard([
            sample(i, timestamp=YEAR[2016] + own * DAY,
                   crawled=None if late is None else YEAR[2016] + (own + late) * DAY)
            for i, (own, late) in enumerate(self.TIMES)])

    def test_matrix_and_correlation(self):
        data, svg = self.timed(), self.folder / "f.svg"
        document = self.succeed_json("data", "times", data, "--other", "crawled", "--first-step", "none",
                                     "--svg", svg)
        matrix = [[0] * 4 for _ in range(3)]
        ends = [366, 731, 1096]  # 2016 is a leap year
        known = [(own, late) for own, late in self.TIMES if late is not None]
        for own, late in known:
            row, column = (sum(time >= end for end in ends) for time in (own, own + late))
            matrix[row][column] += 1
        self.assertEqual(document["steps"], ["2016", "2017", "2018"])
        self.assertEqual(document["matrix"], matrix)
        self.assertEqual((document["pairs"], document["without"]), (11, 1))
        same = sum(matrix[i][i] for i in range(3))
        self.assertAlmostEqual(document["same_step"], same / 11, delta=1e-11)
        self.assertAlmostEqual(document["later_step"], 1 - same / 11, delta=1e-11)
        self.assertEqual(document["earlier_step"], 0)
        own, other = [own for own, _ in known], [own + late for own, late in known]
        self.assertAlmostEqual(document["pearson"], statistics.correlation(own, other), delta=1e-10)

        def ranks(values):
            return [sorted(values).index(value) for value in values]

        self.assertAlmostEqual(document["spearman"],
                               statistics.correlation(ranks(own), ranks(other)), delta=1e-10)
        lags = sorted(late for _, late in known)
        self.assertEqual(document["lag_days"], {
            "min": 1, "p5": 1, "median": 30, "p95": 800, "max": 800,
            "mean": document["lag_days"]["mean"]})
        self.assertAlmostEqual(document["lag_days"]["mean"], statistics.fmean(lags), delta=1e-9)
        self.drawn(svg, "later", "2018", "crawled")
        text = self.succeed("data", "times", data, "--other", "crawled", "--first-step", "none")
        self.assertRegex(text, r"2016 +2 +2 +0 +0")
        self.assertIn("1 pairs have no such time", text)

    def test_equal_times_share_a_rank(self):
        times = [(0, 0), (0, 10), (5, 10), (9, 20)]
        data = self.write_shard([sample(i, timestamp=YEAR[2016] + a, crawled=YEAR[2016] + b)
                                 for i, (a, b) in enumerate(times)])
        document = self.succeed_json("data", "times", data, "--other", "crawled")
        self.assertAlmostEqual(document["spearman"],
                               statistics.correlation([1.5, 1.5, 3, 4], [1, 2.5, 2.5, 4]), delta=1e-10)

    def test_times_refuse(self):
        data = self.timed()
        self.fail_with(BAD_INPUT, ['"nothing"'], "data", "times", data, "--other", "nothing")
        self.fail_with(USAGE, ["iid:3"], "data", "times", data, "--other", "crawled", "--granularity",
                       "iid:3")

    # ---- another time field -------------------------------------------------------------------

    def steps(self, data, *more):
        document = self.succeed_json("data", "inspect", data, "--first-step", "none", *more)
        return {step["name"]: step["train"] + step["held_out"] for step in document["steps"]}

    def test_time_field(self):
        data = self.write_shard([
            sample(i, timestamp=YEAR[2016] + i, crawled=YEAR[2018 if i < 8 else 2019] + i)
            for i in range(20)])
        self.assertEqual(self.steps(data), {"2016": 20})
        self.assertEqual(self.steps(data, "--time-field", "crawled"), {"2018": 8, "2019": 12})
        self.assertEqual(self.steps(data), {"2016": 20})  # an index of another field is stale
        # Trained on those steps; and `eval` finds them again.
        checkpoint, results = self.train(data, "--first-step", "none", "--time-field", "crawled")
        self.assertEqual(results["steps"], ["2018", "2019"])
        document = self.succeed_json("eval", checkpoint, "--data", data, "--first-step", "none",
                                     "--time-field", "crawled", "--eval-pairs", "2")
        self.assertEqual(document["steps"], ["2018", "2019"])
        self.fail_with(BAD_INPUT, ["no usable pair"], "data", "inspect", data, "--time-field", "nothing")
        self.fail_with(USAGE, ["time field"], "data", "inspect", data, "--time-field", "x" * 64)


if __name__ == "__main__":
    harness.main()
