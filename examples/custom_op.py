"""An op of your own, in the two ways there are, each tested against finite differences.

The op is the numerically safe log(cosh(x)), a loss that is quadratic near 0 and linear far away.

    python examples/custom_op.py
"""

from __future__ import annotations  # @op reads annotations as they are written

import argparse

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like.graph import Array
from tinygrad_like.op import op


class LogCosh(torch.autograd.Function):
    """PyTorch's way: a class with a forward and a backward, for any code of tensors."""

    @staticmethod
    def forward(ctx, x):
        """Return log(cosh(x)), elementwise; exp never overflows."""
        ctx.save_for_backward(x)
        size = x.abs()
        return size + torch.log1p(torch.exp(-2 * size)) - np.log(2.0).item()

    @staticmethod
    def backward(ctx, g):
        """Multiply by the derivative, tanh(x): itself recorded, so it can be differentiated again."""
        (x,) = ctx.saved_tensors
        return g * torch.tanh(x)


@op(x=lambda g, x: g * np.tanh(x), dtype="float")
def log_cosh(x: Array) -> Array:
    """Return log(cosh(x)): this package's own way, a forward in NumPy and a rule per argument.

    The rule's parameter names say what is kept for it: here the argument `x`.
    """
    size = np.abs(x)
    return size + np.log1p(np.exp(-2 * size)) - float(np.log(2.0))


def main():
    """Check values, first and second derivatives of both, and fit a line that ignores outliers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    torch.manual_seed(0)
    x = torch.linspace(-3, 3, 7, dtype=torch.float64).requires_grad_()
    for name, function in (("Function", LogCosh.apply), ("@op", log_cosh)):
        assert torch.autograd.gradcheck(function, (x,))
        assert torch.autograd.gradgradcheck(function, (x,))
        values = ", ".join(f"{value:.4f}" for value in function(x).tolist())
        print(f"{name:8} {values}: first and second derivatives are right")
    print(f"log(cosh(1000)) = {log_cosh(torch.tensor(1000.0)).item():.3f}, without overflow")

    a = torch.linspace(-1, 1, 50)
    b = 2 * a + 1 + 0.1 * torch.randn(50)
    b[::10] += 8.0  # outliers
    slope, offset = (torch.zeros(1, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([slope, offset], lr=0.1)
    progress = helpers.Progress(range(args.steps))
    for _ in progress:
        loss = log_cosh(10 * (slope * a + offset - b)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.note(loss)
    print(f"fit through outliers: {slope.item():.2f} a + {offset.item():.2f} (true: 2 a + 1)")


if __name__ == "__main__":
    main()
