"""An LSTM learns three centuries of sunspots and foretells the years after 1960.

The numbers, one for each year from 1700 to 2008, are those of the National Geophysical Data Center,
in the public domain; they lie in ``sunspots.csv`` beside this file.

    python examples/lstm_series.py
"""

import argparse
from pathlib import Path

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn


class Forecaster(nn.Module):
    """The next value of a series, from all before it."""

    def __init__(self, size):
        super().__init__()
        self.lstm = nn.LSTM(1, size, batch_first=True)
        self.head = nn.Linear(size, 1)

    def forward(self, x, state=None):
        """Take values (N, T), return the change expected after each of them and the state."""
        out, state = self.lstm(x[..., None], state)
        return self.head(out)[..., 0], state


@torch.no_grad()
def foretell(model, known, years):
    """Return the values of the next years, each made from those before, known or foretold."""
    change, state = model(known[None])
    value, found = known[-1] + change[0, -1], []
    for _ in range(years):
        found.append(value.item())
        change, state = model(value.reshape(1, 1), state)
        value = value + change[0, 0]
    return np.array(found)


def main():
    """Train on the years before 1960, and foretell those after it year by year and at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    path = Path(__file__).parent / "sunspots.csv"
    years, spots = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    series = torch.tensor(np.sqrt(spots) / 5, dtype=torch.float32)  # peaks and valleys more alike
    known = int((years < 1960).sum())
    torch.manual_seed(args.seed)
    model = Forecaster(args.size)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    span, random = 66, np.random.RandomState(args.seed)
    progress = helpers.Progress(range(args.steps))
    for _ in progress:
        starts = random.randint(0, known - span, (16, 1))
        pieces = series[torch.from_numpy(starts + np.arange(span))]
        pieces = pieces + 0.05 * torch.randn(pieces.shape)
        change, _ = model(pieces[:, :-1])
        loss = nn.functional.smooth_l1_loss(change[:, 11:], pieces.diff()[:, 11:], beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress.note(loss)
    with torch.no_grad():
        changes, _ = model(series[None])
    one_step = (series[known - 1 : -1] + changes[0, known - 1 : -1]).numpy()
    at_once = foretell(model, series[:known], 22)
    truth = series[known:].numpy()
    error = np.sqrt(np.mean((one_step - truth) ** 2))
    naive = np.sqrt(np.mean(series.diff()[known - 1 :].numpy() ** 2))
    print(f"error a year ahead {error:.3f}; of guessing no change {naive:.3f}")
    figure, axis = helpers.subplots(figsize=(9, 3.5))
    axis.plot(years[100:], spots[100:], "0.6", label="sunspots")
    axis.plot(years[known:], (5 * one_step) ** 2, label="foretold a year ahead")
    axis.plot(years[known : known + 22], (5 * at_once) ** 2, "--", label="foretold from 1959")
    axis.legend()
    helpers.save(figure, "sunspots.png")


if __name__ == "__main__":
    main()
