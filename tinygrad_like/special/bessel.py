"""The functions of Bessel and Airy.

Formulas: NIST Digital Library of Mathematical Functions, chapters 9 and 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.special.declare import one_number, scipy_function

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "spherical_bessel_j0",
]


def _i1_slope(x: Any, out: Any) -> Any:
    apart = np.where(x == 0, 1.0, x)  # so that the branch not taken stays finite
    return np.where(x == 0, 0.5, i0(x) - out / apart)


def _i1e_slope(x: Any, out: Any) -> Any:
    apart = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 0.5, i0e(x) - out * (np.sign(apart) + 1 / apart))


i0: Any = one_number(
    "i0",
    "i0",
    """Return the modified Bessel function of the first kind of order 0.

    >>> import tinygrad_like as torch
    >>> torch.i0(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """,
    lambda g, x: g * i1(x),
    label="I0",
    half=True,
)
i0e: Any = one_number(
    "i0e",
    "i0e",
    "Return ``exp(-|input|) * i0(input)``.",
    lambda g, x, out: g * (i1e(x) - np.sign(x) * out),
    label="SpecialI0E",
    half=True,
)
i1: Any = one_number(
    "i1",
    "i1",
    "Return the modified Bessel function of the first kind of order 1.",
    lambda g, x, out: g * _i1_slope(x, out),
    half=True,
)
i1e: Any = one_number(
    "i1e",
    "i1e",
    "Return ``exp(-|input|) * i1(input)``.",
    lambda g, x, out: g * _i1e_slope(x, out),
    label="SpecialI1E",
    half=True,
)

# ----- Those that PyTorch does not differentiate --------------------------------------------------


def _spherical_j0(x: Any) -> Any:
    return np.where(np.isinf(x), 0.0, np.where(x == 0, 1.0, np.sin(x) / x))


airy_ai = one_number(
    "airy_ai", lambda x: scipy_function("airy")(x)[0], "Return the Airy function Ai."
)
bessel_j0 = one_number(
    "bessel_j0", "j0", "Return the Bessel function of the first kind of order 0."
)
bessel_j1 = one_number(
    "bessel_j1", "j1", "Return the Bessel function of the first kind of order 1."
)
bessel_y0 = one_number(
    "bessel_y0", "y0", "Return the Bessel function of the second kind of order 0."
)
bessel_y1 = one_number(
    "bessel_y1", "y1", "Return the Bessel function of the second kind of order 1."
)
modified_bessel_i0 = one_number(
    "modified_bessel_i0", "i0", "Return what `i0` does, without a gradient."
)
modified_bessel_i1 = one_number(
    "modified_bessel_i1", "i1", "Return what `i1` does, without a gradient."
)
modified_bessel_k0 = one_number(
    "modified_bessel_k0", "k0", "Return the modified Bessel function of the second kind of order 0."
)
modified_bessel_k1 = one_number(
    "modified_bessel_k1", "k1", "Return the modified Bessel function of the second kind of order 1."
)
scaled_modified_bessel_k0 = one_number(
    "scaled_modified_bessel_k0", "k0e", "Return ``exp(input) * modified_bessel_k0(input)``."
)
scaled_modified_bessel_k1 = one_number(
    "scaled_modified_bessel_k1", "k1e", "Return ``exp(input) * modified_bessel_k1(input)``."
)
spherical_bessel_j0 = one_number(
    "spherical_bessel_j0", _spherical_j0, "Return ``sin(input) / input``, 1 at 0."
)
