"""Pooling in any number of dimensions: the passes over memory.

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
from tinygrad_like.arrays.windows import (
    Axis,
    as_numbers,
    batch_first,
    batch_last,
    from_numbers,
    taps,
)

Pool = tuple[Axis, ...]  # how windows lie on each spatial dimension


LEAST_INNER = 8  # the inner loops of kernels do not pay for fewer neighbours in memory


def planes_of(x: Any, inner: int | None = None) -> Any:
    """Return ``(N, C, ...)`` as ``(planes, ..., inner)``, in the layout it has if `inner` is None."""
    if inner == 1 or (inner is None and x.flags.c_contiguous):
        return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:], 1)
    return np.ascontiguousarray(batch_last(x))


def from_planes(x: Any, like: Any) -> Any:
    """Return ``(planes, ..., inner)`` as ``(N, C, ...)``, N and C being those of `like`."""
    if x.shape[-1] == like.shape[0] > 1:
        return batch_first(x)
    return x.reshape(*like.shape[:2], *x.shape[1:-1])


def by_planes(
    function: Callable[..., None], arrays: tuple[Any, ...], pool: Pool, sizes: Sequence[int]
) -> None:
    """Do ``function(*arrays, axes)`` on some planes at a time.

    The arrays come as ``(planes, pixels or windows, inner)``, the axes as numbers, always three.
    """
    if arrays[0].shape[-1] < LEAST_INNER:
        function = jit.plain(function)
    flat = [a.reshape(a.shape[0], math.prod(a.shape[1:-1]), a.shape[-1]) for a in arrays]
    numbers = as_numbers(pool, sizes)

    def work(start: int, stop: int) -> None:
        function(*(a[start:stop] for a in flat), numbers)

    threads.split(len(flat[0]), work, sum(a.nbytes for a in arrays))


def _spatial(x: Any, windows: Any, numbers: Any) -> tuple[Any, list[Any], Pool]:
    """Undo what `by_planes` does to arrays of pixels, of windows, and to the axes."""
    pool, sizes = from_numbers(numbers)
    counts = [axis.windows for axis in pool]
    x = x.reshape(x.shape[0], *sizes, x.shape[-1])
    return x, [w.reshape(w.shape[0], *counts, w.shape[-1]) for w in windows], pool


def _lowest(d: Any) -> Any:
    return -np.inf if d.kind == "f" else np.iinfo(d).min


def _whole(pool: Pool, windows: tuple[slice, ...]) -> bool:
    return all(w.stop - w.start == axis.windows for w, axis in zip(windows, pool, strict=True))


@jit.compiled("pooling.largest", least=1024)
def largest(x: Any, out: Any, which: Any, axes: Any) -> None:
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
    """Do what `largest` does, also for nans, and where nothing is larger than nothing."""
    unseen = np.ones(out.shape, bool)
    for number, (_, windows, seen) in enumerate(taps(pool, x.shape[1:-1])):
        inside = (slice(None), *windows)
        values = x[(slice(None), *seen)]
        better = (values > out[inside]) | unseen[inside] | (values != values)
        np.copyto(out[inside], values, where=better)
        np.copyto(which[inside], number, where=better)
        unseen[inside] = False


def are_apart(pool: Pool) -> bool:
    """Return whether no element belongs to two windows."""
    return all(a.spread == 1 and a.step >= a.taps for a in pool)


@jit.compiled("pooling.spread", least=1024)
def spread_out(grad: Any, which: Any, out: Any, axes: Any) -> None:
    """Give the gradient of each window to one of its elements."""
    out, (grad, which), pool = _spatial(out, (grad, which), axes)
    # A product with a mask is several times faster than a masked copy, but not right for infinities.
    finite = grad.dtype.kind != "f" or np.isfinite(np.add.reduce(grad, axis=None))
    apart = finite and are_apart(pool)
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


class Mean(NamedTuple):
    """What the sum over a window is divided by."""

    count_include_pad: bool
    divisor: int | None


def window_divisors(inputs: tuple[int, ...], pool: Pool, mean: Mean, d: Any) -> Any:
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


def window_sums(x: Any, out: Any, pool: Pool) -> None:
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


def edges_of(n: int, count: int) -> list[tuple[int, int]]:
    """Return where each of `count` windows over `n` elements begins and ends."""
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


@jit.compiled("pooling.adaptive", least=1024)
def adaptive_largest(x: Any, out: Any, indices: Any, sizes: Any) -> None:
    """Find the largest element of each window and where it is.

    The arrays are ``(planes, pixels, inner)`` and ``(planes, windows, inner)``; of three dimensions,
    `sizes` has the number of pixels and of windows. Of equal elements the first counts, of nans the
    last.
    """
    inputs, counts = sizes.T.tolist()
    x, numbers = x.reshape(len(x), *inputs, -1), np.arange(x.shape[1]).reshape(inputs)
    at = indices.reshape(len(x), *counts, -1)
    edges = [edges_of(n, count) for n, count in zip(inputs, counts, strict=True)]
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


def merged(x: Any, sizes: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return planes and both sizes with one dimension instead of several if there is one window."""
    if max(wanted, default=0) != 1:
        return x, sizes, wanted
    merged = math.prod(x.shape[1:-1])
    return x.reshape(x.shape[0], merged, x.shape[-1]), (math.prod(sizes),), (1,)
