"""Smooth activations; those made of straight pieces, `softmax` and `gelu` have modules of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arithmetic import divide, subtract
from tinygrad_like.ops.comparison import choose, unsupported
from tinygrad_like.ops.elementwise import clamp
from tinygrad_like.ops.gelu import gelu as gelu
from tinygrad_like.ops.pointwise import smooth
from tinygrad_like.ops.rectifiers import hardshrink, prelu, relu, relu_
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
from tinygrad_like.views import in_place

__all__ = [
    "celu",
    "celu_",
    "log_softmax",
    "selu",
    "selu_",
    "softmax",
]
FUNCTIONAL = [
    *__all__,
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "logsigmoid",
    "mish",
    "sigmoid",
    "silu",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]


def _refuse_whole(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise unsupported(name, x.dtype)


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
        raise told(RuntimeError, "ZeroDivisionError: alpha cannot be 0 for CELU")
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


@op(x=lambda g, x, s, dim: _glu_slope(g, x, s, dim), keeps=("s",), name="glu")
def _glu(x: Array, dim: int) -> Any:
    _refuse_whole("glu_cpu", x)
    a, b = _halves(x, dim)
    s = sigmoid(b)
    return a * s, s


def _halves(x: Any, dim: int) -> Any:
    if x.ndim == 0:
        raise told(RuntimeError, "glu does not support 0-dimensional tensors")
    if not -x.ndim <= dim < x.ndim:
        raise told(
            IndexError,
            f"Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but got {dim})",
        )
    size = x.shape[dim]
    if size % 2:
        raise told(
            RuntimeError,
            f"Halving dimension must be even, but dimension {dim % x.ndim} is size {size}",
        )
    before = (slice(None),) * (dim % x.ndim)
    return x[(*before, slice(None, size // 2))], x[(*before, slice(size // 2, None))]


def _glu_slope(g: Any, x: Any, s: Any, dim: int) -> Any:
    a, b = _halves(x, dim)
    if isinstance(x, Traced):  # to be differentiated again
        s = sigmoid(b)
    part = g * s
    return np.concatenate([part, part * (a * (1 - s))], dim % x.ndim)


def glu(input: Any, dim: int = -1) -> Any:
    """Return the first half of the input along `dim` times the sigmoid of the second half.

    Raises:
        RuntimeError: if that dimension has an odd size.
    """
    return _glu(input, dim)


# ----- In place -----------------------------------------------------------------------------------


elu_ = in_place("elu_", elu)
celu_ = in_place("celu_", celu)
selu_ = in_place("selu_", selu)
_silu_in_place = in_place("silu_", silu)
_mish_in_place = in_place("mish_", mish)


class ActivationMethods(SoftmaxMethods):
    """The methods of `Tensor` that the activation modules provide."""

    __slots__ = ()

    relu = relu
    relu_ = relu_
    prelu = prelu
    hardshrink = hardshrink
