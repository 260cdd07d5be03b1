"""This package with its compiled kernels."""

from contextlib import nullcontext as active

import numba  # noqa: F401  (absent means that this system is)

import tinygrad_like
from benchmarks.systems import in_torch
from benchmarks.workloads import Work
from tinygrad_like import jit  # noqa: F401

__all__ = ["active", "make"]


def make(workload: str) -> Work:
    return in_torch(tinygrad_like, workload)
