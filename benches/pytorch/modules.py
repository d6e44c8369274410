"""What stands around a layer: normalisation, activation, pooling, padding, Adam."""

import torch
import torch.nn.functional as F

from protocol import case, channels_last


def module(t, use, forward):
    """`forward(x)`, or the way back through its graph, in both layouts."""

    def build(layout):
        def make():
            x = layout(t["x"])
            if use == "forward":
                return torch.no_grad()(lambda: {"y": forward(x)})
            x = x.requires_grad_()
            y, g = forward(x), layout(t["g"])
            return lambda: {"gx": torch.autograd.grad(y, x, g, retain_graph=True)[0]}

        return make

    return {"plain": build(lambda x: x.detach().contiguous()), "channels-last": build(lambda x: channels_last(x.detach()))}


@case("batchnorm")
def batchnorm(p, t):
    channels = t["x"].shape[1]

    def norm():
        layer = torch.nn.BatchNorm2d(channels, affine=False, device=t["x"].device)
        return layer.train(p["training"])

    # Each builder has running statistics of its own.
    layer = norm()
    return module(t, p["use"], lambda x: layer(x))


@case("triangle")
def triangle(p, t):
    power = p["power"]

    def plain(x):
        return F.relu(x - x.mean(1, keepdim=True).detach()) ** power

    variants = module(t, p["use"], plain)

    def in_place(layout):
        def make():
            x = layout(t["x"])
            if p["use"] == "forward":
                return torch.no_grad()(
                    lambda: {"y": (x - x.mean(1, keepdim=True)).clamp_(min=0).pow_(power)}
                )
            g = layout(t["g"])

            def work():
                d = x - x.mean(1, keepdim=True)
                slope = d.clamp(min=0).pow_(power - 1).mul_(power).mul_(g)
                return {"gx": slope.masked_fill_(d <= 0, 0.0)}

            return torch.no_grad()(work)

        return make

    variants["in-place"] = in_place(lambda x: x.detach().contiguous())
    variants["in-place-channels-last"] = in_place(lambda x: channels_last(x.detach()))
    return variants


@case("softmax")
def softmax(p, t):
    return module(t, p["use"], lambda x: torch.softmax(x, 1))


@case("pool")
def pool(p, t):
    function = F.max_pool2d if p["kind"] == "max" else F.avg_pool2d
    size = (p["kernel"], p["stride"], p["padding"])
    return module(t, p["use"], lambda x: function(x, *size))


@case("reflect-pad")
def reflect_pad(p, t):
    def build(layout):
        def make():
            x = layout(t["x"])
            return torch.no_grad()(lambda: {"y": F.pad(x, [p["padding"]] * 4, mode="reflect")})

        return make

    return {"plain": build(torch.Tensor.contiguous), "channels-last": build(channels_last)}


@case("adam")
def adam(p, t):
    names = [name for name in t if not name.startswith("g-")]

    def build(**options):
        def make():
            parameters = {name: t[name].clone().requires_grad_() for name in names}
            for name, parameter in parameters.items():
                parameter.grad = t[f"g-{name}"].clone()
            optimizer = torch.optim.Adam(parameters.values(), lr=p["lr"], **options)

            def call():
                optimizer.step()

            def results():
                return {name: parameter - t[name] for name, parameter in parameters.items()}

            return call, results

        return make

    return {"plain": build(), "foreach": build(foreach=True), "fused": build(fused=True)}
