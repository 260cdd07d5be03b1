"""Rows for the kernel that sums over alignments."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.ops import ctc


def arguments(steps, batch, labels):
    """Return scores, which states may be skipped, and sums of which the first are known."""

    def make(rng, dtype):
        states = 2 * labels + 1
        scores = np.log(rng.uniform(0.01, 1, (steps, batch, states))).astype(dtype)
        scores[:, 0, ::3] = -np.inf
        penalty = np.where(rng.random((batch, states)) < 0.5, 0, -np.inf).astype(dtype)
        alpha = np.full((steps, batch, states + 2), -np.inf, dtype)
        alpha[0, :, 2:4] = scores[0, :, :2]
        return scores, penalty, alpha

    return make


ROWS = [
    KernelRow(ctc._paths, arguments(20, 4, 9), rtol=(5e-6, 1e-14)),
    KernelRow(ctc._paths, arguments(60, 1, 1), rtol=(5e-6, 1e-14)),
]
