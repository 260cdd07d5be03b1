"""Softmax and its logarithm, each one op, with backward ops that can be differentiated again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.row_blocks import (
    HEAVY,
    LIGHT,
    by_blocks,
    row_dots,
    row_slices,
    row_sums,
    unbuffered,
)
from tinygrad_like.dtypes import F16, F32
from tinygrad_like.graph import Array, Traced, as_array, result_type
from tinygrad_like.jit import compiled
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.unary import exp, negative
from tinygrad_like.random import default_generator

__all__ = ["log_softmax", "softmax"]
FUNCTIONAL = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


_LEAST = 1024  # elements from which on working by rows, or a kernel, makes up for its calls


# ----- Rows ---------------------------------------------------------------------------------------


@compiled("softmax.softmax", least=_LEAST)
@unbuffered
def _softmax_rows(x: Any, out: Any, rows: int, start: int, stop: int) -> None:
    sums = np.empty(len(x), x.dtype)
    for part in row_slices(rows, start, stop):
        seen, made, summed = x[part], out[part], sums[part]
        np.subtract(seen, np.maximum.reduce(seen, axis=1, keepdims=True), out=made)
        np.exp(made, out=made)
        row_sums(made, summed)
        made /= summed[:, None]


@compiled("softmax.softmax_backward", least=_LEAST)
@unbuffered
def _softmax_rows_backward(g: Any, y: Any, out: Any, rows: int, start: int, stop: int) -> None:
    sums = np.empty(len(y), y.dtype)
    for part in row_slices(rows, start, stop):
        received, made, summed = g[part], out[part], sums[part]
        row_dots(received, y[part], summed)
        np.subtract(received, summed[:, None], out=made)
        made *= y[part]


@compiled("softmax.log_softmax", least=_LEAST)
@unbuffered
def _log_softmax_rows(x: Any, out: Any, rows: int, start: int, stop: int) -> None:
    spare = np.empty((min(rows, len(x)), x.shape[1]), x.dtype)
    sums = np.empty(len(x), x.dtype)
    for part in row_slices(rows, start, stop):
        seen, made, summed = x[part], out[part], sums[part]
        np.subtract(seen, np.maximum.reduce(seen, axis=1, keepdims=True), out=made)
        row_sums(np.exp(made, out=spare[: len(made)]), summed)
        np.log(summed, out=summed)
        made -= summed[:, None]


@compiled("softmax.log_softmax_backward", least=_LEAST)
@unbuffered
def _log_softmax_rows_backward(g: Any, y: Any, out: Any, rows: int, start: int, stop: int) -> None:
    sums = np.empty(len(y), y.dtype)
    for part in row_slices(rows, start, stop):
        received, made, summed = g[part], out[part], sums[part]
        row_sums(received, summed)
        np.exp(y[part], out=made)
        made *= summed[:, None]
        np.subtract(received, made, out=made)


def _by_rows(routine: Callable[..., None], *arrays: Any, cost: float = HEAVY) -> Any:
    """Return what `routine` makes of the rows of arrays of equal shape, along the last dimension."""
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    if out.size:
        shape = (-1, out.shape[-1])
        matrices = (np.ascontiguousarray(a).reshape(shape) for a in arrays)
        by_blocks(routine, *matrices, out.reshape(shape), cost=cost)
    return out


# ----- Ops ----------------------------------------------------------------------------------------


def _is_last(x: Any, dim: int) -> bool:
    """Return whether `dim` is the last one, and the dtype one that rows are computed in.

    Raises:
        NotImplementedError: if elements are no floating-point numbers.
        IndexError: if there is no such dimension.
    """
    if x.dtype.kind != "f":
        raise unsupported("softmax", x.dtype)
    limit = max(x.ndim, 1)
    if not -limit <= dim < limit:
        raise told(
            IndexError,
            f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})",
        )
    return dim in (-1, x.ndim - 1)


def _shifted(x: Any, dim: int) -> Any:
    """Return elements minus the largest along `dim`."""
    if not x.size:
        return x.copy()
    return np.subtract(x, np.maximum.reduce(x, dim, keepdims=True))


def _alone(x: Any, value: float) -> Any:
    """Return the result for a tensor without dimensions."""
    return np.where(np.isfinite(x), x.dtype.type(value), x.dtype.type(np.nan))


@op(x=lambda g, out, dim: softmax_backward(g, out, dim), name="softmax")
def _softmax(x: Array, dim: int) -> Array:
    last = _is_last(x, dim) and x.size >= _LEAST
    if x.dtype is F16:
        return _softmax(x.astype(F32), dim).astype(F16)
    if x.ndim == 0:
        return _alone(x, 1)
    if last:
        return _by_rows(_softmax_rows, x)
    out = exp(_shifted(x, dim))
    out /= np.add.reduce(out, dim, keepdims=True)
    return out


@op(
    x=lambda g, y, dim: softmax_backward(g, y, dim),
    y=lambda g, x, y, dim: g * (x - _total(x * y, dim)) - x * _total(g * y, dim),
)
def softmax_backward(x: Array, y: Array, dim: int) -> Array:
    """Return the gradient `x` of a softmax along `dim`, whose result was `y`, for its input."""
    if y.ndim == 0:
        return np.asarray(y * (x - x * y))  # 0, or nan
    if y.dtype is F16:
        return softmax_backward(x.astype(F32), y.astype(F32), dim).astype(F16)
    if y.size >= _LEAST and dim in (-1, y.ndim - 1):
        return _by_rows(_softmax_rows_backward, x, y, cost=LIGHT)
    out = np.multiply(x, y)
    np.subtract(x, np.add.reduce(out, dim, keepdims=True), out=out)
    out *= y
    return out


def _total(x: Any, dim: int) -> Any:
    if x.ndim == 0:
        return x
    return REGISTRY["sum"].call(x, dim, True)


@op(x=lambda g, out, dim: log_softmax_backward(g, out, dim), name="log_softmax")
def _log_softmax(x: Array, dim: int) -> Array:
    last = _is_last(x, dim) and x.size >= _LEAST
    if x.dtype is F16:
        return _log_softmax(x.astype(F32), dim).astype(F16)
    if x.ndim == 0:
        return _alone(x, 0)
    if last:
        return _by_rows(_log_softmax_rows, x)
    out = _shifted(x, dim)
    out -= np.log(np.add.reduce(exp(out), dim, keepdims=True))
    return out


@op(
    x=lambda g, y, dim: g - _total(g * np.exp(y), dim),
    y=lambda g, x, y, dim: -g * np.exp(y) * _total(x, dim),
)
def log_softmax_backward(x: Array, y: Array, dim: int) -> Array:
    """Return the gradient `x` of a log_softmax, whose result was `y`, for its input."""
    if y.ndim == 0:
        return np.asarray(x - np.exp(y) * x)  # 0, or nan
    if y.dtype is F16:
        return log_softmax_backward(x.astype(F32), y.astype(F32), dim).astype(F16)
    if y.size >= _LEAST and dim in (-1, y.ndim - 1):
        return _by_rows(_log_softmax_rows_backward, x, y)
    out = exp(y)
    out *= np.add.reduce(x, dim, keepdims=True)
    return np.subtract(x, out, out=out)


# ----- PyTorch's spelling -------------------------------------------------------------------------


def _prepared(name: str, input: Any, dim: Any, dtype: Any) -> tuple[Any, int]:
    """Return the input in the dtype wanted and the dimension, guessed if None as PyTorch does."""
    if not isinstance(input, Traced | np.ndarray):
        raise told(
            TypeError,
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
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
