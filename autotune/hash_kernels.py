"""Writes a header with a hash of all that the kernels are built from: part of every plan's key.

Usage: hash_kernels.py KERNELS_FOLDER OUTPUT DEPFILE
"""
import hashlib
import os
import sys

folder, output, depfile = sys.argv[1:]
paths = []
for root, folders, names in os.walk(folder):
    folders[:] = sorted(name for name in folders if name != "__pycache__")
    paths += [os.path.join(root, name) for name in sorted(names)
              if name == "meson.build" or name.endswith((".c", ".h", ".py", ".S"))]
digest = hashlib.sha256()
for path in paths:
    with open(path, "rb") as file:
        content = file.read()
    digest.update(f"{os.path.relpath(path, folder)} {len(content)}\n".encode() + content)
with open(output, "w", encoding="utf-8") as file:
    file.write(f'#define TIC_KERNELS_HASH "{digest.hexdigest()[:12]}"\n')
with open(depfile, "w", encoding="utf-8") as file:
    names = " ".join(path.replace(" ", "\\ ") for path in paths)
    file.write(f"{output.replace(' ', chr(92) + ' ')}: {names}\n")
