"""A convolutional network learns to tell 70,000 pictures of clothes apart, in a few minutes.

The pictures are Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, 2017). On Debian and Ubuntu they come
with ``apt install dataset-fashion-mnist``; else give ``--data`` a folder with the four files.

    python examples/fashion_mnist.py
"""

import argparse
import time

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn
from tinygrad_like.utils.data import DataLoader, TensorDataset
from tinygrad_like.utils.datasets import FashionMNIST


def make_model():
    """Return a network of two convolutions, each with batch norm, and two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.2)),
        nn.Linear(128, 10),
    )


def load(folder, train, count):
    """Return up to `count` pictures (N, 1, 28, 28), in [-0.5, 0.5], and their classes."""
    data = FashionMNIST(folder, train=train)
    return TensorDataset(data.data[:count].float() / 255 - 0.5, data.targets[:count]), data.classes


@torch.no_grad()
def predict(model, data):
    """Return the class the model sees in each picture."""
    model.eval()
    found = [model(images).argmax(1) for images, _ in DataLoader(data, batch_size=500)]
    model.train()
    return torch.cat(found)


def main():
    """Train, test after each epoch, and show some pictures taken for something else."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="a folder")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--count", type=int, default=70_000, help="take only so many pictures")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    train, classes = load(args.data, True, args.count)
    test, _ = load(args.data, False, args.count)
    torch.manual_seed(args.seed)
    model = make_model()
    loader = DataLoader(train, batch_size=128, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=args.epochs * len(loader)
    )
    start, losses = time.process_time(), []
    for epoch in range(args.epochs):
        progress = helpers.Progress(loader, f"epoch {epoch + 1}", len(loader))
        for images, labels in progress:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.note(loss)
        losses += progress.losses
        found = predict(model, test)
        accuracy = (found == test.tensors[1]).float().mean().item()
        print(
            f"epoch {epoch + 1}  loss {np.mean(progress.losses):.4f}  test accuracy {accuracy:.2%}  "
            f"{time.process_time() - start:.0f} s of CPU time"
        )
    wrong = (found != test.tensors[1]).nonzero()[:10, 0]
    pictures = [test.tensors[0][i, 0].numpy() for i in wrong.tolist()]
    labels = [f"{classes[test.tensors[1][i]]}\nas {classes[found[i]]}" for i in wrong.tolist()]
    helpers.curves("fashion-loss.png", training=losses)
    helpers.images("fashion-mistakes.png", [pictures or [np.zeros((28, 28))]], labels)


if __name__ == "__main__":
    main()
