"""A chain of 100 operations on 4 elements, recorded but not differentiated: pure overhead."""

from collections.abc import Callable
from typing import Any


def make(torch: Any, fast: dict[str, Any]) -> Callable[[], Any]:
    del fast
    x = torch.ones(4, requires_grad=True)
    y = torch.full((4,), 0.5, requires_grad=True)

    def step() -> Any:
        h = x
        for _ in range(50):
            h = h * y
            h = h + x
        return h

    return step
