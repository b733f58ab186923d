#!/usr/bin/env python3
"""Writes jpeg.bin: small JPEGs of every colour space and what Pillow decodes them to, as RGB.

Needs Pillow (the committed file: 13.0.0). Run in this folder: python3 make_jpeg.py

A case is four little-endian 32-bit integers (width, height, bytes of the JPEG, reason) and, when
the reason is 0, the JPEG and height * width * 3 bytes of RGB; else the JPEG alone. Reason 1: a
decoder must find it corrupt.
"""
import io
import struct

from make_resize import draw


def encode(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def decoded(data):
    from PIL import Image
    return Image.open(io.BytesIO(data)).convert("RGB")


def main():
    rgb = draw(37, 26, 5)
    good = [
        encode(rgb, quality=90),
        encode(rgb, quality=75, subsampling=0),
        encode(rgb, quality=50, subsampling=1),
        encode(rgb, quality=80, progressive=True),
        encode(rgb, quality=80, restart_marker_blocks=2),
        encode(rgb.convert("L"), quality=85),
        encode(rgb.convert("L"), quality=85, progressive=True),
        encode(rgb.convert("CMYK"), quality=90),
        encode(rgb.convert("CMYK"), quality=90, progressive=True),
        encode(draw(1, 1, 6), quality=90),
    ]
    twelve = bytearray(good[0])
    twelve[twelve.index(b"\xff\xc0") + 4] = 12  # the precision in the frame header
    with open("jpeg.bin", "wb") as out:
        for data in good:
            image = decoded(data)
            out.write(struct.pack("<4i", *image.size, len(data), 0) + data + image.tobytes())
        for data in (bytes(twelve), good[0][:-40], good[3][: len(good[3]) // 2]):
            out.write(struct.pack("<4i", 0, 0, len(data), 1) + data)


if __name__ == "__main__":
    main()
