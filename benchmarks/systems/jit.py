"""This package with its compiled kernels."""

from collections.abc import Iterator
from contextlib import contextmanager

import tinygrad_like
from benchmarks.systems import in_torch
from benchmarks.workloads import Work
from tinygrad_like import jit


def make(workload: str) -> Work:
    return in_torch(tinygrad_like, workload)


@contextmanager
def active() -> Iterator[None]:
    jit.enable()
    yield
    if not jit.enabled():  # else NumPy would be measured in the kernels' name
        raise RuntimeError("a kernel failed, and all were switched off")
