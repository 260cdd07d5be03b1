"""Sums, products, quotients, remainders and powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays import single
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, UFUNCS, op
from tinygrad_like.ops.comparison import keep_where, swapped, tensor_first, unsupported
from tinygrad_like.views import in_place

__all__ = [
    "add",
    "div",
    "divide",
    "float_power",
    "floor_divide",
    "fmod",
    "mul",
    "multiply",
    "pow",
    "remainder",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
]


# ----- Sums, products, quotients ------------------------------------------------------------------


@op(x=lambda g: g, y=lambda g: g, broadcasts=True, dtype="promote", ufunc=np.add, name="add")
def _add(x: Array, y: Array) -> Array:
    return np.add(x, y)


@op(x=lambda g: g, y=lambda g: -g, broadcasts=True, dtype="promote", name="subtract", label="Sub")
def _subtract(x: Array, y: Array) -> Array:
    try:
        return np.subtract(x, y)
    except TypeError:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        ) from None


UFUNCS[np.subtract] = _subtract


@op(
    x=lambda g, y: g * y,
    y=lambda g, x: g * x,
    broadcasts=True,
    dtype="promote",
    ufunc=np.multiply,
    label="Mul",
)
def multiply(x: Array, y: Array) -> Array:
    """Return ``input * other``, elementwise.

    >>> import tinygrad_like as torch
    >>> torch.mul(torch.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return np.multiply(x, y)


@op(
    x=lambda g, y: g / y,
    y=lambda g, out, y: -g * (out / y),
    broadcasts=True,
    dtype="float",
    ufunc=np.true_divide,
    label="Div",
    name="divide",
)
def _divide(x: Array, y: Array) -> Array:
    return np.true_divide(x, y)


def _refuse_zero(y: Any) -> None:
    """Raise PyTorch's error for integers divided by zero, where NumPy would give 0."""
    d = y.dtype if hasattr(y, "dtype") else np.asarray(y).dtype
    if d.kind in "iu" and not np.all(y):
        raise told(
            RuntimeError,
            "ZeroDivisionError: an integer is divided by 0; convert one to float first",
        )


def _whole_quotient(name: str, divide: Any) -> Any:
    def forward(x: Array, y: Array) -> Array:
        d = x.dtype if isinstance(x, np.ndarray) else y.dtype
        if d.kind == "b":
            raise unsupported(f"{name}_cpu", d)
        _refuse_zero(y if isinstance(y, np.ndarray) else np.asarray(y, d))
        return divide(x, y)

    return op(
        x=lambda g: np.zeros_like(g),
        y=lambda g: np.zeros_like(g),
        broadcasts=True,
        dtype="promote",
        name=name,
        label="Div",
    )(forward)


def _divide_and_truncate(x: Any, y: Any) -> Any:
    d = x.dtype if isinstance(x, np.ndarray) else y.dtype
    if d.kind == "f":
        return np.trunc(np.true_divide(x, y))
    quotient = np.floor_divide(x, y)  # rounds down, hence one too low where signs differ
    if d.kind == "i":
        quotient = np.add(quotient, (np.remainder(x, y) != 0) & ((x < 0) != (y < 0)), dtype=d)
    return quotient


_floor_quotient = _whole_quotient("floor_divide", single.floor_divide)
_trunc_quotient = _whole_quotient("trunc_divide", _divide_and_truncate)
UFUNCS[np.floor_divide] = _floor_quotient


def _modulo(modulo: Any, quotient: Any, doc: str) -> Any:
    def forward(x: Array, y: Array) -> Array:
        d = x.dtype if isinstance(x, np.ndarray) else y.dtype
        if d.kind == "b":
            raise unsupported(f"{modulo.__name__}_cpu", d)
        _refuse_zero(y if isinstance(y, np.ndarray) else np.asarray(y, d))
        return modulo(x, y)

    forward.__doc__ = doc
    made = op(
        x=lambda g: g,
        y=lambda g, x, y: -g * quotient(x, y),
        broadcasts=True,
        dtype="promote",
        name=modulo.__name__,
    )(forward)
    UFUNCS[modulo.ufunc] = made
    return made


remainder = _modulo(
    single.remainder,
    _floor_quotient,
    "Return what is left of a division; its sign is the divisor's.",
)
fmod = tensor_first(
    _modulo(
        single.fmod,
        _trunc_quotient,
        "Return what is left of a division; its sign is the dividend's.",
    )
)


# ----- Powers -------------------------------------------------------------------------------------


@op(x=lambda g, x, exponent: _power_slope(g, x, exponent), label="Pow", name="power_number")
def _power_number(x: Array, exponent: Any) -> Array:
    """Return `x` to the power of a number of a type that does not change that of `x`."""
    if exponent == 2:
        return np.multiply(x, x)
    if exponent == 1:
        return x.copy()
    if exponent == 0:
        return np.ones_like(x)
    if exponent == 3:
        return x * x * x
    if x.dtype.kind == "f":
        if exponent == 0.5:
            return np.sqrt(x)
        if exponent == -0.5:
            return np.reciprocal(np.sqrt(x))
        if exponent == -1:
            return np.reciprocal(x)
        if exponent == -2:
            return np.reciprocal(x * x)
        return np.power(x, float(exponent))
    if exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return np.power(x, x.dtype.type(exponent))


def _power_slope(g: Any, x: Any, exponent: Any) -> Any:
    if exponent == 0:
        return np.zeros_like(g)
    if exponent == 2:
        return g * (2 * x)
    return g * (exponent * _power_number(x, exponent - 1))


def _log(x: Any) -> Any:
    """Return the logarithm of an operand; of a number as one that leaves float32 what it is."""
    return float(np.log(x)) if isinstance(x, int | float) else np.log(x)


@op(
    x=lambda g, x, y: keep_where(g * (y * _power(x, y - 1)), np.logical_not(_zero(x, y))),
    y=lambda g, x, y, out: np.where(np.logical_and(x == 0, y >= 0), 0.0, g * (out * _log(x))),
    broadcasts=True,
    dtype="promote",
    name="power",
    label="Pow",
)
def _power(x: Array, y: Array) -> Array:
    d = x.dtype if isinstance(x, np.ndarray) else y.dtype
    if d.kind == "f":
        if isinstance(y, np.ndarray) and not y.ndim and y == 0.5:
            y = np.full(np.shape(x), y)  # NumPy takes the root for one number, nan for -inf
        return np.power(x, y)
    if d.kind == "b":
        raise unsupported("pow", d)
    # NumPy refuses negative powers; PyTorch gives 0, and a sign where the base is 1 or -1.
    negative = y < 0
    if d.kind == "u" or not np.any(negative):
        return np.power(x, y)
    out = np.power(x, np.where(negative, 0, y).astype(d))
    of_unit = np.where(x == 1, 1, np.where(x == -1, np.where(np.remainder(y, 2) == 0, 1, -1), 0))
    return np.where(negative, of_unit, out).astype(d)


def _zero(x: Any, y: Any) -> Any:
    """Return where `y` is 0, in the shape `x` and `y` have together."""
    return np.logical_and(y == 0, np.equal(x, x) | True)


UFUNCS[np.power] = _power


def pow(input: Any, exponent: Any) -> Any:
    """Return ``input ** exponent``; either may be a number.

    Raises:
        RuntimeError: for an integer tensor and a negative number.

    >>> import tinygrad_like as torch
    >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    kind = type(exponent)
    if (kind is int or kind is float) and isinstance(input, Traced):
        base = input.array.dtype.kind
        if base == "f" or (kind is int and base != "b"):
            return _power_number(input, exponent)
        if kind is int and exponent < 0:
            raise told(RuntimeError, "Integers to negative integer powers are not allowed.")
    if kind is bool and isinstance(input, Traced) and input.array.dtype.kind == "b":
        return _power_number(input, exponent)
    if not isinstance(input, Traced | np.ndarray) and not isinstance(exponent, Traced | np.ndarray):
        raise told(
            TypeError,
            f"pow(): got ({type(input).__name__}, {kind.__name__}), expected at least one Tensor",
        )
    return _power(input, exponent)


def float_power(input: Any, exponent: Any) -> Any:
    """Return ``input ** exponent``, computed in float64."""
    cast = REGISTRY["cast"].call
    operands = (
        cast(o, dtypes.F64) if isinstance(o, Traced) and o.array.dtype != dtypes.F64 else o
        for o in (input, exponent)
    )
    return pow(*(float(o) if isinstance(o, int) else o for o in operands))


# ----- PyTorch's spelling -------------------------------------------------------------------------


def _scaled(name: str, input: Any, other: Any, alpha: Any) -> Any:
    """Return ``alpha * other`` for `add` and `sub`."""
    for position, operand in enumerate((input, other)):
        if not isinstance(operand, Traced | np.ndarray | bool | int | float | np.generic):
            raise told(
                TypeError,
                f"{name}(): argument '{('input', 'other')[position]}' (position {position + 1}) must be "
                f"Tensor, not {type(operand).__name__}",
            )
    if type(alpha) is int and alpha == 1:
        return other
    operands = [as_array(o) if isinstance(o, Traced) else o for o in (input, other)]
    d = dtypes.result(operands)
    kind = d.kind
    if isinstance(alpha, bool) and kind != "b":
        raise told(RuntimeError, "Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and kind != "f":
        raise told(
            RuntimeError,
            "For integral input tensors, argument alpha must not be a floating point number, got "
            f"{alpha}",
        )
    if kind == "b":
        return other if alpha else np.zeros_like(operands[1])
    if not isinstance(other, Traced | np.ndarray):
        return other * alpha
    if isinstance(other, Traced) and other.array.dtype != d:
        other = REGISTRY["cast"].call(other, d)  # the factor takes no part in the mix
    return multiply(other, alpha)


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Return ``input + alpha * other``.

    >>> import tinygrad_like as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), 10, alpha=2)
    tensor([21., 22.])
    """
    return _add(input, _scaled("add", input, other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Return ``input - alpha * other``.

    Raises:
        RuntimeError: for bools, which have no difference.

    >>> import tinygrad_like as torch
    >>> torch.sub(torch.tensor([1.0, 2.0]), 10, alpha=2)
    tensor([-19., -18.])
    """
    _refuse_bool(input, other)
    return _subtract(input, _scaled("sub", input, other, alpha))


def _refuse_bool(x: Any, y: Any) -> None:
    if _is_bool(x) or _is_bool(y):
        raise told(
            RuntimeError,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead.",
        )


def _is_bool(value: Any) -> bool:
    d = getattr(getattr(value, "array", value), "dtype", None)
    return type(value) is bool if d is None else d.kind == "b"


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Return ``other - alpha * input``."""
    if not isinstance(input, Traced):
        raise told(
            TypeError, f"rsub(): argument 'input' must be Tensor, not {type(input).__name__}"
        )
    return sub(other, input, alpha=alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Return ``input / other``.

    Args:
        input: any shape.
        other: a tensor that broadcasts with it, or a number.
        rounding_mode: None for true division, "trunc" to round towards zero, "floor" downwards.

    Raises:
        RuntimeError: for another mode, or an integer divided by zero with rounding.

    >>> import tinygrad_like as torch
    >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if rounding_mode is None:
        return _divide(input, other)
    if rounding_mode == "trunc":
        return _trunc_quotient(input, other)
    if rounding_mode == "floor":
        return _floor_quotient(input, other)
    raise told(
        RuntimeError,
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'",
    )


def floor_divide(input: Any, other: Any) -> Any:
    """Return ``input / other`` rounded down."""
    return _floor_quotient(input, other)


def true_divide(input: Any, other: Any) -> Any:
    """Return ``input / other``."""
    return _divide(input, other)


mul = multiply
subtract, divide = sub, div

_operator_subtract, _swapped_subtract = REGISTRY["subtract"].operator(), swapped("subtract")
_operator_power = REGISTRY["power"].operator()


def _reflected_subtract(self: Any, other: Any) -> Any:
    _refuse_bool(self, other)
    return _swapped_subtract(self, other)


def _checked_subtract(self: Any, other: Any) -> Any:
    d = self.array.dtype
    if (
        d.kind == "b"
        or type(other) is bool
        or (isinstance(other, Traced) and other.array.dtype is not d)
    ):
        _refuse_bool(self, other)
    return _operator_subtract(self, other)


def _power_operator(self: Any, other: Any) -> Any:
    kind = type(other)
    if kind is int or kind is float or kind is bool:
        return pow(self, other)
    return _operator_power(self, other)


def _float_power_into(self: Any, exponent: Any) -> Any:
    if self.array.dtype != dtypes.F64:
        raise told(
            RuntimeError,
            f"the base given to float_power_ has dtype {dtypes.named(self.array.dtype)} but the "
            "operation's result requires dtype torch.float64; use float_power",
        )
    return float_power(self, exponent)


def _add_at_once(memory: Any, other: Any, *, alpha: Any = 1) -> None:
    if type(alpha) is bool:
        raise ValueError
    if alpha != 1:
        other = np.multiply(other, alpha, dtype=memory.dtype)
    np.add(memory, other, out=memory)


def _subtract_at_once(memory: Any, other: Any, *, alpha: Any = 1) -> None:
    _add_at_once(memory, other, alpha=alpha if type(alpha) is bool else -alpha)


def _divide_at_once(memory: Any, other: Any, *, rounding_mode: Any = None) -> None:
    if rounding_mode is not None:
        raise ValueError
    np.true_divide(memory, other, out=memory)


def _power_at_once(memory: Any, exponent: Any) -> None:
    if exponent == 2:
        np.multiply(memory, memory, out=memory)
    elif exponent == 0.5:
        np.sqrt(memory, out=memory)
    else:
        np.power(memory, exponent, out=memory)


class ArithmeticMethods:
    """The methods and operators of `Tensor` that this module provides."""

    __slots__ = ()

    __add__ = REGISTRY["add"].operator()
    __radd__ = swapped("add")
    __sub__ = _checked_subtract
    __rsub__ = _reflected_subtract
    __mul__ = REGISTRY["multiply"].operator()
    __rmul__ = swapped("multiply")
    __truediv__ = __div__ = REGISTRY["divide"].operator()
    __rtruediv__ = __rdiv__ = swapped("divide")
    __floordiv__ = REGISTRY["floor_divide"].operator()
    __rfloordiv__ = swapped("floor_divide")
    __mod__ = REGISTRY["remainder"].operator()
    __rmod__ = swapped("remainder")
    __pow__ = _power_operator
    __rpow__ = swapped("power")

    add = add
    sub = subtract = sub
    mul = multiply = multiply
    div = divide = div
    true_divide = true_divide
    floor_divide = floor_divide
    remainder = remainder
    fmod = fmod
    pow = pow
    float_power = float_power

    add_ = __iadd__ = in_place("add_", add, _add_at_once)
    sub_ = subtract_ = __isub__ = in_place("sub_", sub, _subtract_at_once)
    mul_ = multiply_ = __imul__ = in_place("mul_", multiply, np.multiply)
    div_ = divide_ = __itruediv__ = __idiv__ = in_place("div_", div, _divide_at_once)
    true_divide_ = in_place("true_divide_", true_divide, np.true_divide)
    floor_divide_ = __ifloordiv__ = in_place("floor_divide_", floor_divide)
    remainder_ = __imod__ = in_place("remainder_", remainder, np.remainder)
    fmod_ = in_place("fmod_", fmod, np.fmod)
    pow_ = __ipow__ = in_place("pow_", pow, _power_at_once)
    float_power_ = in_place("float_power_", _float_power_into)
