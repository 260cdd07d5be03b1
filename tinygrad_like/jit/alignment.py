"""Kernels that sum over the ways to align a sequence: `tinygrad_like.ops.ctc`."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel
from tinygrad_like.jit.mathematics import exp, log


@kernel
def paths(scores: Any, penalty: Any, alpha: Any) -> None:
    """Fill in the logarithms of the sums of the paths to each state."""
    steps, batch, states = scores.shape
    lowest = scores.dtype.type(-3e38)
    for t in range(1, steps):
        for n in range(batch):
            former, made = alpha[t - 1, n], alpha[t, n]
            score, jump = scores[t, n], penalty[n]
            for s in range(states):
                stay, move, skip = former[s + 2], former[s + 1], former[s] + jump[s]
                top = max(max(stay, move), max(skip, lowest))
                total = exp(stay - top) + exp(move - top) + exp(skip - top)
                made[s + 2] = log(total) + top + score[s]
