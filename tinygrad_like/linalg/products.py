"""Products of vectors and matrices, and what needs no more than them."""

from __future__ import annotations

from typing import Any

from tinygrad_like.arrays.matrices import needs_float
from tinygrad_like.lines import told
from tinygrad_like.ops import diagonals, products
from tinygrad_like.ops import linalg as ops
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.matrix_functions import powers
from tinygrad_like.ops.shaping import reshape, unsqueeze

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_power",
    "multi_dot",
    "vander",
    "vecdot",
]

matmul = ops.matmul
matrix_power = products.matrix_power


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Return the vector products along `dim`, which has size 3; other dimensions broadcast.

    Raises:
        RuntimeError: if it has another size, or shapes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.linalg.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    require_tensors("linalg_cross", input=input, other=other)
    return products.cross(input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return the diagonals of matrices ``(..., M, N)`` as a view.

    >>> import tinygrad_like as torch
    >>> torch.linalg.diagonal(torch.eye(2))
    tensor([1., 1.])
    """
    return diagonals.diagonal(A, offset, dim1, dim2)


def multi_dot(tensors: Any) -> Any:
    """Return the product of two or more matrices, in the order with the fewest multiplications.

    The first may be a vector, a row, and the last one, a column.

    Raises:
        RuntimeError: if there are fewer than two, or sizes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.linalg.multi_dot([torch.ones(1, 3), torch.ones(3, 2), torch.ones(2, 1)])
    tensor([[6.]])
    """
    given = list(tensors)
    if len(given) < 2:
        raise told(RuntimeError, f"multi_dot(): expected at least 2 tensors but got {len(given)}")
    for position, x in enumerate(given):
        end = position in (0, len(given) - 1)
        if x.ndim != 2 and not (end and x.ndim == 1):
            where = (
                "first tensor" if not position else "last tensor" if end else f"tensor {position}"
            )
            allowed = "1D or 2D" if end else "2D"
            raise told(
                RuntimeError, f"multi_dot(): the {where} must be {allowed} but got {x.ndim}D"
            )
    shape: tuple[int, ...] = ()
    if given[0].ndim == 2:
        shape += (given[0].shape[0],)
    else:
        given[0] = unsqueeze(given[0], 0)
    if given[-1].ndim == 2:
        shape += (given[-1].shape[1],)
    else:
        given[-1] = unsqueeze(given[-1], 1)
    for i in range(len(given) - 1):
        if given[i].shape[1] != given[i + 1].shape[0]:
            raise told(
                RuntimeError,
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(given[i].shape)} and "
                f"{list(given[i + 1].shape)} cannot be multiplied",
            )
    return reshape(products.chain_matmul(*given), shape)


def vander(x: Any, N: int | None = None) -> Any:
    """Return rows of powers, ``x^0`` to ``x^(N - 1)``, for each element of ``(..., M)``; N is M if None.

    Raises:
        RuntimeError: if N is less than 2.

    >>> import tinygrad_like as torch
    >>> torch.linalg.vander(torch.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    require_tensors("linalg_vander", x=x)
    if x.array.dtype.kind == "b":
        raise told(RuntimeError, "linalg.vander: x must be numbers, got torch.bool; use .long()")
    if not x.ndim:
        x = reshape(x, (1,))
    count = x.shape[-1] if N is None else N
    if count < 2:
        raise told(RuntimeError, f"linalg.vander: N must be greater than 1, got {count}")
    return powers(x, count)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Return the sums of products along `dim`; other dimensions broadcast.

    Raises:
        RuntimeError: if dtypes differ or are not floating-point, or shapes do not broadcast.

    >>> import tinygrad_like as torch
    >>> torch.linalg.vecdot(torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    require_tensors("linalg_vecdot", x=x, y=y)
    if x.array.dtype.kind != "f":
        needs_float("linalg.vecdot", x.array)
    if x.array.dtype is not y.array.dtype:
        raise told(
            RuntimeError,
            f"linalg.vecdot: Expected x and y to have the same dtype, but found x of type {x.dtype} and y "
            f"of type {y.dtype} instead",
        )
    return (x * y).sum(dim)
