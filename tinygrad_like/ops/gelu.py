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

# In float32 the normal distribution function is (1 + tanh(x * p(x * x))) / 2 with this p, fitted for
# this package: it is 6e-8 off at most. Highest power first.
_FITTED = (
    1.756276854790622e-09,
    -1.3226625989470707e-07,
    3.964772940212531e-06,
    -5.530631575895673e-05,
    -3.2594746613777286e-05,
    0.03633308441027466,
    0.7978849414895858,
)


def _distribution(x: Any, square: Any, out: Any) -> None:
    """Write into `out` the normal distribution function of a chunk, `square` being ``x * x``."""
    if x.dtype == np.float64:
        np.multiply(erf(x * _SQRT_HALF), 0.5, out=out)
        out += 0.5
        return
    np.multiply(square, _FITTED[0], out=out)
    for c in _FITTED[1:-1]:
        out += c
        out *= square
    out += _FITTED[-1]
    out *= x
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5


def _exact(x: Any, out: Any, slope: Any) -> None:
    square = np.multiply(x, x)
    _distribution(x, square, out)
    if slope is not None:
        square *= -0.5
        np.exp(square, out=square)
        square *= _DENSITY
        square *= x
        np.add(out, square, out=slope)
    out *= x


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
