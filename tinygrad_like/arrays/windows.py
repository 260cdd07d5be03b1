"""How windows lie on the spatial dimensions, and images with the batch innermost in memory.

What decides the speed is the layout in memory. With the batch innermost, ``(C, H, W, N)`` behind a
view of shape ``(N, C, H, W)``, each slice that a window takes is a long run of neighbours. Results
have that layout, and NumPy's elementwise functions keep it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import jit, threads


class Geometry(NamedTuple):
    """How windows lie on the spatial dimensions; each field has one entry per dimension.

    Attributes:
        stride: the steps between windows.
        padding: zeros before and after.
        dilation: the steps between a window's elements.
        groups: into how many parts channels are divided, each part seeing only its own.
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


class Axis(NamedTuple):
    """How windows lie on one dimension.

    Attributes:
        taps: the elements of a window.
        start: where the first window begins; before the input if negative.
        step: how far the next window is.
        spread: how far a window's next element is.
        windows: how many windows there are.
    """

    taps: int
    start: int
    step: int
    spread: int
    windows: int

    def part(self, start: int, stop: int) -> Axis:
        """Return some of the windows."""
        return self._replace(start=self.start + start * self.step, windows=stop - start)

    def within(self, n: int) -> bool:
        """Return whether windows of one element follow each other inside an input of `n`."""
        inside = self.start >= 0 and self.start + self.windows <= n
        return inside and self.taps == 1 and self.step == 1

    def seen(self, tap: int, n: int) -> tuple[slice, slice]:
        """Return whose element `tap` is inside an input of `n`, and where in the input it is."""
        first = self.start + tap * self.spread
        low = min(max(0, -(first // self.step)), self.windows)
        high = max(low, min(self.windows, (n - 1 - first) // self.step + 1))
        at = max(0, low * self.step + first)
        return slice(low, high), slice(at, at + (high - low) * self.step, self.step)


def batch_last(x: Any) -> Any:
    """Return ``(N, C, ...)`` as a view ``(C, ..., N)``."""
    return x.transpose(*range(1, x.ndim), 0)


def batch_first(x: Any) -> Any:
    """Return ``(C, ..., N)`` as a view ``(N, C, ...)``."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


@jit.compiled("convolution.transpose", least=4096)
def _transpose(x: Any, out: Any, start: int, stop: int) -> None:
    """Write the columns of ``(N, M)`` from `start` to `stop` into the rows of ``(M, N)``."""
    if x.shape[0] <= 8 or x.strides[0] % 1024:
        out[start:stop] = x[:, start:stop].T
        return
    # Numbers that lie a multiple of such a distance apart are in each other's place in the cache.
    nearer = np.empty((x.shape[0], 1024 + 16), x.dtype)
    for first in range(start, stop, 1024):
        part = nearer[:, : min(1024, stop - first)]
        part[...] = x[:, first : first + part.shape[1]]
        out[first : first + part.shape[1]] = part.T


def images(x: Any) -> Any:
    """Return ``(N, C, ...)`` as ``(C, ..., N)`` with the batch innermost in memory too."""
    xt = batch_last(x)
    if xt.shape[-1] < 2 or xt.strides[-1] == xt.itemsize:
        return xt
    if not x.flags.c_contiguous:
        return np.ascontiguousarray(xt)
    out = np.empty(xt.shape, x.dtype)
    flat, columns = x.reshape(x.shape[0], -1), out.reshape(-1, x.shape[0])

    def work(start: int, stop: int) -> None:
        _transpose(flat, columns, start, stop)

    threads.split(len(columns), work, x.nbytes + out.nbytes)
    return out


@lru_cache(maxsize=256)
def axes_of(
    kernel: tuple[int, ...], counts: tuple[int, ...], geometry: Geometry
) -> tuple[Axis, ...]:
    """Return how windows, whose numbers are given, lie on the input of a convolution."""
    return tuple(
        Axis(taps, -before, step, spread, count)
        for taps, (before, _), step, spread, count in zip(
            kernel, geometry.padding, geometry.stride, geometry.dilation, counts, strict=True
        )
    )


_Tap = tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]


@lru_cache(maxsize=256)
def taps(axes: tuple[Axis, ...], sizes: tuple[int, ...]) -> list[_Tap]:
    """Return each element of a window, which windows have it inside an input, and where it is there."""
    ways = [
        [(tap, *axis.seen(tap, n)) for tap in range(axis.taps)]
        for axis, n in zip(axes, sizes, strict=True)
    ]
    found = []
    for way in product(*ways):
        tap, windows, seen = (tuple(part) for part in zip(*way, strict=True)) if way else ((),) * 3
        found.append((tap, windows, seen))
    return found


def clear_outside(x: Any, box: Sequence[slice], first: int) -> None:
    """Set an array to 0 outside a box that spans the dimensions from `first` on."""
    for k, (n, side) in enumerate(zip(x.shape[first:], box, strict=False), first):
        for outside in (slice(0, side.start), slice(side.stop, n)):
            if outside.start < outside.stop:
                x[(*(slice(None),) * k, outside)] = 0


def as_numbers(axes: Sequence[Axis], sizes: Sequence[int]) -> Any:
    """Return three axes and the sizes of what they lie on as an array, which is what kernels take."""
    rows = [(*axis, n) for axis, n in zip(axes, sizes, strict=True)]
    return np.array([(1, 0, 1, 1, 1, 1)] * (3 - len(rows)) + rows, np.int64)


def from_numbers(numbers: Any) -> tuple[tuple[Axis, ...], list[int]]:
    """Undo `as_numbers`."""
    return tuple(Axis(*row[:5]) for row in numbers.tolist()), numbers[:, 5].tolist()


_Kind = tuple[tuple[slice, ...], tuple[slice, ...], tuple[Axis, ...]]


@lru_cache(maxsize=256)
def kinds_of_pixels(
    sizes: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry
) -> list[_Kind]:
    """Return which pixels of a convolution's input which elements of its kernel see, and from where.

    With a stride of s there are s kinds of pixels in each dimension, and every element of the kernel
    sees one kind. The axes say which windows see a pixel: they are windows on the result.
    """
    ways: list[Any] = []
    for n, taps, (before, _), step, spread in zip(
        sizes, kernel, geometry.padding, geometry.stride, geometry.dilation, strict=True
    ):
        common = math.gcd(step, spread)
        ways.append([])
        for k in range(min(step, n)):
            # Tap t sees the pixel before + k, counted in the padded input, if it is t * spread
            # behind a multiple of the step.
            found = [t for t in range(taps) if (before + k - t * spread) % step == 0]
            count = -(-(n - k) // step)
            last = (before + k - found[-1] * spread) // step if found else 0
            stop = found[0] - 1 if found and found[0] else None
            seen = slice(found[-1], stop, -(step // common)) if found else slice(0, 0)
            axis = Axis(len(found), last, 1, spread // common, count)
            ways[-1].append((slice(k, None, step), seen, axis))
    kinds = []
    for way in product(*ways):
        pixels, elements, axes = zip(*way, strict=True)
        kinds.append((pixels, elements, axes))
    return kinds


def out_sizes_of(sizes: Any, kernel: Any, geometry: Geometry) -> tuple[int, ...]:
    """Return how many windows fit into each spatial dimension."""
    return tuple(
        (n + before + after - dilation * (k - 1) - 1) // step + 1
        for n, k, step, (before, after), dilation in zip(
            sizes, kernel, geometry.stride, geometry.padding, geometry.dilation, strict=True
        )
    )
