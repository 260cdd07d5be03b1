"""Scattering with a reduction: elements, or slices, that meet at one place are combined."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.comparison import choose, keep_where, unsupported
from tinygrad_like.ops.scattering import _along, _slices, _slices_source, _source
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.views import in_place

__all__ = ["index_reduce", "scatter_reduce"]


def _combined(ufunc: Any, x: Array, y: Array, dim: int, index: Any) -> Array:
    """Return `x` combined by a ufunc with `y` at the places in `index` along `dim`."""
    out = np.array(x, order="C")
    if index.size:
        at: list[Any] = list(np.indices(index.shape, sparse=True))
        at[dim] = index
        flat = np.ravel_multi_index(np.broadcast_arrays(*at), x.shape).reshape(-1)
        ufunc.at(out.reshape(-1), flat, y.reshape(-1))  # one index is NumPy's fast way
    return out


def _picked(x: Any, dim: int, index: Any) -> Any:
    return REGISTRY["gather"].call(x, dim, index)


def _added(x: Any, y: Any, dim: int, index: Any) -> Any:
    return REGISTRY["scatter_add"].call(x, y, dim, index)


# ----- The ops ------------------------------------------------------------------------------------


def _product_rule(g: Any, x: Any, y: Any, out: Any, dim: int, index: Any) -> Any:
    """Return the gradient for `y`: that of the result times all other factors at its place.

    They are found by division, but for the only zero at a place: there they are the product
    without it. Where there are two zeros, nothing is left.
    """
    zero = y == 0
    one = np.ones((), g.dtype)
    counts = _added(np.zeros(x.shape, g.dtype), choose(zero, one, one * 0), dim, index)
    lonely = zero & (_picked(counts, dim, index) == 1)
    without = scatter_product(x, choose(lonely, one, y), dim, index)
    divided = _picked(g * out, dim, index) / choose(zero, one, y)
    return choose(lonely, _picked(g * without, dim, index), divided)


@op(
    x=lambda g, y, dim, index: g * scatter_product(np.ones(g.shape, g.dtype), y, dim, index),
    y=lambda g, x, y, out, dim, index: _product_rule(g, x, y, out, dim, index),
    label="ScatterReduce",
)
def scatter_product(x: Array, y: Array, dim: int, index: Any) -> Array:
    """Return `x` multiplied by `y` at the places in `index` along `dim`."""
    return _combined(np.multiply, x, y, dim, index)


def _extremum_rule(g: Any, x: Any, y: Any, out: Any, dim: int, index: Any) -> Any:
    """Return the gradients for `x` and `y`: that of the result, shared out evenly among ties."""
    one = np.ones((), g.dtype)
    in_x, in_y = x == out, y == _picked(out, dim, index)
    ties = _added(choose(in_x, one, one * 0), choose(in_y, one, one * 0), dim, index)
    share = g / ties
    return keep_where(share, in_x), keep_where(_picked(share, dim, index), in_y)


@op(
    joint=(("x", "y"), lambda g, x, y, out, dim, index: _extremum_rule(g, x, y, out, dim, index)),
    label="ScatterReduce",
)
def scatter_extremum(x: Array, y: Array, dim: int, index: Any, largest: bool) -> Array:
    """Return the larger, or smaller, of `x` and of `y` at the places in `index` along `dim`."""
    return _combined(np.maximum if largest else np.minimum, x, y, dim, index)


# ----- PyTorch's functions ------------------------------------------------------------------------

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _neutral(reduce: str, d: np.dtype[Any]) -> Any:
    """Return the number that changes nothing in a reduction."""
    if reduce in ("amax", "amin"):
        if d.kind == "b":
            return reduce == "amin"
        if d.kind == "f":
            return -np.inf if reduce == "amax" else np.inf
        limits = np.iinfo(d)
        return limits.min if reduce == "amax" else limits.max
    return int(reduce == "prod")


def _reduced(input: Any, axis: int, index: Any, src: Any, reduce: str, include_self: bool) -> Any:
    """Return `input` reduced with `src` at the places in the array `index`, which are in range."""
    d = input.array.dtype
    full = np.ones(index.shape, d)
    x = input
    if not include_self:
        filling = np.full(index.shape, _neutral(reduce, d), d)
        x = REGISTRY["scatter"].call(x, filling, axis, index)
    if reduce == "prod":
        return scatter_product(x, src, axis, index)
    if reduce in ("amax", "amin"):
        return scatter_extremum(x, src, axis, index, reduce == "amax")
    if d.kind == "b":
        return scatter_extremum(x, src, axis, index, True)
    out = _added(x, src, axis, index)
    if reduce == "sum":
        return out
    start = np.full(out.array.shape, int(include_self), d)
    counts = result_type.make(np.maximum(_combined(np.add, start, full, axis, index), 1))
    return out / counts if d.kind == "f" else out // counts


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Return `input` reduced with elements of `src` at ``index`` along `dim`.

    Args:
        input: the values to start from.
        dim: the dimension.
        index: where along it each element of `src` goes.
        src: the elements.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: count the input's own values in.

    Raises:
        RuntimeError: if shapes or dtypes do not fit or an index is out of range.

    >>> import tinygrad_like as torch
    >>> i = torch.tensor([0, 0, 2])
    >>> torch.scatter_reduce(torch.zeros(3), 0, i, torch.tensor([1.0, 2.0, 3.0]), "amax")
    tensor([2., 0., 3.])
    """
    if reduce not in _REDUCTIONS:
        raise told(
            RuntimeError,
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}",
        )
    x, axis, array = _along("scatter_reduce", input, dim, index)
    y = _source("scatter_reduce", input, array, src)
    d = input.array.dtype
    if d.kind == "b" and reduce == "mean":
        raise unsupported("scatter_gather_tensor_cpu_reduce_mean", d)
    out = _reduced(x, axis, array, y, reduce, include_self)
    return out if input.array.ndim else reshape(out, ())


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Return `input` reduced with the slices of `source` where the vector `index` says.

    Args:
        input: the values to start from.
        dim: the dimension.
        index: where along it each slice of `source` goes.
        source: the slices.
        reduce: "prod", "mean", "amax" or "amin".
        include_self: count the input's own values in.

    Raises:
        IndexError: if an index is out of range, or `index` is no vector.
        RuntimeError: if shapes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.index_reduce(torch.ones(2), 0, torch.tensor([1, 1]), torch.tensor([2.0, 4.0]), "prod")
    tensor([1., 8.])
    """
    if reduce not in _REDUCTIONS[1:]:
        raise told(
            RuntimeError,
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.",
        )
    shape = require_tensor("index_reduce", "input", input).array.shape
    if require_tensor("index_reduce", "index", index).array.size and index.array.min() < 0:
        raise told(IndexError, "index_reduce(): index out of range: it must not be negative")
    axis, array = _slices("index_reduce", input, dim, index)
    y = _slices_source("index_add", input, axis, array, source)
    if not shape:
        return reshape(
            _reduced(reshape(input, (1,)), 0, array, reshape(y, (1,)), reduce, include_self), ()
        )
    places = array.reshape([-1] + [1] * (len(shape) - axis - 1))
    at = np.ascontiguousarray(np.broadcast_to(places, y.array.shape))
    return _reduced(input, axis, at, y, reduce, include_self)


class ReducingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    index_reduce = index_reduce
    scatter_reduce = scatter_reduce

    index_reduce_ = in_place("index_reduce_", index_reduce)
    scatter_reduce_ = in_place("scatter_reduce_", scatter_reduce)
