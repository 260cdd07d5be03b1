"""Functions of float32 numbers that NumPy computes one by one, calling the C library for each.

Here they are a few passes over chunks in float64, which NumPy does in vectors: two to five times as
fast, and right to less than one unit in the last place of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.arrays.passes import alike
from tinygrad_like.dtypes import F32, F64

LEAST = 2048  # elements from which on the passes pay for their calls

_CHUNK = 8192  # elements of which several arrays of float64 stay in the cache
_WHOLE = 2.0**20  # up to which quotients and turns are counted exactly

# Rational, highest power first: 2 * atan(t) / t in t**2, for t up to 1.
_ATAN_ABOVE = (0.0177154176386222, 0.5710256824929196, 2.2561235473139014, 1.9999999980746301)
_ATAN_BELOW = (0.0502943119147751, 0.572647336183674, 1.46139497720817, 1.0)
# tan(r) / r * (pi**2 / 4 - r**2) in r**2, for r up to pi / 2: without its poles it hardly bends.
_TAN = (
    -4.69220444915195e-07,
    -7.04335754567974e-06,
    -0.000172548271358248,
    -0.00434619847805550,
    -0.177533035550464,
    2.46740110266064,
)
# pi in two parts, the first with so few digits that its multiples up to 2**20 are exact
_PI_HIGH = float.fromhex("0x1.921fb544p+1")
_PI_LOW = 1.2154201013012384e-10

Compute = Callable[..., tuple[Any, Any, float]]


def in_double(ufunc: Any) -> Callable[[Compute], Callable[..., Any]]:
    """Have the decorated function do what `ufunc` does, for float32.

    It is given chunks in float64, which it may overwrite, and returns the values, numbers that say
    where these hold, and the limit below which, in size, those are where they do; elsewhere `ufunc`
    computes them. What is declared is called like `ufunc`; if `out` is given, with flat arrays.
    """

    def declare(compute: Compute) -> Callable[..., Any]:
        def routine(*arrays: Any) -> None:
            *xs, out = arrays
            for start in range(0, out.size, _CHUNK):
                part = slice(start, start + _CHUNK)
                given = [x[part] for x in xs]
                values, measure, limit = compute(*(x.astype(F64) for x in given))
                out[part] = values
                low, high = np.minimum.reduce(measure), np.maximum.reduce(measure)
                if not (low > -limit and high < limit):  # so asked that a nan is found
                    lost = ~(np.absolute(measure) < limit)
                    out[part][lost] = ufunc(*(x[lost] for x in given))

        def every(*xs: Any, out: Any = None) -> Any:
            arrays = [x for x in xs if isinstance(x, np.ndarray)]
            if any(x.dtype is not F32 for x in arrays) or all(x.size < LEAST for x in arrays):
                return ufunc(*xs, out=out)
            if out is not None:
                routine(*xs, out)
                return out
            if len(xs) > 1:
                xs = np.broadcast_arrays(*(np.asarray(x, F32) for x in xs))
            return alike(routine, *xs, cost=(2.0, 2.0))

        every.__name__, every.__doc__ = ufunc.__name__, compute.__doc__
        every.ufunc = ufunc  # type: ignore[attr-defined]
        return every

    return declare


def _horner(coefficients: tuple[float, ...], t: Any) -> Any:
    out = t * coefficients[0]
    for c in coefficients[1:-1]:
        out += c
        out *= t
    out += coefficients[-1]
    return out


# ----- What is left of divisions ------------------------------------------------------------------

# Two float32 differ from a whole multiple of each other by no less than a unit in the last place,
# so that a quotient in float64 below 2**20 has the right whole part, whose product is exact.


@in_double(np.floor_divide)
def floor_divide(x: Any, y: Any) -> Any:
    """Return the largest whole number not above each quotient."""
    x /= y
    y *= 0  # nan for a divisor that is infinite
    y += x
    return np.floor(x, out=x), y, _WHOLE


def _left(x: Any, y: Any, quotient: Any, sign: Any) -> Any:
    measure = quotient.copy()
    quotient *= y
    rest = np.subtract(x, quotient, out=quotient)
    measure += rest * 0  # nan for a divisor that is infinite
    return np.copysign(rest, sign), measure, _WHOLE


@in_double(np.remainder)
def remainder(x: Any, y: Any) -> Any:
    """Return what is left of each division, with the divisor's sign."""
    quotient = x / y
    return _left(x, y, np.floor(quotient, out=quotient), y)


@in_double(np.fmod)
def fmod(x: Any, y: Any) -> Any:
    """Return what is left of each division, with the dividend's sign."""
    quotient = x / y
    return _left(x, y, np.trunc(quotient, out=quotient), x)


# ----- Angles -------------------------------------------------------------------------------------


@in_double(np.tan)
def tan(x: Any) -> Any:
    """Return the tangent of each element."""
    turns = x * (1 / math.pi)
    np.rint(turns, out=turns)
    turns += 0.0  # so that minus 0 stays what it is
    rest = x - turns * _PI_HIGH
    turns *= _PI_LOW
    rest -= turns
    square = np.multiply(rest, rest, out=turns)
    rest *= _horner(_TAN, square)
    np.subtract(math.pi**2 / 4, square, out=square)
    rest /= square
    return rest, x, _WHOLE


def _twice_atan(t: Any) -> Any:
    """Return twice the angle of each tangent, up to 1 in size."""
    square = t * t
    t *= _horner(_ATAN_ABOVE, square)
    t /= _horner(_ATAN_BELOW, square)
    return t


@in_double(np.arctan)
def arctan(x: Any) -> Any:
    """Return the angle whose tangent each element is."""
    rest = x * x
    rest += 1
    np.sqrt(rest, out=rest)
    rest += 1
    angle = _twice_atan(np.divide(x, rest, out=rest))  # x over that is the half angle's tangent
    return angle, angle, 2


@in_double(np.arctan2)
def arctan2(x: Any, y: Any) -> Any:
    """Return the angle of each point ``(y, x)``."""
    width = np.absolute(y)
    rest = width * width
    rest += x * x
    np.sqrt(rest, out=rest)
    rest += width
    angle = _twice_atan(np.divide(np.absolute(x, out=width), rest, out=rest))
    side = np.copysign(1, y)
    angle *= side
    side -= 1
    side *= -math.pi / 2
    angle += side
    return np.copysign(angle, x), angle, 4


# ----- Exponentials and logarithms ----------------------------------------------------------------


@in_double(np.expm1)
def expm1(x: Any) -> Any:
    """Return ``exp(x) - 1`` for each element."""
    out = np.exp(x)
    out -= 1
    np.copyto(out, x, where=np.absolute(x) < 1e-7)
    return out, x, math.inf


@in_double(np.log1p)
def log1p(x: Any) -> Any:
    """Return ``log(1 + x)`` for each element."""
    out = x + 1  # exact, but for elements so small that they are their own logarithm
    np.log(out, out=out)
    np.copyto(out, x, where=np.absolute(x) < 1e-8)
    return out, x, math.inf


def sinh_and_cosh(x: Any, sinh: Any, cosh: Any) -> None:
    """Write the hyperbolic sines and cosines of a flat array, None for what is not wanted."""
    if x.dtype is not F32 or x.size < LEAST:
        if sinh is not None:
            np.sinh(x, out=sinh)
        if cosh is not None:
            np.cosh(x, out=cosh)
        return
    for start in range(0, x.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        numbers = x[part].astype(F64)
        half = np.exp(numbers)
        half *= 0.5
        rest = 0.25 / half
        if cosh is not None:
            cosh[part] = half + rest
        if sinh is not None:
            half -= rest
            np.copyto(half, numbers, where=np.absolute(numbers, out=rest) < 1e-4)
            sinh[part] = half


@in_double(np.arctanh)
def arctanh(x: Any) -> Any:
    """Return the number whose hyperbolic tangent each element is."""
    out = 1 + x
    out /= 1 - x
    np.log(out, out=out)
    out *= 0.5
    np.copyto(out, x, where=np.absolute(x) < 1e-4)
    return out, x, 1
