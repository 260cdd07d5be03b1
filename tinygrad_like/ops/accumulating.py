"""Adding values up at places that may repeat, without `np.add.at`, which is slow."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

NumpyArray = np.ndarray[Any, Any]


def scatter_add_rows(shape: tuple[int, ...], idx: NumpyArray, rows: NumpyArray) -> NumpyArray:
    """Return zeros of `shape` (P, ...) with each of `rows` (N, ...) added at its place in `idx` (N,).

    Indices must lie in [0, P). Which way is fastest depends on how often places repeat:

    * never: assign;
    * narrow rows: `np.bincount`, which adds in float64;
    * few places: multiply by a matrix of zeros and ones, since matrix products are cheap;
    * otherwise: sort by place and add the first, second, ... row of all places at once, then what
      is left of the few places that get many rows, by `np.add.reduceat`.
    """
    places, width, d = shape[0], prod(shape[1:]), rows.dtype
    if idx.size == 0 or width == 0:
        return np.zeros(shape, d)
    if d.kind != "f":
        out = np.zeros(shape, d)
        np.add.at(out, idx, rows)
        return out
    if width == 1:
        return np.bincount(idx, rows.reshape(-1), places).astype(d).reshape(shape)
    counts = np.bincount(idx, minlength=places)
    if counts.max() == 1:
        out = np.zeros(shape, d)
        out[idx] = rows
        return out
    flat = rows.reshape(len(idx), width)
    if places <= 128:
        chosen = np.zeros((places, len(idx)), d)
        chosen[idx, np.arange(len(idx))] = 1
        summed = chosen @ flat
        if np.isfinite(summed).all():  # an infinity times zero would have spread
            return summed.reshape(shape)
    elif width <= 16:
        at = (idx[:, None] * width + np.arange(width)).reshape(-1)
        return np.bincount(at, flat.reshape(-1), places * width).astype(d).reshape(shape)
    return _add_sorted(np.zeros((places, width), d), idx, flat, counts).reshape(shape)


def _add_sorted(
    out: NumpyArray, idx: NumpyArray, rows: NumpyArray, counts: NumpyArray
) -> NumpyArray:
    """Add `rows` to the zeros in `out`, place by place."""
    # Sorting 16-bit keys is linear.
    order = np.argsort(idx.astype(np.uint16) if len(out) <= 65536 else idx, kind="stable")
    used = np.flatnonzero(counts)
    counts = counts[used]
    starts = np.cumsum(counts) - counts
    out[used] = rows[order[starts]]
    done = 1
    while True:
        more = counts > done
        used, starts, counts = used[more], starts[more], counts[more]
        if len(used) <= 32:
            break
        out[used] += rows[order[starts + done]]
        done += 1
    if len(used):
        parts = [
            order[start + done : start + n]
            for start, n in zip(starts.tolist(), counts.tolist(), strict=True)
        ]
        cuts = np.cumsum(counts - done) - (counts - done)
        out[used] += np.add.reduceat(rows[np.concatenate(parts)], cuts, axis=0)
    return out


def _linear(arrays: list[NumpyArray], sizes: list[int]) -> NumpyArray:
    """Return one array of places in a row-major block of `sizes` for several arrays of indices."""
    place: Any = 0
    for array, size in zip(arrays, sizes, strict=True):
        if array.size and array.min() < 0:
            array = np.where(array < 0, array + size, array)
        place = place * size + array
    return np.asarray(place)


def add_at_index(x: NumpyArray, index: tuple[Any, ...], shape: tuple[int, ...]) -> NumpyArray:
    """Return zeros of `shape` with `x` added up at an index of arrays and full slices.

    `x` has the shape of ``zeros(shape)[index]``.
    """
    arrays = [i for i in index if isinstance(i, np.ndarray)]
    if len(arrays) == 1 and arrays[0].dtype.kind == "b":  # no place twice
        out = np.zeros(shape, x.dtype)
        out[index] = x
        return out
    expanded: list[Any] = []
    for i in index:
        expanded += i.nonzero() if isinstance(i, np.ndarray) and i.dtype.kind == "b" else [i]
    axes = [axis for axis, i in enumerate(expanded) if isinstance(i, np.ndarray)]
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    picks = np.broadcast_arrays(*(expanded[axis] for axis in axes))
    ndim = picks[0].ndim
    # NumPy puts the picked dimensions first, unless the arrays stand next to each other.
    first = axes[0] if axes[-1] - axes[0] == len(axes) - 1 else 0
    if first:
        picked = list(range(first, first + ndim))
        x = x.transpose(picked + [axis for axis in range(x.ndim) if axis not in picked])
    sizes = [shape[axis] for axis in axes]
    others = tuple(shape[axis] for axis in rest)
    place = _linear(list(picks), sizes).reshape(-1)
    out = scatter_add_rows((prod(sizes), *others), place, x.reshape((place.size, *others)))
    out = out.reshape((*sizes, *others))
    order = axes + rest
    if order != sorted(order):
        out = out.transpose(np.argsort(order))
    return out


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


def add_along(x: NumpyArray, dim: int, index: NumpyArray, shape: tuple[int, ...]) -> NumpyArray:
    """Return zeros of `shape` with each element of `x` added at its place in `index` along `dim`."""
    x = x[tuple(slice(size) for size in index.shape)]
    if not x.size:
        return np.zeros(shape, x.dtype)
    if index.shape[dim] == 1 and len(shape):  # no place twice
        out = np.zeros(shape, x.dtype)
        region = out[tuple(slice(None if a == dim else n) for a, n in enumerate(index.shape))]
        np.put_along_axis(region, index, x, dim)
        return out
    place = along(dim, index, shape).reshape(-1)
    return scatter_add_rows((prod(shape),), place, x.reshape(-1)).reshape(shape)
