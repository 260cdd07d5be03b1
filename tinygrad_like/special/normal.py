"""The normal distribution's functions, and logarithms that are careful at their ends.

Formulas: NIST Digital Library of Mathematical Functions, chapter 7.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.ops.special import erfc
from tinygrad_like.special.declare import one_number, two_numbers

__all__ = ["entr", "erfcx", "log_ndtr", "ndtr", "ndtri", "xlog1py"]


def _entropy(x: Any) -> Any:
    inside = np.where(x == 0, 0.0, -x * np.log(x))
    return np.where(x < 0, -np.inf, inside)


def _xlog1py(x: Any, y: Any) -> Any:
    return np.where(np.logical_and(x == 0, np.logical_not(np.isnan(y))), 0.0, x * np.log1p(y))


def _log1p_or_zero(x: Any, y: Any) -> Any:
    return np.where(np.logical_and(x == 0, y <= -1), 0.0, np.log1p(y))


entr = one_number(
    "entr",
    _entropy,
    "Return ``-input * log(input)``, 0 at 0 and minus infinity below.",
    lambda g, x: g * (-np.log(x) - 1),
    half=True,
)
erfcx = one_number(
    "erfcx",
    "erfcx",
    "Return ``exp(input**2) * erfc(input)``.",
    lambda g, x, out: g * (2 * x * out - 2 / math.sqrt(math.pi)),
)
ndtr = one_number(
    "ndtr",
    lambda x: 0.5 * erfc(x * -math.sqrt(0.5)),
    """Return the probability that a standard normal number is below each element.

    Unlike PyTorch's it is precise far below 0.

    >>> import tinygrad_like as torch
    >>> torch.special.ndtr(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.1587, 0.5000, 0.8413])
    """,
    lambda g, x: g * (np.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))),
    half=True,
)
ndtri = one_number(
    "ndtri",
    "ndtri",
    "Return the number whose `ndtr` is the element; infinite at 0 and 1, nan outside.",
    lambda g, out: g * (math.sqrt(2 * math.pi) * np.exp(out * out * 0.5)),
)
log_ndtr = one_number(
    "log_ndtr",
    "log_ndtr",
    "Return the logarithm of `ndtr`, precise far below 0.",
    lambda g, x: g * (math.sqrt(2 / math.pi) / erfcx(x * -math.sqrt(0.5))),
)
xlog1py = two_numbers(
    "xlog1py",
    _xlog1py,
    "Return ``input * log(1 + other)``, 0 where `input` is 0 unless `other` is nan.",
    lambda g, x, y: g * _log1p_or_zero(x, y),
    lambda g, x, y: g * (x / (y + 1)),
    label="SpecialXlog1Py",
    half=True,
)
