"""A step of DARTS's and BioNAS's search: the architecture's parameters from one batch, then
the weights from another, in a supernet whose every edge mixes all candidates."""

import torch
import torch.nn.functional as F
from torch import nn

from protocol import case, channels_last


def fans(w):
    size = w.shape[2] * w.shape[3]
    return w.shape[1] * size, w.shape[0] * size


class Replaced(torch.autograd.Function):
    """A convolution whose input gradient goes through other weights than its forward pass."""

    @staticmethod
    def forward(ctx, x, w, b, setting):
        ctx.save_for_backward(x, w, b)
        ctx.setting = setting
        return F.conv2d(x, w, None, *setting)

    @staticmethod
    def backward(ctx, grad):
        x, w, b = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.setting
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = nn.grad.conv2d_input(x.shape, b, grad, stride, padding, dilation, groups)
        if ctx.needs_input_grad[1]:
            dw = nn.grad.conv2d_weight(x, w.shape, grad, stride, padding, dilation, groups)
        return dx, dw, None, None


class Conv(nn.Module):
    """A convolution that learns by `rule`: backprop, or one of feedback alignment's family."""

    def __init__(self, name, rule, inputs, outputs, kernel, stride=1, padding=0, dilation=1, groups=1):
        super().__init__()
        self.name, self.rule = name, rule
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        pair = lambda n: (n, n)
        self.setting = (pair(stride), pair(padding), pair(dilation), groups)
        if rule in ("fa", "frsf"):
            self.register_buffer("feedback", torch.empty_like(self.weight))

    def back(self):
        """The weights that the error goes back through."""
        w = self.weight.detach()
        if self.rule == "fa":
            return self.feedback
        fan_in, fan_out = fans(w)
        if self.rule == "usf":
            return w.sign() * (2 / (fan_in + fan_out)) ** 0.5
        if self.rule == "brsf":
            limit = (6 / (fan_in + fan_out)) ** 0.5
            return torch.empty_like(w).uniform_(-limit, limit).abs_() * w.sign()
        return self.feedback.abs() * w.sign()

    def forward(self, x):
        if self.rule == "backprop":
            return F.conv2d(x, self.weight, None, *self.setting)
        return Replaced.apply(x, self.weight, self.back(), self.setting)


class Reduction(nn.Module):
    """Half the map: two strided pointwise convolutions, the second one pixel further on."""

    def __init__(self, name, rule, inputs, outputs):
        super().__init__()
        self.first = Conv(f"{name}-conv0", rule, inputs, outputs // 2, 1, stride=2)
        self.second = Conv(f"{name}-conv1", rule, inputs, outputs // 2, 1, stride=2)
        self.norm = nn.BatchNorm2d(outputs, affine=False)

    def forward(self, x):
        x = F.relu(x)
        return self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return (x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]) * 0.0


def relu_conv_norm(name, inputs, outputs):
    conv = Conv(f"{name}-conv0", "backprop", inputs, outputs, 1)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(outputs, affine=False))


def candidate(primitive, edge, channels, stride):
    """What stands on an edge."""
    operation, _, rule = primitive.partition("@")
    name = f"{edge}-{primitive.replace('@', '-').replace('/', '-')}"
    rule = rule.rsplit("/", 1)[-1] or "backprop"
    c, norm = channels, lambda: nn.BatchNorm2d(channels, affine=False)
    if operation == "none":
        return Zero(stride)
    if operation == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm())
    if operation == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm())
    if operation == "skip_connect":
        # The rule of a skip reaches nothing in the published code.
        return nn.Identity() if stride == 1 else Reduction(name, "backprop", c, c)
    kernel = int(operation[-1])
    if operation.startswith("sep_conv"):
        half = kernel // 2
        deep = lambda n, s: Conv(f"{name}-conv{n}", rule, c, c, kernel, s, half, 1, c)
        point = lambda n: Conv(f"{name}-conv{n}", rule, c, c, 1)
        first = (nn.ReLU(), deep(0, stride), point(1), norm())
        return nn.Sequential(*first, nn.ReLU(), deep(2, 1), point(3), norm())
    deep = Conv(f"{name}-conv0", rule, c, c, kernel, stride, kernel - 1, 2, c)
    return nn.Sequential(nn.ReLU(), deep, Conv(f"{name}-conv1", rule, c, c, 1), norm())


class Cell(nn.Module):
    """Two inputs, four nodes, an edge to each from every earlier value."""

    def __init__(self, index, primitives, inputs, channels, reduces, halved):
        super().__init__()
        name = f"cell{index}"
        first = Reduction(f"{name}-pre0", "backprop", inputs[0], channels) if halved else None
        self.pre0 = first or relu_conv_norm(f"{name}-pre0", inputs[0], channels)
        self.pre1 = relu_conv_norm(f"{name}-pre1", inputs[1], channels)
        self.reduces, self.spare = reduces, False
        self.edges = nn.ModuleList()
        for node in range(4):
            for source in range(2 + node):
                stride = 2 if reduces and source < 2 else 1
                edge = f"{name}-edge{len(self.edges)}"
                mixed = [candidate(p, edge, channels, stride) for p in primitives]
                self.edges.append(nn.ModuleList(mixed))

    def forward(self, a, b, mixture):
        values = [self.pre0(a), self.pre1(b)]
        edge = 0
        for _ in range(4):
            node = 0
            for value in values:
                pairs = zip(mixture[edge], self.edges[edge])
                for p, op in pairs:
                    if not (self.spare and isinstance(op, Zero)):
                        node = node + p * op(value)
                edge += 1
            values.append(node)
        return torch.cat(values[2:], 1)


class Supernet(nn.Module):
    def __init__(self, primitives, channels, cells, classes=10):
        super().__init__()
        stem = 3 * channels
        self.stem = nn.Sequential(Conv("stem-conv0", "backprop", 3, stem, 3, 1, 1), nn.BatchNorm2d(stem))
        self.cells = nn.ModuleList()
        inputs, halved = (stem, stem), False
        for index in range(cells):
            reduces = index in (cells // 3, 2 * cells // 3)
            channels *= 2 if reduces else 1
            self.cells.append(Cell(index, primitives, inputs, channels, reduces, halved))
            inputs, halved = (inputs[1], 4 * channels), reduces
        self.classifier = nn.Linear(inputs[1], classes)
        start = lambda: nn.Parameter(torch.empty(14, len(primitives)))
        self.normal, self.reduce = start(), start()

    def weights(self):
        tables = (id(self.normal), id(self.reduce))
        return [p for p in self.parameters() if id(p) not in tables]

    def start(self, t):
        """Takes the tensors of the other side, by the last block in their names."""
        by_block = {}
        for name, tensor in t.items():
            parts = name.split(".")
            if len(parts) > 2:
                by_block[(parts[-3], parts[-2], parts[-1])] = tensor
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, Conv):
                    module.weight.copy_(by_block[(module.name, "layer", "weight")])
                    if module.rule in ("fa", "frsf"):
                        word = "feedback" if module.rule == "fa" else "magnitude"
                        module.feedback.copy_(by_block[(module.name, "layer", word)])
            self.classifier.weight.copy_(by_block[("classifier", "layer", "weight")])
            self.classifier.bias.copy_(by_block[("classifier", "layer", "bias")])
            self.normal.copy_(t["architecture.normal"])
            self.reduce.copy_(t["architecture.reduce"])

    def forward(self, x):
        normal, reduce = F.softmax(self.normal, -1), F.softmax(self.reduce, -1)
        a = b = self.stem(x)
        for cell in self.cells:
            a, b = b, cell(a, b, reduce if cell.reduces else normal)
        return self.classifier(b.mean((2, 3)))


@case("supernet-step")
def supernet_step(p, t):
    """`plain` as the released codes have it: gradients of everything in both steps. The others
    leave out what a step does not use, in both layouts, with fused optimisers."""
    labels, held = t["labels"].long(), t["validation.labels"].long()

    def build(spare, layout):
        def make():
            net = Supernet(p["candidates"], p["channels"], p["cells"]).to(t["x"].device).train()
            net.start(t)
            for cell in net.cells:
                cell.spare = spare
            x, validation = t["x"], t["validation.x"]
            if layout:
                net = net.to(memory_format=torch.channels_last)
                x, validation = channels_last(x), channels_last(validation)
            weights, tables = net.weights(), [net.normal, net.reduce]
            fused = {"fused": True} if spare else {}
            sgd = torch.optim.SGD(
                weights, p["lr"], momentum=p["momentum"], weight_decay=p["weight_decay"], **fused
            )
            adam = torch.optim.Adam(
                tables,
                p["architecture_lr"],
                betas=(0.5, 0.999),
                weight_decay=p["architecture_decay"],
                **fused,
            )

            def wanted(of_weights, of_tables):
                if spare:
                    for w in weights:
                        w.requires_grad_(of_weights)
                    for w in tables:
                        w.requires_grad_(of_tables)

            def call():
                wanted(False, True)
                adam.zero_grad(set_to_none=True)
                F.cross_entropy(net(validation), held).backward()
                adam.step()
                wanted(True, False)
                sgd.zero_grad(set_to_none=True)
                F.cross_entropy(net(x), labels).backward()
                nn.utils.clip_grad_norm_(weights, p["clip"])
                sgd.step()

            def results():
                out = {
                    "architecture.normal": adam.state[net.normal]["exp_avg"],
                    "architecture.reduce": adam.state[net.reduce]["exp_avg"],
                }
                for name in ("weight", "bias"):
                    moment = sgd.state[getattr(net.classifier, name)]["momentum_buffer"]
                    out[f"optimizer.blocks.classifier.layer.{name}.0"] = moment
                return out

            return call, results

        return make

    return {
        "plain": build(False, False),
        "plain-channels-last": build(False, True),
        "spare": build(True, False),
        "spare-channels-last": build(True, True),
    }
