"""`ticlip vocab`: training, CLIP's file format, the round trip through tokens, and bad files."""

import gzip

import harness
from harness import BAD_INPUT, RESOURCE, sample

CAPTIONS = [
    "a photo of a red cup on a wooden table",
    "two red cups and a blue bowl",
    "the photographer's cup, photographed in 2016",
    "une tasse rouge à café",
    "赤いカップ 🙂",
] * 20


class Vocab(harness.Case):
    def train(self, *flags, name="vocab.txt.gz"):
        text = self.folder / "captions.txt"
        text.write_text("\n".join(CAPTIONS) + "\n", encoding="utf-8")
        out = self.folder / name
        return out, self.succeed_json("vocab", "train", text, "--out", out, "--size", "600", *flags)

    def test_round_trip(self):
        vocab, document = self.train()
        self.assertEqual(document["captions"], len(CAPTIONS))
        shown = self.succeed_json("vocab", "show", vocab)
        self.assertEqual(shown["size"], document["size"])
        self.assertEqual(len(shown["pieces"]), shown["size"])
        self.assertEqual(shown["merges"], shown["size"] - 514)
        tokens = self.succeed_json("vocab", "show", vocab, "A  photo of a red cup")
        size = shown["size"]
        self.assertEqual((tokens["ids"][0], tokens["ids"][-1]), (size - 2, size - 1))
        self.assertEqual(tokens["pieces"], [shown["pieces"][i] for i in tokens["ids"]])
        self.assertEqual("".join(tokens["pieces"][1:-1]).replace("</w>", " "),
                         "a photo of a red cup ")

    def test_file_is_clips_format(self):
        vocab, document = self.train()
        lines = gzip.decompress(vocab.read_bytes()).decode("utf-8").splitlines()
        self.assertEqual(len(lines) - 1, document["size"] - 514)
        for line in lines[1:]:
            self.assertEqual(len(line.split(" ")), 2, line)

    def test_training_repeats_exactly(self):
        one, _ = self.train(name="one.gz")
        two, _ = self.train(name="two.gz")
        self.assertEqual(one.read_bytes(), two.read_bytes())

    def test_from_shards(self):
        data = self.write_shard([sample(i) for i in range(40)])
        out = self.folder / "vocab.gz"
        document = self.succeed_json("vocab", "train", data, "--out", out, "--size", "540")
        self.assertEqual(document["captions"], 40)
        text = self.succeed("vocab", "show", out, "--count", "2")
        self.assertIn("512 bytes", text)

    def test_bad_files(self):
        whole, _ = self.train()
        for name, content in (
            ("empty", b""),
            ("cut.gz", whole.read_bytes()[:40]),
            ("binary", bytes(range(256)) * 40),
            ("one-part.txt", b"#version: 0.2\nab\n"),
            ("three-parts.txt", b"#version: 0.2\na b c\n"),
            ("unknown-part.txt", b"#version: 0.2\nzq xv\n"),
        ):
            with self.subTest(name=name):
                path = self.folder / name
                path.write_bytes(content)
                self.fail_with(BAD_INPUT, [path], "vocab", "show", path)
        self.fail_with(BAD_INPUT, ["missing.gz"], "vocab", "show", self.folder / "missing.gz")
        self.fail_with(BAD_INPUT, [self.folder], "vocab", "show", self.folder)

    def test_gzip_bomb(self):
        path = self.folder / "bomb.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(300):
                file.write(b"a" * (1 << 20))
        self.fail_with(BAD_INPUT, [path], "vocab", "show", path, timeout=30)

    def test_bad_captions(self):
        out = self.folder / "v.gz"
        self.fail_with(BAD_INPUT, ["nowhere"], "vocab", "train", self.folder / "nowhere",
                       "--out", out)
        binary = self.folder / "binary"
        binary.write_bytes(b"caption\n\0\n")
        self.fail_with(BAD_INPUT, [f"{binary}@8"], "vocab", "train", binary, "--out", out)
        self.assertFalse(out.exists())

    def test_full_disk_keeps_the_old_file(self):
        vocab, _ = self.train()
        before = vocab.read_bytes()
        self.fail_with(
            RESOURCE,
            [vocab],
            "vocab",
            "train",
            self.folder / "captions.txt",
            "--out",
            vocab,
            preexec_fn=harness.small_files(100),
        )
        self.assertEqual(vocab.read_bytes(), before)


if __name__ == "__main__":
    harness.main()
