"""Networks in training: backpropagation of the three convolutions that SoftHebb has,
BioTorch's LeNet, and the phases of the SoftHebb experiment."""

import torch
import torch.nn.functional as F
from torch import nn

from protocol import case, channels_last
import protocol
from rules import SoftHebb


class Convolutions(nn.Module):
    """Norm, convolution, ReLU, pool, three times; a linear read-out."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, affine=False) for c in (3, 96, 384))
        sizes = ((3, 96, 5, 2), (96, 384, 3, 1), (384, 1536, 3, 1))
        self.convs = nn.ModuleList(
            nn.Conv2d(c, k, r, padding=pad, padding_mode="reflect", bias=False)
            for c, k, r, pad in sizes
        )
        self.pools = nn.ModuleList((nn.MaxPool2d(4, 2, 1), nn.MaxPool2d(4, 2, 1), nn.AvgPool2d(2)))
        self.readout = nn.Linear(24576, 10)

    def named(self):
        """Parameters under the names of the other side."""
        out = {f"blocks.l{i + 1}.layer.weight": c.weight for i, c in enumerate(self.convs)}
        out["blocks.readout.layer.weight"] = self.readout.weight
        out["blocks.readout.layer.bias"] = self.readout.bias
        return out

    def forward(self, x):
        for norm, conv, pool in zip(self.norms, self.convs, self.pools):
            x = pool(F.relu(conv(norm(x))))
        return self.readout(x.flatten(1))


class LeNet(nn.Module):
    """BioTorch's network for CIFAR-10."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(c, k, 3) for c, k in ((3, 32), (32, 64), (64, 128)))
        self.fc1 = nn.Linear(128, 256)
        self.fc2 = nn.Linear(256, 10)

    def named(self):
        out = {}
        layers = [(f"conv{i + 1}", c) for i, c in enumerate(self.convs)]
        for name, layer in layers + [("fc1", self.fc1), ("fc2", self.fc2)]:
            out[f"blocks.{name}.layer.weight"] = layer.weight
            out[f"blocks.{name}.layer.bias"] = layer.bias
        return out

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.convs[0](x)), 2)
        x = F.max_pool2d(F.relu(self.convs[1](x)), 2)
        x = F.relu(self.convs[2](x)).mean((2, 3))
        return self.fc2(F.relu(self.fc1(x)))


def training(t, network, optimizers, moment):
    """A step of `network` from the weights in `t`, for each optimiser and layout."""
    labels = t["labels"].long()

    def build(optimizer, layout):
        def make():
            net = network().to(t["x"].device).train()
            with torch.no_grad():
                for name, parameter in net.named().items():
                    parameter.copy_(t[name])
            x = t["x"]
            if layout == "channels-last":
                net, x = net.to(memory_format=torch.channels_last), channels_last(x)
            step = optimizer(net.parameters())
            state = {}

            def call():
                step.zero_grad(set_to_none=True)
                loss = F.cross_entropy(net(x), labels)
                loss.backward()
                step.step()
                state["loss"] = loss

            def results():
                out = {n: step.state[p][moment] for n, p in net.named().items()}
                out["loss"] = state["loss"].detach().reshape(1)
                return out

            return call, results

        return make

    variants = {}
    for name, optimizer in optimizers.items():
        for layout in ("", "channels-last"):
            label = "-".join(part for part in (name, layout) if part) or "plain"
            variants[label] = build(optimizer, layout)
    return variants


@case("bp-step")
def bp_step(p, t):
    adam = lambda **o: lambda parameters: torch.optim.Adam(parameters, lr=p["lr"], **o)
    return training(t, Convolutions, {"": adam(), "fused": adam(fused=True)}, "exp_avg")


@case("lenet-step")
def lenet_step(p, t):
    rates = {"lr": p["lr"], "momentum": p["momentum"], "weight_decay": p["weight_decay"]}
    sgd = lambda **o: lambda parameters: torch.optim.SGD(parameters, **rates, **o)
    return training(t, LeNet, {"": sgd(), "fused": sgd(fused=True)}, "momentum_buffer")


# Rate, inverse temperature, exponent of the triangle, pool, of the published network.
HEBBIAN = (
    (3, 96, 5, 2, 0.08, 1.0, 0.7, nn.MaxPool2d(4, 2, 1)),
    (96, 384, 3, 1, 0.005, 0.65, 1.4, nn.MaxPool2d(4, 2, 1)),
    (384, 1536, 3, 1, 0.01, 0.25, 1.0, nn.AvgPool2d(2)),
)


@case("softhebb-experiment")
def softhebb_experiment(p, _t):
    """A batch of one phase, as the reference's loop runs it: the whole network forward
    in every phase, its Hebbian part without a graph."""

    def make():
        device = protocol.DEVICE
        blocks = []
        for channels, units, kernel, padding, lr, beta, power, pool in HEBBIAN:
            deviation = 25.0 / (channels * kernel * kernel) ** 0.5
            weight = deviation * torch.randn(units, channels, kernel, kernel, device=device)
            norm = nn.BatchNorm2d(channels, affine=False, device=device).eval()
            blocks.append((norm, SoftHebb(weight, lr, beta, 0.5, padding), power, pool))
        readout = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(24576, 10)).to(device)
        x = torch.randn(p["batch"], 3, 32, 32, device=device)
        labels = torch.randint(0, 10, (p["batch"],), device=device)

        def features(learning):
            h, pending = x, None
            for i, (norm, layer, power, pool) in enumerate(blocks):
                padded, u = layer.forward(norm(h))
                if i == learning:
                    pending = (layer, padded, u)
                h = pool(F.relu(u - u.mean(1, keepdim=True)) ** power)
            return h, pending

        if p["local"]:
            blocks[p["phase"]][0].train()
            readout.eval()

            def call():
                h, (layer, padded, u) = features(p["phase"])
                readout(h)
                layer.learn(padded, u)

            return torch.no_grad()(call), dict

        optimizer = torch.optim.Adam(readout.parameters(), lr=0.001)

        def call():
            with torch.no_grad():
                h, _ = features(None)
            optimizer.zero_grad()
            F.cross_entropy(readout(h), labels).backward()
            optimizer.step()

        return call, dict

    return {"plain": make}
