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
