"""Copies, conversions between types, and questions about a tensor's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.device import Device, check_device
from tinygrad_like.graph import Traced
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY
from tinygrad_like.ops.shaping import axis_of, cast, discretise
from tinygrad_like.stamps import owner

__all__ = ["clone"]

_TITLES = {
    "float16": "Half",
    "float32": "Float",
    "float64": "Double",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "uint8": "Byte",
    "bool": "Bool",
}
_TYPES = {f"torch.{title}Tensor": name for name, title in _TITLES.items()}


def convert(tensor: Any, d: np.dtype[Any], copy: bool = False) -> Any:
    """Return `tensor` in the NumPy dtype `d`; itself if it has that already and no copy is asked for."""
    if tensor.array.dtype is d:
        return clone(tensor) if copy else tensor
    return cast(tensor, d) if d.kind == "f" else discretise(tensor, d)


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """Return a copy that gradients flow through.

    >>> import tinygrad_like as torch
    >>> torch.clone(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    del memory_format
    return REGISTRY["clone"].call(input)


def _to(name: str, d: np.dtype[Any]) -> Any:
    def method(self: Any, memory_format: Any = None) -> Any:
        del memory_format
        return convert(self, d)

    method.__name__ = name
    method.__doc__ = f"Return this tensor as {d.name}; itself if it is that already."
    return method


def _steps(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Return strides in elements: those of dimensions of size 1, and of no elements, as PyTorch's."""
    steps: list[int] = []
    following = 1
    for size, step in zip(reversed(array.shape), reversed(array.strides), strict=True):
        unknown = not array.size or (size == 1 and not step)
        steps.append(following if unknown else step // array.itemsize)
        following = steps[-1] * max(size, 1)
    return tuple(reversed(steps))


class ConversionMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()
    array: np.ndarray[Any, Any]

    # ----- Copies and types -----------------------------------------------------------------------

    clone = clone

    def contiguous(self, memory_format: Any = None) -> Any:
        """Return this tensor if its rows lie in order in memory, else a copy for which that is so."""
        del memory_format
        return self if self.array.flags.c_contiguous else REGISTRY["clone"].call(self, "C")

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Return this tensor in another dtype: ``to(dtype)``, ``to("cpu", dtype)``, ``to(other)``.

        It is the tensor itself if nothing changes, unless ``copy=True``.

        Raises:
            RuntimeError: for a device other than the CPU.
            TypeError: for arguments it does not know.

        >>> import tinygrad_like as torch
        >>> torch.tensor([1.5, -1.5]).to(torch.int64)
        tensor([ 1, -1])
        """
        copy = bool(kwargs.pop("copy", False))
        kwargs.pop("non_blocking", None)
        kwargs.pop("memory_format", None)
        check_device(kwargs.pop("device", None))
        d = kwargs.pop("dtype", None)
        other = kwargs.pop("other", None)
        if kwargs:
            raise told(TypeError, f"to() got an unexpected keyword argument {next(iter(kwargs))!r}")
        for argument in args:
            if isinstance(argument, Traced):
                other = argument
            elif isinstance(argument, str | Device):
                check_device(argument)
            elif isinstance(argument, bool):  # non_blocking, then copy, by position
                copy = argument and argument is args[-1] and len(args) > 2
            elif argument is not None:
                d = argument
        if other is not None:
            return convert(self, other.array.dtype, copy)
        return convert(self, self.array.dtype if d is None else dtypes.of(d), copy)

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """Return the name of the tensor's type, or the tensor in another dtype."""
        del non_blocking
        if dtype is None:
            return f"torch.{_TITLES[self.array.dtype.name]}Tensor"
        if isinstance(
            getattr(dtype, "dtype", None), dtypes.dtype
        ):  # an old name, such as LongTensor
            dtype = dtype.dtype
        return convert(self, dtypes.of(_TYPES.get(dtype, dtype)))

    def type_as(self, other: Any) -> Any:
        """Return this tensor in the dtype of another."""
        return convert(self, other.array.dtype)

    def cpu(self, memory_format: Any = None) -> Any:
        """Return this tensor."""
        del memory_format
        return self

    half = _to("half", dtypes.F16)
    float = _to("float", dtypes.F32)
    double = _to("double", dtypes.F64)
    char = _to("char", dtypes.int8.dtype)
    short = _to("short", dtypes.int16.dtype)
    int = _to("int", dtypes.int32.dtype)
    long = _to("long", dtypes.I64)
    byte = _to("byte", dtypes.uint8.dtype)
    bool = _to("bool", dtypes.BOOL)

    # ----- Memory ---------------------------------------------------------------------------------

    def numel(self) -> Any:
        """Return the number of elements."""
        return self.array.size

    nelement = numel

    def dim(self) -> Any:
        """Return the number of dimensions."""
        return self.array.ndim

    ndimension = dim

    def size(self: Any, dim: Any = None) -> Any:
        """Return the shape, or the size of dimension `dim`.

        Raises:
            IndexError: if there is no such dimension.
        """
        if dim is None:
            return self.shape
        if self.array.ndim == 0:
            raise told(IndexError, "Dimension specified as 0 but tensor has no dimensions")
        return self.array.shape[axis_of(dim, self.array.ndim)]

    def stride(self, dim: Any = None) -> Any:
        """Return how many elements lie between neighbours, along each dimension or along `dim`."""
        steps = _steps(self.array)
        return steps if dim is None else steps[axis_of(dim, len(steps))]

    def is_contiguous(self, memory_format: Any = None) -> Any:
        """Return True if the elements lie in memory in order, without gaps."""
        del memory_format
        return self.array.flags.c_contiguous

    def storage_offset(self) -> Any:
        """Return how many elements after the start of its memory the tensor starts."""
        return (self.array.ctypes.data - owner(self.array).ctypes.data) // self.array.itemsize

    def element_size(self) -> Any:
        """Return the bytes an element takes."""
        return self.array.itemsize

    def data_ptr(self) -> Any:
        """Return the address of the first element."""
        return self.array.ctypes.data

    def is_floating_point(self) -> Any:
        """Return True if the elements are floating-point numbers."""
        return self.array.dtype.kind == "f"

    def is_signed(self) -> Any:
        """Return True if the elements can be negative."""
        return self.array.dtype.kind in "fi"

    def is_complex(self) -> Any:
        """Return False: complex numbers are not supported."""
        return False
