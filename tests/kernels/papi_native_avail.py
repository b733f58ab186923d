"""PAPI's own lister shows every event of the shared library, with its description.

usage: papi_native_avail.py PAPI_NATIVE_AVAIL PAPI_READER LIBRARY
"""
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def listed(text):
    """{event: description} of the sde component's frames: "| name |", then indented lines."""
    events, name = {}, None
    for line in text.splitlines():
        frame = re.fullmatch(r"\|(.*)\|", line)
        row = frame.group(1) if frame else ""
        if row.strip().startswith("sde:::"):
            name = row.strip()
            events[name] = ""
        elif frame and name:
            events[name] += " " + row.strip()
        else:
            name = None
    return {name: " ".join(text.split()) for name, text in events.items()}


def main():
    tool, reader, library = sys.argv[1:]
    want = dict(line.split("\t") for line in output(reader, "list").splitlines())
    got = listed(output(tool, "-sde", library))
    got = {name: text for name, text in got.items() if name.startswith("sde:::ticlip::")}
    for name in sorted(want.keys() | got.keys()):
        # The lister may break a word at its frame's edge.
        squeezed = got.get(name, "").replace(" ", ""), want.get(name, "").replace(" ", "")
        if squeezed[0] != squeezed[1] or not squeezed[1]:
            sys.exit(f"{name}: papi_native_avail says {got.get(name)!r}, PAPI {want.get(name)!r}")
        print(f"{name}: {got[name]}")
    print(f"{len(got)} events")


if __name__ == "__main__":
    main()
