"""gelu(x * w + b).sum() of 1e6 elements, forward and backward: an elementwise chain."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

SIZE = 1_000_000


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    rng = np.random.default_rng(0)
    leaves = [torch.tensor(rng.normal(size=SIZE).astype(np.float32)) for _ in "xwb"]
    x, w, b = (leaf.requires_grad_() for leaf in leaves)
    gelu = torch.nn.functional.gelu

    def step() -> Any:
        x.grad = w.grad = b.grad = None
        gelu(x * w + b).sum().backward()
        return w.grad

    # In one pass: read three arrays, write three gradients.
    return Work(step, [x, w, b], bytes=6 * 4 * SIZE)
