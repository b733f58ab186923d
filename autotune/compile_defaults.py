"""Turns the shipped plans into one C table, in the order given: a CPU takes the first that fits it.

Usage: compile_defaults.py OUTPUT PLAN...

A shipped plan is text:
    # comments
    origin <one line: where it was measured, or that it was not>
    cpu <vendor> [<family> [<model>|<first>-<last>]...]     (none: any CPU)
    isa <the least it needs: portable, avx2, avx512, avx512_bf16, amx_bf16>
    <plan line> ...
"""
import os
import re
import sys

ISA = {"portable": "TIC_ISA_PORTABLE",
       "avx2": "TIC_ISA_AVX2",
       "avx512": "TIC_ISA_AVX2 | TIC_ISA_AVX512",
       "avx512_bf16": "TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16",
       "amx_bf16": "TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16 | TIC_ISA_AMX_BF16"}
MOST_RANGES = 8


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def compiled(path):
    fields = {"vendor": '""', "family": "-1", "models": ""}
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "origin":
                fields["origin"] = quoted(line.strip()[len("origin "):])
            elif words[0] == "isa":
                fields["isa"] = ISA[words[1]]
            elif words[0] == "cpu":
                fields["vendor"] = quoted(words[1])
                fields["family"] = words[2] if len(words) > 2 else "-1"
                ranges = [(word.split("-") * 2)[:2] for word in words[3:]]
                assert len(ranges) < MOST_RANGES, f"{path}:{number}: too many models"
                fields["models"] = ", ".join("{%d, %d}" % (int(a), int(b)) for a, b in ranges)
            elif re.match(r"[a-z_0-9]+/(f32|bf16)/\S+ \S", line):
                lines.append(quoted(" ".join(words)))
            else:
                sys.exit(f"{path}:{number}: neither a field nor a plan's line")
    for field in ("origin", "isa"):
        if field not in fields:
            sys.exit(f"{path}: has no `{field}`")
    name = os.path.splitext(os.path.basename(path))[0]
    body = ", ".join([*lines, "0"])
    return (f'    {{{quoted(name)}, {fields["origin"]}, {fields["vendor"]}, {fields["family"]}, '
            f'{{{fields["models"] or "{0, 0}"}}}, {fields["isa"]},\n'
            f'     (const char *const[]){{{body}}}}},\n')


output, plans = sys.argv[1], sys.argv[2:]
with open(output, "w", encoding="utf-8") as file:
    file.write("/* Written by autotune/compile_defaults.py from autotune/defaults/. */\n"
               '#include "autotune/room.h"\n\n'
               "const tic_shipped tic_shipped_plans[] = {\n")
    for plan in plans:
        file.write(compiled(plan))
    file.write("};\nconst int tic_shipped_count = "
               "sizeof tic_shipped_plans / sizeof tic_shipped_plans[0];\n")
