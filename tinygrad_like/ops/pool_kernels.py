"""The ops that pooling is made of, in any number of dimensions.

Inside, an array is ``(planes, ..., inner)``: for a result of a convolution, which has the batch
innermost in memory, channels and batch; for ``(N, C, ...)`` as PyTorch has it, all planes and 1. Both
are views, and results have the layout of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import jit, threads
from tinygrad_like.graph import Array
from tinygrad_like.op import op
from tinygrad_like.ops.windows import (
    Axis,
    as_numbers,
    batch_first,
    batch_last,
    from_numbers,
    taps,
)

Pool = tuple[Axis, ...]  # how windows lie on each spatial dimension

_LEAST_INNER = 8  # the inner loops of kernels do not pay for fewer neighbours in memory

# ----- Layout -------------------------------------------------------------------------------------


def _planes(x: Any, inner: int | None = None) -> Any:
    """Return ``(N, C, ...)`` as ``(planes, ..., inner)``, in the layout it has if `inner` is None."""
    if inner == 1 or (inner is None and x.flags.c_contiguous):
        return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:], 1)
    return np.ascontiguousarray(batch_last(x))


def _from_planes(x: Any, like: Any) -> Any:
    """Return ``(planes, ..., inner)`` as ``(N, C, ...)``, N and C being those of `like`."""
    if x.shape[-1] == like.shape[0] > 1:
        return batch_first(x)
    return x.reshape(*like.shape[:2], *x.shape[1:-1])


def _by_planes(
    function: Callable[..., None], arrays: tuple[Any, ...], pool: Pool, sizes: Sequence[int]
) -> None:
    """Do ``function(*arrays, axes)`` on some planes at a time.

    The arrays come as ``(planes, pixels or windows, inner)``, the axes as numbers, always three.
    """
    if arrays[0].shape[-1] < _LEAST_INNER:
        function = jit.plain(function)
    flat = [a.reshape(a.shape[0], math.prod(a.shape[1:-1]), a.shape[-1]) for a in arrays]
    numbers = as_numbers(pool, sizes)

    def work(start: int, stop: int) -> None:
        function(*(a[start:stop] for a in flat), numbers)

    threads.split(len(flat[0]), work, sum(a.nbytes for a in arrays))


def _spatial(x: Any, windows: Any, numbers: Any) -> tuple[Any, list[Any], Pool]:
    """Undo what `_by_planes` does to arrays of pixels, of windows, and to the axes."""
    pool, sizes = from_numbers(numbers)
    counts = [axis.windows for axis in pool]
    x = x.reshape(x.shape[0], *sizes, x.shape[-1])
    return x, [w.reshape(w.shape[0], *counts, w.shape[-1]) for w in windows], pool


# ----- The largest of each window -----------------------------------------------------------------


def _lowest(d: Any) -> Any:
    return -np.inf if d.kind == "f" else np.iinfo(d).min


def _whole(pool: Pool, windows: tuple[slice, ...]) -> bool:
    return all(w.stop - w.start == axis.windows for w, axis in zip(windows, pool, strict=True))


@jit.compiled("pooling.largest", least=1024)
def _largest(x: Any, out: Any, which: Any, axes: Any) -> None:
    """Find the largest element of each window, and which element of the window it is.

    Of equal elements the first counts, of nans the last.
    """
    x, (out, which), pool = _spatial(x, (out, which), axes)
    whole = True
    for number, (_, windows, seen) in enumerate(taps(pool, x.shape[1:-1])):
        values, inside = x[(slice(None), *seen)], (slice(None), *windows)
        all_ = _whole(pool, windows)
        whole = whole and all_
        if number == 0:
            which[...] = 0
            if all_:
                out[...] = values
                continue
            out[...] = _lowest(x.dtype)
        best, at = out[inside], which[inside]
        better = np.greater(values, best)
        np.maximum(best, values, out=best)
        # Numbers grow, and this is many times as fast as a masked write.
        np.maximum(at, np.multiply(better.view(np.uint8), number, dtype=at.dtype), out=at)
    if x.dtype.kind == "f":
        sure = np.isfinite(np.add.reduce(out, axis=None))
    else:
        sure = whole or out.min(initial=0) > _lowest(x.dtype)
    if not sure:
        _largest_of_any(x, out, which, pool)


def _largest_of_any(x: Any, out: Any, which: Any, pool: Pool) -> None:
    """Do what `_largest` does, also for nans, and where nothing is larger than nothing."""
    unseen = np.ones(out.shape, bool)
    for number, (_, windows, seen) in enumerate(taps(pool, x.shape[1:-1])):
        inside = (slice(None), *windows)
        values = x[(slice(None), *seen)]
        better = (values > out[inside]) | unseen[inside] | (values != values)
        np.copyto(out[inside], values, where=better)
        np.copyto(which[inside], number, where=better)
        unseen[inside] = False


def _apart(pool: Pool) -> bool:
    """Return whether no element belongs to two windows."""
    return all(a.spread == 1 and a.step >= a.taps for a in pool)


@jit.compiled("pooling.spread", least=1024)
def _spread(grad: Any, which: Any, out: Any, axes: Any) -> None:
    """Give the gradient of each window to one of its elements."""
    out, (grad, which), pool = _spatial(out, (grad, which), axes)
    # A product with a mask is several times faster than a masked copy, but not right for infinities.
    finite = grad.dtype.kind != "f" or np.isfinite(np.add.reduce(grad, axis=None))
    apart = finite and _apart(pool)
    covered = all(
        a.step == a.taps and a.start == 0 and n == a.taps * a.windows
        for a, n in zip(pool, out.shape[1:-1], strict=True)
    )
    if not (apart and covered):
        out[...] = 0
    for number, (_, windows, seen) in enumerate(taps(pool, out.shape[1:-1])):
        target, g = out[(slice(None), *seen)], grad[(slice(None), *windows)]
        won = which[(slice(None), *windows)] == number
        if not finite:
            np.add(target, g, out=target, where=won)
        elif apart:
            np.multiply(g, won, out=target)
        else:
            target += g * won


@op(
    grad=lambda g, which, pool: max_pool_pick(g, which, pool),
    label="MaxPool2DWithIndicesBackward",
)
def max_pool_backward(grad: Array, which: Any, sizes: tuple[int, ...], pool: Pool) -> Array:
    """Return the gradient of max pooling for its input, whose spatial sizes are given.

    That of each window goes to its largest element.
    """
    g = _planes(grad, which.shape[-1])
    out = np.empty((which.shape[0], *sizes, which.shape[-1]), g.dtype)
    _by_planes(_spread, (g, which, out), pool, sizes)
    return _from_planes(out, grad)


@op(
    values=lambda g, values_shape, which, pool: max_pool_backward(
        g, which, tuple(values_shape[2:]), pool
    ),
    label="MaxPool2DWithIndicesBackward",
)
def max_pool_pick(values: Array, which: Any, pool: Pool) -> Array:
    """Return of `values` those that stand where the windows have their largest elements."""
    v = _planes(values, which.shape[-1])
    out = np.zeros(which.shape, v.dtype)
    for number, (_, windows, seen) in enumerate(taps(pool, v.shape[1:-1])):
        inside = (slice(None), *windows)
        np.copyto(out[inside], v[(slice(None), *seen)], where=which[inside] == number)
    return _from_planes(out, values)


def _max_pool(x: Any, pool: Pool) -> tuple[Any, Any]:
    planes, count = _planes(x), math.prod(a.taps for a in pool)
    out = np.empty((planes.shape[0], *(a.windows for a in pool), planes.shape[-1]), x.dtype)
    which = np.empty(out.shape, np.uint8 if count <= 256 else np.int32)
    _by_planes(_largest, (planes, out, which), pool, x.shape[2:])
    return out, which


@op(
    x=lambda g, x_shape, which, pool: max_pool_backward(g, which, tuple(x_shape[2:]), pool),
    keeps=("which",),
    label="MaxPool2DWithIndices",
)
def max_pool(x: Array, pool: Pool) -> Any:
    """Return the largest element of each window of ``(N, C, ...)``."""
    out, which = _max_pool(x, pool)
    return _from_planes(out, x), which


@op(
    x=lambda g, x_shape, which, pool: max_pool_backward(g[0], which, tuple(x_shape[2:]), pool),
    keeps=("which",),
    several=True,
    label="MaxPool2DWithIndices",
)
def max_pool_with_indices(x: Array, pool: Pool) -> Any:
    """Return the largest element of each window and its index in the flattened plane."""
    out, which = _max_pool(x, pool)
    indices, rest = np.zeros(which.shape, np.int64), which
    for k in reversed(range(len(pool))):
        axis = pool[k]
        rest, tap = np.divmod(rest, axis.taps)
        first = np.arange(axis.windows) * axis.step + axis.start
        at = first.reshape(-1, *(1,) * (len(pool) - k)) + tap.astype(np.int64) * axis.spread
        indices += at * math.prod(x.shape[3 + k :])
    return (_from_planes(out, x), _from_planes(indices, x)), which


# ----- Scattering over planes ---------------------------------------------------------------------


@op(values=lambda g, indices: gather_planes(g, indices))
def scatter_planes(values: Array, indices: Array, sizes: tuple[int, ...]) -> Array:
    """Return planes of zeros, ``(N, C, *sizes)``, with `values` added at flat `indices` of each."""
    planes, size = math.prod(values.shape[:2]), math.prod(sizes)
    out = np.zeros(planes * size, values.dtype)
    each = math.prod(indices.shape[2:])
    flat = indices.reshape(planes, each) + np.arange(planes)[:, None] * size
    np.add.at(out, flat.reshape(-1), values.reshape(-1))
    return out.reshape(*values.shape[:2], *sizes)


@op(x=lambda g, x_shape, indices: scatter_planes(g, indices, tuple(x_shape[2:])))
def gather_planes(x: Array, indices: Array) -> Array:
    """Return the elements at flat `indices` of each plane of ``(N, C, ...)``."""
    planes = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    chosen = indices.reshape(*indices.shape[:2], math.prod(indices.shape[2:]))
    return np.take_along_axis(planes, chosen, 2).reshape(indices.shape)


# ----- The mean of each window --------------------------------------------------------------------


class Mean(NamedTuple):
    """What the sum over a window is divided by."""

    count_include_pad: bool
    divisor: int | None


def _divisors(inputs: tuple[int, ...], pool: Pool, mean: Mean, d: Any) -> Any:
    """Return a number, or an array that broadcasts to the windows of planes."""
    if mean.divisor is not None:
        return float(mean.divisor)
    counts: Any = 1
    for k, (n, axis) in enumerate(zip(inputs, pool, strict=True)):
        start = np.arange(axis.windows) * axis.step + axis.start
        stop = np.minimum(start + axis.taps, n - axis.start)
        if not mean.count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        counts = counts * (stop - start).reshape(-1, *(1,) * (len(pool) - k))
    whole = math.prod(a.taps for a in pool)
    return float(whole) if (counts == whole).all() else counts.astype(d)


def _sums(x: Any, out: Any, pool: Pool) -> None:
    """Add up the elements of each window."""
    for number, (_, windows, seen) in enumerate(taps(pool, x.shape[1:-1])):
        values = x[(slice(None), *seen)]
        if number == 0:
            if _whole(pool, windows):
                out[...] = values
                continue
            out[...] = 0
        target = out[(slice(None), *windows)]
        target += values


@op(
    x=lambda g, x_shape, pool, mean: avg_pool_backward(g, tuple(x_shape[2:]), pool, mean),
    label="AvgPool2D",
)
def avg_pool(x: Array, pool: Pool, mean: Mean) -> Array:
    """Return the mean of each window of ``(N, C, ...)``."""
    planes = _planes(x)
    out = np.empty((planes.shape[0], *(a.windows for a in pool), planes.shape[-1]), x.dtype)
    divisors = _divisors(x.shape[2:], pool, mean, x.dtype)

    def work(start: int, stop: int) -> None:
        sums = out[start:stop]
        _sums(planes[start:stop], sums, pool)
        if out.dtype.kind == "f":
            sums /= divisors
        else:
            np.floor_divide(sums, np.asarray(divisors, out.dtype), out=sums)

    threads.split(len(planes), work, planes.nbytes + out.nbytes)
    return _from_planes(out, x)


@op(
    grad=lambda g, pool, mean: avg_pool(g, pool, mean),
    label="AvgPool2DBackward",
)
def avg_pool_backward(grad: Array, inputs: tuple[int, ...], pool: Pool, mean: Mean) -> Array:
    """Return the gradient of average pooling for its input, whose spatial sizes are given."""
    g = _planes(grad)
    out = np.empty((g.shape[0], *inputs, g.shape[-1]), g.dtype)
    divisors = _divisors(inputs, pool, mean, g.dtype)
    apart = _apart(pool)

    def work(start: int, stop: int) -> None:
        share, total = g[start:stop] / divisors, out[start:stop]
        total[...] = 0
        for _, windows, seen in taps(pool, tuple(inputs)):
            target, part = total[(slice(None), *seen)], share[(slice(None), *windows)]
            if apart:
                target[...] = part
            else:
                target += part

    threads.split(len(g), work, g.nbytes + out.nbytes)
    return _from_planes(out, grad)


# ----- As many windows as wanted ------------------------------------------------------------------


def _edges(n: int, count: int) -> list[tuple[int, int]]:
    """Return where each of `count` windows over `n` elements begins and ends."""
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


@jit.compiled("pooling.adaptive", least=1024)
def _adaptive_largest(x: Any, out: Any, indices: Any, sizes: Any) -> None:
    """Find the largest element of each window and where it is.

    The arrays are ``(planes, pixels, inner)`` and ``(planes, windows, inner)``; of three dimensions,
    `sizes` has the number of pixels and of windows. Of equal elements the first counts, of nans the
    last.
    """
    inputs, counts = sizes.T.tolist()
    x, numbers = x.reshape(len(x), *inputs, -1), np.arange(x.shape[1]).reshape(inputs)
    at = indices.reshape(len(x), *counts, -1)
    edges = [_edges(n, count) for n, count in zip(inputs, counts, strict=True)]
    nans = x.dtype.kind == "f" and np.isnan(np.add.reduce(x, axis=None))
    for cell in product(*map(range, counts)):
        box = tuple(slice(*edge[k]) for edge, k in zip(edges, cell, strict=True))
        seen = x[(slice(None), *box)].reshape(len(x), -1, x.shape[-1])
        best = seen.argmax(1)
        if nans:
            odd = np.isnan(seen)
            last = seen.shape[1] - 1 - odd[:, ::-1].argmax(1)
            best = np.where(odd.any(1), last, best)
        at[(slice(None), *cell)] = numbers[box].reshape(-1)[best]
    out[...] = np.take_along_axis(x.reshape(len(x), -1, x.shape[-1]), indices, 1)


@op(
    x=lambda g, x_shape, out: scatter_planes(g[0], out[1], tuple(x_shape[2:])),
    several=True,
    label="AdaptiveMaxPool2D",
)
def adaptive_max_pool(x: Array, sizes: tuple[int, ...]) -> Any:
    """Return the largest element of each window and its index in the flattened plane."""
    planes, inner = _planes(x), 1 if x.flags.c_contiguous else x.shape[0]
    flat = planes.reshape(len(planes), math.prod(x.shape[2:]), inner)
    out: Any = np.empty((len(planes), math.prod(sizes), inner), x.dtype)
    indices = np.empty(out.shape, np.int64)
    pairs = np.ones((3, 2), np.int64)
    pairs[3 - len(sizes) :] = np.array([x.shape[2:], sizes]).T

    function = _adaptive_largest if inner >= _LEAST_INNER else jit.plain(_adaptive_largest)

    def work(start: int, stop: int) -> None:
        function(flat[start:stop], out[start:stop], indices[start:stop], pairs)

    if out.size:
        threads.split(len(flat), work, flat.nbytes)
    shape = (len(planes), *sizes, inner)
    return _from_planes(out.reshape(shape), x), _from_planes(indices.reshape(shape), x)


def _merged(x: Any, sizes: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return planes and both sizes with one dimension instead of several if there is one window."""
    if max(wanted, default=0) != 1:
        return x, sizes, wanted
    merged = math.prod(x.shape[1:-1])
    return x.reshape(x.shape[0], merged, x.shape[-1]), (math.prod(sizes),), (1,)


@op(
    x=lambda g, x_shape: adaptive_avg_pool_backward(g, tuple(x_shape[2:])),
    label="AdaptiveAvgPool2D",
)
def adaptive_avg_pool(x: Array, sizes: tuple[int, ...]) -> Array:
    """Return the means of as many windows of ``(N, C, ...)`` as `sizes` says."""
    planes, inputs, counts = _merged(_planes(x), x.shape[2:], sizes)
    for k, (n, count) in enumerate(zip(inputs, counts, strict=True), 1):
        shape, edges = planes.shape, _edges(n, count)
        parts = planes.reshape(math.prod(shape[:k]), n, math.prod(shape[k + 1 :]))
        out = np.empty((parts.shape[0], count, parts.shape[2]), x.dtype)
        ones = np.ones(max((stop - start for start, stop in edges), default=0), x.dtype)
        for at, (start, stop) in enumerate(edges):
            # A product with ones is the fastest sum.
            if parts.shape[2] == 1:
                np.matmul(parts[:, start:stop, 0], ones[: stop - start], out=out[:, at, 0])
            else:
                np.matmul(ones[: stop - start], parts[:, start:stop], out=out[:, at])
        out /= np.array([stop - start for start, stop in edges], x.dtype)[:, None]
        planes = out.reshape(*shape[:k], count, *shape[k + 1 :])
    return _from_planes(planes.reshape(planes.shape[0], *sizes, planes.shape[-1]), x)


@op(
    grad=lambda g, grad_shape: adaptive_avg_pool(g, tuple(grad_shape[2:])),
    label="AdaptiveAvgPool2DBackward",
)
def adaptive_avg_pool_backward(grad: Array, inputs: tuple[int, ...]) -> Array:
    """Return the gradient of adaptive average pooling for its input, whose sizes are given."""
    planes, sizes, counts = _merged(_planes(grad), inputs, grad.shape[2:])
    for k in range(len(sizes), 0, -1):
        n, count, shape = sizes[k - 1], counts[k - 1], planes.shape
        edges = _edges(n, count)
        parts = planes.reshape(math.prod(shape[:k]), count, math.prod(shape[k + 1 :]))
        parts = parts / np.array([stop - start for start, stop in edges], grad.dtype)[:, None]
        out = np.zeros((parts.shape[0], n, parts.shape[2]), grad.dtype)
        for at, (start, stop) in enumerate(edges):
            if parts.shape[2] > 1 or stop - start > 8:
                out[:, start:stop] += parts[:, at : at + 1]
                continue
            for place in range(start, stop):  # longer runs for NumPy
                out[:, place] += parts[:, at]
        planes = out.reshape(*shape[:k], n, *shape[k + 1 :])
    return _from_planes(planes.reshape(planes.shape[0], *inputs, planes.shape[-1]), grad)
