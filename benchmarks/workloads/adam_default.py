"""Adam's step alone, in PyTorch's default setting."""

from typing import Any

from benchmarks.workloads import Work, adam


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    return adam.make(torch, {})
