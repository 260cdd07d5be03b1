"""The order in which a tensor's elements lie in memory, where the user need not know it.

Convolutions leave their results with the batch innermost (see `ops/windows.py`), and elementwise ops
keep that, as they keep PyTorch's ``channels_last``. Shapes, values and gradients do not tell; `stride`
and `is_contiguous` do, truthfully. But a program that was written for PyTorch may take a `view` that
exists only if the rows lie in order, ``out.view(-1)``, say. It gets one: the tensor moves to memory
where they do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import AccumulateGrad
from tinygrad_like.stamps import owner


def batch_innermost(array: np.ndarray[Any, Any]) -> bool:
    """Return whether ``(N, ...)`` lies in memory like ``(..., N)``, without gaps, and only so."""
    if array.ndim < 3 or array.flags.c_contiguous:
        return False
    return array.transpose(*range(1, array.ndim), 0).flags.c_contiguous


def note_sharing(*tensors: Any) -> None:
    """Note that other tensors or arrays look at the same memory, so that none of these will move."""
    for tensor in tensors:
        tensor.__dict__["_shares"] = True


def make_viewable(tensor: Any, shape: Any) -> None:
    """Put the rows in order if the batch is innermost, `shape` is no view of that, and nobody sees it."""
    array = tensor.array
    if (
        not batch_innermost(array)
        or tensor._view is not None
        or isinstance(tensor.node, AccumulateGrad)
        or "_shares" in tensor.__dict__
        or any(view() is not None for view in tensor.__dict__.get("_views", ()))
    ):
        return
    try:
        possible = owner(array.reshape(shape)) is owner(array)
    except ValueError:  # it is for `view` to say what is wrong
        return
    if not possible:
        tensor.rebind(np.ascontiguousarray(array))
