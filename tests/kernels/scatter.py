"""Rows for the kernels that take from places and write or add to them."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import accumulating


def several(before, count, after):
    """Return arguments for a kernel with one index per element."""

    def arguments(rng, dtype):
        # Each place once, since it is not said what is left where several are written.
        order = np.tile(np.arange(count)[:, None], (before, 1, after))
        index = rng.permuted(order, axis=1)
        x, out = rng.normal(size=(2, before, count, after)).astype(dtype)
        return index, x, out

    return arguments


def slices(before, places, after, kind=np.int64):
    """Return arguments for a kernel with one index per slice."""

    def arguments(rng, dtype):
        index = rng.integers(0, places, 70).astype(kind)
        index[:20] = 2
        x = rng.normal(size=(before, 70, after)).astype(dtype)
        return x, index, rng.normal(size=(before, places, after)).astype(dtype)

    return arguments


def repeated(rng, dtype):
    """Return arguments with places that repeat."""
    x = rng.normal(size=(3, 40, 5)).astype(dtype)
    return rng.integers(0, 9, x.shape), x, np.zeros((3, 9, 5), dtype)


TYPES = {"dtypes": ("float32", "float64", "int64"), "rtol": (2e-6, 1e-14, 0.0)}

ROWS = [
    *(
        KernelRow(function, several(*shape), **TYPES)
        for function in (
            accumulating._take_along,
            accumulating._put_along,
            accumulating._add_along,
        )
        for shape in ((3, 20, 1), (1, 20, 7), (2, 9, 4))
    ),
    KernelRow(accumulating._add_along, repeated, **TYPES),
    *(
        KernelRow(accumulating._add_slices, slices(*shape), **TYPES)
        for shape in ((1, 30, 12), (1, 30, 3), (2, 30, 12), (4, 30, 1), (1, 300, 9, np.int32))
    ),
]
