"""What the workloads that train a model share."""

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workloads import Work


def training(model: Any, criterion: Any, optimizer: Any, x: Any, y: Any, flops: float = 0) -> Work:
    """Return the step that fits ``model(x)`` to `y`."""

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Work(step, [*model.parameters(), x, y], flops)


def classifier(
    torch: Any, model: Any, shape: tuple[int, ...], fast: dict[str, Any], flops: float
) -> Work:
    """Return a training step of `model` with Adam on random images of ten classes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **fast)
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=shape).astype(np.float32))
    y = torch.tensor(rng.integers(0, 10, shape[0]))
    return training(model, torch.nn.CrossEntropyLoss(), optimizer, x, y, flops)


def products(rows: int, *widths: int) -> float:
    """Return the flops of training linear layers of these widths on as many rows.

    Forward, the weight's gradient and the input's, which the first layer does without.
    """
    sizes = [a * b for a, b in pairwise(widths)]
    return 2.0 * rows * (3 * sum(sizes) - sizes[0])
