"""Usage: every verb's help is complete, and a mistyped verb or flag is answered with the right one.
"""

import re

import harness
from harness import OK, USAGE


class Help(harness.Case):
    def verbs(self):
        lines = self.succeed("--help").splitlines()
        found = [re.match(r"  ticlip ((?:[a-z]+ )+) +\S", line) for line in lines]
        return [match.group(1).split() for match in found if match]

    def test_overview_lists_verbs_and_exit_codes(self):
        text = self.succeed("--help")
        for verb in ("world", "data index", "data inspect", "vocab train", "vocab show", "embed"):
            self.assertIn(f"ticlip {verb} ", text)
        for code in ("0 done", "2 usage", "3 bad input", "4 verification", "5 ", "6 interrupted"):
            self.assertIn(code, text)
        self.assertEqual(text, self.succeed("help"))

    def test_every_verb_explains_itself(self):
        verbs = self.verbs()
        self.assertGreaterEqual(len(verbs), 6)
        for verb in verbs:
            with self.subTest(verb=verb):
                text = self.succeed(*verb, "--help")
                self.assertTrue(text.startswith("usage: ticlip " + " ".join(verb)), text)
                rows = text.split("\nflags:\n")[1]
                flags = re.findall(r"^  --([a-z0-9-]+)(?: [^\s]+)?\s", rows, re.MULTILINE)
                self.assertEqual(len(flags), len(set(flags)), "a flag is listed twice")
                self.assertTrue({"json", "help"} <= set(flags))
                for line in text.splitlines():
                    self.assertLessEqual(len(line), 100, line)
                for flag in flags:  # the parser knows what the help promises
                    done = self.run_ticlip(*verb, f"--{flag}", "--no-such-flag")
                    self.assertNotIn(f"unknown flag --{flag}", done.stderr)

    def test_help_wins_over_other_mistakes(self):
        self.assertIn("usage:", self.succeed("world", "--pairs", "x", "--help"))

    def test_a_group_lists_its_verbs(self):
        text = self.succeed("data", "--help")
        self.assertIn("ticlip data index", text)
        self.assertNotIn("ticlip world", text)
        self.fail_with(USAGE, ["data --help"], "data")

    def test_version(self):
        self.assertRegex(self.succeed("--version"), r"^ticlip \d+\.\d+\.\d+\n")

    def test_no_verb(self):
        self.fail_with(USAGE, ["--help"])

    def test_unknown_verbs(self):
        for given, meant in (
            (["wrld"], "world"),
            (["data", "indx"], "data index"),
            (["data", "inspct"], "data inspect"),
            (["vocab", "tarin"], "vocab train"),
            (["embd"], "embed"),
        ):
            with self.subTest(given=given):
                self.fail_with(USAGE, [f'did you mean "{meant}"'], *given)
        error = self.fail_with(USAGE, ['"xyzzy"'], "xyzzy")
        self.assertNotIn("did you mean", error)

    def test_unknown_flags(self):
        self.fail_with(USAGE, ["world", "--piars", "did you mean --pairs?"], "world", "x", "--piars=3")
        self.fail_with(USAGE, ["--granularity?"], "data", "inspect", "x", "--grnularity", "year")
        self.fail_with(USAGE, ["--max-bad?"], "data", "index", "x", "--max_bad", "3")
        error = self.fail_with(USAGE, ["--zzzzzz", "--help"], "world", "x", "--zzzzzz", "1")
        self.assertNotIn("did you mean", error)
        self.fail_with(USAGE, ["-p"], "world", "x", "-p", "3")

    def test_wrong_values(self):
        for flag, value, cause in (
            ("--pairs", "many", "not a number"),
            ("--pairs", "2.5", "whole number"),
            ("--pairs", "0", "not between 1 and"),
            ("--pairs", "2Q", "not a number"),
            ("--pairs", "nan", "not a number"),
            ("--seed", "-1", "not between 0 and"),
            ("--seed", "1k", "not a number"),
            ("--size", "7", "not between 16 and"),
        ):
            with self.subTest(flag=flag, value=value):
                self.fail_with(USAGE, ["world: " + flag, cause], "world", "x", flag, value)
        self.fail_with(USAGE, ["needs a value"], "world", "x", "--pairs")
        self.fail_with(USAGE, ["needs a value"], "world", "x", "--pairs", "--json")
        self.fail_with(USAGE, ["takes no value"], "world", "x", "--json=yes")
        self.fail_with(
            USAGE, ["f32|bf16"], "embed", "x", "--precision=f16", "--data=x", "--vocab=x", "--out=x"
        )

    def test_number_of_arguments(self):
        self.fail_with(USAGE, ["missing", "world DIR"], "world")
        self.fail_with(USAGE, ["too many", '"b"'], "world", "a", "b")
        self.fail_with(USAGE, ["too many", '"--pairs"'], "world", "a", "--", "--pairs")

    def test_needed_flags(self):
        self.fail_with(USAGE, ["--out FILE"], "vocab", "train", "x")
        self.fail_with(USAGE, ["--data DIR"], "embed", "x", "--vocab", "v", "--out", "o")
        self.fail_with(USAGE, ["--vocab FILE"], "embed", "x", "--data", "v", "--out", "o")
        self.fail_with(USAGE, ["--out PREFIX"], "embed", "x", "--data", "v", "--vocab", "o")


if __name__ == "__main__":
    harness.main()
