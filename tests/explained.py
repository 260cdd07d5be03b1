"""Graphs of every kind, for the tests of what is said of them."""

from __future__ import annotations

import tinygrad_like as torch
from tinygrad_like import nn

F = nn.functional


def leaf(*values, dtype=None):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def broadcasting():
    w, b = leaf(2.0), leaf([[1.0], [2.0]])
    x = torch.arange(6.0).reshape(2, 3)
    return ((w * x + b) ** 2).mean()


def double_use():
    x = leaf(1.0, 2.0)
    y = x * x
    return (y * y + y * x).sum()


def views():
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    return (x.t()[1:, ::2].reshape(-1) * x[0].repeat(2)[:6]).sum() + x.view(-1)[3]


def in_place():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[1:] *= x[:2]
    y.add_(1)
    return (y * x).sum()


def several_results():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    values, _ = (x * x).max(1)
    a, b = x.unbind()
    first, _, last = x.split(1, 1)
    return (values * a[:2]).sum() + (b * last.sum()).sum() + first.mean()


def unused_results():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    a, _ = (x * 3).unbind()
    return a.sum()


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    return F.cross_entropy(net(torch.randn(5, 3)), torch.tensor([0, 1, 0, 1, 1]))


def recurrent():
    torch.manual_seed(0)
    out, _ = nn.LSTM(3, 4)(torch.randn(5, 2, 3))
    return out.sum()


def joined():
    x, y = leaf(1.0, 2.0), leaf(3.0)
    return (torch.cat([x, y, x]) * torch.arange(5.0)).sum() + torch.stack([x, x]).prod()


def mixed_dtypes():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0, dtype=torch.float64)
    return (x * y).sum()


def of_a_leaf():
    return torch.tensor(2.0, requires_grad=True)


class Halves(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, n):
        ctx.n = n
        return x[:n] * 2, x[n:] * 3

    @staticmethod
    def backward(ctx, g, h):
        return torch.cat([g * 2, h * 3]), None


def own_function():
    x = leaf(1.0, 2.0, 3.0)
    first, last = Halves.apply(x * x, 1)
    return first.sum() + (last * last).sum()


def hooks():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    z = y.exp()
    z.grad_fn.register_hook(lambda sent, received: (sent[0] + 1,))
    return (z * y).sum()


def hook_on_a_square():
    y = leaf(1.0, 2.0) * 2
    z = y * y
    z.grad_fn.register_hook(lambda sent, received: (sent[0] * 2, sent[1]))
    return z.sum()


GRAPHS = [
    *(broadcasting, double_use, views, in_place, several_results, unused_results, network),
    *(recurrent, joined, mixed_dtypes, of_a_leaf, own_function, hooks, hook_on_a_square),
]


class WrongCube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x**2 * g
