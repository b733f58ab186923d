"""The smallest model that the Python tests train: seconds for a whole run."""


def tiny_model(layers=1, vocab_size=600):
    return {"embed_dim": 32,
            "vision_cfg": {"image_size": 16, "layers": layers, "width": 32, "head_width": 16,
                           "patch_size": 8},
            "text_cfg": {"context_length": 24, "vocab_size": vocab_size, "width": 32, "heads": 2,
                         "layers": layers}}
