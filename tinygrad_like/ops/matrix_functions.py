"""Linear algebra that stands in ``torch`` itself: most of it is called otherwise in `linalg`."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.arrays.matrices import needs_matrices
from tinygrad_like.graph import result_type
from tinygrad_like.lines import told
from tinygrad_like.ops import decompositions as ops
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.decompositions import matrix_exp
from tinygrad_like.ops.joining import cat
from tinygrad_like.ops.shaping import unsqueeze

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "frobenius_norm",
    "geqrf",
    "inverse",
    "logdet",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "nuclear_norm",
    "orgqr",
    "ormqr",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "triangular_solve",
    "vander",
]


@functools.cache
def _linalg() -> Any:
    """Return `tinygrad_like.linalg`, imported when it is first wanted."""
    return importlib.import_module("tinygrad_like.linalg")


# ----- Other names --------------------------------------------------------------------------------


def det(input: Any) -> Any:
    """Return what `linalg.det` returns."""
    return _linalg().det(input)


def inverse(input: Any) -> Any:
    """Return what `linalg.inv` returns."""
    return _linalg().inv(input)


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """Return what `linalg.pinv` returns, with another default of what counts as 0."""
    return _linalg().pinv(input, rcond)


def slogdet(input: Any) -> Any:
    """Return what `linalg.slogdet` returns."""
    return return_types.slogdet(*_linalg().slogdet(input))


def logdet(input: Any) -> Any:
    """Return the logarithms of determinants: nan of negative ones, -inf of 0.

    Raises:
        RuntimeError: if the matrices are not square, or not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.logdet(torch.eye(2))
    tensor(0.)
    """
    sign, logarithm = _linalg().slogdet(input)
    return logarithm.masked_fill(sign == -1, float("nan"))


def frobenius_norm(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """Return the root of the sum of squares over dimensions `dim`."""
    return _linalg().vector_norm(input, 2, dim, keepdim)


def nuclear_norm(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the sum of the singular values of matrices, or of those in two dimensions `dim`."""
    return _linalg().matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim)


# ----- Cholesky -----------------------------------------------------------------------------------


def cholesky(input: Any, upper: bool = False) -> Any:
    """Return what `linalg.cholesky` returns."""
    needs_matrices("cholesky", convert(input, np.dtype("d")).array, True)
    if input.array.dtype.kind != "f":
        raise unsupported("cholesky_cpu", input.array.dtype)
    return _linalg().cholesky(input, upper=upper)


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """Return the solution X of ``L L^T X = B``, or of ``L^T L X = B`` if `upper`.

    Args:
        B: ``(..., N, K)``.
        L: triangles ``(..., N, N)``, as `cholesky` gives them.
        upper: whether they are the upper ones.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.cholesky_solve(torch.ones(1, 1), torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    solve, turned = _linalg().solve_triangular, ops.turned(L)
    if upper:
        return solve(L, solve(turned, B, upper=False), upper=True)
    return solve(turned, solve(L, B, upper=False), upper=True)


def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """Return the inverse of ``L L^T``, or of ``L^T L`` if `upper`.

    Raises:
        RuntimeError: if the matrices are not square, or not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.cholesky_inverse(torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    needs_matrices("cholesky_inverse", L.array, True)
    eye = np.broadcast_to(np.eye(L.shape[-1], dtype=L.array.dtype), L.shape)
    return cholesky_solve(result_type.make(eye), L, upper)


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """Return the solution X of ``A X = b`` for triangles A, or ``A^T X = b`` if `transpose`, and A.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.
    """
    a = ops.turned(A) if transpose else A
    out = _linalg().solve_triangular(a, b, upper=upper != transpose, unitriangular=unitriangular)
    return return_types.triangular_solve(out, A.clone())


# ----- QR, SVD ------------------------------------------------------------------------------------


def qr(input: Any, some: bool = True) -> Any:
    """Return what `linalg.qr` returns in mode "reduced", "complete" unless `some`."""
    return return_types.qr(*_linalg().qr(input, "reduced" if some else "complete"))


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """Return U, the singular values and V, not transposed: ``input = U diag(S) V^T``.

    Args:
        input: matrices ``(..., M, N)``.
        some: leave out columns of U and V that no singular value belongs to.
        compute_uv: False makes U and V zeros.

    Raises:
        RuntimeError: for fewer than two dimensions, or elements that are not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.svd(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).S
    tensor([3., 2.])
    """
    if compute_uv:
        U, S, Vh = _linalg().svd(input, not some)
        return return_types.svd(U, S, ops.turned(Vh))
    S, batch, d = _linalg().svdvals(input), input.shape[:-2], input.array.dtype
    U, V = (result_type.make(np.zeros((*batch, n, n), d)) for n in input.shape[-2:])
    return return_types.svd(U, S, V)


def geqrf(input: Any) -> Any:
    """Return R with the reflections of Q below its diagonal, and their factors: see `orgqr`.

    Raises:
        RuntimeError: for fewer than two dimensions, or elements that are not float32 or float64.
    """
    needs_matrices("torch.geqrf", input.array)
    h, tau = np.linalg.qr(input.array, "raw")
    return return_types.geqrf(
        result_type.make(np.ascontiguousarray(h.swapaxes(-1, -2))), result_type.make(tau)
    )


def orgqr(input: Any, input2: Any) -> Any:
    """Return what `linalg.householder_product` returns."""
    return _linalg().householder_product(input, input2)


def ormqr(input: Any, input2: Any, input3: Any, left: bool = True, transpose: bool = False) -> Any:
    """Return the product of Q, square, as `geqrf` gives it, and a matrix.

    Args:
        input: matrices ``(..., M, K)``, the reflections of Q below their diagonals.
        input2: their factors ``(..., K)``.
        input3: matrices ``(..., M, N)``, or ``(..., N, M)`` unless `left`.
        left: whether Q stands at the left.
        transpose: take Q transposed.

    Raises:
        RuntimeError: if sizes do not fit.
    """
    if input.ndim < 2:
        raise told(RuntimeError, f"ormqr: input must have at least 2 dimensions, got {input.ndim}")
    if not input.dtype is input2.dtype is input3.dtype:
        raise told(
            RuntimeError,
            "ormqr: Expected input, tau and other to have the same dtype, got "
            f"{input.dtype}, {input2.dtype} and {input3.dtype}",
        )
    if input2.ndim != input.ndim - 1 or input3.ndim != input.ndim:
        raise told(
            RuntimeError,
            "ormqr: Expected tau to have one dimension less than input and other, got "
            f"{tuple(input.shape)}, {tuple(input2.shape)} and {tuple(input3.shape)}",
        )
    q = importlib.import_module("tinygrad_like.linalg.decompositions").reflections(
        input, input2, input.shape[-2]
    )
    q = ops.turned(q) if transpose else q
    return q @ input3 if left else input3 @ q


# ----- LU -----------------------------------------------------------------------------------------


def lu(A: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """Return L and U in one matrix and each row's swap, counted from 1; zeros too if `get_infos`."""
    LU, pivots, info = _linalg().lu_factor_ex(A, pivot=pivot)
    return return_types._lu_with_info(LU, pivots, info) if get_infos else (LU, pivots)


def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """Return the solution X of ``A X = b`` by what `lu` gives for A."""
    return _linalg().lu_solve(LU_data, LU_pivots, b)


def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """Return P, L and U of what `lu` gives; empty ones where they are not to be unpacked.

    >>> import tinygrad_like as torch
    >>> torch.lu_unpack(*torch.lu(torch.tensor([[1.0, 1.0], [2.0, 4.0]]))).P
    tensor([[0., 1.],
            [1., 0.]])
    """
    empty = result_type.make(np.empty(0, LU_data.array.dtype))
    P, L, U = importlib.import_module("tinygrad_like.linalg.decompositions").unpack(
        LU_data, LU_pivots
    )
    if not unpack_data:
        L, U = empty, empty
    return return_types.lu_unpack(P if unpack_pivots else empty, L, U)


# ----- Powers -------------------------------------------------------------------------------------


def powers(x: Any, count: int) -> Any:
    """Return rows of the powers from 0 to ``count - 1`` of each element."""
    d = x.array.dtype if x.array.dtype.kind == "f" else np.dtype(np.int64)
    ones = result_type.make(np.ones((*x.shape, 1), d))
    if count < 2:
        return ones[..., :count]
    rest = unsqueeze(x, x.ndim).expand(*x.shape, count - 1).cumprod(-1)
    return cat([ones, rest], -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Return rows of falling powers, ``x^(N - 1)`` to ``x^0``, for each element of ``(M,)``.

    Args:
        x: the elements.
        N: how many powers, M if None.
        increasing: from ``x^0`` on.

    Raises:
        RuntimeError: if there is not one dimension, or N is negative.

    >>> import tinygrad_like as torch
    >>> torch.vander(torch.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    require_tensors("vander", x=x)
    if x.ndim != 1:
        raise told(
            RuntimeError, f"vander: x must be a one-dimensional tensor, got shape {tuple(x.shape)}"
        )
    if N is not None and N < 0:
        raise told(RuntimeError, f"vander: N must be non-negative, got {N}")
    out = powers(x, x.shape[0] if N is None else N)
    return out if increasing else out.flip(1)


# ----- Methods ------------------------------------------------------------------------------------


class MatrixMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    cholesky = cholesky
    cholesky_inverse = cholesky_inverse
    cholesky_solve = cholesky_solve
    det = det
    geqrf = geqrf
    inverse = inverse
    logdet = logdet
    lu = lu
    lu_solve = lu_solve
    matrix_exp = matrix_exp
    orgqr = orgqr
    ormqr = ormqr
    pinverse = pinverse
    qr = qr
    slogdet = slogdet
    svd = svd
    triangular_solve = triangular_solve
