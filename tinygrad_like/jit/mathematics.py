"""exp, log, tanh, erf and their kin for kernels, written so that a loop over them uses vectors.

Calls into the C library would keep a loop scalar, and a branch would, too: every function here
computes straight through and chooses between results. Polynomials were fitted for this package
(interpolation at Chebyshev points, 50 digits). Each is right to 2 units in the last place for
float32 and float64 (`sigmoid` to 2.5, `erfc` to 4.5), infinities and nans as in the C library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from tinygrad_like.jit.compiler import inlined
from tinygrad_like.ops.special import _CENTRE, _CENTRE_SHORT, _TAIL, _TAIL_SHORT

# ----- Bits ---------------------------------------------------------------------------------------


def _cast_bits(target: Any) -> Callable[..., Any]:
    def declare(typing: Any, value: Any) -> Any:
        del typing

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(signature.return_type))

        return target(value), generate

    return declare


_bits32: Any = intrinsic(_cast_bits(types.int32))
_real32: Any = intrinsic(_cast_bits(types.float32))
_bits64: Any = intrinsic(_cast_bits(types.int64))
_real64: Any = intrinsic(_cast_bits(types.float64))


def _choose(typing: Any, condition: Any, yes: Any, no: Any) -> Any:
    del typing, condition, no

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        wanted, a, b = args
        flag = builder.icmp_unsigned("!=", wanted, ir.Constant(wanted.type, 0))
        return builder.select(flag, a, b)

    return yes(types.boolean, yes, yes), generate


# ``choose(condition, yes, no)``: one of two values, both computed, which stays in the vector.
choose: Any = intrinsic(_choose)


# ----- Polynomials, highest power first -----------------------------------------------------------

# (exp(r) - 1 - r) / r**2 for |r| <= log(2) / 2
_EXP32 = (
    0.0013926183587713495, 0.008363179052722577, 0.0416665546172046, 0.16666576989698776, 0.5,
)  # fmt: skip
_EXP64 = (
    2.0914686968086877e-9, 2.5105217004720745e-8, 2.7557273643110295e-7, 2.7557255400206424e-6,
    2.4801587325547741e-5, 1.9841269874820625e-4, 1.3888888888883748e-3, 8.3333333333261351e-3,
    4.1666666666666669e-2, 0.1666666666666667, 0.5,
)  # fmt: skip
# (tanh(x) / x - 1) / x**2 in x**2, for |x| <= 0.55
_TANH32 = (
    -0.00660961401288462299, 0.0213090623285786197, -0.0539093756418479453, 0.133331134587324157,
    -0.33333332005908134,
)  # fmt: skip
_TANH64 = (
    7.87251958487602611e-6, -3.37180100440535258e-5, 9.45494175893515168e-5, -2.38471985643559076e-4,
    5.89905120067484291e-4, -0.00145581907003960242, 0.00359212676730256615, -0.00886323546298468676,
    0.0218694885340681679, -0.0539682539682202708, 0.13333333333333312, -0.333333333333333333,
)  # fmt: skip
# (2 * atanh(s) / s - 2) / s**2 in s**2, for |s| <= 0.1716
_LOG32 = (0.23330562497236300, 0.28550817314235060, 0.40000121870673277, 0.66666666554459348)
_LOG64 = (
    0.13086743139119072, 0.1326876195133002, 0.15386240120567022, 0.18181795632452162,
    0.222222223917858, 0.28571428570803295, 0.40000000000000878, 0.66666666666666666,
)  # fmt: skip


def _horner(real: Any, coefficients: tuple[float, ...]) -> Any:
    """Return a function that computes a polynomial in the type `real`."""
    names = {f"c{i}": real(c) for i, c in enumerate(coefficients)}
    text = "c0"
    for name in list(names)[1:]:
        text = f"({text}) * x + {name}"
    scope: dict[str, Any] = {}
    exec(f"def polynomial(x):\n    return {text}", names, scope)
    return inlined(scope["polynomial"])


def _family(real: Any) -> dict[str, Any]:
    """Return the functions for one type."""
    short = real is np.float32
    whole = np.int32 if short else np.int64
    bits, number = (_bits32, _real32) if short else (_bits64, _real64)
    digits = whole(23 if short else 52)  # of the fraction
    bias = whole(127 if short else 1023)
    # Adding it leaves the nearest whole number in the lowest bits.
    magic = real(1.5 * 2.0**23 if short else 1.5 * 2.0**52)
    low, high = (real(-104.5), real(89.0)) if short else (real(-746.0), real(710.0))
    lowest = real(-87.3 if short else -708.3)
    per_octave = real(1 / math.log(2))
    # log(2) in two parts, the first with so few digits that its multiples are exact
    octave = real(0.693359375 if short else 0.693147180369123816490)
    rest = real(-2.12194440054690583e-4 if short else 1.90821492927058770002e-10)
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    far_out, edge, minus_two = real(22.0), real(0.55), real(-2.0)
    infinity, nan = real(math.inf), real(math.nan)
    least_normal = real(2.0**-126 if short else 2.0**-1022)
    up = real(2.0**23 if short else 2.0**52)
    root = whole(0x3F3504F3 if short else 0x3FE6A09E667F3BCD)  # the bits of sqrt(0.5)
    one_bits = whole(0x3F800000 if short else 0x3FF0000000000000)
    fraction = whole((1 << 23) - 1 if short else (1 << 52) - 1)
    exp_poly = _horner(real, _EXP32 if short else _EXP64)
    tanh_poly = _horner(real, _TANH32 if short else _TANH64)
    log_poly = _horner(real, _LOG32 if short else _LOG64)
    centre = _horner(real, _CENTRE_SHORT if short else _CENTRE)
    tail = _horner(real, _TAIL_SHORT if short else _TAIL)
    double_bias = whole(2) * bias
    sign = whole(-(2**31) if short else -(2**63))
    farthest = real(10.1 if short else 28.0)
    middle, upper = real(2.5), real(0.5)
    keep = whole(~0xFFF if short else ~0x7FFFFFF)

    @inlined
    def with_sign(y: Any, x: Any) -> Any:
        """Return `y`, which is not negative, with the sign of `x`."""
        return number(whole(bits(y) | (bits(x) & sign)))

    @inlined
    def parts(x: Any) -> Any:
        """Return n, r and exp(r) - 1 with x = n * log(2) + r."""
        t = x * per_octave + magic
        n = whole(bits(t) - bits(magic))
        whole_part = t - magic
        r = (x - whole_part * octave) - whole_part * rest
        return n, r + (r * r) * exp_poly(r)

    @inlined
    def exp(x: Any) -> Any:
        c = choose(x < low, low, x)  # so asked that a nan stays one
        c = choose(c > high, high, c)
        n, minus_one = parts(c)
        # In two factors, of which neither overflows where the result does not.
        n = whole(n + double_bias)
        first = whole(n >> whole(1))
        second = whole(n - first)
        return (one + minus_one) * number(whole(first << digits)) * number(whole(second << digits))

    @inlined
    def decay(x: Any) -> Any:
        n, minus_one = parts(choose(x < lowest, lowest, x))
        power = choose(x < lowest, zero, number(whole((n + bias) << digits)))
        return power + power * minus_one

    @inlined
    def expm1(x: Any) -> Any:
        c = choose(x < low, low, x)  # so asked that a nan stays one
        c = choose(c > high, high, c)
        n, minus_one = parts(c)
        n = whole(n + double_bias)
        first = whole(n >> whole(1))
        second = whole(n - first)
        power = number(whole(first << digits)) * number(whole(second << digits))
        y = power * minus_one + (power - one)
        y = choose(c >= high, infinity, y)
        return choose(x != zero, y, x)

    @inlined
    def tanh(x: Any) -> Any:
        size = abs(x)
        size = choose(size > far_out, far_out, size)
        z = size * size
        near = size + size * z * tanh_poly(z)
        n, minus_one = parts(size * minus_two)
        power = number(whole((n + bias) << digits))
        t = power + power * minus_one
        return with_sign(choose(size < edge, near, one - two * t / (one + t)), x)

    @inlined
    def sigmoid(x: Any) -> Any:
        e = exp(-abs(x))
        y = choose(x < zero, e, one) / (one + e)
        return y

    @inlined
    def log(x: Any) -> Any:
        small = x < least_normal
        i = bits(choose(small, x * up, x))
        # The exponent that leaves a fraction between sqrt(0.5) and sqrt(2).
        i = whole(i + (one_bits - root))
        e = whole((i >> digits) - bias)
        m = number(whole((i & fraction) + root))
        k = real(e) - choose(small, real(digits), zero)
        f = m - one
        s = f / (f + two)
        z = s * s
        halved = half * f * f
        y = k * octave - ((halved - (s * (halved + z * log_poly(z)) + k * rest)) - f)
        y = choose(x == infinity, x, y)
        y = choose(x == zero, -infinity, y)
        return choose(x >= zero, y, nan)

    @inlined
    def log1p(x: Any) -> Any:
        u = one + x
        d = u - one
        y = log(u) + choose(u > half, (x - d) / u, zero)
        y = choose(u == infinity, u, y)
        return choose(u == one, x, y)

    @inlined
    def far(x: Any) -> Any:
        """Return erfc for numbers from 0.5 on."""
        x = choose(x > farthest, farthest, x)
        t = (x - middle) / (x + middle)
        rounded = number(whole(bits(x) & keep))
        correction = (rounded - x) * (rounded + x)
        correction += correction * correction * exp_poly(correction)
        y = tail(t) / (two * x + one)
        return exp(-rounded * rounded) * (y + y * correction)

    @inlined
    def erf(x: Any) -> Any:
        size = abs(x)
        near = size + size * centre(size * size)
        return with_sign(choose(size <= one, near, one - far(size)), x)

    @inlined
    def erfc(x: Any) -> Any:
        size = abs(x)
        near = one - (x + x * centre(x * x))
        away = far(size)
        away = choose(x < zero, two - away, away)
        return choose(size <= upper, near, away)

    return {
        "exp": exp,
        "decay": decay,
        "expm1": expm1,
        "tanh": tanh,
        "sigmoid": sigmoid,
        "log": log,
        "log1p": log1p,
        "erf": erf,
        "erfc": erfc,
    }


_SINGLE, _DOUBLE = _family(np.float32), _family(np.float64)


def _generic(name: str) -> Any:
    """Return a function for kernels that is the one for the type it is given."""
    single, double = _SINGLE[name], _DOUBLE[name]

    def function(x: Any) -> Any:
        raise NotImplementedError(f"{name} is for kernels")

    function.__name__ = name

    @overload(function, jit_options={"forceinline": True, "fastmath": {"contract"}})
    def typed(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if x == types.float32:
            return lambda x: single(x)
        if x == types.float64:
            return lambda x: double(x)
        return None

    return function


exp, expm1, tanh, sigmoid = map(_generic, ("exp", "expm1", "tanh", "sigmoid"))
# exp of numbers that are not above 0, at half the cost; what would be subnormal is 0.
decay = _generic("decay")
log, log1p, erf, erfc = map(_generic, ("log", "log1p", "erf", "erfc"))


# ----- Rows ---------------------------------------------------------------------------------------


def largest(row: Any) -> Any:
    """Return the largest element of a row, nan if that or a nan is the largest number there is."""
    raise NotImplementedError("largest is for kernels")


@overload(largest, jit_options={"forceinline": True})
def _largest(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    # As integers of the same order: a maximum of floats, with nans to mind, does not use vectors.
    short = row.dtype == types.float32
    whole = np.int32 if short else np.int64
    bits, number = (_bits32, _real32) if short else (_bits64, _real64)
    sign = whole(31 if short else 63)
    fraction = whole(np.iinfo(whole).max)
    least = whole(np.iinfo(whole).min)

    def find(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        found = least
        for j in range(row.size):
            b = bits(row[j])
            v = whole(b ^ ((b >> sign) & fraction))
            found = v if v > found else found
        return number(whole(found ^ ((found >> sign) & fraction)))

    return find
