"""What the kernels must reach, row by row, and how each is computed from a machine's results: the
table of docs/performance.md. A target is a number for each kind of machine, absent where none was
set; every figure is at least its target when it is met."""

import results as r

COLUMNS = {
    "avx2": "AVX2 (Zen 3)",
    "avx2_limited": "AVX2 on a CPU that has more",
    "avx512_bf16": "AVX-512 with BF16 (Zen 4)",
    "avx512_bf16_zen5": "AVX-512 with BF16 (Zen 5)",
    "amx_bf16": "AMX",
}


class Row:
    def __init__(self, what, figure, unit, avx2=None, bf16=None, amx=None):
        self.what, self.figure, self.unit = what, figure, unit  # unit: "%", "x"
        self.targets = {"avx2": avx2, "avx2_limited": avx2, "amx_bf16": amx}
        self.targets |= {"avx512_bf16": bf16, "avx512_bf16_zen5": bf16}

    def text(self, value):
        return f"{value * 100:.1f} %" if self.unit == "%" else f"{value:.2f}x"

    def cell(self, kind, results):
        target = self.targets[kind]
        wanted = ""
        if target is not None:
            wanted = f" (target {target * 100:g} %)" if self.unit == "%" else f" (target {target}x)"
        value = self.figure(results) if results else None
        if value is None:
            return f"not measured here{wanted}"
        if target is None:
            return self.text(value)
        return f"{self.text(value)}, {'met' if value >= target else 'short'}{wanted}"


def gemm(precision, bare):
    return lambda results: r.gemm_share(results, precision, bare)


def worst(precision, packed):
    return lambda results: r.worst_over_peer(results, precision, packed)


def torch(name, precision):
    return lambda results: r.over_torch(results, name, precision)


def triad(case):
    return lambda results: r.of_triad(results, case)


def step(model, precision, captions="web"):
    return lambda results: r.step_ratio(results, model, precision, captions)


def mfu(model, precision):
    return lambda results: r.step_mfu(results, model, precision)


def scaling(model, precision):
    return lambda results: r.step_scaling(results, model, precision)


def attention(tokens, precision, **targets):
    name = f"attention, {tokens} tokens"
    return Row(f"{name}, {precision}, over PyTorch", torch(name, precision), "x", **targets)


def steps(captions, table):
    for model, precision, targets in table:
        shown = r.SHOWN.get(model, model)
        what = f"training step, `{captions}`, {shown}, {precision}, over PyTorch"
        yield Row(what, step(model, precision, captions), "x", *targets)


LOSS = "contrastive, B 8192, D 512"
ROWS = [
    Row("f32 gemm of the ViT shapes, share of FMA peak", gemm("f32", True), "%", 0.92, 0.94, 0.94),
    Row("the same with epilogues", gemm("f32", False), "%", 0.88, 0.90),
    Row("f32 gemm over forced BLIS, weights packed before", r.over_blis, "x", 1.2),
    Row("bf16 gemm of the ViT shapes, share of peak", gemm("bf16", True), "%", None, 0.90),
    Row("the same with epilogues", gemm("bf16", False), "%", None, 0.86, 0.85),
    *(
        Row(f"{p} gemm, worst shape over the best peer{how}", worst(p, packed), "x", 1.0, 1.0, 1.0)
        for p in ("f32", "bf16")
        for how, packed in ((", weights packed before", True), (", packing in every call", False))
    ),
    attention(197, "f32", avx2=2.0, bf16=1.8),
    attention(77, "f32"),
    attention(50, "f32", avx2=2.5, bf16=2.5),
    attention(16, "f32", avx2=3.0, bf16=4.0),
    attention(197, "bf16", bf16=2.5, amx=2.0),
    attention(77, "bf16", amx=2.0),
    attention(50, "bf16", bf16=6.0, amx=2.0),
    attention(16, "bf16", bf16=8.0, amx=2.0),
    Row(f"{LOSS}, f32, over PyTorch", torch(LOSS, "f32"), "x", 2.5, 2.8, 3.0),
    Row(f"{LOSS}, bf16, over PyTorch", torch(LOSS, "bf16"), "x", None, 4.5, 3.0),
    Row(
        f"{LOSS}: PyTorch's memory over ours",
        lambda results: r.memory_over_torch(results, LOSS, "f32"),
        "x",
        20,
        20,
        20,
    ),
    Row("layernorm out of cache, share of triad", triad("layernorm/m131072,n768/f32"), "%", *[0.8] * 3),
    Row(
        "layernorm dX out of cache, share of triad",
        triad("layernorm_backward/m131072,n768/f32"),
        "%",
        *[0.8] * 3,
    ),
    Row(
        "GELU, fused: share of ViT-B-32's up, with bias and keeping its argument, f32",
        lambda results: r.epilogue_cost(results, "f32"),
        "%",
    ),
    Row("AdamW out of cache, share of triad", triad("adamw/n67108864/f32"), "%", *[0.8] * 3),
    *steps(
        "web",
        [
            ("ViT-B-32", "f32", (2.5, 1.9)),
            ("ViT-B-16", "f32", (1.9, 1.5)),
            ("ViT-S-32", "f32", (3.0, 2.8)),
            ("ViT-Pico-8-40", "f32", (3.0, 3.0)),
            ("ViT-B-32", "bf16", (None, 1.75, 2.2)),
            ("ViT-B-16", "bf16", (None, 1.4, 1.8)),
            ("ViT-S-32", "bf16", (None, 2.7, 3.0)),
            ("ViT-Pico-8-40", "bf16", ()),
        ],
    ),
    *steps("full", [("ViT-B-32", "f32", (1.6, 1.3)), ("ViT-B-32", "bf16", (None, 1.25, 1.6))]),
    *(
        Row(
            f"MFU, {r.SHOWN.get(model, model)}, {precision}",
            mfu(model, precision),
            "%",
            *((0.65 if demo else 0.80, 0.82) if precision == "f32" else (None, 0.65, 0.60)),
        )
        for precision in ("f32", "bf16")
        for model in r.MODELS
        for demo in [model in r.SHOWN]
    ),
    Row("gemm, two cores over one", r.kernel_scaling, "x", 1.9, 1.9, 1.9),
    *(
        Row(f"training step, ViT-B-32, {p}, two cores over one", scaling("ViT-B-32", p), "x", *[1.9] * 3)
        for p in ("f32", "bf16")
    ),
]
