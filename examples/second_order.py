"""Derivatives of derivatives: Newton's method, and a penalty on a network's input gradient.

python examples/second_order.py
"""

import argparse

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn


def rosenbrock(x):
    """Return the banana-shaped valley of H. H. Rosenbrock (1960); its minimum is at (1, 1)."""
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def newton_step(function, x):
    """Return value, gradient and Newton's step -H^-1 g of `function` at `x` (n,)."""
    value = function(x)
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    rows = [torch.autograd.grad(part, x, retain_graph=True)[0] for part in slope]
    hessian = torch.stack(rows).numpy()
    step = -np.linalg.solve(hessian, slope.detach().numpy())
    return value.item(), slope.detach(), torch.from_numpy(step)


def newton(limit):
    """Walk down Rosenbrock's valley; where plain gradient descent takes thousands of steps."""
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    for count in range(limit):
        value, slope, step = newton_step(rosenbrock, x)
        print(f"step {count}: f{tuple(round(v, 6) for v in x.tolist())} = {value:.3e}")
        if slope.abs().max().item() < 1e-9:
            break
        with torch.no_grad():
            x += step


def fit(penalty, steps):
    """Fit 12 noisy points; return the error on new points and the mean squared slope."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 12).reshape(-1, 1)
    y = torch.sin(3 * x) + 0.5 * torch.randn(12, 1)
    new = torch.linspace(-1, 1, 101).reshape(-1, 1).requires_grad_()
    model = nn.Sequential(
        *(nn.Linear(1, 64), nn.Tanh()), *(nn.Linear(64, 64), nn.Tanh()), nn.Linear(64, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    progress = helpers.Progress(range(steps), f"penalty {penalty}")
    for _ in progress:
        loss = nn.functional.mse_loss(model(x), y)
        # The slope is itself part of the loss, so its own graph is recorded.
        (slope,) = torch.autograd.grad(model(new).sum(), new, create_graph=True)
        loss = loss + penalty * (slope**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.note(loss)
    error = nn.functional.mse_loss(model(new), torch.sin(3 * new)).item()
    return error, (slope**2).mean().item()


def main():
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()
    print("Newton's method on Rosenbrock's function:")
    newton(20)
    print("\nA gradient penalty keeps a network from following the noise:")
    for penalty in (0.0, 0.03):
        error, slope = fit(penalty, args.steps)
        print(
            f"penalty {penalty:<5} error on new points {error:.4f}, mean squared slope {slope:.2f}"
        )


if __name__ == "__main__":
    main()
