"""A small OpenCLIP checkpoint folder, written with the standard library alone: what ticlip must read
from other programs, and the base that the tests of damaged checkpoints damage."""

import array
import json
import math
import pathlib
import random

CONFIG = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 600, "width": 64, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


def block_shapes(prefix, width):
    at = f"{prefix}transformer.resblocks.0."
    return {
        at + "ln_1.weight": [width],
        at + "ln_1.bias": [width],
        at + "attn.in_proj_weight": [3 * width, width],
        at + "attn.in_proj_bias": [3 * width],
        at + "attn.out_proj.weight": [width, width],
        at + "attn.out_proj.bias": [width],
        at + "ln_2.weight": [width],
        at + "ln_2.bias": [width],
        at + "mlp.c_fc.weight": [4 * width, width],
        at + "mlp.c_fc.bias": [4 * width],
        at + "mlp.c_proj.weight": [width, 4 * width],
        at + "mlp.c_proj.bias": [width],
    }


def shapes():
    width, embed = 64, 32
    return {
        "positional_embedding": [16, width],
        "text_projection": [width, embed],
        "logit_scale": [],
        "visual.class_embedding": [width],
        "visual.positional_embedding": [5, width],
        "visual.proj": [width, embed],
        "visual.conv1.weight": [width, 3, 8, 8],
        "visual.ln_pre.weight": [width],
        "visual.ln_pre.bias": [width],
        **block_shapes("visual.", width),
        "visual.ln_post.weight": [width],
        "visual.ln_post.bias": [width],
        **block_shapes("", width),
        "token_embedding.weight": [600, width],
        "ln_final.weight": [width],
        "ln_final.bias": [width],
    }


def weights():
    """{name: (shape, float32 array)}, drawn with a fixed seed."""
    rng = random.Random(1)
    result = {}
    for name, shape in shapes().items():
        count = math.prod(shape)
        scale, shift = (0.05, 1.0) if ".ln_" in name and "weight" in name else (0.1, 0.0)
        result[name] = (shape, array.array("f", (rng.gauss(shift, scale) for _ in range(count))))
    return result


def safetensors(tensors, dtype="F32"):
    """The bytes of a safetensors file of {name: (shape, array)}."""
    header, body = {}, b""
    for name, (shape, values) in tensors.items():
        content = values.tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(content)],
        }
        body += content
    return assemble(json.dumps(header).encode(), body)


def assemble(header, body):
    return len(header).to_bytes(8, "little") + header + body


def split(content):
    """The header as an object, and the body."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write(folder, config=None, content=None):
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config or CONFIG)
    (folder / "open_clip_config.json").write_text(text)
    (folder / "open_clip_model.safetensors").write_bytes(
        safetensors(weights()) if content is None else content
    )
    return folder
