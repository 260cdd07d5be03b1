"""Activation functions; `softmax` and `gelu` have modules of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.dtypes import F16, F32, F64
from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.op import op
from tinygrad_like.ops.arithmetic import divide, multiply, subtract
from tinygrad_like.ops.comparison import choose, keep_where, unsupported
from tinygrad_like.ops.elementwise import clamp
from tinygrad_like.ops.gelu import gelu as gelu
from tinygrad_like.ops.pointwise import smooth
from tinygrad_like.ops.softmax import (
    SoftmaxMethods,
    log_softmax,
    softmax,
)
from tinygrad_like.ops.softmax import (
    gumbel_softmax as gumbel_softmax,
)
from tinygrad_like.ops.softmax import (
    softmin as softmin,
)
from tinygrad_like.ops.unary import absolute, exp, sigmoid, tanh
from tinygrad_like.random import default_generator
from tinygrad_like.views import in_place

__all__ = [
    "celu",
    "celu_",
    "hardshrink",
    "log_softmax",
    "prelu",
    "relu",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "softmax",
    "threshold",
    "threshold_",
]
FUNCTIONAL = [
    *__all__,
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "logsigmoid",
    "mish",
    "relu6",
    "sigmoid",
    "silu",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
]


def _refuse_whole(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise unsupported(name, x.dtype)


def _limited(ufunc: Any, x: Any, limit: float) -> Any:
    """Return ``ufunc(x, limit)``; NumPy takes a third of the time where the limit is an array too."""
    if x.size < 1024:
        return ufunc(x, x.dtype.type(limit))
    out = np.full_like(x, limit)
    return ufunc(x, out, out=out)


# ----- Rectifiers ---------------------------------------------------------------------------------


_ZEROS = {d: np.zeros((), d) for d in (F16, F32, F64)}  # NumPy is slower with a Python number


@op(x=lambda g, value: relu_gradient(g, value))
def relu_gradient(x: Array, value: Array) -> Array:
    """Return the gradient `x` where relu's result `value` is above 0 (or nan), and 0 elsewhere."""
    zero = _ZEROS[x.dtype]
    stopped = np.less_equal(value, zero)
    # Short arrays fit the branch predictor; in long ones a random mask is better done by bits.
    return np.where(stopped, zero, x) if x.size < 8192 else keep_where(x, ~stopped)


@op(x=lambda g, out: relu_gradient(g, out), name="relu")
def _relu(x: Array) -> Array:
    d = x.dtype
    if d is F32 or d is F64:
        return np.maximum(x, _ZEROS[d])
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


@op(
    x=lambda g, x, low, high: keep_where(g, np.logical_not(np.logical_or(x <= low, x >= high))),
    name="hardtanh",
)
def _hardtanh(x: Array, low: float, high: float) -> Array:
    if x.dtype.kind == "b":
        raise unsupported("hardtanh", x.dtype)
    return _limited(np.minimum, _limited(np.maximum, x, low), high)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Return the input kept between two limits; no gradient passes on a limit.

    Raises:
        ValueError: if the lower limit is above the upper one.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return hardtanh_(input, min_val, max_val) if inplace else _hardtanh(input, min_val, max_val)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Return the input kept between 0 and 6."""
    return hardtanh(input, 0.0, 6.0, inplace)


@op(
    x=lambda g, x, negative_slope: choose(x > 0, g, g * negative_slope),
    name="leaky_relu",
    label="LeakyRelu",
)
def _leaky_relu(x: Array, negative_slope: float) -> Array:
    _refuse_whole("leaky_relu_cpu", x)
    out = np.multiply(x, negative_slope)
    if 0 <= negative_slope <= 1:
        return np.maximum(x, out, out=out if out.ndim else None)
    return choose(x > 0, x, out)


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
            raise TypeError(
                f"prelu(): argument '{('input', 'weight')[position]}' (position {position + 1}) must be "
                f"Tensor, not {type(argument).__name__}"
            )
    ndim, size = weight.array.ndim, weight.array.size
    if ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {ndim}"
        )
    if size != 1:
        if input.array.ndim == 0:
            raise RuntimeError("prelu: Not allow zero-dim input tensor.")
        channels = input.array.shape[1] if input.array.ndim > 1 else 1
        if channels != size:
            raise RuntimeError(
                "prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers "
                f"= {size} and channel size = {channels}."
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
    """
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    negative = input.array <= 0
    u = (generator or default_generator).uniform(int(negative.sum()), np.dtype(np.float64))
    slopes = np.ones_like(input.array)
    slopes[negative] = lower + u * (upper - lower)
    factor = result_type.make(slopes)
    return input.mul_(factor) if inplace else multiply(input, factor)


@op(x=lambda g, x, limit: keep_where(g, np.logical_not(x <= limit)), name="threshold")
def _threshold(x: Array, limit: float, value: float) -> Array:
    return choose(np.logical_not(x <= limit), x, np.asarray(value, x.dtype))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """Return the input, elements not above `threshold` replaced by `value`."""
    return threshold_(input, threshold, value) if inplace else _threshold(input, threshold, value)


# ----- Exponential units --------------------------------------------------------------------------


def _elu_slope(x: Any, alpha: float, scale: float, inner: float) -> Any:
    return choose(x > 0, scale, exp(clamp(x, None, 0) * inner) * (alpha * scale * inner))


@smooth("elu", _elu_slope)
def _elu(x: Any, out: Any, slope: Any, alpha: Any, scale: Any, inner: Any) -> None:
    """Write ``scale * x`` above 0, ``scale * alpha * expm1(inner * x)`` below."""
    zeros = np.zeros_like(x)
    below = np.minimum(x, zeros)
    if x.dtype == np.float64 or inner < 0:
        below *= inner
        np.expm1(below, out=below)
    else:  # by t = tanh(z / 2), as 2 * t / (1 - t): a third of the time
        below *= inner / 2
        np.tanh(below, out=below)
        np.subtract(1, below, out=out)
        below /= out
        below *= 2
    below *= alpha * scale
    np.maximum(x, zeros, out=out)
    out *= scale
    out += below
    if slope is not None:
        below += alpha * scale
        below *= inner
        if scale == alpha * scale * inner:
            slope[...] = below
        else:
            slope[...] = choose(x > 0, scale, below)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return the input, negative elements replaced by ``alpha * (exp(input) - 1)``."""
    return elu_(input, alpha) if inplace else _elu(input, alpha, 1.0, 1.0)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return ``max(0, input) + min(0, alpha * (exp(input / alpha) - 1))``.

    Raises:
        RuntimeError: if `alpha` is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return celu_(input, alpha) if inplace else _elu(input, alpha, 1.0, 1.0 / alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """Return the scaled exponential linear unit of the input.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.
    """
    return selu_(input) if inplace else _elu(input, 1.6732632423543772, 1.0507009873554805, 1.0)


# ----- Smooth units -------------------------------------------------------------------------------


def _sigmoid(x: Any, out: Any) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)


def _silu_slope(x: Any) -> Any:
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


@smooth("silu", _silu_slope)
def _silu(x: Any, out: Any, slope: Any) -> None:
    s = np.empty_like(x)
    _sigmoid(x, s)
    np.multiply(x, s, out=out)
    if slope is not None:
        np.subtract(1, s, out=slope)
        slope *= out
        slope += s


def silu(input: Any, inplace: bool = False) -> Any:
    """Return ``input * sigmoid(input)``.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.silu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.0000,  0.7311])
    """
    return _silu_in_place(input) if inplace else _silu(input)


def _mish_slope(x: Any) -> Any:
    t = tanh(_softplus(x, 1.0, 20.0))
    return t + x * sigmoid(x) * (1 - t * t)


@smooth("mish", _mish_slope)
def _mish(x: Any, out: Any, slope: Any) -> None:
    # With e = exp(x) and n = e * (e + 2), tanh(log(1 + e)) is n / (n + 2); 1 from 20 on.
    limited = np.minimum(x, np.full_like(x, 20))
    e = np.exp(limited)
    n = e + 2
    n *= e
    m = n + 2
    n /= m
    np.multiply(x, n, out=out)
    if slope is not None:
        np.add(e, 1, out=slope)
        e /= m
        slope /= m
        slope *= e
        slope *= limited
        slope *= 4
        slope += n


def mish(input: Any, inplace: bool = False) -> Any:
    """Return ``input * tanh(softplus(input))``."""
    return _mish_in_place(input) if inplace else _mish(input)


def _log_of_one_plus(e: Any) -> Any:
    """Return ``log(1 + e)`` for numbers from 0 to 1."""
    if e.dtype == np.float64:
        return np.log1p(e)
    # np.log1p takes three times as long as the logarithm of what is nearly the sum, put right.
    u = e + 1
    lost = u - 1
    np.subtract(e, lost, out=lost)
    lost /= u
    np.log(u, out=u)
    u += lost
    return u


def _softplus_slope(x: Any, beta: float, threshold: float) -> Any:
    return choose(x * beta > threshold, 1.0, sigmoid(x * beta))


@smooth("softplus", _softplus_slope)
def _softplus(x: Any, out: Any, slope: Any, beta: Any, threshold: Any) -> None:
    z = x * beta
    e = np.absolute(z)
    np.negative(e, out=e)
    np.exp(e, out=e)
    np.maximum(z, np.zeros_like(z), out=out)
    out += _log_of_one_plus(e)
    out /= beta
    over = z > threshold
    exceeded = over.any()
    if exceeded:
        np.copyto(out, x, where=over)
    if slope is not None:
        _sigmoid(z, slope)
        if exceeded:
            slope[over] = 1


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return ``log(1 + exp(beta * input)) / beta``, the input itself where that hardly differs.

    Args:
        input: any shape.
        beta: how sharp the bend is.
        threshold: the input is returned where ``beta * input`` is above it.
    """
    return _softplus(input, beta, threshold)


@smooth("logsigmoid", lambda x: sigmoid(-x), label="LogSigmoid", refusal="log_sigmoid_cpu")
def _logsigmoid(x: Any, out: Any, slope: Any) -> None:
    e = np.absolute(x)
    np.negative(e, out=e)
    np.exp(e, out=e)
    np.minimum(x, np.zeros_like(x), out=out)
    out -= _log_of_one_plus(e)
    if slope is not None:
        np.negative(x, out=e)
        _sigmoid(e, slope)


def logsigmoid(input: Any) -> Any:
    """Return ``log(sigmoid(input))`` without overflow."""
    return _logsigmoid(input)


def softsign(input: Any) -> Any:
    """Return ``input / (1 + |input|)``."""
    return divide(input, absolute(input) + 1)


def tanhshrink(input: Any) -> Any:
    """Return ``input - tanh(input)``."""
    return subtract(input, tanh(input))


@op(x=lambda g, x, dim: _glu_slope(g, x, dim), name="glu")
def _glu(x: Array, dim: int) -> Array:
    _refuse_whole("glu_cpu", x)
    a, b = _halves(x, dim)
    return a * sigmoid(b)


def _halves(x: Any, dim: int) -> Any:
    if x.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but got {dim})"
        )
    size = x.shape[dim]
    if size % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % x.ndim} is size {size}"
        )
    before = (slice(None),) * (dim % x.ndim)
    return x[(*before, slice(None, size // 2))], x[(*before, slice(size // 2, None))]


def _glu_slope(g: Any, x: Any, dim: int) -> Any:
    a, b = _halves(x, dim)
    s = sigmoid(b)
    part = g * s
    return np.concatenate([part, part * (a * (1 - s))], dim % x.ndim)


def glu(input: Any, dim: int = -1) -> Any:
    """Return the first half of the input along `dim` times the sigmoid of the second half.

    Raises:
        RuntimeError: if that dimension has an odd size.
    """
    return _glu(input, dim)


# ----- Piecewise linear units ---------------------------------------------------------------------


@op(
    x=lambda g, x: keep_where(g / 6, np.logical_and(x > -3, x < 3)),
    name="hardsigmoid",
)
def _hardsigmoid(x: Array) -> Array:
    _refuse_whole("hardsigmoid_cpu", x)
    return _limited(np.minimum, _limited(np.maximum, x + 3, 0), 6) / 6


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Return ``relu6(input + 3) / 6``."""
    return _hardsigmoid_in_place(input) if inplace else _hardsigmoid(input)


@op(
    x=lambda g, x: keep_where(choose(x < 3, g * (x / 3 + 0.5), g), np.logical_not(x <= -3)),
    name="hardswish",
)
def _hardswish(x: Array) -> Array:
    _refuse_whole("hardswish_cpu", x)
    return x * _limited(np.minimum, _limited(np.maximum, x + 3, 0), 6) / 6


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Return ``input * relu6(input + 3) / 6``."""
    return _hardswish_in_place(input) if inplace else _hardswish(input)


@op(
    x=lambda g, x, lambd: keep_where(g, np.logical_not(np.logical_and(x >= -lambd, x <= lambd))),
    name="hardshrink",
)
def _hardshrink(x: Array, lambd: float) -> Array:
    _refuse_whole("hardshrink_cpu", x)
    return keep_where(x, ~((x >= -lambd) & (x <= lambd)))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return the input, elements between ``-lambd`` and `lambd` replaced by 0."""
    return _hardshrink(input, lambd)


@op(
    x=lambda g, x, lambd: keep_where(g, np.logical_not(np.logical_and(x >= -lambd, x <= lambd))),
    name="softshrink",
)
def _softshrink(x: Array, lambd: float) -> Array:
    _refuse_whole("softshrink_cpu", x)
    return x - np.minimum(np.maximum(x, -lambd), lambd)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Return the input moved towards 0 by `lambd`, and 0 if that would pass it.

    Raises:
        RuntimeError: if `lambd` is negative.
    """
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _softshrink(input, lambd)


# ----- In place -----------------------------------------------------------------------------------


def _relu_at_once(memory: Any) -> None:
    np.maximum(memory, 0, out=memory)


relu_ = in_place("relu_", relu, _relu_at_once)
hardtanh_ = in_place("hardtanh_", hardtanh)
leaky_relu_ = in_place("leaky_relu_", leaky_relu)
rrelu_ = in_place("rrelu_", rrelu)
threshold_ = in_place("threshold_", threshold)
elu_ = in_place("elu_", elu)
celu_ = in_place("celu_", celu)
selu_ = in_place("selu_", selu)
_silu_in_place = in_place("silu_", silu)
_mish_in_place = in_place("mish_", mish)
_hardsigmoid_in_place = in_place("hardsigmoid_", hardsigmoid)
_hardswish_in_place = in_place("hardswish_", hardswish)


class ActivationMethods(SoftmaxMethods):
    """The methods of `Tensor` that the activation modules provide."""

    __slots__ = ()

    relu = relu
    relu_ = relu_
    prelu = prelu
    hardshrink = hardshrink
