"""Softmax over rows of (512, 1000), forward and backward."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

SHAPE = (512, 1000)


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    rng = np.random.default_rng(0)
    x, g = (torch.tensor(rng.normal(size=SHAPE).astype(np.float32)) for _ in "xg")
    x.requires_grad_()
    softmax = torch.nn.functional.softmax

    def step() -> Any:
        x.grad = None
        softmax(x, dim=-1).backward(g)
        return x.grad

    # Forward: read x, write y. Backward: read y and g, write the gradient.
    return Work(step, [x, g], bytes=5 * 4 * SHAPE[0] * SHAPE[1])
