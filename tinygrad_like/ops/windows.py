"""Windows on images: their arguments, and images as columns of windows (`fold`, `unfold`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.arrays.windows import (
    Geometry,
    axes_of,
    batch_first,
    clear_outside,
    images,
    out_sizes_of,
    taps,
)
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import unsupported

FUNCTIONAL = ["fold", "unfold"]


# ----- Arguments ----------------------------------------------------------------------------------


def per_dimension(value: Any, count: int, name: str) -> tuple[int, ...]:
    """Return an int or a sequence of them as one int per dimension.

    Raises:
        RuntimeError: if the sequence has another length.
    """
    if isinstance(value, int | np.integer):
        return (int(value),) * count
    values = tuple(int(v) for v in value)
    if len(values) == 1:
        return values * count
    if len(values) != count:
        raise told(
            RuntimeError,
            f"expected {name} to be a single integer value or a list of {count} values to match the "
            f"convolution dimensions, but got {name}={list(values)}",
        )
    return values


def geometry_of(
    kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: int
) -> Geometry:
    """Return the geometry that PyTorch's arguments describe.

    Raises:
        RuntimeError: if one of them is out of range.
    """
    count = len(kernel)
    stride = per_dimension(stride, count, "stride")
    dilation = per_dimension(dilation, count, "dilation")
    if isinstance(padding, str):
        if padding == "same":
            if any(s != 1 for s in stride):
                raise told(RuntimeError, "padding='same' is not supported for strided convolutions")
            totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            pairs = tuple((total // 2, total - total // 2) for total in totals)
        elif padding == "valid":
            pairs = ((0, 0),) * count
        else:
            raise told(
                RuntimeError, f"Invalid padding string: '{padding}'; expected 'valid' or 'same'"
            )
    else:
        pairs = tuple((p, p) for p in per_dimension(padding, count, "padding"))
    if min(stride) <= 0:
        raise told(RuntimeError, f"non-positive stride is not supported: got {list(stride)}")
    if min(dilation) <= 0:
        raise told(RuntimeError, f"non-positive dilation is not supported: got {list(dilation)}")
    if min(map(min, pairs)) < 0:
        raise told(RuntimeError, f"negative padding is not supported: got {padding}")
    return Geometry(stride, pairs, dilation, groups)


# ----- Windows as columns -------------------------------------------------------------------------


@op(
    x=lambda g, x_shape, kernel, geometry: columns_to_image(g, x_shape[2:], kernel, geometry),
    label="Im2Col",
)
def image_to_columns(x: Array, kernel: tuple[int, ...], geometry: Geometry) -> Array:
    """Return the windows of ``(N, C, H, W)`` as columns ``(N, C * K1 * K2, windows)``."""
    xt, counts = images(x), out_sizes_of(x.shape[2:], kernel, geometry)
    out: Any = np.empty((xt.shape[0], *kernel, *counts, xt.shape[-1]), x.dtype)
    axes = axes_of(kernel, counts, geometry)
    padded = any(map(any, geometry.padding))
    for tap, windows, seen in taps(axes, xt.shape[1:-1]):
        target = out[(slice(None), *tap)]
        if padded:
            clear_outside(target, windows, 1)
        target[(slice(None), *windows)] = xt[(slice(None), *seen)]
    return batch_first(
        out.reshape(xt.shape[0] * math.prod(kernel), math.prod(counts), xt.shape[-1])
    )


@op(
    x=lambda g, kernel, geometry: image_to_columns(g, kernel, geometry),
    label="Col2Im",
)
def columns_to_image(
    x: Array, sizes: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry
) -> Array:
    """Return the sum of windows, columns ``(N, C * K1 * K2, windows)``, as ``(N, C, H, W)``."""
    xt, counts = images(x), out_sizes_of(sizes, kernel, geometry)
    columns = xt.reshape(xt.shape[0] // math.prod(kernel), *kernel, *counts, xt.shape[-1])
    out = np.zeros((columns.shape[0], *sizes, xt.shape[-1]), x.dtype)
    for tap, windows, seen in taps(axes_of(kernel, counts, geometry), tuple(sizes)):
        target = out[(slice(None), *seen)]
        target += columns[(slice(None), *tap, *windows)]
    return batch_first(out)


def _refuse_whole(name: str, input: Any) -> None:
    if as_array(input).dtype.kind != "f":
        raise unsupported(name, as_array(input).dtype)


def _check_blocks(sizes: Any, kernel: Any, geometry: Geometry) -> tuple[int, ...]:
    counts = out_sizes_of(sizes, kernel, geometry)
    if min(counts) < 1:
        raise told(
            RuntimeError,
            f"Given input with spatial size {tuple(sizes)}, kernel_size={kernel}, "
            f"dilation={geometry.dilation}, padding={tuple(p for p, _ in geometry.padding)}, calculated "
            f"shape of the array of sliding blocks as {counts}, but its components must be at least one.",
        )
    return counts


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Return the windows of ``(N, C, H, W)`` or ``(C, H, W)`` as columns ``(N, C * K1 * K2, L)``.

    Raises:
        RuntimeError: if the input has another number of dimensions or there is no window.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.convolution import unfold
    >>> unfold(torch.ones(1, 2, 3, 3), kernel_size=2).shape
    torch.Size([1, 8, 4])
    """
    require_tensors("im2col", input=input)
    _refuse_whole("unfold", input)
    if input.ndim not in (3, 4):
        raise told(
            RuntimeError,
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}",
        )
    kernel = per_dimension(kernel_size, 2, "kernel_size")
    if min(kernel) < 1:
        raise told(
            RuntimeError, f"unfold: kernel_size should be greater than zero, but got {kernel}"
        )
    geometry = geometry_of(kernel, stride, padding, dilation, 1)
    _check_blocks(input.shape[-2:], kernel, geometry)
    if input.ndim == 3:
        return image_to_columns(input[None], kernel, geometry)[0]
    return image_to_columns(input, kernel, geometry)


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Return the sum of windows, columns ``(N, C * K1 * K2, L)``, as an image ``(N, C, H, W)``.

    Raises:
        RuntimeError: if the columns are not those of an image of `output_size`.
    """
    require_tensors("col2im", input=input)
    _refuse_whole("fold", input)
    if input.ndim not in (2, 3):
        raise told(
            RuntimeError,
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
            f"dimensions for input, but got: {list(input.shape)}",
        )
    kernel = per_dimension(kernel_size, 2, "kernel_size")
    sizes = per_dimension(output_size, 2, "output_size")
    geometry = geometry_of(kernel, stride, padding, dilation, 1)
    if input.shape[-2] % math.prod(kernel):
        raise told(
            RuntimeError,
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but "
            f"got input.size(1)={input.shape[-2]} and kernel_size={kernel}.",
        )
    counts = _check_blocks(sizes, kernel, geometry)
    if input.shape[-1] != math.prod(counts):
        raise told(
            RuntimeError,
            f"Given output_size={sizes}, kernel_size={kernel}, dilation={geometry.dilation}, "
            f"padding={tuple(p for p, _ in geometry.padding)}, stride={geometry.stride}, expected size "
            f"of input's dimension 2 to match the calculated number of sliding blocks "
            f"{' * '.join(map(str, counts))} = {math.prod(counts)}, but got "
            f"input.size(2)={input.shape[-1]}.",
        )
    if input.ndim == 2:
        return columns_to_image(input[None], sizes, kernel, geometry)[0]
    return columns_to_image(input, sizes, kernel, geometry)
