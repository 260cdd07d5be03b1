"""Rows for the kernels of running results."""

from tests.kernels.base import KernelRow
from tinygrad_like.ops.scanning import _running_product, _running_sum


def running(function, shape, reverse):
    """Return the row of a running result along the middle of three dimensions."""

    def arguments(rng, dtype):
        x = rng.uniform(0.8, 1.2, shape).astype(dtype)
        return x, x * 0, reverse

    return KernelRow(function, arguments)


ROWS = [
    running(function, shape, reverse)
    for function in (_running_sum, _running_product)
    for shape in ((3, 50, 1), (2, 20, 70), (2, 9, 3))
    for reverse in (False, True)
]
