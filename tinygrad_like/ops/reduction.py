"""Ops that reduce dimensions: sums, extrema, norms, cumulative and sorting ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import op
from tinygrad_like.ops.shaping import broadcast_to, reshape

__all__ = ["sum"]


@op(x=lambda g, x_shape: broadcast_to(g, x_shape))
def sum_to(x: Array, shape: Any) -> Array:
    """Return `x` summed down to `shape`: the adjoint of broadcasting."""
    leading = x.ndim - len(shape)
    if leading:
        x = np.add.reduce(x, tuple(range(leading)) if leading > 1 else 0)
    axes = tuple(i for i, size in enumerate(shape) if size == 1 and x.shape[i] != 1)
    return np.add.reduce(x, axes, keepdims=True) if axes else x


def axes_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """Return `dim`, an int, a sequence or None, as sorted non-negative axes.

    Raises:
        IndexError: if one is out of range.
        RuntimeError: if one appears twice.
    """
    if dim is None or dim == ():
        return tuple(range(ndim))
    axes = []
    limit = max(ndim, 1)
    for d in dim if isinstance(dim, list | tuple) else (dim,):
        if not -limit <= d < limit:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {d})"
            )
        axis = d % limit
        if axis in axes:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
        axes.append(axis)
    return tuple(sorted(axes)) if ndim else ()


def expand_reduced(g: Any, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Any:
    """Return the gradient of a reduction's result stretched over the reduced dimensions."""
    if not keepdim and g.ndim != len(shape):
        axes = axes_of(dim, len(shape))
        g = reshape(g, tuple(1 if i in axes else size for i, size in enumerate(shape)))
    return broadcast_to(g, shape)


@op(x=lambda g, x_shape, dim, keepdim: expand_reduced(g, x_shape, dim, keepdim), name="sum")
def _sum(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return np.add.reduce(x, axes_of(dim, x.ndim), keepdims=keepdim)


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the sum over dimensions `dim`, an int or several; over all if None.

    >>> import tinygrad_like as torch
    >>> torch.sum(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    del dtype
    return _sum(input, dim, keepdim)


class ReductionMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    sum = sum
