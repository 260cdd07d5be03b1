"""Kernels of pooling, on ``(planes, pixels, inner)`` and ``(planes, windows, inner)``.

Each row of `axes` says of a dimension how many elements a window has, where the first window begins,
how far the next window is, how far a window's next element is, how many windows there are, and how
many pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.jit.compiler import inlined, kernel
from tinygrad_like.jit.mathematics import choose


@inlined
def _next(axes: Any, tap: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the element of a window after `tap`, its coordinates counted along the window."""
    d, h, w = tap
    w += 1
    if w == axes[2, 0]:
        h, w = h + 1, 0
    if h == axes[1, 0]:
        d, h = d + 1, 0
    return d, h, w


@inlined
def _seen(axes: Any, window: tuple[int, int, int], tap: tuple[int, int, int]) -> int:
    """Return which pixel an element of a window is, -1 if it lies outside."""
    d = axes[0, 1] + window[0] * axes[0, 2] + tap[0] * axes[0, 3]
    h = axes[1, 1] + window[1] * axes[1, 2] + tap[1] * axes[1, 3]
    w = axes[2, 1] + window[2] * axes[2, 2] + tap[2] * axes[2, 3]
    inside = 0 <= d < axes[0, 5] and 0 <= h < axes[1, 5] and 0 <= w < axes[2, 5]
    return (d * axes[1, 5] + h) * axes[2, 5] + w if inside else -1


@inlined
def _beat(best: Any, which: Any, a: Any, i: int, b: Any, j: int) -> None:
    """Let elements number i and j of some windows compete with the best so far."""
    for n in range(best.shape[0]):
        value, number = best[n], np.int32(which[n])
        better = (a[n] > value) | (a[n] != a[n])
        value, number = choose(better, a[n], value), choose(better, np.int32(i), number)
        better = (b[n] > value) | (b[n] != b[n])
        best[n], which[n] = choose(better, b[n], value), choose(better, np.int32(j), number)


@kernel
def largest(x: Any, out: Any, which: Any, axes: Any) -> None:
    """Find the largest element of each window, and which element of the window it is."""
    count = axes[0, 0] * axes[1, 0] * axes[2, 0]
    for p in range(x.shape[0]):
        o = 0
        for d in range(axes[0, 4]):
            for h in range(axes[1, 4]):
                for w in range(axes[2, 4]):
                    first, i, tap, seen = -1, 0, (0, 0, 0), False
                    for number in range(count + 1):  # the last is for an element without a partner
                        j, second = number, first
                        if number < count:
                            second = _seen(axes, (d, h, w), tap)
                            tap = _next(axes, tap)
                        elif first >= 0:
                            j = i
                        if second < 0:
                            continue
                        if not seen:
                            seen = True
                            for n in range(x.shape[2]):
                                out[p, o, n] = x[p, second, n]
                                which[p, o, n] = j
                        elif first < 0:
                            first, i = second, j
                        else:
                            _beat(out[p, o], which[p, o], x[p, first], i, x[p, second], j)
                            first = -1
                    o += 1


@kernel
def spread(grad: Any, which: Any, out: Any, axes: Any) -> None:
    """Give the gradient of each window to one of its elements."""
    count = axes[0, 0] * axes[1, 0] * axes[2, 0]
    zero = grad.dtype.type(0)
    for p in range(grad.shape[0]):
        out[p] = zero
        o = 0
        for d in range(axes[0, 4]):
            for h in range(axes[1, 4]):
                for w in range(axes[2, 4]):
                    tap = (0, 0, 0)
                    for number in range(count):
                        pixel = _seen(axes, (d, h, w), tap)
                        tap = _next(axes, tap)
                        if pixel >= 0:
                            for n in range(grad.shape[2]):
                                hit = np.int32(which[p, o, n]) == np.int32(number)
                                out[p, pixel, n] += choose(hit, grad[p, o, n], zero)
                    o += 1


@inlined
def _edge(sizes: Any, axis: int, window: int) -> int:
    edge: int = window * sizes[axis, 0] // sizes[axis, 1]
    return edge


@kernel
def adaptive(x: Any, out: Any, indices: Any, sizes: Any) -> None:
    """Find the largest element of each of as many windows as wanted, and where it is.

    Of each dimension, `sizes` has the number of pixels and of windows.
    """
    for p in range(x.shape[0]):
        o = 0
        for d in range(sizes[0, 1]):
            for h in range(sizes[1, 1]):
                for w in range(sizes[2, 1]):
                    d0, h0, w0 = (_edge(sizes, 0, d), _edge(sizes, 1, h), _edge(sizes, 2, w))
                    first = (d0 * sizes[1, 0] + h0) * sizes[2, 0] + w0
                    for n in range(x.shape[2]):
                        out[p, o, n] = x[p, first, n]
                        indices[p, o, n] = first
                    for i in range(d0, -_edge(sizes, 0, -d - 1)):
                        for j in range(h0, -_edge(sizes, 1, -h - 1)):
                            row = (i * sizes[1, 0] + j) * sizes[2, 0]
                            for k in range(row + w0, row - _edge(sizes, 2, -w - 1)):
                                for n in range(x.shape[2]):
                                    v, best = x[p, k, n], out[p, o, n]
                                    better = (v > best) | (v != v)
                                    out[p, o, n] = choose(better, v, best)
                                    indices[p, o, n] = choose(better, k, indices[p, o, n])
                    o += 1
