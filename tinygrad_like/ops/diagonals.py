"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import choose, keep_where
from tinygrad_like.ops.shaping import axis_of, reshape
from tinygrad_like.views import in_place, write

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "tril", "triu"]


# ----- Diagonals ----------------------------------------------------------------------------------


@op(
    x=lambda g, x_shape, offset, dim1, dim2: place_diagonal(g, x_shape, offset, dim1, dim2),
    view=True,
)
def diagonal(x: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Return the diagonal of dimensions `dim1` and `dim2` as the last dimension of a view.

    Raises:
        RuntimeError: if the dimensions are the same.
        IndexError: if one is out of range.

    >>> import tinygrad_like as torch
    >>> torch.diagonal(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    first, second = axis_of(dim1, x.ndim), axis_of(dim2, x.ndim)
    if first == second:
        raise RuntimeError(
            f"diagonal dimensions dim1 and dim2 cannot be identical, got {dim1} and {dim2}"
        )
    out = x.diagonal(offset, first, second)
    if x.flags.writeable:
        out.flags.writeable = True
    return out


@op(
    x=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2),
    label="DiagonalBackward",
)
def place_diagonal(x: Array, shape: Any, offset: int, dim1: int, dim2: int) -> Array:
    """Return zeros of `shape` with `x` on a diagonal: the adjoint of `diagonal`."""
    out = np.zeros(shape, x.dtype)
    region = out.diagonal(offset, dim1, dim2)
    region.flags.writeable = True
    region[...] = x
    return out


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Return zeros with the last dimension of the tensor on a diagonal of `dim1` and `dim2`.

    Raises:
        RuntimeError: if the dimensions are the same.

    >>> import tinygrad_like as torch
    >>> torch.diag_embed(torch.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    require_tensors("diag_embed", input=input)
    ndim = input.ndim + 1
    first, second = axis_of(dim1, ndim), axis_of(dim2, ndim)
    if first == second:
        raise told(
            RuntimeError,
            f"diagonal dimensions dim1 and dim2 cannot be identical, got {dim1} and {dim2}",
        )
    shape = list(input.shape[:-1])
    size = input.shape[-1] + abs(offset)
    for axis in sorted((first, second)):
        shape.insert(axis, size)
    return place_diagonal(input, tuple(shape), offset, first, second)


def diag(input: Any, diagonal: int = 0) -> Any:
    """Return a matrix with a vector on its diagonal, or the diagonal of a matrix.

    Raises:
        RuntimeError: for another number of dimensions.
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise told(RuntimeError, f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return REGISTRY["clone"].call(REGISTRY["diagonal"].call(input, diagonal, 0, 1))


def diagflat(input: Any, offset: int = 0) -> Any:
    """Return a matrix with all elements of the tensor on a diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)


# ----- Triangles ----------------------------------------------------------------------------------


def _matrix(x: Array, name: str) -> None:
    if x.ndim < 2:
        raise told(
            RuntimeError, f"{name}: input tensor must have at least 2 dimensions, got {x.ndim}"
        )


def _lower(shape: tuple[int, ...], diagonal: int) -> Any:
    """Return where the lower triangle of matrices of a shape is."""
    return np.tri(shape[-2], shape[-1], diagonal, dtype=np.bool_)


@op(x=lambda g, diagonal: tril(g, diagonal))
def tril(x: Array, diagonal: int = 0) -> Array:
    """Return the lower triangles of matrices ``(..., M, N)``, up to a diagonal, zeros elsewhere.

    Raises:
        RuntimeError: if there are fewer than two dimensions.

    >>> import tinygrad_like as torch
    >>> torch.tril(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 0.],
            [3., 4.]])
    """
    _matrix(x, "tril")
    return keep_where(x, _lower(x.shape, diagonal))


@op(x=lambda g, diagonal: triu(g, diagonal))
def triu(x: Array, diagonal: int = 0) -> Array:
    """Return the upper triangles of matrices ``(..., M, N)``, from a diagonal on, zeros elsewhere.

    Raises:
        RuntimeError: if there are fewer than two dimensions.

    >>> import tinygrad_like as torch
    >>> torch.triu(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([[0., 2.],
            [0., 0.]])
    """
    _matrix(x, "triu")
    return keep_where(x, ~_lower(x.shape, diagonal - 1))


# ----- Methods ------------------------------------------------------------------------------------


class DiagonalMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    diag = diag
    diag_embed = diag_embed
    diagflat = diagflat
    diagonal = diagonal
    tril = tril
    triu = triu

    tril_ = in_place("tril_", tril)
    triu_ = in_place("triu_", triu)

    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> Any:
        """Write a number on the diagonal of this matrix ``(M, N)``, and return the matrix.

        Args:
            fill_value: the number.
            wrap: start the diagonal anew, after a gap of one row, in a tall matrix.

        Raises:
            RuntimeError: if it has fewer than two dimensions, or more of unequal sizes.

        >>> import tinygrad_like as torch
        >>> torch.zeros(2, 2).fill_diagonal_(1)
        tensor([[1., 0.],
                [0., 1.]])
        """
        shape = self.array.shape  # type: ignore[attr-defined]
        if len(shape) < 2:
            raise told(
                RuntimeError, f"fill_diagonal_: got shape {shape}, expected at least two dimensions"
            )
        if len(shape) > 2 and len(set(shape)) > 1:
            raise told(
                RuntimeError,
                f"fill_diagonal_: got shape {shape}, expected all dimensions to be of equal length",
            )
        if isinstance(fill_value, Traced):
            raise told(
                TypeError, "fill_diagonal_(): argument 'fill_value' must be a number, not Tensor"
            )

        def fill() -> Any:
            mask = np.zeros(shape, bool)
            np.fill_diagonal(mask, True, wrap)
            return choose(result_type.make(mask), fill_value, self)

        return write(self, "fill_diagonal_", fill)
