"""What the classifier workloads share."""

from collections.abc import Callable
from typing import Any

import numpy as np


def classifier(
    torch: Any, model: Any, shape: tuple[int, ...], fast: dict[str, Any]
) -> Callable[[], Any]:
    """Return a training step of `model` with Adam on random images of ten classes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **fast)
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=shape).astype(np.float32))
    y = torch.tensor(rng.integers(0, 10, shape[0]))
    criterion = torch.nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return step
