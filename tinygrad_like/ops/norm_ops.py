"""The ops that normalization is made of, each with a backward that can be differentiated again.

The passes over memory are those of `tinygrad_like.arrays.norm_rows`. What has statistics for channels
takes a batch for a matrix whose rows, or columns, belong to one channel each: see
`tinygrad_like.arrays.channel_rows`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.arrays import norm_rows
from tinygrad_like.arrays.channel_rows import SHORT, Channels, cut, merged, repeated
from tinygrad_like.arrays.row_blocks import by_blocks, rows_of_block
from tinygrad_like.arrays.sums import ones_vector
from tinygrad_like.dtypes import F16, F32
from tinygrad_like.graph import Array, as_array
from tinygrad_like.op import REGISTRY, op
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
    scale = None
    parts: Any = (None, None)
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
    layout = Channels(x)
    g, flat = layout.matrix(grad), layout.matrix(x)
    sums, products = layout.products(g, flat, mean)
    d_weight = products * rstd
    dx = np.empty(0, d)
    if needs_of[0]:
        factor = rstd if weight is None else rstd * weight
        shared = factor * x.dtype.type(-x.shape[1] / x.size)
        dx = layout.combined(g, flat, mean, factor, d_weight * rstd * shared, sums * shared)
    return tuple(found.astype(d, copy=False) for found in (dx, d_weight, sums))


def update(running: Any, value: Any, momentum: float) -> None:
    """Move a running statistic towards `value`, in place."""
    array = as_array(running)
    array *= 1 - momentum
    array += (momentum * value).astype(array.dtype, copy=False)
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
    layout = Channels(x)
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


def _affine(layout: Channels, flat: Any, weight: Any, bias: Any, mean: Any, rstd: Any) -> Any:
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
    layout = Channels(x)
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
    if not x.size:
        return np.zeros(x.shape[1], d), np.zeros(x.shape[1], d)
    layout = Channels(x)
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
    if flat.shape[1] < SHORT and x.size:
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
    out = np.empty(x.shape, x.dtype)
    if flat.shape[1] < SHORT and x.size:
        mean, rstd = np.empty(n * groups, x.dtype), np.empty(n * groups, x.dtype)
        by_group = flat.reshape(n * groups, -1)
        made = out.reshape(by_group.shape)
        by_blocks(norm_rows.standardize, by_group, None, None, made, mean, rstd, eps, True)
        runs = out.reshape(n, channels, -1)
        if weight is not None:
            runs *= weight[:, None]
        if bias is not None:
            runs += bias[:, None]
        return out.astype(d, copy=False), mean, rstd
    pieces, run = cut(each * flat.shape[1])
    mean, square = (np.zeros(n * groups * pieces, x.dtype) for _ in range(2))
    if x.size:
        by_blocks(norm_rows.moments, flat.reshape(-1, run), mean, square)
    if pieces > 1:
        parts = mean.reshape(-1, pieces).T, square.reshape(-1, pieces).T
        mean, square = merged(*parts, np.full(pieces, run))
    rstd = 1 / np.sqrt(square * x.dtype.type(n * groups / max(1, x.size)) + x.dtype.type(eps))
    if x.size:
        factor = np.repeat(rstd, each) if weight is None else _scaled(rstd, weight, n)
        term = np.zeros_like(factor) if bias is None else repeated(bias, n)
        vectors = np.repeat(mean, each), factor, term
        by_blocks(norm_rows.scale, flat, *vectors, out.reshape(flat.shape))
    return out.astype(d, copy=False), mean, rstd


def _scaled(rstd: Any, weight: Any, n: int) -> Any:
    """Return the factor of each element's channel from that of its group and the channel's."""
    groups = len(rstd) // n
    return (rstd.reshape(n, groups, 1) * weight.reshape(groups, -1)).reshape(-1)
