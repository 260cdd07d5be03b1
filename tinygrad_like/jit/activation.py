"""Activations and other functions of one number, for the kernels in `tinygrad_like.jit.pointwise`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tinygrad_like.jit import mathematics
from tinygrad_like.jit.compiler import inlined
from tinygrad_like.jit.mathematics import (
    choose,
    erf,
    exp,
    expm1,
    log1p,
    sigmoid,
    tanh,
)
from tinygrad_like.ops.gelu import CUBIC, DENSITY, FITTED, SQRT_HALF, STRETCH, TANH_SCALE


def like(x: Any, number: Any) -> Any:
    """Return a number in the type of `x`; without, float32 would become float64 in kernels."""
    raise NotImplementedError("like is for kernels")


@overload(like, jit_options={"forceinline": True})
def _like(x, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    real = np.float32 if x == types.float32 else np.float64
    return lambda x, number: real(number)  # noqa: ARG005


# ----- Values -------------------------------------------------------------------------------------


@inlined
def atanh(x: Any) -> Any:
    """Return the inverse of `tanh` of `x`."""
    size = abs(x)
    y = like(x, 0.5) * log1p(like(x, 2) * size / (like(x, 1) - size))
    return choose(x < like(x, 0), -y, choose(x == like(x, 0), x, y))


# ----- Values and derivatives ---------------------------------------------------------------------


@inlined
def sinh_and_cosh(x: Any) -> Any:
    """Return the hyperbolic sine and cosine of `x`."""
    size = abs(x)
    large = size > like(x, 20)
    # Above, exp(size - 1) * (e / 2) does not overflow before the result does.
    e = expm1(choose(large, size - like(x, 1), size))
    power = e + like(x, 1)
    far, inverse = power * like(x, math.e / 2), e / power
    y = choose(large, far, like(x, 0.5) * (e + inverse))
    y = choose(x < like(x, 0), -y, choose(x == like(x, 0), x, y))
    return y, choose(large, far, like(x, 1) + like(x, 0.5) * e * inverse)


@inlined
def erfc(x: Any) -> Any:
    """Return the complementary error function of `x` and its derivative."""
    return mathematics.erfc(x), exp(-x * x) * like(x, -2 / math.sqrt(math.pi))


@inlined
def sinh(x: Any) -> Any:
    """Return the hyperbolic sine of `x` and its derivative."""
    return sinh_and_cosh(x)


@inlined
def cosh(x: Any) -> Any:
    """Return the hyperbolic cosine of `x` and its derivative."""
    y, slope = sinh_and_cosh(x)
    return slope, y


@inlined
def gelu32(x: Any) -> Any:
    """Return gelu and its derivative in float32."""
    one = like(x, 1)
    bell = exp(like(x, -0.5) * x * x)
    t = one / (one + like(x, STRETCH) * abs(x))
    tail = like(x, FITTED[0]) * t + like(x, FITTED[1])
    tail = tail * t + like(x, FITTED[2])
    tail = tail * t + like(x, FITTED[3])
    tail = (tail * t + like(x, FITTED[4])) * t * bell
    share = choose(x < like(x, 0), tail, one - tail)
    return x * share, share + x * bell * like(x, DENSITY)


@inlined
def gelu64(x: Any) -> Any:
    """Return gelu and its derivative in float64."""
    share = like(x, 0.5) + like(x, 0.5) * erf(x * like(x, SQRT_HALF))
    return x * share, share + x * exp(like(x, -0.5) * x * x) * like(x, DENSITY)


def gelu(x: Any) -> Any:
    """Return gelu and its derivative."""
    raise NotImplementedError("gelu is for kernels")


@overload(gelu, jit_options={"forceinline": True, "fastmath": {"contract"}})
def _gelu(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (lambda x: gelu32(x)) if x == types.float32 else (lambda x: gelu64(x))


@inlined
def gelu_tanh(x: Any) -> Any:
    """Return gelu by a hyperbolic tangent and its derivative."""
    one, half = like(x, 1), like(x, 0.5)
    square = x * x
    t = tanh(x * (like(x, TANH_SCALE) + like(x, TANH_SCALE * CUBIC) * square))
    inner = half * x * (like(x, TANH_SCALE) + like(x, 3 * TANH_SCALE * CUBIC) * square)
    share = half + half * t
    return x * share, share + (one - t * t) * inner


@inlined
def silu(x: Any) -> Any:
    """Return silu and its derivative."""
    s = sigmoid(x)
    y = x * s
    return y, s + y * (like(x, 1) - s)


@inlined
def mish(x: Any) -> Any:
    """Return mish and its derivative."""
    two = like(x, 2)
    limited = choose(x > like(x, 20), like(x, 20), x)
    e = exp(limited)
    n = e * (e + two)
    t = n / (n + two)
    slope = t + limited * ((e / (n + two)) * ((like(x, 4) + like(x, 4) * e) / (n + two)))
    return x * t, slope


@inlined
def softplus(x: Any, beta: Any, threshold: Any) -> Any:
    """Return softplus and its derivative."""
    z = x * beta
    e = exp(-abs(z))
    y = (log1p(e) + choose(z > like(x, 0), z, like(x, 0))) / beta
    slope = choose(z < like(x, 0), e, like(x, 1)) / (like(x, 1) + e)
    over = z > threshold
    return choose(over, x, y), choose(over, like(x, 1), slope)


@inlined
def logsigmoid(x: Any) -> Any:
    """Return logsigmoid and its derivative."""
    e = exp(-abs(x))
    y = choose(x < like(x, 0), x, like(x, 0)) - log1p(e)
    return y, choose(x < like(x, 0), like(x, 1), e) / (like(x, 1) + e)


@inlined
def elu(x: Any, alpha: Any, scale: Any, inner: Any) -> Any:
    """Return an exponential linear unit and its derivative."""
    above = x > like(x, 0)
    below = expm1(choose(above, like(x, 0), x) * inner) * (alpha * scale)
    slope = choose(above, scale, (below + alpha * scale) * inner)
    return choose(above, x * scale, below), slope


# ----- Straight pieces: values, and what is left of a gradient ------------------------------------


@inlined
def relu(x: Any) -> Any:
    """Return relu of `x`."""
    return choose(x <= like(x, 0), like(x, 0), x)


@inlined
def relu_backward(g: Any, value: Any) -> Any:
    """Return the gradient that passes where relu was `value`."""
    return choose(value <= like(g, 0), like(g, 0), g)


@inlined
def hardtanh(x: Any, low: Any, high: Any) -> Any:
    """Return `x` between two limits."""
    x = choose(x < low, low, x)
    return choose(x > high, high, x)


@inlined
def hardtanh_backward(g: Any, x: Any, low: Any, high: Any) -> Any:
    """Return the gradient that passes between two limits."""
    return choose((x > low) & (x < high), g, like(g, 0))


@inlined
def leaky_relu(x: Any, slope: Any) -> Any:
    """Return `x`, or below 0 its product with a slope."""
    return choose(x > like(x, 0), x, x * slope)


@inlined
def leaky_relu_backward(g: Any, x: Any, slope: Any) -> Any:
    """Return the gradient that passes."""
    return choose(x > like(x, 0), g, g * slope)


@inlined
def threshold(x: Any, limit: Any, value: Any) -> Any:
    """Return `x`, or up to a limit a value."""
    return choose(x <= limit, value, x)


@inlined
def threshold_backward(g: Any, x: Any, limit: Any, value: Any) -> Any:  # noqa: ARG001
    """Return the gradient that passes above a limit."""
    return choose(x <= limit, like(g, 0), g)


@inlined
def hardsigmoid(x: Any) -> Any:
    """Return ``(x + 3) / 6`` between 0 and 1."""
    return hardtanh(x + like(x, 3), like(x, 0), like(x, 6)) / like(x, 6)


@inlined
def hardsigmoid_backward(g: Any, x: Any) -> Any:
    """Return the gradient that passes."""
    return hardtanh_backward(g / like(g, 6), x, like(x, -3), like(x, 3))


@inlined
def hardswish(x: Any) -> Any:
    """Return `x` times its hardsigmoid."""
    return x * hardtanh(x + like(x, 3), like(x, 0), like(x, 6)) / like(x, 6)


@inlined
def hardswish_backward(g: Any, x: Any) -> Any:
    """Return the gradient that passes."""
    bent = choose(x >= like(x, 3), g, g * (x / like(x, 3) + like(x, 0.5)))
    return choose(x <= like(x, -3), like(x, 0), bent)


@inlined
def hardshrink(x: Any, size: Any) -> Any:
    """Return `x`, or 0 up to a size."""
    return choose((x >= -size) & (x <= size), like(x, 0), x)


@inlined
def hardshrink_backward(g: Any, x: Any, size: Any) -> Any:
    """Return the gradient that passes above a size."""
    return choose((x < -size) | (x > size), g, like(g, 0))


@inlined
def softshrink(x: Any, size: Any) -> Any:
    """Return `x` moved towards 0."""
    return x - hardtanh(x, -size, size)


softshrink_backward = hardshrink_backward
