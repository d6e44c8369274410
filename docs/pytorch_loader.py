"""A network that BioRule trained, as a PyTorch module.

    biorule export runs/mine/latest weights.npz        # or .safetensors
    python pytorch_loader.py runs/mine/latest/config.toml weights.npz x.npy > outputs.json

In a program of your own:

    from pytorch_loader import load
    network = load("runs/mine/latest/config.toml", "weights.npz").eval()
    outputs = network(network.prepare(pixels))         # pixels: [N, C, H, W] or [N, D], from 0 to 1

It reads chains of dense and convolutional blocks, whatever rule trained them; what it cannot build (graphs and
residual blocks, rules with a forward pass of their own such as Krotov's) it refuses by name. Needs Python 3.11,
PyTorch and numpy. Copy it freely (MIT or Apache-2.0).
"""

import json
import sys
import tomllib

import numpy
import torch
from torch import nn
from torch.nn import functional


class Function(nn.Module):
    """An operation without parameters."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x):
        return self.run(x)


class Chain(nn.Sequential):
    """The blocks of a network, by their names."""

    mean, std, rescale = None, None, 1.0

    def prepare(self, pixels):
        """What the network was trained on, from pixels of 0 to 1 in the size of its samples."""
        x = torch.as_tensor(pixels, dtype=torch.float32) * self.rescale
        if self.mean is None:
            return x
        shape = [1, -1] + [1] * (x.dim() - 2)
        return (x - self.mean.view(shape)) / self.std.view(shape)


def activation(plan):
    """The nonlinearity of a block, on `[B, C, …]`."""
    kind, power, gain = plan["kind"], plan.get("power", 1.0), plan.get("gain", 1.0)
    kinds = {
        "triangle": lambda u: functional.relu(u - u.mean(1, keepdim=True)) ** power,
        "relu": functional.relu,
        "repu": lambda u: functional.relu(u) ** power,
        "softmax": lambda u: torch.softmax(gain * u, 1),
        "exp": lambda u: torch.exp(gain * u),
        "tanh": lambda u: torch.tanh(gain * u),
        "sigmoid": lambda u: torch.sigmoid(gain * u),
    }
    return Function(kinds[kind])


def pool(plan):
    """Maxima or averages of windows; a kernel of 0 covers the map."""
    if 0 in plan["kernel"]:
        if plan["kernel"] != [0, 0]:
            raise NotImplementedError("a pooling that covers the map along one axis")
        return (nn.AdaptiveMaxPool2d if plan["kind"] == "max" else nn.AdaptiveAvgPool2d)(1)
    window = [tuple(plan[key]) for key in ("kernel", "stride", "padding")]
    if plan["kind"] == "max":
        return nn.MaxPool2d(*window)
    return nn.AvgPool2d(*window, count_include_pad=plan.get("count_include_pad", True))


def norm(plan, tensors, prefix, dense):
    """Batch normalisation with the statistics of training."""
    of = {key: tensors[f"{prefix}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")
          if f"{prefix}.{key}" in tensors}
    make = nn.BatchNorm1d if dense else nn.BatchNorm2d
    module = make(len(of["running_mean"]), eps=plan["eps"], momentum=plan["momentum"], affine=plan["affine"])
    module.load_state_dict(of, strict=False)
    return module


def layer(plan, weight, bias):
    """The dense layer or the convolution of a block, with the padding that comes before it."""
    name, rule = plan["name"], plan.get("rule", {})
    if rule.get("name") == "krotov":
        raise NotImplementedError(f"block `{name}`: Krotov's rule has a forward pass of its own")
    if rule.get("lebesgue_p", 2) != 2:
        weight = weight * weight.abs() ** (rule["lebesgue_p"] - 2)
    modules = []
    if plan["layer"] == "dense":
        modules.append(nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None))
    else:
        top, bottom, left, right = plan["padding"]
        mode = {"zeros": "constant", "zero": "constant"}.get(plan["padding_mode"], plan["padding_mode"])
        if any(plan["padding"]):
            modules.append(Function(lambda x: functional.pad(x, (left, right, top, bottom), mode)))
        modules.append(nn.Conv2d(
            weight.shape[1] * plan["groups"], weight.shape[0], tuple(plan["kernel"]), tuple(plan["stride"]),
            dilation=tuple(plan["dilation"]), groups=plan["groups"], bias=bias is not None))
    with torch.no_grad():
        modules[-1].weight.copy_(weight)
        if bias is not None:
            modules[-1].bias.copy_(bias)
    if rule.get("pre_triangle"):
        modules.append(activation({"kind": "triangle"}))
    return modules


def block(plan, tensors):
    """norm, flatten, scaling, dropout, layer, inner norm, activation, norm after, pool: each where there is one."""
    name = plan["name"]
    prefix = f"blocks.{name}"
    weight = tensors.get(f"{prefix}.layer.weight")
    if "layer" in plan and weight is None or set(plan) & {"graph", "residual", "inner", "sum", "edges", "side"}:
        raise NotImplementedError(f"block `{name}` is no dense or convolutional layer")
    dense = plan.get("layer") == "dense"
    modules = []
    if "norm" in plan:
        modules.append(norm(plan["norm"], tensors, f"{prefix}.norm", dense and not plan["flatten"]))
    if plan.get("flatten"):
        modules.append(nn.Flatten())
    if plan.get("divide_by_max"):
        modules.append(Function(lambda x: x / x.flatten(1).amax(1).view([-1] + [1] * (x.dim() - 1))))
    if plan.get("unit_length"):
        modules.append(Function(lambda x: 10 * functional.normalize(x, dim=1)))
    if plan.get("dropout", 0) > 0:
        modules.append(nn.Dropout(plan["dropout"]))
    if weight is not None:
        modules += layer(plan, weight, tensors.get(f"{prefix}.layer.bias"))
    if "norm_inner" in plan:
        modules.append(norm(plan["norm_inner"], tensors, f"{prefix}.norm_inner", dense))
    if "activation" in plan:
        modules.append(activation(plan["activation"]))
    if "norm_after" in plan:
        modules.append(norm(plan["norm_after"], tensors, f"{prefix}.norm_after", dense))
    if "pool" in plan:
        modules.append(pool(plan["pool"]))
    return nn.Sequential(*modules)


def read(path):
    """The tensors of a file that `biorule export` wrote under this program's own names."""
    if str(path).endswith(".safetensors"):
        from safetensors.torch import load_file
        return load_file(path)
    with numpy.load(path) as arrays:
        return {name.removesuffix(".npy"): torch.from_numpy(arrays[name]) for name in arrays.files}


def load(config, weights):
    """The network of a run's `config.toml` with the weights that were exported."""
    with open(config, "rb") as file:
        plan = tomllib.load(file)
    tensors = {name: tensor.float() for name, tensor in read(weights).items()}
    network = Chain()
    for one in plan["blocks"]:
        network.add_module(one["name"], block(one, tensors))
    data = plan["data"]
    if data.get("whiten") is not None or data["normalize"] == "standard" and "mean" not in data:
        network.prepare = lambda _: (_ for _ in ()).throw(NotImplementedError(
            "the constants of scaling or whitening are computed from the training set and not in the configuration"))
    elif data["normalize"] == "standard":
        network.mean, network.std = torch.tensor(data["mean"]), torch.tensor(data["std"])
    elif data["normalize"] == "none":
        network.rescale = 255.0
    return network


def main():
    config, weights, samples = sys.argv[1:]
    network = load(config, weights).eval()
    with torch.no_grad():
        outputs = network(network.prepare(numpy.load(samples)))
    json.dump(outputs.tolist(), sys.stdout)


if __name__ == "__main__":
    main()
