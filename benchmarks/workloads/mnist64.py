"""An MLP 784-128-10, batch 64, Adam."""

from typing import Any

from benchmarks.workloads import Work
from benchmarks.workloads.training import classifier, products


def make(torch: Any, fast: dict[str, Any]) -> Work:
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return classifier(torch, model, (64, 784), fast, products(64, 784, 128, 10))
