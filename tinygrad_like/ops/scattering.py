"""Ops that pick elements along a dimension by a tensor of indices, and that put them back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.accumulating import (
    add_along,
    add_at_index,
    add_slices,
    put_along,
    take_along,
)
from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.interchange import to_array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, implements, op
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.shaping import axis_of, cast, reshape
from tinygrad_like.views import in_place

__all__ = [
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_select",
    "scatter",
    "scatter_add",
    "take",
    "take_along_dim",
]


def _sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    return REGISTRY["sum_to"].call(g, shape)


# ----- Arguments ----------------------------------------------------------------------------------


def _indices(name: str, index: Any) -> np.ndarray[Any, Any]:
    """Return the array of a tensor of indices, as int64."""
    array: np.ndarray[Any, Any] = require_tensor(name, "index", index).array
    if array.dtype is dtypes.I64:
        return array
    if array.dtype.kind == "i" and array.dtype.itemsize == 4:
        return array.astype(np.int64)
    raise told(
        IndexError if name == "index_fill" else RuntimeError,
        f"{name}(): Expected dtype int32/int64 for index, got {dtypes.named(array.dtype)}",
    )


def _check_range(name: str, index: np.ndarray[Any, Any], size: int, dim: int) -> None:
    """Raise if an index is negative or too large: seen as unsigned, both are too large."""
    if index.size and int(index.view(np.uint64).max()) >= size:
        wrong = index[(index < 0) | (index >= size)]
        kind = IndexError if name.startswith("index_") or name == "take" else RuntimeError
        raise told(
            kind,
            f"{name}(): index {wrong[0]} is out of bounds for dimension {dim} with size {size}",
        )


def _along(name: str, input: Any, dim: int, index: Any) -> tuple[Any, int, np.ndarray[Any, Any]]:
    """Return the input, the axis and the indices of an op along one, once they are known to fit.

    What has no dimensions is taken as a vector of one element.
    """
    shape = require_tensor(name, "input", input).array.shape
    axis = axis_of(dim, len(shape))
    array = _indices(name, index)
    if not shape:
        input, shape = reshape(input, (1,)), (1,)
    if not array.ndim:
        array = array.reshape(1)
    if array.ndim != len(shape):
        if array.size == 0:
            return input, axis, array.reshape((0,) * len(shape))
        raise told(
            RuntimeError,
            f"{name}(): index must have the same number of dimensions as input, got shapes "
            f"{list(array.shape)} and {list(shape)}",
        )
    for d, (n, size) in enumerate(zip(array.shape, shape, strict=True)):
        if d != axis and n > size:
            raise told(
                RuntimeError,
                f"{name}(): Size does not match at dimension {d} expected index {list(array.shape)} to be "
                f"no larger than self {list(shape)} apart from dimension {axis}",
            )
    _check_range(name, array, shape[axis], axis)
    return input, axis, array


def _shaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if x.shape == shape else reshape(x, shape)


def scalar_of(name: str, value: Any, d: np.dtype[Any]) -> Any:
    """Return a number, or a tensor without dimensions, as a 0-d tensor of dtype `d`."""
    if isinstance(value, Traced):
        if value.array.ndim:
            raise told(
                RuntimeError,
                f"{name} only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.array.ndim} dimension(s).",
            )
        if value.array.dtype is d:
            return value
        to_array(value.array.item(), d)  # refuses what overflows
        return cast(value, d)
    if not isinstance(value, bool | int | float | np.generic):
        raise told(
            TypeError,
            f"{name}(): argument 'value' must be Number or Tensor, not {type(value).__name__}",
        )
    return result_type.make(to_array(value, d))


# ----- Along a dimension, one index per element ---------------------------------------------------


@op(x=lambda g, dim, index, x_shape: ungather(g, dim, index, x_shape), name="gather")
def _gather(x: Array, dim: int, index: Any) -> Array:
    return take_along(x, dim, index) if x.ndim else np.array(x)


@op(x=lambda g, dim, index: _gather(g, dim, index))
def ungather(x: Array, dim: int, index: Any, shape: Any) -> Array:
    """Return zeros of `shape` with `x` added up where it was gathered from."""
    if not shape:
        return np.array(x)
    out = np.zeros(shape, x.dtype)
    add_along(out, dim, index, x)
    return out


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Return ``input[i][index[i][j]]`` for `dim` 1, and likewise for other dimensions.

    Raises:
        RuntimeError: if the shapes do not fit or an index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    del sparse_grad
    x, axis, array = _along("gather", input, dim, index)
    return _shaped(_gather(x, axis, array), index.array.shape)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Return elements picked along `dim` as `gather` does, but broadcast; of the flat tensor if None.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([[3, 1, 2]])
    >>> torch.take_along_dim(x, torch.argsort(x, 1), 1)
    tensor([[1, 2, 3]])
    """
    require_tensor("take_along_dim", "input", input)
    _indices("take_along_dim", indices)
    if dim is None:
        return gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)))
    if input.array.ndim != indices.array.ndim:
        raise told(
            RuntimeError,
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.array.ndim} dimensions for input, and {indices.array.ndim} dimensions for indices",
        )
    axis = axis_of(dim, input.array.ndim)
    left, right = list(input.array.shape), list(indices.array.shape)
    for d, (n, m) in enumerate(zip(left, right, strict=True)):
        if d != axis and n != m:
            left[d] = right[d] = max(n, m) if min(n, m) else 0
    return gather(broadcast_to(input, tuple(left)), axis, broadcast_to(indices, tuple(right)))


@op(
    x=lambda g, dim, index: _scatter(g, np.zeros(index.shape, g.dtype), dim, index),
    y=lambda g, dim, index: _gather(g, dim, index),
    name="scatter",
)
def _scatter(x: Array, y: Array, dim: int, index: Any) -> Array:
    if not x.ndim:
        return y.reshape(()) if index.size else np.array(x)
    out = np.array(x, order="C")
    put_along(out, dim, index, y)
    return out


def _source(name: str, input: Any, index: np.ndarray[Any, Any], src: Any) -> Any:
    """Return the part of `src` that the indices use, in the dtype of `input`."""
    require_tensor(name, "src", src)
    if src.array.dtype is not input.array.dtype:
        raise told(
            RuntimeError,
            f"{name}(): Expected self.dtype to be equal to src.dtype, got "
            f"{dtypes.named(input.array.dtype)} and {dtypes.named(src.array.dtype)}",
        )
    if not src.array.ndim:
        src = reshape(src, (1,))
    shape = src.array.shape
    if len(shape) != index.ndim and index.size:
        raise told(
            RuntimeError,
            f"{name}(): Expected index {list(index.shape)} to be no larger than src {list(shape)}, and "
            "to have as many dimensions",
        )
    if any(n > size for n, size in zip(index.shape, shape, strict=False)):
        raise told(
            RuntimeError,
            f"{name}(): Expected index {list(index.shape)} to be no larger than src {list(shape)}",
        )
    if shape == index.shape:
        return src
    return REGISTRY["region"].call(src, tuple(slice(n) for n in index.shape))


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Any:
    """Return `input` with elements of `src`, or a number, written at ``index`` along `dim`.

    The adjoint of `gather`. Where an index repeats, one of its values is written.

    Raises:
        RuntimeError: if shapes or dtypes do not fit or an index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.scatter(torch.zeros(2, 2), 1, torch.tensor([[1], [0]]), 5.0)
    tensor([[0., 5.],
            [5., 0.]])
    """
    x, axis, array = _along("scatter", input, dim, index)
    filling = src if value is None else value
    if isinstance(filling, Traced):
        y = _source("scatter", input, array, filling)
    else:
        y = broadcast_to(scalar_of("scatter", filling, input.array.dtype), array.shape)
    if reduce is None:
        return _shaped(_scatter(x, y, axis, array), input.array.shape)
    if reduce == "add":
        return _shaped(_scatter_add(x, y, axis, array), input.array.shape)
    if reduce == "multiply":
        return _shaped(_scatter_multiply(x, y, axis, array), input.array.shape)
    raise told(RuntimeError, f"reduce argument must be either add or multiply, got {reduce!r}")


@op()
def scatter_multiply(x: Array, y: Array, dim: int, index: Any) -> Array:
    """Return `x` multiplied by `y` at the indices; gradients end here, as in PyTorch."""
    out = np.array(x)
    if not x.ndim:
        return out * y.reshape(()) if index.size else out
    place: list[Any] = list(np.indices(index.shape, sparse=True))
    place[dim] = index
    np.multiply.at(out, tuple(place), y)
    return out


_scatter_multiply = scatter_multiply


@op(x=lambda g: g, y=lambda g, dim, index: _gather(g, dim, index), name="scatter_add")
def _scatter_add(x: Array, y: Array, dim: int, index: Any) -> Array:
    if not x.ndim:
        return x + y.sum(dtype=x.dtype)
    out = np.array(x, order="C")
    add_along(out, dim, index, y)
    return out


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return `input` with elements of `src` added at ``index`` along `dim`.

    Raises:
        RuntimeError: if shapes or dtypes do not fit or an index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.scatter_add(torch.zeros(3), 0, torch.tensor([0, 2, 0]), torch.ones(3))
    tensor([2., 0., 1.])
    """
    x, axis, array = _along("scatter_add", input, dim, index)
    y = _source("scatter_add", input, array, src)
    return _shaped(_scatter_add(x, y, axis, array), input.array.shape)


# ----- Along a dimension, one index per slice -----------------------------------------------------


def _at(dim: int, index: Any) -> tuple[Any, ...]:
    return (slice(None),) * dim + (index,)


def _slices(name: str, input: Any, dim: int, index: Any) -> tuple[int, np.ndarray[Any, Any]]:
    """Return the axis and the indices of an op that treats whole slices."""
    shape = require_tensor(name, "input", input).array.shape
    axis = axis_of(dim, len(shape))
    array = _indices(name, index)
    if array.ndim > 1:
        raise told(
            RuntimeError if name == "index_fill" else IndexError,
            f"{name}(): Index is supposed to be a vector, but got shape {list(array.shape)} instead",
        )
    array = array.reshape(-1)
    size = shape[axis] if shape else 1
    if name != "index_select" and array.size and array.min() < 0:
        array = np.where(array < 0, array + size, array)  # PyTorch lets these count from the end
    _check_range(name, array, size, axis)
    return axis, array


@op(x=lambda g, dim, index, x_shape: unselect(g, dim, index, x_shape), name="index_select")
def _index_select(x: Array, dim: int, index: Any) -> Array:
    return x.take(index, dim) if x.ndim else x.reshape(1).take(index).reshape(())


@op(x=lambda g, dim, index: _index_select(g, dim, index))
def unselect(x: Array, dim: int, index: Any, shape: Any) -> Array:
    """Return zeros of `shape` with the slices of `x` added up where they were selected from."""
    if not shape:
        return np.array(x)
    out = np.zeros(shape, x.dtype)
    add_slices(out, dim, index, x)
    return out


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Return the slices along `dim` that a vector of indices names.

    Raises:
        IndexError: if an index is out of range, or `index` is no vector.

    >>> import tinygrad_like as torch
    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 0, torch.tensor([1, 1]))
    tensor([[3, 4],
            [3, 4]])
    """
    if not require_tensor("index_select", "input", input).array.ndim and (
        require_tensor("index_select", "index", index).array.size != 1
    ):
        raise told(
            RuntimeError,
            f"index_select(): Index to scalar can have only 1 value, got {index.array.size} value(s)",
        )
    axis, array = _slices("index_select", input, dim, index)
    return _index_select(input, axis, array)


def _slices_source(
    name: str, input: Any, axis: int, index: np.ndarray[Any, Any], source: Any
) -> Any:
    """Return `source`, one slice per index, once it is known to fit."""
    require_tensor(name, "source", source)
    if source.array.dtype is not input.array.dtype:
        raise told(
            RuntimeError,
            f"{name}(): self and source expected to have the same dtype, but got (self) "
            f"{dtypes.named(input.array.dtype)} and (source) {dtypes.named(source.array.dtype)}",
        )
    shape = list(input.array.shape)
    if shape:
        shape[axis] = index.size
    if tuple(shape) != source.array.shape:
        if source.array.size == 1 and np.prod(shape) == 1:
            return reshape(source, tuple(shape))
        only_count = source.array.ndim == len(shape) and all(
            n == size
            for d, (n, size) in enumerate(zip(source.array.shape, shape, strict=True))
            if d != axis
        )
        other_dims = source.array.ndim != len(shape)
        raise told(
            IndexError if name == "index_copy" and (only_count or other_dims) else RuntimeError,
            f"{name}(): source of shape {list(source.array.shape)} does not match {index.size} indices "
            f"along dimension {axis} of a tensor of shape {list(input.array.shape)}",
        )
    return source


@op(x=lambda g: g, y=lambda g, dim, index: _index_select(g, dim, index), name="index_add")
def _index_add(x: Array, y: Array, dim: int, index: Any) -> Array:
    if not x.ndim:
        return x + y
    out = np.array(x, order="C")
    add_slices(out, dim, index, y)
    return out


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Return `input` with the slices of `source`, times `alpha`, added where `index` says.

    Raises:
        IndexError: if an index is out of range.
        RuntimeError: if shapes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.index_add(torch.zeros(3), 0, torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    tensor([3., 0., 0.])
    """
    axis, array = _slices("index_add", input, dim, index)
    y = _slices_source("index_add", input, axis, array, source)
    return _index_add(input, y if alpha == 1 else y * alpha, axis, array)


@op(
    x=lambda g, dim, index: _index_fill(g, np.zeros((), g.dtype), dim, index),
    y=lambda g, dim, index: _index_select(g, dim, index),
    name="index_copy",
)
def _index_copy(x: Array, y: Array, dim: int, index: Any) -> Array:
    if not x.ndim:
        return np.array(y)
    out = np.array(x)
    out[_at(dim, index)] = y
    return out


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Return `input` with the slices that `index` names replaced by those of `source`.

    Raises:
        IndexError: if an index is out of range, or there are not as many as slices.
        RuntimeError: if other sizes or the dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.index_copy(torch.zeros(3), 0, torch.tensor([2]), torch.tensor([7.0]))
    tensor([0., 0., 7.])
    """
    axis, array = _slices("index_copy", input, dim, index)
    y = _slices_source("index_copy", input, axis, array, source)
    return _index_copy(input, y, axis, array)


@op(
    x=lambda g, dim, index: _index_fill(g, np.zeros((), g.dtype), dim, index),
    value=lambda g, dim, index: _sum_to(_index_select(g, dim, np.unique(index)), ()),
    name="index_fill",
)
def _index_fill(x: Array, value: Array, dim: int, index: Any) -> Array:
    out = np.array(x)
    if x.ndim:
        out[_at(dim, index)] = value
    elif index.size:
        out[...] = value
    return out


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Return `input` with the slices that `index` names filled with a number.

    Raises:
        IndexError: if an index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([0, 2]), 1)
    tensor([1., 0., 1.])
    """
    axis, array = _slices("index_fill", input, dim, index)
    return _index_fill(input, scalar_of("index_fill", value, input.array.dtype), axis, array)


# ----- As if it were flat -------------------------------------------------------------------------


@op(x=lambda g, index, x_shape: untake(g, index, x_shape), name="take")
def _take(x: Array, index: Any) -> Array:
    return np.take(x, index)


@op(x=lambda g, index: _take(g, index))
def untake(x: Array, index: Any, shape: Any) -> Array:
    """Return zeros of `shape` with the elements of `x` added up where they were taken from."""
    out = np.zeros(shape, x.dtype)
    add_at_index(out.reshape(-1), (index,), x)
    return out


def _outside(name: str, index: Any, size: int) -> IndexError:
    got = index[(index >= size) | (index < -size)][0]
    return told(
        IndexError, f"{name}(): index {got} is out of range for a tensor of {size} elements"
    )


def _refuse_short(name: str, index: Any) -> None:
    if require_tensor(name, "index", index).array.dtype is not dtypes.I64:
        raise told(
            RuntimeError, f"{name}(): Expected a long tensor for index, but got {index.dtype}"
        )


def take(input: Any, index: Any) -> Any:
    """Return elements picked from the flat tensor, in the shape of `index`.

    Raises:
        IndexError: if an index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3]))
    tensor([1, 4])
    """
    size = require_tensor("take", "input", input).array.size
    _refuse_short("take", index)
    array = _indices("take", index)
    if array.size and (array.max() >= size or array.min() < -size):
        raise _outside("take", array, size)
    return _take(input, array)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Return `input` with elements of `source` written, or added, at places of the flat tensor.

    Raises:
        IndexError: if an index is out of range, or there are not as many as elements of `source`.
        RuntimeError: if the dtypes differ.
    """
    shape = require_tensor("put", "input", input).array.shape
    _refuse_short("put", index)
    array = _indices("put", index).reshape(-1)
    if require_tensor("put", "source", source).array.dtype is not input.array.dtype:
        raise told(
            RuntimeError,
            "put_(): self and source expected to have the same dtype, but got "
            f"{dtypes.named(input.array.dtype)} and {dtypes.named(source.array.dtype)}",
        )
    if source.array.size != array.size:
        raise told(
            IndexError,
            f"put_(): Expected source and index to have the same number of elements, but got "
            f"{source.array.size} and {array.size}",
        )
    size = input.array.size
    if array.size and (array.max() >= size or array.min() < -size):
        raise _outside("put_", array, size)
    flat = REGISTRY["index_put"].call(
        reshape(input, (-1,)), reshape(source, (-1,)), (array,), bool(accumulate)
    )
    return reshape(flat, shape)


# ----- NumPy's spelling ---------------------------------------------------------------------------


@implements(np.take)
def _np_take(a: Any, indices: Any, axis: int | None = None) -> Any:
    array = indices.array if isinstance(indices, Traced) else np.asarray(indices)
    if axis is None:
        return _take(a, array)
    return REGISTRY["take_index"].call(a, _at(axis_of(axis, a.ndim), array))


@implements(np.take_along_axis)
def _np_take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    if not isinstance(indices, Traced):
        indices = result_type.make(np.asarray(indices))
    return take_along_dim(arr, indices, axis)


class ScatteringMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    gather = gather
    scatter = scatter
    scatter_add = scatter_add
    index_select = index_select
    index_add = index_add
    index_copy = index_copy
    index_fill = index_fill
    put = put
    take = take
    take_along_dim = take_along_dim

    scatter_ = in_place("scatter_", scatter)
    scatter_add_ = in_place("scatter_add_", scatter_add)
    index_add_ = in_place("index_add_", index_add)
    index_copy_ = in_place("index_copy_", index_copy)
    index_fill_ = in_place("index_fill_", index_fill)
    put_ = in_place("put_", put)
