"""Rows for the kernels of attention."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import attention_blocks


def scores(rng, dtype, shape=(3, 20, 37)):
    """Return scores with some of -inf, and one row of nothing else."""
    found = rng.normal(size=shape) * 20
    found[rng.random(shape) < 0.2] = -np.inf
    found[1, 2] = -np.inf
    return found.astype(dtype)


def hidden(dtype, width):
    """Return what hides the last keys from the first queries."""
    seen = np.tri(20, width, dtype=bool)
    return np.where(seen, dtype.type(0), dtype.type(-np.inf))


def weights(rng, dtype):
    """Return scores, what is added to them, and the logarithms that `weigh` finds for them."""
    x, extra, logs = scores(rng, dtype), hidden(dtype, 20), np.zeros((3, 20), dtype)
    attention_blocks.weigh(x.copy(), dtype.type(0.5), extra, logs)
    return x, dtype.type(0.5), extra, logs


ROWS = [
    KernelRow(attention_blocks.weigh, lambda rng, d: (scores(rng, d), d.type(0.7), None, None)),
    KernelRow(
        attention_blocks.weigh,
        lambda rng, d: (scores(rng, d), d.type(-0.1), None, np.zeros((3, 20), d)),
    ),
    KernelRow(
        attention_blocks.weigh,
        lambda rng, d: (rng.normal(size=(3, 20, 37)).astype(d), d.type(1), hidden(d, 20), None),
    ),
    KernelRow(
        attention_blocks.weigh,
        lambda rng, d: (scores(rng, d), d.type(2), hidden(d, 37), np.zeros((3, 20), d)),
    ),
    KernelRow(attention_blocks.reweigh, weights, rtol=(2e-5, 4e-14)),
    KernelRow(
        attention_blocks.slope,
        lambda rng, d: (
            rng.normal(size=(3, 20, 37)).astype(d),
            rng.random((3, 20, 37)).astype(d),
            d.type(0.3),
        ),
    ),
]
