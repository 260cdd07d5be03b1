"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.dtypes import F16, F32
from tinygrad_like.jit import compiled
from tinygrad_like.threads import get_num_threads

_LARGE = 1 << 14  # elements of a product that take longer to clear than `dot` is faster to call


_FEW = 1 << 19  # products of two numbers that take about as long as a call


_MANY = 1 << 23  # from so many in one matrix on the tiles' order does not fit the cache


def matrix_product(x: Any, y: Any) -> Any:
    """Return the product of two matrices of float32 or float64."""
    if len(x) * y.shape[1] < _LARGE:
        return x.dot(y)
    return np.matmul(_for_blas(x), _for_blas(y))  # it does not clear its result beforehand


def product(x: Any, y: Any) -> Any:
    """Return ``x @ y`` of two arrays as fast as NumPy can."""
    if x.dtype is F16:
        return np.matmul(x.astype(F32), y.astype(F32)).astype(F16)
    if y.ndim == 2 and x.ndim > 2 and x.size and x.flags.c_contiguous:
        # One matrix for a whole batch: one large product instead of many small ones.
        return matrix_product(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    return np.matmul(_for_blas(x), _for_blas(y))


@compiled("products.multiply", least=64, views=True)
def _multiply(x: Any, y: Any, start: Any, out: Any, panel: Any, below: int, above: int) -> None:
    del panel, below, above
    np.matmul(x, y, out=out)
    out += start


def multiply_into(
    x: Any, y: Any, out: Any, below: int | None = None, above: int | None = None
) -> None:
    """Set `out` to ``x @ y``, both with two batch dimensions.

    Args:
        x: (A, B, M, K).
        y: (A, B, K, N).
        out: (A, B, M, N).
        below: `x` is known to be 0 more than so many columns before its diagonal,
        above: and more than so many after it.
    """
    (rows, inner), columns, lanes = x.shape[2:], y.shape[3], 64 // x.itemsize
    large = rows * inner * columns > _MANY
    if large or rows < 6 or columns < lanes or out.strides[3] != out.itemsize:
        np.matmul(x, y, out=out)
        return
    zeros, panel = np.zeros(columns, x.dtype), np.empty((inner, lanes), x.dtype)
    below, above = rows if below is None else below, inner if above is None else above
    _multiply(x, y, zeros, out, panel, below, above)


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Return ``x @ weight.T + bias`` of matrices and a vector."""
    (rows, inner), columns, lanes = x.shape, len(weight), 64 // x.itemsize
    suits = rows * inner * columns > _FEW and inner <= 512 and rows > 5 and columns >= lanes
    if not suits or get_num_threads() > 1:
        out = matrix_product(x, weight.T)
        out += bias
        return out
    out, panel = np.empty((rows, columns), x.dtype), np.empty((inner, lanes), x.dtype)
    # Tiles begin with the bias.
    left, right = _for_blas(x)[None, None], _for_blas(weight.T)[None, None]
    _multiply(left, right, np.ascontiguousarray(bias), out[None, None], panel, rows, inner)
    return out


def _for_blas(x: Any) -> Any:
    """Return `x`, copied if no stride of its matrices is that of neighbours: BLAS would not take it."""
    if x.ndim < 2 or x.itemsize in x.strides[-2:]:
        return x
    return np.ascontiguousarray(x)
