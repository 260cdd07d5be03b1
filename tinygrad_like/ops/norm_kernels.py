"""The ops that normalization is made of, each with a backward that can be differentiated again.

The passes over memory are those of `tinygrad_like.ops.norm_rows`. What has statistics for channels
takes a batch for a matrix whose rows, or columns, belong to one channel each: see `_Channels`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.dtypes import F16, F32
from tinygrad_like.graph import Array, as_array
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops import norm_rows
from tinygrad_like.ops.reduction import ones_vector
from tinygrad_like.ops.row_blocks import by_blocks, rows_of_block
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.stamps import stamp


def _wide(*arrays: Any) -> tuple[Any, ...]:
    """Return arrays, or None, as they are computed with: half precision would overflow in sums."""
    if arrays[0].dtype is not F16:
        return arrays
    return tuple(None if a is None else a.astype(F32) for a in arrays)


# ----- Derivatives of second order ----------------------------------------------------------------


def _second_order(
    g: tuple[Any, Any, Any],
    grad: Any,
    x: Any,
    weight: Any,
    axes: tuple[int, ...],
    eps: float,
    needs: tuple[bool, ...],
    centered: bool,
) -> tuple[Any, Any, Any]:
    """Return the gradients of a normalization's gradients for `grad`, `x` and `weight`, by ops.

    `weight` has the dimensions of `x`, size 1 where it is repeated, as have the last two of `g`.
    With s the standardized x and r the reciprocal of its deviation, the gradient for x is
    ``pull(grad * weight)``, where ``pull(h) = r * (h - mean(h) - s * mean(h * s))`` is linear and its
    own adjoint; what remains is how r and s depend on x.
    """
    count = math.prod(x.shape[axis] for axis in axes)

    def mean(value: Any) -> Any:
        return np.sum(value, axis=axes, keepdims=True) * (1 / count)

    c = x - mean(x) if centered else x
    r = 1 / np.sqrt(mean(c * c) + eps)
    s = c * r

    def pull(h: Any) -> Any:
        inner = h - s * mean(h * s)
        return r * (inner - mean(h) if centered else inner)

    d_grad = d_x = d_weight = None
    if needs[0]:
        h = grad if weight is None else grad * weight
        pulled = pull(g[0])
        a, b = mean(g[0] * s), mean(h * s)
        both = mean(g[0] * h) - a * b
        if centered:
            both = both - mean(g[0]) * mean(h)
        d_grad = pulled if weight is None else pulled * weight
        d_x = -r * (r * s * both + b * pulled + a * pull(h))
        if weight is not None:
            d_weight = REGISTRY["sum_to"].call(grad * pulled, tuple(weight.shape))
    if needs[1]:
        d_grad = _plus(d_grad, s * g[1])
        d_x = _plus(d_x, pull(grad * g[1]))
    if needs[2]:
        d_grad = _plus(d_grad, REGISTRY["broadcast_to"].call(g[2], tuple(grad.shape)))
    return d_grad, d_x, d_weight


def _plus(x: Any, y: Any) -> Any:
    return y if x is None else x + y


def _shaped(value: Any, shape: tuple[int, ...], needed: bool) -> Any:
    return reshape(value, shape) if needed and value is not None else value


# ----- Over the last dimensions -------------------------------------------------------------------


def _layer_norm_rule(
    g: Any,
    grad: Any,
    x: Any,
    weight: Any,
    dims: int,
    eps: float,
    centered: bool,
    needs_of: tuple[bool, ...],
) -> Any:
    axes = tuple(range(x.ndim - dims, x.ndim))
    return _second_order(g, grad, x, weight, axes, eps, needs_of, centered)


def _rows(x: Any, dims: int) -> Any:
    """Return an array as a matrix whose rows are its last `dims` dimensions."""
    size = math.prod(x.shape[x.ndim - dims :])
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[: x.ndim - dims]), size)


@op(
    joint=(("grad", "x", "weight"), _layer_norm_rule),
    several=True,
    label="NativeLayerNormBackward",
)
def layer_norm_backward(
    grad: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    dims: int,
    eps: float,
    centered: bool,
    needs_of: tuple[bool, ...],
) -> Any:
    """Return the gradients of a layer norm for input, weight and bias; what is not needed is empty."""
    if x.dtype is F16:
        wide = layer_norm_backward(
            *_wide(grad, x, weight, mean, rstd), dims, eps, centered, needs_of
        )
        return tuple(g.astype(F16) for g in wide)
    shape = x.shape[x.ndim - dims :]
    g, flat = _rows(grad, dims), _rows(x, dims)
    dx: Any = np.empty(x.shape, x.dtype)
    blocks = -(-flat.shape[0] // rows_of_block(flat))
    scale, parts = None, (None, None)
    sums: Any = np.empty((2, 0), x.dtype)
    if weight is not None or needs_of[2]:
        size = flat.shape[1]
        scale = ones_vector(size, x.dtype) if weight is None else weight.reshape(size)
        parts = sums = np.empty((2, blocks, size), x.dtype)
    if x.size:
        matrix = dx.reshape(flat.shape)
        by_blocks(
            norm_rows.standardize_backward, g, flat, scale, mean, rstd, matrix, *parts, centered
        )
    if scale is None:
        return dx, *sums
    d_weight, d_bias = sums[:, 0] if blocks == 1 else np.add.reduce(sums, axis=1)
    return dx, d_weight.reshape(shape), d_bias.reshape(shape)


@op(
    joint=(
        ("x", "weight", "bias"),
        lambda g, x, weight, mean, rstd, dims, eps, centered, needs: layer_norm_backward(
            g, x, weight, mean, rstd, dims, eps, centered, needs
        ),
    ),
    keeps=("mean", "rstd"),
    dtype="same",
    label="NativeLayerNorm",
)
def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, dims: int, eps: float, centered: bool
) -> Any:
    """Return rows made of the last `dims` dimensions standardized, scaled and shifted."""
    d = x.dtype
    x, weight, bias = _wide(x, weight, bias)
    flat = _rows(x, dims)
    rows, size = flat.shape
    out, mean, rstd = np.empty(x.shape, x.dtype), np.empty(rows, x.dtype), np.empty(rows, x.dtype)
    scale = None if weight is None else weight.reshape(size)
    shift = None if bias is None else bias.reshape(size)
    if x.size:
        made = out.reshape(flat.shape)
        by_blocks(norm_rows.standardize, flat, scale, shift, made, mean, rstd, eps, centered)
    return out.astype(d, copy=False), mean, rstd


# ----- Channels -----------------------------------------------------------------------------------


def _merged(mean: Any, square: Any, counts: Any) -> tuple[Any, Any]:
    """Return means and sums of squared differences of wholes, from those of their parts.

    Source: Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983.

    Args:
        mean: of each part, ``(parts, wholes)``.
        square: the sums of squared differences from that.
        counts: how many numbers each part has, ``(parts)``.
    """
    if len(mean) == 1:
        return mean[0], square[0]
    counts = counts.astype(mean.dtype)
    whole = np.matmul(counts / np.add.reduce(counts), mean)
    apart = mean - whole
    apart *= apart
    return whole, np.add.reduce(square, axis=0) + np.matmul(counts, apart)


def _repeated(values: Any, count: int) -> Any:
    """Return a vector `count` times in a row."""
    if count == 1:
        return values
    out = np.empty((count, len(values)), values.dtype)
    out[...] = values
    return out.reshape(-1)


_SHORT = 16  # runs of fewer numbers are too short for rows


class _Channels:
    """A batch ``(N, C, ...)`` as a matrix in the order its numbers have in memory.

    They are runs of numbers of one channel, `outer` times C of them. Long runs are the rows of the
    matrix, very long ones several; of short ones C are in a row, and a column belongs to one channel.
    """

    def __init__(self, x: Any) -> None:
        dims = range(2, x.ndim)
        # As PyTorch lays them out, with the batch innermost, or with the channels.
        orders = ((0, 1, *dims), (1, *dims, 0), (0, *dims, 1))
        found = next((o for o in orders if x.transpose(o).flags.c_contiguous), None)
        self.order = found or orders[0]
        self.like = x if found else np.empty(x.shape, x.dtype)
        shape = [x.shape[axis] for axis in self.order]
        at = self.order.index(1)
        self.outer, self.channels = math.prod(shape[:at]), x.shape[1]
        self.run = math.prod(shape[at + 1 :])
        self.by_rows = self.run >= _SHORT
        self.pieces = 1  # that a run is cut into
        while self.run > 4096 and not self.run % 2:
            self.run, self.pieces = self.run // 2, self.pieces * 2
        if self.by_rows:
            self.shape = (self.outer * self.channels * self.pieces, self.run)
        else:
            self.shape = (self.outer, self.channels * self.run)

    def matrix(self, x: Any) -> Any:
        """Return an array of the batch's shape as a matrix."""
        if self.order[0] or self.order[1] != 1:
            x = x.transpose(self.order)
        return np.ascontiguousarray(x).reshape(self.shape)

    def vector(self, values: Any) -> Any:
        """Return a number for each channel as one for each row, or column, of the matrix."""
        each = self.pieces if self.by_rows else self.run
        values = values if each == 1 else np.repeat(values, each)
        return _repeated(values, self.outer) if self.by_rows else values

    def _sums(self, x: Any) -> tuple[Any, Any]:
        """Return where two sums of each row go, or of each column of each block."""
        if self.by_rows:
            size = self.shape[0]
        else:
            size = -(-self.outer // rows_of_block(x)) * self.shape[1]
        return np.empty(size, x.dtype), np.empty(size, x.dtype)

    def _by_channel(self, values: Any) -> Any:
        """Return sums of rows, or of columns in blocks, as ``(parts, C)``."""
        inner = self.pieces if self.by_rows else self.run
        if inner == 1:
            return values.reshape(-1, self.channels)
        parts = values.reshape(-1, self.channels, inner)
        return parts.transpose(0, 2, 1).reshape(-1, self.channels)

    def _counts(self, x: Any) -> Any:
        """Return how many numbers of a channel each part has."""
        if self.by_rows:
            return np.full(self.outer * self.pieces, self.run)
        starts = np.arange(0, self.outer, rows_of_block(x))
        return np.repeat(np.diff(starts, append=self.outer), self.run)

    def moments(self, x: Any) -> tuple[Any, Any]:
        """Return each channel's mean and sum of squared differences from that, of a matrix."""
        mean, square = self._sums(x)
        by_blocks(norm_rows.moments if self.by_rows else norm_rows.column_moments, x, mean, square)
        if len(mean) == self.channels:
            return mean, square
        return _merged(self._by_channel(mean), self._by_channel(square), self._counts(x))

    def products(self, g: Any, x: Any, mean: Any) -> tuple[Any, Any]:
        """Return each channel's sum of `g`, and of its products with ``x - mean``."""
        sums, products = self._sums(x)
        routine = norm_rows.products if self.by_rows else norm_rows.column_products
        by_blocks(routine, g, x, self.vector(mean), sums, products)
        if len(sums) == self.channels:
            return sums, products
        return (
            np.add.reduce(self._by_channel(sums), axis=0),
            np.add.reduce(self._by_channel(products), axis=0),
        )

    def scaled(self, x: Any, mean: Any, factor: Any, term: Any) -> Any:
        """Return the batch ``(x - mean) * factor + term``."""
        out = np.empty_like(self.like)
        routine = norm_rows.scale if self.by_rows else norm_rows.column_scale
        by_blocks(routine, x, *map(self.vector, (mean, factor, term)), self.matrix(out))
        return out

    def combined(self, g: Any, x: Any, mean: Any, factor: Any, slope: Any, term: Any) -> Any:
        """Return the batch ``g * factor + (x - mean) * slope + term``."""
        out = np.empty_like(self.like)
        routine = norm_rows.combine if self.by_rows else norm_rows.column_combine
        by_blocks(routine, g, x, *map(self.vector, (mean, factor, slope, term)), self.matrix(out))
        return out


# ----- Over a batch -------------------------------------------------------------------------------


def _channel_shape(x: Any) -> tuple[int, ...]:
    return (1, x.shape[1], *(1,) * (x.ndim - 2))


def _batch_norm_rule(
    g: Any, grad: Any, x: Any, weight: Any, eps: float, needs_of: tuple[bool, ...]
) -> Any:
    shape = _channel_shape(x)
    g = (g[0], _shaped(g[1], shape, needs_of[1]), _shaped(g[2], shape, needs_of[2]))
    w = None if weight is None else reshape(weight, shape)
    axes = (0, *range(2, x.ndim))
    d_grad, d_x, d_weight = _second_order(g, grad, x, w, axes, eps, needs_of, True)
    return d_grad, d_x, None if d_weight is None else reshape(d_weight, tuple(weight.shape))


@op(
    joint=(("grad", "x", "weight"), _batch_norm_rule),
    several=True,
    label="NativeBatchNormBackward",
)
def batch_norm_backward(
    grad: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    eps: float,
    needs_of: tuple[bool, ...],
) -> Any:
    """Return the gradients of a batch norm for input, weight and bias; what is not needed is empty."""
    del eps
    d = x.dtype
    grad, x, weight = _wide(grad, x, weight)
    layout = _Channels(x)
    g, flat = layout.matrix(grad), layout.matrix(x)
    sums, products = layout.products(g, flat, mean)
    dx = np.empty(0, d)
    if needs_of[0]:
        share = x.dtype.type(x.shape[1] / x.size)
        factor = rstd if weight is None else rstd * weight
        slope = products * factor * rstd * rstd * -share
        dx = layout.combined(g, flat, mean, factor, slope, sums * factor * -share)
        dx = dx.astype(d, copy=False)
    return dx, (products * rstd).astype(d, copy=False), sums.astype(d, copy=False)


def update(running: Any, value: Any, momentum: float) -> None:
    """Move a running statistic towards `value`, in place."""
    array = as_array(running)
    array *= 1 - momentum
    array += (momentum * value).astype(array.dtype)
    stamp(array)


@op(
    joint=(
        ("x", "weight", "bias"),
        lambda g, x, weight, mean, rstd, eps, needs: batch_norm_backward(
            g, x, weight, mean, rstd, eps, needs
        ),
    ),
    keeps=("mean", "rstd"),
    dtype="same",
    label="NativeBatchNorm",
)
def batch_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    eps: float,
) -> Any:
    """Return ``(N, C, ...)`` standardized per channel, and move the running statistics."""
    d = x.dtype
    x, weight, bias = _wide(x, weight, bias)
    layout = _Channels(x)
    flat = layout.matrix(x)
    count = x.size // max(x.shape[1], 1)
    mean, square = layout.moments(flat)
    rstd = 1 / np.sqrt(square * x.dtype.type(1 / count) + x.dtype.type(eps))
    out = _affine(layout, flat, weight, bias, mean, rstd)
    if running_mean is not None:
        update(running_mean, mean, momentum)
    if running_var is not None:
        update(running_var, square / x.dtype.type(count - 1), momentum)
    return out.astype(d, copy=False), mean, rstd


def _affine(layout: _Channels, flat: Any, weight: Any, bias: Any, mean: Any, rstd: Any) -> Any:
    factor = rstd if weight is None else rstd * weight
    return layout.scaled(flat, mean, factor, np.zeros_like(mean) if bias is None else bias)


# ----- By given statistics ------------------------------------------------------------------------


def _fixed_rule(
    g: Any, x: Any, weight: Any, mean: Any, rstd: Any, needs: tuple[bool, ...]
) -> tuple[Any, ...]:
    d_x = d_weight = d_bias = None
    if needs[0]:
        d_x = batch_norm_fixed(g, weight, None, np.zeros_like(mean), rstd)
    if True in needs[1:]:
        d_bias, products = channel_products(g, x, mean)
        d_weight = products * rstd
    return d_x, d_weight, d_bias


@op(joint=(("x", "weight", "bias"), _fixed_rule), dtype="same", label="NativeBatchNorm")
def batch_norm_fixed(
    x: Array, weight: Array | None, bias: Array | None, mean: Any, rstd: Any
) -> Array:
    """Return `x` standardized by given statistics of each channel, scaled and shifted."""
    d = x.dtype
    x, weight, bias, mean, rstd = _wide(x, weight, bias, mean, rstd)
    layout = _Channels(x)
    out = _affine(layout, layout.matrix(x), weight, bias, mean, rstd)
    return out.astype(d, copy=False)


@op(
    joint=(
        ("grad", "x"),
        lambda g, grad, x, mean, needs: (
            batch_norm_fixed(x, g[1], g[0], mean, np.ones_like(mean)) if needs[0] else None,
            batch_norm_fixed(grad, g[1], None, np.zeros_like(mean), np.ones_like(mean)),
        ),
    ),
    several=True,
)
def channel_products(grad: Array, x: Array, mean: Any) -> Any:
    """Return each channel's sum of `grad`, and of its products with ``x - mean``."""
    d = x.dtype
    grad, x, mean = _wide(grad, x, mean)
    layout = _Channels(x)
    found = layout.products(layout.matrix(grad), layout.matrix(x), mean)
    return tuple(f.astype(d, copy=False) for f in found)


# ----- Over groups of channels --------------------------------------------------------------------


def _group_norm_rule(
    g: Any, grad: Any, x: Any, weight: Any, groups: int, eps: float, needs_of: tuple[bool, ...]
) -> Any:
    n, channels, *sizes = x.shape
    split = (n, groups, channels // groups, *sizes)
    shape = (1, groups, channels // groups, *(1,) * len(sizes))
    g = (
        _shaped(g[0], split, needs_of[0]),
        _shaped(g[1], shape, needs_of[1]),
        _shaped(g[2], shape, needs_of[2]),
    )
    w = None if weight is None else reshape(weight, shape)
    axes = tuple(range(2, len(split)))
    d_grad, d_x, d_weight = _second_order(
        g, reshape(grad, split), reshape(x, split), w, axes, eps, needs_of, True
    )
    return (
        _shaped(d_grad, tuple(x.shape), True),
        _shaped(d_x, tuple(x.shape), True),
        None if d_weight is None else reshape(d_weight, tuple(weight.shape)),
    )


def _planes(x: Any) -> Any:
    """Return a batch as a matrix with a row for each of its elements' channels."""
    n, channels = x.shape[:2]
    return np.ascontiguousarray(x).reshape(n * channels, math.prod(x.shape[2:]))


def _short_backward(
    g: Any, x: Any, weight: Any, mean: Any, rstd: Any, n: int
) -> tuple[Any, Any, Any]:
    """Return the gradients of a group norm of planes too short to be treated as rows."""
    by_group, sample = (len(mean), x.size // len(mean)), (n, x.size // n)
    rows = x.reshape(by_group)
    standard, dx = np.empty_like(rows), np.empty_like(rows)
    by_blocks(norm_rows.scale, rows, mean, rstd, np.zeros_like(mean), standard)
    received = g.reshape(n, -1, x.shape[1])
    scaled = received if weight is None else received * weight[:, None]
    rest = None, mean, rstd, dx, None, None, True
    by_blocks(norm_rows.standardize_backward, scaled.reshape(by_group), rows, *rest)
    products = standard.reshape(sample) * g.reshape(sample)
    sums = (np.add.reduce(v.reshape(sample), axis=0) for v in (products, g))
    d_weight, d_bias = (np.add.reduce(v.reshape(-1, x.shape[1]), axis=1) for v in sums)
    return dx, d_weight, d_bias


@op(
    joint=(("grad", "x", "weight"), _group_norm_rule),
    several=True,
    label="NativeGroupNormBackward",
)
def group_norm_backward(
    grad: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    groups: int,
    eps: float,
    needs_of: tuple[bool, ...],
) -> Any:
    """Return the gradients of a group norm for input, weight and bias; what is not needed is empty."""
    del eps
    d = x.dtype
    grad, x, weight = _wide(grad, x, weight)
    n, channels = x.shape[:2]
    each = channels // groups
    g, flat = _planes(grad), _planes(x)
    if flat.shape[1] < _SHORT and x.size:
        found = _short_backward(g, flat, weight, mean, rstd, n)
        shapes = x.shape, (channels,), (channels,)
        return tuple(
            f.reshape(shape).astype(d, copy=False) for f, shape in zip(found, shapes, strict=True)
        )
    means = np.repeat(mean, each)
    sums, products = np.zeros_like(means), np.zeros_like(means)
    if x.size:
        by_blocks(norm_rows.products, g, flat, means, sums, products)
    dx = np.empty(x.shape, x.dtype)
    if needs_of[0] and x.size:
        factor = np.repeat(rstd, each) if weight is None else _scaled(rstd, weight, n)
        ones = ones_vector(each, x.dtype)
        share = x.dtype.type(-n * groups / x.size)
        slope = np.matmul((products * factor).reshape(-1, each), ones) * rstd * rstd * share
        term = np.matmul((sums * factor).reshape(-1, each), ones) * share
        vectors = means, factor, np.repeat(slope, each), np.repeat(term, each)
        by_blocks(norm_rows.combine, g, flat, *vectors, dx.reshape(flat.shape))
    products *= np.repeat(rstd, each)
    d_weight, d_bias = (np.add.reduce(v.reshape(n, channels), axis=0) for v in (products, sums))
    return tuple(f.astype(d, copy=False) for f in (dx, d_weight, d_bias))


@op(
    joint=(
        ("x", "weight", "bias"),
        lambda g, x, weight, mean, rstd, groups, eps, needs: group_norm_backward(
            g, x, weight, mean, rstd, groups, eps, needs
        ),
    ),
    keeps=("mean", "rstd"),
    dtype="same",
    label="NativeGroupNorm",
)
def group_norm(x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float) -> Any:
    """Return ``(N, C, ...)`` standardized per group of channels, scaled and shifted."""
    d = x.dtype
    x, weight, bias = _wide(x, weight, bias)
    n, channels = x.shape[:2]
    each = channels // groups
    flat = _planes(x)
    mean, square = np.zeros(len(flat), x.dtype), np.zeros(len(flat), x.dtype)
    out = np.empty(x.shape, x.dtype)
    if flat.shape[1] < _SHORT and x.size:
        mean, rstd = mean[: n * groups], square[: n * groups]
        by_group = flat.reshape(n * groups, -1)
        made = out.reshape(by_group.shape)
        by_blocks(norm_rows.standardize, by_group, None, None, made, mean, rstd, eps, True)
        runs = out.reshape(n, channels, -1)
        if weight is not None:
            runs *= weight[:, None]
        if bias is not None:
            runs += bias[:, None]
        return out.astype(d, copy=False), mean, rstd
    if x.size:
        by_blocks(norm_rows.moments, flat, mean, square)
    counts = np.full(each, flat.shape[1])
    mean, square = _merged(mean.reshape(-1, each).T, square.reshape(-1, each).T, counts)
    rstd = 1 / np.sqrt(square * x.dtype.type(n * groups / max(1, x.size)) + x.dtype.type(eps))
    if x.size:
        factor = np.repeat(rstd, each) if weight is None else _scaled(rstd, weight, n)
        term = np.zeros_like(factor) if bias is None else _repeated(bias, n)
        vectors = np.repeat(mean, each), factor, term
        by_blocks(norm_rows.scale, flat, *vectors, out.reshape(flat.shape))
    return out.astype(d, copy=False), mean, rstd


def _scaled(rstd: Any, weight: Any, n: int) -> Any:
    """Return the factor of each element's channel from that of its group and the channel's."""
    groups = len(rstd) // n
    return (rstd.reshape(n, groups, 1) * weight.reshape(groups, -1)).reshape(-1)
