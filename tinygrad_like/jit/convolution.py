"""Kernels of convolution.

Each row of `axes` says of a dimension how many elements a window has, where the first window begins,
how far the next window is, how far a window's next element is, how many windows there are, and how
many pixels.
"""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import inlined, kernel


@kernel
def transpose(x: Any, out: Any, start: int, stop: int) -> None:
    """Write the columns of ``(N, M)`` from `start` to `stop` into the rows of ``(M, N)``."""
    # Eight rows are read at a time: more may be in each other's place in the cache.
    whole = x.shape[0] // 8 * 8
    for n in range(0, whole, 8):
        a, b, c, d = x[n], x[n + 1], x[n + 2], x[n + 3]
        e, f, g, h = x[n + 4], x[n + 5], x[n + 6], x[n + 7]
        for m in range(start, stop):
            to = out[m, n : n + 8]
            to[0], to[1], to[2], to[3] = a[m], b[m], c[m], d[m]
            to[4], to[5], to[6], to[7] = e[m], f[m], g[m], h[m]
    for m in range(start, stop):
        for n in range(whole, x.shape[0]):
            out[m, n] = x[n, m]


@inlined
def _row(axes: Any, window: int, tap: int) -> int:
    """Return the row of pixels where a row of windows has its elements `tap`, -1 if it is outside."""
    d = axes[0, 1] + window // axes[1, 4] * axes[0, 2] + tap // axes[1, 0] * axes[0, 3]
    h = axes[1, 1] + window % axes[1, 4] * axes[1, 2] + tap % axes[1, 0] * axes[1, 3]
    return d * axes[1, 5] + h if 0 <= d < axes[0, 5] and 0 <= h < axes[1, 5] else -1


@inlined
def _inside(axes: Any, tap: int) -> tuple[int, int, int]:
    """Return from which window up to which one the last axis has element `tap` inside, and where."""
    first, step = axes[2, 1] + tap * axes[2, 3], axes[2, 2]
    low = min(max(0, -(first // step)), axes[2, 4])
    high = max(low, min(axes[2, 4], (axes[2, 5] - 1 - first) // step + 1))
    return first + low * step, low, high


@kernel
def single(x: Any, weight: Any, bias: Any, out: Any, axes: Any, start: int, stop: int) -> None:
    """Correlate the one channel that each output from `start` to `stop` sees with its kernel.

    The arrays are ``(C, D * H, W * N)``, ``(O, taps)``, ``(O)`` and ``(O, windows, windows * N)``.
    """
    batch = x.shape[2] // axes[2, 5]
    for o in range(start, stop):
        channel = x[o * x.shape[0] // out.shape[0]]
        for window in range(out.shape[1]):
            row = out[o, window]
            row[:] = bias[o]
            for tap in range(axes[0, 0] * axes[1, 0]):
                pixels = _row(axes, window, tap)
                if pixels < 0:
                    continue
                for k in range(axes[2, 0]):
                    factor = weight[o, tap * axes[2, 0] + k]
                    first, low, high = _inside(axes, k)
                    if axes[2, 2] == 1:
                        seen = channel[pixels, first * batch : (first + high - low) * batch]
                        target = row[low * batch : high * batch]
                        for n in range(target.shape[0]):
                            target[n] += factor * seen[n]
                        continue
                    for w in range(low, high):
                        at = (first + (w - low) * axes[2, 2]) * batch
                        for n in range(batch):
                            row[w * batch + n] += factor * channel[pixels, at + n]


@kernel
def single_weight(x: Any, grad: Any, out: Any, axes: Any, start: int, stop: int) -> None:
    """Find the gradient of `single` for the kernels of outputs from `start` to `stop`."""
    batch = x.shape[2] // axes[2, 5]
    for o in range(start, stop):
        channel = x[o * x.shape[0] // out.shape[0]]
        out[o] = 0
        for window in range(grad.shape[1]):
            for tap in range(axes[0, 0] * axes[1, 0]):
                pixels = _row(axes, window, tap)
                if pixels < 0:
                    continue
                for k in range(axes[2, 0]):
                    first, low, high = _inside(axes, k)
                    total = grad.dtype.type(0)
                    if axes[2, 2] == 1:
                        seen = channel[pixels, first * batch : (first + high - low) * batch]
                        g = grad[o, window, low * batch : high * batch]
                        for n in range(g.shape[0]):
                            total += g[n] * seen[n]
                    else:
                        for w in range(low, high):
                            at = (first + (w - low) * axes[2, 2]) * batch
                            for n in range(batch):
                                total += grad[o, window, w * batch + n] * channel[pixels, at + n]
                    out[o, tap * axes[2, 0] + k] += total
