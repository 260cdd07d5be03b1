"""Rows for the kernel of small matrices' products."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import products


def matrices(rows, inner, columns, order="xyz", step=1, near=False):
    """Return arguments: matrices of some order in memory, and far from their diagonal only zeros."""

    def arguments(rng, dtype):
        x, y, out = (
            rng.normal(size=(2, 3, m, n * step)).astype(dtype)
            if letter in order
            else rng.normal(size=(2, 3, n * step, m)).astype(dtype).swapaxes(2, 3)
            for letter, m, n in zip(
                "xyz", (rows, inner, rows), (inner, columns, columns), strict=True
            )
        )
        x, y, out = x[..., ::step], y[..., ::step], np.ascontiguousarray(out[..., ::step])
        below, above = rows, inner
        if near:
            below, above = 3, 1
            x *= np.tri(rows, inner, above) - np.tri(rows, inner, -below - 1)
        start = rng.normal(size=columns).astype(dtype)
        return x, y, start, out, np.zeros((inner, 64 // dtype.itemsize), dtype), below, above

    return arguments


ROWS = [
    KernelRow(products._multiply, matrices(*shape, **options), scratch=(4,))
    for shape in ((6, 1, 16), (7, 19, 37), (32, 64, 16), (9, 8, 24))
    for options in (
        {},
        {"order": "xz"},
        {"order": "yz"},
        {"order": "z", "near": True},
        {"near": True},
        {"step": 2},
    )
]
