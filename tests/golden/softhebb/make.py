"""Writes the small golden files beside this script.

An independent statement of the rule's equations (plugins/softhebb/src/rule.rs) in
NumPy, position by position and in double precision, in the layout of the larger
sets of golden vectors: plain names are single precision, `.f64` double. It shares
no code with the plugin, and chooses combinations that the published vectors leave
out: groups with stride and order 3, every padding mode, a bias with the adaptive
rate on a dense layer.

    python3 tests/golden/softhebb/make.py
"""

import itertools
import json
import pathlib
import struct

import numpy as np

PAD = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "zeros": "constant"}


def windows(x, c):
    """[B, P, Q, C, R, S] of the padded input."""
    p, s, d, k = c["padding"], c["stride"], c["dilation"], c["kernel_size"]
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), PAD[c["padding_mode"]])
    span = d * (k - 1) + 1
    rows = range(0, x.shape[2] - span + 1, s)
    columns = range(0, x.shape[3] - span + 1, s)
    cut = [[x[:, :, r:r + span:d, q:q + span:d] for q in columns] for r in rows]
    return np.array(cut).transpose(2, 0, 1, 3, 4, 5)


def factors(u, c):
    """Post-synaptic factors of one competition, `u` a vector."""
    order = sorted(range(len(u)), key=lambda k: (-u[k], k))
    winner, punished = order[0], order[c["ranking_param"] - 1]
    hard = np.zeros(len(u))
    hard[winner] = 1.0
    if c["rule"] == "hard":
        return hard
    if c["rule"] == "hardkrotov":
        if c["layer"] == "linear":
            hard[punished] = -c["delta"]
        else:
            hard[punished] -= c["delta"]
        return hard
    e = np.exp(c["t_invert"] * (u - u[winner]))
    s = e / e.sum()
    if c["rule"] == "softkrotov":
        return np.where(hard == 1.0, s, -s)
    return s


def rates(w, step, c):
    if not c["adaptive"]:
        return np.array([max(0.0, c["lr"] * (1 - step * c["ratio"] / c["nb_epochs"]))])
    return c["lr"] * (abs(radii(w, c) - 1) + 1e-10) ** c["power_lr"]


def radii(w, c):
    return (abs(w) ** c["lebesgue_p"]).reshape(len(w), -1).sum(1) ** (1 / c["lebesgue_p"])


def step(w, b, x, c):
    """Pre-activation, factors, Δw and Δb for weights before the update."""
    conv, groups = c["layer"] == "conv2d", c.get("groups", 1)
    # A dense layer is a convolution with one position.
    cut = windows(x, c) if conv else x[:, None, None, :, None, None]
    wide = w if conv else w[:, :, None, None]
    effective = np.sign(wide) * abs(wide) ** (c["lebesgue_p"] - 1)
    kg, cg = len(w) // groups, cut.shape[3] // groups
    part = lambda g: (slice(g * kg, (g + 1) * kg), slice(g * cg, (g + 1) * cg))
    u = np.zeros(cut.shape[:3] + (len(w),))
    for g in range(groups):
        k, i = part(g)
        u[..., k] = np.einsum("bpqirs,kirs->bpqk", cut[:, :, :, i], effective[k])
    if b is not None:
        u = u + b
    if c.get("pre_triangle"):
        u = np.maximum(0, u - u.mean(-1, keepdims=True))
    y, dw = np.zeros_like(u), np.zeros_like(wide)
    for g in range(groups):
        k, i = part(g)
        for at in itertools.product(*map(range, u.shape[:3])):
            y[at][k] = factors(u[at][k], c)
        hebb = np.einsum("bpqk,bpqirs->kirs", y[..., k], cut[:, :, :, i])
        decay = (y[..., k] * u[..., k]).sum((0, 1, 2))
        d = hebb - decay[:, None, None, None] * wide[k]
        dw[k] = d / (abs(d).max() + 1e-30)
    db = None
    if b is not None:
        e = np.exp(c["t_invert"] * b)
        n = u[..., 0].size
        db = (y.sum((0, 1, 2)) - e * n) / e
        db /= abs(db).max() + 1e-30
    first = lambda t: t.transpose(0, 3, 1, 2) if conv else t[:, 0, 0]
    return first(u), first(y), dw.reshape(w.shape), db


def case(name, **c):
    base = dict(lebesgue_p=2, weight_init="normal", delta=0.4, ranking_param=3, t_invert=1.0,
                adaptive=True, lr=0.05, power_lr=0.5, nb_epochs=1, ratio=0.2, lr_decay="linear",
                speed=7, div=96, radius_init=3.0, add_bias=False, steps=3)
    if c["layer"] == "conv2d":
        base.update(kernel_size=3, stride=1, padding=1, dilation=1, groups=1,
                    padding_mode="reflect", pre_triangle=False)
    c = {**base, **c}
    rng = np.random.default_rng(c["seed"])
    conv, k = c["layer"] == "conv2d", c["out_channels"]
    ins = c["input_shape"][1]
    shape = (k, ins // c["groups"], c["kernel_size"], c["kernel_size"]) if conv else (k, ins)
    single = lambda t: np.asarray(t, np.float32).astype(np.float64)
    w = single(rng.normal(size=shape) * c["radius_init"] / np.prod(shape[1:]) ** 0.5)
    b = single(np.full(k, np.log(1 / k) / c["t_invert"])) if c["add_bias"] else None
    xs = [single(rng.random(c["input_shape"])) for _ in range(c["steps"])]
    out = {"weight_before": w, "radius_before": radii(w, c)}
    if b is not None:
        out["bias_before"] = b
    etas = [rates(w, 0, c)]
    for t, x in enumerate(xs):
        u, y, dw, db = step(w, b, x, c)
        eta = etas[-1]
        w = w + eta.reshape((-1,) + (1,) * (w.ndim - 1)) * dw
        if b is not None:
            b = b + eta * (0.1 if conv else 1.0) / c["t_invert"] * db
        etas.append(rates(w, t + 1, c))
        if t == 0:
            out.update(pre_activation=u, wta=y, delta_w=dw, weight_after_1=w)
            if b is not None:
                out.update(delta_b=db, bias_after_1=b)
    last = c["steps"]
    out.update({f"weight_after_{last}": w, f"radius_after_{last}": radii(w, c), "lr_per_step": np.array(etas)})
    if b is not None:
        out[f"bias_after_{last}"] = b
    out["eval_output"] = step(w, b, xs[0], c)[0]
    off = abs(radii(w, c) - 1)
    tensors = {f"input_{t}": x.astype(np.float32) for t, x in enumerate(xs)}
    tensors["convergence"] = np.array([off.mean()], np.float32)
    tensors["r1_count"] = np.array([(off < (0.01 if conv else 0.005)).sum()], np.int64)
    for key, value in out.items():
        tensors[key] = value.astype(np.float32)
        tensors[key + ".f64"] = value
    write(name, tensors, c)


def write(name, tensors, settings):
    kinds = {"float32": "F32", "float64": "F64", "int64": "I64"}
    text = lambda v: v if isinstance(v, str) else json.dumps(v)
    header, data = {"__metadata__": {k: text(v) for k, v in settings.items()}}, b""
    for key, value in sorted(tensors.items()):
        raw = np.ascontiguousarray(value).tobytes()
        header[key] = {"dtype": kinds[str(value.dtype)], "shape": value.shape,
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path = pathlib.Path(__file__).parent / f"{name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


conv = dict(layer="conv2d", input_shape=[2, 4, 6, 7], out_channels=6)
dense = dict(layer="linear", input_shape=[5, 9], out_channels=7)
case("conv_softkrotov_groups_stride_p3", rule="softkrotov", seed=1, groups=2, stride=2, lebesgue_p=3, **conv)
case("conv_hardkrotov_circular_first", rule="hardkrotov", seed=2, padding_mode="circular", ranking_param=1, **conv)
case("conv_soft_replicate_bias", rule="soft", seed=3, padding_mode="replicate", add_bias=True, t_invert=2.0, **conv)
case("conv_hard_zeros_dilation_linear", rule="hard", seed=4, padding_mode="zeros", dilation=2, padding=2, adaptive=False, **conv)
case("conv_softkrotov_pretriangle_groups", rule="softkrotov", seed=5, groups=2, pre_triangle=True, **conv)
case("dense_soft_bias_adaptive", rule="soft", seed=6, add_bias=True, t_invert=3.0, **dense)
case("dense_hardkrotov_first_p4", rule="hardkrotov", seed=7, ranking_param=1, lebesgue_p=4, radius_init=1.5, **dense)
case("dense_softkrotov_linear", rule="softkrotov", seed=8, adaptive=False, **dense)
