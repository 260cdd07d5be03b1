"""The chain of 100 operations on 4 elements, forward and backward."""

from typing import Any

from benchmarks.workloads import Work, chain_forward


def make(torch: Any, fast: dict[str, Any]) -> Work:
    forward, (x, y), *_ = chain_forward.make(torch, fast)

    def step() -> Any:
        x.grad = y.grad = None
        forward().sum().backward()
        return y.grad

    return Work(step, [x, y])
