"""A chain of 100 operations on 4 elements, recorded but not differentiated: pure overhead."""

from typing import Any

from benchmarks.workloads import Work


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    x = torch.full((4,), 1.5, requires_grad=True)
    y = torch.full((4,), 0.5, requires_grad=True)

    def step() -> Any:
        h = x
        for _ in range(50):
            h = h * y
            h = h + x
        return h

    return Work(step, [x, y])
