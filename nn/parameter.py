"""Tensors that a module owns: parameters, which are trained, and buffers, which are only kept."""

from __future__ import annotations

from typing import Any

from tinygrad_like.graph import Traced
from tinygrad_like.tensor import Tensor


def _around(cls: type[Tensor], data: Any, requires_grad: bool) -> Any:
    """Return a tensor of class `cls` that shares the memory of `data` but not its graph."""
    if data is None:
        data = Tensor()
    if not isinstance(data, Traced):
        raise AttributeError(
            f"{cls.__name__}: data is {type(data).__name__}, expected a Tensor; wrap it in tensor(...)"
        )
    made = object.__new__(cls)
    made.array = data.array
    made.node = None
    made._grad = None
    made._view = None
    if requires_grad:
        made.requires_grad_()
    return made


class Parameter(Tensor):
    """A tensor that a `Module` registers when it is assigned as an attribute.

    It shares the memory of `data`. Results of operations on it are plain tensors.

    Raises:
        RuntimeError: if a gradient is wanted and `data` is not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        """Return a parameter around the memory of `data` (an empty one without)."""
        return _around(cls, data, requires_grad)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        copied = self._rebuild(self.array.copy(order="K"), self.requires_grad)
        memo[id(self)] = copied
        return copied  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a `Module` registers as a buffer when it is assigned as an attribute.

    Args:
        data: the tensor whose memory to share.
        requires_grad: record operations on it.
        persistent: make it part of the module's ``state_dict``.
    """

    __slots__ = ()
    persistent: bool

    def __new__(
        cls, data: Any = None, *, requires_grad: bool = False, persistent: bool = True
    ) -> Buffer:
        """Return a buffer around the memory of `data` (an empty one without)."""
        made = _around(cls, data, requires_grad)
        made.persistent = persistent
        return made  # type: ignore[no-any-return]
