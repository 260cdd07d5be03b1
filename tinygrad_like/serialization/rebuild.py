"""What a file may ask for by name: PyTorch's functions that make tensors, and a few plain types.

Each of these functions checks its arguments, since a file can hand it anything. `FUNCTIONS` are those
that may be called, `OBJECTS` what may only be referred to; nothing else of PyTorch's exists here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.device import Device, strided
from tinygrad_like.graph import result_type
from tinygrad_like.nn.parameter import Buffer, Parameter
from tinygrad_like.serialization.storage import (
    ELEMENTS,
    STORAGE_TYPES,
    Elements,
    LoadedStorage,
    TypedStorage,
    UntypedStorage,
)
from tinygrad_like.size import Size
from tinygrad_like.tensor import Tensor

_MOST_DIMENSIONS = 64  # NumPy's limit
_MOST_KEY_PARTS = 1000
_FREE_KEY = 100  # characters that are compared in no time


class WidenedDtype(dtypes.dtype):
    """A dtype in a file that does not exist here: the same as the one its elements become."""

    __slots__ = ("elements",)

    def __init__(self, elements: Elements) -> None:
        super().__init__(elements.dtype.name)
        self.elements = elements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dtypes.dtype) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.elements.dtype)


def shown(value: Any) -> str:
    """Return a short text for something from a file, whose own ``repr`` may take forever."""
    if isinstance(value, int):
        return str(value) if abs(value) < 2**64 else "a very long integer"
    if isinstance(value, str):
        return repr(value[:100])
    return getattr(value, "__qualname__", None) or f"a {type(value).__name__}"


def refuse(wanted: str, given: Any) -> UnpicklingError:
    """Return the error that says what a file gave in the place of what."""
    return UnpicklingError(
        f"load: expected {wanted}, the file gives {type(given).__name__}; it is damaged, or not written "
        "by save"
    )


def check_key(key: Any) -> int:
    """Raise unless `key` may be looked up in a dictionary without risk, and return what that costs.

    A tuple of tuples of ... that all are the same one takes exponential time to hash, integers can be
    chosen that all have the same hash, and a deep tuple overflows the stack.
    """
    pending = [key]
    cost = 0
    for parts in range(_MOST_KEY_PARTS):
        if not pending:
            return parts + cost
        part = pending.pop()
        if isinstance(part, int):
            if not -(2**63) <= part < 2**64:
                raise UnpicklingError("load: a dictionary's key is an integer of more than 64 bits")
        elif isinstance(part, str | bytes):
            cost += len(part) // _FREE_KEY
        elif isinstance(part, tuple | frozenset):
            pending += part
    raise UnpicklingError("load: a dictionary's key is a tuple with too many parts")


# ----- Tensors ------------------------------------------------------------------------------------


def _numbers(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > _MOST_DIMENSIONS:
        raise refuse(f"a tuple of at most {_MOST_DIMENSIONS} numbers for a tensor's {name}", value)
    for number in value:
        if type(number) is not int or not 0 <= number < 2**63:
            raise UnpicklingError(
                f"load: a tensor's {name} has {shown(number)} in it, expected integers from 0"
            )
    return tuple(value)


def _view(storage: Any, offset: Any, size: Any, stride: Any, elements: Elements | None) -> Any:
    """Return the tensor that looks into a storage, after checking that it does not look beyond."""
    if not isinstance(storage, UntypedStorage):
        raise refuse("a storage", storage)
    (start,) = _numbers("storage offset", (offset,))
    shape, steps = _numbers("size", size), _numbers("stride", stride)
    if len(shape) != len(steps):
        raise UnpicklingError(f"load: a tensor has size {shape} but stride {steps}")
    if elements is None:
        numbers = storage.array
    elif isinstance(storage, LoadedStorage):
        numbers = storage.as_elements(elements)
    else:
        raise refuse("a storage of the file", storage)
    empty = 0 in shape
    last = start + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if (start > numbers.size) if empty else (last >= numbers.size):
        raise UnpicklingError(
            f"load: a tensor of size {shape} and stride {steps} at offset {start} reaches beyond its "
            f"storage of {numbers.size} elements; the file is damaged, or not written by save"
        )
    width = numbers.itemsize
    count = width
    for n in shape:
        count *= max(n, 1)
    if count >= 2**63 or any(step * width >= 2**63 for step in steps):
        raise UnpicklingError(f"load: a tensor of size {shape} and stride {steps} is too large")
    strides = tuple(step * width for step in steps)
    array: Any = np.ndarray(shape, numbers.dtype, numbers, start * width, strides)
    return result_type.make(array)


def _require(tensor: Any, requires_grad: Any) -> Any:
    if type(requires_grad) is not bool:
        raise refuse("True or False for requires_grad", requires_grad)
    if requires_grad and not tensor.is_floating_point():
        raise UnpicklingError(f"load: a tensor of {tensor.dtype} is to require a gradient")
    tensor.requires_grad_(requires_grad)
    return tensor


def _without_metadata(metadata: Any) -> None:
    """Raise if the numbers in the file are the negative, or the conjugate, of the tensor's."""
    if metadata:
        raise UnpicklingError(
            "load: a tensor is marked as the negative or conjugate of what is stored; save it again "
            "after resolve_conj().resolve_neg()"
        )


def rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Any:
    """Return a tensor, as files of PyTorch before 0.4 describe it."""
    return _view(storage, storage_offset, size, stride, None)


def rebuild_tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> Any:
    """Return a tensor whose storage knows its dtype."""
    del backward_hooks  # always empty
    _without_metadata(metadata)
    return _require(_view(storage, storage_offset, size, stride, None), requires_grad)


def rebuild_tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Any:
    """Return a tensor that says the dtype itself: one of those that came late to PyTorch."""
    del backward_hooks
    _without_metadata(metadata)
    if not isinstance(dtype, dtypes.dtype):
        raise refuse("a dtype", dtype)
    elements = dtype.elements if isinstance(dtype, WidenedDtype) else ELEMENTS[dtype.name]
    return _require(_view(storage, storage_offset, size, stride, elements), requires_grad)


def rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Any:
    """Return a parameter around a tensor."""
    del backward_hooks
    if type(data) is not Tensor:
        raise refuse("a tensor for a parameter", data)
    return _require(Parameter(data, requires_grad=False), requires_grad)


def rebuild_parameter_with_state(
    data: Any, requires_grad: Any, backward_hooks: Any, state: Any
) -> Any:
    """Return a parameter with attributes that the user gave it."""
    return _with_state(rebuild_parameter(data, requires_grad, backward_hooks), state)


def rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """Return a tensor of a subclass, or one with attributes."""
    if not any(function is maker for maker in _MAKERS) or type(arguments) is not tuple:
        raise refuse("a function that makes a tensor", function)
    if not (isinstance(kind, type) and issubclass(kind, Tensor)):
        raise refuse("a class of tensors", kind)
    made = function(*arguments)
    if type(state) is dict and state.get("_is_buffer") is True and kind is Tensor:
        kind = Buffer
        state = {"persistent": True} | state
    if kind is not type(made):
        copied: Any = object.__new__(kind)
        copied.array, copied.node, copied._grad, copied._view = made.array, None, None, None
        made = _require(copied, made.requires_grad)
    return _with_state(made, state)


_MAKERS: list[Any] = [rebuild_tensor, rebuild_tensor_v2, rebuild_tensor_v3, rebuild_parameter]


def _with_state(tensor: Any, state: Any) -> Any:
    """Give a tensor the attributes that the file names."""
    # A class with slots gives two dictionaries.
    for part in state if type(state) is tuple and len(state) == 2 else (state,):
        if part is None:
            continue
        if type(part) is not dict:
            raise refuse("a dictionary of attributes", part)
        for name, value in part.items():
            if type(name) is not str or hasattr(type(tensor), name):
                raise UnpicklingError(f"load: a tensor can't be given the attribute {shown(name)}")
            if not name.startswith("_"):  # those are PyTorch's own
                tensor.__dict__[name] = value
    return tensor


# ----- Plain types --------------------------------------------------------------------------------


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    if type(value) is not list or any(
        type(pair) not in (list, tuple) or len(pair) != 2 for pair in value
    ):
        raise refuse("a list of pairs", value)
    for key, _ in value:
        check_key(key)
    return value


def ordered_dict(pairs: Any = None) -> OrderedDict[Any, Any]:
    """Return an OrderedDict of pairs."""
    return OrderedDict() if pairs is None else OrderedDict(_pairs(pairs))


def dict_of(items: Any = None) -> dict[Any, Any]:
    """Return a copy of a dictionary, as which a module's registers are written."""
    if items is not None and type(items) is not dict:
        raise refuse("a dictionary", items)
    return dict(items or {})


def counter(counts: Any = None) -> Counter[Any]:
    """Return a Counter of a dictionary."""
    if counts is not None and type(counts) is not dict:
        raise refuse("a dictionary", counts)
    return Counter() if counts is None else Counter(counts)


def size(numbers: Any = ()) -> Size:
    """Return a torch.Size."""
    return Size(_numbers("size", numbers))


def device(kind: Any, index: Any = None) -> Device:
    """Return the device of that name."""
    if type(kind) is not str or not (index is None or type(index) is int):
        raise refuse("the name of a device", kind)
    return Device(kind, index)


def layout(name: Any) -> Any:
    """Return the layout of that name."""
    if name != "torch.strided":
        raise UnpicklingError(f"load: layout {shown(name)} does not exist here, only torch.strided")
    return strided


def encode(text: Any, encoding: Any) -> bytes:
    """Return bytes, which files of pickle protocol 2 hold as a string."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise refuse("a string in latin1", text)
    return text.encode("latin-1")


def no_bytes() -> bytes:
    """Return empty bytes, which pickle protocol 2 writes as a call."""
    return b""


def byte_array(data: Any = b"") -> bytearray:
    """Return a bytearray of bytes."""
    if type(data) is not bytes:
        raise refuse("bytes", data)
    return bytearray(data)


def set_of(items: Any = None) -> set[Any]:
    """Return a set of the items of a list."""
    if items is None:
        return set()
    if type(items) is not list:
        raise refuse("a list", items)
    for item in items:
        check_key(item)
    return set(items)


def complex_number(real: Any, imaginary: Any) -> complex:
    """Return a complex number."""
    if type(real) is not float or type(imaginary) is not float:
        raise refuse("two floats", real)
    return complex(real, imaginary)


# ----- Names --------------------------------------------------------------------------------------

Name = tuple[str, str]

FUNCTIONS: dict[Name, Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter_with_state,
    ("torch._tensor", "_rebuild_from_type_v2"): rebuild_from_type,
    ("torch", "Size"): size,
    ("torch", "device"): device,
    ("torch.serialization", "_get_layout"): layout,
    ("collections", "OrderedDict"): ordered_dict,
    ("collections", "Counter"): counter,
    ("_codecs", "encode"): encode,
    ("builtins", "bytes"): no_bytes,
    ("builtins", "bytearray"): byte_array,
    ("builtins", "dict"): dict_of,
    ("builtins", "set"): set_of,
    ("builtins", "complex"): complex_number,
}
OBJECTS: dict[Name, Any] = {
    ("torch", "Tensor"): Tensor,
    ("torch.nn.parameter", "Parameter"): Parameter,
    ("torch.nn.parameter", "Buffer"): Buffer,
    ("torch.storage", "UntypedStorage"): UntypedStorage,
    ("torch.storage", "TypedStorage"): TypedStorage,
}
OBJECTS |= {("torch", kind.title): kind for kind in STORAGE_TYPES}
OBJECTS |= {("torch", d.name): d for d in dtypes.ALL}

# What `save` writes these as: the same names read backwards.
NAMES: dict[Any, Name] = {made: name for name, made in (OBJECTS | FUNCTIONS).items()}
NAMES |= {Size: ("torch", "Size"), Device: ("torch", "device")}

OBJECTS |= {("torch", n): WidenedDtype(e) for n, e in ELEMENTS.items() if e.convert}
