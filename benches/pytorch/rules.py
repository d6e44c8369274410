"""Local rules: SoftHebb (Journé et al., ICLR 2023) and Krotov and Hopfield's (PNAS
2019), written from their equations: plainly, the way their authors' classes compute
them, and as fast as we could make them."""

import torch
import torch.nn.functional as F

from protocol import case, channels_last

backward = torch.ops.aten.convolution_backward
WEIGHT = "blocks.layer.layer.weight"


def weight_gradient(x, y, w):
    """Correlation of a padded input and an output factor, by the library's kernel."""
    ones, zeros = [1, 1], [0, 0]
    return backward(y, x, w, None, ones, zeros, ones, False, zeros, 1, [False, True, False])[1]


class SoftHebb:
    """A convolution with soft winner-take-all and anti-Hebbian losers, plainly."""

    def __init__(self, weight, lr, beta, power, padding):
        self.weight, self.lr, self.beta, self.power = weight, lr, beta, power
        self.padding = padding
        self.wins = torch.zeros(weight.shape[0], device=weight.device)
        self.set_rate()

    def set_rate(self):
        radius = self.weight.flatten(1).norm(p=2, dim=1)
        self.rate = self.lr * ((radius - 1).abs() + 1e-10) ** self.power

    def forward(self, x):
        padded = F.pad(x, [self.padding] * 4, mode="reflect")
        return padded, F.conv2d(padded, self.weight)

    def competition(self, u):
        units = u.shape[1]
        flat = u.transpose(0, 1).reshape(units, -1)
        y = torch.softmax(self.beta * flat, dim=0)
        self.wins += y.sum(1)
        winner = flat.argmax(0)
        place = torch.arange(flat.shape[1], device=u.device)
        y = -y
        y[winner, place] = -y[winner, place]
        return y.view(units, u.shape[0], *u.shape[2:]).transpose(0, 1)

    def learn(self, padded, u):
        y = self.competition(u)
        # Correlation as a convolution with batch and channels exchanged.
        yx = F.conv2d(padded.transpose(0, 1), y.transpose(0, 1)).transpose(0, 1)
        yu = (y * u).sum((0, 2, 3))
        delta = yx - yu.view(-1, 1, 1, 1) * self.weight
        delta = delta / (delta.abs().max() + 1e-30)
        self.weight += self.rate.view(-1, 1, 1, 1) * delta
        self.set_rate()


@case("softhebb-step")
def softhebb_step(p, t):
    x, start = t["x"], t[WEIGHT]
    lr, beta, power, padding = p["lr"], p["beta"], p["power"], p["padding"]

    def plain():
        layer = SoftHebb(start.clone(), lr, beta, power, padding)

        def call():
            layer.learn(*layer.forward(x))

        return torch.no_grad()(call), lambda: {WEIGHT: layer.weight - start}

    def fast(layout):
        """Softmax along channels, the library's weight gradient, no statistics, no
        temporaries where an operation in place will do."""

        def make():
            w, images = layout(start).clone(), layout(x)
            last = layout is channels_last

            def rate():
                radius = torch.linalg.vector_norm(w, dim=(1, 2, 3))
                return radius.sub_(1).abs_().add_(1e-10).pow_(power).mul_(lr)

            state = {"rate": rate()}

            def call():
                padded = F.pad(images, [padding] * 4, mode="reflect")
                u = F.conv2d(padded, w)
                # Positions by units where units lie together, else as they are.
                v, units = (u.permute(0, 2, 3, 1).flatten(0, 2), 1) if last else (u, 1)
                y = torch.softmax(v if beta == 1.0 else v * beta, units)
                winner = v.argmax(units, keepdim=True)
                top = y.gather(units, winner)
                y.neg_().scatter_(units, winner, top)
                yu = (y * v).sum(0 if last else (0, 2, 3))
                if last:
                    b, k, rows, columns = u.shape
                    y = y.view(b, rows, columns, k).permute(0, 3, 1, 2)
                delta = weight_gradient(padded, y, w)
                delta.addcmul_(yu.view(-1, 1, 1, 1), w, value=-1)
                low, high = torch.aminmax(delta)
                largest = torch.maximum(high, -low) + 1e-30
                w.addcmul_(delta, (state["rate"] / largest).view(-1, 1, 1, 1))
                state["rate"] = rate()

            return torch.no_grad()(call), lambda: {WEIGHT: w - start}

        return make

    return {
        "plain": plain,
        "in-place": fast(torch.Tensor.contiguous),
        "in-place-channels-last": fast(channels_last),
    }


@case("krotov-step")
def krotov_step(p, t):
    x, start = t["x"], t[WEIGHT]
    lr, power, rank, loss, padding = p["lr"], p["p"], p["rank"], p["delta"], p["padding"]

    def plain():
        w = start.clone()
        norm = torch.nn.BatchNorm2d(x.shape[1], affine=False, device=x.device).train()

        def call():
            padded = F.pad(norm(x), [padding] * 4)
            q = F.conv2d(padded, w.sign() * w.abs() ** (power - 1))
            units = q.shape[1]
            flat = q.transpose(0, 1).reshape(units, -1)
            order = flat.topk(rank, dim=0).indices
            place = torch.arange(flat.shape[1], device=q.device)
            g = torch.zeros_like(flat)
            g[order[0], place] = 1.0
            g[order[rank - 1], place] = -loss
            g = g.view(units, q.shape[0], *q.shape[2:]).transpose(0, 1)
            r = F.conv2d(padded.transpose(0, 1), g.transpose(0, 1)).transpose(0, 1)
            r = r - (g * q).sum((0, 2, 3)).view(-1, 1, 1, 1) * w
            r = r / (r.flatten(1).abs().max(1).values + 1e-5).view(-1, 1, 1, 1)
            w.add_(lr * r)
            # The class returns how far the norms are from 1.
            return ((w.abs() ** power).sum((1, 2, 3)) - 1).abs().max()

        return torch.no_grad()(call), lambda: {WEIGHT: w - start}

    def fast(layout, search):
        def make():
            w, images = layout(start).clone(), layout(x)
            norm = torch.nn.BatchNorm2d(x.shape[1], affine=False, device=x.device).train()

            def call():
                padded = F.pad(norm(images), [padding] * 4)
                q = F.conv2d(padded, w * w.abs().pow_(power - 2))
                first, kth = search(q)
                g = torch.zeros_like(q)
                g.scatter_(1, first, 1.0).scatter_(1, kth, -loss)
                r = weight_gradient(padded, g, w)
                r.addcmul_((g * q).sum((0, 2, 3)).view(-1, 1, 1, 1), w, value=-1)
                largest = torch.linalg.vector_norm(r, float("inf"), dim=(1, 2, 3)) + 1e-5
                w.addcmul_(r, (lr / largest).view(-1, 1, 1, 1))

            return torch.no_grad()(call), lambda: {WEIGHT: w - start}

        return make

    def sorted_(q):
        order = q.topk(rank, dim=1).indices
        return order[:, :1], order[:, rank - 1 : rank]

    def twice(q):
        if rank != 2:
            raise NotImplementedError("two maxima find the second only")
        first = q.argmax(1, keepdim=True)
        return first, q.scatter(1, first, float("-inf")).argmax(1, keepdim=True)

    variants = {"plain": plain}
    for name, layout in (("", torch.Tensor.contiguous), ("-channels-last", channels_last)):
        variants[f"topk{name}"] = fast(layout, sorted_)
        variants[f"two-maxima{name}"] = fast(layout, twice)
    return variants
