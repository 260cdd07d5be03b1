"""A CNN on 64 images of 28 x 28: two convolutions with pooling and a linear layer, Adam."""

from typing import Any

from benchmarks.workloads import Work
from benchmarks.workloads.training import classifier


def make(torch: Any, fast: dict[str, Any]) -> Work:
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
    first, second, linear = 28 * 28 * 9 * 16, 14 * 14 * 9 * 16 * 32, 32 * 7 * 7 * 10
    flops = 2 * 64 * (2 * first + 3 * second + 3 * linear)  # images need no gradient
    return classifier(torch, model, (64, 1, 28, 28), fast, flops)
