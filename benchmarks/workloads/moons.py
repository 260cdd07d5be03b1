"""An MLP 2-16-16-1 on 100 points with SGD: a step is nearly all overhead."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work
from benchmarks.workloads.training import training


def make(torch: Any, fast: dict[str, Any]) -> Work:
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **fast)
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(100, 2)).astype(np.float32))
    y = torch.tensor((rng.random((100, 1)) > 0.5).astype(np.float32))
    return training(model, nn.BCEWithLogitsLoss(), optimizer, x, y)
