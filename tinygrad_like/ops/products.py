"""Products of matrices and vectors that are more, or less, than one matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.sums import total
from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import keep_where, unsupported
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.diagonals import place_diagonal
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.linalg import bmm, matmul, mm, mv, needs_dimensions, outer
from tinygrad_like.ops.reduction import sum_to
from tinygrad_like.ops.shaping import axis_of, permute, reshape
from tinygrad_like.views import in_place

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "chain_matmul",
    "cross",
    "kron",
    "matrix_power",
    "trace",
]


# ----- Products added to something ----------------------------------------------------------------


def _added(name: str, input: Any, made: Any, beta: Any, alpha: Any) -> Any:
    """Return ``beta * input + alpha * made``; what is multiplied by 0 does not matter, not even nan."""
    if input.dtype is not made.dtype:
        raise told(
            RuntimeError,
            f"{name}: input and the product must have the same dtype, but got {input.dtype} and "
            f"{made.dtype}",
        )
    scaled = made if alpha == 1 else made * alpha
    shape = tuple(made.shape)
    expanded = input if tuple(input.shape) == shape else broadcast_to(input, shape)
    if beta == 0:
        if not isinstance(input, Traced) or input.node is None:
            return scaled
        # Nothing of the input is left, but its gradient is zeros, not missing.
        return keep_where(expanded, np.zeros(shape, bool)) + scaled
    return (expanded if beta == 1 else expanded * beta) + scaled


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return ``beta * input + alpha * (mat1 @ mat2)`` for matrices; `input` is broadcast.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.addmm(torch.ones(1), torch.ones(1, 2), torch.ones(2, 2))
    tensor([[3., 3.]])
    """
    if not (isinstance(input, Traced) and isinstance(mat1, Traced) and isinstance(mat2, Traced)):
        require_tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    return _added("addmm", input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return ``beta * input + alpha * (mat @ vec)``.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.
    """
    require_tensors("addmv", input=input, mat=mat, vec=vec)
    return _added("addmv", input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return ``beta * input + alpha * outer(vec1, vec2)``."""
    require_tensors("addr", input=input, vec1=vec1, vec2=vec2)
    made = outer(vec1, vec2)
    d = dtypes.result((input.array, made.array))  # PyTorch mixes dtypes here and nowhere else
    return _added("addr", convert(input, d), convert(made, d), beta, alpha)


def _refuse_batches(name: str, batch1: Any, batch2: Any) -> None:
    """Raise if these are no batches of equally many matrices that can be multiplied."""
    needs_dimensions(name, batch1=(batch1, 3), batch2=(batch2, 3))
    batch, _, inner_size = batch1.shape
    if tuple(batch2.shape[:2]) != (batch, inner_size):
        raise told(
            RuntimeError,
            f"{name}: batch1 is {tuple(batch1.shape)} and batch2 {tuple(batch2.shape)}: expected batch2 to "
            f"start with {(batch, inner_size)}",
        )


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return ``beta * input + alpha * (batch1 @ batch2)`` for batches of matrices.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.
    """
    require_tensors("baddbmm", input=input, batch1=batch1, batch2=batch2)
    _refuse_batches("baddbmm", batch1, batch2)
    return _added("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return ``beta * input + alpha * sum of the products`` of two batches of matrices.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.
    """
    require_tensors("addbmm", input=input, batch1=batch1, batch2=batch2)
    _refuse_batches("addbmm", batch1, batch2)
    batch, rows, inner_size = batch1.shape
    # The sum over the batch is part of the inner sum of one larger product.
    left = reshape(permute(batch1, (1, 0, 2)), (rows, batch * inner_size))
    right = reshape(batch2, (batch * inner_size, batch2.shape[2]))
    return _added("addbmm", input, matmul(left, right), beta, alpha)


# ----- Special products ---------------------------------------------------------------------------


def kron(input: Any, other: Any) -> Any:
    """Return the Kronecker product: each element of one times the whole of the other, in its place.

    >>> import tinygrad_like as torch
    >>> torch.kron(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    tensor([1., 3., 2., 6.])
    """
    for name, x in (("input", input), ("other", other)):
        if not isinstance(x, Traced):
            raise told(
                TypeError, f"kron(): argument '{name}' must be Tensor, not {type(x).__name__}"
            )
    ndim = max(input.ndim, other.ndim)
    first = (1,) * (ndim - input.ndim) + tuple(input.shape)
    second = (1,) * (ndim - other.ndim) + tuple(other.shape)
    x = reshape(input, tuple(n for size in first for n in (size, 1)))
    y = reshape(other, tuple(n for size in second for n in (1, size)))
    return reshape(x * y, tuple(m * n for m, n in zip(first, second, strict=True)))


@op(
    x=lambda g, x_shape: place_diagonal(
        broadcast_to(g, (min(x_shape),)),
        x_shape,
        0,
        0,
        1,
    )
)
def trace(x: Array) -> Array:
    """Return the sum of a matrix's diagonal.

    Raises:
        RuntimeError: if it is not a matrix.

    >>> import tinygrad_like as torch
    >>> torch.trace(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if x.dtype.kind == "b":
        raise unsupported("trace", x.dtype)
    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    return total(x.diagonal(), None)


@op(
    x=lambda g, y, dim, x_shape: sum_to(cross_of(y, g, dim), x_shape),
    y=lambda g, x, dim, y_shape: sum_to(cross_of(g, x, dim), y_shape),
    label="LinalgCross",
    dtype="promote",
)
def cross_of(x: Array, y: Array, dim: int) -> Array:
    """Return vector products along `dim`, which has size 3; other dimensions are broadcast."""
    ndim = max(x.ndim, y.ndim)
    before = (slice(None),) * (dim % ndim)
    x, y = np.broadcast_arrays(x, y)
    out = np.empty(x.shape, x.dtype)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        part = out[(*before, i, ...)]
        np.multiply(x[(*before, j, ...)], y[(*before, k, ...)], part)
        part -= x[(*before, k, ...)] * y[(*before, j, ...)]
    return out


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """Return the vector products along `dim`, the first dimension of size 3 if None.

    Raises:
        RuntimeError: if there is no such dimension, or shapes do not broadcast.

    >>> import tinygrad_like as torch
    >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
    tensor([0., 0., 1.])
    """
    require_tensors("cross", input=input, other=other)
    if input.ndim != other.ndim:
        raise told(
            RuntimeError,
            "linalg.cross: inputs must have the same number of dimensions, got "
            f"{input.ndim} and {other.ndim}",
        )
    if dim is None:
        dim = next((i for i, size in enumerate(input.shape) if size == 3), None)
        if dim is None:
            raise told(
                RuntimeError, f"no dimension of size 3 in input, which is {tuple(input.shape)}"
            )
    if not input.ndim:
        raise told(IndexError, f"Dimension specified as {dim} but tensor has no dimensions")
    dim = axis_of(dim, input.ndim)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise told(
            RuntimeError,
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and "
            f"{other.shape[dim]}",
        )
    if input.array.dtype.kind == "b":
        raise unsupported("cross", input.array.dtype)
    if input.array.dtype != other.array.dtype:
        raise told(
            RuntimeError,
            f"linalg.cross: expected scalar type {input.dtype} but found {other.dtype}; convert one",
        )
    return cross_of(input, other, dim)


# ----- Chains -------------------------------------------------------------------------------------


def chain_matmul(*matrices: Any) -> Any:
    """Return the product of several matrices, in the order that takes the fewest multiplications."""
    given = matrices[0] if len(matrices) == 1 and not isinstance(matrices[0], Traced) else matrices
    for position, matrix in enumerate(given):
        needs_dimensions("chain_matmul", **{f"matrix{position}": (matrix, 2)})
    return _chain(list(given))


def _chain(matrices: list[Any]) -> Any:
    if len(matrices) < 2:
        return matrices[0]
    sizes = [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
    costs: dict[tuple[int, int], tuple[int, int]] = {}
    for length in range(2, len(matrices) + 1):
        for start in range(len(matrices) - length + 1):
            end = start + length
            costs[start, end] = min(
                (
                    costs.get((start, cut), (0, 0))[0]
                    + costs.get((cut, end), (0, 0))[0]
                    + sizes[start] * sizes[cut] * sizes[end],
                    cut,
                )
                for cut in range(start + 1, end)
            )

    def build(start: int, end: int) -> Any:
        if end - start == 1:
            return matrices[start]
        cut = costs[start, end][1]
        return mm(build(start, cut), build(cut, end))

    return build(0, len(matrices))


def matrix_power(input: Any, n: int) -> Any:
    """Return the product of `n` copies of square matrices ``(..., N, N)``, of their inverses if negative.

    Raises:
        RuntimeError: if they are not square.
        LinAlgError: if `n` is negative and one is singular.
        TypeError: if `n` is no int.
    """
    require_tensors("matrix_power", input=input)
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise told(
            RuntimeError,
            f"linalg.matrix_power: A must be batches of square matrices, but they are {tuple(input.shape)}",
        )
    if isinstance(n, bool) or not isinstance(n, int):
        raise told(
            TypeError,
            f"matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}",
        )
    if n < 0:
        input, n = REGISTRY["inverse"].call(input), -n
    if n == 0:
        eye = np.eye(input.shape[-1], dtype=input.array.dtype)
        return REGISTRY["clone"].call(broadcast_to(input.new_tensor(eye), tuple(input.shape)))
    out, square = None, input
    while n:
        if n & 1:
            out = square if out is None else matmul(out, square)
        n >>= 1
        if n:
            square = matmul(square, square)
    return REGISTRY["clone"].call(out) if out is input else out


# ----- Methods ------------------------------------------------------------------------------------


class ProductMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    addbmm = addbmm
    addmm = addmm
    addmv = addmv
    addr = addr
    baddbmm = baddbmm

    addbmm_ = in_place("addbmm_", addbmm)
    addmm_ = in_place("addmm_", addmm)
    addmv_ = in_place("addmv_", addmv)
    addr_ = in_place("addr_", addr)
    baddbmm_ = in_place("baddbmm_", baddbmm)
    cross = cross
    kron = kron
    matrix_power = matrix_power
    trace = trace
