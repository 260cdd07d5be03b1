"""Rows for the kernels of losses."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import loss_rows

TOLERANCE = (5e-6, 2e-14)


def classes(size, weighted, sloped):
    """Return the row of cross entropy with class indices, some rows in each of several blocks."""

    def arguments(rng, dtype):
        x = rng.normal(size=(8, size)).astype(dtype)
        target = rng.integers(0, size, 8)
        weights = rng.random(8).astype(dtype) if weighted else None
        slope = np.zeros_like(x) if sloped else None
        return x, target, weights, np.full(8, 7, dtype), slope, 3, 0, 3

    return KernelRow(loss_rows.cross_entropy_rows, arguments, rtol=TOLERANCE)


def probabilities(size, sloped):
    """Return the row of cross entropy with probabilities."""

    def arguments(rng, dtype):
        x, target = rng.normal(size=(8, size)).astype(dtype), rng.random((8, size)).astype(dtype)
        slope = np.zeros_like(x) if sloped else None
        return x, target, np.full(8, 7, dtype), slope, 3, 0, 3

    return KernelRow(loss_rows.soft_cross_entropy_rows, arguments, rtol=TOLERANCE)


def binary(function, numbers, sloped):
    """Return the row of a loss of single numbers, special ones among them."""

    def arguments(rng, dtype):
        x = np.array([*numbers(rng)], dtype)
        y = rng.random(x.size).astype(dtype)
        return x, y, np.zeros_like(x), np.zeros_like(x) if sloped else None

    return KernelRow(function, arguments, rtol=TOLERANCE)


def _probabilities(rng):
    return [0, 1, 1e-30, 1 - 1e-7, 0.5, *rng.random(5000)]


def _logits(rng):
    return [0, -0.0, np.inf, -np.inf, np.nan, 100, -100, *(rng.normal(size=5000) * 5)]


ROWS = [
    *(
        classes(size, weighted, sloped)
        for size in (1, 37, 5000)
        for weighted, sloped in ((False, True), (True, True), (True, False))
    ),
    *(probabilities(size, sloped) for size in (2, 37, 5000) for sloped in (False, True)),
    *(
        binary(function, numbers, sloped)
        for function, numbers in (
            (loss_rows.binary, _probabilities),
            (loss_rows.logits, _logits),
        )
        for sloped in (False, True)
    ),
]
