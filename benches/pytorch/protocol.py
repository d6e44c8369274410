"""Tensors in files, and what a case is.

A case is a function `case(params, inputs)` that returns builders by name, the
formulation that a researcher writes first, as "plain". A builder makes state of its
own and returns `call`, which does the work once and returns results by name; or
`(call, results)`, where `results()` after the first call says what it computed.
Conversions belong into the builder, outside the timing.
"""

import os
import torch

CASES = {}
DEVICE = torch.device("cpu")


def case(name):
    def enter(function):
        CASES[name] = function
        return function

    return enter


def load(entries, device):
    """Tensors of `{name: {"file": …, "shape": […]}}`."""
    out = {}
    for name, entry in entries.items():
        size = os.path.getsize(entry["file"]) // 4
        t = torch.from_file(entry["file"], size=size, dtype=torch.float32)
        # A copy: the file goes, and a mapping is not memory of this process.
        out[name] = t.reshape(entry["shape"]).clone().to(device)
    return out


def save(folder, prefix, tensors):
    """Writes results and tells of them in the same way."""
    told = {}
    for i, (name, t) in enumerate(tensors.items()):
        path = os.path.join(folder, f"{prefix}-{i}.f32")
        t = t.detach().to("cpu", torch.float32).contiguous()
        with open(path, "wb") as file:
            file.write(t.numpy().tobytes())
        told[name] = {"file": path, "shape": list(t.shape)}
    return told


def channels_last(t):
    return t.contiguous(memory_format=torch.channels_last)
