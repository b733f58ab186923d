"""What the benchmarks of one machine say: reads bench_kernels' JSON and the comparisons with
PyTorch, keeps what the page needs, and computes each figure of its table. A figure that was not
measured is None, never a guess."""

import json
import math
import re
import statistics

KINDS = {  # by the highest instruction set, as tic_isa_name has it
    "portable": "portable",
    "avx2": "avx2",
    "avx512": "avx512_bf16",
    "avx512_bf16": "avx512_bf16",
    "amx_bf16": "amx_bf16",
}
ZEN5 = re.compile(r"^AMD .*, family 26 model (\d|[1-3]\d|4[0-7]|6[4-9]|7\d|9[6-9]|1[01]\d|12[0-7])$")
LIMITED = {"avx2": "avx2_limited"}  # of a CPU that has more, kept to it (--isa)
MODELS = ("ViT-B-32", "ViT-B-16", "ViT-S-32", "ViT-Pico-8-40")
SHOWN = {"ViT-Pico-8-40": "the demo model"}  # how a model is called on the page
FORCED = ("peer:blis", "peer:openblas", "peer:onednn")
KEPT = ("us", "GMAC/s", "peak", "peak_GMAC/s", "GB/s", "triad", "triad_GB/s", "spread", "scaling")


def significant(x):
    return float(f"{x:.4g}")


def mean(values):
    """Geometric; None of nothing."""
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


# ---- reading


def read_kernels(reports):
    """{OP/SHAPE/PRECISION: {"about": ..., VARIANT: counters}}; a row's error is its "error". Of a row
    in several reports the last counts, with what only an earlier one measured."""
    cases = {}
    for report in reports:
        for row in report["benchmarks"]:
            case, _, variant = row["name"].split("/iterations:")[0].rpartition("/")
            kept = {key: significant(row[key]) for key in KEPT if key in row}
            if row.get("error_occurred"):
                kept = {"error": row["error_message"]}
            about, _, ran = row.get("label", "").rpartition(", ")
            if variant in ("auto", "packed") and about:
                kept["ran"] = ran
                cases.setdefault(case, {})["about"] = about
            before = cases.setdefault(case, {}).get(variant, {})
            failed = "error" in before or "error" in kept
            cases[case][variant] = kept if failed else before | kept
    return cases


def kind_of(context):
    kinds = LIMITED if "isa_of_cpu" in context else KINDS
    if context["isa"] not in kinds:
        raise ValueError(f"the page has no column for {context['isa']} on a CPU that has more")
    if context["isa"] == "avx512_bf16" and ZEN5.match(context["cpu"]):  # the models of zen5.plan
        return "avx512_bf16_zen5"
    return kinds[context["isa"]]


def beside_a_low_peak(kernels):
    """Rows beside a peak that is under 0.7 of its precision's median: something else had a core."""
    peaks = {}
    for case, rows in kernels.items():
        for variant, row in rows.items():
            if variant != "about" and "peak_GMAC/s" in row:
                name = f"{case}/{variant}"
                peaks.setdefault(case.rpartition("/")[2], {})[name] = row["peak_GMAC/s"]
    return [
        name
        for of_precision in peaks.values()
        for name, peak in of_precision.items()
        if peak < 0.7 * statistics.median(of_precision.values())
    ]


def record(kernels, steps, operations, profiles=()):
    """A machine's results, from the documents that the programs printed. Profiles are texts of
    bench_step --profile, which do not name the machine."""
    contexts = [report["context"] for report in kernels]
    contexts += [row["context"] for row in steps + operations]
    machines = {(c["cpu"], c["isa"], c.get("isa_of_cpu"), c["threads"], c.get("plan")) for c in contexts}
    if len(machines) != 1:
        raise ValueError(f"results of {len(machines)} machines, numbers of threads or plans: {machines}")
    context = contexts[0]
    keys = ("cpu", "isa", "isa_of_cpu", "cores", "threads", "compiler", "optimised")
    without = [{k: v for k, v in row.items() if k != "context"} for row in steps + operations]
    return {
        "kind": kind_of(context),
        "machine": {key: context[key] for key in keys if key in context},
        "kernels": read_kernels(kernels),
        "steps": without[: len(steps)],
        "operations": without[len(steps) :],
        "profiles": [text.rstrip() for text in profiles],
    }


def to_text(results):
    """JSON with a line for each row, so that a change of one shows as such."""
    lines = []
    for key, value in results.items():
        if isinstance(value, dict) and key == "kernels":
            rows = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()]
            lines.append(f'"{key}": {{\n' + ",\n".join(rows) + "\n}")
        elif isinstance(value, list):
            rows = [f"  {json.dumps(rounded(row))}" for row in value]
            lines.append(f'"{key}": [\n' + ",\n".join(rows) + "\n]")
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def rounded(value):
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


# ---- gemm: shares of peak, and peers

EPILOGUES = re.compile(r",(bias|gelu|quick_gelu|pre|grad|residual|colsum|out16)")
VIT = re.compile(r"^ViT-[BS]-\d+ (vision|text), (qkv|projection|up|down)")


class Gemm:
    """A shape: ours with a weight packed before, as a step has it (`packed`, else `auto`), ours
    packing in every call (`auto`), and the peers' product of the same shape. They are compared by
    their shares of the peak measured around each, since the clock may have moved in between."""

    def __init__(self, name, rows):
        _, self.shape, self.precision = name.split("/")
        self.about, self.ours = rows.get("about", ""), rows.get("packed", {})
        self.packing = rows.get("auto", {})
        self.ours = self.ours if "us" in self.ours else self.packing
        self.bare = EPILOGUES.search(self.shape) is None
        self.trans = self.shape.split(",")[0]
        self.peers = {
            peer: rows[peer]["peak"] for peer in FORCED if "us" in rows.get(peer, {})
        }
        self.measured = "us" in self.packing

    def best_peer(self, packed=True):
        """(its name, how many times its share of the peak ours is)"""
        peer = max(self.peers, key=self.peers.get)
        return peer, (self.ours if packed else self.packing)["peak"] / self.peers[peer]


def gemms(results, precision, bare, vit=True, trans=None):
    found = []
    for name, rows in results["kernels"].items():
        if not name.startswith("gemm/"):
            continue
        gemm = Gemm(name, rows)
        if gemm.measured and gemm.precision == precision and gemm.bare == bare:
            if (VIT.match(gemm.about) or not vit) and (trans is None or gemm.trans == trans):
                found.append(gemm)
    return found


def gemm_share(results, precision, bare):
    return mean(gemm.ours["peak"] for gemm in gemms(results, precision, bare))


def over_blis(results):
    found = [g for g in gemms(results, "f32", True) if "peer:blis" in g.peers]
    return mean(g.ours["peak"] / g.peers["peer:blis"] for g in found)


def worst_over_peer(results, precision, packed):
    """On the shape of the whole table on which the best forced peer is nearest or ahead."""
    found = [g for g in gemms(results, precision, True, vit=False) if g.peers]
    return min((g.best_peer(packed)[1] for g in found), default=None)


# ---- the others


def operation(results, name, precision):
    for row in results["operations"]:
        if row["name"] == name and row["precision"] == precision:
            return row
    return None


def over_torch(results, name, precision):
    row = operation(results, name, precision)
    return row and row["ratio"]


def memory_over_torch(results, name, precision):
    row = operation(results, name, precision)
    return row["torch_bytes"] / row["bytes"] if row and row["bytes"] else None


def of_triad(results, case):
    return results["kernels"].get(case, {}).get("auto", {}).get("triad")


def step(results, model, precision, captions):
    for row in results["steps"]:
        name, _, *rest = row["case"].split("/")
        if name == model and rest == [precision, captions]:
            return row
    return None


def step_ratio(results, model, precision, captions):
    row = step(results, model, precision, captions)
    return row and row["ratio"]


def step_mfu(results, model, precision):
    row = step(results, model, precision, "web")
    return row and row["mfu"]


def step_scaling(results, model, precision):
    row = step(results, model, precision, "web")
    return row["scaling"]["ratio"] if row and "scaling" in row else None


def kernel_scaling(results):
    """Geometric mean over the gemms of the ViT shapes that were timed with one thread too."""
    found = gemms(results, "f32", True) + gemms(results, "bf16", True)
    return mean(g.ours["scaling"] for g in found if "scaling" in g.ours)


def epilogue_cost(results, precision):
    """How much longer bias, GELU and keeping its argument make ViT-B-32's up, as a share of it."""
    name = "gemm/nt,m1600,n3072,k768"
    ends = (",bias,gelu,pre", ",bias,gelu,pre,out16")
    rows = [results["kernels"].get(f"{name}{end}/{precision}", {}).get("auto", {}) for end in ends]
    whole = next((row["peak"] for row in rows if "us" in row), None)
    bare = results["kernels"].get(f"{name}/{precision}", {}).get("auto", {}).get("peak")
    return 1 - whole / bare if whole and bare else None
