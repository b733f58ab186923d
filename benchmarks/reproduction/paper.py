"""The paper's numbers that the page sets beside ours, asked of ticlip, which has the one table
(continual/paper.c): compute of the whole sequence, and dynamic retrieval backward, in-domain and
forward, in per cent. The program is the environment's TICLIP, else build/cli/ticlip."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICLIP = os.environ.get("TICLIP", str(ROOT / "build" / "cli" / "ticlip"))


def table_2():
    """{benchmark: {method: (MACs, backward, in-domain, forward)}}, of benchmarks whose Oracle has
    retrieval."""
    told = subprocess.run([TICLIP, "compare", "--paper", "all", "--json"], check=True,
                          capture_output=True, text=True).stdout
    table = {}
    for paper in json.loads(told)["papers"].values():
        rows = {name: (row["macs"], row["backward"], row["in_domain"], row["forward"])
                for name, row in paper["methods"].items()}
        if None not in rows["oracle"]:
            table[paper["label"]] = rows
    return table


TABLE_2 = table_2()
