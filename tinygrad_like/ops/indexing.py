"""``t[index]`` and ``t[index] = value``, by PyTorch's rules.

An index is taken in two steps. Numbers, slices, None and Ellipsis give a view; then arrays of
integers and masks, if there are any, pick elements of that view, and those are copied. (NumPy takes
both at once and counts a number next to an array as an array, hence other shapes for ``t[0, :, [1]]``.)
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.accumulating import add_at_index
from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.interchange import to_array
from tinygrad_like.lines import told
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.op import REGISTRY, implements, op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.elementwise import copied
from tinygrad_like.ops.joining import place, region
from tinygrad_like.ops.scattering import scalar_of
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.stamps import stamp
from tinygrad_like.views import in_place, is_outside, refuse_overlap, write

__all__ = ["argwhere", "index_put", "nonzero"]

_ALL = slice(None)


# ----- The ops ------------------------------------------------------------------------------------


def _declare_basic(name: str, label: str) -> Any:
    """Declare basic indexing once more, under the name PyTorch gives its last step."""

    def forward(x: Array, index: Any) -> Array:
        return x[index]

    forward.__doc__ = "Return ``input[index]`` as a view, for numbers, slices, None and Ellipsis."
    rule = lambda g, index, x_shape: place(g, index, x_shape)  # noqa: E731
    return op(x=rule, view=True, name=name, label=label)(forward)


_basic_select = _declare_basic("basic_select", "Select")
_basic_unsqueeze = _declare_basic("basic_unsqueeze", "Unsqueeze")
_basic_alias = _declare_basic("basic_alias", "Alias")


@op(x=lambda g, index, x_shape: put_index(g, index, x_shape), label="Index")
def take_index(x: Array, index: Any) -> Array:
    """Return the elements of `x` that arrays of integers and masks pick, as a copy."""
    try:
        if len(index) == 1 and index[0].dtype.kind == "i":
            return np.take(x, index[0], 0)  # faster than the general way
        return x[index]
    except IndexError as error:
        raise _retold(error, x, index) from None


@op(x=lambda g, index: take_index(g, index))
def put_index(x: Array, index: Any, shape: Any) -> Array:
    """Return zeros of `shape` with `x` added up at `index`: the adjoint of `take_index`."""
    out = np.zeros(shape, x.dtype)
    add_at_index(out, index, x)
    return out


@op(
    x=lambda g, index, accumulate: g if accumulate else _put_zeros(g, index),
    y=lambda g, index, y_shape: REGISTRY["sum_to"].call(take_index(g, index), y_shape),
    label="IndexPut",
    name="index_put",
)
def _index_put(x: Array, y: Array, index: Any, accumulate: bool) -> Array:
    """Return `x` with `y` written, or added, at the elements that arrays pick."""
    try:
        if accumulate:
            out = np.array(x, order="C")
            add_at_index(out, index, np.broadcast_to(y, x[index].shape))
            return out
        out = np.array(x)
        out[index] = y
        return out
    except IndexError as error:
        raise _retold(error, x, index) from None
    except (TypeError, ValueError):
        raise _unfit(y.shape, x[index].shape) from None


def _put_zeros(g: Any, index: Any) -> Any:
    return _index_put(g, np.zeros((), g.dtype), index, False)


def _unfit(value: tuple[int, ...], picked: tuple[int, ...]) -> RuntimeError:
    return told(
        RuntimeError,
        f"shape mismatch: value tensor of shape {list(value)} cannot be broadcast to indexing result "
        f"of shape {list(picked)}",
    )


def _retold(error: IndexError, x: np.ndarray[Any, Any], index: Any) -> IndexError:
    """Return NumPy's complaint about an array index in PyTorch's words."""
    if "broadcast" in str(error):
        shapes = [list(np.shape(i)) for i in index if not isinstance(i, slice)]
        return IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            + ", ".join(map(str, shapes))
        )
    for dim, i in enumerate(index):
        if isinstance(i, np.ndarray) and i.dtype.kind == "i" and i.size:
            size = x.shape[dim]
            wrong = i[(i >= size) | (i < -size)]
            if wrong.size:
                return IndexError(
                    f"index {wrong[0]} is out of bounds for dimension {dim} with size {size}"
                )
    return IndexError(str(error).replace("axis", "dimension"))


# ----- Reading an index ---------------------------------------------------------------------------


class _Parsed(NamedTuple):
    """An index in two steps: a view, then elements of it."""

    op: Any  # the basic op to use, None if the first step changes nothing
    basic: tuple[Any, ...]
    arrays: tuple[Any, ...]  # empty if there is no second step


def _not_an_index(item: Any) -> Exception:
    if isinstance(item, str):
        return told(TypeError, "new(): invalid data type 'str'; a tensor has no names to index by")
    valid = "integers, slices (`:`), ellipsis (`...`), None and long or byte Variables"
    return told(IndexError, f"only {valid} are valid indices (got {type(item).__name__})")


def _as_index_array(item: Any) -> Any:
    """Return an int, or an array of int64 or bool, for anything that may stand in an index."""
    if isinstance(item, Traced):
        array = item.array
    elif isinstance(item, np.ndarray):
        array = item
    elif isinstance(item, list | tuple | range):
        array = to_array(item, None)
        if not array.size:
            array = array.astype(np.int64)
    else:
        try:
            return operator.index(item)
        except TypeError:
            raise _not_an_index(item) from None
    d = array.dtype
    if d is dtypes.I64 or d.kind == "b":
        found = array
    elif d == np.uint8:
        warnings.warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
            UserWarning,
            stacklevel=5,
        )
        found = array.astype(bool)
    elif d.kind == "i" and (not array.ndim or d.itemsize >= 4):
        found = array.astype(np.int64)
    else:
        raise told(
            IndexError, f"tensors used as indices must be long, int, byte or bool tensors, got {d}"
        )
    return int(found) if found.ndim == 0 and found.dtype.kind == "i" else found


def _plain_slice(item: slice) -> slice:
    """Return a slice that NumPy and PyTorch agree about.

    Raises:
        ValueError: if it does not step forward.
    """
    start, stop, step = (
        None if bound is None else _bound(bound) for bound in (item.start, item.stop, item.step)
    )
    if step is not None and step <= 0:
        raise told(
            ValueError,
            "slice step cannot be zero"
            if step == 0
            else f"step must be greater than zero, got {step}; flip() turns a tensor round",
        )
    return slice(start, stop, step)


def _bound(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise told(
            TypeError,
            "slice indices must be integers or None or have an __index__ method, "
            f"not {type(value).__name__}",
        ) from None


def _is_nested(index: Any) -> bool:
    """Return True for a list that stands for a tuple, as PyTorch still allows."""
    return (
        type(index) is list
        and len(index) < 32
        and any(
            item is None
            or item is Ellipsis
            or isinstance(item, slice | Traced | list | tuple | range | np.ndarray)
            for item in index
        )
    )


def _parse(index: Any, shape: tuple[int, ...]) -> _Parsed:
    """Return the two steps of an index into a tensor of the given shape.

    Raises:
        IndexError: if there are too many, one is out of range, or one is no index at all.
        ValueError: if a slice goes backwards.
    """
    given: Sequence[Any] = index if type(index) is tuple or _is_nested(index) else (index,)
    items: list[Any] = []
    consumed = 0
    for item in given:
        if type(item) is int or type(item) is slice:
            items.append(item)
            consumed += 1
            continue
        if not (item is None or item is Ellipsis or isinstance(item, bool)):
            item = _as_index_array(item)
        items.append(item)
        if isinstance(item, np.ndarray) and item.dtype.kind == "b":
            consumed += item.ndim
        elif not (item is None or item is Ellipsis or isinstance(item, bool)):
            consumed += 1
    if consumed > len(shape):
        if not shape and any(type(item) is int for item in items):
            raise told(
                IndexError,
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim "
                "tensor to a number",
            )
        if not shape and any(isinstance(item, slice) for item in items):
            raise told(IndexError, "slice() cannot be applied to a 0-dim tensor.")
        raise told(
            IndexError, f"too many indices for tensor of dimension {len(shape)} (got {consumed})"
        )
    chosen = None
    steps: list[Any] = []
    arrays: list[Any] = []
    dim = 0
    for item in items:
        if type(item) is int:
            size = shape[dim]
            if not -size <= item < size:
                raise told(
                    IndexError,
                    f"index {item} is out of bounds for dimension {dim} with size {size}",
                )
            steps.append(item)
            chosen = _basic_select
            dim += 1
        elif isinstance(item, slice):
            plain = _plain_slice(item)
            steps.append(plain)
            arrays.append(_ALL)
            to_end = plain.stop is None or plain.stop >= shape[dim]
            whole = to_end and plain.start in (None, 0) and plain.step in (None, 1)
            if not whole or index is item:
                chosen = region
            dim += 1
        elif item is None:
            steps.append(None)
            arrays.append(_ALL)
            chosen = _basic_unsqueeze
        elif item is Ellipsis:
            skipped = max(len(shape) - consumed, 0)
            consumed = len(shape)  # a second one stands for nothing
            steps += [_ALL] * skipped
            arrays += [_ALL] * skipped
            dim += skipped
        elif isinstance(item, bool):
            steps.append(None)
            arrays.append(np.zeros(int(item), np.int64))
            chosen = _basic_unsqueeze
        elif item.dtype.kind == "b":
            if item.shape != shape[dim : dim + item.ndim]:
                raise told(
                    IndexError,
                    f"The shape of the mask {list(item.shape)} at index {dim} does not match the shape of "
                    f"the indexed tensor {list(shape)} at index {dim}",
                )
            if item.ndim:
                steps += [_ALL] * item.ndim
                arrays.append(item)
            else:
                steps.append(None)
                arrays.append(np.zeros(int(item), np.int64))
                chosen = _basic_unsqueeze
            dim += item.ndim
        else:
            steps.append(_ALL)
            arrays.append(item)
            dim += 1
    picks = any(isinstance(item, np.ndarray) for item in arrays)
    if chosen is None and not picks:
        chosen = _basic_alias
    while arrays and isinstance(arrays[-1], slice):
        arrays.pop()
    # The Ellipsis keeps a single element a view: without it NumPy returns a number.
    return _Parsed(chosen, (*steps, Ellipsis), tuple(arrays) if picks else ())


# ----- Getting and setting ------------------------------------------------------------------------


def _quick(index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Return the basic op for an index of numbers, plain slices and None; None for all others.

    Most indices are such, and NumPy takes them as they are. What is out of range goes the long way.
    """
    chosen = _basic_alias
    dim, ndim = 0, len(shape)
    for item in index:
        kind = type(item)
        if item is None:
            chosen = _basic_unsqueeze
            continue
        if dim == ndim:
            return None
        if kind is int:
            if not -shape[dim] <= item < shape[dim]:
                return None
            chosen = _basic_select
        elif kind is slice and item.step is None:
            start, stop = item.start, item.stop
            if start is None or type(start) is int:
                if stop is None:
                    if start:
                        chosen = region
                elif type(stop) is int:
                    if start or stop < shape[dim]:
                        chosen = region
                else:
                    return None
            else:
                return None
        else:
            return None
        dim += 1
    return chosen


def _is_plain_array(item: Any) -> bool:
    """Return True for a tensor of whole numbers with at least one dimension."""
    return isinstance(item, Traced) and item.array.dtype is dtypes.I64 and item.array.ndim > 0


def _step(index: Any, shape: tuple[int, ...]) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Return the basic op of an index, what to give it, and the arrays of the second step."""
    kind = type(index)
    given = index if kind is tuple else (index,)
    if kind is tuple or kind is int or kind is slice or index is None:
        chosen = _quick(given, shape)
        if chosen is not None:
            if kind is slice and chosen is _basic_alias:
                chosen = region  # as PyTorch says of a slice that stands alone
            return chosen, (*given, Ellipsis), ()
    if len(given) <= len(shape) and all(map(_is_plain_array, given)):
        return None, (), tuple(item.array for item in given)
    return _parse(index, shape)


def getitem(self: Any, index: Any) -> Any:
    """Return ``self[index]``: a view, or a copy if arrays or masks pick the elements."""
    chosen, basic, arrays = _step(index, self.array.shape)
    found = self if chosen is None else chosen(self, basic)
    return take_index(found, arrays) if arrays else found


def setitem(self: Any, index: Any, value: Any) -> None:
    """Write `value`, a number or a tensor that broadcasts, at ``self[index]``.

    Raises:
        IndexError: if the index is out of range.
        RuntimeError: if the shapes do not fit, if arrays pick the elements and the dtypes differ,
            or if the tensor must not be written in place.
        TypeError: if the value is neither a number nor a tensor.
    """
    if not isinstance(value, Traced | bool | int | float | np.generic):
        raise told(
            TypeError,
            f"can't assign a {type(value).__name__} to a torch tensor; make it a tensor first",
        )
    if index is False:
        return
    memory = self.array
    chosen, basic, arrays = _step(None if index is True else index, memory.shape)
    d = memory.dtype
    if isinstance(value, Traced):
        new = value.array
        if arrays and new.dtype is not d and _is_one_mask(arrays) and new.size == 1:
            value = scalar_of("masked_fill_", reshape(value, ()), d)
            new = value.array
        if arrays and new.dtype is not d:
            raise told(
                RuntimeError,
                "Index put requires the source and destination dtypes match, got "
                f"{dtypes.named(d)} for the destination and {dtypes.named(new.dtype)} for the source.",
            )
    elif d.kind == "f" and not isinstance(value, np.generic):
        new = np.asarray(value, d)
    else:
        new = to_array(value, d)
    if (not departed.count or thread_mode.grad) and not (
        is_outside(self) and (not isinstance(value, Traced) or value.node is None)
    ):
        part = self if chosen is None else chosen(self, basic)
        _set_recorded(part, arrays, value if isinstance(value, Traced) else result_type.make(new))
        return
    refuse_overlap(memory, "__setitem__")
    _assign(memory if chosen is None else memory[basic], arrays, new)
    stamp(memory, silent=self.__dict__.get("_silent", False))


def _is_one_mask(arrays: tuple[Any, ...]) -> bool:
    picks = [i for i in arrays if not isinstance(i, slice)]
    return len(picks) == 1 and picks[0].dtype.kind == "b"


def _assign(part: np.ndarray[Any, Any], arrays: tuple[Any, ...], new: np.ndarray[Any, Any]) -> None:
    """Write into memory, PyTorch's errors included."""
    if arrays:
        try:
            if new.ndim > 1:
                new = _without_leading_ones(new, _picked_ndim(part.ndim, arrays))
            part[arrays] = new
        except IndexError as error:
            raise _retold(error, part, arrays) from None
        except (TypeError, ValueError):
            raise _unfit(new.shape, part[arrays].shape) from None
        return
    if not new.ndim:
        part.fill(new)
        return
    try:
        np.copyto(part, _without_leading_ones(new, part.ndim), casting="unsafe")
    except ValueError:
        raise _unexpandable(new.shape, part.shape) from None


def _picked_ndim(ndim: int, arrays: tuple[Any, ...]) -> int:
    """Return the number of dimensions of what arrays pick out of `ndim` dimensions."""
    picks = [i for i in arrays if not isinstance(i, slice)]
    taken = sum(i.ndim if i.dtype.kind == "b" else 1 for i in picks)
    return ndim - taken + max(1 if i.dtype.kind == "b" else i.ndim for i in picks)


def _without_leading_ones(array: Any, ndim: int) -> Any:
    extra = array.ndim - ndim
    if extra > 0 and array.shape[:extra] == (1,) * extra:
        return reshape(array, tuple(array.shape[extra:]))
    return array


def _unexpandable(value: tuple[int, ...], shape: tuple[int, ...]) -> RuntimeError:
    return told(
        RuntimeError,
        f"shape mismatch: the value's shape {list(value)} can't be expanded to the shape {list(shape)} "
        "it is written to",
    )


def _set_recorded(part: Any, arrays: tuple[Any, ...], value: Any) -> None:
    memory = part.array
    if arrays:
        value = _without_leading_ones(value, _picked_ndim(memory.ndim, arrays))
        write(part, "index_put_", lambda: _index_put(part, value, arrays, False))
        return
    if value.array.shape == memory.shape and value.array.dtype is memory.dtype:
        write(part, "copy_", lambda: value)
        return
    value = _without_leading_ones(value, memory.ndim)
    try:
        np.broadcast_to(value.array, memory.shape)
    except ValueError:
        raise _unexpandable(value.array.shape, memory.shape) from None
    write(part, "copy_", lambda: copied(value, memory.shape, memory.dtype))


# ----- PyTorch's functions ------------------------------------------------------------------------


def _of_one_dimension(index: Any) -> Any:
    return index if index.array.ndim or index.array.dtype.kind == "b" else reshape(index, (1,))


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Return `input` with `values` written, or added, at ``input[indices]``, a tuple of tensors.

    Raises:
        IndexError: if an index is out of range.
        RuntimeError: if shapes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> i = torch.tensor([0, 0])
    >>> torch.index_put(torch.zeros(2), (i,), torch.tensor([1.0, 2.0]), accumulate=True)
    tensor([3., 0.])
    """
    require_tensors("index_put", input=input, values=values)
    for position, i in enumerate(indices):
        if i is not None and not isinstance(i, Traced):
            raise told(
                TypeError,
                f"index_put_(): expected Tensor as element {position} in argument 'indices', but got "
                f"{type(i).__name__}",
            )
    given = tuple(slice(None) if i is None else _of_one_dimension(i) for i in indices)
    parsed = _parse(given, input.array.shape)
    if values.array.dtype is not input.array.dtype:
        raise told(
            RuntimeError,
            "Index put requires the source and destination dtypes match, got "
            f"{dtypes.named(input.array.dtype)} for the destination and "
            f"{dtypes.named(values.array.dtype)} for the source.",
        )
    if parsed.op not in (None, region):
        raise told(IndexError, "index_put_: masks must be tensors of at least one dimension")
    return _index_put(input, values, parsed.arrays, accumulate)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Return the indices (N, ndim) of elements that are not zero, or one tensor per dimension.

    >>> import tinygrad_like as torch
    >>> torch.nonzero(torch.tensor([0, 5, 7]))
    tensor([[1],
            [2]])
    """
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"nonzero(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    array = input.array
    if as_tuple:
        return tuple(result_type.make(i) for i in np.atleast_1d(array).nonzero())
    found = np.argwhere(array) if array.ndim else np.zeros((int(bool(array)), 0), np.int64)
    return result_type.make(np.ascontiguousarray(found))


def argwhere(input: Any) -> Any:
    """Return the indices (N, ndim) of elements that are not zero.

    >>> import tinygrad_like as torch
    >>> torch.argwhere(torch.tensor([0, 5]))
    tensor([[1]])
    """
    return nonzero(input)


@implements(np.nonzero)
def _np_nonzero(a: Any) -> Any:
    return nonzero(a, as_tuple=True)


@implements(np.argwhere)
def _np_argwhere(a: Any) -> Any:
    return nonzero(a)


class IndexingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    __getitem__ = getitem
    __setitem__ = setitem

    def __delitem__(self, index: Any) -> None:
        raise told(
            TypeError, "Tensor does not support deleting items; use torch.cat on what is to stay"
        )

    argwhere = argwhere
    index_put = index_put
    index_put_ = in_place("index_put_", index_put)
    nonzero = nonzero
