"""This package with NumPy alone."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tinygrad_like
from benchmarks.systems import in_torch
from benchmarks.workloads import Work


def make(workload: str) -> Work:
    return in_torch(tinygrad_like, workload)


def active() -> AbstractContextManager[Any]:
    try:
        from tinygrad_like import jit
    except ImportError:
        return nullcontext()
    return jit.disabled()
