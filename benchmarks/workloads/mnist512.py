"""An MLP 784-512-512-10, batch 512, Adam: matrix products take most of the time."""

from typing import Any

from benchmarks.workloads import Work
from benchmarks.workloads.training import classifier, products


def make(torch: Any, fast: dict[str, Any]) -> Work:
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    return classifier(torch, model, (512, 784), fast, products(512, 784, 512, 512, 10))
