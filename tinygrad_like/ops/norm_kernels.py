"""The ops that normalization is made of.

All of them make the elements of each group have mean 0 and variance 1, so they share one core on a
matrix whose rows are the groups, worked on in blocks of rows that stay in the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.graph import Array, as_array
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.ops.windows import batch_first, batch_last
from tinygrad_like.stamps import stamp

_BLOCK = 1 << 19  # bytes of a block of rows


# ----- The core: rows of a matrix -----------------------------------------------------------------


def _row_blocks(x: Any) -> list[slice]:
    rows = max(1, _BLOCK // max(1, x.shape[1] * x.itemsize))
    return [slice(start, start + rows) for start in range(0, x.shape[0], rows)]


def _row_sums(x: Any) -> Any:
    """Return the sums of rows: for short ones a matrix product is twice as fast as a reduction."""
    if x.shape[1] <= 4096:
        return x @ np.ones(x.shape[1], x.dtype)
    return np.add.reduce(x, axis=1)


def _standardize(
    x: Any, out: Any, scale: Any, shift: Any, eps: float, centered: bool
) -> tuple[Any, Any, Any]:
    """Write the standardized rows of `x`, times `scale` plus `shift`, into `out`.

    Returns:
        Each row's mean, 0 if not `centered`, the reciprocal of its deviation, and its variance.
    """
    rows, size = x.shape
    mean, variance = np.zeros(rows, x.dtype), np.empty(rows, x.dtype)
    rstd = np.empty(rows, x.dtype)
    for block in _row_blocks(x):
        part, seen = out[block], x[block]
        if centered:
            mean[block] = _row_sums(seen) / x.dtype.type(size)
            seen = np.subtract(seen, mean[block, None], out=part)
        v = np.vecdot(seen, seen) / x.dtype.type(size)
        r = 1 / np.sqrt(v + x.dtype.type(eps))
        variance[block], rstd[block] = v, r
        if scale is not None and scale.shape[1] == 1:
            r = r * scale[block, 0]
        np.multiply(seen, r[:, None], out=part)
        if scale is not None and scale.shape[1] != 1:
            part *= scale
        if shift is not None:
            part += shift[block] if shift.shape[1] == 1 else shift
    return mean, rstd, variance


def _standardize_backward(
    g: Any, x: Any, scale: Any, mean: Any, rstd: Any, needs: tuple[bool, ...], centered: bool
) -> tuple[Any, Any, Any]:
    """Return the gradients for `x`, `scale` and `shift` of `_standardize`; unneeded ones are empty.

    `scale` has shape (rows, 1), as the gradients then have, or (1, size), or is 1.
    """
    rows, size = x.shape
    by_row = np.ndim(scale) == 2 and scale.shape[1] == 1
    column = None if by_row or not np.ndim(scale) else scale.reshape(-1)
    empty = np.empty(0, x.dtype)
    dx = np.empty_like(x) if needs[0] else empty
    d_scale = np.zeros(rows if by_row else size, x.dtype) if needs[1] else empty
    d_shift = np.zeros(rows if by_row else size, x.dtype) if needs[2] else empty
    for block in _row_blocks(x):
        part, r = g[block], rstd[block]
        # Rows are left unscaled by r, which is cheaper to put into the factors of whole rows.
        c = x[block] - mean[block, None] if centered else x[block].copy()
        scaled = part
        if column is None:
            dots = np.vecdot(part, c)
            sums = _row_sums(part) if centered or by_row else None
            if by_row and needs[1]:
                d_scale[block] = dots * r
            if by_row and needs[2]:
                d_shift[block] = sums
        else:
            product = part * c
            dots = product @ column
            sums = part @ column if centered else None
            if needs[1]:
                d_scale += r @ product
            if needs[2]:
                d_shift += np.ones(part.shape[0], x.dtype) @ part
            if needs[0]:
                scaled = np.multiply(part, column, out=dx[block])
        if column is None and not by_row:
            if needs[1]:
                d_scale += r @ (part * c)
            if needs[2]:
                d_shift += np.ones(part.shape[0], x.dtype) @ part
        if not needs[0]:
            continue
        c *= (dots * r * r / x.dtype.type(size))[:, None]
        if centered:
            c += (sums / x.dtype.type(size))[:, None]
        target = np.subtract(scaled, c, out=dx[block])
        target *= (r * scale[block, 0] if by_row else r)[:, None]
    return dx, d_scale, d_shift


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
    """Return the gradients of a layer norm for input, weight and bias; unneeded ones are empty."""
    del eps
    shape = x.shape[x.ndim - dims :]
    size = math.prod(shape)
    dx, d_weight, d_bias = _standardize_backward(
        grad.reshape(-1, size),
        x.reshape(-1, size),
        1 if weight is None else weight.reshape(1, size),
        mean,
        rstd,
        needs_of,
        centered,
    )
    return (
        dx.reshape(x.shape) if needs_of[0] else dx,
        d_weight.reshape(shape) if needs_of[1] else d_weight,
        d_bias.reshape(shape) if needs_of[2] else d_bias,
    )


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
    """Return `x` standardized over its last `dims` dimensions, scaled and shifted."""
    size = math.prod(x.shape[x.ndim - dims :])
    flat = x.reshape(-1, size) if x.size else np.empty((0, size), x.dtype)
    out = np.empty(flat.shape, x.dtype)
    scale = None if weight is None else weight.reshape(1, size)
    shift = None if bias is None else bias.reshape(1, size)
    mean, rstd, _ = _standardize(flat, out, scale, shift, eps, centered)
    return out.reshape(x.shape), mean, rstd


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
    """Return the gradients of a batch norm for input, weight and bias; unneeded ones are empty."""
    del eps
    if x.ndim == 2:
        standard = (x - mean) * rstd
        d_weight = np.add.reduce(grad * standard, axis=0)
        d_bias = np.add.reduce(grad, axis=0)
        standard *= d_weight / x.dtype.type(x.shape[0])
        dx = grad - d_bias / x.dtype.type(x.shape[0])
        dx -= standard
        dx *= rstd if weight is None else rstd * weight
        return dx, d_weight, d_bias
    xt, gt = batch_last(x), batch_last(grad)
    scale = np.ones((x.shape[1], 1), x.dtype) if weight is None else weight[:, None]
    dx, d_weight, d_bias = _standardize_backward(
        np.ascontiguousarray(gt).reshape(x.shape[1], -1),
        np.ascontiguousarray(xt).reshape(x.shape[1], -1),
        scale,
        mean,
        rstd,
        needs_of,
        True,
    )
    return (batch_first(dx.reshape(xt.shape)) if needs_of[0] else dx), d_weight, d_bias


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
    channels = x.shape[1]
    count = x.size // max(channels, 1)
    if x.ndim == 2:
        mean = np.add.reduce(x, axis=0) / x.dtype.type(count)
        out = x - mean
        variance = np.add.reduce(out * out, axis=0) / x.dtype.type(count)
        rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
        out *= rstd if weight is None else rstd * weight
        if bias is not None:
            out += bias
    else:
        xt = np.ascontiguousarray(batch_last(x))
        flat = np.empty((channels, count), x.dtype)
        scale = None if weight is None else weight[:, None]
        shift = None if bias is None else bias[:, None]
        mean, rstd, variance = _standardize(
            xt.reshape(channels, count), flat, scale, shift, eps, True
        )
        out = batch_first(flat.reshape(xt.shape))
    if running_mean is not None:
        update(running_mean, mean, momentum)
    if running_var is not None:
        update(running_var, variance * (count / max(count - 1, 1)), momentum)
    return out, mean, rstd


def _fixed(value: Any, mean: Any, rstd: Any) -> Any:
    """Return `value` standardized by given statistics, by ops."""
    shape = _channel_shape(value)
    return (value - mean.reshape(shape)) * rstd.reshape(shape)


def _per_channel(value: Any) -> Any:
    return np.sum(value, axis=(0, *range(2, value.ndim)))


def _scaled_by(g: Any, weight: Any, rstd: Any) -> Any:
    shape = _channel_shape(g)
    g = g * rstd.reshape(shape)
    return g if weight is None else g * reshape(weight, shape)


@op(
    x=lambda g, weight, rstd: _scaled_by(g, weight, rstd),
    weight=lambda g, x, mean, rstd: _per_channel(g * _fixed(x, mean, rstd)),
    bias=lambda g: _per_channel(g),
    dtype="same",
    label="NativeBatchNorm",
)
def batch_norm_fixed(
    x: Array, weight: Array | None, bias: Array | None, mean: Any, rstd: Any
) -> Array:
    """Return `x` standardized by given statistics of each channel, scaled and shifted."""
    shape = _channel_shape(x)
    scale = rstd if weight is None else rstd * weight
    out = x * scale.reshape(shape)
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    out += shift.reshape(shape)
    return out


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
    """Return the gradients of a group norm for input, weight and bias; unneeded ones are empty."""
    del eps
    n, channels = x.shape[:2]
    rows = x.reshape(n * groups, -1)
    g = grad.reshape(n, channels, -1)
    dx = d_weight = d_bias = np.empty(0, x.dtype)
    if needs_of[0]:
        scaled = g if weight is None else g * weight[:, None]
        wanted = (True, False, False)
        scaled = scaled.reshape(rows.shape)
        dx = _standardize_backward(scaled, rows, 1, mean, rstd, wanted, True)[0].reshape(x.shape)
    if needs_of[1]:
        standard = (rows - mean[:, None]) * rstd[:, None]
        standard = standard.reshape(g.shape)
        standard *= g
        d_weight = np.add.reduce(standard, axis=(0, 2))
    if needs_of[2]:
        d_bias = np.add.reduce(g, axis=(0, 2))
    return dx, d_weight, d_bias


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
    n, channels = x.shape[:2]
    size = x.size // max(1, n * groups)
    out = np.empty((n * groups, size), x.dtype)
    mean, rstd, _ = _standardize(x.reshape(n * groups, size), out, None, None, eps, True)
    channelwise = out.reshape(n, channels, -1) if x.size else out.reshape(n, channels, 0)
    if weight is not None:
        channelwise *= weight[:, None]
    if bias is not None:
        channelwise += bias[:, None]
    return out.reshape(x.shape), mean, rstd
