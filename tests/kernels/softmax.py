"""Rows for the kernels of softmax and its logarithm."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.ops import softmax

SPECIAL = [[np.inf, 1, 2], [-np.inf, 1, 2], [-np.inf] * 3, [np.nan, 1, 2], [-np.nan, -1, np.inf]]


def forward(function, values):
    """Return the row of a softmax of a matrix, some rows in each of several blocks."""

    def arguments(rng, dtype):
        x = values(rng).astype(dtype)
        return x, np.full_like(x, 7), 3, 0, 3

    return KernelRow(function, arguments)


def backward(function, size):
    """Return the row of a gradient."""

    def arguments(rng, dtype):
        g, y = (rng.uniform(-1, 1, (8, size)).astype(dtype) for _ in range(2))
        return g, y, np.full_like(y, 7), 3, 0, 3

    return KernelRow(function, arguments, rtol=(5e-6, 2e-14))


DRAWN = [
    lambda rng, size=size, width=width: rng.normal(size=(8, size)) * width
    for size in (1, 37, 5000)
    for width in (1, 40)
]

ROWS = [
    *(
        forward(function, values)
        for function in (softmax._softmax_rows, softmax._log_softmax_rows)
        for values in (*DRAWN, lambda rng: np.array(SPECIAL))
    ),
    *(
        backward(function, size)
        for function in (softmax._softmax_rows_backward, softmax._log_softmax_rows_backward)
        for size in (1, 37, 5000)
    ),
]
