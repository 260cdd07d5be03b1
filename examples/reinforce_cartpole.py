"""A network learns to balance a pole on a cart, from nothing but how long the pole stays up.

REINFORCE (R. Williams, 1992): actions are drawn, and those of the better runs made more likely. The
cart and pole move as in A. Barto, R. Sutton, C. Anderson, 1983; many carts are moved at once.

    python examples/reinforce_cartpole.py
"""

import argparse

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn

LIMIT = 200  # steps of a run


class CartPoles:
    """Carts on rails, each with a pole that falls: place, speed, angle and its speed are (N, 4)."""

    def __init__(self, count, seed):
        self.random = np.random.RandomState(seed)
        self.count = count

    def reset(self):
        """Begin new runs, and return their states."""
        self.state = self.random.uniform(-0.05, 0.05, (self.count, 4))
        self.up = np.ones(self.count, bool)
        return self.state

    def step(self, right):
        """Push each cart, to the right where `right` is 1; return states and which poles are up."""
        _, speed, angle, turning = self.state.T
        push, sin, cos = np.where(right, 10.0, -10.0), np.sin(angle), np.cos(angle)
        inward = (push + 0.05 * turning**2 * sin) / 1.1
        bend = (9.8 * sin - cos * inward) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        pull = inward - 0.05 * bend * cos / 1.1
        rates = np.stack([speed, pull, turning, bend], 1)
        self.state = self.state + 0.02 * rates
        self.up &= (np.abs(self.state[:, 0]) < 2.4) & (np.abs(self.state[:, 2]) < 0.2095)
        return self.state, self.up


def play(policy, poles):
    """Return the log probability of each action (T, N), and whether it was taken in time (T, N)."""
    state, up = poles.reset(), np.ones(poles.count, bool)
    chances, alive = [], []
    for _ in range(LIMIT):
        scores = torch.log_softmax(policy(torch.tensor(state, dtype=torch.float32)), 1)
        actions = torch.multinomial(scores.detach().exp(), 1)
        chances.append(scores.gather(1, actions)[:, 0])
        alive.append(up.copy())
        state, up = poles.step(actions[:, 0].numpy())
        if not up.any():
            break
    return torch.stack(chances), np.stack(alive)


def main():
    """Play and learn until the poles stay up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--carts", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
    poles, lengths = CartPoles(args.carts, args.seed), []
    progress = helpers.Progress(range(args.steps))
    for _ in progress:
        chances, alive = play(policy, poles)
        # What is still to come of each run, in units of the usual: the longer, the better.
        worth = alive[::-1].cumsum(0)[::-1].astype("float32")
        worth = (worth - worth[alive].mean()) / (worth[alive].std() + 1e-6) * alive
        loss = -(chances * torch.from_numpy(worth)).sum() / alive.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lengths.append(alive.sum(0).mean())
        progress.bar.set_postfix(steps=f"{lengths[-1]:.0f}")
    print(
        f"the poles stay up {np.mean(lengths[-10:]):.0f} of {LIMIT} steps; first {lengths[0]:.0f}"
    )
    helpers.curves("cartpole.png", "steps until the pole falls", average=lengths)


if __name__ == "__main__":
    main()
