"""Dropout: zeros at random places, the same ones PyTorch chooses."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.arithmetic import add, multiply
from tinygrad_like.ops.random import _coin_array
from tinygrad_like.random import default_generator

__all__: list[str] = []
FUNCTIONAL = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

# Of SELU's constants: Klambauer et al., Self-Normalizing Neural Networks, 2017.
_ALPHA = 1.7580993408473766


def _refuse(input: Any, p: float, name: str) -> None:
    if not 0.0 <= p <= 1.0:
        raise told(ValueError, f"dropout probability has to be between 0 and 1, but got {p}")
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )


def _kept(input: Any, p: float, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """Return 1 where an element (or, given `shape`, a whole channel) stays and 0 elsewhere."""
    array = input.array
    if array.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"result type Float can't be cast to the desired output type {input.dtype}: dropout needs "
            "a floating-point input",
        )
    if shape is None and not _batch_innermost(input):
        like = np.empty_like(array)
    else:
        like = np.empty(array.shape if shape is None else shape, array.dtype)
    drawn: np.ndarray[Any, Any] = _coin_array(default_generator, like, 1 - p)
    if shape is not None or drawn.strides == array.strides:
        return drawn
    kept: np.ndarray[Any, Any] = np.empty_like(array)
    kept[...] = drawn
    return kept


def _batch_innermost(input: Any) -> bool:
    """Return True for the layout that convolutions give, and views of it.

    PyTorch draws in the order of memory, and its layout would be the plain one there: a layout of our
    own must not show in the numbers.
    """
    array = input.array if input._view is None else input._view.base.array
    if array.ndim < 2 or array.flags.c_contiguous:
        return False
    return bool(array.transpose(*range(1, array.ndim), 0).flags.c_contiguous)


def _times(input: Any, noise: Any, inplace: bool) -> Any:
    factor = result_type.make(noise)
    return input.mul_(factor) if inplace else multiply(input, factor)


def _drop(input: Any, p: float, inplace: bool, shape: tuple[int, ...] | None) -> Any:
    if p == 0 or not input.array.size:
        return input
    if p == 1:
        return _times(input, np.zeros_like(input.array, shape=()), inplace)
    noise = _kept(input, p, shape)
    noise /= noise.dtype.type(1 - p)
    return _times(input, noise, inplace)


def _drop_alpha(input: Any, p: float, inplace: bool, shape: tuple[int, ...] | None) -> Any:
    if p == 0 or not input.array.size:
        return input
    if p == 1:
        return _times(input, np.zeros_like(input.array, shape=()), inplace)
    a = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    noise = _kept(input, p, shape)
    shift = noise - 1
    shift *= _ALPHA * a
    shift += _ALPHA * a * p
    noise *= a
    scaled = _times(input, noise, inplace)
    moved = result_type.make(shift)
    return scaled.add_(moved) if inplace else add(scaled, moved)


def _channels(input: Any) -> tuple[int, ...]:
    """Return the shape of one number per sample and channel."""
    array = input.array
    if array.ndim < 2:
        raise told(
            RuntimeError,
            "Feature dropout requires at least 2 dimensions in the input, got shape "
            f"{tuple(array.shape)}",
        )
    return (*array.shape[:2], *(1,) * (array.ndim - 2))


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Return the input with each element zeroed with probability `p`, the others grown by 1/(1-p).

    Raises:
        ValueError: if `p` lies outside ``[0, 1]``.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.nn.functional.dropout(torch.ones(5), 0.4)
    tensor([0.0000, 0.0000, 1.6667, 0.0000, 0.0000])
    """
    _refuse(input, p, "dropout")
    return _drop(input, p, inplace, None) if training else input


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of what follows a SELU.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.
    """
    _refuse(input, p, "alpha_dropout")
    return _drop_alpha(input, p, inplace, None) if training else input


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """Alpha dropout of whole channels of an input ``(N, C, *)``."""
    _refuse(input, p, "feature_alpha_dropout")
    return _drop_alpha(input, p, inplace, _channels(input)) if training else input


def _batched(input: Any, p: float, training: bool, inplace: bool, batched: bool) -> Any:
    """Drop channels of ``(N, C, *)``, or of ``(C, *)`` as one sample."""
    if not training:
        return input
    if batched:
        return _drop(input, p, inplace, _channels(input))
    shape = input.array.shape
    return _drop(input, p, inplace, (shape[0], *(1,) * (len(shape) - 1)))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of an input ``(N, C, L)`` or ``(C, L)``.

    Raises:
        RuntimeError: for another number of dimensions.
    """
    _refuse(input, p, "dropout1d")
    ndim = input.array.ndim
    if ndim not in (2, 3):
        raise told(
            RuntimeError,
            f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input; use dropout to zero "
            "single elements",
        )
    return _batched(input, p, training, inplace, ndim == 3)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of an input ``(N, C, H, W)``."""
    _refuse(input, p, "dropout2d")
    ndim = input.array.ndim
    if ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {ndim}-D input to dropout2d, which is deprecated and will result "
            "in an error in a future release; use dropout, dropout1d or dropout3d",
            stacklevel=2,
        )
    if ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L); use dropout1d",
            stacklevel=2,
        )
    return _batched(input, p, training, inplace, True)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of an input ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""
    _refuse(input, p, "dropout3d")
    ndim = input.array.ndim
    if ndim not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {ndim}-D input to dropout3d, which is deprecated and will result "
            "in an error in a future release; use dropout, dropout1d or dropout2d",
            stacklevel=2,
        )
    return _batched(input, p, training, inplace, ndim == 5)
