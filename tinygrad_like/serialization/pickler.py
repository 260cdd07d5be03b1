"""The inner layer of a file, written: an object as a pickle in which this package's types have PyTorch's names."""

from __future__ import annotations

import copyreg
import pickle
from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.device import Device, layout
from tinygrad_like.graph import Traced
from tinygrad_like.interchange import NumpyArray
from tinygrad_like.nn.parameter import Buffer, Parameter
from tinygrad_like.serialization import rebuild
from tinygrad_like.serialization.storage import (
    OF_DTYPE,
    StorageType,
    TypedStorage,
    UntypedStorage,
)
from tinygrad_like.size import Size
from tinygrad_like.tensor import Tensor


class Storages:
    """The storages that a pickle refers to, each once, numbered as they come.

    Args:
        old: describe them as the format before 1.6 did.

    Attributes:
        arrays: the memory of each, by its number as a string.
        widths: the bytes of an element of each.
    """

    def __init__(self, old: bool = False) -> None:
        self.arrays: dict[str, NumpyArray] = {}
        self.widths: dict[str, int] = {}
        self._end = (None,) if old else ()
        self._keys: dict[tuple[int, int], str] = {}  # by address and size
        self._kinds: dict[str, Any] = {}
        self._copies: dict[int, NumpyArray] = {}

    def describe(self, storage: UntypedStorage) -> tuple[Any, ...]:
        """Return how a pickle refers to a storage.

        Raises:
            RuntimeError: if the same memory was saved as another dtype already, as in PyTorch.
        """
        memory = storage.memory
        if memory.nbytes:
            place = (storage.data_ptr(), memory.nbytes)
            key = self._keys.setdefault(place, str(len(self.arrays)))
        else:
            key = str(len(self.arrays))
        kind: Any = UntypedStorage
        if isinstance(storage, TypedStorage) or self._end:  # the old format had none without type
            kind = OF_DTYPE[storage.dtype.dtype]
        if self._kinds.setdefault(key, kind) is not kind:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different types: save "
                "a clone() of one of them"
            )
        self.arrays[key] = memory
        self.widths[key] = storage.element_size()
        return ("storage", kind, key, "cpu", len(storage), *self._end)

    def of(self, array: NumpyArray) -> tuple[TypedStorage, int, tuple[int, ...]]:
        """Return the storage that an array looks into, where it starts there, and its strides.

        Both are counted in elements. What can't be told so, because a stride is negative, say, is copied.
        """
        width = array.itemsize
        storage = UntypedStorage.of(array)
        if storage is not None:
            start = array.ctypes.data - storage.data_ptr()
            start = start if 0 <= start <= storage.nbytes() else 0  # an empty array may be anywhere
            fits = not start % width and all(
                step >= 0 and not step % width for step in array.strides
            )
        if storage is None or not fits:
            copied = self._copies.setdefault(id(array), np.array(array, order="C"))
            return self.of(copied)
        typed = TypedStorage(storage.memory, dtypes.named(array.dtype))
        strides = array.strides if array.size else _in_order(array)
        return typed, start // width, tuple(step // width for step in strides)


def _in_order(array: NumpyArray) -> tuple[int, ...]:
    """Return PyTorch's strides of an array without elements, for which NumPy's may be anything."""
    return np.empty([max(n, 1) for n in array.shape], array.dtype).strides


class Reducers:
    """What the pickler looks up for a class that is not Python's own: how to take an instance apart."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages

    def get(self, kind: type, default: Any = None) -> Any:
        """Return what gives a function and its arguments for an instance; `default` if nothing does."""
        if issubclass(kind, Traced):
            return lambda tensor: _tensor(tensor, self._storages)
        return _REDUCERS.get(kind) or copyreg.dispatch_table.get(kind, default)


def pickler(pickle_module: Any, file: Any, protocol: int, storages: Storages) -> Any:
    """Return what writes the pickle of an object to `file` and notes its storages.

    Raises:
        TypeError: if the pickle module's own is not written in Python: names could not be changed.
    """
    base: Any = pickle._Pickler if pickle_module is pickle else pickle_module.Pickler
    if not (isinstance(base, type) and issubclass(base, pickle._Pickler)):
        raise TypeError(
            f"save: the Pickler of module {pickle_module.__name__} is not based on Python's own written in "
            "Python, so PyTorch's names can't be written; leave pickle_module out"
        )

    class TorchPickler(base):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return storages.describe(obj) if isinstance(obj, UntypedStorage) else None

        dispatch_table = Reducers(storages)

        def save_global(self, obj: Any, name: Any = None) -> None:
            known = rebuild.NAMES.get(obj) if isinstance(obj, Hashable) else None
            if known is None:
                super().save_global(obj, name)
                return
            module, title = known
            if self.proto >= 4:
                self.save(module)
                self.save(title)
                self.write(pickle.STACK_GLOBAL)
            else:
                if self.fix_imports:
                    module = "__builtin__" if module == "builtins" else module
                self.write(pickle.GLOBAL + f"{module}\n{title}\n".encode())
            self.memoize(obj)

        def save_function(self, obj: Any) -> None:
            own = obj in rebuild.NAMES
            (type(self).save_global if own else base.dispatch[FunctionType])(self, obj)

        dispatch = base.dispatch | {FunctionType: save_function}

    return TorchPickler(file, protocol=protocol)


def _tensor(tensor: Any, storages: Storages) -> tuple[Any, ...]:
    """Return the function that makes a tensor anew, and its arguments."""
    kind, state = type(tensor), tensor._attributes()
    requires_grad = tensor.node is not None
    if kind is Parameter:
        arguments: tuple[Any, ...] = (tensor.detach(), requires_grad, OrderedDict())
        if state:
            return rebuild.rebuild_parameter_with_state, (*arguments, state)
        return rebuild.rebuild_parameter, arguments
    storage, start, strides = storages.of(tensor.array)
    shape = tuple(map(int, tensor.array.shape))
    described: tuple[Any, ...] = (storage, start, shape, strides, requires_grad, OrderedDict())
    if kind is Tensor and not state:
        return rebuild.rebuild_tensor_v2, described
    if kind is Buffer:  # a plain tensor with a mark to PyTorch
        kind, state = Tensor, state | {"_is_buffer": True}
    return rebuild.rebuild_from_type, (rebuild.rebuild_tensor_v2, kind, described, state)


def _device(device: Device) -> tuple[Any, ...]:
    return Device, (device.type,) if device.index is None else (device.type, device.index)


def _layout(given: Any) -> tuple[Any, ...]:
    return rebuild.layout, (str(given),)


# How instances of these are written; a string means "as the name they have".
_REDUCERS: dict[type, Callable[[Any], Any]] = {
    dtypes.dtype: lambda d: d.name,
    rebuild.WidenedDtype: lambda d: d.name,
    StorageType: lambda kind: kind.title,
    Size: lambda size: (Size, (tuple(size),)),
    Device: _device,
    layout: _layout,
}
