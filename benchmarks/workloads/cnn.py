"""A CNN on 64 images of 28 x 28: two convolutions with pooling and a linear layer, Adam."""

from collections.abc import Callable
from typing import Any

from benchmarks.workloads.training import classifier


def make(torch: Any, fast: dict[str, Any]) -> Callable[[], Any]:
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
    return classifier(torch, model, (64, 1, 28, 28), fast)
