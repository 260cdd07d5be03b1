"""An MLP 784-128-10, batch 64, Adam."""

from collections.abc import Callable
from typing import Any

from benchmarks.workloads.training import classifier


def make(torch: Any, fast: dict[str, Any]) -> Callable[[], Any]:
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return classifier(torch, model, (64, 784), fast)
