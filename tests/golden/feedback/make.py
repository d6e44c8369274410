"""Writes `conv_fa_without_bias.safetensors` beside this script.

An independent statement of feedback alignment (Lillicrap et al. 2016) in NumPy, in double
precision and by explicit loops over kernel positions, in the layout of BioTorch's golden vectors.
The network is BioTorch's with `"bias": false`, whose convolutions have no bias while the dense
layer keeps its own; it has dilation, groups, tanh and momentum, which those vectors leave at
their defaults.

    python3 tests/golden/feedback/make.py
"""

import json
import pathlib
import struct

import numpy as np

NET = {"ci": 2, "c1": 4, "c2": 6, "hw": 8, "nc": 5, "k": 3, "pad": 2, "stride2": 1, "dil": 2,
       "groups": 2, "bias": False, "act": "tanh"}
LR, MOMENTUM, DECAY, BATCH, SEED = 0.1, 0.9, 0.01, 4, 51
CONVS = {"conv1": dict(stride=1, pad=2, dil=1, groups=1), "conv2": dict(stride=1, pad=2, dil=2, groups=2)}
LAYERS = ["conv1", "conv2", "fc"]


def places(x, w, stride, pad, dil, groups):
    """Output size, and for each group and kernel position the slices of input and output."""
    k = w.shape[2]
    size = lambda n: (n + 2 * pad - dil * (k - 1) - 1) // stride + 1
    p, q = size(x.shape[2]), size(x.shape[3])
    ins, outs = x.shape[1] // groups, len(w) // groups
    cuts = []
    for g in range(groups):
        for r in range(k):
            for s in range(k):
                rows = slice(r * dil, r * dil + stride * (p - 1) + 1, stride)
                columns = slice(s * dil, s * dil + stride * (q - 1) + 1, stride)
                cuts.append((slice(g * outs, (g + 1) * outs), slice(g * ins, (g + 1) * ins), rows, columns, r, s))
    return p, q, cuts


def padded(x, pad):
    return np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))


def forward(x, w, c):
    p, q, cuts = places(x, w, **c)
    big, y = padded(x, c["pad"]), np.zeros((len(x), len(w), p, q))
    for outs, ins, rows, columns, r, s in cuts:
        y[:, outs] += np.einsum("bcpq,kc->bkpq", big[:, ins, rows, columns], w[outs, :, r, s])
    return y


def backward(x, w, feedback, g, c):
    """Gradient of the weight, and the error for the layer below through `feedback`."""
    _, _, cuts = places(x, w, **c)
    big = padded(x, c["pad"])
    dw, dx = np.zeros_like(w), np.zeros_like(big)
    for outs, ins, rows, columns, r, s in cuts:
        dw[outs, :, r, s] += np.einsum("bcpq,bkpq->kc", big[:, ins, rows, columns], g[:, outs])
        dx[:, ins, rows, columns] += np.einsum("bkpq,kc->bcpq", g[:, outs], feedback[outs, :, r, s])
    pad = c["pad"]
    return dw, dx[:, :, pad:dx.shape[2] - pad, pad:dx.shape[3] - pad]


def pool(x):
    """Maxima of squares of 2x2 and where they stand."""
    b, c, h, w = x.shape
    squares = x.reshape(b, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(b, c, h // 2, w // 2, 4)
    return squares.max(-1), squares.argmax(-1)


def unpool(g, best, shape):
    b, c, h, w = g.shape
    squares = np.zeros((b, c, h, w, 4))
    np.put_along_axis(squares, best[..., None], g[..., None], -1)
    return squares.reshape(b, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(shape)


def walk(p, x, target, feedback):
    """All that passes through the network, up and, with these feedback tensors, down."""
    seen, grads = {}, {}
    u1 = forward(x, p["conv1.weight"], CONVS["conv1"])
    h1, best = pool(np.tanh(u1))
    u2 = forward(h1, p["conv2.weight"], CONVS["conv2"])
    flat = np.tanh(u2).reshape(len(x), -1)
    logits = flat @ p["fc.weight"].T + p["fc.bias"]
    e = np.exp(logits - logits.max(1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    rows = np.arange(len(x))
    loss = -np.log(e[rows, target]).mean()
    e[rows, target] -= 1
    e /= len(x)
    grads["fc.weight"], grads["fc.bias"] = e.T @ flat, e.sum(0)
    back = e @ feedback["fc"]
    g2 = back.reshape(u2.shape) * (1 - np.tanh(u2) ** 2)
    grads["conv2.weight"], down = backward(h1, p["conv2.weight"], feedback["conv2"], g2, CONVS["conv2"])
    g1 = unpool(down, best, u1.shape) * (1 - np.tanh(u1) ** 2)
    grads["conv1.weight"], _ = backward(x, p["conv1.weight"], feedback["conv1"], g1, CONVS["conv1"])
    for layer, i, o, g in [("conv1", x, u1, g1), ("conv2", h1, u2, g2), ("fc", flat, logits, e)]:
        seen.update({f"fwd.{layer}.input": i, f"fwd.{layer}.output": o, f"bwd.{layer}.grad_output": g})
    seen.update({"bwd.conv2.grad_input": down, "bwd.fc.grad_input": back, "out.logits": logits, "grad_wrt_logits": e})
    return loss, seen, grads


def agreement(p, feedback):
    angles, ratios = [], []
    for layer in LAYERS:
        w, b = p[f"{layer}.weight"].ravel(), feedback[layer].ravel()
        lengths = np.linalg.norm(w), np.linalg.norm(b)
        angles.append(np.degrees(np.arccos(w @ b / (lengths[0] * lengths[1]))))
        ratios.append(lengths[1] / lengths[0])
    return np.array(angles), np.array(ratios)


def main():
    rng = np.random.default_rng(SEED)
    single = lambda t: np.asarray(t, np.float32).astype(np.float64)
    shapes = {"conv1": (4, 2, 3, 3), "conv2": (6, 2, 3, 3), "fc": (5, 6 * 5 * 5)}
    draw = lambda shape: single(rng.normal(size=shape) * (1.5 / np.prod(shape[1:])) ** 0.5)
    p = {f"{layer}.weight": draw(shape) for layer, shape in shapes.items()}
    p["fc.bias"] = single(rng.uniform(-0.2, 0.2, 5))
    feedback = {layer: draw(shape) for layer, shape in shapes.items()}
    x, target = single(rng.normal(size=(BATCH, 2, 8, 8))), rng.integers(0, 5, BATCH)

    out = {f"init.{name}": value for name, value in p.items()}
    out.update({f"init.{layer}.weight_backward": b for layer, b in feedback.items()})
    out.update({f"feedback_used.step0.{layer}": b for layer, b in feedback.items()})
    losses, velocity = [], {}
    for step in range(4):
        if step in (0, 1, 3):
            out[f"metric.angle_deg.step{step}"], out[f"metric.weight_ratio.step{step}"] = agreement(p, feedback)
        loss, seen, grads = walk(p, x, target, feedback)
        losses.append(loss)
        if step == 0:
            out.update(seen)
            out.update({f"grad.{name}": g for name, g in grads.items()})
            true = walk(p, x, target, {layer: p[f"{layer}.weight"] for layer in LAYERS})[2]
            out.update({f"bp_grad.{name}": g for name, g in true.items()})
        if step == 3:
            break
        for name, g in grads.items():
            velocity[name] = MOMENTUM * velocity.get(name, 0) + g + DECAY * p[name]
            p[name] = p[name] - LR * velocity[name]
        if step in (0, 2):
            out.update({f"step{step + 1}.{name}": value for name, value in p.items()})
    out["losses"] = np.array(losses)
    tensors = {name: value.astype(np.float32) for name, value in out.items()}
    tensors.update(x=x.astype(np.float32), target=target.astype(np.int32))
    write(tensors, {
        "source": "NumPy, make.py", "rule": "fa", "net": "CNN", "net_config": json.dumps(NET),
        "loss": "cross_entropy (mean over batch)", "optimizer": "sgd", "lr": str(LR),
        "momentum": str(MOMENTUM), "weight_decay": str(DECAY), "init": "xavier", "seed": str(SEED),
        "gradient_clip": "False", "constrain_weights": "False", "metric_layer_order": json.dumps(LAYERS),
    })


def write(tensors, metadata):
    kinds = {"float32": "F32", "int32": "I32"}
    header, data = {"__metadata__": metadata}, b""
    for name, value in sorted(tensors.items()):
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kinds[str(value.dtype)], "shape": value.shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path = pathlib.Path(__file__).parent / "conv_fa_without_bias.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


main()
