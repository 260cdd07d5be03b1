"""This package with NumPy alone."""

import tinygrad_like
from benchmarks.systems import in_torch
from benchmarks.workloads import Work
from tinygrad_like.jit import disabled as active

__all__ = ["active", "make"]


def make(workload: str) -> Work:
    return in_torch(tinygrad_like, workload)
