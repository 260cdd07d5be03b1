"""Layer norm over rows of (4096, 512), forward and backward."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

SHAPE = (4096, 512)


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    rng = np.random.default_rng(0)
    x, g = (torch.tensor(rng.normal(size=SHAPE).astype(np.float32)) for _ in "xg")
    w, b = (torch.tensor(rng.normal(size=SHAPE[1]).astype(np.float32)) for _ in "wb")
    for leaf in (x, w, b):
        leaf.requires_grad_()
    layer_norm = torch.nn.functional.layer_norm

    def step() -> Any:
        x.grad = w.grad = b.grad = None
        layer_norm(x, SHAPE[1:], w, b).backward(g)
        return x.grad

    # Forward: read x, write y. Backward: read x and g, write the gradient.
    return Work(step, [x, w, b, g], bytes=5 * 4 * SHAPE[0] * SHAPE[1])
