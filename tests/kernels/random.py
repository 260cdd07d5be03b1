"""The row for the kernel that shuffles."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.ops.random import _shuffle


def arguments(rng, dtype):
    """Return places in order and, for each but the last, one from there on."""
    order = np.arange(2000, dtype=dtype)
    return order, rng.integers(order[:-1], 2000)


ROWS = [KernelRow(_shuffle, arguments, dtypes=("int64",), rtol=(0.0,))]
