"""Rows for the kernels of pooling."""

import math

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import pooling

# One row per dimension: elements of a window, first, step, spread, number of windows, of pixels.
OVERLAPPING = np.array([(2, 0, 2, 1, 2, 5), (3, -1, 2, 1, 4, 7), (3, -2, 1, 2, 8, 9)])
APART = np.array([(1, 0, 1, 1, 1, 1), (2, 0, 2, 1, 3, 6), (2, 0, 2, 1, 4, 8)])


def sizes(axes):
    return math.prod(axes[:, 5]), math.prod(axes[:, 4])


def largest(axes, special):
    def arguments(rng, dtype):
        pixels, windows = sizes(axes)
        x = rng.integers(0, 9, (2, pixels, 11)).astype(dtype)  # with ties
        if special:
            x[rng.random(x.shape) < 0.2] = np.nan
            x[rng.random(x.shape) < 0.5] = -np.inf
        out = np.zeros((2, windows, 11), dtype)
        return x, out, np.ones(out.shape, np.uint8), axes

    return KernelRow(pooling.largest, arguments)


def spread(axes):
    def arguments(rng, dtype):
        pixels, windows = sizes(axes)
        grad = rng.normal(size=(2, windows, 11)).astype(dtype)
        which = rng.integers(0, math.prod(axes[:, 0]), grad.shape).astype(np.int32)
        return grad, which, np.ones((2, pixels, 11), dtype), axes

    return KernelRow(pooling.spread_out, arguments)


def adaptive(inner, special):
    def arguments(rng, dtype):
        sizes = np.array([(1, 1), (7, 3), (11, 4)])
        x = rng.integers(0, 50, (20, 77, inner)).astype(dtype)
        if special:
            x[rng.random(x.shape) < 0.2] = np.nan
            x[rng.random(x.shape) < 0.5] = -np.inf
        out = np.zeros((20, 12, inner), dtype)
        return x, out, np.zeros(out.shape, np.int64), sizes

    return KernelRow(pooling.adaptive_largest, arguments)


ROWS = [
    *(largest(axes, special) for axes in (OVERLAPPING, APART) for special in (False, True)),
    *map(spread, (OVERLAPPING, APART)),
    *(adaptive(inner, special) for inner in (1, 9) for special in (False, True)),
]
