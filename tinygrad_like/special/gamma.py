"""The gamma function and its kin, and the zeta function.

Formulas: NIST Digital Library of Mathematical Functions, chapters 5, 8 and 25.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.special.declare import one_number, refuse, scipy_function, two_numbers

__all__ = [
    "digamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "multigammaln",
    "polygamma",
    "psi",
    "zeta",
]


def _lgamma(x: Any) -> Any:
    # SciPy has minus infinity there.
    return scipy_function("gammaln")(np.where(x == -np.inf, np.inf, x))


lgamma: Any = one_number(
    "lgamma",
    _lgamma,
    """Return the logarithm of the absolute value of the gamma function.

    >>> import tinygrad_like as torch
    >>> torch.lgamma(torch.tensor([0.5, 1.0, 5.0]))
    tensor([0.5724, 0.0000, 3.1781])
    """,
    lambda g, x: g * digamma(x),
    label="Lgamma",
    half=True,
)
gammaln = lgamma

digamma: Any = one_number(
    "digamma",
    "psi",
    """Return the derivative of `lgamma`; infinite at 0, nan at negative integers.

    >>> import tinygrad_like as torch
    >>> torch.digamma(torch.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """,
    lambda g, x: g * _polygamma(x, 1),
    label="Digamma",
    half=True,
)
psi = digamma


# Of z**-2 in the series of trigamma for large z (DLMF 5.15.8), highest power first: Bernoulli's numbers.
_SERIES = (-3617 / 510, 7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6)
_STEPS = 10  # up from 0.5, to where the series is right to the last place
_CHUNK = 8192  # elements of which several arrays stay in the cache


def _trigamma(x: Any) -> Any:
    """Return derivative 1 of `digamma`, many times as fast as by the zeta function."""
    flat = x.ravel()
    out = np.empty_like(flat)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK].astype(np.float64)
        left = part < 0.5
        reflected = left.any()
        z = np.where(left, 1 - part, part) if reflected else part.copy()
        total = np.zeros_like(z)
        for _ in range(_STEPS):
            total += 1 / (z * z)
            z += 1
        inverse = np.divide(1, z, out=z)
        square = inverse * inverse
        series = square * _SERIES[0]
        for c in _SERIES[1:]:
            series += c
            series *= square
        series += inverse * 0.5
        series += 1
        total += np.multiply(series, inverse, out=series)
        if reflected:  # DLMF 5.15.6
            numbers = part[left]
            sine = np.sin((numbers - np.rint(numbers)) * math.pi)
            total[left] = (math.pi / sine) ** 2 - total[left]
        out[start : start + _CHUNK] = total
    return out.reshape(x.shape)


@op(x=lambda g, x, n: g * _polygamma(x, n + 1), dtype="float", name="polygamma")
def _polygamma(x: Array, n: int) -> Array:
    if n == 1 and x.dtype != np.float16:
        return _trigamma(x)
    return scipy_function("polygamma")(n, x).astype(x.dtype, copy=False)


def polygamma(n: int, input: Any) -> Any:
    """Return derivative `n` of `digamma`.

    Args:
        n: 0 or more.
        input: any shape.

    Raises:
        RuntimeError: if `n` is negative.

    >>> import tinygrad_like as torch
    >>> torch.polygamma(1, torch.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    if not isinstance(n, int) or isinstance(n, bool):
        raise told(
            TypeError, f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    if n < 0:
        raise told(RuntimeError, f"polygamma(n, x) does not support negative n, got {n}")
    return digamma(input) if n == 0 else _polygamma(input, n)


def multigammaln(input: Any, p: int) -> Any:
    """Return the logarithm of the multivariate gamma function of dimension `p`.

    Args:
        input: any shape, elements above ``(p - 1) / 2``.
        p: 1 or more.

    Raises:
        RuntimeError: if `p` is not positive.

    >>> import tinygrad_like as torch
    >>> torch.mvlgamma(torch.tensor([2.0, 3.0]), p=2)
    tensor([0.4516, 1.5502])
    """
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"mvlgamma(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    if p < 1:
        raise told(RuntimeError, f"mvlgamma: p has to be greater than or equal to 1, got {p}")
    x: Any = input
    out = lgamma(x)
    for i in range(1, p):
        out = out + lgamma(x - i / 2)
    return out + p * (p - 1) / 4 * math.log(math.pi)


mvlgamma = multigammaln

zeta: Any = two_numbers(
    "zeta",
    "zeta",
    """Return the zeta function of Hurwitz, the sum of ``(other + k)**-input`` over k from 0.

    >>> import tinygrad_like as torch
    >>> torch.special.zeta(torch.tensor([2.0, 4.0]), 1)
    tensor([1.6449, 1.0823])
    """,
    refuse("zeta"),
    lambda g, x, y: g * -x * zeta(x + 1, y),
)


def _density(x: Any, y: Any) -> Any:
    """Return the derivative of `gammainc` in its second argument."""
    return np.exp((x - 1) * REGISTRY["log"].call(y) - y - lgamma(x))


igamma: Any = two_numbers(
    "igamma",
    "gammainc",
    """Return the regularized lower incomplete gamma function of order `input` at `other`.

    >>> import tinygrad_like as torch
    >>> torch.igamma(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([0.8647])
    """,
    refuse("igamma: input"),
    lambda g, x, y: g * _density(x, y),
    label="Igamma",
    dtype="promote",
    half=True,
)
gammainc = igamma

igammac: Any = two_numbers(
    "igammac",
    "gammaincc",
    """Return ``1 - igamma(input, other)``, precise where that is small.

    >>> import tinygrad_like as torch
    >>> torch.igammac(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([0.1353])
    """,
    refuse("igammac: input"),
    lambda g, x, y: -g * _density(x, y),
    label="Igammac",
    dtype="promote",
    half=True,
)
gammaincc = igammac
