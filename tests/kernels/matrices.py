"""Rows for the kernels of matrices and of distances."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays.matrices import _panel, _substitute
from tinygrad_like.ops.distances import _signs, _sums


def panel(start, stop):
    """Return the row of some columns of an LU decomposition."""

    def arguments(rng, dtype):
        a = rng.uniform(-1, 1, (3, 9, 7)).astype(dtype)
        a[1, :, start] = 0  # nothing to divide by
        return a, np.zeros((3, 7), np.int32), start, stop

    return KernelRow(_panel, arguments, rtol=(2e-5, 1e-13))


def triangle(upper, unit):
    """Return the row of triangles."""

    def arguments(rng, dtype):
        a = rng.uniform(-0.5, 0.5, (3, 6, 6)) + 2 * np.eye(6)
        return a.astype(dtype), rng.uniform(-1, 1, (3, 6, 4)).astype(dtype), upper, unit

    return KernelRow(_substitute, arguments, rtol=(2e-5, 1e-13))


def distances(upper):
    """Return the row of sums of absolute differences."""

    def arguments(rng, dtype):
        x, y = (rng.uniform(-1, 1, (5, 70)).astype(dtype) for _ in range(2))
        # Below the diagonal the two versions may differ, in rows that NumPy takes together.
        out = np.zeros((5, 5), dtype)
        return (x, y, out, upper) if not upper else (x[:1], y, out[:1], upper)

    return KernelRow(_sums, arguments, rtol=(2e-5, 1e-13))


def signs(largest, upper):
    """Return the row of the gradient of distances that take no powers."""

    def arguments(rng, dtype):
        x, y, of_x, of_y = (rng.integers(-2, 3, (5, 7)).astype(dtype) for _ in range(4))
        g = rng.uniform(-1, 1, (5, 5)).astype(dtype)
        g = np.triu(g) if upper else g
        length = np.abs(x[:, None] - y).max(-1)
        return x, y, g, length, of_x, of_y, largest, upper

    return KernelRow(_signs, arguments, rtol=(2e-5, 1e-13))


ROWS = [
    *(panel(start, stop) for start, stop in ((0, 7), (0, 3), (2, 6))),
    *(triangle(upper, unit) for upper in (False, True) for unit in (False, True)),
    *(distances(upper) for upper in (False, True)),
    *(signs(largest, upper) for largest in (False, True) for upper in (False, True)),
]
