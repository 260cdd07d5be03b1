"""The error function and its kin.

Each is computed from polynomials fitted for this package (interpolation at Chebyshev points, 40
digits): near 0 ``erf(x) / x`` in ``x**2``; further out ``(1 + 2 * x) * exp(x**2) * erfc(x)``,
which hardly varies, in ``(x - 2.5) / (x + 2.5)`` (after Shepherd and Laframboise, 1981).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.arrays.passes import CHUNK
from tinygrad_like.graph import Array
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.comparison import choose
from tinygrad_like.ops.pointwise import elementary, smooth

__all__ = ["erf", "erfc", "erfinv"]

# Coefficients, highest power first; the short ones are for float32.
_CENTRE = (
    -4.23094582429533782e-12,
    8.70904512905310669e-11,
    -1.21645600572834501e-9,
    1.4792401209404813e-8,
    -1.63646421581676153e-7,
    1.64620454414684189e-6,
    -0.0000149256475675193321,
    0.000120553329028887354,
    -0.00085483270219348296,
    0.00522397762542329831,
    -0.0268661706451298408,
    0.112837916709551202,
    -0.376126389031837524,
    0.128379167095512574,
)
_TAIL = (
    2.0811878178878266e-9,
    2.01019609612677823e-8,
    -2.50620958298783428e-8,
    -1.31616533484684665e-7,
    1.98499441993507316e-8,
    5.40215363104904114e-7,
    5.33042257006634132e-7,
    -1.58877082296762249e-6,
    -4.21928904574793313e-6,
    2.6098576862575799e-6,
    0.0000226997763696561965,
    6.2659179580639912e-6,
    -0.000113522358479938323,
    -0.000088479242281220937,
    0.00063212433833643285,
    0.000491865815272304027,
    -0.0043820783400156371,
    0.000931892817110834057,
    0.0327608932686439098,
    -0.102967056038563979,
    0.157629919023218894,
    -0.0990245395736018912,
    -0.122356763082404304,
    1.26483818436686148,
)
_CENTRE_SHORT = (
    -9.66704457149e-6,
    0.000112659590256,
    -0.000848408040554,
    0.00522103180786,
    -0.0268654307277,
    0.112837824952,
    -0.37612638468,
    0.128379167062,
)
_TAIL_SHORT = (
    2.46767995981e-5,
    -8.81107740597e-5,
    -0.000111969510677,
    0.00062035114263,
    0.000503894155025,
    -0.00437946793803,
    0.000928996715564,
    0.0327606171645,
    -0.10296673725,
    0.157629931465,
    -0.0990245525096,
    -0.122356763253,
    1.26483818445,
)
# -log(erfc(x)) for x from 0.9 to 4, where 1 - erfc(x) in float32 tells it from 1.
_LOGARITHM_SHORT = (
    -0.000198221251,
    0.00306550582,
    -0.0223152743,
    0.104113804,
    0.636975942,
    1.12779733,
    0.000166427833,
)
# Like half the tail less 0.6, but from 0 to 10.2, where erfc in float32 ends.
_WHOLE_SHORT = (
    4.08433662924e-05,
    0.000309512393443,
    0.000171960027095,
    -0.00221183746259,
    0.00048907224157,
    0.0163890439497,
    -0.0514865966055,
    0.078813885509,
    -0.0495121152964,
    -0.0611783476465,
    0.03241909076,
)
_SIGN, _ONE = np.int32(-(2**31)), np.float32(1).view(np.int32)
# erfinv(x) / x in w - 2.5, where w is -log(1 - x**2), and beyond 5 in sqrt(w) - 4 (after Giles, 2010).
_INVERSE_CENTRE = (
    4.67193250904e-10,
    -8.73901070283e-9,
    1.59843061339e-8,
    4.65417410502e-7,
    -3.42341427422e-6,
    -4.95969179422e-6,
    0.000218257723964,
    -0.00125274850284,
    -0.00417732004054,
    0.246640289427,
    1.50140935111,
)
_INVERSE_TAIL = (
    -2.34355935769e-9,
    9.23084984267e-8,
    -5.26288024825e-7,
    6.21377149582e-7,
    2.89391124689e-6,
    -1.15463033912e-5,
    2.02508999634e-5,
    -2.92183609257e-5,
    5.30708533604e-5,
    -0.000119882132915,
    0.000322618365447,
    -0.00086848232847,
    0.00125947950893,
    1.00949321892,
    3.83978381014,
)

_CHUNK = 8192  # elements whose intermediate results in float64 stay in the cache


def _polynomial(coefficients: tuple[float, ...], t: Any) -> Any:
    out = t * coefficients[0]
    for c in coefficients[1:-1]:
        out += c
        out *= t
    out += coefficients[-1]
    return out


def _near(x: Any, short: bool) -> Any:
    """Return erf for numbers up to 1 in size."""
    return x + x * _polynomial(_CENTRE_SHORT if short else _CENTRE, x * x)


def _far(x: Any, short: bool) -> Any:
    """Return erfc for numbers from 0.5 on."""
    x = np.minimum(x, 28.0)  # erfc is 0 from there on
    coefficients = _TAIL_SHORT if short else _TAIL
    t = (x - 2.5) / (x + 2.5)
    rise = t * _polynomial(coefficients[:-1], t)
    # What rounding does to x * x and to 2 * x + 1 is worth two units in the last place: a number of
    # 26 bits has an exact square, and the rest of both is put right by one small addition.
    rounded = (x.view(np.int64) & ~0x7FFFFFF).view(np.float64)
    twice = 2 * x
    divisor = twice + 1
    lost = np.where(twice < 1, twice - (divisor - 1), 1 - (divisor - twice))
    correction = np.expm1((rounded - x) * (rounded + x)) - lost / divisor
    constant = coefficients[-1]
    product = constant + (rise + (constant + rise) * correction)
    return np.exp(-rounded * rounded) * product / divisor


def _in_chunks(compute: Any) -> Any:
    """Return ``compute(numbers, short)`` as a ufunc would be called: in float64, a chunk at a time."""

    def every(x: Any, out: Any = None) -> Any:
        numbers = np.ravel(x)
        found = np.empty(numbers.size, x.dtype)
        for start in range(0, numbers.size, _CHUNK):
            part = numbers[start : start + _CHUNK].astype(np.float64)
            found[start : start + _CHUNK] = compute(part, x.dtype.itemsize < 8)
        if out is None:
            return found.reshape(x.shape)
        out[...] = found.reshape(x.shape)
        return out

    return every


def _erf_float32(x: Any, out: Any = None) -> Any:
    """Return or write erf of float32 numbers, computed in float32, to 1.5 units in the last place."""
    given, x = x, x.reshape(-1)
    found = np.empty_like(x) if out is None else out
    for start in range(0, x.size, CHUNK):
        part = x[start : start + CHUNK]
        size = np.minimum(np.absolute(part), np.float32(4))  # erf is 1 from there on
        near = _polynomial(_CENTRE_SHORT, size * size)
        near *= part
        near += part
        far = _polynomial(_LOGARITHM_SHORT, size)
        np.exp(np.negative(far, out=far), out=far)
        np.subtract(1, far, out=far)
        np.copysign(far, part, out=far)
        found[start : start + CHUNK] = choose(size > 1, far, near)
    return found.reshape(given.shape) if out is None else out


def _erfc_float32(x: Any, out: Any, slope: Any) -> None:
    for start in range(0, x.size, _CHUNK):
        part = x[start : start + _CHUNK]
        size = np.absolute(part)
        np.minimum(size, np.float32(10.2), out=size)
        numbers = size.astype(np.float64)
        bell = numbers * numbers
        np.exp(np.negative(bell, out=bell), out=bell)
        if slope is not None:
            slope[start : start + _CHUNK] = bell
        divisor = size + 2.5
        size -= 2.5
        scaled = _polynomial(_WHOLE_SHORT, np.divide(size, divisor, out=size)).astype(np.float64)
        scaled += 0.6  # here, so that what rounding to float32 did is little of the sum
        numbers += 0.5
        bell /= numbers
        bell *= scaled
        tail = bell.astype(np.float32)
        # 2 less the tail for negative numbers, without a choice: tail - 0, or -tail - (-2).
        sign = np.bitwise_and(part.view(np.int32), _SIGN)
        np.bitwise_xor(tail.view(np.int32), sign, out=tail.view(np.int32))
        offset = np.bitwise_or(sign, _ONE, out=sign).view(np.float32)
        offset -= 1
        np.subtract(tail, offset, out=out[start : start + _CHUNK])
    if slope is not None:
        slope *= -2 / math.sqrt(math.pi)


def _erf(x: Any, short: bool) -> Any:
    size = np.abs(x)
    near = size <= 1
    if near.all():
        return _near(x, short)
    out = np.empty_like(x)
    out[near] = _near(x[near], short)
    far = ~near
    out[far] = np.copysign(1 - _far(size[far], short), x[far])
    return out


def _erfc(x: Any, short: bool) -> Any:
    near = np.abs(x) <= 0.5
    out = np.empty_like(x)
    out[near] = 1 - _near(x[near], short)
    far = ~near
    numbers = x[far]
    tail = _far(np.abs(numbers), short)
    out[far] = np.where(numbers < 0, 2 - tail, tail)
    return out


def _erfinv(y: Any, short: bool) -> Any:
    size = np.abs(y)
    rest = 1 - size
    w = -np.log(rest * (1 + size))
    x = _polynomial(_INVERSE_CENTRE, w - 2.5)
    far = w > 5
    if far.any():
        x[far] = _polynomial(_INVERSE_TAIL, np.sqrt(w[far]) - 4)
    x *= size
    if not short:  # right to 8 digits by now: once refined by Halley's method, to all
        excess = np.where(x <= 0.5, _erf(x, short) - size, rest - _erfc(x, short))
        step = excess / (2 / math.sqrt(math.pi) * np.exp(-x * x))
        x -= step / (1 + x * step)
    x[size == 1] = np.inf
    return np.copysign(x, y)


def _bell(x: Any) -> Any:
    """Return the derivative of `erf`."""
    return REGISTRY["exp"].call(-(x * x)) * (2 / math.sqrt(math.pi))


def _erf_of_all(x: Any, out: Any = None) -> Any:
    if x.dtype == np.float32:
        return _erf_float32(x, out)
    return _in_chunks(_erf)(x, out)


@elementary(_erf_of_all, lambda g, x: g * _bell(x))
def erf(x: Array) -> Array:
    """Return the error function of each element, right to 2 units in the last place.

    >>> import tinygrad_like as torch
    >>> torch.erf(torch.tensor([0.0, 0.5, -1.0]))
    tensor([ 0.0000,  0.5205, -0.8427])
    """


@smooth("erfc", lambda x: -_bell(x), dtype="float")
def erfc(x: Any, out: Any, slope: Any) -> None:
    """Return ``1 - erf(input)``, right to 4 units in the last place even where that is tiny.

    >>> import tinygrad_like as torch
    >>> torch.erfc(torch.tensor([0.0, 1.0, 5.0]))
    tensor([1.0000e+00, 1.5730e-01, 1.5375e-12])
    """
    if x.dtype == np.float32:
        _erfc_float32(x, out, slope)
        return
    _in_chunks(_erfc)(x, out)
    if slope is not None:
        np.negative(_bell(x), out=slope)


@op(x=lambda g, out: g * (math.sqrt(math.pi) / 2 * np.exp(out * out)), dtype="float")
def erfinv(x: Array) -> Array:
    """Return the number whose `erf` is the element; infinite at -1 and 1, nan beyond.

    >>> import tinygrad_like as torch
    >>> torch.erfinv(torch.tensor([0.0, 0.5, -0.5]))
    tensor([ 0.0000,  0.4769, -0.4769])
    """
    return _in_chunks(_erfinv)(x)
