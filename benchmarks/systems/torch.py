"""PyTorch, eager, with its fastest optimizers."""

from contextlib import nullcontext as active

import torch

from benchmarks.systems import in_torch
from benchmarks.workloads import Work

__all__ = ["active", "make"]


def make(workload: str) -> Work:
    return in_torch(torch, workload, fused=True)
