"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_like.graph import Traced
from tinygrad_like.lines import told
from tinygrad_like.nn.naming import typename
from tinygrad_like.ops.joining import concatenate


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """Return the elements of all parameters, one after the other.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.Linear(2, 3)
    >>> torch.nn.utils.parameters_to_vector(net.parameters()).shape
    torch.Size([9])
    """
    return concatenate([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Give the parameters the elements of `vec`, whose memory they share afterwards.

    Raises:
        TypeError: if `vec` is not a tensor.
        RuntimeError: if it has too few elements.
    """
    if not isinstance(vec, Traced):
        raise told(TypeError, f"expected torch.Tensor, but got: {typename(vec)}")
    start = 0
    for parameter in parameters:
        count = parameter.array.size
        part = vec.array[start : start + count]
        if part.size != count:
            raise told(
                RuntimeError,
                f"vector_to_parameters: vec has {vec.array.size} elements, fewer than the parameters; "
                f"the one of shape {tuple(parameter.shape)} needs {count}",
            )
        parameter.rebind(part.reshape(parameter.array.shape))
        start += count
