"""Hooks on what the tape keeps: a value is packed when it is saved and unpacked when it is needed.

While a thread has such hooks, its operations are recorded as nodes of a class of their own, made
from the operation's by mixing in `Packing`. Whoever reads and writes ``node.saved`` sees the values
as always; what lies in memory is what the hooks made of them. Nodes recorded without hooks know
nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.graph import Node, Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.modes import set_mode, thread_mode
from tinygrad_like.stamps import owner, version


class Packed:
    """What a hook made of a saved tensor."""

    __slots__ = ("_content", "_shape", "_unpack")

    def __init__(self, tensor: Any) -> None:
        """Pack `tensor` by this thread's innermost hook.

        Raises:
            RuntimeError: if the hook writes into it.
        """
        pack, self._unpack = thread_mode.saving[-1]
        array = tensor.array
        if thread_mode.overwritten is not None and owner(array) is thread_mode.overwritten:
            tensor = result_type.make(array.copy(), tensor.node)
        before = version(tensor.array)
        former = set_mode(False, thread_mode.inference)
        try:
            self._content = pack(tensor)
        finally:
            set_mode(*former)
        if version(tensor.array) != before:
            raise told(
                RuntimeError,
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input "
                "to pack hook can not be modified by in-place operations as this can lead to unexpected "
                "side-effects; write into a clone() instead",
            )
        self._shape = array.shape

    def array(self) -> np.ndarray[Any, Any]:
        """Return the values of the tensor that was packed.

        Raises:
            TypeError: if the hook does not return a tensor.
            RuntimeError: if it returns one of another shape.
        """
        former = set_mode(False, thread_mode.inference)
        try:
            tensor = self._unpack(self._content)
        finally:
            set_mode(*former)
        if not isinstance(tensor, Traced):
            raise told(
                TypeError,
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(tensor).__name__}",
            )
        if tensor.array.shape != self._shape:
            raise told(
                RuntimeError,
                f"Output of saved tensor unpack_hook has shape {tuple(tensor.array.shape)}, but the "
                f"tensor that was saved has shape {tuple(self._shape)}",
            )
        return tensor.array


def packed(value: Any) -> Any:
    """Return a value as it is kept while there are hooks: tensors and arrays are packed."""
    if isinstance(value, Traced):
        return Packed(value)
    if isinstance(value, np.ndarray):
        return Packed(result_type.make(value))
    return tuple(map(packed, value)) if type(value) is tuple else value


def unpacked(value: Any) -> Any:
    """Return a value that was kept, with arrays in the places of what was packed."""
    if type(value) is Packed:
        return value.array()
    return tuple(map(unpacked, value)) if type(value) is tuple else value


_kept: Any = Node.__dict__["saved"]


class Packing:
    """Mixed into a class of nodes, has what they save packed."""

    __slots__ = ()
    packs = True

    @property
    def saved(self) -> tuple[Any, ...] | None:
        """The saved values, unpacked anew whenever they are asked for."""
        return unpacked(_kept.__get__(self))  # type: ignore[no-any-return]

    @saved.setter
    def saved(self: Any, values: tuple[Any, ...] | None) -> None:
        _kept.__set__(self, None if values is None else packed(self.lift(values)))


def packing(cls: type[Node]) -> type[Node]:
    """Return the class of nodes like those of `cls` that pack what they save."""
    return type(cls.__name__, (Packing, cls), {"__slots__": ()})


def overwriting(memory: np.ndarray[Any, Any], compute: Callable[[], Any]) -> Any:
    """Return what `compute` does, hooks being given copies of the `memory` that will be overwritten."""
    former = thread_mode.overwritten
    thread_mode.overwritten = owner(memory)
    try:
        return compute()
    finally:
        thread_mode.overwritten = former
