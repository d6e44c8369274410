"""The maps of a layer: convolutions and dense layers, forward and gradients."""

import torch
import torch.nn.functional as F

from protocol import case, channels_last

backward = torch.ops.aten.convolution_backward


def reflect_backward(grad, x, padding):
    """Gradient of reflect padding."""
    return torch.ops.aten.reflection_pad2d_backward(grad, x, [padding] * 4)


@case("conv")
def conv(p, t):
    stride, dilation, groups = p["stride"], p["dilation"], p["groups"]
    outside = p["padding"] if p["reflect"] else 0
    padding = [0, 0] if p["reflect"] else [p["padding"]] * 2

    def pad(x):
        return F.pad(x, [outside] * 4, mode="reflect") if outside else x

    def build(layout):
        def make():
            x, w, g = (layout(t[name]) for name in ("x", "w", "g"))

            def gradients(mask):
                # The padded input is there from the forward pass.
                gx, gw, _ = backward(
                    g, padded, w, None, stride, padding, dilation, False, [0, 0], groups, mask
                )
                if outside and mask[0]:
                    gx = reflect_backward(gx, x, outside)
                return gx, gw

            padded = pad(x)
            if p["use"] == "forward":
                work = lambda: {"y": F.conv2d(pad(x), w, None, stride, padding, dilation, groups)}
            elif p["use"] == "weight":
                work = lambda: {"gw": gradients([False, True, False])[1]}
            elif p["use"] == "input":
                work = lambda: {"gx": gradients([True, False, False])[0]}
            else:
                work = lambda: dict(zip(("gx", "gw"), gradients([True, True, False])))
            return torch.no_grad()(work)

        return make

    def packed():
        """Weights in oneDNN's own layout, as a frozen network keeps them."""
        if p["use"] != "forward" or t["x"].is_cuda:
            raise NotImplementedError("packed weights are for the forward map on a CPU")
        x, w = channels_last(t["x"]), t["w"]
        ops = torch.ops.mkldnn
        w = ops._reorder_convolution_weight(w, padding, stride, dilation, groups, list(pad(x).shape))

        def work():
            y = ops._convolution_pointwise(
                pad(x), w, None, padding, stride, dilation, groups, "none", [], ""
            )
            return {"y": y}

        return torch.no_grad()(work)

    return {"plain": build(torch.Tensor.contiguous), "channels-last": build(channels_last), "packed": packed}


@case("dense")
def dense(p, t):
    x, w, g = t["x"], t["w"], t["g"]
    works = {
        "forward": lambda: {"y": F.linear(x, w)},
        "weight": lambda: {"gw": g.t() @ x},
        "input": lambda: {"gx": g @ w},
    }

    def transposed():
        """The weight stored the other way round."""
        if p["use"] == "weight":
            return torch.no_grad()(lambda: {"gw": (x.t() @ g).t()})
        wt = w.t().contiguous()
        if p["use"] == "forward":
            return torch.no_grad()(lambda: {"y": x @ wt})
        return torch.no_grad()(lambda: {"gx": g @ wt.t()})

    return {"plain": lambda: torch.no_grad()(works[p["use"]]), "transposed": transposed}
