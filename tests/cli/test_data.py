"""`ticlip data index` and `ticlip data inspect` on good shards: counts, steps, and their JSON."""

import harness
import pictures
from harness import BAD_INPUT, RESOURCE, USAGE, sample


class Index(harness.Case):
    def test_counts_and_cache(self):
        data = self.write_shard([sample(i) for i in range(30)])
        self.write_shard([sample(i) for i in range(30, 45)], "000001.tar")
        first = self.succeed_json("data", "index", data)
        self.assertEqual((first["pairs"], first["shards"], first["built"]), (45, 2, True))
        self.assertEqual(first["rejected"], {})
        self.assertEqual(sum(first["per_year"].values()), 45)
        self.assertEqual(list(first["per_year"]), ["2016", "2017", "2018"])
        self.assertTrue(first["index"].startswith(str(self.cache / "ticlip")))
        again = self.succeed_json("data", "index", data)
        self.assertEqual(dict(again, built=True), first)
        self.assertFalse(again["built"])
        text = self.succeed("data", "index", data)
        self.assertIn("45 pairs in 2 shards", text)
        self.assertRegex(text, r"2017 +15 +#+\n")

    def test_changed_shards_are_read_again(self):
        data = self.write_shard([sample(i) for i in range(10)])
        self.succeed("data", "index", data)
        self.write_shard([sample(i) for i in range(12)])
        document = self.succeed_json("data", "index", data)
        self.assertEqual((document["built"], document["pairs"]), (True, 12))

    def test_threads_do_not_matter(self):
        data = self.write_shard([sample(i) for i in range(40)])
        self.write_shard([sample(i) for i in range(20, 60)], "000001.tar")
        documents, files = [], []
        for threads in ("1", "5"):
            path = self.folder / f"index-{threads}"
            document = self.succeed_json(
                "data", "index", data, "--index", path, "--threads", threads
            )
            self.assertEqual(document.pop("index"), str(path))
            documents.append(document)
            files.append(path.read_bytes())
        self.assertEqual(documents[0], documents[1])
        self.assertEqual(files[0], files[1])
        self.assertEqual(documents[0]["pairs"], 60)
        self.assertEqual(documents[0]["rejected"], {"duplicate": 20})

    def test_rejects_are_counted_and_listed(self):
        html = b"<html><body>404</body></html>"
        data = self.write_shard(
            [sample(i) for i in range(12)]
            + [
                sample(100, timestamp=None),
                sample(101, timestamp="yesterday"),
                sample(102, picture=html),
                sample(103, picture=b""),
                sample(104, picture=pictures.truncated()),
                sample(105, picture=pictures.oversized()),
                sample(106, caption=""),
            ]
            + [("00000999", sample(3)[1])]
        )
        listing = self.folder / "rejects.txt"
        document = self.succeed_json("data", "index", data, "--rejects", listing)
        self.assertEqual(document["pairs"], 12)
        rejected = document["rejected"]
        self.assertEqual(rejected["no-time"], 2)
        self.assertEqual(rejected["not-image"], 2)
        self.assertEqual(rejected["corrupt"], 1)
        self.assertEqual(rejected["too-large"], 1)
        self.assertEqual(rejected["duplicate"], 1)
        self.assertEqual(sum(rejected.values()), 8)
        lines = [line.split("\t") for line in listing.read_text().splitlines()]
        self.assertEqual(len(lines), 8)
        by_key = {key: reason for _, key, reason in lines}
        self.assertEqual(by_key["00000104"], "corrupt")
        self.assertEqual(by_key["00000105"], "too-large")
        for where, _, _ in lines:
            shard, _, offset = where.rpartition("@")
            self.assertEqual(shard, str(data / "000000.tar"))
            self.assertEqual(int(offset) % 512, 0)

    def test_grey_and_cmyk_are_pictures(self):
        data = self.write_shard(
            [sample(1, picture=pictures.GREY), sample(2, picture=pictures.CMYK)]
            + [sample(i) for i in range(3, 8)]
        )
        document = self.succeed_json("data", "index", data)
        self.assertEqual((document["pairs"], document["rejected"]), (7, {}))

    def test_filter(self):
        data = self.write_shard(
            [sample(i) for i in range(10)]
            + [sample(20, caption="red cup"), sample(21, caption="ein Bild von einem roten Haus")]
        )
        self.assertEqual(self.succeed_json("data", "index", data)["pairs"], 12)
        filtered = self.succeed_json("data", "index", data, "--filter")
        self.assertEqual(filtered["rejected"].get("few-words"), 1)

    def test_no_home(self):
        data = self.write_shard([sample(i) for i in range(5)])
        bare = {k: v for k, v in self.environment.items() if k not in ("HOME", "XDG_CACHE_HOME")}
        self.fail_with(USAGE, ["--index"], "data", "index", data, env=bare)
        self.succeed("data", "index", data, "--index", self.folder / "here", env=bare)
        home = dict(bare, HOME=str(self.folder))
        self.succeed("data", "index", data, env=home)
        self.assertEqual(len(list((self.folder / ".cache/ticlip").glob("index-*.bin"))), 1)

    def test_full_disk(self):
        data = self.write_shard([sample(i) for i in range(60)])
        self.fail_with(
            RESOURCE,
            [self.folder / "index"],
            "data",
            "index",
            data,
            "--index",
            self.folder / "index",
            preexec_fn=harness.small_files(512),
        )
        self.assertFalse((self.folder / "index").exists())


class Inspect(harness.Case):
    def setUp(self):
        super().setUp()
        self.data = self.write_shard([sample(i) for i in range(60)])

    def test_json(self):
        document = self.succeed_json("data", "inspect", self.data, "--examples", "2")
        self.assertEqual(
            list(document),
            ["folder", "shards", "pairs", "first", "last", "rejected", "steps", "shorter_side"]
            + ["per_month"],
        )
        self.assertEqual(document["pairs"], 60)
        self.assertEqual([step["name"] for step in document["steps"]], ["2016", "2017", "2018"])
        for step in document["steps"]:
            self.assertEqual(
                list(step), ["name", "begin", "end", "train", "held_out", "captions"]
            )
            self.assertEqual(step["train"] + step["held_out"], 20)
            self.assertEqual(len(step["captions"]), 2)
            self.assertTrue(step["captions"][0].startswith("a photo of thing number "))
            self.assertLess(step["begin"], step["end"])
        self.assertEqual(document["shorter_side"], dict.fromkeys(
            ("min", "p5", "median", "p95", "max"), 40))
        self.assertEqual(sum(document["per_month"].values()), 60)

    def test_text(self):
        text = self.succeed("data", "inspect", self.data)
        self.assertIn("60 pairs in 1 shards, 2016-07-01 to 2018-07-", text)
        self.assertRegex(text, r"step +from +until +train +held out\n2016 +2016-")
        self.assertRegex(text, r"2018 +a photo of thing number \d+\n")
        self.assertIn("shorter side of the pictures: 40 to 40 pixels, median 40", text)
        self.assertRegex(text, r"2016-0[67] +20 +#+\n")

    def test_steps_as_asked(self):
        names = lambda *flags: [
            step["name"]
            for step in self.succeed_json("data", "inspect", self.data, *flags)["steps"]
        ]
        self.assertEqual(names("--first-step", "2017"), ["2017", "2018"])
        self.assertEqual(names("--steps", "2016-12,2018"), ["2016-12", "2018"])
        self.assertEqual(names("--min-step", "100"), ["2018"])
        self.assertEqual(names("--granularity", "quarter")[0][:5], "2016Q")
        self.fail_with(USAGE, ["year|quarter|month"], "data", "inspect", self.data,
                       "--granularity", "decade")
        done = self.run_ticlip("data", "inspect", self.data, "--steps", "yesterday")
        self.assertIn(done.returncode, (USAGE, BAD_INPUT))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_captions_stay_on_their_line(self):
        data = self.write_shard(
            [sample(i, caption=f"one\ttwo\nthree  four {i} " + "é" * 200) for i in range(9)],
            folder="odd",
        )
        lines = self.succeed("data", "inspect", data).splitlines()
        examples = [line for line in lines if "one two three four" in line]
        self.assertEqual(len(examples), 3)
        for line in examples:
            self.assertLessEqual(len(line), 90)


if __name__ == "__main__":
    harness.main()
