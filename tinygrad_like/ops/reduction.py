"""Ops that reduce dimensions to one value: sums, means, products, spreads and norms."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.sums import add_up, ones_vector, total
from tinygrad_like.dtypes import F16, F32, F64, I64
from tinygrad_like.graph import Array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.scanning import cumprod_of, has_zero
from tinygrad_like.ops.shaping import axis_of, permute, reshape

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "mean",
    "nanmean",
    "nansum",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]


_multiply: Any = np.multiply.reduce


# ----- Dimensions, and the way back ---------------------------------------------------------------


def axes_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """Return `dim`, an int, a sequence or None, as sorted non-negative axes.

    Raises:
        IndexError: if one is out of range.
        RuntimeError: if one appears twice.
    """
    if dim is None or dim == () or dim == []:
        return tuple(range(ndim))
    axes = []
    for d in dim if isinstance(dim, list | tuple) else (dim,):
        axis = axis_of(d, ndim)
        if axis in axes:
            raise told(RuntimeError, f"dim {axis} appears multiple times in the list of dims")
        axes.append(axis)
    return tuple(sorted(axes)) if ndim else ()


def keep_reduced(x: Any, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Any:
    """Return a reduction's result, or its gradient, with reduced dimensions of size 1."""
    if keepdim or x.ndim == len(shape):
        return x
    axes = axes_of(dim, len(shape))
    return reshape(x, tuple(1 if i in axes else size for i, size in enumerate(shape)))


@op(x=lambda g, dim, keepdim: _sum(g, dim, keepdim))
def expand_reduced(x: Array, shape: Any, dim: Any, keepdim: bool) -> Array:
    """Return the gradient of a reduction's result stretched over the reduced dimensions."""
    if x.ndim:
        x = keep_reduced(x, shape, dim, keepdim)
    if math.prod(shape) > 16384:
        return broadcast_to(x, shape)
    out = np.empty(shape, x.dtype)  # half the time of a view, which would be copied later anyway
    out[...] = x
    return out


@op()
def tie_share(x: Array, y: Array, dim: Any) -> Array:
    """Return 1 where `x` equals its extremum `y`, shared out among ties along `dim`, 0 elsewhere.

    Only the extremum of all elements, `dim` being None, can be nan and be shared out too.
    """
    same = np.isnan(x) if dim is None and np.isnan(y).any() else x == y
    mask = same.astype(x.dtype)
    return mask / total(mask, axes_of(dim, x.ndim), True)


# ----- Sums ---------------------------------------------------------------------------------------


@op(x=lambda g, x_shape: broadcast_to(g, x_shape))
def sum_to(x: Array, shape: Any) -> Array:
    """Return `x` summed down to `shape`: the adjoint of broadcasting."""
    leading = x.ndim - len(shape)
    if (
        x.ndim == 2
        and leading == 1
        and shape[0] == x.shape[1]
        and (x.dtype is F32 or x.dtype is F64)
    ):
        return np.dot(ones_vector(x.shape[0], x.dtype), x)  # a bias
    if leading:
        x = total(x, tuple(range(leading)))
    axes = tuple(i for i, size in enumerate(shape) if size == 1 and x.shape[i] != 1)
    return total(x, axes, True) if axes else x


@op(x=lambda g, x_shape, dim, keepdim: expand_reduced(g, x_shape, dim, keepdim), name="sum")
def _sum(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return total(x, None if dim is None else axes_of(dim, x.ndim), keepdim)


def sum(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """Return the sum over dimensions `dim`, an int or several; over all if None.

    Integers and bools are added up as int64.

    Raises:
        IndexError: if a dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.sum(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    if dtype is None:
        return _sum(input, dim if axis is None else axis, keepdim or keepdims)
    d = dtypes.of(dtype)
    out = _sum(convert(input, d), dim if axis is None else axis, keepdim or keepdims)
    return convert(out, d)


@op(
    x=lambda g, x_shape, dim, keepdim: expand_reduced(
        g / _count(x_shape, dim), x_shape, dim, keepdim
    ),
    name="mean",
)
def _mean(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    if x.dtype.kind != "f":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {dtypes.named(x.dtype)}; use .float() or dtype="
        )
    axes = None if dim is None else axes_of(dim, x.ndim)
    if x.dtype is F16:
        summed = add_up(x, axes, F32, keepdims=keepdim) / _count(x.shape, dim)
        return np.asarray(summed).astype(F16)
    count = _count(x.shape, dim)
    return total(x, axes, keepdim) / (count or np.asarray(0, x.dtype))


def _count(shape: tuple[int, ...], dim: Any) -> int:
    """Return how many elements a reduction makes one."""
    if dim is None:
        return math.prod(shape)
    return math.prod(shape[axis] for axis in axes_of(dim, len(shape)))


def mean(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """Return the mean over dimensions `dim`, an int or several; over all if None.

    Raises:
        RuntimeError: if the elements are not floating-point.
        IndexError: if a dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.mean(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([1.5000, 3.5000])
    """
    if dtype is not None:
        input = convert(input, dtypes.of(dtype))
    return _mean(input, dim if axis is None else axis, keepdim or keepdims)


@op(
    x=lambda g, x, dim, keepdim: expand_reduced(g, x.shape, dim, keepdim) * (x == x),
    name="nansum",
)
def _nansum(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    axes = None if dim is None else axes_of(dim, x.ndim)
    if x.dtype.kind == "f":
        missing = np.isnan(x)
        if missing.any():
            x = np.where(missing, x.dtype.type(0), x)
    return total(x, axes, keepdim)


def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the sum over dimensions `dim`, all if None, with nan counted as 0.

    >>> import tinygrad_like as torch
    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    if dtype is None:
        return _nansum(input, dim, keepdim)
    d = dtypes.of(dtype)
    return convert(_nansum(convert(input, d), dim, keepdim), d)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the mean of the elements that are not nan over dimensions `dim`, all if None.

    Raises:
        RuntimeError: if the elements are not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    if input.array.dtype.kind != "f":
        raise told(
            RuntimeError,
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{dtypes.named(input.array.dtype)}",
        )
    if dtype is not None:
        d = dtypes.of(dtype)
        if d.kind != "f":
            raise told(
                RuntimeError, f"nanmean(): expected a floating-point dtype, got {dtypes.named(d)}"
            )
        input = convert(input, d)
    return _nansum(input, dim, keepdim) / _sum(input == input, dim, keepdim)


# ----- Products -----------------------------------------------------------------------------------


def _prod_rule(g: Array, x: Array, out: Array, dim: Any, keepdim: bool) -> Array:
    """Return the product of the other elements times the gradient, also where elements are 0."""
    if has_zero(x):
        return _prod_of_others(x, dim) * expand_reduced(g, x.shape, dim, keepdim)
    return expand_reduced(g * out, x.shape, dim, keepdim) / x


def _prod_of_others(x: Array, dim: Any) -> Array:
    """Return for each element the product of those it is reduced with, itself left out."""
    axes = axes_of(dim, x.ndim)
    others = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*others, *axes)
    moved = permute(x, order)
    flat = reshape(moved, (*(x.shape[i] for i in others), math.prod(x.shape[i] for i in axes)))
    last = flat.ndim - 1
    before = cumprod_of(flat, last, False, True)
    after = cumprod_of(flat, last, True, True)
    back = tuple(order.index(i) for i in range(x.ndim))
    return permute(reshape(before * after, moved.shape), back)


@op(x=lambda g, x, out, dim, keepdim: _prod_rule(g, x, out, dim, keepdim), name="prod")
def _prod(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    axes = None if dim is None else axes_of(dim, x.ndim)
    if x.dtype is F16:
        return np.asarray(_multiply(x, axes, F32, keepdims=keepdim)).astype(F16)
    return _multiply(x, axes, None if x.dtype.kind == "f" else I64, keepdims=keepdim)


def prod(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """Return the product over dimension `dim`, all if None.

    Raises:
        IndexError: if the dimension is out of range.
        TypeError: if `dim` is not one dimension.

    >>> import tinygrad_like as torch
    >>> torch.prod(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([3., 8.])
    """
    dim = dim if axis is None else axis
    if isinstance(dim, tuple | list):
        raise told(
            TypeError, f"prod(): dim must be an int or None, got {dim}; call it once for each"
        )
    if dtype is None:
        return _prod(input, dim, keepdim or keepdims)
    d = dtypes.of(dtype)
    return convert(_prod(convert(input, d), dim, keepdim or keepdims), d)


# ----- Spread -------------------------------------------------------------------------------------


def _degrees(shape: tuple[int, ...], dim: Any, correction: float) -> float:
    return max(_count(shape, dim) - correction, 0)


def _var_rule(g: Array, x: Array, dim: Any, correction: float, keepdim: bool) -> Array:
    # Where there are no degrees of freedom, each of PyTorch's two formulas has an answer of its own.
    degrees = _count(x.shape, dim) - correction
    mean = _mean(x, dim, True)
    g = expand_reduced(g, x.shape, dim, keepdim)
    if degrees <= 0 and (dim is None or not x.ndim):
        return g * np.where(x == mean, math.nan, math.inf)
    return g * (2 / degrees if degrees else math.inf) * (x - mean)


@op(x=lambda g, x, dim, correction, keepdim: _var_rule(g, x, dim, correction, keepdim), name="var")
def _var(x: Array, dim: Any, correction: float, keepdim: bool) -> Array:
    return _variance(x, dim, correction, keepdim)


def _variance(x: Array, dim: Any, correction: float, keepdim: bool) -> Array:
    if x.dtype.kind != "f":
        raise told(
            RuntimeError,
            "std and var only support floating point and complex dtypes, got "
            f"{dtypes.named(x.dtype)}; use .float()",
        )
    axes = tuple(range(x.ndim)) if dim is None else axes_of(dim, x.ndim)
    count = _count(x.shape, dim)
    degrees = _degrees(x.shape, dim, correction)
    if degrees <= 0:
        warnings.warn(
            "var(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            f"factor (input numel divided by output numel): got {correction} for {count}",
            UserWarning,
            stacklevel=4,
        )
    wide = x.astype(F32) if x.dtype is F16 else x
    center = np.asarray(wide - total(wide, axes, True) / (count or 1))
    np.multiply(center, center, center)
    if degrees > 0:
        out = total(center, axes, keepdim) / degrees
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            out = total(center, axes, keepdim) / np.asarray(0, wide.dtype)
    return np.asarray(out).astype(F16) if x.dtype is F16 else out


def _std_rule(g: Array, x: Array, out: Array, dim: Any, correction: float, keepdim: bool) -> Array:
    # As in PyTorch the gradient is 0 where the deviation is 0, whose true slope is none.
    slope = g * (out != 0) / (2 * (out + (out == 0)))
    return _var_rule(slope, x, dim, correction, keepdim)


@op(
    x=lambda g, x, out, dim, correction, keepdim: _std_rule(g, x, out, dim, correction, keepdim),
    name="std",
)
def _std(x: Array, dim: Any, correction: float, keepdim: bool) -> Array:
    return np.sqrt(_variance(x, dim, correction, keepdim))


def _spread_arguments(dim: Any, unbiased: Any, correction: Any, axis: Any) -> tuple[Any, float]:
    """Return the dimensions and the correction in one of PyTorch's ways to say them."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise told(TypeError, "var and std take unbiased or correction, not both")
    if unbiased is not None:
        correction = 1 if unbiased else 0
    if isinstance(correction, str):
        raise told(TypeError, "var and std: argument 'correction' must be a number, not str")
    return (dim if axis is None else axis), 1 if correction is None else correction


def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
) -> Any:
    """Return the variance over dimensions `dim`, all if None, divided by their size less `correction`.

    Raises:
        RuntimeError: if the elements are not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.var(torch.tensor([1.0, 2.0, 3.0, 4.0]), correction=0)
    tensor(1.2500)
    """
    dim, correction = _spread_arguments(dim, unbiased, correction, axis)
    return _var(input, dim, correction, keepdim)


def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
) -> Any:
    """Return the square root of `var`; where that is 0, so is the gradient.

    Raises:
        RuntimeError: if the elements are not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.std(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor(1.2910)
    """
    dim, correction = _spread_arguments(dim, unbiased, correction, axis)
    return _std(input, dim, correction, keepdim)


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """Return what `var` and `mean` return."""
    dim, correction = _spread_arguments(dim, unbiased, correction, None)
    return _var(input, dim, correction, keepdim), _mean(input, dim, keepdim)


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """Return what `std` and `mean` return."""
    dim, correction = _spread_arguments(dim, unbiased, correction, None)
    return _std(input, dim, correction, keepdim), _mean(input, dim, keepdim)


# ----- Logic --------------------------------------------------------------------------------------


def _logic(ufunc: Any, x: Array, dim: Any, keepdim: bool) -> Array:
    if isinstance(dim, tuple | list) and not dim:  # each element by itself, unlike a sum
        return (x != 0).astype(x.dtype if x.dtype == np.uint8 else bool)
    axes = None if dim is None else axes_of(dim, x.ndim)
    out = np.asarray(ufunc.reduce(x, axes, keepdims=keepdim))
    return out.astype(x.dtype) if x.dtype == np.uint8 else out


@op(name="any")
def _any(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _logic(np.logical_or, x, dim, keepdim)


@op(name="all")
def _all(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    return _logic(np.logical_and, x, dim, keepdim)


def any(
    input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Any:
    """Return where some element along `dim`, all dimensions if None, is not 0.

    >>> import tinygrad_like as torch
    >>> torch.any(torch.tensor([[0, 1], [0, 0]]), 1)
    tensor([ True, False])
    """
    return _any(input, dim if axis is None else axis, keepdim or keepdims)


def all(
    input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Any:
    """Return where no element along `dim`, all dimensions if None, is 0.

    >>> import tinygrad_like as torch
    >>> torch.all(torch.tensor([[1, 1], [0, 1]]), 1)
    tensor([ True, False])
    """
    return _all(input, dim if axis is None else axis, keepdim or keepdims)


@op()
def count_nonzero(x: Array, dim: Any = None) -> Array:
    """Return how many elements along `dim`, all dimensions if None, are not 0.

    >>> import tinygrad_like as torch
    >>> torch.count_nonzero(torch.tensor([0.0, 1.0, 2.0]))
    tensor(2)
    """
    axes = None if dim is None else axes_of(dim, x.ndim)
    return add_up(x != 0, axes, I64)


# ----- Methods ------------------------------------------------------------------------------------


class ReductionMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    all = all
    any = any
    count_nonzero = count_nonzero
    mean = mean
    nanmean = nanmean
    nansum = nansum
    prod = prod
    std = std
    sum = sum
    var = var
