"""Ops that change the shape of a tensor, or the order of its elements, but not their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array, result_type
from tinygrad_like.op import REGISTRY, Arrays, implements, op
from tinygrad_like.views import like_layout, region_of

__all__ = ["broadcast_to", "permute", "reshape", "stack"]


@op(x=lambda g, x_dtype: cast(g, x_dtype), label="ToCopy")
def cast(x: Array, dtype: Any) -> Array:
    """Return `x` in another dtype (a NumPy dtype)."""
    return x.astype(dtype)


@op(
    x=lambda g, steps, strides, x_shape: replace_region(
        g, np.zeros_like(region_of(g, steps)), steps, strides
    ),
    y=lambda g, steps: region_of(g, steps),
    label="CopySlices",
)
def replace_region(x: Array, y: Array, steps: Any, strides: Any) -> Array:
    """Return `x` with the region that `steps` lead to replaced by `y`: a write through a view."""
    out = like_layout(x.shape, strides, x.dtype)
    out[...] = x
    region_of(out, steps)[...] = y
    return out


@op(x=lambda g, x_shape: REGISTRY["sum_to"].call(g, x_shape), view=True, label="Expand")
def broadcast_to(x: Array, shape: Any) -> Array:
    """Return `x` with dimensions of size 1, and missing ones, repeated to give `shape`, as a view."""
    return np.broadcast_to(x, shape)


@op(x=lambda g, x_shape: reshape(g, x_shape), view=True)
def reshape(x: Array, shape: Any) -> Array:
    """Return the elements of `x` in another shape, as a view where that is possible."""
    return x.reshape(shape)


@op(x=lambda g, dims: permute(g, tuple(np.argsort(dims).tolist())), view=True)
def permute(x: Array, dims: Any) -> Array:
    """Return `x` with its dimensions in another order, as a view."""
    return x.transpose(dims)


@op(
    xs=lambda g, i, dim: permute(g, tuple(range(g.ndim)))[(slice(None),) * dim + (i,)],
    label="Stack",
)
def stack(xs: Arrays, dim: int = 0) -> Array:
    """Return tensors of equal shape joined along a new dimension."""
    return np.stack(xs, dim)


@op(x=lambda g: np.stack(g), several=True, view=True)
def unbind(x: Array) -> Any:
    """Return the slices along the first dimension, as views."""
    return tuple(x)


@implements(np.zeros_like)
def _np_zeros_like(a: Any) -> Any:
    return result_type.make(np.zeros_like(a.array))


@implements(np.stack)
def _np_stack(arrays: Any, axis: int = 0) -> Any:
    return stack(arrays, axis)


class ShapingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    reshape = reshape
    permute = permute

    def unbind(self, dim=0):
        return unbind(self)

    def clone(self):
        return self + 0
