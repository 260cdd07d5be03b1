"""Taking elements from places along a dimension, and writing or adding others to them.

All work on memory seen in three dimensions, ``(before, along, after)``; places must lie in the range
of the one in the middle, and may repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tinygrad_like.jit import compiled

NumpyArray = np.ndarray[Any, Any]

_LEAST = 4096  # elements that are worth a kernel
_NARROW = 8  # rows of fewer elements are not added as rows


# ----- Three dimensions ---------------------------------------------------------------------------


def _folded(x: NumpyArray, dim: int) -> NumpyArray:
    """Return `x` in three dimensions, `dim` in the middle, and in order: a view, if it was."""
    return np.ascontiguousarray(x).reshape(
        prod(x.shape[:dim]), x.shape[dim], prod(x.shape[dim + 1 :])
    )


def along(dim: int, index: NumpyArray, shape: tuple[int, ...]) -> NumpyArray:
    """Return the places, in a row-major block of `shape`, that `index` (of any shape) names along `dim`."""
    place: Any = 0
    for axis, size in enumerate(shape):
        if axis == dim:
            step = index
        else:
            step = np.arange(index.shape[axis]).reshape([-1] + [1] * (len(shape) - axis - 1))
        place = place * size + step
    return np.asarray(place)


# ----- One index per element ----------------------------------------------------------------------


@compiled("scatter.take_along", least=_LEAST)
def _take_along(index: NumpyArray, x: NumpyArray, out: NumpyArray) -> None:
    # "clip" is the way that writes to `out` at once.
    np.take(x.reshape(-1), along(1, index, x.shape), out=out, mode="clip")


@compiled("scatter.put_along", least=_LEAST)
def _put_along(index: NumpyArray, x: NumpyArray, out: NumpyArray) -> None:
    out.reshape(-1)[along(1, index, out.shape)] = x


@compiled("scatter.add_along", least=_LEAST)
def _add_along(index: NumpyArray, x: NumpyArray, out: NumpyArray) -> None:
    np.add.at(out.reshape(-1), along(1, index, out.shape).reshape(-1), x.reshape(-1))


def _beside(x: NumpyArray, dim: int, index: NumpyArray) -> NumpyArray:
    """Return the part of `x` that has the sizes of `index` but for `dim`."""
    return x[tuple(slice(None if axis == dim else n) for axis, n in enumerate(index.shape))]


def take_along(x: NumpyArray, dim: int, index: NumpyArray) -> NumpyArray:
    """Return the elements of `x` at the places in `index` along `dim`, in the shape of `index`."""
    out = np.empty(index.shape, x.dtype)
    _take_along(_folded(index, dim), _folded(_beside(x, dim, index), dim), _folded(out, dim))
    return out


def put_along(out: NumpyArray, dim: int, index: NumpyArray, x: NumpyArray) -> None:
    """Write the elements of `x` to the places in `index` along `dim` of `out`, which is contiguous."""
    _change_along(_put_along, out, dim, index, x)


def add_along(out: NumpyArray, dim: int, index: NumpyArray, x: NumpyArray) -> None:
    """Add the elements of `x` to the places in `index` along `dim` of `out`, which is contiguous."""
    _change_along(_add_along, out, dim, index, x)


def _change_along(
    change: Callable[..., None], out: NumpyArray, dim: int, index: NumpyArray, x: NumpyArray
) -> None:
    if not index.size:
        return
    part = _beside(out, dim, index)
    memory = np.ascontiguousarray(part)
    x = x[tuple(map(slice, index.shape))]
    change(_folded(index, dim), _folded(x, dim), _folded(memory, dim))
    if memory.shape != out.shape:
        part[...] = memory


# ----- One index per slice ------------------------------------------------------------------------


@compiled("scatter.add_slices", least=_LEAST)
def _add_slices(x: NumpyArray, index: NumpyArray, out: NumpyArray) -> None:
    """Add each ``x[:, i]`` to ``out[:, index[i]]``."""
    before, places, after = out.shape
    if after < _NARROW:
        each = np.broadcast_to(index[:, None], x.shape)
        np.add.at(out.reshape(-1), along(1, each, out.shape).reshape(-1), x.reshape(-1))
    elif before == 1:
        _add_rows(out[0], index, x[0])
    else:
        moved = np.zeros((places, before * after), out.dtype)
        _add_rows(moved, index, x.swapaxes(0, 1).reshape(len(index), -1))
        out += moved.reshape(places, before, after).swapaxes(0, 1)


def _order(keys: NumpyArray) -> NumpyArray:
    """Return the order of numbers not below 0; it takes linear time where 16 bits hold them."""
    short = keys.astype(np.uint16) if keys.max() <= 0xFFFF else keys
    return np.argsort(short, kind="stable")


def _add_rows(out: NumpyArray, index: NumpyArray, rows: NumpyArray) -> None:
    """Add rows to those of `out`: the first ones of all places at once, the second ones, and so on.

    The rows of the few places that get the most are summed place by place instead.
    """
    order = _order(index)
    counts = np.bincount(index, minlength=len(out))
    used = np.flatnonzero(counts)
    counts = counts[used]
    starts = np.cumsum(counts) - counts
    falling = _order(counts)[::-1]
    used, counts, starts = used[falling], counts[falling], starts[falling]
    more = (len(used) - np.cumsum(np.bincount(counts))).tolist()  # places with more than so many
    turns = next(n for n, places in enumerate(more) if places <= n)
    crowded = more[turns]
    sums = np.empty((len(used), rows.shape[1]), rows.dtype)
    for i in range(crowded):
        mine = order[starts[i] : starts[i] + counts[i]]
        np.add.reduce(rows.take(mine, 0), 0, out=sums[i])
    rest, starts = sums[crowded:], starts[crowded:]
    rows.take(order[starts], 0, out=rest, mode="clip")  # which writes to `out` at once
    spare = np.empty_like(rest[: more[1] - crowded])
    for turn in range(1, turns):
        n = more[turn] - crowded
        rest[:n] += rows.take(order[starts[:n] + turn], 0, out=spare[:n], mode="clip")
    out[used] += sums


def add_slices(out: NumpyArray, dim: int, index: NumpyArray, x: NumpyArray) -> None:
    """Add the slices of `x` along `dim` to those of `out`, which is contiguous, at the places `index`."""
    if x.size:
        _add_slices(_folded(x, dim), np.ascontiguousarray(index), _folded(out, dim))


# ----- An index of several arrays -----------------------------------------------------------------


def _linear(arrays: list[NumpyArray], sizes: list[int]) -> NumpyArray:
    """Return one array of places in a row-major block of `sizes` for several arrays of indices."""
    place: Any = 0
    for array, size in zip(arrays, sizes, strict=True):
        if array.size and array.min() < 0:
            array = np.where(array < 0, array + size, array)
        place = place * size + array
    return np.asarray(place)


def add_at_index(out: NumpyArray, index: tuple[Any, ...], x: NumpyArray) -> None:
    """Add `x` to ``out[index]`` for an index of arrays and full slices, also where places repeat.

    `out` is contiguous, and `x` has the shape of ``out[index]``.
    """
    arrays = [i for i in index if isinstance(i, np.ndarray)]
    if len(arrays) == 1 and arrays[0].dtype.kind == "b":  # no place twice
        out[index] += x
        return
    expanded: list[Any] = []
    for i in index:
        expanded += i.nonzero() if isinstance(i, np.ndarray) and i.dtype.kind == "b" else [i]
    axes = [axis for axis, i in enumerate(expanded) if isinstance(i, np.ndarray)]
    picks = np.broadcast_arrays(*(expanded[axis] for axis in axes))
    first, last, ndim = axes[0], axes[-1], picks[0].ndim
    sizes = [out.shape[axis] for axis in axes]
    place = _linear(list(picks), sizes).reshape(-1)
    if last - first == len(axes) - 1:
        shape, picked = list(out.shape), list(x.shape)
        shape[first : last + 1] = [prod(sizes)]
        picked[first : first + ndim] = [place.size]
        add_slices(out.reshape(shape), first, place, x.reshape(picked))
        return
    # NumPy puts the picked dimensions first where the arrays do not stand next to each other.
    order = axes + [axis for axis in range(out.ndim) if axis not in axes]
    moved = out.transpose(order)
    others = moved.shape[len(axes) :]
    added = np.zeros((prod(sizes), *others), out.dtype)
    add_slices(added, 0, place, x.reshape(place.size, *others))
    moved += added.reshape(moved.shape)
