"""Activation functions."""

from __future__ import annotations

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import op
from tinygrad_like.ops.comparison import keep_where
from tinygrad_like.views import in_place

__all__ = ["relu"]


@op(x=lambda g, out: keep_where(g, out > 0))
def relu(x: Array) -> Array:
    """Return ``max(input, 0)``; the gradient at 0 is 0."""
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return np.maximum(x, 0)


class ActivationMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    relu = relu
    relu_ = in_place("relu_", relu)
