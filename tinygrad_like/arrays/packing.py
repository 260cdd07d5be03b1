"""Elements and their indices packed into one integer, for what looks for places in an order."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.arrays.accumulating import along
from tinygrad_like.dtypes import F16, F32, I64

INDEX = 0xFFFFFFFF  # where the index is in a packed element
FEW = 512  # elements whose order NumPy finds sooner than they are packed
_NAN = np.float32(np.nan).view(np.int32)


def packed(x: Any, descending: bool = False) -> Any:
    """Return integers in the order of the elements of each row, which end in their indices.

    NumPy sorts and partitions them many times as fast as it finds an order by indices, and equal
    elements keep theirs; nan is the largest. None for elements of 64 bits, beside which an index has
    no room.
    """
    if x.dtype is F16:
        x = x.astype(F32)
    if x.dtype is F32:
        bits = (x + 0).view(np.int32)  # the same zero for both
        missing = np.isnan(x)
        if missing.any():
            bits[missing] = _NAN
        bits ^= (bits >> 31) & 0x7FFFFFFF  # numbers below 0 ascend, too
        keys = bits.astype(I64)
    elif x.itemsize < 8:
        keys = x.astype(I64)
    else:
        return None
    if descending:
        np.invert(keys, out=keys)
    keys <<= 32
    keys |= np.arange(x.shape[-1])
    return keys


def rows_of(x: Any, axis: int) -> Any:
    """Return `x` with an axis last in memory."""
    return np.ascontiguousarray(np.moveaxis(x, axis, -1))


def columns_of(x: Any, axis: int) -> Any:
    """Undo `rows_of`."""
    return np.ascontiguousarray(np.moveaxis(x, -1, axis))


def taken(x: Any, indices: Any, axis: int) -> Any:
    """Return the elements at `indices` along an axis, at which there may be more or fewer."""
    return x.copy() if x.ndim == 0 else x.reshape(-1).take(along(axis, indices, x.shape))
