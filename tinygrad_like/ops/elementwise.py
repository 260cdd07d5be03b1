"""Limits and functions of two or three operands, element by element; and writes into a tensor.

The rest of the elementwise ops is in `arithmetic`, `unary`, `comparison` and `special`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays import single
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, UFUNCS, implements, op
from tinygrad_like.ops.arithmetic import ArithmeticMethods
from tinygrad_like.ops.comparison import (
    ComparisonMethods,
    choose,
    keep_where,
    tensor_first,
    tensors_only,
    unsupported,
)
from tinygrad_like.ops.unary import LN2, UnaryMethods, sigmoid
from tinygrad_like.views import in_place, write

__all__ = [
    "addcdiv",
    "addcmul",
    "arctan2",
    "atan2",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "copysign",
    "fmax",
    "fmin",
    "heaviside",
    "hypot",
    "lerp",
    "logaddexp",
    "logaddexp2",
    "maximum",
    "minimum",
    "xlogy",
]


def _refuse_whole(name: str, x: Any) -> None:
    if isinstance(x, np.ndarray) and x.dtype.kind != "f":
        raise unsupported(name, x.dtype)


# ----- The larger, the smaller, the limits --------------------------------------------------------


def _share(g: Any, x: Any, y: Any, loses: Any) -> Any:
    """Return the gradient of the operand `x` of a maximum or minimum: ties get half each."""
    return keep_where(np.where(x == y, g / 2, g), np.logical_not(loses))


@tensors_only
@op(
    x=lambda g, x, y: _share(g, x, y, x < y),
    y=lambda g, x, y: _share(g, x, y, y < x),
    broadcasts=True,
    dtype="promote",
    ufunc=np.maximum,
)
def maximum(x: Array, y: Array) -> Array:
    """Return the larger of two elements, nan if one is; equal ones share the gradient."""
    return np.maximum(x, y)


@tensors_only
@op(
    x=lambda g, x, y: _share(g, x, y, x > y),
    y=lambda g, x, y: _share(g, x, y, y > x),
    broadcasts=True,
    dtype="promote",
    ufunc=np.minimum,
)
def minimum(x: Array, y: Array) -> Array:
    """Return the smaller of two elements, nan if one is; equal ones share the gradient."""
    return np.minimum(x, y)


@tensors_only
@op(
    x=lambda g, x, y: keep_where(g, np.logical_or(x >= y, np.isnan(y))),
    y=lambda g, x, y: keep_where(g, np.logical_not(np.logical_or(x >= y, np.isnan(y)))),
    broadcasts=True,
    dtype="promote",
    ufunc=np.fmax,
)
def fmax(x: Array, y: Array) -> Array:
    """Return the larger of two elements, the other one if one is nan."""
    return np.fmax(x, y)


@tensors_only
@op(
    x=lambda g, x, y: keep_where(g, np.logical_or(x <= y, np.isnan(y))),
    y=lambda g, x, y: keep_where(g, np.logical_not(np.logical_or(x <= y, np.isnan(y)))),
    broadcasts=True,
    dtype="promote",
    ufunc=np.fmin,
)
def fmin(x: Array, y: Array) -> Array:
    """Return the smaller of two elements, the other one if one is nan."""
    return np.fmin(x, y)


def _inside(x: Any, low: Any, high: Any) -> Any:
    """Return where `x` lies between the limits, which belong to the inside; None is no limit."""
    if low is None:
        return x <= high
    if high is None:
        return x >= low
    return np.logical_and(x >= low, x <= high)


def _between(x: Any, min: Any, max: Any) -> Any:
    if min is None:
        return np.minimum(x, max)
    out = np.maximum(x, min)
    if max is None:
        return out
    fits = out.ndim and np.shape(max) in ((), out.shape)
    return np.minimum(out, max, out=out) if fits else np.minimum(out, max)


@op(x=lambda g, x, min, max: keep_where(g, _inside(x, min, max)), label="Clamp", name="clip")
def _clip(x: Array, min: Any, max: Any) -> Array:
    if x.dtype.kind == "b":
        raise unsupported("clamp_cpu", x.dtype)
    return _between(x, min, max)


@op(
    x=lambda g, x, min, max: keep_where(g, _inside(x, min, max)),
    min=lambda g, x, min, max: keep_where(
        g, x < min if max is None else np.logical_and(x < min, min < max)
    ),
    max=lambda g, x, min, max: keep_where(
        g, x > max if min is None else np.logical_or(x > max, max < min)
    ),
    broadcasts=True,
    dtype="promote",
    label="Clamp",
)
def clip_between(x: Array, min: Array | None, max: Array | None) -> Array:
    """Return `x` kept between two arrays of limits."""
    if x.dtype.kind == "b" and min is not None and max is not None:
        raise unsupported("clamp_cpu", x.dtype)
    return _between(x, min, max)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Return the input with elements below `min` or above `max` replaced by these.

    The gradient passes where an element lies between the limits or on one of them.

    Args:
        input: any shape.
        min: a number, or a tensor that broadcasts with `input`.
        max: likewise; where it is below `min` it wins.

    Raises:
        RuntimeError: if neither is given.
        TypeError: if one is a tensor and the other a number.

    >>> import tinygrad_like as torch
    >>> torch.clamp(torch.tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    given = [limit for limit in (min, max) if limit is not None]
    if any(isinstance(limit, list | tuple | str) for limit in given):
        raise told(TypeError, "clamp(): 'min' and 'max' must be Tensors or numbers, not a list")
    if not given:
        raise told(RuntimeError, "torch.clamp: At least one of 'min' or 'max' must not be None")
    tensors = [isinstance(limit, Traced | np.ndarray) for limit in given]
    if all(tensors):
        return clip_between(input, min, max)
    if any(tensors):
        scalar = given[tensors.index(True)]
        if as_array(scalar).ndim or getattr(scalar, "requires_grad", False):
            raise told(
                TypeError,
                f"clamp(): min is {type(min).__name__} and max is {type(max).__name__}, expected two "
                "Tensors or two numbers",
            )
        min, max = (as_array(limit).item() for limit in (min, max))
        given = [min, max]
    array = as_array(input)
    d = dtypes.result((array, *given))
    if d is not array.dtype and isinstance(input, Traced):
        input = REGISTRY["cast"].call(input, d)
    if d.kind != "f":
        min, max = (None if limit is None else d.type(limit) for limit in (min, max))
    return _clip(input, min, max)


@implements(np.clip)
def _np_clip(
    a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    return clamp(a, a_min if min is None else min, a_max if max is None else max)


def clamp_min(input: Any, min: Any) -> Any:
    """Return the input with elements below `min` replaced by it; see `clamp`."""
    return clamp(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """Return the input with elements above `max` replaced by it; see `clamp`."""
    return clamp(input, None, max)


# ----- Functions of two numbers -------------------------------------------------------------------


def _inverse_square(x: Any, y: Any) -> Any:
    """Return one over the squared distance of a point from the origin, 0 at the origin itself."""
    square = x * x + y * y
    return np.where(square == 0, 0.0, 1 / square)


@tensors_only
@op(
    x=lambda g, x, y: g * (y * _inverse_square(x, y)),
    y=lambda g, x, y: g * (-x * _inverse_square(x, y)),
    broadcasts=True,
    dtype="float",
)
def atan2(x: Array, y: Array) -> Array:
    """Return the angle of the point ``(other, input)``, in radians, from -pi to pi."""
    return single.arctan2(x, y)


UFUNCS[np.arctan2] = REGISTRY["atan2"].call  # numbers too


@tensors_only
@op(
    x=lambda g, x, out: g * (x / out),
    y=lambda g, y, out: g * (y / out),
    broadcasts=True,
    dtype="promote",
)
def hypot(x: Array, y: Array) -> Array:
    """Return ``sqrt(input**2 + other**2)`` without overflow."""
    _refuse_whole("hypot_cpu", x)
    return np.hypot(x, y)


def _log_of_sum(name: str, x: Any, y: Any, base: float) -> Any:
    """Return the logarithm of a sum of powers of a base, given by its natural logarithm."""
    _refuse_whole(name, x)
    if np.result_type(x, y) == np.float16:
        return _log_of_sum(name, np.float32(x), np.float32(y), base).astype(np.float16)
    # max(x, y) + log(1 + exp(-|x - y|)); of equal infinities there is no difference.
    distance = np.subtract(x, y)
    distance = np.absolute(distance, out=distance if distance.ndim else None) * base
    rest = REGISTRY["logsigmoid"].call(np.asarray(distance), (), False)
    out = np.maximum(x, y) - (rest / base if base != 1 else rest)
    missing = np.isnan(out)
    return np.where(missing & (x == y), x, out) if missing.any() else out


@tensors_only
@op(
    x=lambda g, x, y: g * sigmoid(x - y),
    y=lambda g, x, y: g * sigmoid(y - x),
    broadcasts=True,
    dtype="promote",
)
def logaddexp(x: Array, y: Array) -> Array:
    """Return ``log(exp(input) + exp(other))`` without overflow."""
    return _log_of_sum("logaddexp_cpu", x, y, 1.0)


@tensors_only
@op(
    x=lambda g, x, y: g * sigmoid((x - y) * LN2),
    y=lambda g, x, y: g * sigmoid((y - x) * LN2),
    broadcasts=True,
    dtype="promote",
)
def logaddexp2(x: Array, y: Array) -> Array:
    """Return ``log2(2**input + 2**other)`` without overflow."""
    return _log_of_sum("logaddexp2_cpu", x, y, LN2)


@tensor_first
@op(
    x=lambda g, x, out: g * np.where(x == 0, 0.0, out / x),
    y=lambda g: np.zeros_like(g),
    broadcasts=True,
    dtype="float",
    ufunc=np.copysign,
)
def copysign(x: Array, y: Array) -> Array:
    """Return the size of `input` with the sign of `other`."""
    return np.copysign(x, y)


@op(
    x=lambda g, x, y: g * np.where(np.logical_and(x == 0, y <= 0), 0.0, np.log(y)),
    y=lambda g, x, y: g * (x / y),
    broadcasts=True,
    dtype="float",
)
def xlogy(x: Array, y: Array) -> Array:
    """Return ``input * log(other)``, 0 where `input` is 0 unless `other` is nan."""
    return np.where(np.logical_and(x == 0, np.logical_not(np.isnan(y))), 0.0, x * np.log(y)).astype(
        np.result_type(x, y), copy=False
    )


@tensors_only
@op(broadcasts=True, dtype="same", name="heaviside")
def _heaviside(x: Array, values: Array) -> Array:
    return np.where(x == 0, values, x > 0).astype(x.dtype, copy=False)  # 0 for nan, too


def heaviside(input: Any, values: Any) -> Any:
    """Return 0 for negative elements, 1 for positive ones, `values` for zeros."""
    return _heaviside(input, values)


UFUNCS.update(
    {
        u: REGISTRY[u.__name__].call for u in (np.hypot, np.logaddexp, np.logaddexp2, np.heaviside)
    }  # numbers too
)


# ----- Functions of three numbers -----------------------------------------------------------------


@op(
    x=lambda g, weight: g - g * weight,
    y=lambda g, weight: g * weight,
    broadcasts=True,
    dtype="same",
    label="Lerp",
    name="lerp_number",
)
def _lerp_number(x: Array, y: Array, weight: float) -> Array:
    _refuse_whole("lerp", x)
    if abs(weight) < 0.5:
        return x + weight * (y - x)
    return y - (y - x) * (1 - weight)  # exact at weight 1


@op(
    x=lambda g, weight: g * (1 - weight),
    y=lambda g, weight: g * weight,
    weight=lambda g, x, y: g * (y - x),
    broadcasts=True,
    dtype="same",
    name="lerp",
)
def _lerp(x: Array, y: Array, weight: Array) -> Array:
    _refuse_whole("lerp", x)
    # From the nearer end, so that both ends are met exactly.
    far = np.abs(weight) >= 0.5
    out = (y - x) * (weight - far.astype(weight.dtype))
    out += choose(far, y, x)
    return out


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Return ``input + weight * (end - input)``; `weight` is a number or a tensor.

    >>> import tinygrad_like as torch
    >>> torch.lerp(torch.tensor([0.0, 10.0]), torch.tensor([10.0, 20.0]), 0.5)
    tensor([ 5., 15.])
    """
    if isinstance(weight, Traced) and not weight.array.ndim:
        d = dtypes.result((as_array(input), as_array(end), weight.array))
        if as_array(input).dtype is as_array(end).dtype:  # otherwise refused as it is
            input, end, weight = (_cast(o, d) for o in (input, end, weight))
    if isinstance(weight, Traced | np.ndarray):
        return _lerp(input, end, weight)
    return _lerp_number(input, end, float(weight))


@op(
    x=lambda g: g,
    tensor1=lambda g, tensor2, value: g * (tensor2 * value),
    tensor2=lambda g, tensor1, value: g * (tensor1 * value),
    broadcasts=True,
    dtype="promote",
    name="addcmul",
)
def _addcmul(x: Array, tensor1: Array, tensor2: Array, value: Any) -> Array:
    if x.dtype.kind == "b":
        raise unsupported("addcmul_cpu", x.dtype)
    product = tensor1 * tensor2
    return x + (product if value == 1 else product * product.dtype.type(value))


@op(
    x=lambda g: g,
    tensor1=lambda g, tensor2, value: g * (value / tensor2),
    tensor2=lambda g, tensor1, tensor2, value: -g * (value * tensor1 / (tensor2 * tensor2)),
    broadcasts=True,
    dtype="promote",
    name="addcdiv",
)
def _addcdiv(x: Array, tensor1: Array, tensor2: Array, value: Any) -> Array:
    quotient = tensor1 / tensor2
    return x + (quotient if value == 1 else quotient * quotient.dtype.type(value))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """Return ``input + value * tensor1 * tensor2``."""
    return _addcmul(input, tensor1, tensor2, value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """Return ``input + value * tensor1 / tensor2``.

    Raises:
        RuntimeError: if both tensors to divide hold integers.
    """
    if as_array(tensor1).dtype.kind != "f" and as_array(tensor2).dtype.kind != "f":
        raise told(
            RuntimeError,
            "Integer division with addcdiv is not supported: tensor1 is "
            f"{tensor1.dtype} and tensor2 is {tensor2.dtype}; convert one with .float()",
        )
    return _addcdiv(input, tensor1, tensor2, value)


clip = clamp
arctan2 = atan2


# ----- Writing into a tensor ----------------------------------------------------------------------


@op(
    x=lambda g, x_shape, x_dtype: _cast(REGISTRY["sum_to"].call(g, x_shape), x_dtype),
    label="Copy",
)
def copied(x: Array, shape: Any, dtype: Any) -> Array:
    """Return `x` stretched to `shape` in `dtype`, to be written somewhere."""
    try:
        x = np.broadcast_to(x, shape)
    except ValueError:
        raise ValueError(f"it does not broadcast to the shape written to, {shape}") from None
    return x.astype(dtype, copy=False)


def _cast(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else REGISTRY["cast"].call(x, np.dtype(dtype))


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write `src`, broadcast and converted, into this tensor and return it; gradients go to `src`.

    Raises:
        RuntimeError: if `src` does not broadcast to the shape of this tensor.

    >>> import tinygrad_like as torch
    >>> torch.zeros(2, 2).copy_(torch.tensor([1, 2]))
    tensor([[1., 2.],
            [1., 2.]])
    """
    del non_blocking
    if isinstance(src, bool | int | float | np.generic):
        return fill_(self, src)
    if not isinstance(src, Traced):
        kind = type(src).__name__
        raise told(TypeError, f"copy_(): argument 'other' (position 1) must be Tensor, not {kind}")
    if src is self:
        return self
    target = self.array
    return write(self, "copy_", lambda: copied(src, target.shape, target.dtype))


def _filled(self: Any, value: Any) -> Any:
    """Return `value`, a number or a tensor without dimensions, in the shape and dtype of a tensor.

    Raises:
        RuntimeError: if `value` has dimensions, or is a number that the dtype can't hold.
    """
    target = self.array
    if isinstance(value, Traced):
        if value.array.ndim:
            shape = value.array.shape
            raise told(RuntimeError, f"fill_: value has shape {shape}, not a number or 0-d")
        return copied(value, target.shape, target.dtype)
    if not isinstance(value, bool | int | float | np.generic):
        kind = type(value).__name__
        raise told(TypeError, f"fill_(): argument 'value' must be a number or a Tensor, not {kind}")
    d = target.dtype
    plain: Any = value
    if d == np.uint8 and -255 <= plain < 0:
        plain = plain % 256  # PyTorch lets negative numbers wrap around
    try:
        number = d.type(bool(plain) if d.kind == "b" else plain)
    except (OverflowError, ValueError):
        raise told(
            RuntimeError,
            f"fill_: value cannot be converted to {dtypes.named(d)} without overflow: {value!r}",
        ) from None
    return np.broadcast_to(number, target.shape)


def _fill_at_once(memory: Any, value: Any) -> None:
    if np.ndim(value) or (type(value) is int and value.bit_length() > 64):
        raise ValueError
    memory.fill(value)


fill_ = in_place("fill_", _filled, _fill_at_once)
zero_ = in_place("zero_", lambda self: _filled(self, 0), lambda memory: memory.fill(0))


# ----- What optimizers do at once -----------------------------------------------------------------


def _addcmul_at_once(memory: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> None:
    product = np.multiply(tensor1, tensor2, dtype=memory.dtype)
    if value != 1:
        product *= value
    np.add(memory, product, out=memory)


def _addcdiv_at_once(memory: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> None:
    quotient = np.true_divide(tensor1, tensor2, dtype=memory.dtype)
    if value != 1:
        quotient *= value
    np.add(memory, quotient, out=memory)


def _lerp_at_once(memory: Any, end: Any, weight: Any) -> None:
    if isinstance(weight, np.ndarray) or not abs(weight) < 0.5:
        raise ValueError
    step = np.subtract(end, memory)
    step *= weight
    np.add(memory, step, out=memory)


def _clamp_at_once(memory: Any, min: Any = None, max: Any = None) -> None:
    kinds = {isinstance(limit, np.ndarray) for limit in (min, max) if limit is not None}
    if len(kinds) != 1 or (min is not None and np.shape(max) not in ((), memory.shape)):
        raise ValueError  # before anything is written
    if min is not None:
        np.maximum(memory, min, out=memory)
    if max is not None:
        np.minimum(memory, max, out=memory)


class ElementwiseMethods(ArithmeticMethods, UnaryMethods, ComparisonMethods):
    """The methods and operators of `Tensor` that the elementwise modules provide."""

    __slots__ = ()

    maximum = maximum
    minimum = minimum
    fmax = fmax
    fmin = fmin
    clamp = clip = clamp
    clamp_min = clamp_min
    clamp_max = clamp_max
    atan2 = arctan2 = atan2
    hypot = hypot
    logaddexp = logaddexp
    logaddexp2 = logaddexp2
    copysign = copysign
    xlogy = xlogy
    heaviside = heaviside
    lerp = lerp
    addcmul = addcmul
    addcdiv = addcdiv

    copy_ = copy_
    fill_ = fill_
    zero_ = zero_
    clamp_ = clip_ = in_place("clamp_", clamp, _clamp_at_once)
    clamp_min_ = in_place("clamp_min_", clamp_min, np.maximum)
    clamp_max_ = in_place("clamp_max_", clamp_max, np.minimum)
    atan2_ = arctan2_ = in_place("atan2_", atan2)
    hypot_ = in_place("hypot_", hypot)
    copysign_ = in_place("copysign_", copysign, np.copysign)
    xlogy_ = in_place("xlogy_", xlogy)
    heaviside_ = in_place("heaviside_", heaviside)
    lerp_ = in_place("lerp_", lerp, _lerp_at_once)
    addcmul_ = in_place("addcmul_", addcmul, _addcmul_at_once)
    addcdiv_ = in_place("addcdiv_", addcdiv, _addcdiv_at_once)
