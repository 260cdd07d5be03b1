"""The laws of hares and lynxes are found from how many there are, by gradients through a solver.

The equations are those of A. Lotka and V. Volterra (1925, 1926); the solver is the fourth-order one
of C. Runge and W. Kutta, written in tensors, so that the gradient goes through every step of it. A
network that knows nothing of biology is then fitted in the same way (R. Chen et al., 2018).

    python examples/ode_fit.py
"""

import argparse

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn

STEP, COUNT = 0.1, 100


def solve(rates, start, steps=COUNT):
    """Return the states (steps + 1, 2) of ``dx/dt = rates(x)`` at times `STEP` apart."""
    states, x = [start], start
    for _ in range(steps):
        k1 = rates(x)
        k2 = rates(x + STEP / 2 * k1)
        k3 = rates(x + STEP / 2 * k2)
        k4 = rates(x + STEP * k3)
        x = x + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(x)
    return torch.stack(states)


class LotkaVolterra(nn.Module):
    """Hares breed and are eaten, lynxes starve and eat."""

    def __init__(self, *laws):
        super().__init__()
        self.laws = nn.Parameter(torch.tensor(laws).log())  # they stay positive

    def forward(self, x):
        """Return how fast both change."""
        breed, eaten, starve, eat = self.laws.exp()
        hares, lynxes = x
        return torch.stack([hares * (breed - eaten * lynxes), lynxes * (eat * hares - starve)])


def fit(rates, seen, steps, lr, name):
    """Fit what `rates` is made of to the states seen, over longer and longer times."""
    optimizer = torch.optim.Adam(rates.parameters(), lr=lr)
    progress = helpers.Progress(range(steps), name)
    for step in progress:
        span = 10 + (COUNT - 10) * min(2 * step, steps) // steps
        loss = (solve(rates, seen[0], span) - seen[: span + 1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(rates.parameters(), 1.0)
        optimizer.step()
        progress.note(loss)
    return progress.losses


def main():
    """Fit both models to noisy numbers, and go on with them for as long again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    true = LotkaVolterra(1.1, 0.4, 0.4, 0.1)
    with torch.no_grad():
        truth = solve(true, torch.tensor([5.0, 2.0]), 2 * COUNT)
    seen = truth[: COUNT + 1] + 0.1 * torch.randn(COUNT + 1, 2)
    known = LotkaVolterra(1.0, 0.3, 0.5, 0.2)
    free = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    losses = {"laws": fit(known, seen, args.steps, 0.02, "laws")}
    losses["network"] = fit(free, seen, args.steps, 0.01, "network")
    found = known.laws.exp().detach().numpy()
    print("laws found", np.round(found, 3), "true", np.round(true.laws.exp().detach().numpy(), 3))
    print("mean square error", {name: round(values[-1], 4) for name, values in losses.items()})
    figure, axis = helpers.subplots(figsize=(8, 4))
    times = STEP * np.arange(2 * COUNT + 1)
    axis.plot(times[: COUNT + 1], seen.numpy(), ".", color="0.7")
    for name, rates, style in (("laws", known, "-"), ("network", free, "--")):
        with torch.no_grad():
            path = solve(rates, seen[0], 2 * COUNT).numpy()
        axis.plot(times, path[:, 0], f"C0{style}", label=f"hares, {name}")
        axis.plot(times, path[:, 1], f"C1{style}", label=f"lynxes, {name}")
    axis.set(ylim=(-1, 14), xlabel="time; up to 10 they were seen")
    axis.legend()
    helpers.save(figure, "ode.png")


if __name__ == "__main__":
    main()
