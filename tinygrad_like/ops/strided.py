"""Tensors seen through strides of one's own, and tensors that take another size or other memory."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.device import check_device
from tinygrad_like.graph import AccumulateGrad, Array, Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.conversion import clone
from tinygrad_like.ops.creation import dtype_of, empty_strided, finish
from tinygrad_like.ops.scattering import _take, untake
from tinygrad_like.ops.shaping import _reshaped_in_place, sizes_of
from tinygrad_like.outs import resized, storage

__all__ = ["as_strided", "as_strided_", "as_strided_scatter", "empty_permuted", "resize_as_"]


def _places(shape: Sequence[int], stride: Sequence[int], offset: int = 0) -> Any:
    """Return where each element of a strided tensor lies in memory, counted in elements."""
    places: Any = np.asarray(offset)
    for size, step in zip(shape, stride, strict=True):
        places = places[..., None] + np.arange(size) * step
    return places


def _reach(shape: Sequence[int], stride: Sequence[int]) -> int:
    """Return how far from the first element the last one lies."""
    return sum((n - 1) * step for n, step in zip(shape, stride, strict=True))


def _apart(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Return True if each element surely has a place of its own, from the first element on."""
    reach = 0
    for step, n in sorted((step, n) for n, step in zip(shape, stride, strict=True) if n != 1):
        if step <= reach:
            return False
        reach += step * (n - 1)
    return True


def _gradient(g: Any, shape: Any, strides: Any, d: Any, size: Any, stride: Any, offset: int) -> Any:
    """Return what the gradient of the elements seen is for each of those there were.

    Both go by way of memory; elements that share a place share its gradient equally.
    """
    if type(g) is np.ndarray and offset >= 0 and g.size:
        steps = [step // d.itemsize for step in strides]
        if _apart(size, stride) and _apart(shape, steps):
            room = 1 + max(offset + _reach(size, stride), _reach(shape, steps))
            memory = np.zeros(room, d)
            bytes_ = [step * d.itemsize for step in stride]
            np.ndarray(size, d, memory, offset * d.itemsize, bytes_)[...] = g
            return np.ndarray(shape, d, memory, 0, strides)
    seen = _places(size, stride, offset)
    there = _places(shape, [step // d.itemsize for step in strides])
    low = min(int(seen.min(initial=0)), 0)
    room = max(int(seen.max(initial=0)), int(there.max(initial=0))) - low + 1
    seen, there = np.asarray(seen - low), np.asarray(there - low)
    found = _take(untake(g, seen, (room,)), there)
    if 0 in strides:
        found = found / np.bincount(there.ravel())[there].astype(d)
    return found


@op(
    x=lambda g, x_shape, x_strides, x_dtype, size, stride, offset: _gradient(
        g, x_shape, x_strides, x_dtype, size, stride, offset
    ),
    view=True,
    name="as_strided",
)
def _as_strided(x: Array, size: Any, stride: Any, offset: int) -> Array:
    """Return the memory of `x` seen with this size and stride, from `offset` places after its first."""
    flat, begin = storage(x)
    begin += offset
    last = begin + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if begin < 0 or (math.prod(size) and last >= flat.size):
        needed, there = (last + 1) * x.itemsize, flat.size * x.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {begin}, and itemsize "
            f"{x.itemsize} requiring a storage size of {needed} are out of bounds for storage of size {there}"
        )
    if not math.prod(size):
        return flat[:0].reshape(size)
    steps = tuple(step * x.itemsize for step in stride)
    return np.ndarray(size, x.dtype, buffer=flat, offset=begin * x.itemsize, strides=steps)


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Return a view of the memory of `input` with a size and a stride of its own.

    Args:
        input: any shape.
        size: the shape of the view.
        stride: how many elements lie between neighbours, for each dimension.
        storage_offset: where in the memory it starts; where `input` does if not given.

    Raises:
        RuntimeError: if that leaves the memory, or a stride is negative.

    >>> import tinygrad_like as torch
    >>> torch.as_strided(torch.arange(5), (3, 2), (1, 1))
    tensor([[0, 1],
            [1, 2],
            [2, 3]])
    """
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"as_strided(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    shape, steps = sizes_of((size,)), sizes_of((stride,))
    if len(shape) != len(steps):
        raise told(
            RuntimeError,
            f"mismatch in length of strides and shape: as_strided got {len(steps)} strides and "
            f"{len(shape)} sizes",
        )
    if min(steps, default=0) < 0 or min(shape, default=0) < 0:
        raise told(
            RuntimeError,
            "as_strided: Negative strides are not supported at the moment, nor sizes: got strides "
            f"{list(steps)} and sizes {list(shape)}",
        )
    offset = 0
    if storage_offset is not None:
        if storage_offset < 0:
            raise told(RuntimeError, f"Tensor: invalid storage offset {storage_offset}")
        offset = operator.index(storage_offset) - storage(input.array)[1]
    return _as_strided(input, shape, steps, offset)


as_strided_ = _reshaped_in_place("as_strided_", as_strided)


def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None
) -> Any:
    """Return `input` with `src` in the place of what `as_strided` would show of it.

    Raises:
        RuntimeError: if `src` has another shape, or the view leaves the memory.

    >>> import tinygrad_like as torch
    >>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    copied = clone(input)
    region = as_strided(copied, size, stride, storage_offset)
    if tuple(region.shape) != tuple(src.shape):
        raise told(
            RuntimeError,
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice "
            f"size = {list(region.shape)}",
        )
    region.copy_(src)
    return copied


# ----- Other sizes --------------------------------------------------------------------------------


def _refuse_resizing(tensor: Any) -> None:
    if tensor.node is not None:
        raise told(RuntimeError, "cannot resize variables that require grad; detach() them first")


def _hold(tensor: Any, array: np.ndarray[Any, Any]) -> Any:
    tensor.rebind(array)
    tensor._view = None
    return tensor


def resize_(input: Any, *size: Any, memory_format: Any = None) -> Any:
    """Give a tensor another size: of its own memory as far as that reaches, else of more.

    Raises:
        RuntimeError: if it requires a gradient, or a size is negative.
    """
    del memory_format
    shape = sizes_of(size)
    if any(isinstance(n, float) for n in shape):
        raise told(
            TypeError, f"resize_(): argument 'size' must be tuple of ints, not float: got {shape}"
        )
    _refuse_resizing(input)
    if min(shape, default=0) < 0:
        raise told(RuntimeError, f"resize_: a tensor can't have the negative size {list(shape)}")
    return _hold(input, resized(input.array, shape)) if shape != input.array.shape else input


def resize_as_(input: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """Give a tensor the size of another: see `Tensor.resize_`.

    >>> import tinygrad_like as torch
    >>> torch.resize_as_(torch.arange(4), torch.ones(2, 1))
    tensor([[0],
            [1]])
    """
    return resize_(input, tuple(the_template.shape), memory_format=memory_format)


def set_(
    input: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Any:
    """Have a tensor look at the memory of another, or, without one, at nothing.

    Raises:
        RuntimeError: if dtypes differ, or the tensor requires a gradient.
    """
    if source is not None:
        source = require_tensor("set_", "source", source)
    if input.node is not None and not isinstance(input.node, AccumulateGrad):
        raise told(RuntimeError, "set_: a tensor that operations made can't be given other memory")
    if source is None:
        return _hold(input, np.empty(0, input.array.dtype))
    if source.array.dtype is not input.array.dtype:
        raise told(
            RuntimeError,
            f"Could not set tensor of type {source.dtype} to a tensor of type {input.dtype}",
        )
    if size is not None:
        shape = sizes_of((size,))
        if stride is None:
            stride = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        source = as_strided(source.detach(), shape, stride, storage_offset)
    return _hold(input, source.array)


def is_set_to(input: Any, tensor: Any) -> bool:
    """Return True if both look at the same memory in the same way."""
    a, b = input.array, tensor.array
    return bool(
        a.ctypes.data == b.ctypes.data and (a.shape, a.strides) == (b.shape, b.strides) and a.size
    )


def dim_order(input: Any) -> tuple[int, ...]:
    """Return the dimensions in the order in which they lie in memory, the outermost first."""
    strides = input.array.strides
    return tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))


def empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return an uninitialised tensor whose dimensions lie in memory in the order given.

    Raises:
        RuntimeError: if that does not name every dimension once.

    >>> import tinygrad_like as torch
    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    shape, order = sizes_of((size,)), tuple(physical_layout)
    if sorted(order) != list(range(len(shape))):
        raise told(
            RuntimeError,
            "Number of dimensions in the tensor input does not match the length of the physical layout, "
            f"or one comes twice: got size {list(shape)} and physical layout {list(order)}",
        )
    d = dtype_of("empty_permuted", dtype, dtypes.default())
    array = np.empty([shape[axis] for axis in order], d).transpose(np.argsort(order))
    return finish("empty_permuted", array, requires_grad, device, layout, pin_memory)


def new_empty_strided(
    input: Any, size: Any, stride: Any, *, dtype: Any = None, device: Any = None, **options: Any
) -> Any:
    """Return what `empty_strided` does, in the dtype of a tensor unless another is given."""
    check_device(device)
    return empty_strided(size, stride, dtype=input.dtype if dtype is None else dtype, **options)


# ----- Each element by a Python function ----------------------------------------------------------


def _refuse_leaf(name: str, tensor: Any) -> None:
    if tensor.node is not None:
        raise told(
            RuntimeError, f"Can't call {name}() on Variable that requires grad. Use .detach()"
        )


def apply_(input: Any, callable: Any) -> Any:
    """Replace each element by what a Python function makes of it; slow.

    Raises:
        RuntimeError: if the tensor requires a gradient.
    """
    _refuse_leaf("apply_", input)
    values = [callable(value) for value in input.array.ravel().tolist()]
    return _filled(input, values)


def map_(input: Any, tensor: Any, callable: Any) -> Any:
    """Replace each element by what a Python function makes of it and of one of `tensor`; slow.

    Raises:
        RuntimeError: if one of both requires a gradient, or shapes don't fit.
    """
    return _mapped("map_", input, (tensor,), callable)


def map2_(input: Any, x: Any, y: Any, callable: Any) -> Any:
    """Replace each element by what a Python function makes of it and of those of two tensors; slow.

    Raises:
        RuntimeError: if one of them requires a gradient, or shapes don't fit.
    """
    return _mapped("map2_", input, (x, y), callable)


def _mapped(name: str, input: Any, others: tuple[Any, ...], callable: Any) -> Any:
    columns = [input.array]
    for tensor in (input, *others):
        _refuse_leaf(name, tensor)
    for other in others:
        try:
            columns.append(np.broadcast_to(other.array, input.array.shape))
        except ValueError:
            raise told(
                RuntimeError,
                f"{name}: a tensor of shape {list(other.array.shape)} can't be expanded to "
                f"{list(input.array.shape)}",
            ) from None
    rows = zip(*(column.ravel().tolist() for column in columns), strict=True)
    return _filled(input, [callable(*row) for row in rows])


def _filled(input: Any, values: list[Any]) -> Any:
    array = np.asarray(values).astype(input.array.dtype).reshape(input.array.shape)
    return input.copy_(result_type.make(array))
