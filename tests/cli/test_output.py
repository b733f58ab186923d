"""stdout and stderr: JSON alone on stdout, progress elsewhere, and what happens when stdout is full
or its reader has gone."""

import os
import pty
import subprocess

import harness
from harness import OK, RESOURCE, sample


def read_terminal(handle):
    """All that was written to the other end, which is closed; one read may give a part of it."""
    shown = b""
    try:
        while part := os.read(handle, 1 << 16):
            shown += part
    except OSError:  # EIO is how Linux tells the end
        pass
    return shown.decode()


class Output(harness.Case):
    def setUp(self):
        super().setUp()
        self.data = self.write_shard([sample(i) for i in range(30)])

    def commands(self):
        yield "data", "index", self.data
        yield "data", "inspect", self.data
        yield "world", self.folder / "world", "--pairs", "60"

    def test_json_mode_prints_one_document_and_text_mode_none_of_it(self):
        for command in self.commands():
            with self.subTest(command=command):
                self.assertIsInstance(self.succeed_json(*command), dict)

    def test_stderr_holds_whole_lines_in_a_pipe(self):
        done = self.run_ticlip("data", "index", self.data)
        self.assertNotIn("\r", done.stderr)
        self.assertNotIn("\x1b", done.stderr)
        self.assertTrue(done.stderr.endswith("\n"))

    def test_live_line_on_a_terminal_is_wiped(self):
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [harness.TICLIP, "world", str(self.folder / "w"), "--pairs", "200"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=self.environment,
            check=False,
        )
        os.close(theirs)
        shown = read_terminal(ours)
        os.close(ours)
        self.assertEqual(done.returncode, OK)
        self.assertIn("\r\x1b[K", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown))
        self.assertNotIn(b"\r", done.stdout)

    def test_full_stdout(self):
        self.succeed("data", "index", self.data)
        for command in (["--help"], ["data", "index", self.data], ["data", "inspect", self.data]):
            for flags in ([], ["--json"]):
                if command == ["--help"] and flags:
                    continue
                with self.subTest(command=command, flags=flags), open("/dev/full", "w") as full:
                    self.fail_with(RESOURCE, ["standard output"], *command, *flags, stdout=full)

    def test_reader_gone(self):
        self.succeed("data", "index", self.data)
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            self.fail_with(
                RESOURCE, ["standard output"], "data", "inspect", self.data, "--json", stdout=pipe
            )

    def test_closed_stdout_and_stderr(self):
        self.succeed("data", "index", self.data)
        command = [harness.TICLIP, "data", "inspect", str(self.data)]
        closed = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *command],
            stderr=subprocess.PIPE,
            env=self.environment,
            encoding="utf-8",
            check=False,
        )
        self.assertEqual(closed.returncode, RESOURCE, closed.stderr)
        self.assertTrue(closed.stderr.startswith("ticlip: standard output"), closed.stderr)
        quiet = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command],
            stdout=subprocess.PIPE,
            env=self.environment,
            check=False,
        )
        self.assertEqual(quiet.returncode, OK)


if __name__ == "__main__":
    harness.main()
