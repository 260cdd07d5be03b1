"""A small convolutional network learns to read 1,797 handwritten digits, in less than a minute.

The model and its training are written once, as functions of the module ``torch``: they run on this
package, and with ``--compare-torch`` on PyTorch as well, from the same seed, step beside step.

    python examples/digits.py
    python examples/digits.py --compare-torch --dtype float64
"""

import argparse
import time

import helpers
import numpy as np
from digits_pictures import OUT, draw_curves, draw_mistakes, draw_step
from sklearn.datasets import load_digits

import tinygrad_like


def split(seed, share=0.2):
    """Return images (N, 1, 8, 8) and labels for training and testing, `share` of each class apart."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(labels))
    ranked = [order[labels[order] == digit] for digit in range(10)]
    test = np.concatenate([chosen[: round(share * len(chosen))] for chosen in ranked])
    train = np.setdiff1d(order, test)
    images = images.reshape(-1, 1, 8, 8) / 16
    return images[train], labels[train], images[test], labels[test]


def make_model(nn):
    """Return two convolutions with batch norm, and two linear layers with dropout."""
    features = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        nn.MaxPool2d(2),
    )
    head = nn.Sequential(
        *(nn.Flatten(), nn.Dropout(0.25), nn.Linear(512, 64), nn.ReLU()),
        *(nn.Dropout(0.25), nn.Linear(64, 10)),
    )
    return nn.Sequential(features, head)


def train(torch, args, data):
    """Train and return the model, the loss of each step, and per epoch the test accuracy."""
    dtype = getattr(torch, args.dtype)
    images, labels, test_images, test_labels = (torch.from_numpy(part) for part in data)
    images, test_images = images.to(dtype), test_images.to(dtype)
    torch.manual_seed(args.seed)
    model = make_model(torch.nn).to(dtype)
    dataset = torch.utils.data.TensorDataset(images, labels)
    loader = torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, div_factor=100, total_steps=args.epochs * len(loader)
    )
    losses, accuracies = [], []
    for epoch in range(args.epochs):
        model.train()
        progress = helpers.Progress(loader, f"epoch {epoch + 1:2}", losses=losses)
        for batch, target in progress:
            loss = torch.nn.functional.cross_entropy(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.note(loss)
            if len(losses) == args.steps:
                break
        model.eval()
        with torch.no_grad():
            right = (model(test_images).argmax(1) == test_labels).sum().item()
        accuracies.append(right / len(test_labels))
        mean = np.mean(losses[-len(loader) :])
        print(f"epoch {epoch + 1:2}  loss {mean:.4f}  test accuracy {accuracies[-1]:.2%}")
        if len(losses) == args.steps:
            break
    return model, losses, accuracies


def main():
    """Train, compare if asked, and say where the pictures are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--compare-torch", action="store_true", help="train PyTorch's model too")
    args = parser.parse_args()
    data = split(args.seed)
    modules = {"tinygrad_like": tinygrad_like}
    if args.compare_torch:
        import torch

        modules["PyTorch"] = torch
    runs = {}
    for name, module in modules.items():
        print(f"{name}:")
        start = time.perf_counter()
        runs[name] = train(module, args, data)
        print(f"{time.perf_counter() - start:.1f} s")
    if args.compare_torch:
        ours, theirs = (np.array(losses) for _, losses, _ in runs.values())
        count = min(len(ours), 100 if args.dtype == "float64" else 50)
        worst = np.max(np.abs(ours - theirs)[:count] / np.abs(theirs)[:count])
        for step in range(0, count, 10):
            print(f"step {step:3}  {ours[step]:.12f}  {theirs[step]:.12f}")
        print(f"largest relative difference of the first {count} losses: {worst:.1e}")
    model, _, _ = runs["tinygrad_like"]
    draw_curves(runs)
    draw_mistakes(tinygrad_like, model, data[2], data[3])
    draw_step(tinygrad_like, model, data[0], data[1])
    print(f"curves, the graph of one step and the misread digits: {OUT}")


if __name__ == "__main__":
    main()
