"""Rows for the kernels of normalization."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import norm_rows

N, ROWS_OF_BLOCK, BLOCKS = 8, 3, 3
SIZES = (1, 37, 5000)  # the last is summed in several runs


def row(function, make):
    """Return the rows of a kernel for arguments that end with all blocks of its matrix."""

    def arguments(size):
        return lambda rng, dtype: (
            *make(rng, dtype, lambda *shape: (rng.normal(size=shape) + 0.5).astype(dtype), size),
            *(ROWS_OF_BLOCK, 0, BLOCKS),
        )

    # A mean square of one number is that of its rounding.
    return [KernelRow(function, arguments(size), rtol=(5e-6, 2e-14)) for size in SIZES]


def standardize(weight, bias, centered):
    """Return rows of a normalization with or without weights."""

    def forward(rng, dtype, draw, size):
        x = draw(N, size)
        scale, shift = (draw(size) if wanted else None for wanted in (weight, bias))
        empty = np.empty(N, dtype)
        return x, scale, shift, np.empty_like(x), empty, empty.copy(), 1e-3, centered

    def backward(rng, dtype, draw, size):
        g, x = draw(N, size), draw(N, size)
        scale = draw(size) if weight else None
        parts = [np.empty((BLOCKS, size), dtype) if weight else None for _ in range(2)]
        mean = draw(N) if centered else np.zeros(N, dtype)
        return g, x, scale, mean, abs(draw(N)), np.empty_like(x), *parts, centered

    return [*row(norm_rows.standardize, forward), *row(norm_rows.standardize_backward, backward)]


def moments(by_rows):
    """Return rows of what is found by rows or by columns."""

    def statistics(count, size):
        return N if by_rows else count * size

    def found(rng, dtype, draw, size):
        empty = np.empty(statistics(BLOCKS, size), dtype)
        return draw(N, size), empty, empty.copy()

    def products(rng, dtype, draw, size):
        empty = np.empty(statistics(BLOCKS, size), dtype)
        return draw(N, size), draw(N, size), draw(statistics(1, size)), empty, empty.copy()

    def scale(rng, dtype, draw, size):
        vectors = (draw(statistics(1, size)) for _ in range(3))
        return draw(N, size), *vectors, np.empty((N, size), dtype)

    def combine(rng, dtype, draw, size):
        vectors = (draw(statistics(1, size)) for _ in range(4))
        return draw(N, size), draw(N, size), *vectors, np.empty((N, size), dtype)

    prefix = "" if by_rows else "column_"
    return [
        case
        for name, make in (
            ("moments", found),
            ("products", products),
            ("scale", scale),
            ("combine", combine),
        )
        for case in row(getattr(norm_rows, prefix + name), make)
    ]


ROWS = [
    *standardize(True, True, True),
    *standardize(False, False, True),
    *standardize(True, False, False),
    *moments(True),
    *moments(False),
]
