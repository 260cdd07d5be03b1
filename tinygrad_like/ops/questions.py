"""What a tensor is: functions that answer without computing with its elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Traced
from tinygrad_like.lines import told

__all__ = ["is_complex", "is_floating_point", "is_tensor", "numel", "result_type"]


def is_tensor(obj: Any) -> bool:
    """Return True if `obj` is a tensor.

    >>> import tinygrad_like as torch
    >>> torch.is_tensor(torch.zeros(1)), torch.is_tensor(1.0)
    (True, False)
    """
    return isinstance(obj, Traced)


def _array_of(name: str, input: Any) -> np.ndarray[Any, Any]:
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    return input.array


def is_floating_point(input: Any) -> bool:
    """Return True if the elements are floating-point numbers.

    >>> import tinygrad_like as torch
    >>> torch.is_floating_point(torch.tensor([1, 2]))
    False
    """
    return bool(_array_of("is_floating_point", input).dtype.kind == "f")


def is_complex(input: Any) -> bool:
    """Return False: there are no tensors of complex numbers.

    >>> import tinygrad_like as torch
    >>> torch.is_complex(torch.zeros(2))
    False
    """
    _array_of("is_complex", input)
    return False


def numel(input: Any) -> int:
    """Return the number of elements.

    >>> import tinygrad_like as torch
    >>> torch.numel(torch.zeros(2, 3))
    6
    """
    return _array_of("numel", input).size


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """Return the dtype that a mix of two tensors or numbers becomes.

    >>> import tinygrad_like as torch
    >>> torch.result_type(torch.tensor([1, 2]), 1.5)
    torch.float32
    """
    mix = [v.array if isinstance(v, Traced) else v for v in (tensor1, tensor2)]
    return dtypes.named(dtypes.result(mix))
