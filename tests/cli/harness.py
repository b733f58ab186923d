"""What the command line's tests share: running ticlip, writing shards, checking failures.

The binary's path is in the environment variable TICLIP. `main` exits 77 when a test was skipped, so
that Meson reports the skip.
"""

import io
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

import pictures

TICLIP = os.environ["TICLIP"]
OK, INTERNAL, USAGE, BAD_INPUT, VERIFY, RESOURCE, INTERRUPTED = range(7)


class Case(unittest.TestCase):
    """A test in a folder of its own, `self.folder`, with a cache folder and home of its own."""

    maxDiff = None

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="ticlip-test-")
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.cache = self.folder / "cache"
        self.environment = dict(os.environ, XDG_CACHE_HOME=str(self.cache), HOME=holder.name)
        # What glibc and the sanitizers say is judged by the tests, in English.
        self.environment["LC_ALL"] = "C.UTF-8"

    def run_ticlip(self, *arguments, timeout=300, **options):
        """Returns the finished process, its output as text."""
        options.setdefault("env", self.environment)
        return subprocess.run(
            [TICLIP, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            **({} if "stdout" in options else {"stdout": subprocess.PIPE}),
            stderr=subprocess.PIPE,
            timeout=timeout,
            encoding="utf-8",
            **options,
        )

    def succeed(self, *arguments, **options):
        done = self.run_ticlip(*arguments, **options)
        self.assertEqual(done.returncode, OK, done.stderr)
        return done.stdout

    def succeed_json(self, *arguments, **options):
        """stdout must be exactly one JSON document."""
        return json.loads(self.succeed(*arguments, "--json", **options))

    def fail_with(self, status, names, *arguments, **options):
        """The exit code is `status`, the last line of stderr is the one error, contains every one
        of `names`, stdout is empty, and no temporary is left behind."""
        done = self.run_ticlip(*arguments, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        errors = [line for line in done.stderr.splitlines() if line.startswith("ticlip: ")]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertEqual(done.stderr.splitlines()[-1], errors[0])
        for name in names:
            self.assertIn(str(name), errors[0])
        if done.stdout is not None:
            self.assertEqual(done.stdout, "")
        self.assert_no_temporaries()
        return errors[0]

    def assert_no_temporaries(self):
        left = [str(path) for path in self.folder.rglob("*.tmp.*")]
        self.assertEqual(left, [])

    def write_shard(self, samples, name="000000.tar", folder="data"):
        """Writes a shard of (key, {suffix: bytes}) samples; returns the data folder's path."""
        data = self.folder / folder
        data.mkdir(exist_ok=True)
        (data / name).write_bytes(shard_bytes(samples))
        return data


def small_files(limit):
    """A preexec_fn after which no file can grow beyond `limit` bytes: a write fails as on a full
    disk (EFBIG) instead of killing the process."""

    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return prepare


def sample(i, picture=None, caption=None, **fields):
    """A good sample unless told otherwise: pair i, of the year 2016 + i % 3. A field given as None
    is left out of the json."""
    details = {"uid": f"{i:032x}", "timestamp": 1467331200 + i % 3 * 31557600 + i}
    details.update(fields)
    details = {name: value for name, value in details.items() if value is not None}
    members = {
        "jpg": pictures.coloured(i) if picture is None else picture,
        "txt": (f"a photo of thing number {i}" if caption is None else caption).encode(),
        "json": json.dumps(details).encode(),
    }
    return f"{i:08d}", members


def shard_bytes(samples):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def main():
    program = unittest.main(exit=False, verbosity=2)
    if not program.result.wasSuccessful():
        sys.exit(1)
    if program.result.testsRun == 0 or program.result.skipped:
        for test, reason in program.result.skipped:
            print(f"skipped: {test}: {reason}")
        sys.exit(77)
