"""PyTorch with the whole step compiled."""

from contextlib import nullcontext as active

import torch

from benchmarks.systems import in_torch
from benchmarks.workloads import Work

__all__ = ["active", "make"]


def make(workload: str) -> Work:
    work = in_torch(torch, workload, fused=True)
    return work._replace(step=torch.compile(work.step))
