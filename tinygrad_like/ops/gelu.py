"""The Gaussian error linear unit (Hendrycks and Gimpel, 2016)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.lines import told
from tinygrad_like.ops.pointwise import smooth
from tinygrad_like.ops.special import erf
from tinygrad_like.ops.unary import exp, tanh

__all__: list[str] = []
FUNCTIONAL = ["gelu"]

SQRT_HALF = math.sqrt(0.5)
DENSITY = 1 / math.sqrt(2 * math.pi)  # of the normal distribution, at its mean
TANH_SCALE, CUBIC = math.sqrt(2 / math.pi), 0.044715

# For a >= 0 the normal distribution function at -a is exp(-a * a / 2) times a polynomial without
# constant in t = 1 / (1 + STRETCH * a) (the form of Hastings, 1955; fitted for this package to 2e-7,
# less than what float32 arithmetic loses). Highest power first.
STRETCH = 0.33
FITTED = (
    -0.1100026663433103,
    0.37711162351308775,
    -0.09362755117993302,
    0.2048492836303459,
    0.12166944468483686,
)
_SIGN = np.int32(-(2**31))


def _slope(x: Any) -> Any:
    return 0.5 + 0.5 * erf(x * SQRT_HALF) + x * exp(-0.5 * x * x) * DENSITY


@smooth("gelu", _slope, refusal="GeluKernelImpl")
def _gelu(x: Any, out: Any, slope: Any) -> None:
    if x.dtype == np.float64:
        np.multiply(erf(x * SQRT_HALF), 0.5, out=out)
        out += 0.5
        if slope is not None:
            np.exp(-0.5 * x * x, out=slope)
            slope *= DENSITY
            slope *= x
            slope += out
        out *= x
        return
    bell = np.multiply(x, x)
    bell *= -0.5
    np.exp(bell, out=bell)
    size = np.absolute(x)
    t = np.multiply(size, STRETCH)
    t += 1
    np.divide(1, t, out=t)
    tail = np.multiply(t, FITTED[0])
    for c in FITTED[1:]:
        tail += c
        tail *= t
    tail *= bell
    # x times the share of the distribution below it is max(x, 0) - |x| * tail, on either side.
    size *= tail
    t.fill(0)
    np.maximum(x, t, out=out)
    if not np.maximum.reduce(size) < np.inf:
        size[x == np.inf] = 0  # where it is infinity times 0
    out -= size
    if slope is not None:
        # The share is 0.5 + sign(x) * (0.5 - tail), the sign set as np.copysign would in four times
        # the time.
        np.subtract(0.5, tail, out=tail)
        sign = np.bitwise_and(x.view(np.int32), _SIGN, out=t.view(np.int32))
        np.bitwise_or(tail.view(np.int32), sign, out=tail.view(np.int32))
        tail += 0.5
        bell *= DENSITY
        bell *= x
        np.add(tail, bell, out=slope)


def _slope_by_tanh(x: Any) -> Any:
    t = tanh(x * (TANH_SCALE + TANH_SCALE * CUBIC * (x * x)))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (TANH_SCALE + 3 * TANH_SCALE * CUBIC * (x * x))


@smooth("gelu_tanh", _slope_by_tanh, label="Gelu", refusal="GeluKernelImpl")
def _gelu_by_tanh(x: Any, out: Any, slope: Any) -> None:
    square = np.multiply(x, x)
    np.multiply(square, TANH_SCALE * CUBIC, out=out)
    out += TANH_SCALE
    out *= x
    np.tanh(out, out=out)
    if slope is not None:
        np.multiply(out, out, out=slope)
        np.subtract(1, slope, out=slope)
        square *= 1.5 * TANH_SCALE * CUBIC
        square += 0.5 * TANH_SCALE
        slope *= square
        slope *= x
    out *= 0.5
    out += 0.5
    if slope is not None:
        slope += out
    out *= x


def gelu(input: Any, *, approximate: str = "none") -> Any:
    """Return ``input`` times the normal distribution function of it.

    Args:
        input: any shape.
        approximate: "none", or "tanh" for the approximation by a hyperbolic tangent.

    Raises:
        RuntimeError: for another approximation.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_by_tanh(input)
    raise told(
        RuntimeError, f"approximate argument must be either none or tanh, but got {approximate!r}"
    )
