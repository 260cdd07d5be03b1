"""Mathematical functions of one number, applied to each element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.arrays import single
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import UFUNCS, implements, op
from tinygrad_like.ops.comparison import keep_where, unsupported
from tinygrad_like.ops.pointwise import elementary, smooth
from tinygrad_like.ops.special import erf, erfc, erfinv
from tinygrad_like.views import in_place

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "frac",
    "log",
    "log1p",
    "log2",
    "log10",
    "logit",
    "nan_to_num",
    "neg",
    "negative",
    "positive",
    "rad2deg",
    "reciprocal",
    "round",
    "rsqrt",
    "sgn",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]

LN2, LN10 = math.log(2), math.log(10)


# ----- Sign and size ------------------------------------------------------------------------------


@op(x=lambda g: -g, label="Neg")
def negative(x: Array) -> Array:
    """Return ``-input``."""
    if x.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return np.negative(x)


UFUNCS[np.negative] = negative


def positive(input: Any) -> Any:
    """Return the input itself.

    Raises:
        RuntimeError: if its elements are bools.
    """
    if as_array(input).dtype.kind == "b":
        raise told(RuntimeError, "The `+` operator, on a bool tensor is not supported.")
    return input


UFUNCS[np.positive] = positive


@op(x=lambda g, x: g * sign(x), label="Abs")
def absolute(x: Array) -> Array:
    """Return the absolute value of each element; the gradient at 0 is 0."""
    if x.dtype.kind == "b":
        raise unsupported("abs_cpu", x.dtype)
    return np.absolute(x)


UFUNCS[np.absolute] = absolute


@op(x=lambda g: np.zeros_like(g))
def sign(x: Array) -> Array:
    """Return -1, 0 or 1 for each element; 0 for nan."""
    if x.dtype.kind == "b":
        return x.copy()
    out = (x > 0).astype(x.dtype)
    out -= x < 0
    return out


UFUNCS[np.sign] = sign


@op(x=lambda g, out: g * (-out * out), dtype="float", ufunc=np.reciprocal)
def reciprocal(x: Array) -> Array:
    """Return ``1 / input``."""
    return np.reciprocal(x)


@op(x=lambda g, x: g * (2 * x), label="Pow")
def square(x: Array) -> Array:
    """Return ``input * input``."""
    return np.square(x.astype(np.int64) if x.dtype.kind == "b" else x)


UFUNCS[np.square] = square


@op(x=lambda g, out: g / (2 * out), dtype="float", ufunc=np.sqrt)
def sqrt(x: Array) -> Array:
    """Return the square root of each element, nan for negative ones."""
    return np.sqrt(x)


@op(x=lambda g, out: -0.5 * g * (out * out * out), dtype="float")
def rsqrt(x: Array) -> Array:
    """Return ``1 / sqrt(input)``."""
    out = np.sqrt(x)
    return np.reciprocal(out, out=out if out.ndim else None)


# ----- Exponentials and logarithms ----------------------------------------------------------------


@elementary(np.exp, lambda g, out: g * out)
def exp(x: Array) -> Array:
    """Return e to the power of each element.

    >>> import tinygrad_like as torch
    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """


@op(x=lambda g, out: g * out * LN2, dtype="float", ufunc=np.exp2)
def exp2(x: Array) -> Array:
    """Return 2 to the power of each element."""
    return np.exp2(x)


@elementary(single.expm1, lambda g, out: g * (out + 1))
def expm1(x: Array) -> Array:
    """Return ``exp(input) - 1``, exact for small elements."""


@elementary(np.log, lambda g, x: g / x)
def log(x: Array) -> Array:
    """Return the natural logarithm of each element."""


@op(x=lambda g, x: g / (x * LN2), dtype="float", ufunc=np.log2)
def log2(x: Array) -> Array:
    """Return the logarithm to base 2 of each element."""
    return np.log2(x)


@op(x=lambda g, x: g / (x * LN10), dtype="float", ufunc=np.log10)
def log10(x: Array) -> Array:
    """Return the logarithm to base 10 of each element."""
    return np.log10(x)


@elementary(single.log1p, lambda g, x: g / (x + 1))
def log1p(x: Array) -> Array:
    """Return ``log(1 + input)``, exact for small elements."""


def _sigmoid(x: Any, out: Any = None) -> Any:
    out = np.negative(x, out=out)
    if not np.ndim(out):
        return 1 / (1 + np.exp(out))
    np.exp(out, out=out)  # inf for very negative elements, whose reciprocal is the right 0
    out += 1
    return np.reciprocal(out, out=out)


@elementary(_sigmoid, lambda g, out: sigmoid_backward(g, out))
def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-input))``.

    >>> import tinygrad_like as torch
    >>> torch.sigmoid(torch.tensor([0.0, 2.0, -2.0]))
    tensor([0.5000, 0.8808, 0.1192])
    """


@op(x=lambda g, y: sigmoid_backward(g, y), y=lambda g, x, y: g * (x * (1 - 2 * y)))
def sigmoid_backward(x: Array, y: Array) -> Array:
    """Return the gradient `x` of a sigmoid whose result was `y`, with respect to its input."""
    out = np.subtract(1, y)
    out *= y
    out *= x
    return out


@op(x=lambda g, x, eps: _logit_slope(g, x, eps), dtype="float", name="logit")
def _logit(x: Array, eps: Any = None) -> Array:
    if eps is not None:
        x = np.clip(x, eps, 1 - eps)
    return log(x / (1 - x))


def _logit_slope(g: Any, x: Any, eps: Any) -> Any:
    slope = g / (x * (1 - x))
    if eps is None:
        return np.where(np.logical_or(x < 0, x > 1), math.nan, slope)
    return keep_where(slope, np.logical_and(x >= eps, x <= 1 - eps))


def logit(input: Any, eps: float | None = None) -> Any:
    """Return ``log(input / (1 - input))``, the inverse of `sigmoid`.

    Args:
        input: any shape.
        eps: clamp the input to ``[eps, 1 - eps]`` first; None gives nan outside ``[0, 1]``.
    """
    return _logit(input, eps)


# ----- Trigonometry -------------------------------------------------------------------------------


@op(x=lambda g, x: g * np.cos(x), dtype="float", ufunc=np.sin)
def sin(x: Array) -> Array:
    """Return the sine of each element, in radians."""
    return np.sin(x)


@op(x=lambda g, x: g * -np.sin(x), dtype="float", ufunc=np.cos)
def cos(x: Array) -> Array:
    """Return the cosine of each element, in radians."""
    return np.cos(x)


@op(x=lambda g, out: g * (1 + out * out), dtype="float")
def tan(x: Array) -> Array:
    """Return the tangent of each element, in radians."""
    return single.tan(x)


UFUNCS[np.tan] = tan


@op(x=lambda g, x: g / np.sqrt(1 - x * x), dtype="float", ufunc=np.arcsin, label="Asin")
def asin(x: Array) -> Array:
    """Return the arcsine of each element, in radians."""
    return np.arcsin(x)


@op(x=lambda g, x: -g / np.sqrt(1 - x * x), dtype="float", ufunc=np.arccos, label="Acos")
def acos(x: Array) -> Array:
    """Return the arccosine of each element, in radians."""
    return np.arccos(x)


@op(x=lambda g, x: g / (x * x + 1), dtype="float", label="Atan")
def atan(x: Array) -> Array:
    """Return the arctangent of each element, in radians."""
    return single.arctan(x)


UFUNCS[np.arctan] = atan


@smooth("sinh", lambda x: cosh(x), dtype="float")
def sinh(x: Any, out: Any, slope: Any) -> None:
    """Return the hyperbolic sine of each element."""
    single.sinh_and_cosh(x, out, slope)


@smooth("cosh", lambda x: sinh(x), dtype="float")
def cosh(x: Any, out: Any, slope: Any) -> None:
    """Return the hyperbolic cosine of each element."""
    single.sinh_and_cosh(x, slope, out)


UFUNCS.update({np.sinh: sinh, np.cosh: cosh})


@elementary(np.tanh, lambda g, out: g * (1 - out * out))
def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of each element."""


@op(x=lambda g, x: g / np.sqrt(x * x + 1), dtype="float", ufunc=np.arcsinh, label="Asinh")
def asinh(x: Array) -> Array:
    """Return the inverse hyperbolic sine of each element."""
    return np.arcsinh(x)


@op(x=lambda g, x: g / np.sqrt(x * x - 1), dtype="float", ufunc=np.arccosh, label="Acosh")
def acosh(x: Array) -> Array:
    """Return the inverse hyperbolic cosine of each element."""
    return np.arccosh(x)


@elementary(single.arctanh, lambda g, x: g / (1 - x * x), label="Atanh")
def atanh(x: Array) -> Array:
    """Return the inverse hyperbolic tangent of each element."""


@op(x=lambda g: g * (math.pi / 180), dtype="float", label="Deg2Rad")
def deg2rad(x: Array) -> Array:
    """Return angles in radians for angles in degrees."""
    return np.multiply(x, math.pi / 180)


UFUNCS[np.deg2rad] = deg2rad


@op(x=lambda g: g * (180 / math.pi), dtype="float", label="Rad2Deg")
def rad2deg(x: Array) -> Array:
    """Return angles in degrees for angles in radians."""
    return np.multiply(x, 180 / math.pi)


UFUNCS[np.rad2deg] = rad2deg


@op(x=lambda g, x: g * _sinc_slope(x), dtype="float")
def sinc(x: Array) -> Array:
    """Return ``sin(pi * input) / (pi * input)``, 1 at 0."""
    angle = np.multiply(x, math.pi, dtype=np.float32 if x.dtype == np.float16 else x.dtype)
    return np.where(x == 0, x.dtype.type(1), (np.sin(angle) / angle).astype(x.dtype, copy=False))


def _sinc_slope(x: Any) -> Any:
    angle = x * math.pi
    slope = (angle * np.cos(angle) - np.sin(angle)) / (angle * x)
    return np.where(x == 0, 0.0, slope)


# ----- Rounding: the gradient is zero almost everywhere -------------------------------------------


def _rounding(ufunc: Any, doc: str) -> Any:
    def to_whole(x: Array) -> Array:
        if x.dtype.kind != "f":
            if x.dtype.kind == "b":
                raise unsupported(f"{ufunc.__name__}_cpu", x.dtype)
            return x.copy()
        return ufunc(x)

    to_whole.__doc__ = doc
    made = op(x=lambda g: np.zeros_like(g), name=ufunc.__name__)(to_whole)
    UFUNCS[ufunc] = made
    return made


floor = _rounding(np.floor, "Return the largest whole number not above each element.")
ceil = _rounding(np.ceil, "Return the smallest whole number not below each element.")
trunc = _rounding(np.trunc, "Return each element without its fraction.")
fix = trunc


@op(x=lambda g: np.zeros_like(g), name="round")
def _round(x: Array, decimals: int = 0) -> Array:
    if x.dtype.kind == "b" or (decimals and x.dtype.kind != "f"):
        raise unsupported("round_cpu", x.dtype)
    if x.dtype.kind != "f":
        return x.copy()
    if decimals == 0:
        return np.rint(x)
    ten = 10.0 ** (decimals if decimals > 0 else -decimals)
    return np.rint(x / ten) * ten if decimals < 0 else np.rint(x * ten) / ten


UFUNCS[np.rint] = _round


def round(input: Any, *, decimals: int = 0) -> Any:
    """Return each element rounded, halves to the even neighbour.

    >>> import tinygrad_like as torch
    >>> torch.round(torch.tensor([0.5, 1.5, 2.345]))
    tensor([0., 2., 2.])
    """
    return _round(input, decimals)


@op(x=lambda g: g)
def frac(x: Array) -> Array:
    """Return each element minus its whole part."""
    if x.dtype.kind != "f":
        raise unsupported("frac_cpu", x.dtype)
    return np.subtract(x, np.trunc(x))


@op(x=lambda g, x: keep_where(g, np.isfinite(x)), name="nan_to_num")
def _nan_to_num(x: Array, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Array:
    if x.dtype.kind != "f":
        return x.copy()
    return np.nan_to_num(x, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


def nan_to_num(
    input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Return the input with nan and the infinities replaced by numbers.

    Args:
        input: any shape.
        nan: stands for nan (default 0).
        posinf: stands for infinity (default: the largest number of the dtype).
        neginf: stands for minus infinity (default: the smallest).
    """
    return _nan_to_num(input, nan, posinf, neginf)


@implements(np.nan_to_num)
def _np_nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    del copy
    return _nan_to_num(x, nan, posinf, neginf)


abs = absolute
neg = negative
sgn = sign
arcsin, arccos, arctan = asin, acos, atan
arcsinh, arccosh, arctanh = asinh, acosh, atanh


class UnaryMethods:
    """The methods and operators of `Tensor` that this module provides."""

    __slots__ = ()

    __neg__ = negative
    __pos__ = positive
    __abs__ = absolute

    abs = absolute = absolute
    neg = negative = negative
    positive = positive
    sign = sign
    sgn = sign
    reciprocal = reciprocal
    square = square
    sqrt = sqrt
    rsqrt = rsqrt
    exp = exp
    exp2 = exp2
    expm1 = expm1
    log = log
    log2 = log2
    log10 = log10
    log1p = log1p
    sigmoid = sigmoid
    logit = logit
    sin = sin
    cos = cos
    tan = tan
    asin = arcsin = asin
    acos = arccos = acos
    atan = arctan = atan
    sinh = sinh
    cosh = cosh
    tanh = tanh
    asinh = arcsinh = asinh
    acosh = arccosh = acosh
    atanh = arctanh = atanh
    deg2rad = deg2rad
    rad2deg = rad2deg
    sinc = sinc
    erf = erf
    erfc = erfc
    erfinv = erfinv
    floor = floor
    ceil = ceil
    trunc = fix = trunc
    round = round
    frac = frac
    nan_to_num = nan_to_num

    abs_ = absolute_ = in_place("abs_", absolute, np.absolute)
    neg_ = negative_ = in_place("neg_", negative, np.negative)
    sign_ = in_place("sign_", sign)
    sgn_ = in_place("sgn_", sign)
    reciprocal_ = in_place("reciprocal_", reciprocal, np.reciprocal)
    square_ = in_place("square_", square, np.square)
    sqrt_ = in_place("sqrt_", sqrt, np.sqrt)
    rsqrt_ = in_place("rsqrt_", rsqrt)
    exp_ = in_place("exp_", exp, np.exp)
    exp2_ = in_place("exp2_", exp2, np.exp2)
    expm1_ = in_place("expm1_", expm1, np.expm1)
    log_ = in_place("log_", log, np.log)
    log2_ = in_place("log2_", log2, np.log2)
    log10_ = in_place("log10_", log10, np.log10)
    log1p_ = in_place("log1p_", log1p, np.log1p)
    sigmoid_ = in_place("sigmoid_", sigmoid)
    logit_ = in_place("logit_", logit)
    sin_ = in_place("sin_", sin, np.sin)
    cos_ = in_place("cos_", cos, np.cos)
    tan_ = in_place("tan_", tan, np.tan)
    asin_ = arcsin_ = in_place("asin_", asin, np.arcsin)
    acos_ = arccos_ = in_place("acos_", acos, np.arccos)
    atan_ = arctan_ = in_place("atan_", atan, np.arctan)
    sinh_ = in_place("sinh_", sinh, np.sinh)
    cosh_ = in_place("cosh_", cosh, np.cosh)
    tanh_ = in_place("tanh_", tanh, np.tanh)
    asinh_ = arcsinh_ = in_place("asinh_", asinh, np.arcsinh)
    acosh_ = arccosh_ = in_place("acosh_", acosh, np.arccosh)
    atanh_ = arctanh_ = in_place("atanh_", atanh, np.arctanh)
    deg2rad_ = in_place("deg2rad_", deg2rad)
    rad2deg_ = in_place("rad2deg_", rad2deg)
    sinc_ = in_place("sinc_", sinc)
    erf_ = in_place("erf_", erf)
    erfc_ = in_place("erfc_", erfc)
    erfinv_ = in_place("erfinv_", erfinv)
    floor_ = in_place("floor_", floor, np.floor)
    ceil_ = in_place("ceil_", ceil, np.ceil)
    trunc_ = fix_ = in_place("trunc_", trunc, np.trunc)
    round_ = in_place("round_", round)
    frac_ = in_place("frac_", frac)
    nan_to_num_ = in_place("nan_to_num_", nan_to_num)
