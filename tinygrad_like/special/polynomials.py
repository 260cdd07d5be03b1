"""Orthogonal polynomials; PyTorch does not differentiate them.

All follow one scheme: ``p[0] = 1``, ``p[1]`` is linear, and ``p[k + 1]`` is found from ``p[k]`` and
``p[k - 1]`` (NIST Digital Library of Mathematical Functions, section 18.9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.special.declare import two_numbers

__all__ = [
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]


def _polynomial(
    name: str,
    doc: str,
    first: Callable[[Any], Any],
    following: Callable[[int, Any, Any, Any], Any],
    argument: Callable[[Any], Any] = lambda x: x,
) -> Any:
    """Declare a family: `first` gives ``p[1]``, `following` ``p[k + 1]`` from k, x, p[k], p[k - 1]."""

    def compute(x: Any, n: Any) -> Any:
        degree = np.trunc(n)
        x, degree = np.broadcast_arrays(argument(x), degree)
        out = np.zeros_like(x)  # what PyTorch gives for negative degrees
        before, last = np.ones_like(x), first(x)
        for k in range(int(degree.max(initial=-1)) + 1):
            np.copyto(out, before, where=degree == k)
            before, last = last, following(k + 1, x, last, before)
        return out

    return two_numbers(name, compute, doc)


def _doubled(_k: int, x: Any, p: Any, q: Any) -> Any:
    return 2 * x * p - q


_CHEBYSHEV = "Return the Chebyshev polynomial of the {} kind and of degree `other`{}."
_SHIFTED = ", of ``2 * input - 1``"


def _chebyshev(letter: str, kind: str, first: Callable[[Any], Any]) -> tuple[Any, Any]:
    name = f"chebyshev_polynomial_{letter}"
    return (
        _polynomial(name, _CHEBYSHEV.format(kind, ""), first, _doubled),
        _polynomial(
            f"shifted_{name}",
            _CHEBYSHEV.format(kind, _SHIFTED),
            first,
            _doubled,
            lambda x: 2 * x - 1,
        ),
    )


chebyshev_polynomial_t, shifted_chebyshev_polynomial_t = _chebyshev("t", "first", lambda x: x)
chebyshev_polynomial_u, shifted_chebyshev_polynomial_u = _chebyshev("u", "second", lambda x: 2 * x)
chebyshev_polynomial_v, shifted_chebyshev_polynomial_v = _chebyshev(
    "v", "third", lambda x: 2 * x - 1
)
chebyshev_polynomial_w, shifted_chebyshev_polynomial_w = _chebyshev(
    "w", "fourth", lambda x: 2 * x + 1
)
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    "Return the physicists' Hermite polynomial of degree `other`.",
    lambda x: 2 * x,
    lambda k, x, p, q: 2 * x * p - 2 * k * q,
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    "Return the probabilists' Hermite polynomial of degree `other`.",
    lambda x: x,
    lambda k, x, p, q: x * p - k * q,
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l",
    "Return the Laguerre polynomial of degree `other`.",
    lambda x: 1 - x,
    lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1),
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p",
    """Return the Legendre polynomial of degree `other`.

    >>> import tinygrad_like as torch
    >>> torch.special.legendre_polynomial_p(torch.tensor([0.0, 0.5, 1.0]), 2)
    tensor([-0.5000, -0.1250,  1.0000])
    """,
    lambda x: x,
    lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1),
)
