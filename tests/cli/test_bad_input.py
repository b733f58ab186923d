"""Damaged shards: one line that names shard and offset, exit code 3, and with --max-bad all that is
whole is used and the rest is counted."""

import harness
from harness import BAD_INPUT, RESOURCE, sample, shard_bytes


class Shards(harness.Case):
    def setUp(self):
        super().setUp()
        self.samples = [sample(i) for i in range(12)]
        self.whole = shard_bytes(self.samples)
        members = self.samples[0][1].values()  # all samples take the same number of blocks
        self.step = sum(512 + (len(content) + 511) // 512 * 512 for content in members)

    def damaged(self, content, name="000001.tar"):
        """A data folder of one good shard and one of `content`; the damaged one's path too."""
        data = self.write_shard([sample(i) for i in range(100, 106)])
        (data / name).write_bytes(content)
        return data, data / name

    def test_no_folder_and_no_shard(self):
        for verb in (["data", "index"], ["data", "inspect"]):
            with self.subTest(verb=verb):
                missing = self.folder / "missing"
                self.fail_with(BAD_INPUT, [missing], *verb, missing)
                empty = self.folder / "empty"
                empty.mkdir(exist_ok=True)
                self.fail_with(BAD_INPUT, [empty], *verb, empty)
                file = self.folder / "file"
                file.write_text("")
                self.fail_with(BAD_INPUT, [file], *verb, file)

    def test_empty_shard(self):
        data, shard = self.damaged(b"")
        self.fail_with(BAD_INPUT, [shard], "data", "index", data)

    def test_not_a_tar(self):
        data, shard = self.damaged(b"<html>moved</html>" * 200)
        self.fail_with(BAD_INPUT, [shard], "data", "index", data)

    def test_truncated_at_every_block(self):
        """Without --max-bad it is an error that names the shard and an offset inside it; with it,
        the whole samples before the cut are used and the cut one is counted as lost."""
        for cut in range(512, 4 * self.step, 512):
            with self.subTest(cut=cut):
                data, shard = self.damaged(self.whole[:cut])
                error = self.fail_with(BAD_INPUT, [f"{shard}@", "--max-bad"], "data", "index", data)
                offset = int(error.split(f"{shard}@")[1].split(":")[0])
                self.assertLessEqual(offset, cut)
                document = self.succeed_json("data", "index", data, "--max-bad", "1000")
                used = document["pairs"] - 6
                # A sample is known to be whole when another begins after it, or at the end.
                self.assertLessEqual(used, cut // self.step)
                self.assertGreaterEqual(used, cut // self.step - 1)
                again = self.succeed_json("data", "inspect", data, "--max-bad", "1000")
                self.assertEqual(again["pairs"], document["pairs"])

    def test_damaged_header(self):
        at = 4 * self.step  # the header of the fifth sample's picture
        content = bytearray(self.whole)
        content[at + 100] ^= 0x40
        data, shard = self.damaged(bytes(content))
        self.fail_with(BAD_INPUT, [f"{shard}@{at}", "--max-bad"], "data", "index", data)
        document = self.succeed_json("data", "index", data, "--max-bad", "100")
        self.assertGreaterEqual(document["pairs"], 6 + 4)
        self.assertGreaterEqual(document["rejected"]["lost"], 1)

    def test_interleaved_and_repeated_keys(self):
        interleaved = [
            ("a", {"jpg": sample(1)[1]["jpg"]}),
            ("b", sample(2)[1]),
            ("a", {"txt": b"the caption of the first"}),
        ]
        data, shard = self.damaged(shard_bytes(interleaved))
        self.fail_with(BAD_INPUT, [f"{shard}@"], "data", "index", data)

    def test_json_that_is_none(self):
        odd = []
        for i, content in enumerate(
            (b"", b"{", b"[1]", b'{"timestamp": {}}', b'{"timestamp": 1e300}', b"\xff\xfe", b"null")
        ):
            key, members = sample(200 + i)
            odd.append((key, dict(members, json=content)))
        deep = sample(300)
        odd.append((deep[0], dict(deep[1], json=b'{"a":' * 100000)))
        data = self.write_shard([sample(i) for i in range(5)] + odd)
        document = self.succeed_json("data", "index", data)
        self.assertEqual(document["pairs"], 5)
        self.assertEqual(sum(document["rejected"].values()), 8)
        self.assertEqual(set(document["rejected"]), {"no-json", "no-time"})

    def test_all_rejected(self):
        data = self.write_shard([sample(i, timestamp=None) for i in range(5)])
        self.fail_with(BAD_INPUT, [], "data", "inspect", data)

    def test_captions_that_are_not_text(self):
        key, members = sample(7)
        data = self.write_shard(
            [sample(i) for i in range(5)] + [(key, dict(members, txt=b"caf\xe9 \xff"))]
        )
        document = self.succeed_json("data", "index", data)
        self.assertEqual(document["rejected"], {"bad-text": 1})

    def test_index_file_that_is_damaged_is_made_again(self):
        data = self.write_shard(self.samples)
        index = self.folder / "index"
        self.succeed("data", "index", data, "--index", index)
        whole = index.read_bytes()
        for content in (b"", whole[:100], whole[:-1], b"x" * len(whole)):
            index.write_bytes(content)
            document = self.succeed_json("data", "index", data, "--index", index)
            self.assertEqual((document["built"], document["pairs"]), (True, 12))
            self.assertEqual(index.read_bytes(), whole)

    def test_index_in_a_place_that_cannot_be(self):
        data = self.write_shard(self.samples)
        done = self.run_ticlip("data", "index", data, "--index", data / "000000.tar" / "index")
        self.assertIn(done.returncode, (BAD_INPUT, RESOURCE), done.stderr)
        self.assertIn("000000.tar/index", done.stderr)


if __name__ == "__main__":
    harness.main()
