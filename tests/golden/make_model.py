#!/usr/bin/env python3
"""Makes the golden files of tests/model/golden.c with PyTorch 2.13 and open_clip 3.3.

    pip install torch==2.13.0 && pip install --no-deps open_clip_torch==3.3.0
    pip install safetensors ftfy regex timm huggingface_hub   # what open_clip imports
    python3 tests/golden/make_model.py

Each file holds a small CLIP model's weights, four batches, the features, the loss and every
gradient of the first batch, and the losses and final weights of 20 steps of AdamW with the paper's
recipe. Everything is computed in float64 from float32 weights, so that a difference that the test
finds is ticlip's own, and stored as float32.
"""

import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from open_clip_stub import import_open_clip

open_clip = import_open_clip()
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg  # noqa: E402

STEPS, WARMUP, BATCHES, PAIRS = 20, 5, 4, 8
RATE, BETAS, EPS, DECAY = 5e-4, (0.9, 0.98), 1e-6, 0.2
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

# Between them: both activations, head widths that are not 64, sizes that are no multiple of 32, a
# tower whose only block is its last, and an MLP ratio that is not 4.
CASES = {
    "model_gelu": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 20, "layers": 2, "width": 48, "head_width": 16,
                       "patch_size": 5},
        "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
    },
    "model_quick_gelu": {
        "embed_dim": 20,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 18, "layers": 1, "width": 48, "head_width": 24,
                       "patch_size": 6},
        "text_cfg": {"context_length": 9, "vocab_size": 40, "width": 40, "heads": 5, "layers": 3,
                     "mlp_ratio": 3.0},
    },
}


def build(config):
    model = CLIP(config["embed_dim"], CLIPVisionCfg(**config["vision_cfg"]),
                 CLIPTextCfg(**config["text_cfg"]), quick_gelu=config.get("quick_gelu", False))
    with torch.no_grad():
        for parameter in model.parameters():  # no norm of exactly 1, no bias of exactly 0
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.double()


def draw_batches(config, rng):
    """Pixels, padded ids, and the same ids packed up to EOT, the largest id."""
    size, context = config["vision_cfg"]["image_size"], config["text_cfg"]["context_length"]
    vocab = config["text_cfg"]["vocab_size"]
    batches = []
    for _ in range(BATCHES):
        pixels = rng.integers(0, 256, (PAIRS, size, size, 3), dtype=np.uint8)
        lengths = rng.integers(2, context + 1, PAIRS)
        lengths[:2] = (2, context)  # the empty caption and the longest
        padded = np.zeros((PAIRS, context), dtype=np.int64)
        for row, length in zip(padded, lengths):
            row[0], row[length - 1] = vocab - 2, vocab - 1
            row[1:length - 1] = rng.integers(1, vocab - 2, length - 2)
        batches.append((pixels, padded, lengths))
    return batches


def features(model, pixels, padded):
    x = torch.from_numpy(pixels).double().permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(MEAN).double()[:, None, None]) / torch.tensor(STD).double()[:, None, None]
    return (model.encode_image(x, normalize=True),
            model.encode_text(torch.from_numpy(padded), normalize=True))


def loss_of(model, image, text):
    logits = model.logit_scale.exp() * image @ text.T
    targets = torch.arange(len(image))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def rate_at(step):
    if step < WARMUP:
        return RATE * (step + 1) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * RATE


def train(model, batches):
    plain = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.AdamW([{"params": plain, "weight_decay": 0.0},
                                   {"params": decayed, "weight_decay": DECAY}],
                                  lr=RATE, betas=BETAS, eps=EPS)
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        optimizer.zero_grad()
        pixels, padded, _ = batches[step % BATCHES]
        loss = loss_of(model, *features(model, pixels, padded))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())
    return np.array(losses)


def tensors(prefix, items):
    return {prefix + name: value.detach().numpy().astype(np.float32, order="C")
            for name, value in items}


def make(name, config, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = build(config)
    batches = draw_batches(config, rng)
    out = tensors("weight.", model.state_dict().items())
    image, text = features(model, batches[0][0], batches[0][1])
    loss_of(model, image, text).backward()
    out |= tensors("gradient.", ((n, p.grad) for n, p in model.named_parameters()))
    out |= tensors("features.", (("image", image), ("text", text)))
    out["losses"] = train(model, batches)
    out |= tensors("final.", model.state_dict().items())
    out["rates"] = np.array([rate_at(step) for step in range(STEPS)])
    out["pixels"] = np.stack([pixels for pixels, _, _ in batches])
    out["ids"] = np.concatenate([row[:length] for _, padded, lengths in batches
                                 for row, length in zip(padded, lengths)]).astype(np.int32)
    out["offsets"] = np.stack([np.concatenate([[0], np.cumsum(lengths)])
                               for _, _, lengths in batches]).astype(np.int32)
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(folder, name + ".safetensors")
    save_file(out, path,
              metadata={"config": json.dumps(config), "torch": torch.__version__,
                        "open_clip": open_clip.__version__})
    os.chmod(path, 0o644)
    print(path, out["losses"])


def write_names(native):
    """Every tensor of a native model in the order of its state_dict, for tests/model/layout.c."""
    config = open_clip.get_model_config(native)
    with torch.device("meta"):
        model = CLIP(config["embed_dim"], CLIPVisionCfg(**config["vision_cfg"]),
                     CLIPTextCfg(**config["text_cfg"]))
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, native.lower().replace("-", "_") + ".tensors"), "w") as out:
        for name, value in model.state_dict().items():
            print(name, *value.shape, file=out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number, (case, settings) in enumerate(CASES.items()):
        make(case, settings, number + 1)
    write_names("ViT-B-16")
