"""Pooling over windows of one size at places that are partly random.

Source: Graham, "Fractional Max-Pooling", 2014.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.pooling_ops import gather_planes
from tinygrad_like.ops.random import rand
from tinygrad_like.ops.shaping import reshape

FUNCTIONAL = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]


def _starts(sample: Any, size: int, count: int, window: int) -> Any:
    """Return where `count` windows begin, for each of many random numbers in ``[0, 1)``."""
    if count == 1:
        return np.full((*sample.shape, 1), size - window)
    alpha = sample.dtype.type((size - window) / (count - 1))
    steps = np.arange(count).astype(sample.dtype)
    first = sample[..., None]
    starts = ((steps + first) * alpha).astype(np.int64) - (first * alpha).astype(np.int64)
    starts[..., -1] = size - window
    return starts


def _sizes(name: str, input: Any, size: Any, ratio: Any, axes: int) -> tuple[int, ...]:
    """Return the output's size, from what was given of it."""
    if size is None and ratio is None:
        raise told(
            ValueError, f"{name} requires specifying either an output_size or an output_ratio"
        )
    given = size if size is not None else ratio
    if not isinstance(given, tuple | list):
        given = (given,) * axes
    if len(given) != axes:
        raise told(
            ValueError,
            f"{name} requires output_{'size' if ratio is None else 'ratio'} to "
            f"either be a single Int or tuple of Ints of length {axes}, got {given}",
        )
    if size is not None:
        return tuple(given)
    return tuple(int(n * r) for n, r in zip(input.shape[-axes:], given, strict=True))


def _largest(x: Any, corners: Any, inside: Any, kernel: tuple[int, ...]) -> Any:
    """Return where in its plane each window's largest element is, the last nan if there is one."""
    size = math.prod(inside)
    flat = np.ascontiguousarray(x).reshape(-1)
    planes = math.prod(corners.shape[:2])
    before = np.arange(planes).reshape(*corners.shape[:2], *(1,) * len(inside)) * size
    first = corners + before
    found, best = first.copy(), flat[first]
    for offsets in np.ndindex(*kernel):
        step = sum(o * math.prod(inside[i + 1 :]) for i, o in enumerate(offsets))
        if step:
            values = flat[first + step]
            better = values > best
            better |= values != values  # nan
            np.copyto(found, first + step, where=better)
            np.copyto(best, values, where=better)
    return found - before


def _pool(
    name: str, axes: int, input: Any, kernel: Any, size: Any, ratio: Any, samples: Any
) -> tuple[Any, Any]:
    """Return the largest elements of the windows of ``(N, C, ...)`` or ``(C, ...)``, and where they are."""
    if not isinstance(input, Traced):
        raise told(
            TypeError, f"{name}(): argument 'input' must be Tensor, not {type(input).__name__}"
        )
    counts = _sizes(name, input, size, ratio, axes)
    kernel = tuple(kernel) if isinstance(kernel, tuple | list) else (kernel,) * axes
    shape, d = input.array.shape, input.array.dtype
    if len(shape) not in (axes + 1, axes + 2) or not math.prod(shape[-axes - 1 :]):
        raise (IndexError if len(shape) <= axes else RuntimeError)(
            f"{name}(): Expected {axes + 1}D or {axes + 2}D tensor with elements, but got: {list(shape)}"
        )
    batch = 1 if len(shape) == axes + 1 else shape[0]
    planes, inside = (batch, shape[-axes - 1]), shape[-axes:]
    for n, count, window in zip(inside, counts, kernel, strict=True):
        # PyTorch's wants one element more in three dimensions.
        if window <= 0 or count + window - 1 > n - (axes == 3):
            raise told(
                RuntimeError,
                f"{name}(): pool size {window} too large relative to input size {n} for {count} windows",
            )
    if samples is None:
        samples = rand(*planes, axes, dtype=d)
    elif tuple(samples.shape) != (*planes, axes) or samples.array.dtype is not d:
        raise told(
            RuntimeError,
            f"{name}(): Expect _random_samples of shape {[*planes, axes]} and dtype {d}, got "
            f"{list(samples.shape)} and {samples.dtype}",
        )
    numbers = samples.array
    corners: Any = 0
    for axis in range(axes):
        # The first number is that of the last axis in two dimensions, of the first axis in three.
        sample = numbers[..., axes - 1 - axis if axes == 2 else axis]
        starts = _starts(sample, inside[axis], counts[axis], kernel[axis])
        spread = [1] * axes
        spread[axis] = counts[axis]
        corners = corners + starts.reshape(*planes, *spread) * math.prod(inside[axis + 1 :])
    where = result_type.make(_largest(input.array, corners, inside, kernel))
    out = gather_planes(reshape(input, (*planes, *inside)), where)
    outside = (*shape[: len(shape) - axes], *counts)
    return reshape(out, outside), reshape(where, outside)


def fractional_max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:
    """Return what `fractional_max_pool2d` does, and the indices of the largest elements."""
    del return_indices
    name = "fractional_max_pool2d"
    return _pool(name, 2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:
    """Return what `fractional_max_pool3d` does, and the indices of the largest elements."""
    del return_indices
    name = "fractional_max_pool3d"
    return _pool(name, 3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Return the largest elements of windows at random places of ``(N, C, H, W)`` or ``(C, H, W)``.

    Args:
        input: images.
        kernel_size: the size of a window.
        output_size: how many windows there are along both axes.
        output_ratio: how many there are, as a share of the input's size; one of both is needed.
        return_indices: whether to return where they are as well.
        _random_samples: numbers ``(N, C, 2)`` in ``[0, 1)`` that say where windows lie.

    Raises:
        ValueError: if neither `output_size` nor `output_ratio` is given.
        RuntimeError: if the windows don't fit.

    >>> import tinygrad_like as torch
    >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> torch.nn.functional.fractional_max_pool2d(x, 2, output_size=1)
    tensor([[[[15.]]]])
    """
    found = fractional_max_pool2d_with_indices(
        input, kernel_size, output_size, output_ratio, True, _random_samples
    )
    return found if return_indices else found[0]


def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Return the largest elements of windows at random places of ``(N, C, D, H, W)``.

    See `fractional_max_pool2d`; there are three random numbers for each channel.
    """
    found = fractional_max_pool3d_with_indices(
        input, kernel_size, output_size, output_ratio, True, _random_samples
    )
    return found if return_indices else found[0]
