"""Writes the text tables that Python's standard library holds, as one C file.

HTML's character references, the upper halves of the single-byte encodings that mojibake comes
from, and which characters are cased or ignored when Greek's final sigma is decided. Standard
library only, run by Meson: gen_text_tables.py OUTPUT.c
"""

import html
import html.entities
import sys

# The encodings in the order in which data/text_mojibake.c tries them. In a lossy one, unassigned
# bytes stand for the C1 control of the same number and byte 0x1A for a character that was lost.
ENCODINGS = [
    ("latin-1", False),
    ("cp1252", True),
    ("cp1251", True),
    ("cp1250", True),
    ("cp1253", True),
    ("cp1254", True),
    ("cp1257", True),
    ("iso-8859-2", False),
    ("mac_roman", False),
    ("cp437", False),
]


def c_string(text):
    return '"' + "".join(f"\\{byte:03o}" for byte in text.encode("utf-8")) + '"'


def entities():
    """name -> [text, standard?, repaired?]: what html.unescape knows, and what is read as a
    reference in text that ought to hold none: only closed names, capitals of small ones too."""
    table = {name: [text, True, name.endswith(";")] for name, text in html.entities.html5.items()}
    for name, text in html.entities.html5.items():
        capitals = name.upper()
        if name.endswith(";") and name == name.lower():
            if html.unescape("&" + capitals) == "&" + capitals:
                table[capitals] = [text.upper(), False, True]
    return sorted(table.items())


def upper_half(codec, lossy):
    row = []
    for byte in range(0x80, 0x100):
        try:
            row.append(ord(bytes([byte]).decode(codec)))
        except UnicodeDecodeError:
            assert lossy, (codec, byte)
            row.append(byte)
    return row


def sigma_class(char):
    """What `char` does to a capital sigma beside it, asked of str.lower itself."""
    if (char + "\u03a3").lower().endswith("\u03c2"):
        return "TIC_CASED"
    if ("a" + char + "\u03a3").lower().endswith("\u03c2"):
        return "TIC_CASE_IGNORABLE"
    return None


def case_ranges():
    ranges = []
    for code in range(0x110000):
        kind = None if 0xD800 <= code < 0xE000 else sigma_class(chr(code))
        if ranges and ranges[-1][2] == kind and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        elif kind:
            ranges.append([code, code, kind])
    return ranges


def main(path):
    lines = ["/* Written by data/gen_text_tables.py; see data/text.h. */", '#include "data/text.h"', ""]
    rows = entities()
    lines.append(f"const size_t tic_entity_count = {len(rows)};")
    lines.append(f"const tic_entity tic_entities[{len(rows)}] = {{")
    for name, (text, standard, repaired) in rows:
        lines.append(f'    {{"{name}", {c_string(text)}, {int(standard)}, {int(repaired)}}},')
    lines.append("};")
    lines.append("const tic_encoding tic_encodings[TIC_ENCODINGS] = {")
    for codec, lossy in ENCODINGS:
        codes = ", ".join(f"0x{code:x}" for code in upper_half(codec, lossy))
        lines.append(f"    /* {codec} */ {{{int(lossy)}, {int(codec == 'mac_roman')}, {{{codes}}}}},")
    lines.append("};")
    ranges = case_ranges()
    lines.append(f"const size_t tic_case_range_count = {len(ranges)};")
    lines.append(f"const tic_case_range tic_case_ranges[{len(ranges)}] = {{")
    lines += [f"    {{0x{first:x}, 0x{last:x}, {kind}}}," for first, last, kind in ranges]
    lines.append("};")
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write("\n".join(lines) + "\n")


main(sys.argv[1])
