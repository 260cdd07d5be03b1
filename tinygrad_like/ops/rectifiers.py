"""Activations made of straight pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import jit
from tinygrad_like.arrays.draws import refuse_whole
from tinygrad_like.arrays.passes import LIGHT, alike, in_chunks
from tinygrad_like.dtypes import F16, F32, F64
from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arithmetic import multiply
from tinygrad_like.ops.comparison import SIGNED, choose, keep_where
from tinygrad_like.ops.pointwise import LEAST, piecewise
from tinygrad_like.random import default_generator
from tinygrad_like.views import in_place

__all__ = [
    "hardshrink",
    "prelu",
    "relu",
    "relu_",
    "rrelu",
    "rrelu_",
    "threshold",
    "threshold_",
]
FUNCTIONAL = [
    *__all__,
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "relu6",
    "softshrink",
]


def _keep(x: Any, mask: Any, out: Any) -> None:
    """Write `x` where the mask is True, 0 elsewhere: by bits, since an infinity times 0 is nan."""
    signed = SIGNED[x.itemsize]
    bits = np.negative(mask.view(np.int8)).astype(signed)
    np.bitwise_and(x.view(signed), bits, out=out.view(signed))


def _limit(x: Any, low: float, high: float, out: Any) -> None:
    """Write `x` between two limits, which NumPy does in a third of the time if they are arrays."""
    np.maximum(x, np.full_like(x, low), out=out)
    np.minimum(out, np.full_like(x, high), out=out)


# ----- Rectifiers ---------------------------------------------------------------------------------


_ZEROS = {d: np.zeros((), d) for d in (F16, F32, F64)}  # NumPy is slower with a Python number


@jit.compiled("pointwise.relu", least=LEAST)
def _relu_values(x: Any, out: Any) -> None:
    out.fill(0)
    np.maximum(x, out, out=out)


@jit.compiled("pointwise.relu_backward", least=LEAST)
@in_chunks
def _relu_passed(g: Any, value: Any, out: Any) -> None:
    _keep(g, np.logical_not(value <= 0), out)


@op(x=lambda g, value: relu_gradient(g, value))
def relu_gradient(x: Array, value: Array) -> Array:
    """Return the gradient `x` where relu's result `value` is above 0 (or nan), and 0 elsewhere."""
    if x.size < 8192:  # few enough for the branch predictor
        zero = _ZEROS[x.dtype]
        return np.where(np.less_equal(value, zero), zero, x)
    return alike(_relu_passed, x, value, cost=LIGHT)


@op(x=lambda g, out: relu_gradient(g, out), name="relu")
def _relu(x: Array) -> Array:
    d = x.dtype
    if d is F32 or d is F64:
        if x.size < LEAST:
            return np.maximum(x, _ZEROS[d])
        return alike(_relu_values, x, cost=LIGHT)
    if d.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return np.maximum(x, d.type(0))


def relu(input: Any, inplace: bool = False) -> Any:
    """Return ``max(input, 0)``; the gradient at 0 is 0.

    >>> import tinygrad_like as torch
    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return relu_(input) if inplace else _relu(input)


def _hardtanh_passed(g: Any, x: Any, out: Any, low: Any, high: Any) -> None:
    _keep(g, (x > low) & (x < high), out)


@piecewise("hardtanh", _hardtanh_passed, kinds="fiu")
def _hardtanh(x: Any, out: Any, low: Any, high: Any) -> None:
    _limit(x, low, high, out)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Return the input kept between two limits; no gradient passes on a limit.

    Raises:
        ValueError: if the lower limit is above the upper one.
    """
    if min_val > max_val:
        raise told(ValueError, "min_val cannot be greater than max_val")
    return hardtanh_(input, min_val, max_val) if inplace else _hardtanh(input, min_val, max_val)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Return the input kept between 0 and 6."""
    return hardtanh(input, 0.0, 6.0, inplace)


def _leaky_relu_passed(g: Any, x: Any, out: Any, slope: Any) -> None:
    out[...] = choose(x > 0, g, g * slope)


@piecewise("leaky_relu", _leaky_relu_passed, label="LeakyRelu")
def _leaky_relu(x: Any, out: Any, slope: Any) -> None:
    np.multiply(x, slope, out=out)
    if 0 <= slope <= 1:
        np.maximum(x, out, out=out)
    else:
        out[...] = choose(x > 0, x, out)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Return the input, negative elements multiplied by `negative_slope`."""
    return leaky_relu_(input, negative_slope) if inplace else _leaky_relu(input, negative_slope)


@op(
    x=lambda g, x, weight: choose(x > 0, g, g * weight),
    weight=lambda g, x: keep_where(g * x, np.logical_not(x > 0)),
    broadcasts=True,
    dtype="same",
    label="PreluKernel",
    name="prelu",
)
def _prelu(x: Array, weight: Array) -> Array:
    return choose(x > 0, x, x * weight)


def prelu(input: Any, weight: Any) -> Any:
    """Return the input, negative elements multiplied by a learned weight.

    Args:
        input: ``(N, C, *)``, or any shape for a single weight.
        weight: ``(C,)`` or ``(1,)``.

    Raises:
        RuntimeError: if there are neither one nor C weights.
    """
    for position, argument in enumerate((input, weight)):
        if not isinstance(argument, Traced):
            raise told(
                TypeError,
                f"prelu(): argument '{('input', 'weight')[position]}' (position {position + 1}) must be "
                f"Tensor, not {type(argument).__name__}",
            )
    ndim, size = weight.array.ndim, weight.array.size
    if ndim > 1:
        raise told(
            RuntimeError,
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {ndim}",
        )
    if size != 1:
        if input.array.ndim == 0:
            raise told(RuntimeError, "prelu: Not allow zero-dim input tensor.")
        channels = input.array.shape[1] if input.array.ndim > 1 else 1
        if channels != size:
            raise told(
                RuntimeError,
                f"prelu: weight has {size} elements, expected 1 or as many as input has channels, {channels}",
            )
    if ndim and input.array.ndim != 1:
        shape = (1, size, *(1,) * (input.array.ndim - 2)) if input.array.ndim > 1 else ()
        weight = weight.reshape(shape)
    return _prelu(input, weight)


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Any = None,
) -> Any:
    """Return the input, negative elements multiplied by random slopes, or by the mean slope.

    Args:
        input: any shape.
        lower: the least slope.
        upper: the largest slope.
        training: whether slopes are random.
        inplace: write into `input`.
        generator: where the numbers come from.

    Raises:
        NotImplementedError: if the elements are not floating-point numbers.
    """
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    refuse_whole("rrelu_with_noise_out_cpu", input.array.dtype)
    negative = input.array <= 0
    u = (generator or default_generator).uniform(int(negative.sum()), np.dtype(np.float64))
    slopes = np.ones_like(input.array)
    slopes[negative] = lower + u * (upper - lower)
    factor = result_type.make(slopes)
    return input.mul_(factor) if inplace else multiply(input, factor)


def _threshold_passed(g: Any, x: Any, out: Any, limit: Any, value: Any) -> None:
    del value
    _keep(g, np.logical_not(x <= limit), out)


@piecewise("threshold", _threshold_passed, kinds="fiu")
def _threshold(x: Any, out: Any, limit: Any, value: Any) -> None:
    out[...] = choose(np.logical_not(x <= limit), x, value)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """Return the input, elements not above `threshold` replaced by `value`."""
    return threshold_(input, threshold, value) if inplace else _threshold(input, threshold, value)


# ----- Others -------------------------------------------------------------------------------------


def _hardsigmoid_passed(g: Any, x: Any, out: Any) -> None:
    _keep(g / 6, (x > -3) & (x < 3), out)


@piecewise("hardsigmoid", _hardsigmoid_passed)
def _hardsigmoid(x: Any, out: Any) -> None:
    _limit(x + 3, 0, 6, out)
    out /= 6


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Return ``relu6(input + 3) / 6``."""
    return _hardsigmoid_in_place(input) if inplace else _hardsigmoid(input)


def _hardswish_passed(g: Any, x: Any, out: Any) -> None:
    slope = x / 3
    slope += 0.5
    slope *= g
    _keep(choose(x >= 3, g, slope), np.logical_not(x <= -3), out)


@piecewise(
    "hardswish",
    _hardswish_passed,
    bend=lambda g, x, y: keep_where(g * x / 3, np.logical_and(y > -3, y < 3)),
)
def _hardswish(x: Any, out: Any) -> None:
    _limit(x + 3, 0, 6, out)
    out *= x
    out /= 6


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Return ``input * relu6(input + 3) / 6``."""
    return _hardswish_in_place(input) if inplace else _hardswish(input)


def _shrink_passed(g: Any, x: Any, out: Any, lambd: Any) -> None:
    _keep(g, (x < -lambd) | (x > lambd), out)


@piecewise("hardshrink", _shrink_passed)
def _hardshrink(x: Any, out: Any, lambd: Any) -> None:
    _keep(x, np.logical_not((x >= -lambd) & (x <= lambd)), out)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return the input, elements between ``-lambd`` and `lambd` replaced by 0."""
    return _hardshrink(input, lambd)


@piecewise("softshrink", _shrink_passed)
def _softshrink(x: Any, out: Any, lambd: Any) -> None:
    _limit(x, -lambd, lambd, out)
    np.subtract(x, out, out=out)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return the input moved towards 0 by `lambd`, and 0 if that would pass it.

    Raises:
        RuntimeError: if `lambd` is negative.
    """
    if lambd < 0:
        raise told(
            RuntimeError,
            f"softshrink: lambda must be greater or equal to 0, but found to be {lambd}.",
        )
    return _softshrink(input, lambd)


# ----- In place -----------------------------------------------------------------------------------


def _relu_at_once(memory: Any) -> None:
    np.maximum(memory, 0, out=memory)


relu_ = in_place("relu_", relu, _relu_at_once)
hardtanh_ = in_place("hardtanh_", hardtanh)
leaky_relu_ = in_place("leaky_relu_", leaky_relu)
rrelu_ = in_place("rrelu_", rrelu)
threshold_ = in_place("threshold_", threshold)
_hardsigmoid_in_place = in_place("hardsigmoid_", hardsigmoid)
_hardswish_in_place = in_place("hardswish_", hardswish)
