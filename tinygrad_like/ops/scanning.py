"""Ops that run along a dimension and keep every intermediate result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import dtypes, jit, return_types, threads
from tinygrad_like.arrays.accumulating import along
from tinygrad_like.arrays.packing import FEW, INDEX, columns_of, packed, rows_of, taken
from tinygrad_like.dtypes import F16, F32, I64
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.joining import select, stack
from tinygrad_like.ops.shaping import axis_of
from tinygrad_like.views import in_place

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


def backwards(x: Array, axis: int) -> Array:
    """Return a view with the order along `axis` reversed."""
    return x[(slice(None),) * axis + (slice(None, None, -1), ...)]


def _along_the_middle(ufunc: Any, x: Array, out: Array, reverse: bool) -> None:
    if reverse:
        x, out = x[:, ::-1], out[:, ::-1]
    if x.shape[2] < 64:
        ufunc.accumulate(x, 1, None, out)
        return
    out[:, :1] = x[:, :1]
    for j in range(1, x.shape[1]):  # a sixth of the time, since whole rows are added
        ufunc(out[:, j - 1], x[:, j], out=out[:, j])


@jit.compiled("reduction.cumsum", least=1024)
def _running_sum(x: Array, out: Array, reverse: bool) -> None:
    _along_the_middle(np.add, x, out, reverse)


@jit.compiled("reduction.cumprod", least=1024)
def _running_product(x: Array, out: Array, reverse: bool) -> None:
    _along_the_middle(np.multiply, x, out, reverse)


def _accumulate(routine: Any, x: Array, axis: int, reverse: bool) -> Array:
    """Return the running result of a routine along `axis`, from its end if `reverse`."""
    if x.ndim == 0:
        return x.astype(x.dtype if x.dtype.kind == "f" else I64)
    given = x.astype(F32 if x.dtype is F16 else x.dtype if x.dtype.kind == "f" else I64, copy=False)
    out = np.empty(x.shape, given.dtype)
    if x.size:
        middle = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
        a, b = given.reshape(middle), out.reshape(middle)
        threads.split(
            middle[0],
            lambda start, stop: routine(a[start:stop], b[start:stop], reverse),
            a.nbytes + b.nbytes,
        )
    return out.astype(F16) if x.dtype is F16 else out


def _checked(dtype: Any, x: Any, name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a running result, which is not bool."""
    d = dtypes.of(dtype)
    if d.kind == "b" and x.ndim:
        raise unsupported(f"{name}_cpu", d)
    return d


def _within(name: str, function: Any) -> Any:
    """Return a function of one tensor whose result is to be written there."""

    def checked(self: Any, dim: int, *, dtype: Any = None) -> Any:
        if dtype is not None and dtypes.of(dtype) != self.array.dtype:
            raise told(
                RuntimeError,
                f"Bad in-place call: input tensor dtype {self.dtype} and output tensor dtype "
                f"{dtypes.named(dtypes.of(dtype))} should match; leave dtype out of {name}",
            )
        return function(self, dim, dtype=self.array.dtype)

    return checked


# ----- Sums ---------------------------------------------------------------------------------------


@op(x=lambda g, dim, reverse: _cumsum(g, dim, not reverse), name="cumsum")
def _cumsum(x: Array, dim: int, reverse: bool = False) -> Array:
    return _accumulate(_running_sum, x, axis_of(dim, x.ndim), reverse)


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return along dimension `dim` the sum of each element and those before it.

    Raises:
        IndexError: if the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.cumsum(torch.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 3., 6.])
    """
    if dtype is None:
        return _cumsum(input, dim)
    d = _checked(dtype, input, "cumsum")
    return convert(_cumsum(convert(input, d), dim), d)


# ----- Products -----------------------------------------------------------------------------------


def has_zero(x: Any) -> bool:
    """Return True if an element is 0; for arrays and tensors."""
    array: Any = getattr(x, "array", x)
    return bool(np.count_nonzero(array) != array.size)


def _cumprod_rule(
    g: Array, x: Array, out: Array, dim: int, reverse: bool, exclusive: bool
) -> Array:
    """Return the gradient of a running product.

    Without zeros ``sum(g[j] * out[j] for j from i on) / x[i]``. With them the division fails, and the
    sum is built by the recurrence ``r[i] = g[i] + x[i + 1] * r[i + 1]`` instead.
    """
    if not x.ndim:
        return g * 0 if exclusive else g
    if not exclusive and not has_zero(x):
        return _cumsum(g * out, dim, not reverse) / x
    axis = dim % x.ndim
    length = x.shape[axis]
    if not length:
        return g
    places = range(length) if reverse else range(length - 1, -1, -1)
    ahead = cumprod_of(x, dim, reverse, True)
    sums: list[Any] = [None] * length
    carried: Any = None  # what the places after this one send back
    for place in places:
        received = select(g, axis, place)
        if exclusive:
            sums[place] = received * 0 if carried is None else carried
            here = select(x, axis, place)
            carried = received if carried is None else received + here * carried
        else:
            sums[place] = received if carried is None else received + carried
            carried = select(x, axis, place) * sums[place]
    return ahead * stack(sums, axis)


@op(
    x=lambda g, x, out, dim, reverse, exclusive: _cumprod_rule(g, x, out, dim, reverse, exclusive),
    name="cumprod",
)
def cumprod_of(x: Array, dim: int, reverse: bool = False, exclusive: bool = False) -> Array:
    """Return running products along `dim`; `exclusive` leaves each place's own element out."""
    axis = axis_of(dim, x.ndim)
    out = _accumulate(_running_product, x, axis, reverse)
    if not exclusive:
        return out
    shifted = np.ones_like(out)
    if x.ndim:
        before, late, early = (slice(None),) * axis, slice(1, None), slice(None, -1)
        to, from_ = (early, late) if reverse else (late, early)
        shifted[(*before, to)] = out[(*before, from_)]
    return shifted


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return along dimension `dim` the product of each element and those before it.

    Raises:
        IndexError: if the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.cumprod(torch.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 2., 6.])
    """
    if dtype is None:
        return cumprod_of(input, dim)
    d = _checked(dtype, input, "cumprod")
    return convert(cumprod_of(convert(input, d), dim), d)


# ----- Others -------------------------------------------------------------------------------------


def _share_of(g: Any, x: Any, out: Any, dim: int) -> Any:
    """Return what the positive elements of `g` send through a `logcumsumexp`, without overflow."""
    positive = g > 0
    least = float(np.finfo(as_array(g).dtype).min)
    logs = np.where(positive, np.log(np.where(positive, g, 1.0)), least) - out
    flip, axes = REGISTRY["flip"].call, (axis_of(dim, g.ndim),)
    return np.exp(flip(logcumsumexp(flip(logs, axes), dim), axes) + x)


@op(
    x=lambda g, x, out, dim: _share_of(g, x, out, dim) - _share_of(-g, x, out, dim),
)
def logcumsumexp(x: Array, dim: int) -> Array:
    """Return along dimension `dim` the logarithm of the sum of exponentials so far, without overflow.

    >>> import tinygrad_like as torch
    >>> torch.logcumsumexp(torch.tensor([1000.0, 1000.0]), 0)
    tensor([1000.0000, 1000.6932])
    """
    if x.dtype.kind != "f":
        raise unsupported("logcumsumexp_cpu", x.dtype)
    axis = axis_of(dim, x.ndim)
    if not x.ndim:
        return x.copy()
    wide = F32 if x.dtype is F16 else x.dtype
    return np.logaddexp.accumulate(x, axis, wide).astype(x.dtype, copy=False)


def _cumulative_extremum(x: Array, axis: int, largest: bool) -> tuple[Array, Array]:
    """Return running extrema along `axis` and where they were found, the last of equal ones."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), I64)
    # The order of `-x` has nan at the end, too.
    rising = x if largest else -x if x.dtype.kind == "f" else np.invert(x)
    keys = packed(rows_of(rising, axis)) if x.size >= FEW else None
    if keys is not None:
        np.maximum.accumulate(keys, -1, out=keys)
        keys &= INDEX
        indices = columns_of(keys, axis)
        return taken(x, indices, axis), indices
    values = (np.maximum if largest else np.minimum).accumulate(x, axis)
    places = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    found = (x == values) | (x != x)
    return values, np.maximum.accumulate(np.where(found, places, 0), axis)


@op(
    x=lambda g, out, x_shape, dim: _add_along(g[0], out[1], x_shape, dim),
    several=True,
    name="cummax",
)
def _cummax(x: Array, dim: int) -> Any:
    return _cumulative_extremum(x, axis_of(dim, x.ndim), True)


@op(
    x=lambda g, out, x_shape, dim: _add_along(g[0], out[1], x_shape, dim),
    several=True,
    name="cummin",
)
def _cummin(x: Array, dim: int) -> Any:
    return _cumulative_extremum(x, axis_of(dim, x.ndim), False)


def cummax(input: Any, dim: int) -> Any:
    """Return along dimension `dim` the largest element so far, and its index."""
    return return_types.cummax(*_cummax(input, dim))


def cummin(input: Any, dim: int) -> Any:
    """Return along dimension `dim` the smallest element so far, and its index."""
    return return_types.cummin(*_cummin(input, dim))


# ----- Elements found by index along a dimension --------------------------------------------------


def _add_along(g: Any, index: Any, shape: Any, dim: int) -> Any:
    return REGISTRY["ungather"].call(g, axis_of(dim, len(shape)), as_array(index), shape)


@op(
    x=lambda g, y, dim: REGISTRY["gather"].call(g, axis_of(dim, g.ndim), as_array(y)),
    label="Scatter",
)
def place_along(x: Array, y: Array, shape: Any, dim: int) -> Array:
    """Return zeros of `shape` with `x` at the indices `y` along `dim`, all different."""
    out = np.zeros(shape, x.dtype)
    out.reshape(-1)[along(axis_of(dim, out.ndim), y, shape)] = x
    return out


# ----- Methods ------------------------------------------------------------------------------------


class ScanningMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    cummax = cummax
    cummin = cummin
    cumprod = cumprod
    cumsum = cumsum
    logcumsumexp = logcumsumexp

    cumprod_ = in_place("cumprod_", _within("cumprod_", cumprod))
    cumsum_ = in_place("cumsum_", _within("cumsum_", cumsum))
