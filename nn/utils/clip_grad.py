"""Keeping gradients from growing too large, in place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import here, told
from tinygrad_like.stamps import mark, noted

_SMALL = 4096  # elements; what is smaller is copied together, to call less


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Traced) else list(tensors)


@no_grad()
def get_total_norm(
    tensors: Any,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Return the norm of all tensors taken as one vector.

    Args:
        tensors: one or several.
        norm_type: which norm; infinity for the largest size.
        error_if_nonfinite: raise if it is nan or infinite.
        foreach: no matter here.

    Raises:
        RuntimeError: with `error_if_nonfinite`.

    >>> import tinygrad_like as torch
    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    del foreach
    norm_type = float(norm_type)
    arrays = [tensor.array for tensor in _listed(tensors)]
    if not arrays:
        return result_type.make(np.zeros((), np.float32))
    dtype = np.result_type(*arrays)
    norms = np.array([_norm(vector, norm_type) for vector in _vectors(arrays, norm_type)], dtype)
    total = np.asarray(_norm(norms, norm_type), dtype)
    if error_if_nonfinite and not np.isfinite(total):
        raise told(
            RuntimeError,
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite norm "
            "anyway, set `error_if_nonfinite=False`",
        )
    return result_type.make(total)


def _vectors(arrays: list[Any], order: float) -> list[Any]:
    """Return vectors with all elements of `arrays`, the small ones of a type in one if that may be."""
    if order == 0:  # the norm of norms, by which PyTorch finds it, is not that of all elements
        return [array.ravel() for array in arrays]
    small: dict[Any, list[Any]] = {}
    vectors = []
    for array in arrays:
        if array.size < _SMALL:
            small.setdefault(array.dtype, []).append(array)
        else:
            vectors.append(array.ravel())
    return vectors + [np.concatenate(few, None) for few in small.values()]


def _norm(vector: Any, order: float) -> Any:
    if not vector.size:
        return 0.0
    if vector.dtype.itemsize < 4:
        vector = vector.astype(np.float32)
    return math.sqrt(np.dot(vector, vector)) if order == 2 else np.linalg.norm(vector, order)


@no_grad()
def clip_grads_with_norm_(
    parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None
) -> None:
    """Multiply the gradients of `parameters` by ``max_norm / total_norm``, if that is below 1.

    Args:
        parameters: one or several tensors.
        max_norm: the largest norm wanted.
        total_norm: the norm there is, a tensor.
        foreach: no matter here.
    """
    del foreach
    factor = min(float(max_norm) / (total_norm.item() + 1e-6), 1.0)
    if factor == 1.0:
        return
    grads = [
        parameter._grad.array for parameter in _listed(parameters) if parameter._grad is not None
    ]
    try:
        for grad in grads:
            np.multiply(grad, factor, grad)
    finally:
        mark([noted(grad) for grad in grads], here())


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Shorten the gradients, taken as one vector, to `max_norm` and return the norm they had.

    Args:
        parameters: one or several tensors.
        max_norm: the largest norm wanted.
        norm_type: which norm; infinity for the largest size.
        error_if_nonfinite: raise if the norm is nan or infinite.
        foreach: no matter here.

    Raises:
        RuntimeError: with `error_if_nonfinite`.

    >>> import tinygrad_like as torch
    >>> x = torch.zeros(2, requires_grad=True)
    >>> x.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_(x, 1.0)
    tensor(5.)
    >>> x.grad
    tensor([0.6000, 0.8000])
    """
    given = _listed(parameters)
    grads = [parameter.grad for parameter in given if parameter.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(given, max_norm, total, foreach)
    return total


@no_grad()
def clip_grad_value_(
    parameters: Iterable[Any] | Any, clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp each element of the gradients to ±`clip_value`.

    Args:
        parameters: one or several tensors.
        clip_value: the largest size wanted.
        foreach: no matter here.
    """
    del foreach
    bound = float(clip_value)
    for parameter in _listed(parameters):
        if parameter.grad is not None:
            parameter.grad.clamp_(-bound, bound)
