"""Divisors and multiples of whole numbers, and floating-point numbers taken to pieces."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.dtypes import default, named, of
from tinygrad_like.graph import Array, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.comparison import tensors_only, unsupported
from tinygrad_like.views import in_place

__all__ = [
    "conj",
    "frexp",
    "gcd",
    "is_conj",
    "lcm",
    "ldexp",
    "nextafter",
    "range",
    "real",
    "resolve_conj",
]


def _whole(ufunc: Any, x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        raise unsupported(f"{ufunc.__name__}_cpu", x.dtype)
    return np.asarray(ufunc(x, y))


@op(broadcasts=True, dtype="promote", name="gcd")
def _gcd(x: Array, y: Array) -> Array:
    """Return the greatest common divisors of whole numbers.

    Raises:
        NotImplementedError: for numbers that are not whole.

    >>> import tinygrad_like as torch
    >>> torch.gcd(torch.tensor([4, 9]), torch.tensor([6, 3]))
    tensor([2, 3])
    """
    return _whole(np.gcd, x, y)


@op(broadcasts=True, dtype="promote", name="lcm")
def _lcm(x: Array, y: Array) -> Array:
    """Return the least common multiples of whole numbers.

    Raises:
        NotImplementedError: for numbers that are not whole.

    >>> import tinygrad_like as torch
    >>> torch.lcm(torch.tensor([4, 9]), torch.tensor([6, 3]))
    tensor([12,  9])
    """
    if x.dtype.kind in "iu" and x.dtype.itemsize < 4:  # what overflows is cut off last
        return _whole(np.lcm, x.astype(np.int32), y.astype(np.int32)).astype(x.dtype)
    return np.absolute(_whole(np.lcm, x, y))


@op(
    x=lambda g, x, y: g * (x != y),
    y=lambda g: g * 0,
    broadcasts=True,
    dtype="promote",
    name="nextafter",
)
def _nextafter(x: Array, y: Array) -> Array:
    """Return the floating-point numbers next to those of the first tensor, towards the second.

    The gradient is that of the first tensor, as in PyTorch.

    Raises:
        NotImplementedError: for whole numbers.

    >>> import tinygrad_like as torch
    >>> torch.nextafter(torch.tensor([1.0]), torch.tensor([2.0])) > 1
    tensor([True])
    """
    if x.dtype.kind != "f":
        raise unsupported("nextafter_cpu", x.dtype)
    return np.asarray(np.nextafter(x, y))


gcd, lcm, nextafter = tensors_only(_gcd), tensors_only(_lcm), tensors_only(_nextafter)


@op(x=lambda g, y: _ldexp(g, y), broadcasts=True, name="ldexp")
def _ldexp(x: Array, y: Array) -> Array:
    """Return floating-point numbers times two to the power of whole ones, without overflow between."""
    return np.asarray(np.ldexp(x, y.astype(np.int32)))


def ldexp(input: Any, other: Any) -> Any:
    """Return ``input * 2**other``.

    Raises:
        TypeError: if one of them is no tensor.

    >>> import tinygrad_like as torch
    >>> torch.ldexp(torch.tensor([1.0]), torch.tensor([1, 2]))
    tensor([2., 4.])
    """
    d = require_tensor("ldexp", "input", input).array.dtype
    whole = require_tensor("ldexp", "other", other).array.dtype
    if d.kind == "f" and whole.kind != "f":
        if whole.kind == "b":
            raise unsupported("ldexp_cpu", whole)
        return _ldexp(input, other)
    return input * 2.0**other


@op(x=lambda g, scale: g * scale, keeps=("scale",), label="Frexp")
def mantissa(x: Array) -> Any:
    """Return the numbers divided by the power of two that leaves them between 0.5 and 1."""
    found, exponent = np.frexp(x)
    return np.asarray(found), np.asarray(np.ldexp(np.ones((), x.dtype), -exponent))


def frexp(input: Any) -> Any:
    """Return mantissas between 0.5 and 1, and exponents: ``mantissa * 2**exponent`` is the input.

    Raises:
        RuntimeError: for whole numbers.

    >>> import tinygrad_like as torch
    >>> torch.frexp(torch.tensor([6.0])).mantissa
    tensor([0.7500])
    """
    array = require_tensor("frexp", "input", input).array
    if array.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"torch.frexp() only supports floating-point dtypes, got {named(array.dtype)}",
        )
    exponent = np.asarray(np.frexp(array)[1], np.int32)
    return return_types.frexp(mantissa(input), result_type.make(exponent))


def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Return the numbers from `start` up to `end`, included; `arange` is what to use instead.

    Raises:
        RuntimeError: if `step` is zero or leads away from `end`.
        TypeError: if there is no `end`.
    """
    warnings.warn(
        "torch.range is deprecated: unlike Python's range it includes its end; use torch.arange",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        raise told(TypeError, "range() missing 1 required positional argument: 'end'")
    if step == 0:
        raise told(RuntimeError, "range: step must be nonzero")
    if (end - start) * step < 0:
        raise told(RuntimeError, "range: upper bound and lower bound inconsistent with step sign")
    count = int((end - start) / step) + 1
    d = default() if dtype is None else of(dtype)
    values = (np.arange(count) * step + start).astype(d)
    return result_type.make(values).requires_grad_(requires_grad)


# ----- Complex numbers there are none of ----------------------------------------------------------


def _itself(name: str) -> Any:
    def function(input: Any) -> Any:
        return require_tensor(name, "input", input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Return the tensor itself: its elements are real."
    return function


real, conj, resolve_conj = _itself("real"), _itself("conj"), _itself("resolve_conj")


def is_conj(input: Any) -> bool:
    """Return False: elements are real."""
    require_tensor("is_conj", "input", input)
    return False


class IntegerMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    conj = conj
    frexp = frexp
    gcd = gcd
    is_conj = is_conj
    lcm = lcm
    ldexp = ldexp
    nextafter = nextafter
    real = property(real)
    resolve_conj = resolve_conj

    gcd_ = in_place("gcd_", gcd)
    lcm_ = in_place("lcm_", lcm)
    ldexp_ = in_place("ldexp_", ldexp)
    nextafter_ = in_place("nextafter_", nextafter)
