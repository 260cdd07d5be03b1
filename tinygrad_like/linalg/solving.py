"""Linear equations, inverses and determinants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.arrays.matrices import LinAlgError, needs_float, needs_matrices
from tinygrad_like.graph import Traced, as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops import decompositions as ops
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.shaping import movedim, reshape, unsqueeze

__all__ = [
    "det",
    "inv",
    "inv_ex",
    "lstsq",
    "matrix_exp",
    "matrix_rank",
    "pinv",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "tensorinv",
    "tensorsolve",
]

matrix_exp = ops.matrix_exp


# ----- Equations ----------------------------------------------------------------------------------


def _same_dtype(name: str, A: Any, B: Any) -> None:
    if A.array.dtype is not B.array.dtype:
        raise told(
            RuntimeError,
            f"{name}: Expected A and B to have the same dtype, but found A of type {A.dtype} and B of type "
            f"{B.dtype} instead",
        )


def _is_vector(A: Any, B: Any) -> bool:
    """Return whether B is one vector for each matrix (or a single one), and not matrices."""
    return B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1]))


def _refuse_sizes(name: str, A: Any, B: Any, left: bool) -> None:
    size = A.shape[-1]
    if B.shape[-2 if left else -1] != size:
        raise told(
            RuntimeError,
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({size}x{size} and {B.shape[-2]}x{B.shape[-1]})",
        )


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """Return the solution X of ``A X = B``, or of ``X A = B``.

    Args:
        A: square matrices ``(..., N, N)``.
        B: ``(..., N, K)``, ``(..., K, N)`` unless `left`, or one vector ``(..., N)`` for each matrix.
        left: whether A stands at the left.

    Raises:
        LinAlgError: if a matrix is singular.
        RuntimeError: if sizes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    require_tensors("linalg_solve", A=A, B=B)
    name = "linalg.solve"
    needs_matrices(name, A.array, True)
    _same_dtype(name, A, B)
    vector = _is_vector(A, B)
    if vector:
        B = unsqueeze(B, B.ndim)
    _refuse_sizes(name, A, B, left)
    out = ops.solve(A, B) if left else ops.turned(ops.solve(ops.turned(A), ops.turned(B)))
    return out[..., 0] if vector else out


def _zero_pivots(A: Any) -> Any:
    """Return for each matrix 0, or where U of its LU decomposition has the first 0 on the diagonal."""
    LU, _ = ops.lu(A.array)
    zero = np.diagonal(LU, 0, -2, -1) == 0
    found = zero.argmax(-1) + 1 if zero.shape[-1] else np.zeros(zero.shape[:-1])
    return np.asarray(np.where(zero.any(-1), found, 0)).astype(np.int32)


def _where_regular(function: Any, A: Any, shape: tuple[int, ...], info: Any) -> Any:
    """Return what a function of A gives, nan for the matrices that are singular."""
    bad = info[..., None, None] != 0
    eye = np.eye(A.shape[-1], dtype=A.array.dtype)
    mended = np.where(bad, eye, A.array)
    return result_type.make(
        np.where(
            np.broadcast_to(bad, shape), np.nan, function(result_type.make(mended)).array
        ).astype(A.array.dtype)
    )


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """Return what `solve` returns, and for each matrix 0, or where elimination meets a 0 on the diagonal.

    The solution is nan where there is none.

    Raises:
        LinAlgError: if `check_errors` and a matrix is singular.
    """
    needs_matrices("linalg.solve_ex", A.array, True)
    info = _zero_pivots(A)
    if check_errors or not info.any():
        return return_types.linalg_solve_ex(solve(A, B, left=left), result_type.make(info))
    if _is_vector(A, B):
        column = unsqueeze(B, B.ndim)
        out, _ = solve_ex(A, column if left else ops.turned(column), left=left)
        return return_types.linalg_solve_ex(
            reshape(out, (*out.shape[:-2], A.shape[-1])), result_type.make(info)
        )
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    out = _where_regular(lambda a: solve(a, B, left=left), A, (*batch, *B.shape[-2:]), info)
    return return_types.linalg_solve_ex(out, result_type.make(info))


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """Return the solution X of ``A X = B``, or of ``X A = B``, where A is a triangle.

    The other triangle is not looked at. A zero on the diagonal makes inf or nan, no error.

    Args:
        A: square matrices ``(..., N, N)``.
        B: ``(..., N, K)``, or ``(..., K, N)`` unless `left`.
        upper: which triangle.
        left: whether A stands at the left.
        unitriangular: take the diagonal to be ones, whatever it is.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> A = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    >>> torch.linalg.solve_triangular(A, torch.tensor([[2.0], [3.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    require_tensors("linalg_solve_triangular", A=A, B=B)
    name = "linalg.solve_triangular"
    needs_matrices(name, A.array, True)
    if B.ndim < 2:
        raise told(RuntimeError, f"{name}: B must have at least 2 dimensions, got {B.ndim}")
    _same_dtype(name, A, B)
    _refuse_sizes(name, A, B, left)
    if left:
        return ops.triangular(A, B, bool(upper), bool(unitriangular))
    return ops.turned(ops.triangular(ops.turned(A), ops.turned(B), not upper, bool(unitriangular)))


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Return the X with the least ``|A X - B|``, of several the least; residuals, rank, singular values.

    Args:
        A: matrices ``(..., M, N)``.
        B: ``(..., M, K)``, or a vector ``(..., M)`` for each matrix.
        rcond: singular values below `rcond` times the largest count as 0; None: the precision times
            ``max(M, N)``.
        driver: "gels", "gelsy" (the default), "gelsd" or "gelss", which differ in what they give besides:
            "gelsy" no residuals, only "gelsd" and "gelss" singular values, "gels" takes full rank.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.
        LinAlgError: if a matrix has not full rank for "gels".

    >>> import tinygrad_like as torch
    >>> torch.linalg.lstsq(torch.ones(2, 1), torch.tensor([1.0, 2.0])).solution
    tensor([1.5000])
    """
    require_tensors("linalg_lstsq", A=A, B=B)
    name = "torch.linalg.lstsq"
    if A.ndim < 2:
        raise told(RuntimeError, f"{name}: input must have at least 2 dimensions, got {A.ndim}")
    needs_float(name, A.array)
    _same_dtype(name, A, B)
    if driver is not None and driver not in _DRIVERS:
        raise told(
            RuntimeError,
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver!r}",
        )
    vector = _is_vector(A, B)
    right = unsqueeze(B, B.ndim) if vector else B
    rows, columns = A.shape[-2:]
    if right.ndim < 2 or right.shape[-2] != rows:
        raise told(
            RuntimeError,
            f"{name}: input.size(-2) should match other.size(-2), got {tuple(A.shape)} and "
            f"{tuple(B.shape)}",
        )
    if not 0 <= A.ndim - B.ndim <= 1:
        raise told(
            RuntimeError,
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) "
            f"<= 1, got {tuple(A.shape)} and {tuple(B.shape)}",
        )
    batch = np.broadcast_shapes(A.shape[:-2], right.shape[:-2])
    A = broadcast_to(A, (*batch, rows, columns))
    right = broadcast_to(right, (*batch, rows, right.shape[-1]))
    if rcond is None:
        rcond = float(np.finfo(A.array.dtype).eps) * max(rows, columns)
    solution, found = ops.least_squares(A, right, float(rcond))
    values = found.array
    rank = (values > rcond * values.max(-1, keepdims=True, initial=0)).sum(-1)
    full = bool((rank == min(rows, columns)).all())
    if driver == "gels" and not full:
        raise LinAlgError(
            f"{name}: The least squares solution could not be computed because the input matrix does not "
            "have full rank; use another driver"
        )
    d = A.array.dtype
    residuals = result_type.make(np.empty(0, d))
    if driver not in (None, "gelsy") and rows > columns and full:
        missed = A @ solution - right
        residuals = (missed * missed).sum(-2)
    shown = values if driver in ("gelsd", "gelss") else np.empty(0, d)
    return return_types.linalg_lstsq(
        solution[..., 0] if vector else solution,
        residuals,
        result_type.make(np.asarray(rank) if driver != "gels" else np.empty(0, np.int64)),
        result_type.make(shown),
    )


# ----- Inverses -----------------------------------------------------------------------------------


def inv(A: Any) -> Any:
    """Return the inverses of square matrices ``(..., N, N)``.

    Raises:
        LinAlgError: if one is singular.
        RuntimeError: if they are not square, or not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return ops.inverse(A)


def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """Return what `inv` returns, and for each matrix 0, or where elimination meets a 0 on the diagonal.

    The inverse is nan where there is none.

    Raises:
        LinAlgError: if `check_errors` and a matrix is singular.
    """
    needs_matrices("linalg.inv_ex", A.array, True)
    info = _zero_pivots(A)
    if check_errors or not info.any():
        return return_types.linalg_inv_ex(inv(A), result_type.make(info))
    out = _where_regular(inv, A, tuple(A.shape), info)
    return return_types.linalg_inv_ex(out, result_type.make(info))


def tolerances(A: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Return below what absolutely, and relative to the largest, singular values count as 0."""
    at, rt = (
        None if t is None else as_array(t) if isinstance(t, Traced) else float(t)
        for t in (atol, rtol)
    )
    if rt is None:
        rt = float(np.finfo(A.array.dtype).eps) * max(A.shape[-2:])
        if at is not None:  # an absolute tolerance alone is to be the only one
            rt = np.where(np.asarray(at) > 0, 0.0, rt).astype(A.array.dtype)
    at = np.asarray(0.0 if at is None else at).astype(A.array.dtype)
    return (at[..., None] if at.ndim else at), (
        rt[..., None] if isinstance(rt, np.ndarray) and rt.ndim else rt
    )


def pinv(
    A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """Return the pseudoinverses of matrices ``(..., M, N)``: ``(..., N, M)``.

    Args:
        A: the matrices.
        rcond: another name for `rtol`.
        hermitian: take them to be symmetric, and look at the lower triangles only.
        atol: singular values up to this count as 0.
        rtol: those up to this part of the largest too; None: the precision times ``max(M, N)``, or 0 with
            `atol`.

    Raises:
        RuntimeError: for fewer than two dimensions, or elements that are not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.pinv(torch.tensor([[1.0], [1.0]]))
    tensor([[0.5000, 0.5000]])
    """
    needs_matrices("linalg.pinv", A.array, hermitian)
    return ops.pseudoinverse(A, *tolerances(A, atol, rcond if rtol is None else rtol), hermitian)


def matrix_rank(
    A: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """Return how many singular values of matrices ``(..., M, N)`` are not 0.

    Args:
        A: the matrices.
        tol: another name for `atol`.
        hermitian: take them to be symmetric, and look at the lower triangles only.
        atol: values up to this count as 0.
        rtol: those up to this part of the largest too; None: as in `pinv`.

    Raises:
        RuntimeError: for fewer than two dimensions, or elements that are not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.matrix_rank(torch.ones(2, 2))
    tensor(1)
    """
    needs_matrices("torch.linalg.matrix_rank", A.array, hermitian, "input")
    if hermitian:
        values = np.abs(np.linalg.eigvalsh(A.array))
    else:
        values = np.linalg.svd(A.array, compute_uv=False)
    absolute, relative = tolerances(A, atol if tol is None else tol, rtol)
    largest = values.max(-1, keepdims=True, initial=0)
    kept = values > np.maximum(absolute, relative * largest)
    return result_type.make(np.asarray(kept.sum(-1)))


# ----- Determinants -------------------------------------------------------------------------------


def det(A: Any) -> Any:
    """Return the determinants of square matrices ``(..., N, N)``.

    Raises:
        RuntimeError: if they are not square, or not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.det(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(8.)
    """
    return ops.determinant(A)


def slogdet(A: Any) -> Any:
    """Return the signs of determinants and the logarithms of their sizes, 0 and -inf for singular matrices.

    Raises:
        RuntimeError: if they are not square, or not float32 or float64.

    >>> import tinygrad_like as torch
    >>> torch.linalg.slogdet(-torch.eye(3)).sign
    tensor(-1.)
    """
    return return_types.linalg_slogdet(*ops.log_determinant(A))


# ----- Tensors as matrices ------------------------------------------------------------------------


def tensorinv(A: Any, ind: int = 2) -> Any:
    """Return the inverse of a tensor seen as the matrix of its first `ind` dimensions and the rest.

    Raises:
        RuntimeError: if that is not square, or `ind` not positive.
        LinAlgError: if it is singular.

    >>> import tinygrad_like as torch
    >>> torch.linalg.tensorinv(torch.eye(6).reshape(2, 3, 6)).shape
    torch.Size([6, 2, 3])
    """
    if ind <= 0:
        raise told(RuntimeError, f"Expected a strictly positive integer for 'ind', but got {ind}")
    first, rest = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(first) != math.prod(rest):
        raise told(
            RuntimeError,
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), "
            f"but got {math.prod(rest)} != {math.prod(first)}",
        )
    return reshape(inv(reshape(A, (math.prod(first), math.prod(rest)))), (*rest, *first))


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """Return the X with ``tensordot(A, X, X.ndim) = B``.

    Args:
        A: of the shape of B, and that of X behind it.
        B: the right-hand side.
        dims: dimensions of A that are first moved to its end.

    Raises:
        RuntimeError: if A seen as a matrix is not square.
        LinAlgError: if it is singular.

    >>> import tinygrad_like as torch
    >>> torch.linalg.tensorsolve(torch.eye(6).reshape(2, 3, 6), torch.ones(2, 3)).shape
    torch.Size([6])
    """
    require_tensors("linalg_tensorsolve", A=A, B=B)
    if dims is not None:
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        A = movedim(A, dims, tuple(range(A.ndim - len(dims), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    size, other = math.prod(shape), math.prod(A.shape[: B.ndim])
    if size != other:
        raise told(
            RuntimeError,
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {size} != {other}",
        )
    return reshape(solve(reshape(A, (size, size)), reshape(B, (size,))), shape)
