"""Correlations of arrays with the batch innermost: what convolutions and their gradients come down to.

The windows of an image overlap, and a matrix with a column for each window (im2col) repeats every
pixel once per element of the kernel. Here the windows are laid out along all spatial dimensions but
the first. What lies in memory then is, row by row of the image, all that windows see of that row, and
the windows of a first coordinate see consecutive rows: their matrix is a piece of this memory, and
the matrices of neighbours overlap. A kernel of 3 x 3 so copies the image 3 times instead of 9, and
nothing is copied around the matrix products, whose results have the batch innermost too.

The gradient for the input needs no scattering either: it is a correlation of the gradient with the
reversed kernel; with a stride of 2 it is four of them, one for each kind of pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_like import threads
from tinygrad_like.ops.windows import Axis, clear_outside, taps

# Bytes of unfolded rows, and of products, to have at a time.
_SCRATCH = 1 << 21


def _product(x: Any, y: Any) -> Any:
    """Return the products of matrices; where the inner size is 1 NumPy's own is 20 times slower."""
    return np.multiply(x, y) if x.shape[-1] == 1 else np.matmul(x, y)


def _unfolded(x: Any, axes: tuple[Axis, ...]) -> Any:
    """Return what windows see of each row of ``(G, C, H, ..., N)``: ``(G, rows, *taps, C, ..., N)``.

    The rows are those that windows along the first axis cover, whose elements are next to each
    other; the taps are the elements of a window on the other axes.
    """
    first, *rest = axes
    rows = (first.count - 1) * first.step + first.taps
    kernel, counts = [a.taps for a in rest], [a.count for a in rest]
    out = np.empty((x.shape[0], rows, *kernel, x.shape[1], *counts, x.shape[-1]), x.dtype)
    x = x.swapaxes(1, 2)
    low = min(max(0, -first.start), rows)
    high = max(low, min(rows, x.shape[1] - first.start))
    if low:
        out[:, :low] = 0
    if high < rows:
        out[:, high:] = 0
    body, x = out[:, low:high], x[:, first.start + low : first.start + high]
    for tap, windows, seen in taps(rest, x.shape[3:-1]):
        target = body[(slice(None), slice(None), *tap)]
        clear_outside(target, windows, 3)
        target[(..., *windows, slice(None))] = x[(..., *seen, slice(None))]
    return out


def _matrices(x: Any, axes: tuple[Axis, ...]) -> Any:
    """Return the matrices of windows ``(G, windows of the first axis, taps * C, other windows * N)``."""
    first, *rest = axes
    if all(a.within(n) for a, n in zip(axes, x.shape[2:], strict=False)):
        seen = (slice(a.start, a.start + a.count) for a in axes)
        x = x[(slice(None), slice(None), *seen)]
        return x.reshape(*x.shape[:3], -1).swapaxes(1, 2)
    unfolded = _unfolded(x, axes)
    size = unfolded.itemsize
    depth = math.prod(a.taps for a in rest) * x.shape[1]
    length = math.prod(a.count for a in rest) * x.shape[-1]
    row = depth * length * size
    return np.ndarray(
        (x.shape[0], first.count, first.taps * depth, length),
        x.dtype,
        unfolded,
        strides=(unfolded.strides[0], first.step * row, length * size, size),
    )


def _by_rows(axes: tuple[Axis, ...], batch: int, outputs: int) -> bool:
    """Whether to take a product for each row of windows: it must not be too narrow for BLAS."""
    return math.prod(a.count for a in axes[1:]) * batch >= outputs


def _unspread(x: Any, axes: tuple[Axis, ...], out: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield parts of ``(G, C, H, ..., N)`` in which a window's rows are neighbours.

    With a dilation of d, windows see every d-th row of the input: the others are another image.
    """
    first, *rest = axes
    spread = first.spread
    if spread == 1:
        yield x, axes, out
        return
    common = math.gcd(first.step, spread)
    for k in range(min(spread // common, first.count)):
        start, offset = divmod(first.start + k * first.step, spread)
        part = out[:, :, k :: spread // common]
        axis = Axis(first.taps, start, first.step // common, 1, part.shape[2])
        yield x[:, :, offset::spread], (axis, *rest), part


def _blocks(x: Any, axes: tuple[Axis, ...], out: Any) -> list[tuple[Any, Any, Any]]:
    """Return parts of a correlation as `_matrices` takes them, each fit for the cache."""
    batch, outputs = x.shape[-1], out.shape[1]
    rows = _by_rows(axes, batch, outputs)
    found = []
    for x_, axes_, out_ in _unspread(x, axes, out) if rows else ((x, axes, out),):
        first, *rest = axes_
        length = math.prod(a.count for a in rest) * batch
        taps = math.prod(a.taps for a in axes_)
        seen = taps // first.taps * first.step if rows else taps
        bytes_ = x.shape[0] * length * max(seen * x.shape[1], outputs) * x.itemsize
        n = max(_SCRATCH // max(bytes_, 1), 2 * first.taps if rows else 1)
        parts = -(-first.count // n)
        for k in range(parts):
            start, stop = (first.count * i // parts for i in (k, k + 1))
            part = first.part(start, stop), *rest
            if rows:
                found.append((x_, part, out_[:, :, start:stop]))
            else:
                part = Axis(1, 0, 1, 1, 1), *part
                found.append((x_[:, :, None], part, out_[:, :, None, start:stop]))
    return found


def _pointwise(x: Any, axes: tuple[Axis, ...], out: Any) -> tuple[Any, Any, Any]:
    """Return the operands with one spatial dimension instead of several, if no pixel sees another."""
    plain = all(a.within(n) and a.count == n for a, n in zip(axes, x.shape[2:], strict=False))
    if len(axes) == 1 or not (plain and x.flags.c_contiguous and out.flags.c_contiguous):
        return x, axes, out
    count = math.prod(x.shape[2:-1])
    x, out = (a.reshape(*a.shape[:2], count, a.shape[-1]) for a in (x, out))
    return x, (Axis(1, 0, 1, 1, count),), out


def _add_products(w: Any, x: Any, axes: tuple[Axis, ...], out: Any) -> None:
    """Add up what each element of the kernel sees, multiplied before it is moved.

    That is better for few outputs of many channels, of which there are fewer numbers to move.
    """
    reach = [
        slice(max(0, a.start), max(0, a.start + a.count + (a.taps - 1) * a.spread)) for a in axes
    ]
    box = x[(slice(None), slice(None), *reach)]
    parts = _product(w, box.reshape(*box.shape[:2], -1))
    parts = parts.reshape(*parts.shape[:1], *[a.taps for a in axes], -1, *box.shape[2:])
    moved = [a._replace(start=min(a.start, 0)) for a in axes]
    out[...] = 0
    for tap, windows, seen in taps(moved, box.shape[2:-1]):
        target = out[(..., *windows, slice(None))]
        target += parts[(slice(None), *tap, slice(None), *seen)]


def correlate(
    x: Any, weight: Any, axes: tuple[Axis, ...], groups: int, out: Any, bias: Any = None
) -> None:
    """Write the correlation of ``(C, H, ..., N)`` with ``(O, C/groups, ...)`` into ``(O, ..., N)``."""
    outputs, kernel = weight.shape[0] // groups, weight.shape[2:]
    if not x.size:
        out[...] = 0
        return
    weight = weight.reshape(groups, outputs, *weight.shape[1:])
    x = x.reshape(groups, -1, *x.shape[1:])
    out = out.reshape(groups, outputs, *out.shape[1:])
    if bias is not None:
        bias = bias.reshape(groups, 1, outputs, 1)
    few = outputs < min(8, x.shape[1]) and math.prod(kernel) > 1 and all(a.step == 1 for a in axes)
    if few:
        w = np.moveaxis(weight, (1, 2), (-2, -1)).reshape(groups, -1, x.shape[1])
    else:
        w = np.ascontiguousarray(np.moveaxis(weight, 2, -1)).reshape(groups, 1, outputs, -1)
    blocks = _blocks(*_pointwise(x, axes, out))

    def work(start: int, stop: int) -> None:
        for x, axes, out in blocks[start:stop]:
            if few:
                _add_products(w, x, axes, out)
                if bias is not None:
                    out += bias.reshape(*bias.shape[::2], *(1,) * (out.ndim - 2))
            else:
                part = _product(w, _matrices(x, axes))
                if bias is not None:
                    part += bias
                target = out.swapaxes(1, 2)
                target[...] = part.reshape(target.shape)

    threads.split(len(blocks), work, out.nbytes * (2 + math.prod(kernel) * x.shape[1] // 16))


def correlate_for_weight(x: Any, grad: Any, axes: tuple[Axis, ...], groups: int) -> Any:
    """Return the gradient ``(O, C/groups, ...)`` of `correlate` for its weight."""
    kernel = [a.taps for a in axes]
    channels, outputs = x.shape[0] // groups, grad.shape[0] // groups
    if not x.size:
        return np.zeros((grad.shape[0], channels, *kernel), x.dtype)
    x = x.reshape(groups, channels, *x.shape[1:])
    grad = grad.reshape(groups, outputs, *grad.shape[1:])
    blocks = _blocks(x, axes, grad)
    sums = np.zeros((len(blocks), groups, outputs, math.prod(kernel) * channels), x.dtype)

    def work(start: int, stop: int) -> None:
        for k in range(start, stop):
            x, axes, grad = blocks[k]
            g = grad.swapaxes(1, 2)
            g = g.reshape(*g.shape[:3], -1)
            np.add.reduce(_product(g, _matrices(x, axes).swapaxes(2, 3)), axis=1, out=sums[k])

    threads.split(len(blocks), work, grad.nbytes * (2 + math.prod(kernel) * channels // 16))
    total = np.add.reduce(sums, axis=0).reshape(-1, *kernel, channels)
    return np.ascontiguousarray(np.moveaxis(total, -1, 1))
