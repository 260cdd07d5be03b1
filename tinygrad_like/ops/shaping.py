"""Ops that look at the elements of a tensor in another shape or order."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import AccumulateGrad, Array, result_type
from tinygrad_like.layout import make_viewable
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.stamps import owner
from tinygrad_like.views import hand_over_views, like_layout, refuse_write, region_of

__all__ = [
    "adjoint",
    "flatten",
    "moveaxis",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
]


# ----- Dimensions and sizes as users give them ----------------------------------------------------


def axis_of(dim: int, ndim: int) -> int:
    """Return `dim` counted from the front; a 0-d tensor passes for one of one dimension.

    Raises:
        IndexError: if it is out of range.
        TypeError: if it is no number.
    """
    limit = ndim or 1
    try:
        inside = -limit <= dim < limit
    except TypeError:
        raise told(TypeError, f"a dimension must be int, not {type(dim).__name__}") from None
    if not inside:
        raise told(
            IndexError,
            f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})",
        )
    return dim % limit


def whole(value: Any, name: str, argument: str) -> int:
    """Return what a function was given for an argument that must be an int.

    Raises:
        TypeError: if it is none.
    """
    try:
        return operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise told(TypeError, f"{name}(): argument '{argument}' must be int, not {kind}") from None


def sizes_of(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the sizes in ``f(2, 3)``, ``f((2, 3))`` or ``f([2, 3])``."""
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return tuple(given[0])
    return given


# ----- Types --------------------------------------------------------------------------------------


@op(x=lambda g, x_dtype: cast(g, x_dtype), label="ToCopy")
def cast(x: Array, dtype: Any) -> Array:
    """Return `x` in another floating-point dtype (a NumPy dtype)."""
    return x.astype(dtype)


@op()
def discretise(x: Array, dtype: Any) -> Array:
    """Return `x` in an integer or bool dtype (a NumPy dtype), where gradients end."""
    return x.astype(dtype)


@op(x=lambda g: g)
def clone(x: Array, order: Any = "K") -> Array:
    """Return a copy, in the memory order "K" (as it was), "C" (rows together) or that of strides."""
    if isinstance(order, str):
        return x.copy(order)
    out = like_layout(x.shape, order, x.dtype)
    out[...] = x
    return out


# ----- Writes through views -----------------------------------------------------------------------


def _read_region(g: Any, steps: Any, strides: Any) -> Any:
    """Return the region of a gradient, laid out as what was written: a step may need that order."""
    array = np.asarray(getattr(g, "array", g))
    if array is not g and not hasattr(g, "array"):
        g = array  # a number
    same = array.strides == strides or (array.flags.c_contiguous and _is_rows(array, strides))
    return region_of(g if same else clone(g, strides), steps)


def _is_rows(array: Array, strides: tuple[int, ...]) -> bool:
    """Return True if strides say that rows lie one after the other."""
    sizes = [step for size, step in zip(array.shape, strides, strict=True) if size > 1]
    return sizes == sorted(sizes, reverse=True)


@op(
    x=lambda g, y_shape, steps, strides: replace_region(
        g, np.zeros(y_shape, g.dtype), steps, strides
    ),
    y=lambda g, steps, strides: _read_region(g, steps, strides),
    label="CopySlices",
)
def replace_region(x: Array, y: Array, steps: Any, strides: Any) -> Array:
    """Return `x` with the region that `steps` lead to replaced by `y`: a write through a view."""
    out = like_layout(x.shape, strides, x.dtype)
    out[...] = x
    region_of(out, steps)[...] = y
    return out


# ----- Other shapes, same order -------------------------------------------------------------------


def _refuse_shape(x: Array, shape: Any) -> RuntimeError:
    """Return what is wrong with asking for `x` in `shape`."""
    wanted = list(shape) if isinstance(shape, tuple | list) else [shape]
    if wanted.count(-1) > 1:
        return told(RuntimeError, "only one dimension can be inferred, got -1 more than once")
    for index, size in enumerate(wanted):
        if size < -1:
            return told(
                RuntimeError, f"invalid shape dimension {size} at index {index} of shape {wanted}"
            )
    if x.size == 0 and -1 in wanted:
        return told(
            RuntimeError,
            f"cannot reshape tensor of 0 elements into shape {wanted} because the unspecified dimension "
            "size -1 can be any value and is ambiguous",
        )
    return told(RuntimeError, f"shape '{wanted}' is invalid for input of size {x.size}")


def _reshaped(x: Array, shape: Any) -> Array:
    try:
        out = x.reshape(shape)
    except ValueError:
        raise _refuse_shape(x, shape) from None
    # To NumPy any negative size means "the rest".
    if out.shape != shape and type(shape) is not int and min(shape, default=0) < -1:
        raise _refuse_shape(x, shape)
    return out


@op(x=lambda g, x_shape: reshape(g, x_shape), view=True, label="View")
def reshape(x: Array, shape: Any) -> Array:
    """Return the elements in another shape, as a view where that is possible; one size may be -1.

    Raises:
        RuntimeError: if the sizes do not make up the number of elements.

    >>> import tinygrad_like as torch
    >>> torch.reshape(torch.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    tensor([[1., 2.],
            [3., 4.]])
    """
    return _reshaped(x, shape)


@op(x=lambda g, x_shape: reshape(g, x_shape), view=True)
def view(x: Array, shape: Any) -> Array:
    """Return a view in another shape."""
    out = _reshaped(x, shape)
    if out.size and owner(out) is not owner(x):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension "
            "spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return out


@op(x=lambda g, x_shape: reshape(g, x_shape), view=True, name="squeeze")
def _squeeze(x: Array, axes: tuple[int, ...]) -> Array:
    return x.squeeze(axes)


def squeeze(input: Any, dim: Any = None) -> Any:
    """Return a view without dimension `dim` (one or several; all if None) where its size is 1.

    Raises:
        IndexError: if a dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.squeeze(torch.zeros(1, 2, 1), 0).shape
    torch.Size([2, 1])
    """
    shape = input.shape
    ndim = len(shape)
    if dim is None:
        dims: Any = range(ndim)
    elif isinstance(dim, tuple | list):
        dims = [axis_of(d, ndim) for d in dim]
        if len(set(dims)) != len(dims):
            raise told(
                RuntimeError, f"squeeze: a dim appears multiple times in the list of dims {dim}"
            )
    else:
        dims = (axis_of(dim, ndim),)
    return _squeeze(input, tuple(d for d in dims if ndim and shape[d] == 1))


@op(x=lambda g, x_shape: reshape(g, x_shape), view=True)
def unsqueeze(x: Array, dim: int) -> Array:
    """Return a view with a dimension of size 1 inserted at `dim`.

    Raises:
        IndexError: if `dim` is out of range.

    >>> import tinygrad_like as torch
    >>> torch.unsqueeze(torch.tensor([1.0, 2.0]), 1)
    tensor([[1.],
            [2.]])
    """
    return x[(slice(None),) * axis_of(dim, x.ndim + 1) + (None,)]


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Return the dimensions from `start_dim` to `end_dim` made into one, as a view if possible.

    Raises:
        IndexError: if a dimension is out of range.
        RuntimeError: if `start_dim` comes after `end_dim`.

    >>> import tinygrad_like as torch
    >>> torch.flatten(torch.zeros(2, 3, 4), 1).shape
    torch.Size([2, 12])
    """
    shape = input.shape
    ndim = len(shape)
    start, end = axis_of(start_dim, ndim), axis_of(end_dim, ndim)
    if start > end:
        raise told(RuntimeError, "flatten() has invalid args: start_dim cannot come after end_dim")
    if ndim and start == end:
        return input
    return reshape(input, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Return dimension `dim` parted into `sizes`, one of which may be -1: the reverse of `flatten`.

    Raises:
        RuntimeError: if the sizes do not make up the dimension.

    >>> import tinygrad_like as torch
    >>> torch.unflatten(torch.zeros(2, 12), 1, (3, -1)).shape
    torch.Size([2, 3, 4])
    """
    shape = tuple(input.shape)
    if not shape:
        raise told(RuntimeError, "unflatten: the tensor has no dimensions; unsqueeze it first")
    axis = axis_of(dim, len(shape))
    parts = list(sizes)
    known = prod(size for size in parts if size != -1)
    if parts.count(-1) == 1 and known and shape[axis] % known == 0:
        parts[parts.index(-1)] = shape[axis] // known
    if not parts or prod(parts) != shape[axis] or min(parts) < 0:
        raise told(
            RuntimeError,
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {axis} "
            f"({shape[axis]}) in the input tensor",
        )
    return reshape(input, (*shape[:axis], *parts, *shape[axis + 1 :]))


def ravel(input: Any) -> Any:
    """Return the elements in one dimension, as a view if they lie in a row."""
    return reshape(input.contiguous(), (-1,))


# ----- Other orders of dimensions -----------------------------------------------------------------


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    """Return the order of dimensions that undoes `dims`."""
    inverse = [0] * len(dims)
    for position, dim in enumerate(dims):
        inverse[dim] = position
    return tuple(inverse)


@op(x=lambda g, dims: permute(g, _inverse(dims)), view=True)
def permute(x: Array, dims: Any) -> Array:
    """Return a view with the dimensions in the order `dims`.

    Raises:
        RuntimeError: if `dims` does not name each dimension once.

    >>> import tinygrad_like as torch
    >>> torch.permute(torch.zeros(2, 3, 4), (2, 0, 1)).shape
    torch.Size([4, 2, 3])
    """
    try:
        return x.transpose(tuple(dims))
    except (ValueError, IndexError):
        if len(dims) != x.ndim:
            raise RuntimeError(
                f"permute: got {len(dims)} dims {tuple(dims)}, expected one for each of the {x.ndim} "
                "dimensions of input"
            ) from None
        for dim in dims:
            axis_of(dim, x.ndim)
        raise RuntimeError(
            f"permute(): duplicate dims are not allowed: got {tuple(dims)}"
        ) from None


@op(x=lambda g, dim0, dim1: transpose(g, dim0, dim1), view=True)
def transpose(x: Array, dim0: int, dim1: int) -> Array:
    """Return a view with two dimensions exchanged.

    Raises:
        IndexError: if one is out of range.

    >>> import tinygrad_like as torch
    >>> torch.transpose(torch.tensor([[1.0, 2.0]]), 0, 1)
    tensor([[1.],
            [2.]])
    """
    try:
        return x.swapaxes(dim0, dim1)
    except ValueError:
        axis_of(dim0, x.ndim)
        axis_of(dim1, x.ndim)
        return x[...]


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Do what `transpose` does."""
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """Do what `transpose` does."""
    return transpose(input, dim0, dim1)


@op(x=lambda g: t(g), view=True, label="T")
def t(x: Array) -> Array:
    """Return a view of a matrix with rows and columns exchanged; fewer dimensions stay as they are.

    Raises:
        RuntimeError: if there are more than two dimensions.
    """
    if x.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    return x.T


def adjoint(input: Any) -> Any:
    """Return a view with the last two dimensions exchanged.

    Raises:
        RuntimeError: if there are fewer.
    """
    if input.ndim < 2:
        raise told(
            RuntimeError,
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {input.ndim}-D "
            "tensor.",
        )
    return transpose(input, -2, -1)


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Return a view with dimension `source` (or several) at `destination`, the others in order.

    Raises:
        RuntimeError: if they do not match, or name a dimension twice.

    >>> import tinygrad_like as torch
    >>> torch.movedim(torch.zeros(2, 3, 4), 0, -1).shape
    torch.Size([3, 4, 2])
    """
    several = isinstance(source, tuple | list)
    sources = tuple(source) if several else (source,)
    targets = tuple(destination) if isinstance(destination, tuple | list) else (destination,)
    if len(sources) != len(targets):
        raise told(
            RuntimeError,
            f"movedim: Invalid source or destination dims: source ({list(sources)} dims) should contain "
            f"the same number of dims as destination ({list(targets)} dims)",
        )
    ndim = input.ndim
    from_ = [axis_of(d, ndim) for d in sources]
    to = [axis_of(d, ndim) for d in targets]
    for label, dims, given in (("source", from_, sources), ("destination", to, targets)):
        if len(set(dims)) != len(dims):
            raise told(RuntimeError, f"movedim: repeated dim in `{label}` ({list(given)})")
    if not ndim:
        return permute(input, ())
    order = [d for d in range(ndim) if d not in from_]
    for target, dim in sorted(zip(to, from_, strict=True)):
        order.insert(target, dim)
    return permute(input, tuple(order))


moveaxis = movedim


# ----- Methods ------------------------------------------------------------------------------------


def _reinterpreted(tensor: Any, d: np.dtype[Any]) -> Any:
    """Return a tensor of the same bytes in another dtype."""
    if tensor.node is not None and d.kind == "f" and d is not tensor.array.dtype:
        raise told(
            RuntimeError,
            f"view: a tensor that requires grad can't be viewed as {dtypes.named(d)}; use .to(dtype) to "
            "convert its values, or detach() it first",
        )
    if d is tensor.array.dtype:
        return view(tensor, tensor.array.shape)
    try:
        return result_type.make(tensor.array.view(d))
    except (ValueError, TypeError) as error:
        raise told(
            RuntimeError,
            f"view: {tensor.dtype} of shape {tuple(tensor.array.shape)} can't be viewed as "
            f"{dtypes.named(d)}: {error}",
        ) from None


def _reshaped_in_place(name: str, function: Any) -> Any:
    """Return the method that gives its tensor the shape, and the place in the graph, of a view of it."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_write(self, name)
        seen = function(self, *args, **kwargs)
        if isinstance(self.node, AccumulateGrad):  # where operations are not recorded
            self.rebind(seen.array)
            return self
        if self._view is None and "_views" in self.__dict__:
            hand_over_views(self)
        if seen._view is not None and self._view is not None:
            self._view = seen._view
        self.rebind(seen.array)
        self.node = seen.node
        return self

    method.__name__ = name
    method.__doc__ = f"Do `{name.rstrip('_')}` in place and return this tensor."
    method.__wrapped__ = function  # type: ignore[attr-defined]  # whose parameters it has
    return method


class ShapingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    def reshape(self, *shape: Any) -> Any:
        """Return the elements in another shape: see `reshape`."""
        return reshape(self, sizes_of(shape))

    def view(self, *shape: Any, dtype: Any = None) -> Any:
        """Return a view in another shape, or of the same bytes in another dtype.

        Raises:
            RuntimeError: if no view can have that shape or dtype.
        """
        if dtype is not None or (len(shape) == 1 and isinstance(shape[0], dtypes.dtype | np.dtype)):
            return _reinterpreted(self, dtypes.of(shape[0] if dtype is None else dtype))
        return self._viewed(sizes_of(shape))

    def view_as(self, other: Any) -> Any:
        """Return a view in the shape of another tensor."""
        return self._viewed(tuple(require_tensor("view_as", "other", other).shape))

    def _viewed(self: Any, shape: Any) -> Any:
        if not self.array.flags.c_contiguous:
            make_viewable(self, shape)
        return view(self, shape)

    def reshape_as(self, other: Any) -> Any:
        """Return the elements in the shape of another tensor."""
        return reshape(self, tuple(require_tensor("reshape_as", "other", other).shape))

    def permute(self, *dims: Any) -> Any:
        """Return a view with the dimensions in another order: see `permute`."""
        return permute(self, sizes_of(dims))

    @property
    def T(self: Any) -> Any:
        """A view with the dimensions in reverse order."""
        if self.ndim == 2:
            return t(self)
        return permute(self, tuple(range(self.ndim - 1, -1, -1)))

    @property
    def mT(self: Any) -> Any:
        """A view with the last two dimensions exchanged."""
        if self.ndim == 1:
            raise told(
                RuntimeError,
                "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.",
            )
        return transpose(self, -2, -1) if self.ndim else self

    @property
    def H(self: Any) -> Any:
        """A view of a matrix with rows and columns exchanged."""
        if self.ndim not in (0, 2):
            raise told(
                RuntimeError,
                f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.",
            )
        return t(self)

    mH = mT
    adjoint = adjoint
    flatten = flatten
    moveaxis = moveaxis
    movedim = movedim
    ravel = ravel
    squeeze = squeeze
    swapaxes = swapaxes
    swapdims = swapdims
    t = t
    transpose = transpose
    unflatten = unflatten
    unsqueeze = unsqueeze

    squeeze_ = _reshaped_in_place("squeeze_", squeeze)
    unsqueeze_ = _reshaped_in_place("unsqueeze_", unsqueeze)
    transpose_ = _reshaped_in_place("transpose_", transpose)
    swapaxes_ = _reshaped_in_place("swapaxes_", swapaxes)
    swapdims_ = _reshaped_in_place("swapdims_", swapdims)
    t_ = _reshaped_in_place("t_", t)
