"""Decompositions of matrices and the solving of linear equations, batch by batch.

LAPACK does the work through NumPy. The functions that users call are in `tinygrad_like.linalg` and
`tinygrad_like.ops.matrix_functions`. Where a decomposition is not unique, as the signs of singular
vectors are not, a gradient means something only for functions that do not depend on the choice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.arrays.matrices import (
    LinAlgError,
    attempt,
    exponential,
    lu_factors,
    needs_matrices,
    permutation,
    solve_triangle,
)
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.diagonals import diag_embed, tril, triu
from tinygrad_like.ops.joining import concatenate
from tinygrad_like.ops.linalg import matmul
from tinygrad_like.ops.reduction import sum_to
from tinygrad_like.ops.shaping import transpose


def turned(x: Any) -> Any:
    """Return each matrix transposed."""
    return transpose(x, -1, -2)


def _quotient(x: Any, y: Any) -> Any:
    """Return ``x / y``, 0 for 0 / 0: a gradient that is not there needs no gap between values."""
    return x / (y + np.logical_and(x == 0, y == 0))


def _column(x: Any) -> Any:
    """Return numbers, one for each matrix, that broadcast against the matrices."""
    return x[..., None, None]


# ----- Equations ----------------------------------------------------------------------------------

_SINGULAR = (
    "The solver failed because the input matrix is singular: one of its columns is a combination of the "
    "others; linalg.lstsq solves such systems as well as can be"
)


def _solve_rule(g: Any, x: Any, out: Any, x_shape: Any, y_shape: Any, needs: Any) -> Any:
    """Return the gradients of ``x^-1 y`` (Giles 2008, section 2.3.1)."""
    of_y = solve(turned(x), g)
    of_x = sum_to(-matmul(of_y, turned(out)), x_shape) if needs[0] else None
    return of_x, sum_to(of_y, y_shape)


@op(joint=(("x", "y"), _solve_rule), label="LinalgSolveEx")
def solve(x: Array, y: Array) -> Array:
    """Return ``x^-1 y`` for square matrices ``(..., N, N)`` and ``(..., N, K)``; batches broadcast.

    Raises:
        LinAlgError: if a matrix is singular.
    """
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    y = np.broadcast_to(y, (*batch, *y.shape[-2:]))
    try:
        return np.linalg.solve(x, y)
    except np.linalg.LinAlgError:
        attempt(np.linalg.inv, x, _SINGULAR)
        raise LinAlgError(_SINGULAR) from None


def _triangular_rule(
    g: Any, x: Any, out: Any, x_shape: Any, y_shape: Any, upper: bool, unit: bool, needs: Any
) -> Any:
    of_y = triangular(turned(x), g, not upper, unit)
    of_x = None
    if needs[0]:
        of_x = sum_to(-matmul(of_y, turned(out)), x_shape)
        of_x = triu(of_x, int(unit)) if upper else tril(of_x, -int(unit))
    return of_x, sum_to(of_y, y_shape)


@op(joint=(("x", "y"), _triangular_rule), label="LinalgSolveTriangular")
def triangular(x: Array, y: Array, upper: bool, unit: bool) -> Array:
    """Return ``x^-1 y``, where of `x` only one triangle counts; ones are its diagonal if `unit`."""
    return solve_triangle(x, y, upper, unit)


@op(x=lambda g, out: -matmul(turned(out), matmul(g, turned(out))), label="LinalgInvEx")
def inverse(x: Array) -> Array:
    """Return the inverse of square matrices (Giles 2008, section 2.2.3).

    Raises:
        LinAlgError: if one is singular.
    """
    needs_matrices("linalg.inv", x, True)
    return attempt(
        np.linalg.inv,
        x,
        "the inversion could not be completed because the input matrix is singular; linalg.pinv gives a "
        "pseudoinverse",
    )


def _pinv_rule(g: Any, x: Any, out: Any) -> Any:
    """Return the gradient of a pseudoinverse (Golub and Pereyra 1973, equation 4.12)."""
    p, pt, gt = out, turned(out), turned(g)
    wide = matmul(gt, p)
    tall = matmul(p, gt)
    direct = -matmul(pt, turned(tall))
    first = matmul(wide, pt) - matmul(x, matmul(p, matmul(wide, pt)))
    second = matmul(pt, tall) - matmul(matmul(matmul(pt, tall), p), x)
    return direct + first + second


@op(x=lambda g, x, out: _pinv_rule(g, x, out), label="LinalgPinv")
def pseudoinverse(x: Array, atol: Any, rtol: Any, hermitian: bool) -> Array:
    """Return the pseudoinverse; singular values up to ``max(atol, rtol * largest)`` count as 0."""
    if hermitian:
        values, vectors = np.linalg.eigh(x)
        u, s, vh = vectors, values, vectors.swapaxes(-1, -2)
    else:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
    size = np.abs(s)
    largest = size.max(-1, keepdims=True, initial=0)
    kept = size > np.maximum(atol, rtol * largest)
    inverted = np.divide(1, s, out=np.zeros_like(s), where=kept)
    return (vh.swapaxes(-1, -2) * inverted[..., None, :]) @ u.swapaxes(-1, -2)


def _lstsq_rule(g: Any, x: Any, y: Any, rcond: float, needs: Any) -> Any:
    p = pseudoinverse(x, 0.0, rcond, False)
    of_x = _pinv_rule(matmul(g[0], turned(y)), x, p) if needs[0] else None
    return of_x, matmul(turned(p), g[0])


@op(joint=(("x", "y"), _lstsq_rule), several=True, label="LinalgLstsq")
def least_squares(x: Array, y: Array, rcond: float) -> Any:
    """Return the least-squares solution of least length of ``x out = y``, and the singular values."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    kept = s > rcond * s.max(-1, keepdims=True, initial=0)
    inverted = np.divide(1, s, out=np.zeros_like(s), where=kept)
    inside = inverted[..., None] * (u.swapaxes(-1, -2) @ y)
    return vh.swapaxes(-1, -2) @ inside, s


# ----- Determinants -------------------------------------------------------------------------------


def _det_rule(g: Any, x: Any, out: Any) -> Any:
    """Return g times the cofactors, by the inverse where there is one (Giles 2008, section 2.2.4)."""
    if (as_array(out) == 0).any():
        return _column(g) * cofactors(x)
    return _column(g * out) * turned(inverse(x))


@op(x=lambda g, x, out: _det_rule(g, x, out), label="LinalgDet")
def determinant(x: Array) -> Array:
    """Return the determinants of square matrices."""
    needs_matrices("linalg.det", x, True)
    return np.linalg.det(x)


def _leave_one_out(s: Array) -> Array:
    """Return for each number the product of the others."""
    n = s.shape[-1]
    spread = np.where(np.eye(n, dtype=bool), s.dtype.type(1), s[..., None, :])
    return spread.prod(-1)


def _refuse_second(g: Any) -> Any:
    del g
    raise told(
        NotImplementedError,
        "det: second derivatives of the determinant of a singular matrix are not implemented",
    )


@op(x=_refuse_second)
def cofactors(x: Array) -> Array:
    """Return the derivatives of the determinant by the elements, also where it is 0."""
    u, s, vh = np.linalg.svd(x)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return (u * (sign[..., None] * _leave_one_out(s))[..., None, :]) @ vh


@op(
    x=lambda g, x: _column(g[1]) * turned(inverse(x)),
    several=True,
    label="LinalgSlogdet",
)
def log_determinant(x: Array) -> Any:
    """Return the determinants' signs and the logarithms of their absolute values."""
    needs_matrices("linalg.slogdet", x, True)
    sign, logarithm = np.linalg.slogdet(x)
    return np.asarray(sign, x.dtype), np.asarray(logarithm, x.dtype)


# ----- Cholesky -----------------------------------------------------------------------------------


def _cholesky_rule(g: Any, out: Any) -> Any:
    """Return the gradient by the symmetric matrix (Murray 2016, equation 10)."""
    product = matmul(turned(out), g)
    symmetric = tril(product) + turned(tril(product, -1))
    half = triangular(turned(out), symmetric, True, False)
    return triangular(turned(out), turned(half), True, False) * 0.5


@op(x=lambda g, out: _cholesky_rule(g, out), label="LinalgCholeskyEx")
def cholesky(x: Array) -> Array:
    """Return the lower triangle L with ``x = L L^T``; the upper triangle of `x` is not looked at."""
    needs_matrices("linalg.cholesky", x, True)
    return attempt(
        np.linalg.cholesky,
        x,
        "The factorization could not be completed because the input is not positive-definite",
    )


# ----- QR -----------------------------------------------------------------------------------------


def _qr_rule(g: Any, out: Any, mode: str) -> Any:
    """Return the gradient of QR (Walter and Lehmann 2012; for wide matrices Roberts and Roberts 2020)."""
    (q, r), (gq, gr) = out, g
    size, columns = q.shape[-1], r.shape[-1]
    if mode == "r":
        raise told(
            RuntimeError,
            "linalg.qr: the derivative depends on Q, which is not computed when mode='r'; use 'reduced'",
        )
    if mode == "complete" and q.shape[-2] > columns:
        raise told(
            RuntimeError,
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols; use "
            "mode='reduced'",
        )
    square, of_square = r[..., :size], gr[..., :size]
    if columns > size:  # the columns to the right are Q^T times the input's
        right = matmul(q, gr[..., size:])
        gq = gq + matmul(matmul(q, r[..., size:]), turned(gr[..., size:]))
    m = matmul(of_square, turned(square)) - matmul(turned(q), gq)
    m = triu(m) + turned(triu(m, 1))
    left = turned(triangular(square, turned(matmul(q, m) + gq), True, False))
    return left if columns == size else concatenate([left, right], -1)


@op(x=lambda g, out, mode: _qr_rule(g, out, mode), several=True, label="LinalgQr")
def qr(x: Array, mode: Any) -> Any:
    """Return Q with orthonormal columns and R, an upper triangle, whose product is `x`."""
    needs_matrices("linalg.qr", x)
    if mode == "r":
        return np.empty(0, x.dtype), np.linalg.qr(x, "r")
    return tuple(np.linalg.qr(x, mode))


# ----- Eigenvalues, singular values ---------------------------------------------------------------


_NOT_CONVERGED = (
    "The algorithm failed to converge because the input matrix contained non-finite values, or is "
    "ill-conditioned"
)


def _eigh_rule(g: Any, out: Any) -> Any:
    """Return the gradient of a symmetric eigenproblem (Giles 2008, section 3.1)."""
    (of_values, of_vectors), (values, vectors) = g, out
    eye = np.eye(values.shape[-1], dtype=as_array(values).dtype)
    gaps = values[..., None, :] - values[..., :, None] + eye
    inner = _quotient(matmul(turned(vectors), of_vectors) * (1 - eye), gaps)
    return matmul(vectors, matmul(inner + diag_embed(of_values), turned(vectors)))


@op(x=lambda g, out: _eigh_rule(g, out), several=True, label="LinalgEigh")
def eigh(x: Array, upper: bool) -> Any:
    """Return ascending eigenvalues and eigenvectors of matrices of which one triangle is looked at."""
    return tuple(
        attempt(
            lambda a: np.linalg.eigh(a, "U" if upper else "L"),
            x,
            _NOT_CONVERGED,
        )
    )


def _eigvalsh_rule(g: Any, x: Any, upper: bool) -> Any:
    vectors = eigh(x, upper)[1]
    return matmul(vectors * g[..., None, :], turned(vectors))


@op(x=lambda g, x, upper: _eigvalsh_rule(g, x, upper), label="LinalgEigh")
def eigvalsh(x: Array, upper: bool) -> Array:
    """Return the eigenvalues that `eigh` returns."""
    return attempt(lambda a: np.linalg.eigvalsh(a, "U" if upper else "L"), x, _NOT_CONVERGED)


def _svdvals_rule(g: Any, x: Any) -> Any:
    u, _, vh = svd(x, False)
    return matmul(u * g[..., None, :], vh)


@op(x=lambda g, x: _svdvals_rule(g, x), label="LinalgSvd")
def svdvals(x: Array) -> Array:
    """Return the singular values that `svd` returns."""
    needs_matrices("linalg.svdvals", x)
    return attempt(lambda a: np.linalg.svd(a, compute_uv=False), x, _NOT_CONVERGED)


def _svd_rule(g: Any, out: Any) -> Any:
    """Return the gradient of a singular value decomposition (Townsend 2016, equation 19)."""
    (u, s, vh), (gu, gs, gvh) = out, g
    size = s.shape[-1]
    u, gu, vh, gvh = u[..., :size], gu[..., :size], vh[..., :size, :], gvh[..., :size, :]
    column, row = s[..., :, None], s[..., None, :]
    eye = np.eye(size, dtype=as_array(s).dtype)
    gaps = (row - column) * (row + column) + eye
    left, right = matmul(turned(u), gu), matmul(vh, turned(gvh))
    inner = _quotient(left - turned(left), gaps) * row + column * _quotient(
        right - turned(right), gaps
    )
    out = matmul(u, matmul(inner + diag_embed(gs), vh))
    if u.shape[-2] > size:
        out = out + matmul(_quotient(gu - matmul(u, left), row), vh)
    if vh.shape[-1] > size:
        out = out + matmul(u, _quotient(gvh - matmul(turned(right), vh), column))
    return out


@op(x=lambda g, out: _svd_rule(g, out), several=True, label="LinalgSvd")
def svd(x: Array, full: bool) -> Any:
    """Return U, the singular values in falling order, and V transposed, whose product is `x`."""
    needs_matrices("linalg.svd", x)
    return tuple(
        attempt(
            lambda a: np.linalg.svd(a, full),
            x,
            _NOT_CONVERGED,
        )
    )


# ----- LU -----------------------------------------------------------------------------------------


def _lu_rule(g: Any, out: Any) -> Any:
    """Return the gradient of LU: the square part's (Seeger et al. 2017), and what stands beside it."""
    lu, swaps = out
    rows, columns = lu.shape[-2:]
    size = min(rows, columns)
    square, of_square = lu[..., :size, :size], g[0][..., :size, :size]
    lower = tril(square, -1) + np.eye(size, dtype=as_array(lu).dtype)
    of_lower, of_upper = tril(of_square, -1), triu(of_square)
    rest = None
    if rows > size:  # L2 = A2 U^-1
        rest = turned(triangular(square, turned(g[0][..., size:, :]), True, False))
        of_upper = of_upper - triu(matmul(turned(lu[..., size:, :]), rest))
    if columns > size:  # U2 = L^-1 A2
        rest = triangular(turned(lower), g[0][..., size:], True, True)
        of_lower = of_lower - tril(matmul(rest, turned(lu[..., size:])), -1)
    inner = tril(matmul(turned(lower), of_lower), -1) + triu(matmul(of_upper, turned(triu(square))))
    part = triangular(turned(lower), inner, True, True)
    part = turned(triangular(square, turned(part), True, False))
    if rest is not None:
        part = concatenate([part, rest], -2 if rows > size else -1)
    return matmul(permutation(as_array(swaps), rows, as_array(lu).dtype), part)


@op(x=lambda g, out: _lu_rule(g, out), several=True, label="LinalgLuFactorEx")
def lu(x: Array) -> Any:
    """Return L, below the diagonal, and U in one matrix; and each row's swap, counted from 1."""
    if x.dtype.kind != "f":
        raise unsupported("lu_cpu", x.dtype)
    needs_matrices("linalg.lu_factor", x)
    return lu_factors(x)


# ----- The exponential ----------------------------------------------------------------------------


def _exponential_rule(g: Any, x: Any) -> Any:
    """Return the gradient of an exponential, a block of a larger one (Van Loan 1978, theorem 1)."""
    n, xt = x.shape[-1], turned(x)
    top = concatenate([xt, g], -1)
    bottom = concatenate([np.zeros(x.shape, as_array(x).dtype), xt], -1)
    return matrix_exp(concatenate([top, bottom], -2))[..., :n, n:]


@op(x=lambda g, x: _exponential_rule(g, x), label="LinalgMatrixExp")
def matrix_exp(x: Array) -> Array:
    """Return the exponential of square matrices, ``1 + x + x x / 2 + ...``.

    Raises:
        RuntimeError: if they are not square, or not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    needs_matrices("linalg.matrix_exp", x, True)
    return exponential(x)
