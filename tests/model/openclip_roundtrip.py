#!/usr/bin/env python3
"""Weights both ways between ticlip and OpenCLIP, features compared to 1e-4.

    openclip_roundtrip.py EMBED_TOOL

What ticlip writes, open_clip.create_model("local-dir:...") loads strictly; what PyTorch writes of
an OpenCLIP model, ticlip loads. Exit code 77, a skip, when PyTorch or open_clip is not installed.
"""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
try:
    import numpy as np
    import torch
    from open_clip_stub import import_open_clip
    from safetensors.numpy import load_file, save_file
    from safetensors.torch import save_file as save_torch
    open_clip = import_open_clip()
except ImportError as error:
    print(f"skipped: {error}; pip install torch==2.13.0, open_clip_torch==3.3.0 without its "
          "dependencies, safetensors, ftfy, regex, timm, huggingface_hub")
    sys.exit(77)

BOUND = 1e-4
PAIRS = 6
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# Heads that are not 64 wide, an MLP ratio that is no binary fraction, quick_gelu.
CUSTOM = {
    "embed_dim": 40,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 42, "layers": 3, "width": 96, "head_width": 24, "patch_size": 7,
                   "mlp_ratio": 3.3},
    "text_cfg": {"context_length": 20, "vocab_size": 300, "width": 60, "heads": 5, "layers": 2},
}


def draw_batch(config):
    rng = np.random.default_rng(1)
    size, text = config["vision_cfg"]["image_size"], config["text_cfg"]
    pixels = rng.integers(0, 256, (PAIRS, size, size, 3), dtype=np.uint8)
    lengths = rng.integers(2, text["context_length"] + 1, PAIRS)
    lengths[:2] = text["context_length"], 5
    padded = np.zeros((PAIRS, text["context_length"]), dtype=np.int64)
    for row, length in zip(padded, lengths):
        row[:length] = rng.integers(1, text["vocab_size"] - 1, length)
        row[length - 1] = text["vocab_size"] - 1
    packed = {"pixels": pixels,
              "ids": np.concatenate([r[:n] for r, n in zip(padded, lengths)]).astype(np.int32),
              "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)}
    # OpenCLIP gets the whole row of a caption that holds an EOT in the middle, and pools there.
    padded[1, 5:] = rng.integers(1, text["vocab_size"] - 1, text["context_length"] - 5)
    padded[1, 8] = text["vocab_size"] - 1
    return pixels, padded, packed


def torch_features(model, pixels, padded):
    x = torch.from_numpy(pixels).float().permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        return (model.encode_image(x, normalize=True).numpy(),
                model.encode_text(torch.from_numpy(padded), normalize=True).numpy())


def compare(title, tool, folder, model, config):
    pixels, padded, packed = draw_batch(config)
    batch, out = os.path.join(folder, "batch"), os.path.join(folder, "features")
    save_file(packed, batch)
    subprocess.run([tool, "embed", folder, batch, out], check=True)
    got = load_file(out)
    worst = 0.0
    for name, want in zip(("image", "text"), torch_features(model, pixels, padded)):
        error = np.abs(got[name] - want).max()
        worst = max(worst, error)
        print(f"{title}: {name} features differ by at most {error:.2e}")
    return bool(worst <= BOUND)  # NaN fails


def from_ticlip(title, name, tool, folder):
    subprocess.run([tool, "make", name, folder], check=True)
    model = open_clip.create_model("local-dir:" + folder).eval()
    with open(os.path.join(folder, "open_clip_config.json"), encoding="utf-8") as file:
        config = json.load(file)["model_cfg"]
    return compare(title, tool, folder, model, config)


def to_ticlip(title, tool, folder, json_path):
    open_clip.add_model_config(json_path)
    torch.manual_seed(2)
    model = open_clip.create_model(os.path.splitext(os.path.basename(json_path))[0]).eval()
    save_torch(model.state_dict(), os.path.join(folder, "open_clip_model.safetensors"))
    with open(os.path.join(folder, "open_clip_config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_cfg": CUSTOM, "preprocess_cfg": {
            "mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}}, file)
    return compare(title, tool, folder, model, CUSTOM)


def main(tool):
    with tempfile.TemporaryDirectory() as folder:
        def fresh(name):
            path = os.path.join(folder, name)
            os.mkdir(path)
            return path

        custom = os.path.join(folder, "custom.json")
        with open(custom, "w", encoding="utf-8") as file:
            json.dump(CUSTOM, file)
        passed = [
            from_ticlip("ticlip's ViT-Nano-8-40 in OpenCLIP", "ViT-Nano-8-40", tool, fresh("a")),
            from_ticlip("ticlip's custom model in OpenCLIP", custom, tool, fresh("b")),
            to_ticlip("OpenCLIP's custom model in ticlip", tool, fresh("c"), custom),
        ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
