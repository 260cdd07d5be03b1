"""Matrix products and what is built of them."""

from __future__ import annotations

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import REGISTRY, op

__all__ = ["matmul"]


def _swap(x: Array) -> Array:
    return x.T


@op(
    x=lambda g, y: matmul(g, np.swapaxes(y, -1, -2)),
    y=lambda g, x: matmul(np.swapaxes(x, -1, -2), g),
    dtype="same",
    ufunc=np.matmul,
    label="Mm",
)
def matmul(x: Array, y: Array) -> Array:
    """Return the matrix product."""
    return np.matmul(x, y)


class LinalgMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    __matmul__ = REGISTRY["matmul"].operator()
