"""Ops that order elements, and what is read off an order: largest, middle and most frequent ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.arrays.packing import FEW, INDEX, columns_of, packed, rows_of, taken
from tinygrad_like.dtypes import I64
from tinygrad_like.graph import Array, as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.extrema import refuse_empty, return_along
from tinygrad_like.ops.reduction import expand_reduced, tie_share
from tinygrad_like.ops.scanning import backwards, place_along
from tinygrad_like.ops.shaping import axis_of

__all__ = [
    "argsort",
    "bucketize",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]


# ----- Whole orders -------------------------------------------------------------------------------


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Return the indices that sort `x`, equal elements in their first order, nan as the largest."""
    if x.ndim == 0:
        return np.zeros((), I64)
    keys = None if x.size < FEW else packed(rows_of(x, axis), descending)
    if keys is not None:
        keys.sort(-1)
        keys &= INDEX
        return columns_of(keys, axis)
    if not descending:
        return x.argsort(axis, kind="stable")
    # Reversing before and after keeps equal elements in order and brings nan to the front.
    order = backwards(backwards(x, axis).argsort(axis, kind="stable"), axis)
    return (x.shape[axis] - 1) - order


@op(
    x=lambda g, out, x_shape, dim: place_along(g[0], out[1], x_shape, dim),
    several=True,
    name="sort",
)
def _sort(x: Array, dim: int, descending: bool) -> Any:
    axis = axis_of(dim, x.ndim)
    indices = _order(x, axis, descending)
    return taken(x, indices, axis), indices


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return the elements in order along `dim`, and their indices; always stable, nan as the largest.

    Raises:
        IndexError: if the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> values, indices = torch.sort(torch.tensor([3.0, 1.0, 2.0]))
    >>> values, indices
    (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    del stable
    return return_types.sort(*_sort(input, dim, bool(descending)))


def msort(input: Any) -> Any:
    """Return the elements in order along the first dimension."""
    return _sort(input, 0, False)[0]


@op(name="argsort")
def _argsort(x: Array, dim: int, descending: bool) -> Array:
    return _order(x, axis_of(dim, x.ndim), descending)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return the indices that sort the tensor along `dim`.

    Raises:
        IndexError: if the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.argsort(torch.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([0, 2, 1])
    """
    del stable
    return _argsort(input, dim, bool(descending))


# ----- The largest --------------------------------------------------------------------------------


def _first(x: Array, axis: int, count: int) -> Array:
    return x[(slice(None),) * axis + (slice(count), ...)]


@op(
    x=lambda g, out, x_shape, dim: place_along(g[0], out[1], x_shape, dim),
    several=True,
    name="topk",
)
def _topk(x: Array, k: int, dim: int, largest: bool, sorted: bool) -> Any:
    axis = axis_of(dim, x.ndim)
    size = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"selected index k out of range: got {k} for a dimension of size {size}")
    if x.dtype.kind == "b":
        raise RuntimeError("topk does not support bool tensors; use .byte()")
    if x.ndim == 0:
        return x.copy(), np.zeros((), I64)
    indices = _largest(x, k, axis, largest, sorted)
    return taken(x, indices, axis), indices


def _largest(x: Array, k: int, axis: int, largest: bool, sorted: bool) -> Array:
    """Return where the `k` largest elements (or smallest) are; of equal ones the first."""
    size = x.shape[axis]
    keys = None if k == 0 or x.size < FEW else packed(rows_of(x, axis), largest)
    if keys is not None:
        if k < size:
            keys.partition(k - 1, -1)
            keys = keys[..., :k].copy()
        if sorted:
            keys.sort(-1)
        keys &= INDEX
        return columns_of(keys, axis)
    if not 0 < k < size // 8:  # only then is finding them first faster than sorting all
        return np.ascontiguousarray(_first(_order(x, axis, largest), axis, k))
    part = x.argpartition(size - k if largest else k - 1, axis)
    found = _first(backwards(part, axis) if largest else part, axis, k)
    if not sorted:
        return np.ascontiguousarray(found)
    order = _order(taken(x, found, axis), axis, largest)
    return np.take_along_axis(found, order, axis)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Return the `k` largest elements along `dim` (or smallest), and their indices.

    Which of equal elements are taken is not specified.

    Raises:
        RuntimeError: if there are fewer than `k`.

    >>> import tinygrad_like as torch
    >>> torch.topk(torch.tensor([1.0, 3.0, 2.0]), 2).values
    tensor([3., 2.])
    """
    if not hasattr(k, "__index__"):
        raise told(TypeError, f"topk(): argument 'k' must be int, not {type(k).__name__}")
    return return_types.topk(*_topk(input, int(k), dim, largest, sorted))


# ----- The middle, and others by rank -------------------------------------------------------------


def _at_ranks(x: Array, axis: int, ranks: Any, keepdim: bool) -> tuple[Array, Array]:
    """Return the elements at `ranks` (one, or one for each row) of the order, and their indices."""
    keys = packed(rows_of(x, axis)) if isinstance(ranks, int) and x.size >= FEW else None
    if keys is not None:
        keys.partition(ranks, -1)
        indices = np.expand_dims(keys[..., ranks] & INDEX, axis)
    else:
        order = _order(x, axis, False)
        chosen = np.broadcast_to(ranks, [1 if i == axis else n for i, n in enumerate(x.shape)])
        indices = np.take_along_axis(order, chosen, axis)
    values = taken(x, indices, axis)
    return (values, indices) if keepdim else (values.squeeze(axis), indices.squeeze(axis))


@op(
    x=lambda g, out, x_shape, dim, keepdim: return_along(g, out, x_shape, dim, keepdim),
    several=True,
    name="kthvalue",
)
def _kthvalue(x: Array, k: int, dim: int, keepdim: bool) -> Any:
    axis = axis_of(dim, x.ndim)
    refuse_empty(x, "kthvalue", axis)
    size = x.shape[axis] if x.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {axis}: got {k}, expected 1 to {size}"
        )
    if x.ndim == 0:
        return x.copy(), np.zeros((), I64)
    if x.dtype.kind == "b":
        raise unsupported("kthvalue_cpu", x.dtype)
    return _at_ranks(x, axis, k - 1, keepdim)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Return the k-th smallest elements along `dim`, counted from 1, and their indices.

    Raises:
        RuntimeError: if there are fewer than `k`.

    >>> import tinygrad_like as torch
    >>> torch.kthvalue(torch.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    return return_types.kthvalue(*_kthvalue(input, k, dim, keepdim))


def _middle(x: Array, dim: int, keepdim: bool, name: str) -> tuple[Array, Array]:
    axis = axis_of(dim, x.ndim)
    refuse_empty(x, name, axis)
    if x.dtype.kind == "b":
        raise unsupported(f"{name}_cpu", x.dtype)
    if x.ndim == 0:
        return x.copy(), np.zeros((), I64)
    count = x.shape[axis]
    if x.dtype.kind != "f":
        return _at_ranks(x, axis, (count - 1) // 2, keepdim)
    missing = np.isnan(x)
    if not missing.any():
        return _at_ranks(x, axis, (count - 1) // 2, keepdim)
    lost = np.count_nonzero(missing, axis, keepdims=True)
    if name == "nanmedian":
        return _at_ranks(x, axis, np.maximum(count - lost - 1, 0) // 2, keepdim)
    # A nan in a row is its median; it is the first that is found.
    return _at_ranks(x, axis, np.where(lost > 0, count - lost, (count - 1) // 2), keepdim)


@op(
    x=lambda g, out, x_shape, dim, keepdim: return_along(g, out, x_shape, dim, keepdim),
    several=True,
    name="median",
)
def _median(x: Array, dim: int, keepdim: bool) -> Any:
    return _middle(x, dim, keepdim, "median")


@op(
    x=lambda g, out, x_shape, dim, keepdim: return_along(g, out, x_shape, dim, keepdim),
    several=True,
    name="nanmedian",
)
def _nanmedian(x: Array, dim: int, keepdim: bool) -> Any:
    return _middle(x, dim, keepdim, "nanmedian")


def _of_all(x: Array, name: str) -> Array:
    if x.size == 0 and x.dtype.kind == "b":
        return np.ones((), bool)
    if x.size == 0:
        return np.full((), np.nan if x.dtype.kind == "f" else np.iinfo(x.dtype).min, x.dtype)
    if x.dtype.kind == "b":
        raise unsupported(f"{name}_cpu", x.dtype)
    x = x.reshape(-1)
    if x.dtype.kind == "f":
        missing = np.isnan(x)
        if missing.any():
            if name == "median" or missing.all():
                return x[missing.argmax()]
            x = x[~missing]
    middle = (x.size - 1) // 2
    return np.partition(x, middle)[middle]


@op(
    x=lambda g, x, out: expand_reduced(g, x.shape, None, False) * tie_share(x, out, None),
    label="Median",
)
def median_of_all(x: Array) -> Array:
    """Return the lower middle one of all elements."""
    return _of_all(x, "median")


@op(
    x=lambda g, x, out: expand_reduced(g, x.shape, None, False) * tie_share(x, out, None),
    label="Nanmedian",
)
def nanmedian_of_all(x: Array) -> Array:
    """Return the lower middle one of all elements that are not nan."""
    return _of_all(x, "nanmedian")


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the lower middle one of all elements; or along `dim` values and indices.

    Raises:
        IndexError: if the dimension has no elements or is out of range.

    >>> import tinygrad_like as torch
    >>> torch.median(torch.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        return median_of_all(input)
    return return_types.median(*_median(input, dim, keepdim))


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return what `median` returns of the elements that are not nan."""
    if dim is None:
        return nanmedian_of_all(input)
    return return_types.nanmedian(*_nanmedian(input, dim, keepdim))


@op(
    x=lambda g, out, x_shape, dim, keepdim: return_along(g, out, x_shape, dim, keepdim),
    several=True,
    name="mode",
)
def _mode(x: Array, dim: int, keepdim: bool) -> Any:
    axis = axis_of(dim, x.ndim)
    refuse_empty(x, "mode", axis)
    if x.ndim == 0:
        return x.copy(), np.zeros((), I64)
    rows = rows_of(x, axis)
    order = _order(rows, x.ndim - 1, False)
    values = taken(rows, order, x.ndim - 1)
    places = np.arange(values.shape[-1])
    starts = np.ones(values.shape, np.bool_)
    starts[..., 1:] = values[..., 1:] != values[..., :-1]
    run = places - np.maximum.accumulate(np.where(starts, places, 0), -1)
    # The first longest run is that of the smallest value; its end is the value's last place in the row.
    last = run.argmax(-1, keepdims=True)
    indices = np.moveaxis(np.take_along_axis(order, last, -1), -1, axis)
    found = np.take_along_axis(x, indices, axis)
    return (found, indices) if keepdim else (found.squeeze(axis), indices.squeeze(axis))


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """Return the most frequent elements along `dim`, the smallest of such, and where they are last.

    Raises:
        IndexError: if the dimension has no elements or is out of range.
    """
    return return_types.mode(*_mode(input, dim, keepdim))


# ----- Without repetitions ------------------------------------------------------------------------


def _selected(parts: Any, inverse: bool, counts: bool) -> Any:
    chosen = [parts[0], *([parts[1]] if inverse else []), *([parts[2]] if counts else [])]
    tensors = tuple(result_type.make(part) for part in chosen)
    return tensors[0] if len(tensors) == 1 else tensors


def _check_slices(name: str, shape: tuple[int, ...], axis: int | None) -> None:
    if axis is not None and 0 in shape[:axis] + shape[axis + 1 :]:
        raise told(
            RuntimeError,
            f"{name}: there are 0 sized dimensions that aren't selected, so it cannot be applied: "
            f"dim {axis} of shape {shape}",
        )


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Return the different elements in order, or the different slices along `dim`.

    If asked for, also where among them each element is, and how often each occurs.

    Raises:
        RuntimeError: if slices along `dim` have no elements.

    >>> import tinygrad_like as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    if not isinstance(sorted, bool):
        raise told(
            TypeError, f"unique(): argument 'sorted' must be bool, not {type(sorted).__name__}"
        )
    x = as_array(input)
    axis = None if dim is None else axis_of(dim, x.ndim)
    _check_slices("unique", x.shape, axis)
    values, inverse, counts = np.unique(
        x, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = inverse.reshape(x.shape if axis is None else -1)
    return _selected((values, inverse, counts), return_inverse, return_counts)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Return the elements, or the slices along `dim`, without those equal to the one before.

    >>> import tinygrad_like as torch
    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = as_array(input)
    axis = 0 if dim is None else axis_of(dim, x.ndim)
    rows = x.reshape(-1) if dim is None else x
    _check_slices("unique_consecutive", rows.shape, axis)
    length = rows.shape[axis]
    moved = np.moveaxis(rows, axis, 0).reshape(length, rows.size // max(length, 1))
    starts = np.ones(len(moved), np.bool_)
    starts[1:] = (moved[1:] != moved[:-1]).any(1)
    (places,) = np.nonzero(starts)
    inverse = np.cumsum(starts) - 1
    counts = np.diff(places, append=len(moved))
    parts = (rows.take(places, axis), inverse.reshape(x.shape) if dim is None else inverse, counts)
    return _selected(parts, return_inverse, return_counts)


# ----- Places in an order -------------------------------------------------------------------------


@op()
def find_sorted(x: Array, y: Array, right: bool) -> Array:
    """Return where the elements of `y` belong in the rows of `x`, which are sorted."""
    side: Any = "right" if right else "left"
    if x.dtype.kind == y.dtype.kind == "b":
        raise unsupported("searchsorted_cpu", x.dtype)
    if x.ndim == 1:
        return np.asarray(np.searchsorted(x, y, side), I64)
    if x.shape[:-1] != y.shape[:-1]:
        raise RuntimeError(
            "boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(x.shape)} and input value "
            f"tensor {list(y.shape)}"
        )
    out = np.empty(y.shape, I64)
    for row in np.ndindex(x.shape[:-1]):
        out[row] = np.searchsorted(x[row], y[row], side)
    return out


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Return the index in each sorted row before which an element keeps the order (after equals if `right`).

    Raises:
        RuntimeError: if the rows do not match.

    >>> import tinygrad_like as torch
    >>> torch.searchsorted(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.5]))
    tensor([1, 2])
    """
    rows = as_array(sorted_sequence)
    if sorter is not None:
        order = as_array(sorter)
        if order.shape != rows.shape:
            raise told(
                RuntimeError,
                f"searchsorted: sorter has shape {order.shape}, expected that of sorted_sequence, "
                f"{rows.shape}",
            )
        if order.size and not 0 <= order.min() <= order.max() < rows.shape[-1]:
            raise told(
                RuntimeError,
                f"searchsorted: sorter index out of range: got {order.min()} to {order.max()} for rows of "
                f"{rows.shape[-1]}",
            )
        rows = np.take_along_axis(rows, order, -1)
    if side not in (None, "left", "right"):
        raise told(
            RuntimeError, f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise told(
            RuntimeError,
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right "
            "was True",
        )
    found = find_sorted(
        result_type.make(rows), result_type.make(as_array(input)), right or side == "right"
    )
    return found.int() if out_int32 else found


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Return between which of the sorted `boundaries` the elements lie: `searchsorted` the other way round.

    >>> import tinygrad_like as torch
    >>> torch.bucketize(torch.tensor([0.5, 2.5]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([0, 2])
    """
    if as_array(boundaries).ndim != 1:
        raise told(
            RuntimeError,
            f"bucketize: boundaries must have 1 dimension, got shape {as_array(boundaries).shape}",
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# ----- Methods ------------------------------------------------------------------------------------


class SortingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    argsort = argsort
    kthvalue = kthvalue
    median = median
    mode = mode
    msort = msort
    nanmedian = nanmedian
    sort = sort
    topk = topk
    unique = unique
    unique_consecutive = unique_consecutive
