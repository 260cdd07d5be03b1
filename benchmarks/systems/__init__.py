"""One module per system: ``make(workload)`` returns its `Work`, ``active()`` surrounds its steps.

A system that isn't installed, or hasn't got what a workload needs, raises; the tables show a gap.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from benchmarks.workloads import Work

TITLES = {
    "torch": "torch",
    "ours": "NumPy only",
    "jit": "with jit",
    "numpy": "by hand",
    "compile": "torch.compile",
    "jax": "jax.jit",
    "mygrad": "mygrad",
}
"""What each system is called in the tables."""

USUAL = ("torch", "ours", "jit")
"""The systems of a quick look."""

_PACKAGES = {"compile": "torch", "jit": "numba", "ours": "numpy"}


def installed() -> list[str]:
    """Return the systems whose packages are installed."""
    return [s for s in TITLES if importlib.util.find_spec(_PACKAGES.get(s, s)) is not None]


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


def by_hand(workload: str, makers: dict[str, Callable[..., Callable[[], Any]]]) -> Work:
    """Build a workload with one of `makers`, from the arrays that the other systems start from."""
    import tinygrad_like

    if workload not in makers:
        raise NotImplementedError(f"{workload} is not written in it")
    work = in_torch(tinygrad_like, workload)
    start = [np.array(tensor.detach().numpy()) for tensor in work.start]
    return work._replace(step=makers[workload](*start), start=start)
