#!/usr/bin/env python3
"""Disassembles archives of generated micro-kernels and looks at every inner loop that multiplies and
adds: no vector may travel to or from the stack, and no loop may hold fewer sums than it should.

usage: spills.py OBJDUMP ARCHIVE..."""

import re
import subprocess
import sys

FMA = re.compile(r"\b(vfn?m(add|sub)\d*[ps]s|vdpbf16ps)\b")
STACK = re.compile(r"\(%rsp\b")
STACK_OR_FRAME = re.compile(r"\(%r[sb]p\b")
FRAME = re.compile(r"\bmov\s+%rsp,%rbp$")  # else rbp is a register like any other
BRANCH = re.compile(r"\bj[a-z]+\s+([0-9a-f]+)")


def functions(archive, objdump):
    """(name, [(address, text)]) of every function in a section of products."""
    text = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", archive], check=True, capture_output=True, text=True
    ).stdout
    name, body, inside = None, [], False
    for line in text.split("\n"):
        if line.startswith("Disassembly of section"):
            inside = "tic_product" in line
        start = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        code = re.match(r"\s*([0-9a-f]+):\s+(.*)$", line)
        if start:
            if name and body:
                yield name, body
            name, body = (start.group(1) if inside else None), []
        elif code and name:
            body.append((int(code.group(1), 16), code.group(2)))
    if name and body:
        yield name, body


def loops(body):
    """Instructions of every innermost loop: from the target of a backward branch to the branch."""
    spans = []
    for address, text in body:
        branch = BRANCH.search(text)
        if branch and int(branch.group(1), 16) <= address:
            spans.append((int(branch.group(1), 16), address))
    for low, high in spans:
        if not any(a >= low and b <= high and (a, b) != (low, high) for a, b in spans):
            yield [text for address, text in body if low <= address <= high]


def main():
    objdump, archives = sys.argv[1], sys.argv[2:]
    seen = bad = 0
    for archive in archives:
        for name, body in functions(archive, objdump):
            inner = [loop for loop in loops(body) if any(FMA.search(text) for text in loop)]
            if not inner:
                print(f"{archive}: {name}: no loop of multiply-adds was found")
                bad += 1
            framed = any(FRAME.search(text.strip()) for _, text in body)
            stack = STACK_OR_FRAME if framed else STACK
            for loop in inner:
                seen += 1
                spilled = [t for t in loop if stack.search(t)]
                sums = {t.split(",")[-1].strip() for t in loop if FMA.search(t)}
                tile = re.match(r"(?:along|across|pairs)_(\d+)_(\d+)$", name)
                losses = re.match(r"(?:rows|columns)_(\d+)$", name)  # by two vectors
                if spilled:
                    print(f"{archive}: {name}: on the stack: {spilled[0]}")
                    bad += 1
                expected = int(tile.group(1)) * int(tile.group(2)) if tile else None
                expected = 2 * int(losses.group(1)) if losses else expected
                if expected is None:
                    print(f"{archive}: {name}: a name that tells no tile")
                    bad += 1
                elif len(sums) != expected:
                    print(f"{archive}: {name}: {len(sums)} sums")
                    bad += 1
    print(f"{seen} inner loops, {bad} at fault")
    sys.exit(0 if seen > 0 and bad == 0 else 1)


main()
