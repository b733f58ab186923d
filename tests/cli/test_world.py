"""`ticlip world`: the same bytes for the same seed, whatever the threads; refusals; its output."""

import hashlib
import pathlib
import tarfile

import harness
from harness import BAD_INPUT, RESOURCE, USAGE


def digests(folder):
    """The hash of every file, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file()
    }


class World(harness.Case):
    def make(self, name, *flags):
        folder = self.folder / name
        document = self.succeed_json("world", folder, "--pairs", "300", *flags)
        self.assertEqual(document["folder"], str(folder))
        self.assertEqual(document["pairs"], 300)
        return digests(folder)

    def test_bytes_depend_on_the_seed_only(self):
        one = self.make("one", "--threads", "1")
        self.assertGreater(len(one), 3)
        self.assertIn("classes.json", one)
        self.assertEqual(one, self.make("again", "--threads", "3"))
        other = self.make("other", "--seed", "1")
        shards = [name for name in one if name.endswith(".tar") and "/" not in name]
        self.assertTrue(shards)
        for name in shards:
            self.assertNotEqual(one[name], other[name])

    def test_shards_are_webdataset(self):
        folder = self.folder / "world"
        text = self.succeed("world", folder, "--pairs", "120")
        self.assertIn("120 pairs", text)
        suffixes = {}
        for path in sorted(folder.glob("*.tar")):
            with tarfile.open(path) as tar:
                for name in tar.getnames():
                    key, _, suffix = name.partition(".")
                    suffixes.setdefault(key, set()).add(suffix)
        self.assertEqual(len(suffixes), 120)
        for found in suffixes.values():
            self.assertEqual(found, {"jpg", "txt", "json"})

    def test_refuses_a_folder_with_something_else(self):
        (self.folder / "mine").mkdir()
        (self.folder / "mine" / "thesis.txt").write_text("years of work")
        done = self.run_ticlip("world", self.folder / "mine", "--pairs", "50")
        self.assertIn(done.returncode, (USAGE, BAD_INPUT), done.stderr)
        self.assertIn("mine", done.stderr)
        self.assertEqual((self.folder / "mine" / "thesis.txt").read_text(), "years of work")
        self.assertEqual(len(list((self.folder / "mine").iterdir())), 1)

    def test_full_disk(self):
        self.fail_with(
            RESOURCE,
            [self.folder / "full"],
            "world",
            self.folder / "full",
            "--pairs",
            "300",
            preexec_fn=harness.small_files(16384),
        )

    def test_folder_that_cannot_be(self):
        (self.folder / "file").write_text("")
        done = self.run_ticlip("world", self.folder / "file" / "below", "--pairs", "10")
        self.assertIn(done.returncode, (BAD_INPUT, RESOURCE), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(str(self.folder / "file"), done.stderr)


if __name__ == "__main__":
    harness.main()
