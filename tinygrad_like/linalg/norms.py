"""Lengths of vectors, sizes of matrices, and how much a matrix stretches things unevenly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.matrices import needs_float, needs_matrices
from tinygrad_like.graph import Traced
from tinygrad_like.linalg.decompositions import svdvals
from tinygrad_like.linalg.solving import inv_ex
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.shaping import axis_of, movedim, reshape

__all__ = ["cond", "matrix_norm", "norm", "vector_norm"]

_norm = REGISTRY["norm"].call


def _converted(name: str, x: Any, dtype: Any) -> Any:
    """Return `x` in the dtype wanted for a norm.

    Raises:
        RuntimeError: if that is a narrower one, or one of them is not floating-point.
    """
    if dtype is None:
        return x
    d = dtypes.of(dtype)
    if d.kind != "f" or x.array.dtype.kind != "f" or not np.can_cast(x.array.dtype, d):
        raise told(
            RuntimeError,
            f"{name}: the dtype of the input ({x.dtype}) should be convertible without narrowing to the "
            f"specified dtype ({dtypes.named(d)})",
        )
    return convert(x, d)


def vector_norm(
    x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """Return the `ord`-norm over dimensions `dim`, all if None, of the elements seen as one vector.

    Raises:
        RuntimeError: if the elements are not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.linalg.vector_norm(torch.tensor([[3.0, 4.0]]))
    tensor(5.)
    """
    if isinstance(ord, str):
        raise told(TypeError, f"linalg.vector_norm: ord is {ord!r}, expected a number")
    return _norm(_converted("linalg.vector_norm", x, dtype), float(ord), dim, keepdim)


def _outermost(measures: Any, ord: float) -> Any:
    """Return the largest along the last dimension, 0 if there is none, or the smallest."""
    if ord < 0:
        return measures.amin(-1)
    return measures.amax(-1) if measures.shape[-1] else measures.sum(-1)


def matrix_norm(
    A: Any,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """Return a norm of matrices: how long a vector of length 1 can become, or another measure.

    Args:
        A: at least two dimensions.
        ord: "fro" (the root of the sum of squares), "nuc" (the sum of singular values), inf and -inf (the
            largest and smallest sum over a row), 1 and -1 (over a column), 2 and -2 (singular value).
        dim: the two dimensions of the matrices.
        keepdim: keep them, with size 1.
        dtype: convert to this first.

    Raises:
        RuntimeError: for another `ord`, equal dimensions or elements that are not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), float("inf"))
    tensor(7.)
    """
    name = "linalg.matrix_norm"
    if not isinstance(dim, tuple | list):
        raise told(TypeError, f"{name}: dim must be a tuple of two ints, got {dim!r}")
    if A.ndim < 2:
        raise told(RuntimeError, f"{name}: A must have at least 2 dimensions, got {A.ndim}")
    A = _converted(name, A, dtype)
    if A.array.dtype.kind != "f":
        needs_float(name, A.array)
    if len(dim) != 2:
        raise told(RuntimeError, f"{name}: dim must be a 2-tuple. Got {tuple(dim)}")
    rows, columns = (axis_of(d, A.ndim) for d in dim)
    if rows == columns:
        raise told(RuntimeError, f"{name}: dims must be different. Got {tuple(dim)}")
    if isinstance(ord, str):
        known = ord in ("fro", "nuc")
    else:
        known = abs(ord) in (1, 2, math.inf)
    if not known:
        raise told(
            RuntimeError,
            f"{name}: Order {ord} not supported, expected 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2",
        )
    if ord == "fro":
        return _norm(A, 2.0, (rows, columns), keepdim)
    if ord == "nuc" or abs(ord) == 2:
        values = svdvals(movedim(A, (rows, columns), (-2, -1)))
        out = values.sum(-1) if ord == "nuc" else _outermost(values, ord)
    else:
        summed, compared = (columns, rows) if math.isinf(ord) else (rows, columns)
        sums = _norm(A, 1.0, summed, True)
        sums = movedim(sums, (summed, compared), (-2, -1))[..., 0, :]
        out = _outermost(sums, ord)
    if keepdim:
        out = reshape(out, tuple(1 if i in (rows, columns) else n for i, n in enumerate(A.shape)))
    return out


def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """Return a norm of vectors or matrices: `vector_norm` along one dimension, `matrix_norm` over two.

    Without `dim` and `ord` it is the 2-norm of all elements.

    Raises:
        RuntimeError: if `dim` names more than two, or with `ord` and without `dim` there are more.

    >>> import tinygrad_like as torch
    >>> torch.linalg.norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 2)
    tensor(4.)
    """
    dims = (dim,) if isinstance(dim, int) else dim
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if dims is None:
        if A.ndim not in (1, 2) and not (isinstance(ord, str) and A.ndim < 1):
            raise told(
                RuntimeError,
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{A.ndim}D.",
            )
        dims = tuple(range(A.ndim))
    if len(dims) not in (1, 2):
        raise told(
            RuntimeError,
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}",
        )
    if len(dims) == 1 and not isinstance(ord, str):
        return vector_norm(A, ord, dims, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dims if len(dims) == 2 else (-2, -1), keepdim, dtype=dtype)


def cond(A: Any, p: Any = None) -> Any:
    """Return the condition number of matrices ``(..., M, N)``: the norm times that of the inverse.

    Args:
        A: the matrices, square unless `p` is None, 2 or -2.
        p: an `ord` of `matrix_norm`; None means 2.

    Raises:
        RuntimeError: for another `p`, or matrices that should be square.

    >>> import tinygrad_like as torch
    >>> torch.linalg.cond(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(2.)
    """
    p = 2 if p is None else p
    known = p in ("fro", "nuc") if isinstance(p, str) else abs(p) in (1, 2, math.inf)
    if isinstance(p, Traced) or not known:
        raise told(RuntimeError, f"linalg.cond got an invalid norm type: {p}")
    if A.ndim >= 2 and A.array.size == 0:
        return A.sum((-2, -1))
    if not isinstance(p, str) and abs(p) == 2:
        values = svdvals(A)
        first, last = values[..., 0], values[..., -1]
        return first / last if p == 2 else last / first
    needs_matrices(f"linalg.cond(ord={p})", A.array, True)
    inverse, info = inv_ex(A)
    out = matrix_norm(A, p) * matrix_norm(
        inverse.nan_to_num(0.0) if info.array.any() else inverse, p
    )
    return out.masked_fill(info != 0, math.inf) if info.array.any() else out
