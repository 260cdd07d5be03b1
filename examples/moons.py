"""The two-moons classic: a small network learns to tell two interleaved half circles apart.

python examples/moons.py
"""

import argparse

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn


def moons(count, noise, random):
    """Return points (count, 2) on two interleaved half circles, and which one each is on."""
    labels = np.arange(count) % 2
    angle = random.uniform(0, np.pi, count)
    x = np.where(labels, 1 - np.cos(angle), np.cos(angle))
    y = np.where(labels, 0.5 - np.sin(angle), np.sin(angle))
    points = np.stack([x, y], 1) + random.normal(0, noise, (count, 2))
    return torch.from_numpy(points).float(), torch.from_numpy(labels)


def draw(model, points, labels):
    """Paint the plane by how sure the model is, its decision boundary, and the points."""
    low, high = points.numpy().min(0) - 0.3, points.numpy().max(0) + 0.3
    x, y = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    grid = torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1)).float()
    with torch.no_grad():
        certainty = torch.softmax(model(grid), 1)[:, 1].reshape(200, 200).numpy()
    figure, axis = helpers.subplots(figsize=(6, 4.5))
    axis.contourf(x, y, certainty, levels=20, cmap="RdBu_r", alpha=0.6)
    axis.contour(x, y, certainty, levels=[0.5], colors="k", linewidths=1.5)
    axis.scatter(*points.numpy().T, c=labels.numpy(), cmap="RdBu_r", s=14, edgecolors="k")
    axis.set_title("two moons: the line is where the network can't decide")
    helpers.save(figure, "moons.png")


def main():
    """Train, print the accuracy on new points, and draw the decision boundary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random = np.random.RandomState(args.seed)
    torch.manual_seed(args.seed)
    points, labels = moons(200, 0.12, random)
    model = nn.Sequential(
        *(nn.Linear(2, 32), nn.Tanh()), *(nn.Linear(32, 32), nn.Tanh()), nn.Linear(32, 2)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    progress = helpers.Progress(range(args.steps))
    for _ in progress:
        loss = nn.functional.cross_entropy(model(points), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.note(loss)
    fresh, truth = moons(1000, 0.12, random)
    with torch.no_grad():
        accuracy = (model(fresh).argmax(1) == truth).float().mean().item()
    print(f"loss {loss.item():.4f}, accuracy on 1000 new points {accuracy:.1%}")
    draw(model, points, labels)


if __name__ == "__main__":
    main()
