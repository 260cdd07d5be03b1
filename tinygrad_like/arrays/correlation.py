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

from tinygrad_like import jit, threads
from tinygrad_like.arrays.windows import Axis, as_numbers, clear_outside, from_numbers, taps

# Bytes of unfolded rows, and of products, to have at a time.
_SCRATCH = 1 << 22


def _product(x: Any, y: Any, out: Any = None) -> Any:
    """Return the products of matrices; where the inner size is 1 NumPy's own is 20 times slower."""
    return np.multiply(x, y, out=out) if x.shape[-1] == 1 else np.matmul(x, y, out=out)


def _unfolded(x: Any, axes: tuple[Axis, ...]) -> Any:
    """Return what windows see of each row of ``(G, C, H, ..., N)``: ``(G, rows, *taps, C, ..., N)``.

    The rows are those that windows along the first axis cover, whose elements are next to each
    other; the taps are the elements of a window on the other axes.
    """
    first, *rest = axes
    rows = (first.windows - 1) * first.step + first.taps
    kernel, counts = [a.taps for a in rest], [a.windows for a in rest]
    out: Any = np.empty((x.shape[0], rows, *kernel, x.shape[1], *counts, x.shape[-1]), x.dtype)
    x = x.swapaxes(1, 2)
    low = min(max(0, -first.start), rows)
    high = max(low, min(rows, x.shape[1] - first.start))
    if low:
        out[:, :low] = 0
    if high < rows:
        out[:, high:] = 0
    body, x = out[:, low:high], x[:, first.start + low : first.start + high]
    for tap, windows, seen in taps(tuple(rest), x.shape[3:-1]):
        target = body[(slice(None), slice(None), *tap)]
        clear_outside(target, windows, 3)
        target[(..., *windows, slice(None))] = x[(..., *seen, slice(None))]
    return out


def _matrices(x: Any, axes: tuple[Axis, ...]) -> Any:
    """Return the matrices of windows ``(G, windows of the first axis, taps * C, other windows * N)``."""
    first, *rest = axes
    if all(a.within(n) for a, n in zip(axes, x.shape[2:], strict=False)):
        seen = (slice(a.start, a.start + a.windows) for a in axes)
        x = x[(slice(None), slice(None), *seen)]
        return x.reshape(*x.shape[:3], -1).swapaxes(1, 2)
    unfolded = _unfolded(x, axes)
    size = unfolded.itemsize
    depth = math.prod(a.taps for a in rest) * x.shape[1]
    length = math.prod(a.windows for a in rest) * x.shape[-1]
    row = depth * length * size
    return np.ndarray(
        (x.shape[0], first.windows, first.taps * depth, length),
        x.dtype,
        unfolded,
        strides=(unfolded.strides[0], first.step * row, length * size, size),
    )


def _by_rows(axes: tuple[Axis, ...], batch: int, outputs: int) -> bool:
    """Whether to take a product for each row of windows: it must not be too narrow for BLAS."""
    return math.prod(a.windows for a in axes[1:]) * batch >= outputs


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
    for k in range(min(spread // common, first.windows)):
        start, offset = divmod(first.start + k * first.step, spread)
        part = out[:, :, k :: spread // common]
        axis = Axis(first.taps, start, first.step // common, 1, part.shape[2])
        yield x[:, :, offset::spread], (axis, *rest), part


def _blocks(x: Any, axes: tuple[Axis, ...], out: Any) -> list[tuple[Any, Any, Any]]:
    """Return parts of a correlation as `_matrices` takes them, each fit for the cache."""
    batch, outputs, workers = x.shape[-1], out.shape[1], threads.get_num_threads()
    rows = _by_rows(axes, batch, outputs)
    found = []
    for x_, axes_, out_ in _unspread(x, axes, out) if rows else ((x, axes, out),):
        first, *rest = axes_
        length = math.prod(a.windows for a in rest) * batch
        taps = math.prod(a.taps for a in axes_)
        seen = taps // first.taps * first.step if rows else taps
        bytes_ = x.shape[0] * length * max(seen * x.shape[1], outputs) * x.itemsize
        n = max(_SCRATCH // max(bytes_, 1), 2 * first.taps if rows else 1)
        parts = -(-first.windows // n)
        if workers > 1 and bytes_ * first.windows >= _SCRATCH // 2:
            parts = max(parts, min(2 * workers, first.windows))
        for k in range(parts):
            start, stop = (first.windows * i // parts for i in (k, k + 1))
            part = first.part(start, stop), *rest
            if rows:
                found.append((x_, part, out_[:, :, start:stop]))
            else:
                part = Axis(1, 0, 1, 1, 1), *part
                found.append((x_[:, :, None], part, out_[:, :, None, start:stop]))
    return found


def _pointwise(x: Any, axes: tuple[Axis, ...], out: Any) -> tuple[Any, Any, Any]:
    """Return the operands with one spatial dimension instead of several, if no pixel sees another."""
    plain = all(a.within(n) and a.windows == n for a, n in zip(axes, x.shape[2:], strict=False))
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
        slice(max(0, a.start), max(0, a.start + a.windows + (a.taps - 1) * a.spread)) for a in axes
    ]
    box = x[(slice(None), slice(None), *reach)]
    parts = _product(w, box.reshape(*box.shape[:2], math.prod(box.shape[2:])))
    shape = (*[a.taps for a in axes], out.shape[1], *box.shape[2:])
    parts = parts.reshape(len(parts), *shape)
    moved = tuple(a._replace(start=min(a.start, 0)) for a in axes)
    out[...] = 0
    for tap, windows, seen in taps(moved, box.shape[2:-1]):
        target = out[(..., *windows, slice(None))]
        target += parts[(slice(None), *tap, slice(None), *seen)]


def correlate(
    x: Any, weight: Any, axes: tuple[Axis, ...], groups: int, out: Any, bias: Any = None
) -> None:
    """Write the correlation of ``(C, H, ..., N)`` with ``(O, C/groups, ...)`` into ``(O, ..., N)``."""
    if not x.size:
        out[...] = 0
    elif weight.shape[1] == 1 and _for_kernels(x, out):
        w = np.ascontiguousarray(weight).reshape(len(out), -1)
        bias = np.zeros(len(out), out.dtype) if bias is None else bias
        images, results, numbers = _rows(x), _rows(out), as_numbers(axes, x.shape[1:-1])

        def work(start: int, stop: int) -> None:
            _single(images, w, bias, results, numbers, start, stop)

        threads.split(len(out), work, out.nbytes * (1 + w.shape[1]))
    else:
        _correlate(x, weight, axes, groups, out, bias)


def _correlate(
    x: Any, weight: Any, axes: tuple[Axis, ...], groups: int, out: Any, bias: Any
) -> None:
    outputs, kernel = weight.shape[0] // groups, weight.shape[2:]
    weight = weight.reshape(groups, outputs, *weight.shape[1:])
    x = x.reshape(groups, -1, *x.shape[1:])
    out = out.reshape(groups, outputs, *out.shape[1:])
    if bias is not None:
        bias = bias.reshape(groups, 1, outputs, 1)
    few = outputs < min(8, x.shape[1]) and math.prod(kernel) > 1 and all(a.step == 1 for a in axes)
    if few:
        w = weight.transpose(0, *range(3, weight.ndim), 1, 2).reshape(groups, -1, x.shape[1])
    else:
        w = weight.transpose(0, 1, *range(3, weight.ndim), 2)
        w = np.ascontiguousarray(w).reshape(groups, 1, outputs, -1)
    blocks = _blocks(*_pointwise(x, axes, out))

    def work(start: int, stop: int) -> None:
        for x, axes, out in blocks[start:stop]:
            if few:
                _add_products(w, x, axes, out)
                if bias is not None:
                    out += bias.reshape(*bias.shape[::2], *(1,) * (out.ndim - 2))
                continue
            target = out.swapaxes(1, 2)
            direct = out[0, 0, 0].flags.c_contiguous
            rows = target.reshape(*target.shape[:3], -1) if direct else None
            rows = _product(w, _matrices(x, axes), rows)
            if bias is not None:
                rows += bias
            if not direct:
                target[...] = rows.reshape(target.shape)

    threads.split(len(blocks), work, out.nbytes * (2 + math.prod(kernel) * x.shape[1] // 16))


def correlate_for_weight(x: Any, grad: Any, axes: tuple[Axis, ...], groups: int) -> Any:
    """Return the gradient ``(O, C/groups, ...)`` of `correlate` for its weight."""
    shape = (len(grad), len(x) // groups, *(a.taps for a in axes))
    if not x.size:
        return np.zeros(shape, x.dtype)
    if shape[1] > 1 or not _for_kernels(x, grad):
        return _correlate_for_weight(x, grad, axes, groups)
    out = np.empty((len(grad), math.prod(shape[1:])), x.dtype)
    images, results, numbers = _rows(x), _rows(grad), as_numbers(axes, x.shape[1:-1])

    def work(start: int, stop: int) -> None:
        _single_weight(images, results, out, numbers, start, stop)

    threads.split(len(out), work, grad.nbytes * (1 + out.shape[1]))
    return out.reshape(shape)


def _correlate_for_weight(x: Any, grad: Any, axes: tuple[Axis, ...], groups: int) -> Any:
    kernel = [a.taps for a in axes]
    channels, outputs = x.shape[0] // groups, grad.shape[0] // groups
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


# ----- Outputs that see one channel ---------------------------------------------------------------


def _for_kernels(x: Any, out: Any) -> bool:
    """Return whether there are kernels for such arrays; else their NumPy versions only take longer."""
    return jit.enabled() and x.ndim <= 5 and x.flags.c_contiguous and out.flags.c_contiguous


def _rows(x: Any) -> Any:
    """Return ``(C, ..., W, N)`` as ``(C, rows, W * N)``."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:-2]), -1)


def _spatial(x: Any, out: Any, numbers: Any) -> tuple[Any, Any, tuple[Axis, ...]]:
    """Undo `_rows` for pixels and for windows, and return the axes."""
    axes, sizes = from_numbers(numbers)
    counts = (a.windows for a in axes)
    return x.reshape(len(x), *sizes, -1), out.reshape(len(out), *counts, -1), axes


@jit.compiled("convolution.single", least=1024)
def _single(x: Any, weight: Any, bias: Any, out: Any, numbers: Any, start: int, stop: int) -> None:
    """Correlate the one channel that each output from `start` to `stop` sees with its kernel.

    The arrays are ``(C, D * H, W * N)``, ``(O, taps)``, ``(O)`` and ``(O, windows, windows * N)``.
    """
    x, out, axes = _spatial(x, out, numbers)
    for o in range(start, stop):
        c, kernel = o * len(x) // len(out), (a.taps for a in axes)
        w = weight[o].reshape(1, 1, *kernel)
        _correlate(x[c : c + 1], w, axes, 1, out[o : o + 1], bias[o : o + 1])


@jit.compiled("convolution.single_weight", least=1024)
def _single_weight(x: Any, grad: Any, out: Any, numbers: Any, start: int, stop: int) -> None:
    """Find the gradient of `_single` for the kernels of outputs from `start` to `stop`."""
    x, grad, axes = _spatial(x, grad, numbers)
    for o in range(start, stop):
        c = o * len(x) // len(out)
        out[o] = _correlate_for_weight(x[c : c + 1], grad[o : o + 1], axes, 1).reshape(-1)
