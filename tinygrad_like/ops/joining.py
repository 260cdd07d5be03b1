"""Ops that take parts of a tensor and ops that join tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import Arrays, op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.shaping import axis_of, reshape, unsqueeze, whole

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "cat",
    "chunk",
    "column_stack",
    "concat",
    "concatenate",
    "dstack",
    "hstack",
    "narrow",
    "select",
    "split",
    "split_with_sizes",
    "stack",
    "tensor_split",
    "unbind",
    "vstack",
]


# ----- Parts --------------------------------------------------------------------------------------


@op(x=lambda g, index, x_shape: place(g, index, x_shape), view=True, label="Slice")
def region(x: Array, index: Any) -> Array:
    """Return the part of `x` that slices and an Ellipsis name, as a view."""
    return x[index]


@op(x=lambda g, index: region(g, index))
def place(x: Array, index: Any, shape: Any) -> Array:
    """Return zeros of `shape` with `x` at the slices `index`."""
    out = np.zeros(shape, x.dtype)
    out[index] = x
    return out


@op(x=lambda g, x_shape, dim, index: place(g, _at(x_shape, dim, index), x_shape), view=True)
def select(x: Array, dim: int, index: int) -> Array:
    """Return the slice number `index` along dimension `dim`, which goes away, as a view.

    Raises:
        IndexError: if the dimension or the index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.select(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 0)
    tensor([1., 3.])
    """
    if x.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    size = x.shape[axis_of(dim, x.ndim)]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(x.shape)} at dimension {dim}"
        )
    return x[_at(x.shape, dim, index)]


def _at(shape: tuple[int, ...], dim: int, index: Any) -> tuple[Any, ...]:
    """Return the index of what is at `index` along `dim`."""
    return (slice(None),) * axis_of(dim, len(shape)) + (index, ...)


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """Return the `length` slices from number `start` along dimension `dim`, as a view.

    Raises:
        RuntimeError: if they do not lie within the tensor.
        IndexError: if the dimension or the start is out of range.

    >>> import tinygrad_like as torch
    >>> torch.narrow(torch.tensor([1.0, 2.0, 3.0]), 0, 1, 2)
    tensor([2., 3.])
    """
    if not isinstance(input, Traced):
        require_tensors("narrow", input=input)
    if input.ndim == 0:
        raise told(RuntimeError, "narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise told(RuntimeError, f"narrow(): length must be non-negative, got {length}")
    axis = axis_of(dim, input.ndim)
    size = input.shape[axis]
    first = int(start)
    if not -size <= first <= size:
        raise told(
            IndexError,
            f"start out of range (expected to be in range of [{-size}, {size}], but got {first})",
        )
    first = first + size if first < 0 else first
    if first + length > size:
        raise told(
            RuntimeError, f"start ({first}) + length ({length}) exceeds dimension size ({size})."
        )
    return region(input, (slice(None),) * axis + (slice(first, first + length), ...))


@op(x=lambda g, dim: stack(g, dim), several=True, view=True)
def unbind(x: Array, dim: int = 0) -> Any:
    """Return the slices along dimension `dim`, as a tuple of views.

    Raises:
        IndexError: if the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.unbind(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    (tensor([1., 2.]), tensor([3., 4.]))
    """
    if x.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = axis_of(dim, x.ndim)
    before = (slice(None),) * axis
    return tuple(x[(*before, index, ...)] for index in range(x.shape[axis]))


def _parts(x: Array, sizes: Sequence[int], axis: int) -> tuple[Array, ...]:
    before, first, parts = (slice(None),) * axis, 0, []
    for size in sizes:
        parts.append(x[(*before, slice(first, first + size), ...)])
        first += size
    return tuple(parts)


@op(x=lambda g, dim: concatenate(g, dim), several=True, view=True, name="split")
def _split(x: Array, sizes: Sequence[int], dim: int) -> Any:
    return _parts(x, sizes, dim)


@op(x=lambda g, dim: concatenate(g, dim), several=True, view=True, name="split_with_sizes")
def _split_with_sizes(x: Array, sizes: Sequence[int], dim: int) -> Any:
    return _parts(x, sizes, dim)


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return views of parts along `dim`, each of one size (the last may be smaller), or of the sizes given.

    Raises:
        RuntimeError: if sizes are negative, do not add up, or there is nothing to split.

    >>> import tinygrad_like as torch
    >>> torch.split(torch.tensor([1.0, 2.0, 3.0]), 2)
    (tensor([1., 2.]), tensor([3.]))
    """
    if not isinstance(tensor, Traced):
        require_tensors("split", tensor=tensor)
    if isinstance(split_size_or_sections, tuple | list):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    if tensor.ndim == 0:
        raise told(RuntimeError, "split expects at least a 1-dimensional tensor")
    axis = axis_of(dim, tensor.ndim)
    size = whole(split_size_or_sections, "split", "split_size")
    total = tensor.shape[axis]
    if size < 0:
        raise told(
            RuntimeError, f"split expects split_size be non-negative, but got split_size={size}"
        )
    if size == 0 and total:
        raise told(
            RuntimeError,
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {total}",
        )
    sizes = [min(size, total - first) for first in range(0, total, size or 1)]
    return _split(tensor, tuple(sizes or [0]), axis)  # type: ignore[no-any-return]


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Return views of parts along `dim`, of the sizes given.

    Raises:
        RuntimeError: if a size is negative or they do not add up.
    """
    if not isinstance(input, Traced):
        require_tensors("split_with_sizes", input=input)
    if input.ndim == 0:
        raise told(RuntimeError, "split expects at least a 1-dimensional tensor")
    axis = axis_of(dim, input.ndim)
    sizes = [whole(size, "split_with_sizes", "split_sizes") for size in split_sizes]
    if min(sizes, default=0) < 0:
        raise told(
            RuntimeError,
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={sizes}",
        )
    if sum(sizes) != input.shape[axis]:
        raise told(
            RuntimeError,
            f"split_with_sizes expects split_sizes to sum exactly to {input.shape[axis]} (input tensor's "
            f"size at dimension {axis}), but got split_sizes={sizes}",
        )
    return _split_with_sizes(input, tuple(sizes), axis)  # type: ignore[no-any-return]


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Return views of at most `chunks` parts of equal size along `dim`; the last may be smaller.

    Raises:
        RuntimeError: if `chunks` is not positive, or there is nothing to part.
    """
    if not isinstance(input, Traced):
        require_tensors("chunk", input=input)
    if input.ndim == 0:
        raise told(RuntimeError, "chunk expects at least a 1-dimensional tensor")
    if whole(chunks, "chunk", "chunks") <= 0:
        raise told(RuntimeError, f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    axis = axis_of(dim, input.ndim)
    total = input.shape[axis]
    if total == 0:
        return split_with_sizes(input, [0] * chunks, axis)
    return split(input, -(-total // chunks), axis)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Return views of parts along `dim`: so many, sizes differing by one at most, or cut at indices.

    Raises:
        RuntimeError: if the number is not positive, or there is nothing to part.

    >>> import tinygrad_like as torch
    >>> torch.tensor_split(torch.tensor([1.0, 2.0, 3.0]), (1,))
    (tensor([1.]), tensor([2., 3.]))
    """
    require_tensors("tensor_split", input=input)
    if input.ndim == 0:
        raise told(
            RuntimeError,
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims",
        )
    axis = axis_of(dim, input.ndim)
    size = input.shape[axis]
    cuts = indices_or_sections
    if isinstance(cuts, Traced):
        cuts = cuts.array.tolist()
    if isinstance(cuts, int):
        if cuts <= 0:
            raise told(
                RuntimeError, f"tensor_split: number of sections must be larger than 0, got {cuts}"
            )
        small, larger = divmod(size, cuts)
        cuts = [i * small + min(i, larger) for i in range(1, cuts)]
    before, edges = (slice(None),) * axis, [None, *cuts, None]
    return tuple(
        region(input, (*before, slice(first, last), ...)) for first, last in pairwise(edges)
    )


# ----- More dimensions -------------------------------------------------------------------------------


def atleast_1d(*tensors: Any) -> Any:
    """Return views with dimensions added in front until there is at least one."""
    return _each(lambda x: reshape(x, (1,)) if x.ndim == 0 else x, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Return views with dimensions added in front until there are at least two."""

    def add(x: Any) -> Any:
        return x if x.ndim >= 2 else unsqueeze(x, 0) if x.ndim else reshape(x, (1, 1))

    return _each(add, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Return views with at least three dimensions: ``(N,)`` becomes ``(1, N, 1)``, ``(M, N)`` ``(M, N, 1)``."""

    def add(x: Any) -> Any:
        if x.ndim >= 3:
            return x
        return unsqueeze(atleast_2d(x), 2)

    return _each(add, tensors)


def _each(function: Any, tensors: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        return tuple(function(x) for x in tensors[0])
    found = tuple(function(x) for x in tensors)
    return found[0] if len(found) == 1 else found


# ----- Joining ------------------------------------------------------------------------------------


def _refuse_list(xs: Sequence[Array], dim: int) -> RuntimeError:
    """Return why `xs` can't be joined along `dim`."""
    first = xs[0]
    for position, x in enumerate(xs):
        if x.ndim == 0:
            return told(
                RuntimeError,
                f"zero-dimensional tensor (at position {position}) cannot be concatenated; use stack()",
            )
        if x.ndim != first.ndim:
            return told(
                RuntimeError,
                f"Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}",
            )
        for axis, (size, expected) in enumerate(zip(x.shape, first.shape, strict=True)):
            if axis != dim and size != expected:
                return told(
                    RuntimeError,
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {expected} "
                    f"but got size {size} for tensor number {position} in the list.",
                )
    return told(RuntimeError, f"the tensors can't be joined along dimension {dim}")


def _joined_part(g: Array, i: int, xs_shapes: Any, starts: Sequence[int], dim: int) -> Array:
    """Return what the gradient of a concatenation means for tensor number `i`."""
    shape = xs_shapes[i]
    if len(shape) != g.ndim:  # an empty list of elements, which PyTorch lets pass
        return np.zeros(shape, g.dtype)
    axis = dim % g.ndim
    start = starts[i]
    return region(g, (slice(None),) * axis + (slice(start, start + shape[axis]), ...))


@op(
    xs=lambda g, i, xs_shapes, starts, dim: _joined_part(g, i, xs_shapes, starts, dim),
    keeps=("starts",),
    dtype="promote",
    label="Cat",
)
def concatenate(xs: Arrays, dim: int = 0) -> Any:
    """Return the tensors one after the other along dimension `dim`.

    Raises:
        RuntimeError: if other dimensions differ.
        ValueError: if there are none.

    >>> import tinygrad_like as torch
    >>> torch.cat([torch.tensor([1.0]), torch.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    if not xs:
        raise told(ValueError, "torch.cat(): expected a non-empty list of Tensors")
    parts = [x for x in xs if x.shape != (0,)] or list(xs)
    axis = axis_of(dim, parts[0].ndim)
    try:
        out = np.concatenate(parts, axis)
    except ValueError:
        raise _refuse_list(parts, axis) from None
    starts, start = [], 0
    for x in xs:
        starts.append(start)
        start += x.shape[axis] if x.ndim == out.ndim else 0
    return out, starts


def cat(tensors: Any, dim: int = 0) -> Any:
    """Return the tensors one after the other along dimension `dim`.

    Raises:
        RuntimeError: if other dimensions differ.
        ValueError: if there are none.

    >>> import tinygrad_like as torch
    >>> torch.cat([torch.tensor([[1.0]]), torch.tensor([[2.0]])], dim=1)
    tensor([[1., 2.]])
    """
    if isinstance(tensors, tuple | list) and not tensors:
        raise told(ValueError, "torch.cat(): expected a non-empty list of Tensors")
    return concatenate(tensors, dim)


concat = cat


@op(xs=lambda g, i, dim: select(g, dim, i), dtype="promote")
def stack(xs: Arrays, dim: int = 0) -> Array:
    """Return tensors of equal shape joined along a new dimension.

    Raises:
        RuntimeError: if shapes differ or there are no tensors.

    >>> import tinygrad_like as torch
    >>> torch.stack([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])], dim=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    if not xs:
        raise told(RuntimeError, "stack expects a non-empty TensorList")
    shape = xs[0].shape
    for position, x in enumerate(xs):
        if x.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x.shape)} at entry {position}"
            )
    axis = axis_of(dim, len(shape) + 1)
    index = (slice(None),) * axis + (None,)
    return np.concatenate([x[index] for x in xs], axis)


def hstack(tensors: Any) -> Any:
    """Return the tensors joined along the second dimension, or the only one."""
    given = atleast_1d(tuple(tensors))
    if not given:
        raise told(RuntimeError, "hstack expects a non-empty TensorList")
    return cat(given, 0 if given and given[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """Return the tensors joined along the first dimension, those of one dimension as rows."""
    return cat(atleast_2d(tuple(tensors)), 0)


def dstack(tensors: Any) -> Any:
    """Return the tensors joined along the third dimension."""
    return cat(atleast_3d(tuple(tensors)), 2)


def column_stack(tensors: Any) -> Any:
    """Return the tensors joined along the second dimension, those of one dimension as columns."""
    return hstack([x if x.ndim >= 2 else reshape(x, (-1, 1)) for x in tensors])


# ----- Methods ------------------------------------------------------------------------------------


class JoiningMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    chunk = chunk
    narrow = narrow
    select = select
    split = split
    split_with_sizes = split_with_sizes
    tensor_split = tensor_split
    unbind = unbind
