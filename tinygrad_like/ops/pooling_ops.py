"""The ops that pooling is made of, in any number of dimensions.

The passes over memory, and how arrays lie in it, are in `tinygrad_like.arrays.pooling`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import jit, threads
from tinygrad_like.arrays.pooling import (
    LEAST_INNER,
    Mean,
    Pool,
    adaptive_largest,
    are_apart,
    by_planes,
    edges_of,
    from_planes,
    largest,
    merged,
    planes_of,
    spread_out,
    window_divisors,
    window_sums,
)
from tinygrad_like.arrays.windows import taps
from tinygrad_like.graph import Array
from tinygrad_like.op import op

# ----- The largest of each window -----------------------------------------------------------------


@op(
    grad=lambda g, which, pool: max_pool_pick(g, which, pool),
    label="MaxPool2DWithIndicesBackward",
)
def max_pool_backward(grad: Array, which: Any, sizes: tuple[int, ...], pool: Pool) -> Array:
    """Return the gradient of max pooling for its input, whose spatial sizes are given.

    That of each window goes to its largest element.
    """
    g = planes_of(grad, which.shape[-1])
    out = np.empty((which.shape[0], *sizes, which.shape[-1]), g.dtype)
    by_planes(spread_out, (g, which, out), pool, sizes)
    return from_planes(out, grad)


@op(
    values=lambda g, values_shape, which, pool: max_pool_backward(
        g, which, tuple(values_shape[2:]), pool
    ),
    label="MaxPool2DWithIndicesBackward",
)
def max_pool_pick(values: Array, which: Any, pool: Pool) -> Array:
    """Return of `values` those that stand where the windows have their largest elements."""
    v = planes_of(values, which.shape[-1])
    out = np.zeros(which.shape, v.dtype)
    for number, (_, windows, seen) in enumerate(taps(pool, v.shape[1:-1])):
        inside = (slice(None), *windows)
        np.copyto(out[inside], v[(slice(None), *seen)], where=which[inside] == number)
    return from_planes(out, values)


def _max_pool(x: Any, pool: Pool) -> tuple[Any, Any]:
    planes, count = planes_of(x), math.prod(a.taps for a in pool)
    out = np.empty((planes.shape[0], *(a.windows for a in pool), planes.shape[-1]), x.dtype)
    which = np.empty(out.shape, np.uint8 if count <= 256 else np.int32)
    by_planes(largest, (planes, out, which), pool, x.shape[2:])
    return out, which


@op(
    x=lambda g, x_shape, which, pool: max_pool_backward(g, which, tuple(x_shape[2:]), pool),
    keeps=("which",),
    label="MaxPool2DWithIndices",
)
def max_pool(x: Array, pool: Pool) -> Any:
    """Return the largest element of each window of ``(N, C, ...)``."""
    out, which = _max_pool(x, pool)
    return from_planes(out, x), which


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
    return (from_planes(out, x), from_planes(indices, x)), which


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


@op(
    x=lambda g, x_shape, pool, mean: avg_pool_backward(g, tuple(x_shape[2:]), pool, mean),
    label="AvgPool2D",
)
def avg_pool(x: Array, pool: Pool, mean: Mean) -> Array:
    """Return the mean of each window of ``(N, C, ...)``."""
    planes = planes_of(x)
    out = np.empty((planes.shape[0], *(a.windows for a in pool), planes.shape[-1]), x.dtype)
    divisors = window_divisors(x.shape[2:], pool, mean, x.dtype)

    def work(start: int, stop: int) -> None:
        sums = out[start:stop]
        window_sums(planes[start:stop], sums, pool)
        if out.dtype.kind == "f":
            sums /= divisors
        else:
            np.floor_divide(sums, np.asarray(divisors, out.dtype), out=sums)

    threads.split(len(planes), work, planes.nbytes + out.nbytes)
    return from_planes(out, x)


@op(
    grad=lambda g, pool, mean: avg_pool(g, pool, mean),
    label="AvgPool2DBackward",
)
def avg_pool_backward(grad: Array, inputs: tuple[int, ...], pool: Pool, mean: Mean) -> Array:
    """Return the gradient of average pooling for its input, whose spatial sizes are given."""
    g = planes_of(grad)
    out = np.empty((g.shape[0], *inputs, g.shape[-1]), g.dtype)
    divisors = window_divisors(inputs, pool, mean, g.dtype)
    apart = are_apart(pool)

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
    return from_planes(out, grad)


# ----- As many windows as wanted ------------------------------------------------------------------


@op(
    x=lambda g, x_shape, out: scatter_planes(g[0], out[1], tuple(x_shape[2:])),
    several=True,
    label="AdaptiveMaxPool2D",
)
def adaptive_max_pool(x: Array, sizes: tuple[int, ...]) -> Any:
    """Return the largest element of each window and its index in the flattened plane."""
    planes, inner = planes_of(x), 1 if x.flags.c_contiguous else x.shape[0]
    flat = planes.reshape(len(planes), math.prod(x.shape[2:]), inner)
    out: Any = np.empty((len(planes), math.prod(sizes), inner), x.dtype)
    indices = np.empty(out.shape, np.int64)
    pairs = np.ones((3, 2), np.int64)
    pairs[3 - len(sizes) :] = np.array([x.shape[2:], sizes]).T

    function = adaptive_largest if inner >= LEAST_INNER else jit.plain(adaptive_largest)

    def work(start: int, stop: int) -> None:
        function(flat[start:stop], out[start:stop], indices[start:stop], pairs)

    if out.size:
        threads.split(len(flat), work, flat.nbytes)
    shape = (len(planes), *sizes, inner)
    return from_planes(out.reshape(shape), x), from_planes(indices.reshape(shape), x)


@op(
    x=lambda g, x_shape: adaptive_avg_pool_backward(g, tuple(x_shape[2:])),
    label="AdaptiveAvgPool2D",
)
def adaptive_avg_pool(x: Array, sizes: tuple[int, ...]) -> Array:
    """Return the means of as many windows of ``(N, C, ...)`` as `sizes` says."""
    planes, inputs, counts = merged(planes_of(x), x.shape[2:], sizes)
    for k, (n, count) in enumerate(zip(inputs, counts, strict=True), 1):
        shape, edges = planes.shape, edges_of(n, count)
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
    return from_planes(planes.reshape(planes.shape[0], *sizes, planes.shape[-1]), x)


@op(
    grad=lambda g, grad_shape: adaptive_avg_pool(g, tuple(grad_shape[2:])),
    label="AdaptiveAvgPool2DBackward",
)
def adaptive_avg_pool_backward(grad: Array, inputs: tuple[int, ...]) -> Array:
    """Return the gradient of adaptive average pooling for its input, whose sizes are given."""
    planes, sizes, counts = merged(planes_of(grad), inputs, grad.shape[2:])
    for k in range(len(sizes), 0, -1):
        n, count, shape = sizes[k - 1], counts[k - 1], planes.shape
        edges = edges_of(n, count)
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
    return from_planes(planes.reshape(planes.shape[0], *inputs, planes.shape[-1]), grad)
