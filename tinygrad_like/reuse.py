"""Adding up in memory that nobody else holds."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

# Of fewer elements a new array costs no more than finding out.
LEAST = 8192


def add_up(grads: dict[Any, Any], key: Any, g: Any) -> None:
    """Add `g` to ``grads[key]``: in its memory if that is an array which only `grads` refers to.

    A view refers to the array it looks at, and so do tensors, saved values and other keys.
    """
    former = grads[key]
    if (
        type(former) is np.ndarray
        and former.size >= LEAST
        and former.base is None
        and former.dtype is g.dtype
        and sys.getrefcount(former) == _REFERENCES
        and former.flags.writeable
    ):
        np.add(former, g, out=former)
    else:
        grads[key] = former + g


def _references(grads: dict[Any, Any], key: Any) -> int:
    """Return what `add_up` is told of an array that only `grads` refers to."""
    former = grads[key]
    return sys.getrefcount(former)


_REFERENCES = _references({0: np.empty(0)}, 0)
