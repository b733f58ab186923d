#!/usr/bin/env python3
"""The training step of bench_step in PyTorch, as OpenCLIP's users run it: open_clip's model and
loss, captions padded to the context length, fused AdamW, float32 or bfloat16 autocast. Prints JSON.

Needs torch 2.13 and open_clip 3.3; without them it says how to install them. torchvision is
stubbed: no picture is decoded here. Pictures are float tensors, normalised before the clock starts, which ticlip's step
does inside it.
"""

import argparse
import json
import os
import pathlib
import sys
import time


def take_stdout():
    """Standard output, for our JSON alone: what libraries print goes to standard error."""
    ours = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return ours


def import_libraries():
    """torch and open_clip; ends the program, saying what to install, without them."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"))
    from open_clip_stub import import_open_clip

    try:
        import torch

        return torch, import_open_clip()
    except ImportError as missing:
        sys.exit(
            f"{missing.name} is missing from {sys.executable}; PyTorch is only needed to compare "
            "with it: pip install torch==2.13.0 numpy ftfy regex tqdm wcwidth && "
            "pip install --no-deps open_clip_torch==3.3.0 timm huggingface_hub"
        )


def web_lengths():
    text = (pathlib.Path(__file__).parents[1] / "web_lengths.txt").read_text()
    return [int(word) for word in text.split()]


def make_batch(torch, config, batch, captions):
    """Random pictures and ids; lengths as in bench_step, zeros after EOT."""
    size = config["vision_cfg"]["image_size"]
    context, vocab = config["text_cfg"]["context_length"], config["text_cfg"]["vocab_size"]
    lengths = web_lengths() if captions == "web" else [context]
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, size, size, generator=generator)
    texts = torch.zeros(batch, context, dtype=torch.long)
    for i in range(batch):
        length = min(context, lengths[i % len(lengths)])
        texts[i, :length] = torch.randint(1, vocab - 2, (length,), generator=generator)
        texts[i, 0], texts[i, length - 1] = vocab - 2, vocab - 1
    return images, texts


def make_optimizer(torch, model):
    """OpenCLIP's two groups: no decay for ndim < 2, norms, biases and logit_scale."""
    decayed, rest = [], []
    for name, parameter in model.named_parameters():
        plain = parameter.ndim < 2 or any(w in name for w in ("bn", "ln", "bias", "logit_scale"))
        (rest if plain else decayed).append(parameter)
    groups = [{"params": rest, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.2}]
    return torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.98), eps=1e-6, fused=True)


def measure(args, config):
    torch, open_clip = import_libraries()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = open_clip.model.CLIP(**config)
    model.train()
    loss_of = open_clip.loss.ClipLoss()
    optimizer = make_optimizer(torch, model)
    images, texts = make_batch(torch, config, args.batch, args.captions)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            image, text, scale = model(images, texts)
            loss = loss_of(image, text, scale)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6051702)  # ln 100
        return float(loss.detach())

    step()
    steps, began = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - began < args.seconds:
        loss = step()
        steps += 1
    seconds = time.perf_counter() - began
    return {
        "pairs_per_second": args.batch * steps / seconds,
        "steps": steps,
        "seconds": seconds,
        "loss": loss,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "open_clip": open_clip.__version__,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config", help="OpenCLIP json, as `bench_step --config MODEL` prints it")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--captions", choices=("full", "web"), default="web")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    args = parser.parse_args()
    out = take_stdout()
    config = json.loads(pathlib.Path(args.config).read_text())
    result = measure(args, config.get("model_cfg", config))
    print(json.dumps(result, indent=2), file=out)


if __name__ == "__main__":
    main()
