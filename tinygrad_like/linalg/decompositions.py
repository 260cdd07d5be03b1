"""Matrices as products of simpler ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.arrays.matrices import LinAlgError, needs_matrices, permutation
from tinygrad_like.graph import result_type
from tinygrad_like.lines import told
from tinygrad_like.ops import decompositions as ops
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.diagonals import tril, triu

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "qr",
    "svd",
    "svdvals",
]


# ----- Cholesky -----------------------------------------------------------------------------------


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """Return the lower triangle L of positive-definite matrices ``A = L L^T``, or its transpose.

    Only the lower triangle of `A`, or only the upper one, is looked at; the gradient is symmetric.

    Raises:
        LinAlgError: if a matrix is not positive-definite.
        RuntimeError: if they are not square, or not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    if not upper:
        return ops.cholesky(A)
    needs_matrices("linalg.cholesky", A.array, True)
    return ops.turned(ops.cholesky(ops.turned(A)))


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """Return what `cholesky` returns, and for each matrix 0, or the order of its first bad minor.

    What is returned for a matrix that is not positive-definite is the factor of its minor before that.

    Raises:
        LinAlgError: if `check_errors` and a matrix is not positive-definite.
    """
    needs_matrices("linalg.cholesky_ex", A.array, True)
    array = A.array.swapaxes(-1, -2) if upper else A.array
    info = np.zeros(array.shape[:-2], np.int32)
    for at in np.ndindex(info.shape):
        info[at] = _bad_minor(array[at])
    if check_errors or not info.any():
        return return_types.linalg_cholesky_ex(cholesky(A, upper=upper), result_type.make(info))
    out = np.zeros_like(array)
    for at in np.ndindex(info.shape):
        size = int(info[at]) - 1 if info[at] else array.shape[-1]
        out[(*at, slice(size), slice(size))] = np.linalg.cholesky(array[at][:size, :size])
    factor = result_type.make(out.swapaxes(-1, -2) if upper else out)
    return return_types.linalg_cholesky_ex(factor, result_type.make(info))


def _bad_minor(a: Any) -> int:
    """Return the order of the first leading minor that is not positive-definite, 0 if there is none."""

    def good(size: int) -> bool:
        try:
            np.linalg.cholesky(a[:size, :size])
        except np.linalg.LinAlgError:
            return False
        return True

    low, high = 0, len(a)
    if good(high):
        return 0
    while high - low > 1:  # `low` is good, `high` is not
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return high


# ----- QR -----------------------------------------------------------------------------------------


def qr(A: Any, mode: str = "reduced") -> Any:
    """Return Q with orthonormal columns and R, an upper triangle, with ``A = Q R``.

    Args:
        A: matrices ``(..., M, N)``.
        mode: "reduced": Q is ``(..., M, K)`` with ``K = min(M, N)``; "complete": Q is square; "r": Q is
            left empty, and there is no gradient.

    Raises:
        RuntimeError: for another mode, fewer than two dimensions, or elements not floating-point.

    >>> import tinygrad_like as torch
    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> torch.allclose(Q @ R, torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    require_tensors("linalg_qr", A=A)
    if mode not in ("reduced", "complete", "r"):
        raise told(
            RuntimeError,
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or "
            "'complete'",
        )
    return return_types.linalg_qr(*ops.qr(A, mode))


def householder_product(A: Any, tau: Any) -> Any:
    """Return the first columns of a product of reflections ``I - tau[i] v_i v_i^T``, as `geqrf` gives them.

    Args:
        A: matrices ``(..., M, N)``; ``v_i`` is column i below the diagonal, where it is 1.
        tau: ``(..., K)``, at most N.

    Raises:
        RuntimeError: if sizes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.linalg.householder_product(torch.zeros(2, 1), torch.tensor([0.5]))
    tensor([[0.5000],
            [0.0000]])
    """
    require_tensors("linalg_householder_product", A=A, tau=tau)
    name = "torch.linalg.householder_product"
    needs_matrices(name, A.array)
    if tau.ndim != A.ndim - 1:
        raise told(
            RuntimeError,
            f"{name}: Expected tau to have one dimension less than input, but got tau of shape "
            f"{tuple(tau.shape)} and input of shape {tuple(A.shape)}",
        )
    if tau.dtype is not A.dtype:
        raise told(
            RuntimeError, f"{name}: tau dtype {tau.dtype} does not match input dtype {A.dtype}"
        )
    rows, columns = A.shape[-2:]
    if rows < columns:
        raise told(
            RuntimeError,
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1], got {rows} and "
            f"{columns}",
        )
    count = tau.shape[-1]
    if columns < count:
        raise told(
            RuntimeError,
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1], got {columns} and "
            f"{count}",
        )
    return reflections(A, tau, columns)


def reflections(A: Any, tau: Any, columns: int) -> Any:
    """Return the first `columns` columns of the product of the reflections that `A` and `tau` describe."""
    rows, d = A.shape[-2], A.array.dtype
    out = result_type.make(
        np.broadcast_to(np.eye(rows, columns, dtype=d), (*A.shape[:-2], rows, columns))
    )
    vectors = tril(A, -1) + np.eye(rows, A.shape[-1], dtype=d)
    for i in reversed(range(tau.shape[-1])):
        v = vectors[..., i : i + 1]
        out = out - tau[..., i, None, None] * (v @ (ops.turned(v) @ out))
    return out


# ----- Eigenvalues --------------------------------------------------------------------------------


def _upper(UPLO: str) -> bool:
    if UPLO.upper() not in ("L", "U"):
        raise told(RuntimeError, f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper() == "U"


def _needs_symmetric(name: str, A: Any) -> None:
    needs_matrices(name, A.array if A.array.dtype.kind == "f" else A.array.astype(float), True)
    if A.array.dtype.kind != "f":
        raise unsupported(name.replace(".", "_") + "_cpu", A.array.dtype)


def eigh(A: Any, UPLO: str = "L") -> Any:
    """Return the eigenvalues of symmetric matrices, in rising order, and their eigenvectors, as columns.

    Args:
        A: matrices ``(..., N, N)``.
        UPLO: the triangle that is looked at, "L" or "U".

    Raises:
        RuntimeError: if they are not square, or not float32 or float64, or for another `UPLO`.

    The gradient is that of a symmetric matrix. It takes differing eigenvalues where eigenvectors are used.

    >>> import tinygrad_like as torch
    >>> torch.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    upper = _upper(UPLO)
    _needs_symmetric("linalg.eigh", A)
    return return_types.linalg_eigh(*ops.eigh(A, upper))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Return the eigenvalues of symmetric matrices ``(..., N, N)``, in rising order.

    Raises:
        RuntimeError: if they are not square, or not float32 or float64, or for another `UPLO`.

    >>> import tinygrad_like as torch
    >>> torch.linalg.eigvalsh(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    tensor([-1.,  1.])
    """
    upper = _upper(UPLO)
    _needs_symmetric("linalg.eigvalsh", A)
    return ops.eigvalsh(A, upper)


def _complex_only(name: str) -> Any:
    def refuse(A: Any, **options: Any) -> Any:
        """Raise: the results would be complex numbers, which this package does not have."""
        del A, options
        raise told(
            NotImplementedError,
            f"linalg.{name}: eigenvalues of general matrices are complex numbers, which are not supported; "
            "symmetric matrices have real ones: linalg.eigh, linalg.eigvalsh",
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


eig, eigvals = _complex_only("eig"), _complex_only("eigvals")


# ----- Singular values ----------------------------------------------------------------------------


def _refuse_driver(name: str, driver: Any) -> None:
    if driver is not None:
        raise told(
            RuntimeError,
            f"{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend; "
            "leave it out",
        )


def svd(A: Any, full_matrices: bool = True, *, driver: Any = None) -> Any:
    """Return U, the singular values in falling order, and V transposed: ``A = U diag(S) Vh``.

    Args:
        A: matrices ``(..., M, N)``.
        full_matrices: make U and Vh square; their gradients reach only as far as the singular values.
        driver: must be None.

    Raises:
        RuntimeError: for fewer than two dimensions, or elements that are not float32 or float64.
        LinAlgError: if it does not converge, as with nan.

    >>> import tinygrad_like as torch
    >>> torch.linalg.svd(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).S
    tensor([3., 2.])
    """
    _refuse_driver("linalg.svd", driver)
    return return_types.linalg_svd(*ops.svd(A, bool(full_matrices)))


def svdvals(A: Any, *, driver: Any = None) -> Any:
    """Return the singular values of matrices ``(..., M, N)``, in falling order.

    Raises:
        RuntimeError: for fewer than two dimensions, or elements that are not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.svdvals(torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor([3., 2.])
    """
    _refuse_driver("linalg.svdvals", driver)
    return ops.svdvals(A)


# ----- LU -----------------------------------------------------------------------------------------


def _refuse_without_pivots(name: str, pivot: bool) -> None:
    if not pivot:
        raise told(RuntimeError, f"{name}: LU without pivoting is not implemented on the CPU")


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """Return what `lu_factor` returns, and for each matrix 0, or where U has the first 0 on its diagonal.

    Raises:
        RuntimeError: if `check_errors` and there is one; or without pivots.
    """
    _refuse_without_pivots("linalg.lu_factor", pivot)
    LU, pivots = ops.lu(A)
    zero = np.diagonal(LU.array, 0, -2, -1) == 0
    info = np.asarray(
        np.where(zero.any(-1), zero.argmax(-1) + 1, 0) if zero.size else np.zeros(zero.shape[:-1])
    )
    info = info.astype(np.int32)
    if check_errors and info.any():
        at = int(info[info > 0].flat[0])
        raise told(
            RuntimeError,
            f"torch.linalg.lu_factor: U[{at},{at}] is zero and using it on lu_solve would result in a "
            "division by zero. If you still want to perform the factorization, consider calling "
            "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)",
        )
    return return_types.linalg_lu_factor_ex(LU, pivots, result_type.make(info))


def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """Return L without its ones and U in one matrix, and with which row, from 1, each was swapped.

    Args:
        A: matrices ``(..., M, N)``.
        pivot: must be True.

    Raises:
        RuntimeError: if U has a 0 on its diagonal, for fewer than two dimensions, or without pivots.

    >>> import tinygrad_like as torch
    >>> torch.linalg.lu_factor(torch.tensor([[1.0, 1.0], [2.0, 4.0]])).LU
    tensor([[ 2.0000,  4.0000],
            [ 0.5000, -1.0000]])
    """
    return return_types.linalg_lu_factor(*lu_factor_ex(A, pivot=pivot, check_errors=True)[:2])


def lu(A: Any, *, pivot: bool = True) -> Any:
    """Return a permutation P, a lower triangle L with ones on its diagonal, and U: ``A = P L U``.

    Args:
        A: matrices ``(..., M, N)``.
        pivot: must be True.

    Raises:
        RuntimeError: for fewer than two dimensions, or without pivots.

    >>> import tinygrad_like as torch
    >>> torch.linalg.lu(torch.tensor([[1.0, 1.0], [2.0, 4.0]])).U
    tensor([[ 2.,  4.],
            [ 0., -1.]])
    """
    _refuse_without_pivots("linalg.lu", pivot)
    return return_types.linalg_lu(*unpack(*ops.lu(A)))


def unpack(LU: Any, pivots: Any) -> tuple[Any, Any, Any]:
    """Return P, L and U of what `lu_factor` gives."""
    rows, columns = LU.shape[-2:]
    size, d = min(rows, columns), LU.array.dtype
    L = tril(LU[..., :size], -1) + np.eye(rows, size, dtype=d)
    return result_type.make(permutation(pivots.array, rows, d)), L, triu(LU[..., :size, :])


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """Return the solution of ``A X = B``, or of ``X A = B``, by what `lu_factor` gives for A.

    Args:
        LU: ``(..., N, N)``.
        pivots: ``(..., N)``.
        B: ``(..., N, K)``, or ``(..., K, N)`` unless `left`.
        left: whether A stands at the left.
        adjoint: take A transposed.

    Raises:
        RuntimeError: if sizes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.linalg.lu_solve(*torch.linalg.lu_factor(2 * torch.eye(2)), torch.ones(2, 1))
    tensor([[0.5000],
            [0.5000]])
    """
    require_tensors("linalg_lu_solve", LU=LU, pivots=pivots, B=B)
    needs_matrices("torch.linalg.lu_solve", LU.array, True, "LU")
    if B.ndim < 2 or B.shape[-2 if left else -1] != LU.shape[-1]:
        raise told(
            RuntimeError,
            f"torch.linalg.lu_solve: Incompatible shapes of A {tuple(LU.shape)} and B {tuple(B.shape)}",
        )
    if not left:
        return ops.turned(lu_solve(LU, pivots, ops.turned(B), adjoint=not adjoint))
    P = result_type.make(permutation(pivots.array, LU.shape[-1], LU.array.dtype))
    if not adjoint:
        return ops.triangular(LU, ops.triangular(LU, ops.turned(P) @ B, False, True), True, False)
    turned = ops.turned(LU)
    return P @ ops.triangular(turned, ops.triangular(turned, B, False, False), True, True)
