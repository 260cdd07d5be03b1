"""One module per system: ``make(workload)`` returns its `Work`, ``active()`` surrounds its steps.

A system that isn't installed, or doesn't have what a workload needs, raises; the table shows a gap.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any, Protocol

from benchmarks.workloads import Work

TITLES = {
    "torch": "torch",
    "ours": "NumPy only",
    "jit": "with jit",
}
"""What each system is called in the tables."""

USUAL = ("torch", "ours", "jit")
"""The systems that are measured unless others are asked for."""


class System(Protocol):
    """What a module of this folder offers."""

    def make(self, workload: str) -> Work:
        """Return the workload, built in this system."""

    def active(self) -> AbstractContextManager[Any]:
        """Return the context in which the steps run."""


def load(name: str) -> System:
    """Return a system's module."""
    return importlib.import_module(f"benchmarks.systems.{name}")  # type: ignore[return-value]


def in_torch(torch: Any, workload: str, **fast: Any) -> Work:
    """Build a workload with a package that speaks PyTorch's language."""
    return importlib.import_module(f"benchmarks.workloads.{workload}").make(torch, fast)  # type: ignore[no-any-return]
