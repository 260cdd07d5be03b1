"""Sums of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.dtypes import F16, F32, F64, I64

add_up: Any = np.add.reduce


def total(x: Any, axes: tuple[int, ...] | None, keepdims: bool = False) -> Any:
    """Return the sum of an array, in its own type but for small integers and bools.

    Sums over whole rows or whole columns are products with a vector of ones: BLAS does those two to
    ten times as fast as NumPy's reduction, and as accurately.
    """
    d = x.dtype
    if d is F32 or d is F64:
        if x.size >= 512 and x.ndim > 1 and axes is not None and x.flags.c_contiguous:
            out = _by_product(x, axes)
            if out is not None:
                if keepdims:
                    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
                    return out.reshape(shape)
                return out
        return add_up(x, axes, keepdims=keepdims)
    if d is F16:
        return np.asarray(add_up(x, axes, F32, keepdims=keepdims)).astype(F16)
    return add_up(x, axes, I64, keepdims=keepdims)


_kept_ones: dict[Any, Any] = {}


def ones_vector(count: int, d: np.dtype[Any]) -> Any:
    """Return a vector of ones, the same one again for lengths that come often."""
    if count > 4096:
        return np.ones(count, d)
    ones = _kept_ones.get((count, d))
    if ones is None:
        if len(_kept_ones) >= 64:
            _kept_ones.clear()
        ones = _kept_ones[count, d] = np.ones(count, d)
    return ones


def _by_product(x: Any, axes: tuple[int, ...]) -> Any | None:
    """Return the sum over the first or over the last dimensions, None if `axes` are neither."""
    count = len(axes)
    if count == x.ndim:
        return None
    if axes == tuple(range(count)):
        rows = math.prod(x.shape[:count])
        summed = np.dot(ones_vector(rows, x.dtype), x.reshape(rows, -1))
        return summed.reshape(x.shape[count:])
    if axes == tuple(range(x.ndim - count, x.ndim)):
        length = math.prod(x.shape[-count:])
        summed = np.dot(x.reshape(-1, length), ones_vector(length, x.dtype))
        return summed.reshape(x.shape[:-count])
    return None
