#!/usr/bin/env python3
"""Single operations in PyTorch, as its users call them: a server that reads one JSON object a line,
{"op": ..., its sizes, "precision": "f32"|"bf16", "seconds": X}, times the operation for at least X
seconds after a first call, and answers {"seconds": of a call, "calls": N, "peak_bytes": B}.
compare_ops.py starts it, so that its turns and ticlip's alternate.

    gemm          trans nn|nt|tn, m, n, k         mm
    linear_gelu   m, n, k                         gelu(linear(x, w, b)), forward
    attention     s, h, l, d, causal              scaled_dot_product_attention, forward and backward
    contrastive   m pairs of n features           open_clip's ClipLoss, forward and backward
    layernorm     m rows of n                     layer_norm, forward and backward
    gelu          m rows of n                     gelu, forward
    adamw         n parameters                    one fused step

peak_bytes is what the process's resident memory rose by during the first call.
"""

import argparse
import json
import pathlib
import sys
import time


def resident(field):
    """Bytes of VmRSS or VmHWM."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


class Operations:
    """Each makes its operands and returns a function that does one call."""

    def __init__(self, torch, loss_of):
        self.torch, self.loss_of = torch, loss_of

    def tensor(self, ask, *shape, gradient=False, dtype=None):
        wanted = dtype or {"f32": self.torch.float32, "bf16": self.torch.bfloat16}[ask["precision"]]
        return self.torch.randn(*shape).to(wanted).requires_grad_(gradient)

    def gemm(self, ask):
        m, n, k, trans = ask["m"], ask["n"], ask["k"], ask["trans"]
        a = self.tensor(ask, *((k, m) if trans == "tn" else (m, k)))
        b = self.tensor(ask, *((n, k) if trans == "nt" else (k, n)))
        a = a.t() if trans == "tn" else a
        b = b.t() if trans == "nt" else b
        out = self.torch.empty(m, n, dtype=a.dtype)
        return lambda: self.torch.mm(a, b, out=out)

    def linear_gelu(self, ask):
        x, w = self.tensor(ask, ask["m"], ask["k"]), self.tensor(ask, ask["n"], ask["k"])
        bias = self.tensor(ask, ask["n"])
        functional = self.torch.nn.functional
        return lambda: functional.gelu(functional.linear(x, w, bias))

    def attention(self, ask):
        shape = ask["s"], ask["h"], ask["l"], ask["d"]
        q, k, v = (self.tensor(ask, *shape, gradient=True) for _ in range(3))
        d_out = self.tensor(ask, *shape)
        attend = self.torch.nn.functional.scaled_dot_product_attention

        def call():
            q.grad = k.grad = v.grad = None
            attend(q, k, v, is_causal=ask["causal"]).backward(d_out)

        return call

    def contrastive(self, ask):
        normalize = self.torch.nn.functional.normalize
        f32 = self.torch.float32
        image, text = (
            normalize(self.tensor(ask, ask["m"], ask["n"], dtype=f32), dim=-1).requires_grad_()
            for _ in range(2)
        )
        scale = self.torch.tensor(14.0, requires_grad=True)
        autocast, half = ask["precision"] == "bf16", self.torch.bfloat16

        def call():
            image.grad = text.grad = scale.grad = None
            with self.torch.autocast("cpu", half, enabled=autocast):
                loss = self.loss_of(image, text, scale)
            loss.backward()

        return call

    def layernorm(self, ask):
        x = self.tensor(ask, ask["m"], ask["n"], gradient=True)
        gamma, beta = (self.tensor(ask, ask["n"], gradient=True) for _ in range(2))
        dy = self.tensor(ask, ask["m"], ask["n"])
        norm = self.torch.nn.functional.layer_norm

        def call():
            x.grad = gamma.grad = beta.grad = None
            norm(x, (ask["n"],), gamma, beta).backward(dy)

        return call

    def gelu(self, ask):
        x = self.tensor(ask, ask["m"], ask["n"])
        return lambda: self.torch.nn.functional.gelu(x)

    def adamw(self, ask):
        weights = self.tensor(ask, ask["n"], gradient=True, dtype=self.torch.float32)
        weights.grad = self.torch.randn(ask["n"])
        return self.torch.optim.AdamW([weights], lr=1e-4, fused=True).step


def serve(operations, ask):
    call = getattr(operations, ask["op"])(ask)
    forget_peak()
    before = resident("VmRSS")
    call()
    peak = resident("VmHWM") - before
    calls, began = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - began < ask["seconds"]:
        call()
        calls += 1
    return {
        "seconds": (time.perf_counter() - began) / calls,
        "calls": calls,
        "peak_bytes": max(peak, 0),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    args = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from torch_step import import_libraries, take_stdout

    out = take_stdout()
    torch, open_clip = import_libraries()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    operations = Operations(torch, open_clip.loss.ClipLoss())
    about = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    print(json.dumps(about), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(operations, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
