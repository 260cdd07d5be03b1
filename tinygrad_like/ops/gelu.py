"""The Gaussian error linear unit (Hendrycks and Gimpel, 2016), in chunks that stay in the cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced
from tinygrad_like.modes import thread_mode
from tinygrad_like.op import op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.special import erf
from tinygrad_like.ops.unary import exp, tanh

__all__: list[str] = []
FUNCTIONAL = ["gelu"]

_CHUNK = 16384
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)  # of the normal distribution, at its mean
_K, _CUBIC = math.sqrt(2 / math.pi), 0.044715

# For a >= 0 the normal distribution function at -a is exp(-a * a / 2) times a polynomial without
# constant in t = 1 / (1 + 0.33 * a) (the form of Hastings, 1955; fitted for this package to 2e-7,
# less than what float32 arithmetic loses). Highest power first.
_STRETCH = 0.33
_SIGN = np.int32(-(2**31))
_FITTED = (
    -0.1100026663433103,
    0.37711162351308775,
    -0.09362755117993302,
    0.2048492836303459,
    0.12166944468483686,
)


def _exact(x: Any, out: Any, slope: Any) -> None:
    """Write gelu of a chunk, and unless `slope` is None its derivative."""
    if x.dtype == np.float64:
        np.multiply(erf(x * _SQRT_HALF), 0.5, out=out)
        out += 0.5
        if slope is not None:
            np.exp(-0.5 * x * x, out=slope)
            slope *= _DENSITY
            slope *= x
            slope += out
        out *= x
        return
    size = np.absolute(x)
    if not np.maximum.reduce(size) < np.inf:
        np.minimum(size, 3e38, out=size)  # inf times 0 would be nan below
    bell = np.multiply(x, x)
    bell *= -0.5
    np.exp(bell, out=bell)
    t = np.multiply(size, _STRETCH)
    t += 1
    np.divide(1, t, out=t)
    tail = np.multiply(t, _FITTED[0])
    for c in _FITTED[1:]:
        tail += c
        tail *= t
    tail *= bell
    # x times the distribution function is max(x, 0) - |x| * tail, without a choice of sides.
    t.fill(0)
    np.maximum(x, t, out=out)
    size *= tail
    out -= size
    if slope is not None:
        np.subtract(0.5, tail, out=tail)
        # The sign of x, as np.copysign would set it in four times the time.
        sign = np.bitwise_and(x.view(np.int32), _SIGN, out=t.view(np.int32))
        np.bitwise_or(tail.view(np.int32), sign, out=tail.view(np.int32))
        tail += 0.5
        bell *= _DENSITY
        bell *= x
        np.add(tail, bell, out=slope)


def _by_tanh(x: Any, out: Any, slope: Any) -> None:
    square = np.multiply(x, x)
    np.multiply(square, _K * _CUBIC, out=out)
    out += _K
    out *= x
    np.tanh(out, out=out)
    if slope is not None:
        np.multiply(out, out, out=slope)
        np.subtract(1, slope, out=slope)
        square *= 1.5 * _K * _CUBIC
        square += 0.5 * _K
        slope *= square
        slope *= x
    out *= 0.5
    out += 0.5
    if slope is not None:
        slope += out
    out *= x


@op(
    x=lambda g, x, slope, approximate: (
        g * (_slope(x, approximate) if isinstance(x, Traced) else slope)
    ),
    keeps=("slope",),
    name="gelu",
)
def _gelu(x: Array, approximate: str, wanted: bool) -> Array:
    """Return gelu and, if `wanted`, its derivative, while the chunk is at hand."""
    if x.dtype.kind != "f":
        raise unsupported("GeluKernelImpl", x.dtype)
    if approximate not in ("none", "tanh"):
        raise RuntimeError(
            f"approximate argument must be either none or tanh, but got {approximate!r}"
        )
    work = x.astype(np.float32) if x.dtype == np.float16 else x
    flat = np.ravel(work)
    out = np.empty_like(flat)
    slope = np.empty_like(flat) if wanted else None
    compute = _exact if approximate == "none" else _by_tanh
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        compute(flat[part], out[part], None if slope is None else slope[part])
    if slope is not None:
        slope = slope.reshape(x.shape).astype(x.dtype, copy=False)
    return out.reshape(x.shape).astype(x.dtype, copy=False), slope


def _slope(x: Any, approximate: str) -> Any:
    """Return the derivative as recorded operations, for derivatives of higher order."""
    if approximate == "none":
        return 0.5 + 0.5 * erf(x * _SQRT_HALF) + x * exp(-0.5 * x * x) * _DENSITY
    t = tanh(x * (_K + _K * _CUBIC * (x * x)))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (_K + 3 * _K * _CUBIC * (x * x))


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
    wanted = isinstance(input, Traced) and input.node is not None and thread_mode.grad
    return _gelu(input, approximate, wanted)
