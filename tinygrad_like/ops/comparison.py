"""Ops that compare, combine truth values and bits, and choose between two operands."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Array, Traced, as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, UFUNCS, implements, op
from tinygrad_like.views import in_place

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
    "signbit",
    "where",
]


def swapped(name: str) -> Any:
    """Return the reflected operator of the op `name`."""
    operator = REGISTRY[name].operator()

    def reflected(self: Any, other: Any) -> Any:
        return operator(other, self)

    return reflected


def unsupported(name: str, d: Any) -> NotImplementedError:
    """Return the error for elements that an op does not work on."""
    return told(
        NotImplementedError,
        f'"{name}" not implemented for {dtypes.named(d)!r}; convert the tensor to another dtype first',
    )


def tensors_only(call: Any) -> Any:
    """Return the function of two operands refusing Python numbers, as PyTorch's does."""

    @functools.wraps(call)
    def checked(input: Any, other: Any) -> Any:
        for operand in (input, other):
            if not isinstance(operand, Traced | np.ndarray | np.generic):
                raise call.__op__.wrong_call((input, other))
        return call(input, other)

    return checked


def tensor_first(call: Any) -> Any:
    """Return the function of two operands refusing a number as the first, as PyTorch's does."""

    @functools.wraps(call)
    def checked(input: Any, other: Any) -> Any:
        if not isinstance(input, Traced | np.ndarray | np.generic):
            raise call.__op__.wrong_call((input, other))
        return call(input, other)

    return checked


# ----- Comparisons --------------------------------------------------------------------------------


def _comparison(ufunc: Any, doc: str) -> Any:
    def compare(x: Array, y: Array) -> Array:
        return ufunc(x, y)

    compare.__doc__ = doc
    return tensor_first(
        op(broadcasts=True, dtype="promote", ufunc=ufunc, name=ufunc.__name__)(compare)
    )


_equal = _comparison(np.equal, "Return where ``input == other``.")
not_equal = _comparison(np.not_equal, "Return where ``input != other``.")
greater = _comparison(np.greater, "Return where ``input > other``.")
greater_equal = _comparison(np.greater_equal, "Return where ``input >= other``.")
less = _comparison(np.less, "Return where ``input < other``.")
less_equal = _comparison(np.less_equal, "Return where ``input <= other``.")
eq, ne, gt, ge, lt, le = _equal, not_equal, greater, greater_equal, less, less_equal


@op(ufunc=np.isnan)
def isnan(x: Array) -> Array:
    """Return where an element is nan."""
    return np.isnan(x)


@op(ufunc=np.isinf)
def isinf(x: Array) -> Array:
    """Return where an element is infinite."""
    return np.isinf(x)


@op(ufunc=np.isfinite)
def isfinite(x: Array) -> Array:
    """Return where an element is neither infinite nor nan."""
    return np.isfinite(x)


@op()
def isposinf(x: Array) -> Array:
    """Return where an element is plus infinity."""
    return x == np.inf


@op()
def isneginf(x: Array) -> Array:
    """Return where an element is minus infinity."""
    return x == -np.inf


@op()
def signbit(x: Array) -> Array:
    """Return where an element is negative, minus zero included."""
    return np.signbit(x) if x.dtype.kind == "f" else x < 0


UFUNCS[np.signbit] = signbit


@op()
def isreal(x: Array) -> Array:
    """Return True for each element, since complex numbers are not supported."""
    return np.ones(x.shape, bool)


@op(broadcasts=True, name="isclose")
def _isclose(x: Array, y: Array, rtol: float, atol: float, equal_nan: bool) -> Array:
    if x.dtype != y.dtype:
        names = (dtypes.named(x.dtype), dtypes.named(y.dtype))
        raise RuntimeError(f"{names[0]} did not match {names[1]}: convert one of them first")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"rtol and atol must not be negative, but got {rtol} and {atol}")
    close = np.equal(x, y)
    if equal_nan:
        close = close | (np.isnan(x) & np.isnan(y))
    if rtol == 0 and atol == 0:
        return close
    distance = np.abs(np.subtract(x, y, dtype=x.dtype if x.dtype.kind == "f" else np.float64))
    near = np.isfinite(distance) & (distance <= atol + np.abs(y * rtol))
    return np.asarray(close | near)


def isclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Return where ``|input - other| <= atol + rtol * |other|``.

    Raises:
        RuntimeError: if the dtypes differ, or a tolerance is negative.
        TypeError: if one of both is not a tensor.

    >>> import tinygrad_like as torch
    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if not (isinstance(input, Traced | np.ndarray) and isinstance(other, Traced | np.ndarray)):
        raise REGISTRY["isclose"].wrong_call((input, other))
    return _isclose(input, other, rtol, atol, equal_nan)


def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Return True if all elements are close; see `isclose`.

    >>> import tinygrad_like as torch
    >>> torch.allclose(torch.ones(3), torch.ones(3) + 1e-9)
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def equal(input: Any, other: Any) -> bool:
    """Return True if both have the same shape and elements.

    >>> import tinygrad_like as torch
    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    for position, argument in enumerate((input, other)):
        if not isinstance(argument, Traced):
            raise told(
                TypeError,
                f"equal(): argument '{('input', 'other')[position]}' (position {position + 1}) must be "
                f"Tensor, not {type(argument).__name__}",
            )
    return input.array.shape == other.array.shape and bool(_equal(input, other).array.all())


# ----- Truth values -------------------------------------------------------------------------------


def _logical(ufunc: Any, doc: str) -> Any:
    def combine(x: Array, y: Array) -> Array:
        return ufunc(x, y)

    combine.__doc__ = doc
    return tensors_only(
        op(broadcasts=True, dtype="promote", ufunc=ufunc, name=ufunc.__name__)(combine)
    )


logical_and = _logical(np.logical_and, "Return where both elements are other than zero.")
logical_or = _logical(np.logical_or, "Return where at least one element is other than zero.")
logical_xor = _logical(np.logical_xor, "Return where exactly one element is other than zero.")


@op(ufunc=np.logical_not)
def logical_not(x: Array) -> Array:
    """Return where an element is zero."""
    return np.logical_not(x)


# ----- Bits ---------------------------------------------------------------------------------------


def _bitwise(ufunc: Any, doc: str) -> Any:
    shifts = ufunc in (np.left_shift, np.right_shift)

    def combine(x: Array, y: Array) -> Array:
        d = x.dtype if isinstance(x, np.ndarray) else y.dtype
        if d.kind == "f" or (shifts and d.kind == "b"):
            raise unsupported(f"{ufunc.__name__}_cpu", d)
        return ufunc(x, y)

    combine.__doc__ = doc
    made = op(broadcasts=True, dtype="promote", name=ufunc.__name__)(combine)
    UFUNCS[ufunc] = made
    return made


bitwise_and = _bitwise(np.bitwise_and, "Return the bits set in both, for integers and bools.")
bitwise_or = _bitwise(np.bitwise_or, "Return the bits set in either, for integers and bools.")
bitwise_xor = _bitwise(np.bitwise_xor, "Return the bits set in one only, for integers and bools.")
_left_shift = _bitwise(np.left_shift, "Return ``input`` with its bits moved left by ``other``.")
_right_shift = _bitwise(np.right_shift, "Return ``input`` with its bits moved right by ``other``.")
bitwise_left_shift, bitwise_right_shift = _left_shift, _right_shift


@op()
def bitwise_not(x: Array) -> Array:
    """Return each integer with its bits flipped, or the negation of each bool."""
    if x.dtype.kind == "f":
        raise unsupported("bitwise_not_cpu", x.dtype)
    return np.invert(x)


UFUNCS[np.invert] = bitwise_not


def _invert(self: Any) -> Any:
    if self.array.dtype.kind == "f":
        raise told(
            TypeError,
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors, input is "
            f"{dtypes.named(self.array.dtype)}",
        )
    return bitwise_not(self)


# ----- Choosing -----------------------------------------------------------------------------------

SIGNED = {2: np.int16, 4: np.int32, 8: np.int64}


def _bits(mask: Any, signed: Any) -> Any:
    """Return a bool mask as integers of all ones or all zeros."""
    return np.negative(mask.view(np.int8)).astype(signed)


def _as_bool(mask: Any) -> Any:
    return mask if mask.dtype.kind == "b" else mask.astype(bool)


@op(x=lambda g, mask: keep_where(g, mask))
def keep_where(x: Array, mask: Array) -> Array:
    """Return `x` where the boolean `mask`, which broadcasts to its shape, holds, and 0 elsewhere.

    Not a product with the mask, which would turn an infinite gradient into nan.
    """
    mask = _as_bool(mask)
    if isinstance(x, np.ndarray) and x.ndim and x.dtype.kind == "f":
        # Keeping or clearing bits is many times as fast as np.where on a mask without pattern.
        signed = SIGNED[x.itemsize]
        return np.bitwise_and(x.view(signed), _bits(mask, signed)).view(x.dtype)
    return np.where(mask, x, x.dtype.type(0))


@op(
    x=lambda g, condition: keep_where(g, condition),
    y=lambda g, condition: keep_where(g, np.logical_not(condition)),
    broadcasts=True,
    dtype="promote",
    name="where",
)
def choose(condition: Array, x: Array, y: Array) -> Array:
    """Return elements of `x` where the condition holds, of `y` elsewhere."""
    if condition.dtype.kind != "b" and condition.dtype != np.uint8:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{dtypes.named(condition.dtype)}; compare it with something"
        )
    mask = _as_bool(condition)
    shaped = x if isinstance(x, np.ndarray) and x.ndim else y
    if mask.size < 4096 or shaped.dtype.kind != "f" or not shaped.ndim:
        return np.where(mask, x, y)
    d = shaped.dtype
    signed = SIGNED[d.itemsize]
    x, y = (np.asarray(v, d).view(signed) for v in (x, y))
    out = np.bitwise_and(np.bitwise_xor(x, y), _bits(mask, signed))
    return np.bitwise_xor(out, y, out=out).view(d)


@implements(np.where)
def _np_where(condition: Any, x: Any, y: Any) -> Any:
    return where(condition, x, y)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Return elements of `input` where `condition` holds, of `other` elsewhere; shapes broadcast.

    With the condition alone: the indices where it holds, one tensor per dimension.

    Raises:
        RuntimeError: if the condition is not boolean.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, -2.0])
    >>> torch.where(x > 0, x, 0)
    tensor([1., 0.])
    """
    if not isinstance(condition, Traced | np.ndarray):
        raise told(
            TypeError,
            "where(): argument 'condition' (position 1) must be Tensor, not "
            f"{type(condition).__name__}",
        )
    if input is None and other is None:
        return tuple(result_type.make(i) for i in as_array(condition).nonzero())
    for position, (name, value) in enumerate((("input", input), ("other", other)), 2):
        if not isinstance(value, Traced | np.ndarray | np.generic | bool | int | float):
            raise told(
                TypeError,
                f"where(): argument '{name}' (position {position}) must be Tensor, not "
                f"{type(value).__name__}",
            )
    if not isinstance(input, Traced) and not isinstance(other, Traced):
        input = result_type.make(np.asarray(input, dtypes.result((input, other))))
    return choose(condition, input, other)


class ComparisonMethods:
    """The methods and operators of `Tensor` that this module provides."""

    __slots__ = ()

    __eq__ = REGISTRY["equal"].operator()
    __ne__ = REGISTRY["not_equal"].operator()
    __gt__ = REGISTRY["greater"].operator()
    __ge__ = REGISTRY["greater_equal"].operator()
    __lt__ = REGISTRY["less"].operator()
    __le__ = REGISTRY["less_equal"].operator()
    __and__ = REGISTRY["bitwise_and"].operator()
    __rand__ = swapped("bitwise_and")
    __or__ = REGISTRY["bitwise_or"].operator()
    __ror__ = swapped("bitwise_or")
    __xor__ = REGISTRY["bitwise_xor"].operator()
    __rxor__ = swapped("bitwise_xor")
    __lshift__ = REGISTRY["left_shift"].operator()
    __rlshift__ = swapped("left_shift")
    __rshift__ = REGISTRY["right_shift"].operator()
    __rrshift__ = swapped("right_shift")
    __invert__ = _invert

    eq = eq
    ne = not_equal = ne
    gt = greater = gt
    ge = greater_equal = ge
    lt = less = lt
    le = less_equal = le
    isnan = isnan
    isinf = isinf
    isfinite = isfinite
    isposinf = isposinf
    isneginf = isneginf
    isreal = isreal
    signbit = signbit
    isclose = isclose
    allclose = allclose
    equal = equal
    logical_and = logical_and
    logical_or = logical_or
    logical_xor = logical_xor
    logical_not = logical_not
    bitwise_and = bitwise_and
    bitwise_or = bitwise_or
    bitwise_xor = bitwise_xor
    bitwise_not = bitwise_not
    bitwise_left_shift = bitwise_left_shift
    bitwise_right_shift = bitwise_right_shift

    def where(self, condition: Any, other: Any) -> Any:
        """Return this tensor's elements where `condition` holds, those of `other` elsewhere."""
        return where(condition, self, other)

    eq_ = in_place("eq_", eq)
    ne_ = not_equal_ = in_place("ne_", ne)
    gt_ = greater_ = in_place("gt_", gt)
    ge_ = greater_equal_ = in_place("ge_", ge)
    lt_ = less_ = in_place("lt_", lt)
    le_ = less_equal_ = in_place("le_", le)
    logical_and_ = in_place("logical_and_", logical_and)
    logical_or_ = in_place("logical_or_", logical_or)
    logical_xor_ = in_place("logical_xor_", logical_xor)
    logical_not_ = in_place("logical_not_", logical_not)
    bitwise_and_ = __iand__ = in_place("bitwise_and_", bitwise_and)
    bitwise_or_ = __ior__ = in_place("bitwise_or_", bitwise_or)
    bitwise_xor_ = __ixor__ = in_place("bitwise_xor_", bitwise_xor)
    bitwise_not_ = in_place("bitwise_not_", bitwise_not)
    bitwise_left_shift_ = __ilshift__ = in_place("bitwise_left_shift_", bitwise_left_shift)
    bitwise_right_shift_ = __irshift__ = in_place("bitwise_right_shift_", bitwise_right_shift)
