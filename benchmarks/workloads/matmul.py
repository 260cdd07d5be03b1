"""A product of two (512, 512) matrices, forward and both gradients."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

SIZE = 512


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    rng = np.random.default_rng(0)
    x, y, g = (torch.tensor(rng.normal(size=(SIZE, SIZE)).astype(np.float32)) for _ in "xyg")
    x.requires_grad_()
    y.requires_grad_()

    def step() -> Any:
        x.grad = y.grad = None
        (x @ y).backward(g)
        return x.grad

    return Work(step, [x, y, g], flops=3 * 2 * SIZE**3)
