"""The ops that pooling is made of, in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import op


class Pool(NamedTuple):
    """How windows lie on the spatial dimensions; each field has one entry per dimension.

    Attributes:
        kernel: the size of a window.
        stride: the steps between windows.
        padding: how far the first window begins before the input.
        dilation: the steps between a window's elements.
        sizes: how many windows there are.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether no element belongs to two windows and none lies outside the input."""
        return (
            all(s >= k for s, k in zip(self.stride, self.kernel, strict=True))
            and not any(self.padding)
            and all(d == 1 for d in self.dilation)
        )


class Piece(NamedTuple):
    """One place in the kernel: which windows have it inside the input, and what they see there."""

    windows: tuple[Any, ...]
    seen: tuple[Any, ...]
    whole: bool  # all windows have it
    offset: tuple[int, ...]


def _pieces(inputs: tuple[int, ...], pool: Pool) -> Iterator[Piece]:
    """Yield the places in the kernel, the first first: no padded copy of the input is needed."""
    ranges: list[list[tuple[slice, slice, bool, int]]] = []
    for n, k, step, before, dilation, count in zip(inputs, *pool, strict=True):
        places = []
        for at in range(k):
            offset = at * dilation - before
            low = max(0, -(offset // step))
            high = min(count, (n - 1 - offset) // step + 1)
            if low < high:
                start = low * step + offset
                seen = slice(start, start + (high - low - 1) * step + 1, step)
                places.append((slice(low, high), seen, low == 0 and high == count, offset))
        ranges.append(places)
    for place in product(*ranges):
        windows, seen, whole, offset = zip(*place, strict=True)
        yield Piece((..., *windows), (..., *seen), all(whole), offset)


def _in_layout(x: Any, model: Any) -> Any:
    """Return `x` with the axes in memory in the order they have in `model`, of the same shape."""
    if x.strides == model.strides:
        return x
    out = np.empty_like(model, x.dtype)
    out[...] = x
    return out


# ----- The largest of each window -----------------------------------------------------------------


def _lowest(d: Any) -> Any:
    return -np.inf if d.kind == "f" else np.iinfo(d).min


def _flat(piece: Piece, inputs: tuple[int, ...], pool: Pool) -> Any:
    """Return for the windows of a piece where in the flattened input they see it."""
    count = len(inputs)
    flat: Any = 0
    for k in range(count):
        chosen = piece.windows[k + 1]
        at = np.arange(chosen.start, chosen.stop) * pool.stride[k] + piece.offset[k]
        at *= math.prod(inputs[k + 1 :])
        flat = flat + at.reshape([-1 if i == k else 1 for i in range(count)])
    return flat


def _largest(x: Any, pool: Pool) -> tuple[Any, Any]:
    """Return the largest element of each window and where it is in the flattened input.

    Of equal elements the first counts, of nans the last.
    """
    inputs = x.shape[-len(pool.sizes) :]
    shape = (*x.shape[: x.ndim - len(inputs)], *pool.sizes)
    best = np.full(shape, _lowest(x.dtype), x.dtype)
    where = np.full(shape, -1, np.int64)
    for piece in _pieces(inputs, pool):
        seen, so_far, places = x[piece.seen], best[piece.windows], where[piece.windows]
        better = (seen > so_far) | (places < 0)
        if x.dtype.kind == "f":
            better |= np.isnan(seen)
        np.copyto(so_far, seen, where=better)
        np.copyto(places, _flat(piece, inputs, pool), where=better)
    return best, where


def _winners(x: Any, out: Any, pool: Pool) -> Iterator[tuple[Piece, Any]]:
    """Yield the places in the kernel, each with which windows have their largest element there."""
    inputs = x.shape[-len(pool.sizes) :]
    pieces = list(_pieces(inputs, pool))
    if out.dtype.kind == "f" and np.isnan(np.add.reduce(out, axis=None)) and np.isnan(out).any():
        where = _largest(x, pool)[1]
        for piece in pieces:
            yield piece, where[piece.windows] == _flat(piece, inputs, pool)
        return
    undecided = None
    for number, piece in enumerate(pieces):
        if undecided is None:
            won = x[piece.seen] == out[piece.windows]
            if piece.whole and len(pieces) > 1:
                undecided = ~won
            elif not piece.whole:
                undecided = np.ones_like(out, bool)
                undecided[piece.windows] ^= won
        elif piece.whole and number == len(pieces) - 1:
            won = undecided  # whose element was not found so far has it in the last place
        else:
            won = x[piece.seen] == out[piece.windows]
            won &= undecided[piece.windows]
            undecided[piece.windows] ^= won
        yield piece, won


@op(
    grad=lambda g, x, out_of_x, pool: max_pool_pick(g, x, out_of_x, pool),
    label="MaxPool2DWithIndicesBackward",
)
def max_pool_backward(grad: Array, x: Array, out_of_x: Array, pool: Pool) -> Array:
    """Return the gradient of max pooling for its input: each window's goes to its largest element."""
    grad = _in_layout(grad, out_of_x)
    # A product with a mask is several times faster than a masked copy, but not right for infinities.
    finite = grad.dtype.kind != "f" or np.isfinite(np.add.reduce(grad, axis=None))
    covered = pool.apart and all(
        n == k * count and k == s
        for n, k, s, count in zip(
            x.shape[-len(pool.sizes) :], pool.kernel, pool.stride, pool.sizes, strict=True
        )
    )
    out = np.empty_like(x) if covered and finite else np.zeros_like(x)
    for piece, won in _winners(x, out_of_x, pool):
        target, g = out[piece.seen], grad[piece.windows]
        if not finite:
            np.add(target, g, out=target, where=won)
        elif pool.apart:
            np.multiply(g, won, out=target)
        else:
            target += g * won
    return out


@op(
    values=lambda g, x, out_of_x, pool: max_pool_backward(g, x, out_of_x, pool),
    label="MaxPool2DWithIndicesBackward",
)
def max_pool_pick(values: Array, x: Array, out_of_x: Array, pool: Pool) -> Array:
    """Return of `values` those that stand where the windows of `x` have their largest elements."""
    out = np.zeros_like(out_of_x, values.dtype)
    for piece, won in _winners(x, out_of_x, pool):
        np.copyto(out[piece.windows], values[piece.seen], where=won)
    return out


@op(
    x=lambda g, x, out, pool: max_pool_backward(g, x, out, pool),
    label="MaxPool2DWithIndices",
)
def max_pool(x: Array, pool: Pool) -> Array:
    """Return the largest element of each window of ``(N, C, ...)``."""
    out = None
    for piece in _pieces(x.shape[-len(pool.sizes) :], pool):
        seen = x[piece.seen]
        if out is None:
            if piece.whole:
                out = seen.copy("K")
                continue
            shape = (*x.shape[: x.ndim - len(pool.sizes)], *pool.sizes)
            out = np.full_like(x, _lowest(x.dtype), shape=shape)
        part = out[piece.windows]
        np.maximum(part, seen, out=part)
    assert out is not None
    return out


# ----- Scattering over planes ---------------------------------------------------------------------


@op(values=lambda g, indices: gather_planes(g, indices))
def scatter_planes(values: Array, indices: Array, sizes: tuple[int, ...]) -> Array:
    """Return planes of zeros, ``(N, C, *sizes)``, with `values` added at flat `indices` of each."""
    planes, size = math.prod(values.shape[:2]), math.prod(sizes)
    out = np.zeros(planes * size, values.dtype)
    flat = indices.reshape(planes, -1) + np.arange(planes)[:, None] * size
    np.add.at(out, flat.reshape(-1), values.reshape(-1))
    return out.reshape(*values.shape[:2], *sizes)


@op(x=lambda g, x_shape, indices: scatter_planes(g, indices, tuple(x_shape[2:])))
def gather_planes(x: Array, indices: Array) -> Array:
    """Return the elements at flat `indices` of each plane of ``(N, C, ...)``."""
    planes = x.reshape(*x.shape[:2], -1)
    chosen = indices.reshape(*indices.shape[:2], -1)
    return np.take_along_axis(planes, chosen, 2).reshape(indices.shape)


@op(
    x=lambda g, x_shape, out: scatter_planes(g[0], out[1], tuple(x_shape[2:])),
    several=True,
    label="MaxPool2DWithIndices",
)
def max_pool_with_indices(x: Array, pool: Pool) -> Any:
    """Return the largest element of each window and its index in the flattened plane."""
    return _largest(x, pool)


def _adaptive_edges(n: int, count: int) -> list[tuple[int, int]]:
    """Return where each of `count` windows over `n` elements begins and ends."""
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


@op(
    x=lambda g, x_shape, out: scatter_planes(g[0], out[1], tuple(x_shape[2:])),
    several=True,
    label="AdaptiveMaxPool2D",
)
def adaptive_max_pool(x: Array, sizes: tuple[int, ...]) -> Any:
    """Return the largest element of each window and its index in the flattened plane."""
    inputs = x.shape[2:]
    out: Any = np.empty((*x.shape[:2], *sizes), x.dtype)
    indices: Any = np.empty(out.shape, np.int64)
    numbers: Any = np.arange(math.prod(inputs)).reshape(inputs)
    edges = [_adaptive_edges(n, count) for n, count in zip(inputs, sizes, strict=True)]
    for cell in product(*map(range, sizes)):
        box = tuple(slice(*edge[at]) for edge, at in zip(edges, cell, strict=True))
        seen = x[(..., *box)].reshape(*x.shape[:2], -1)
        # Of equal elements the first counts, of nans the last.
        at = seen.argmax(2)
        nans = np.isnan(seen) if x.dtype.kind == "f" else None
        if nans is not None and nans.any():
            last = seen.shape[2] - 1 - nans[:, :, ::-1].argmax(2)
            at = np.where(nans.any(2), last, at)
        out[(..., *cell)] = np.take_along_axis(seen, at[:, :, None], 2)[:, :, 0]
        indices[(..., *cell)] = numbers[box].reshape(-1)[at]
    return out, indices


# ----- The mean of each window --------------------------------------------------------------------


class Mean(NamedTuple):
    """What the sum over a window is divided by."""

    count_include_pad: bool
    divisor: int | None


def _divisors(inputs: tuple[int, ...], pool: Pool, mean: Mean, d: Any) -> Any:
    """Return a number, or an array of the shape of the windows."""
    if mean.divisor is not None:
        return float(mean.divisor)
    whole = math.prod(pool.kernel)
    counts: Any = 1
    count = len(inputs)
    for k, (n, size, step, before, windows) in enumerate(
        zip(inputs, pool.kernel, pool.stride, pool.padding, pool.sizes, strict=True)
    ):
        start = np.arange(windows) * step - before
        stop = np.minimum(start + size, n + before)
        if not mean.count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        counts = counts * (stop - start).reshape([-1 if i == k else 1 for i in range(count)])
    if (counts == whole).all():
        return float(whole)
    return counts.astype(d)


@op(
    x=lambda g, x_shape, pool, mean: avg_pool_backward(g, tuple(x_shape[2:]), pool, mean),
    label="AvgPool2D",
)
def avg_pool(x: Array, pool: Pool, mean: Mean) -> Array:
    """Return the mean of each window of ``(N, C, ...)``."""
    inputs = x.shape[2:]
    out = None
    for piece in _pieces(inputs, pool):
        seen = x[piece.seen]
        if out is None:
            if piece.whole:
                out = seen.copy("K")
                continue
            out = np.zeros_like(x, shape=(*x.shape[:2], *pool.sizes))
        part = out[piece.windows]
        part += seen
    assert out is not None
    divisors = _divisors(inputs, pool, mean, x.dtype)
    if out.dtype.kind != "f":
        return np.floor_divide(out, np.asarray(divisors, out.dtype), out=out)
    out /= divisors
    return out


@op(
    grad=lambda g, pool, mean: avg_pool(g, pool, mean),
    label="AvgPool2DBackward",
)
def avg_pool_backward(grad: Array, inputs: tuple[int, ...], pool: Pool, mean: Mean) -> Array:
    """Return the gradient of average pooling for its input, whose spatial sizes are given."""
    g = grad / _divisors(inputs, pool, mean, grad.dtype)
    out = np.zeros_like(grad, shape=(*grad.shape[:2], *inputs))
    for piece in _pieces(inputs, pool):
        part = out[piece.seen]
        if pool.apart:
            part[...] = g[piece.windows]
        else:
            part += g[piece.windows]
    return out


@op(
    x=lambda g, matrices: adaptive_avg_pool(g, tuple(m.T for m in matrices)),
    label="AdaptiveAvgPool2D",
)
def adaptive_avg_pool(x: Array, matrices: tuple[Any, ...]) -> Array:
    """Return ``(N, C, ...)`` with each spatial dimension multiplied by its matrix."""
    for axis, matrix in enumerate(matrices, 2):
        moved = np.moveaxis(x, axis, -1)
        x = np.moveaxis(np.matmul(moved, matrix.T.astype(x.dtype)), -1, axis)
    return x


def averaging(n: int, count: int) -> Any:
    """Return the matrix that takes the mean of each of `count` windows over `n` elements."""
    matrix = np.zeros((count, n))
    for row, (start, stop) in zip(matrix, _adaptive_edges(n, count), strict=True):
        row[start:stop] = 1 / (stop - start)
    return matrix
