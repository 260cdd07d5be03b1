"""Ops that pick elements by index, and their adjoints that put gradients back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced
from tinygrad_like.op import op

__all__ = []


@op(x=lambda g, index, x_shape: put(g, index, x_shape), view=True, label="Index")
def getitem(x: Array, index: Any) -> Array:
    """Return ``input[index]``: a view for ints, slices, None and Ellipsis."""
    return x[index]


@op(x=lambda g, index: getitem(g, index))
def put(x: Array, index: Any, shape: Any) -> Array:
    """Return zeros of `shape` with `x` added at `index`: the adjoint of indexing."""
    out = np.zeros(shape, x.dtype)
    out[index] += x
    return out


def _plain(index: Any) -> Any:
    """Return an index with tensors replaced by their arrays."""
    if isinstance(index, tuple):
        return tuple(i.array if isinstance(i, Traced) else i for i in index)
    return index.array if isinstance(index, Traced) else index


class IndexingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        return getitem(self, _plain(index))
