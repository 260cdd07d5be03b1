"""Softmax and its logarithm, each one op, with backward ops that can be differentiated again."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Array, Traced, as_array, result_type
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.unary import negative
from tinygrad_like.random import default_generator

__all__ = ["log_softmax", "softmax"]
FUNCTIONAL = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


def _sums(x: Any, dim: int) -> Any:
    """Return the sums along `dim`, which is kept."""
    if (dim == -1 or dim == x.ndim - 1) and x.ndim > 1 and x.flags.c_contiguous and x.size > 1024:
        # A product with ones is twice as fast as a sum over the last dimension.
        return np.matmul(x, np.ones((x.shape[-1], 1), x.dtype))
    return np.add.reduce(x, dim, keepdims=True)


def _shifted(x: Any, dim: int) -> Any:
    """Return float elements minus the largest along `dim`."""
    if x.dtype.kind != "f":
        raise unsupported("softmax", x.dtype)
    if not -max(x.ndim, 1) <= dim < max(x.ndim, 1):
        limit = max(x.ndim, 1)
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})"
        )
    if not x.size:
        return x.copy()
    return np.subtract(x, np.maximum.reduce(x, dim, keepdims=True))


def _alone(x: Any, dim: int, value: float) -> Any:
    """Return the result for a tensor without dimensions."""
    _shifted(x, dim)
    return np.where(np.isfinite(x), x.dtype.type(value), x.dtype.type(np.nan))


@op(x=lambda g, out, dim: softmax_backward(g, out, dim), name="softmax")
def _softmax(x: Array, dim: int) -> Array:
    if x.ndim == 0:
        return _alone(x, dim, 1)
    if x.dtype == np.float16:
        return _softmax(x.astype(np.float32), dim).astype(np.float16)
    out = _shifted(x, dim)
    np.exp(out, out=out)
    out /= _sums(out, dim)
    return out


@op(
    x=lambda g, y, dim: softmax_backward(g, y, dim),
    y=lambda g, x, y, dim: g * (x - _total(x * y, dim)) - x * _total(g * y, dim),
)
def softmax_backward(x: Array, y: Array, dim: int) -> Array:
    """Return the gradient `x` of a softmax along `dim`, whose result was `y`, for its input."""
    if y.ndim == 0:
        return np.zeros_like(x)
    out = np.multiply(x, y)
    return np.subtract(out, y * _sums(out, dim), out=out)


def _total(x: Any, dim: int) -> Any:
    if x.ndim == 0:
        return x
    return REGISTRY["sum"].call(x, dim, True)


@op(x=lambda g, out, dim: log_softmax_backward(g, out, dim), name="log_softmax")
def _log_softmax(x: Array, dim: int) -> Array:
    if x.ndim == 0:
        return _alone(x, dim, 0)
    if x.dtype == np.float16:
        return _log_softmax(x.astype(np.float32), dim).astype(np.float16)
    out = _shifted(x, dim)
    out -= np.log(_sums(np.exp(out), dim))
    return out


@op(
    x=lambda g, y, dim: g - _total(g * np.exp(y), dim),
    y=lambda g, x, y, dim: -g * np.exp(y) * _total(x, dim),
)
def log_softmax_backward(x: Array, y: Array, dim: int) -> Array:
    """Return the gradient `x` of a log_softmax, whose result was `y`, for its input."""
    if y.ndim == 0:
        return np.zeros_like(x)
    out = np.exp(y)
    out *= _sums(x, dim)
    return np.subtract(x, out, out=out)


def _prepared(name: str, input: Any, dim: Any, dtype: Any) -> tuple[Any, int]:
    """Return the input in the dtype wanted and the dimension, guessed if None as PyTorch does."""
    if not isinstance(input, Traced | np.ndarray):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    array = as_array(input)
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
            "dim=X as an argument.",
            stacklevel=3,
        )
        dim = 0 if array.ndim in (0, 1, 3) else 1
    if dtype is not None and dtypes.of(dtype) != array.dtype:
        input = REGISTRY["cast"].call(input, dtypes.of(dtype))
    return input, dim


def softmax(input: Any, dim: int | None = None, dtype: Any = None, _stacklevel: int = 3) -> Any:
    """Return ``exp(input)`` divided by its sum along `dim`.

    Args:
        input: any shape.
        dim: the dimension along which results sum to 1.
        dtype: what to convert to first.

    Raises:
        IndexError: if there is no such dimension.

    >>> import tinygrad_like as torch
    >>> torch.softmax(torch.tensor([0.0, 1.0, 2.0]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])
    """
    del _stacklevel
    input, dim = _prepared("softmax", input, dim, dtype)
    return _softmax(input, dim)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None, _stacklevel: int = 3) -> Any:
    """Return the logarithm of `softmax`, without overflow.

    >>> import tinygrad_like as torch
    >>> torch.log_softmax(torch.tensor([0.0, 1.0, 2.0]), dim=0)
    tensor([-2.4076, -1.4076, -0.4076])
    """
    del _stacklevel
    input, dim = _prepared("log_softmax", input, dim, dtype)
    return _log_softmax(input, dim)


def softmin(input: Any, dim: int | None = None, dtype: Any = None, _stacklevel: int = 3) -> Any:
    """Return the softmax of ``-input``."""
    del _stacklevel
    input, dim = _prepared("softmin", input, dim, dtype)
    return _softmax(negative(input), dim)


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """Return a sample of the Gumbel-softmax distribution along `dim`.

    With `hard` the result is one-hot, its gradient that of the soft sample. Source: Jang et al.,
    "Categorical Reparameterization with Gumbel-Softmax", 2017.

    Args:
        logits: unnormalised log probabilities, any shape.
        tau: the temperature.
        hard: whether to return one-hot vectors.
        eps: not used any more.
        dim: the dimension of the categories.
    """
    del eps
    noise = result_type.make(np.empty_like(logits.array))
    noise.exponential_(generator=default_generator)
    soft = _softmax((logits - noise.log()) / tau, dim)
    if not hard:
        return soft
    chosen = np.zeros_like(soft.array)
    best = np.expand_dims(soft.array.argmax(dim), dim)
    np.put_along_axis(chosen, best, 1.0, dim)
    return result_type.make(chosen) - soft.detach() + soft


class SoftmaxMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    softmax = softmax
    log_softmax = log_softmax
