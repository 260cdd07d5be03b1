"""The name that tensors with a gradient had in PyTorch's early days."""

from __future__ import annotations

from typing import Any

from tinygrad_like.graph import Traced, result_type

__all__ = ["Variable"]


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Traced)


class Variable(metaclass=_VariableMeta):
    """Another name for `Tensor`, kept for old programs.

    >>> import tinygrad_like as torch
    >>> torch.autograd.Variable(torch.tensor([1.0]), requires_grad=True)
    tensor([1.], requires_grad=True)
    """

    def __new__(cls, data: Any, requires_grad: bool = False) -> Any:
        """Return a tensor on the memory of `data`."""
        return result_type.make(data.array).requires_grad_(requires_grad)
