"""Adam's step alone, on 1e6 parameters in 50 tensors, in PyTorch's fastest setting."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

COUNT, SHAPE = 50, (200, 100)


def make(torch: Any, fast: dict[str, Any]) -> Work:
    rng = np.random.default_rng(0)
    parameters, gradients = (
        [torch.tensor(rng.normal(size=SHAPE).astype(np.float32)) for _ in range(COUNT)]
        for _ in range(2)
    )
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_()
        parameter.grad = gradient
    optimizer = torch.optim.Adam(parameters, lr=1e-3, **fast)

    def step() -> Any:
        optimizer.step()
        return parameters[-1]

    # Read four arrays, write three.
    return Work(step, [*parameters, *gradients], bytes=7 * 4 * COUNT * SHAPE[0] * SHAPE[1])
