"""Largest and smallest elements, and where they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.dtypes import I64
from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.reduction import axes_of, expand_reduced, keep_reduced, tie_share
from tinygrad_like.ops.scanning import place_along
from tinygrad_like.ops.shaping import axis_of

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]


def refuse_empty(x: Array, name: str, dim: Any) -> None:
    """Raise if there is no element to choose from."""
    if dim is None or dim == ():
        if x.size == 0:
            raise (IndexError if name.startswith("arg") else RuntimeError)(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                "reduction dim with the 'dim' argument."
            )
        return
    for axis in axes_of(dim, x.ndim):
        if x.shape[axis] == 0:
            raise told(
                IndexError, f"{name}(): Expected reduction dim {axis} to have non-zero size."
            )


# ----- Values -------------------------------------------------------------------------------------


def _share_rule(g: Array, x: Array, out: Array, dim: Any, keepdim: bool) -> Array:
    """Return the gradient of an extremum: split evenly among equal elements."""
    share = tie_share(x, keep_reduced(out, x.shape, dim, keepdim), dim)
    return expand_reduced(g, x.shape, dim, keepdim) * share


def _reduced(ufunc: Any, name: str, x: Array, dim: Any, keepdim: bool) -> Array:
    if x.size == 0:
        refuse_empty(x, name, dim)
    return ufunc.reduce(x, None if dim is None else axes_of(dim, x.ndim), keepdims=keepdim)


@op(x=lambda g, x, out, dim, keepdim: _share_rule(g, x, out, dim, keepdim))
def amax(x: Array, dim: Any = (), keepdim: bool = False) -> Array:
    """Return the largest elements over dimensions `dim`; the gradient is split among equal ones.

    Raises:
        IndexError: if a dimension has no elements or is out of range.

    >>> import tinygrad_like as torch
    >>> torch.amax(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), 1)
    tensor([2., 4.])
    """
    return _reduced(np.maximum, "amax", x, dim, keepdim)


@op(x=lambda g, x, out, dim, keepdim: _share_rule(g, x, out, dim, keepdim))
def amin(x: Array, dim: Any = (), keepdim: bool = False) -> Array:
    """Return the smallest elements over dimensions `dim`; the gradient is split among equal ones.

    Raises:
        IndexError: if a dimension has no elements or is out of range.

    >>> import tinygrad_like as torch
    >>> torch.amin(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), 1)
    tensor([1., 3.])
    """
    return _reduced(np.minimum, "amin", x, dim, keepdim)


@op(x=lambda g, x, out: _share_rule(g, x, out, None, False), name="max_of_all", label="Max")
def _max_of_all(x: Array) -> Array:
    return _reduced(np.maximum, "max", x, None, False)


@op(x=lambda g, x, out: _share_rule(g, x, out, None, False), name="min_of_all", label="Min")
def _min_of_all(x: Array) -> Array:
    return _reduced(np.minimum, "min", x, None, False)


# ----- Places -------------------------------------------------------------------------------------


def _place(arg: Any, name: str, x: Array, dim: Any, keepdim: bool) -> Array:
    if x.dtype.kind == "b" and name.startswith("arg"):
        raise told(RuntimeError, f"{name}(): does not support bool input; convert it with .int()")
    if x.size == 0:
        refuse_empty(x, name, dim)
    if dim is None:
        found = np.asarray(arg(x), I64)
        return found.reshape((1,) * x.ndim) if keepdim else found
    axis = axis_of(dim, x.ndim)
    if x.ndim == 0:
        return np.zeros((), I64)
    return np.asarray(arg(x, axis, keepdims=keepdim), I64)


@op(name="argmax")
def _argmax(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    return _place(np.argmax, "argmax", x, dim, keepdim)


@op(name="argmin")
def _argmin(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    return _place(np.argmin, "argmin", x, dim, keepdim)


def argmax(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None
) -> Any:
    """Return the index of the first largest element along `dim`, of the flattened tensor if None.

    Raises:
        IndexError: if there are no elements or the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.argmax(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), 1)
    tensor([1, 0])
    """
    return _argmax(input, dim if axis is None else axis, keepdim)


def argmin(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None
) -> Any:
    """Return the index of the first smallest element along `dim`, of the flattened tensor if None.

    Raises:
        IndexError: if there are no elements or the dimension is out of range.
    """
    return _argmin(input, dim if axis is None else axis, keepdim)


# ----- Both ---------------------------------------------------------------------------------------


def return_along(g: Any, out: Any, shape: Any, dim: int, keepdim: bool) -> Array:
    """Return the gradient of values found along `dim`: each to the place it came from."""
    values, indices = g[0], out[1]
    if len(shape) and not keepdim:
        values, indices = (keep_reduced(v, shape, dim, False) for v in (values, indices))
    return place_along(values, indices, shape, dim)


def _found(ufunc: Any, arg: Any, name: str, x: Array, dim: int, keepdim: bool) -> Any:
    indices = _place(arg, name, x, dim, keepdim)
    if x.ndim == 0:
        return x.copy(), indices
    return ufunc.reduce(x, dim, keepdims=keepdim), indices


@op(
    x=lambda g, out, x_shape, dim, keepdim: return_along(g, out, x_shape, dim, keepdim),
    several=True,
    name="max",
)
def _max(x: Array, dim: int, keepdim: bool = False) -> Any:
    return _found(np.maximum, np.argmax, "max", x, dim, keepdim)


@op(
    x=lambda g, out, x_shape, dim, keepdim: return_along(g, out, x_shape, dim, keepdim),
    several=True,
    name="min",
)
def _min(x: Array, dim: int, keepdim: bool = False) -> Any:
    return _found(np.minimum, np.argmin, "min", x, dim, keepdim)


def _extremum(
    name: str, input: Any, dim: Any, keepdim: bool, other: Any, axis: Any, keepdims: bool
) -> Any:
    """Answer one of the three ways to call max and min."""
    if isinstance(dim, Traced):
        dim, other = None, dim
    if other is not None:
        return REGISTRY[f"{name}imum"].call(input, other)
    dim = dim if axis is None else axis
    if dim is None:
        return REGISTRY[f"{name}_of_all"].call(input)
    if isinstance(dim, tuple | list):
        raise told(TypeError, f"{name}(): dim must be an int, got {dim}; use a{name}() for several")
    found = REGISTRY[name].call(input, dim, keepdim or keepdims)
    return getattr(return_types, name)(*found)


def max(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Any = None,
    axis: int | None = None,
    keepdims: bool = False,
) -> Any:
    """Return the largest element; or along `dim` values and indices; or with a tensor, elementwise.

    Raises:
        RuntimeError: if there are no elements and no `dim`.
        IndexError: if a dimension has no elements or is out of range.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    >>> torch.max(x)
    tensor(4.)
    >>> torch.max(x, dim=1).indices
    tensor([1, 0])
    """
    return _extremum("max", input, dim, keepdim, other, axis, keepdims)


def min(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Any = None,
    axis: int | None = None,
    keepdims: bool = False,
) -> Any:
    """Return the smallest element; or along `dim` values and indices; or with a tensor, elementwise.

    Raises:
        RuntimeError: if there are no elements and no `dim`.
        IndexError: if a dimension has no elements or is out of range.

    >>> import tinygrad_like as torch
    >>> torch.min(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), dim=1).values
    tensor([1., 3.])
    """
    return _extremum("min", input, dim, keepdim, other, axis, keepdims)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the smallest and the largest element, over all dimensions or along `dim`.

    >>> import tinygrad_like as torch
    >>> low, high = torch.aminmax(torch.tensor([3.0, 1.0, 2.0]))
    >>> low, high
    (tensor(1.), tensor(3.))
    """
    if dim is None and math.prod(input.shape) == 0:
        raise told(
            RuntimeError,
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.",
        )
    if isinstance(dim, tuple | list):
        raise told(TypeError, f"aminmax(): dim must be an int, got {dim}")
    dims = () if dim is None else dim
    return return_types.aminmax(amin(input, dims, keepdim), amax(input, dims, keepdim))


# ----- Methods ------------------------------------------------------------------------------------


class ExtremaMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    amax = amax
    amin = amin
    aminmax = aminmax
    argmax = argmax
    argmin = argmin
    max = max
    min = min
