"""`ticlip embed` on a checkpoint made here: .npy files that hold what they say, the same for any
number of threads, and nothing written when the checkpoint, its config or the disk is bad."""

import array
import ast
import copy
import itertools
import json

import checkpoint
import harness
from harness import BAD_INPUT, RESOURCE, USAGE, sample


def read_npy(path):
    """(shape, float32 array) of a version 1.0 .npy file, checked as NumPy's reader would."""
    content = path.read_bytes()
    assert content[:8] == b"\x93NUMPY\x01\x00", content[:8]
    length = int.from_bytes(content[8:10], "little")
    assert (10 + length) % 64 == 0 and content[9 + length : 10 + length] == b"\n"
    header = ast.literal_eval(content[10 : 10 + length].decode("latin-1"))
    assert set(header) == {"descr", "fortran_order", "shape"}
    assert header["descr"] == "<f4" and header["fortran_order"] is False
    values = array.array("f")
    values.frombytes(content[10 + length :])
    assert len(values) == header["shape"][0] * header["shape"][1]
    return header["shape"], values


class Base(harness.Case):
    def setUp(self):
        super().setUp()
        self.model = checkpoint.write(self.folder / "model")
        self.data = self.write_shard([sample(i) for i in range(21)])
        captions = self.folder / "captions.txt"
        # Enough different words for a vocabulary of exactly the checkpoint's 600 ids.
        words = ["".join(parts) for parts in itertools.product("bdfkm", "aeiou", "lnrst", "aeo")]
        captions.write_text("".join(f"a photo of a {a} {b}\n" for a, b in zip(words, words[7:])))
        self.vocab = self.folder / "vocab.txt.gz"
        made = self.succeed_json("vocab", "train", captions, "--out", self.vocab, "--size", "600")
        self.assertEqual(made["size"], 600)
        self.out = self.folder / "e"

    def command(self, model=None):
        return ["embed", model or self.model, "--data", self.data, "--vocab", self.vocab] + [
            "--out", self.out,
        ]


class Embed(Base):
    def test_files(self):
        document = self.succeed_json(*self.command(), "--batch", "8")
        self.assertEqual(
            document, {"out": str(self.out), "images": 21, "texts": 21, "embed_dim": 32}
        )
        names = [line.split("\t") for line in (self.folder / "e.ids.txt").read_text().splitlines()]
        for kind in ("image", "text"):
            shape, values = read_npy(self.folder / f"e.{kind}s.npy")
            self.assertEqual(shape, (21, 32))
            for row in range(21):
                norm = sum(x * x for x in values[row * 32 : row * 32 + 32])
                self.assertTrue(abs(norm - 1) <= 1e-5, norm)
            rows = [(int(row), uid) for what, row, uid in names if what == kind]
            self.assertEqual([row for row, _ in rows], list(range(21)))
            self.assertEqual(len({uid for _, uid in rows}), 21)
        self.assert_no_temporaries()

    def test_rows_depend_on_neither_threads_nor_batch(self):
        self.succeed(*self.command(), "--threads", "1", "--batch", "4")
        one = [read_npy(self.folder / f"e.{kind}s.npy")[1] for kind in ("image", "text")]
        self.succeed(*self.command(), "--threads", "3", "--batch", "4")
        three = [read_npy(self.folder / f"e.{kind}s.npy")[1] for kind in ("image", "text")]
        self.assertEqual(one, three)
        self.succeed(*self.command(), "--batch", "21")
        whole = [read_npy(self.folder / f"e.{kind}s.npy")[1] for kind in ("image", "text")]
        for a, b in zip(one, whole):
            self.assertLessEqual(max(abs(x - y) for x, y in zip(a, b)), 1e-5)

    def test_equal_captions_have_equal_rows(self):
        self.data = self.write_shard(
            [sample(i, caption="the same words again") for i in range(4)], folder="same"
        )
        self.succeed(*self.command())
        _, texts = read_npy(self.folder / "e.texts.npy")
        for row in range(1, 4):
            self.assertEqual(texts[row * 32 : row * 32 + 32], texts[:32])

    def test_evaluation_set(self):
        world = self.folder / "world"
        self.succeed("world", world, "--pairs", "60")
        for folder in sorted((world / "eval").iterdir()):
            with self.subTest(folder=folder.name):
                document = self.succeed_json(
                    "embed", self.model, "--evalset", folder, "--vocab", self.vocab,
                    "--out", self.out,
                )
                self.assertGreater(document["images"], 0)
                self.assertGreater(document["texts"], 0)
                for kind in ("image", "text"):
                    shape, _ = read_npy(self.folder / f"e.{kind}s.npy")
                    self.assertEqual(shape, (document[kind + "s"], 32))
                names = (self.folder / "e.ids.txt").read_text(encoding="utf-8").splitlines()
                self.assertEqual(len(names), document["images"] + document["texts"])


class BadCheckpoint(Base):
    def refuse(self, names, **checkpoint_parts):
        bad = checkpoint.write(self.folder / "bad", **checkpoint_parts)
        error = self.fail_with(BAD_INPUT, [bad, *names], *self.command(bad))
        self.assertEqual(list(self.folder.glob("e.*")), [])
        return error

    def test_config(self):
        def changed(change):
            config = copy.deepcopy(checkpoint.CONFIG)
            change(config["model_cfg"])
            return config

        self.refuse([], config='{"model_cfg": {')
        self.refuse([], config="[]")
        self.refuse(
            ["emded_dim", "embed_dim"], config=changed(lambda c: c.update(emded_dim=32))
        )
        self.refuse(["width"], config=changed(lambda c: c["vision_cfg"].update(width="wide")))
        self.refuse(["layers"], config=changed(lambda c: c["text_cfg"].update(layers=-1)))
        self.refuse(["patch_size"], config=changed(lambda c: c["vision_cfg"].update(patch_size=7)))
        self.refuse(["embed_dim"], config=changed(lambda c: c.pop("embed_dim")))
        self.refuse(["width"], config=changed(lambda c: c["vision_cfg"].update(width=1 << 40)))

    def test_missing_files(self):
        self.fail_with(BAD_INPUT, ["nowhere"], *self.command(self.folder / "nowhere/at/all"))
        (self.model / "open_clip_model.safetensors").unlink()
        self.fail_with(BAD_INPUT, ["open_clip_model.safetensors"], *self.command())

    def test_safetensors_cut(self):
        whole = checkpoint.safetensors(checkpoint.weights())
        for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
            with self.subTest(length=length):
                self.refuse([], content=whole[:length])
        self.refuse([], content=whole + b"\0")

    def test_safetensors_header(self):
        whole = checkpoint.safetensors(checkpoint.weights())
        header, body = checkpoint.split(whole)

        def with_entry(name, **fields):
            changed = copy.deepcopy(header)
            changed[name].update(fields)
            return checkpoint.assemble(json.dumps(changed).encode(), body)

        text = json.dumps(header).encode()
        name, begin = "visual.proj", header["visual.proj"]["data_offsets"][0]
        for what, content in {
            "length": (1 << 62).to_bytes(8, "little") + whole[8:],
            "not json": checkpoint.assemble(b"{" + text, body),
            "deep": checkpoint.assemble(b'{"a":' * 200000, body),
            "duplicate": checkpoint.assemble(text[:-1] + b"," + text[1:], body),
            "overlap": with_entry(name, data_offsets=[begin - 4, begin - 4 + 64 * 32 * 4]),
            "beyond": with_entry(name, data_offsets=[len(body), len(body) + 64 * 32 * 4]),
            "shape overflow": with_entry(name, shape=[1 << 62, 1 << 62]),
            "shape and size": with_entry(name, shape=[64, 33]),
            "other shape": with_entry(name, shape=[32, 64]),
            "dtype": with_entry(name, dtype="I64"),
            "unknown dtype": with_entry(name, dtype="F31"),
            "negative": with_entry(name, shape=[-64, -32]),
        }.items():
            with self.subTest(what=what):
                self.refuse([], content=content)

    def test_safetensors_names_and_values(self):
        tensors = checkpoint.weights()
        missing = dict(tensors)
        del missing["ln_final.bias"]
        self.refuse(["ln_final.bias"], content=checkpoint.safetensors(missing))
        more = dict(tensors, surplus=([1], array.array("f", [0])))
        self.refuse(["surplus"], content=checkpoint.safetensors(more))
        for value in (float("nan"), float("inf")):
            bad = copy.deepcopy(tensors)
            bad["visual.proj"][1][77] = value
            self.refuse(["visual.proj"], content=checkpoint.safetensors(bad))

    def test_other_vocabulary(self):
        other = self.folder / "other.gz"
        self.succeed("vocab", "train", self.folder / "captions.txt", "--out", other, "--size", "530")
        self.vocab = other
        self.fail_with(BAD_INPUT, [other, "600"], *self.command())

    def test_unknown_model_name(self):
        lone = self.model / "open_clip_model.safetensors"
        self.fail_with(USAGE, ["ViT-B-23", "ViT-B-32"], *self.command(lone), "--model", "ViT-B-23")

    def test_full_disk(self):
        self.fail_with(
            RESOURCE, [self.out], *self.command(), "--index", self.folder / "index",
            preexec_fn=harness.small_files(2200),
        )
        self.assertEqual(list(self.folder.glob("e.*")), [])


if __name__ == "__main__":
    harness.main()
