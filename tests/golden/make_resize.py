#!/usr/bin/env python3
"""Writes resize.bin: what Pillow's bicubic makes of pictures that tests/data/resize.c can draw too.

Needs Pillow (the committed file: 13.0.0). Run in this folder: python3 make_resize.py

A case is ten little-endian 32-bit integers (kind, width, height, x0, y0, x1, y1, out_width,
out_height, seed) and out_height * out_width * 3 bytes. Kind 0 is crop and resize, kind 1 the
evaluation transform of open_clip to out_width: Resize(shorter side), CenterCrop.
"""
import struct

from PIL import Image


def draw(width, height, seed):
    """Noise on a ramp with hard edges: the bicubic overshoots and is clipped at both ends."""
    state = seed
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            for c in range(3):
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                if (x // 5 + y // 7 + c) % 3 == 0:
                    pixels.append(255 if state >> 31 else 0)
                else:
                    pixels.append(((x * 7 + y * 3 + c * 50) % 200 + (state >> 24) % 56) & 255)
    return Image.frombytes("RGB", (width, height), bytes(pixels))


def evaluate(image, size):
    """torchvision's Resize and CenterCrop on a PIL image."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(size * long / short)
    new = (size, other) if width <= height else (other, size)
    if new != image.size:
        image = image.resize(new, Image.BICUBIC)
    left, top = int(round((new[0] - size) / 2.0)), int(round((new[1] - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


RESIZES = [  # width, height, box, output
    (64, 48, (0, 0, 64, 48), (40, 40)),
    (64, 64, (3, 1, 62, 63), (40, 40)),
    (60, 80, (2, 5, 58, 77), (40, 40)),
    (17, 23, (0, 0, 17, 23), (40, 40)),
    (40, 40, (0, 0, 40, 40), (40, 40)),
    (40, 64, (0, 0, 40, 64), (40, 40)),
    (200, 150, (10, 20, 190, 149), (32, 24)),
    (333, 7, (0, 0, 333, 7), (11, 9)),
    (1, 1, (0, 0, 1, 1), (5, 3)),
    (2, 50, (1, 0, 2, 50), (3, 100)),
    (50, 3, (7, 1, 44, 2), (1, 1)),
    (128, 96, (0, 0, 128, 96), (127, 95)),
    (31, 37, (0, 0, 31, 37), (62, 74)),
    (56, 72, (0, 0, 56, 72), (40, 40)),  # Pillow 13 swaps its passes just beyond this
    (56, 73, (0, 0, 56, 73), (40, 40)),
    (30, 60, (0, 0, 30, 60), (20, 12)),
    (24, 50, (2, 3, 24, 47), (59, 40)),
]
EVALUATIONS = [  # width, height, size; differences from the size that are odd round to even
    (64, 48, 40), (48, 64, 40), (60, 80, 40), (40, 40, 40), (41, 40, 40), (40, 43, 40),
    (45, 40, 40), (120, 33, 24), (33, 120, 24), (10, 13, 32), (200, 100, 33),
]


def main():
    with open("resize.bin", "wb") as out:
        for seed, (width, height, box, size) in enumerate(RESIZES, 1):
            image = draw(width, height, seed).crop(box).resize(size, Image.BICUBIC)
            out.write(struct.pack("<10i", 0, width, height, *box, *size, seed) + image.tobytes())
        for seed, (width, height, size) in enumerate(EVALUATIONS, 100):
            image = evaluate(draw(width, height, seed), size)
            out.write(struct.pack("<10i", 1, width, height, 0, 0, width, height, size, size, seed))
            out.write(image.tobytes())


if __name__ == "__main__":
    main()
