"""The chain of 100 operations on 4 elements, forward and backward."""

from collections.abc import Callable
from typing import Any

from benchmarks.workloads import chain_forward


def make(torch: Any, fast: dict[str, Any]) -> Callable[[], Any]:
    forward = chain_forward.make(torch, fast)

    def step() -> None:
        forward().sum().backward()

    return step
