"""Tensors from nothing: from data, filled, counted and spaced."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.device import (
    check_device,
    check_layout,
    contiguous_format,
    preserve_format,
    strided,
)
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.interchange import (
    canonical,
    from_dlpack,
    from_numpy,
    from_sizes_or_data,
    frombuffer,
    to_array,
)
from tinygrad_like.lines import told
from tinygrad_like.op import implements

__all__ = [
    "as_tensor",
    "asarray",
    "contiguous_format",
    "empty",
    "empty_like",
    "empty_strided",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "preserve_format",
    "scalar_tensor",
    "strided",
    "tensor",
    "zeros",
    "zeros_like",
]


def dtype_of(name: str, dtype: Any, otherwise: np.dtype[Any]) -> np.dtype[Any]:
    if dtype is None:
        return otherwise
    if isinstance(dtype, str):
        raise told(TypeError, f"{name}(): argument 'dtype' must be torch.dtype, not str")
    return dtypes.of(dtype)


def finish(
    name: str,
    array: np.ndarray[Any, Any],
    requires_grad: bool,
    device: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """Return the tensor, once it is clear that nothing was asked for that can't be given."""
    if device is not None:
        check_device(device)
    if layout is not None:
        check_layout(name, layout)
    if pin_memory:
        raise told(
            RuntimeError,
            f"{name}: pin_memory=True needs a GPU; this framework computes on the CPU, leave it out",
        )
    if requires_grad and array.dtype.kind != "f":
        raise told(
            RuntimeError,
            "Only Tensors of floating point and complex dtype can require gradients: "
            f"{name} made {dtypes.named(array.dtype)}; give dtype=torch.float32",
        )
    tensor_ = result_type.make(array)
    return tensor_.requires_grad_() if requires_grad else tensor_


def shape_from(name: str, size: tuple[Any, ...], keyword: Any = None) -> tuple[int, ...]:
    """Return the shape meant by ``name(2, 3)``, ``name((2, 3))`` or ``name(size=(2, 3))``.

    Raises:
        TypeError: if that is not a sequence of integers.
        RuntimeError: if one is negative.
    """
    if keyword is not None:
        if size:
            raise told(TypeError, f"{name}() got multiple values for argument 'size'")
        size = (keyword,)
    elif not size:
        raise told(TypeError, f'{name}() missing 1 required positional arguments: "size"')
    given: Any = size
    if len(size) == 1:
        (first,) = size
        if isinstance(first, tuple | list):
            given = first
        elif isinstance(first, Traced) and first.array.ndim == 1 and first.array.size == 1:
            given = (first.array.item(),)
    shape = []
    for position, n in enumerate(given):
        try:
            shape.append(operator.index(n))
        except TypeError:
            raise told(
                TypeError,
                f"{name}(): argument 'size' must be tuple of ints, but found element of type "
                f"{type(n).__name__} at pos {position + 1}",
            ) from None
        if shape[-1] < 0:
            raise told(
                RuntimeError,
                f"{name}: Dimension size must be non-negative: got {shape[-1]} at position {position}",
            )
    return tuple(shape)


def number_of(value: Any, argument: str = "fill_value") -> Any:
    """Return a Python number for one given as a tensor or a NumPy scalar."""
    if isinstance(value, str):
        raise told(TypeError, f"argument '{argument}' must be Number, not str")
    if isinstance(value, Traced):
        if value.array.ndim:
            raise told(
                RuntimeError,
                f"argument '{argument}': expected a number or a 0-d tensor, got a tensor of shape "
                f"{tuple(value.array.shape)}",
            )
        return value.array.item()
    return value.item() if isinstance(value, np.generic) else value


# ----- From data ----------------------------------------------------------------------------------


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Return a new tensor with the values of `data`: numbers, nested lists, an array or a tensor.

    Python's floats become the default dtype, its integers int64; NumPy arrays keep their dtype.

    Raises:
        TypeError: if there are elements no tensor can hold, such as strings or complex numbers.
        ValueError: if nested lists are ragged.
        RuntimeError: if a value does not fit into `dtype`, or integers are to require a gradient.

    >>> import tinygrad_like as torch
    >>> torch.tensor([[1, 2], [3, 4]], dtype=torch.float64)
    tensor([[1., 2.],
            [3., 4.]], dtype=torch.float64)
    """
    array = to_array(data, None if dtype is None else dtype_of("tensor", dtype, dtypes.F32))
    if device is None and not requires_grad and not pin_memory:
        return result_type.make(array)
    return finish("tensor", array, requires_grad, device, None, pin_memory)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """Return `data` as a tensor, without a copy where it is a tensor or an array already.

    >>> import tinygrad_like as torch
    >>> torch.as_tensor([1.5, 2.5])
    tensor([1.5000, 2.5000])
    """
    check_device(device)
    if isinstance(data, Traced):
        return data if dtype is None else data.to(dtype)  # type: ignore[attr-defined]
    if isinstance(data, np.ndarray) and all(stride >= 0 for stride in data.strides):
        array = canonical(data)
        return result_type.make(
            array if dtype is None else array.astype(dtypes.of(dtype), copy=False)
        )
    return tensor(data, dtype=dtype)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Any:
    """Return `obj` as a tensor: `as_tensor` that can be told to copy, or never to.

    Raises:
        ValueError: if `copy` is False and a copy can't be avoided.

    >>> import tinygrad_like as torch
    >>> torch.asarray([1, 2])
    tensor([1, 2])
    """
    if copy:
        made = tensor(obj, dtype=dtype, device=device)
    else:
        made = as_tensor(obj, dtype, device)
        source = obj.array if isinstance(obj, Traced) else obj
        if copy is False and not (
            isinstance(source, np.ndarray) and np.may_share_memory(source, made.array)
        ):
            raise told(
                ValueError,
                "asarray: can't alias the given object, since its elements have to be converted; "
                "leave copy=False out",
            )
    if requires_grad != made.requires_grad:
        made = made.detach()
    return made.requires_grad_(requires_grad)


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return a number as a 0-d tensor of the default dtype.

    >>> import tinygrad_like as torch
    >>> torch.scalar_tensor(3)
    tensor(3.)
    """
    d = dtype_of("scalar_tensor", dtype, dtypes.default())
    array = to_array(number_of(s), d)
    return finish("scalar_tensor", array, requires_grad, device, layout, pin_memory)


# ----- Filled -------------------------------------------------------------------------------------


def zeros(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    **keyword: Any,
) -> Any:
    """Return a tensor of zeros; ``zeros(2, 3)``, ``zeros((2, 3))`` and ``zeros(size=(2, 3))``.

    >>> import tinygrad_like as torch
    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    array = np.zeros(
        shape_from("zeros", size, size_keyword("zeros", keyword)),
        dtype_of("zeros", dtype, dtypes.default()),
    )
    return finish("zeros", array, requires_grad, device, layout, pin_memory)


def ones(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    **keyword: Any,
) -> Any:
    """Return a tensor of ones.

    >>> import tinygrad_like as torch
    >>> torch.ones(3)
    tensor([1., 1., 1.])
    """
    array = np.ones(
        shape_from("ones", size, size_keyword("ones", keyword)),
        dtype_of("ones", dtype, dtypes.default()),
    )
    return finish("ones", array, requires_grad, device, layout, pin_memory)


def empty(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = None,
    **keyword: Any,
) -> Any:
    """Return a tensor whose values are whatever was in memory.

    >>> import tinygrad_like as torch
    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    _refuse_format("empty", memory_format)
    array = np.empty(
        shape_from("empty", size, size_keyword("empty", keyword)),
        dtype_of("empty", dtype, dtypes.default()),
    )
    return finish("empty", array, requires_grad, device, layout, pin_memory)


def size_keyword(name: str, keyword: dict[str, Any]) -> Any:
    """Return ``size=``, the one keyword that stands for the positional arguments."""
    size = keyword.pop("size", None)
    for unknown in keyword:
        raise told(TypeError, f"{name}() got an unexpected keyword argument '{unknown}'")
    return size


def _refuse_format(name: str, memory_format: Any) -> None:
    if memory_format not in (None, contiguous_format, preserve_format):
        raise told(
            RuntimeError,
            f"{name}: memory_format={memory_format!r} is not supported; leave it out, or give "
            "torch.contiguous_format or torch.preserve_format",
        )


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return a tensor filled with a number, whose type decides the dtype.

    Raises:
        RuntimeError: if the number does not fit into `dtype`.

    >>> import tinygrad_like as torch
    >>> torch.full((2,), 7)
    tensor([7, 7])
    """
    if not isinstance(size, tuple | list):
        raise told(
            TypeError,
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}",
        )
    value = number_of(fill_value)
    array = _filled("full", shape_from("full", (size,)), value, _dtype_or_none("full", dtype))
    return finish("full", array, requires_grad, device, layout, pin_memory)


def _dtype_or_none(name: str, dtype: Any) -> np.dtype[Any] | None:
    return None if dtype is None else dtype_of(name, dtype, dtypes.F32)


def _filled(
    name: str, shape: tuple[int, ...], value: Any, d: np.dtype[Any] | None
) -> np.ndarray[Any, Any]:
    if not isinstance(value, bool | int | float):
        raise told(
            TypeError, f"{name}(): argument 'fill_value' must be Number, not {type(value).__name__}"
        )
    array = np.empty(shape, dtypes.of_scalar(value) if d is None else d)
    array[...] = to_array(value, array.dtype)
    return array


def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return an uninitialised tensor with the given strides, counted in elements.

    >>> import tinygrad_like as torch
    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    shape = shape_from("empty_strided", (size,))
    steps = shape_from("empty_strided", (stride,))
    if len(steps) != len(shape):
        raise told(
            RuntimeError,
            "mismatch in length of strides and shape: empty_strided got "
            f"{len(shape)} sizes and {len(steps)} strides",
        )
    d = dtype_of("empty_strided", dtype, dtypes.default())
    extent = 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True)) if all(shape) else 0
    array = np.lib.stride_tricks.as_strided(
        np.empty(extent, d), shape, tuple(s * d.itemsize for s in steps)
    )
    return finish("empty_strided", array, requires_grad, device, layout, pin_memory)


# ----- Like another -------------------------------------------------------------------------------


def _like(
    name: str,
    input: Any,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    memory_format: Any,
    value: Any,
) -> Any:
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    _refuse_format(name, memory_format)
    order = "C" if memory_format is contiguous_format else "K"
    array = np.empty_like(input.array, dtype_of(name, dtype, input.array.dtype), order)  # type: ignore[call-overload]
    if value is not None:
        array[...] = to_array(value, array.dtype)
    return finish(name, array, requires_grad, device, layout)


def zeros_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return zeros with the shape and dtype of `input`.

    >>> import tinygrad_like as torch
    >>> torch.zeros_like(torch.tensor([1, 2]))
    tensor([0, 0])
    """
    return _like("zeros_like", input, dtype, layout, device, requires_grad, memory_format, 0)


def ones_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return ones with the shape and dtype of `input`.

    >>> import tinygrad_like as torch
    >>> torch.ones_like(torch.tensor([1.5, 2.5]))
    tensor([1., 1.])
    """
    return _like("ones_like", input, dtype, layout, device, requires_grad, memory_format, 1)


def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return an uninitialised tensor with the shape and dtype of `input`.

    >>> import tinygrad_like as torch
    >>> torch.empty_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    return _like("empty_like", input, dtype, layout, device, requires_grad, memory_format, None)


def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return a tensor with the shape and dtype of `input`, filled with a number.

    >>> import tinygrad_like as torch
    >>> torch.full_like(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    value = number_of(fill_value)
    return _like("full_like", input, dtype, layout, device, requires_grad, memory_format, value)


# ----- NumPy's spelling ---------------------------------------------------------------------------


@implements(np.zeros_like)
def _np_zeros_like(a: Any, dtype: Any = None) -> Any:
    return zeros_like(a, dtype=dtype)


@implements(np.ones_like)
def _np_ones_like(a: Any, dtype: Any = None) -> Any:
    return ones_like(a, dtype=dtype)


@implements(np.empty_like)
def _np_empty_like(prototype: Any, dtype: Any = None) -> Any:
    return empty_like(prototype, dtype=dtype)


@implements(np.full_like)
def _np_full_like(a: Any, fill_value: Any, dtype: Any = None) -> Any:
    return full_like(a, fill_value, dtype=dtype)


class CreationMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    array: np.ndarray[Any, Any]

    def new_tensor(
        self,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Any:
        """Return a new tensor with the values of `data` and, unless told otherwise, this dtype."""
        array = to_array(data, dtype_of("new_tensor", dtype, self.array.dtype))
        return finish("new_tensor", array, requires_grad, device, layout, pin_memory)

    def new_zeros(self, *size: Any, dtype: Any = None, **options: Any) -> Any:
        """Return zeros of the given size and, unless told otherwise, this dtype."""
        return zeros(*size, dtype=self.array.dtype if dtype is None else dtype, **options)

    def new_ones(self, *size: Any, dtype: Any = None, **options: Any) -> Any:
        """Return ones of the given size and, unless told otherwise, this dtype."""
        return ones(*size, dtype=self.array.dtype if dtype is None else dtype, **options)

    def new_empty(self, *size: Any, dtype: Any = None, **options: Any) -> Any:
        """Return an uninitialised tensor of the given size and, unless told otherwise, this dtype."""
        return empty(*size, dtype=self.array.dtype if dtype is None else dtype, **options)

    def new_full(
        self, size: Sequence[int], fill_value: Any, *, dtype: Any = None, **options: Any
    ) -> Any:
        """Return a tensor of the given size, filled with a number, and this dtype."""
        d = self.array.dtype if dtype is None else dtype
        return full(size, fill_value, dtype=d, **options)

    def new(self, *data: Any) -> Any:
        """Return a tensor of the given sizes, or with the values of a list, in this dtype."""
        return from_sizes_or_data(data, self.array.dtype)
