"""Ops that treat each element by itself, operands broadcast against each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.views import write

__all__ = ["add", "exp", "log", "mul", "relu", "tanh"]


# ----- Arithmetic ---------------------------------------------------------------------------------


@op(x=lambda g: g, y=lambda g: g, broadcasts=True, dtype="promote", ufunc=np.add, name="add")
def _add(x: Array, y: Array) -> Array:
    return np.add(x, y)


@op(x=lambda g: g, y=lambda g: -g, broadcasts=True, dtype="promote", name="subtract", label="Sub")
def _subtract(x: Array, y: Array) -> Array:
    return np.subtract(x, y)


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


@op(x=lambda g: -g, ufunc=np.negative, label="Neg")
def negative(x: Array) -> Array:
    """Return ``-input``."""
    return np.negative(x)


@op(x=lambda g, out: g * out, dtype="float", ufunc=np.exp)
def exp(x: Array) -> Array:
    """Return e to the power of each element.

    >>> import tinygrad_like as torch
    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """
    return np.exp(x)


@op(x=lambda g, x: g / x, dtype="float", ufunc=np.log)
def log(x: Array) -> Array:
    """Return the natural logarithm of each element."""
    return np.log(x)


@op(x=lambda g, out: g * (1 - out * out), dtype="float", ufunc=np.tanh)
def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of each element."""
    return np.tanh(x)


@op(x=lambda g, out: g * (out > 0))
def relu(x: Array) -> Array:
    """Return ``max(input, 0)``; the gradient at 0 is 0."""
    return np.maximum(x, 0)


def _comparison(ufunc: Any, doc: str) -> Any:
    def compare(x: Array, y: Array) -> Array:
        return ufunc(x, y)

    compare.__doc__ = doc
    return op(broadcasts=True, dtype="promote", ufunc=ufunc, name=ufunc.__name__)(compare)


greater = _comparison(np.greater, "Return where ``input > other``.")
less = _comparison(np.less, "Return where ``input < other``.")


# ----- PyTorch's spelling -------------------------------------------------------------------------


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Return ``input + alpha * other``.

    >>> import tinygrad_like as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), 10, alpha=2)
    tensor([21., 22.])
    """
    return _add(input, other if alpha == 1 else multiply(other, alpha))


def _swapped(name: str) -> Any:
    """Return the reflected operator of op `name`."""
    operator = REGISTRY[name].operator()

    def reflected(self: Any, other: Any) -> Any:
        return operator(other, self)

    return reflected


def in_place(name: str, function: Any) -> Any:
    """Return the method that writes what `function` gives into its tensor."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return write(self, name, lambda: function(self, *args, **kwargs))

    method.__name__ = name
    method.__doc__ = f"Do `{name.rstrip('_')}` in place and return this tensor."
    return method


mul = multiply


class ElementwiseMethods:
    """The methods and operators of `Tensor` that this module provides."""

    __slots__ = ()

    __add__ = REGISTRY["add"].operator()
    __radd__ = _swapped("add")
    __sub__ = REGISTRY["subtract"].operator()
    __rsub__ = _swapped("subtract")
    __mul__ = REGISTRY["multiply"].operator()
    __rmul__ = _swapped("multiply")
    __truediv__ = REGISTRY["divide"].operator()
    __rtruediv__ = _swapped("divide")
    __neg__ = negative
    __gt__ = REGISTRY["greater"].operator()
    __lt__ = REGISTRY["less"].operator()

    add = add
    mul = multiply
    exp = exp
    log = log
    tanh = tanh
    relu = relu

    add_ = in_place("add_", add)
    __iadd__ = add_
    mul_ = in_place("mul_", multiply)
    __imul__ = mul_
