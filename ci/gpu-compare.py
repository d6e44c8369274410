#!/usr/bin/env python3
"""Compares two safetensors files tensor by tensor.

usage: gpu-compare.py REFERENCE OTHER [TOLERANCE]

Prints one line for each tensor: name, shape, largest difference relative to the
reference's largest value. Exits 1 where one is over TOLERANCE (default 1e-3),
is missing, or is not finite. Only numpy is needed.
"""
import json
import struct
import sys

import numpy as np

TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U32": "<u4", "U8": "u1", "I32": "<i4"}


def read(path):
    """All tensors of a file, by name."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(body[e["data_offsets"][0] : e["data_offsets"][1]], TYPES[e["dtype"]])
        .reshape(e["shape"])
        .astype(np.float64)
        for name, e in header.items()
        if e["dtype"] in TYPES
    }


def main():
    reference, other = read(sys.argv[1]), read(sys.argv[2])
    tolerance = float(sys.argv[3]) if len(sys.argv) > 3 else 1e-3
    bad = sorted(set(reference) ^ set(other))
    for name in bad:
        print(f"{name}: only in one of the two files")
    for name in sorted(set(reference) & set(other)):
        a, b = reference[name], other[name]
        if a.shape != b.shape:
            print(f"{name}: {a.shape} and {b.shape}")
            bad.append(name)
            continue
        scale = max(float(np.abs(a).max(initial=0.0)), 1e-30)
        error = float(np.abs(a - b).max(initial=0.0)) / scale
        verdict = "ok" if error <= tolerance else "TOO LARGE"
        print(f"{name} {list(a.shape)}: {error:.2e} {verdict}")
        if not error <= tolerance:
            bad.append(name)
    return 1 if bad else 0


sys.exit(main())
