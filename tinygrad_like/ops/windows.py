"""Windows: how kernels lie on the spatial dimensions, and images as columns of windows.

What decides the speed is the layout in memory. With the batch innermost, ``(C, H, W, N)`` behind a
view of shape ``(N, C, H, W)``, each slice that a window takes is a long run of neighbours. Results
have that layout, and NumPy's elementwise functions keep it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import op

FUNCTIONAL = ["fold", "unfold"]


class Geometry(NamedTuple):
    """How windows lie on the spatial dimensions; each field has one entry per dimension.

    Attributes:
        stride: the steps between windows.
        padding: zeros before and after.
        dilation: the steps between a window's elements.
        groups: into how many parts channels are divided, each part seeing only its own.
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


# ----- Layout -------------------------------------------------------------------------------------


def batch_last(x: Any) -> Any:
    """Return ``(N, C, ...)`` as a view ``(C, ..., N)``."""
    return x.transpose(*range(1, x.ndim), 0)


def batch_first(x: Any) -> Any:
    """Return ``(C, ..., N)`` as a view ``(N, C, ...)``."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def padded(xt: Any, padding: tuple[tuple[int, int], ...]) -> Any:
    """Return ``(C, ..., N)`` contiguous and with zeros around its spatial dimensions."""
    if not any(before or after for before, after in padding):
        return np.ascontiguousarray(xt)
    sizes = [n + sum(pair) for n, pair in zip(xt.shape[1:-1], padding, strict=True)]
    out = np.zeros((xt.shape[0], *sizes, xt.shape[-1]), xt.dtype)
    out[inner(xt.shape[1:-1], padding)] = xt
    return out


def inner(sizes: tuple[int, ...], padding: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """Return the index of what lies inside the padding of a padded array ``(C, ..., N)``."""
    spatial = (slice(before, before + n) for n, (before, _) in zip(sizes, padding, strict=True))
    return (slice(None), *spatial)


def taps(
    kernel: tuple[int, ...], out_sizes: tuple[int, ...], geometry: Geometry, first: int = 0
) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Yield each place in the kernel and the index of what all windows see there.

    `first` counts from which window in the first spatial dimension on.
    """
    for tap in product(*map(range, kernel)):
        index = [slice(None)]
        for k, (at, n, step, dilation) in enumerate(
            zip(tap, out_sizes, geometry.stride, geometry.dilation, strict=True)
        ):
            start = at * dilation + (0 if k else first * step)
            index.append(slice(start, start + step * (n - 1) + 1, step))
        yield tap, tuple(index)


def out_sizes_of(sizes: Any, kernel: Any, geometry: Geometry) -> tuple[int, ...]:
    """Return how many windows fit into each spatial dimension."""
    return tuple(
        (n + before + after - dilation * (k - 1) - 1) // step + 1
        for n, k, step, (before, after), dilation in zip(
            sizes, kernel, geometry.stride, geometry.padding, geometry.dilation, strict=True
        )
    )


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
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match the "
            f"convolution dimensions, but got {name}={list(values)}"
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
                raise RuntimeError("padding='same' is not supported for strided convolutions")
            totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            pairs = tuple((total // 2, total - total // 2) for total in totals)
        elif padding == "valid":
            pairs = ((0, 0),) * count
        else:
            raise RuntimeError(f"Invalid padding string: '{padding}'; expected 'valid' or 'same'")
    else:
        pairs = tuple((p, p) for p in per_dimension(padding, count, "padding"))
    if min(stride) <= 0:
        raise RuntimeError(f"non-positive stride is not supported: got {list(stride)}")
    if min(dilation) <= 0:
        raise RuntimeError(f"non-positive dilation is not supported: got {list(dilation)}")
    if min(map(min, pairs)) < 0:
        raise RuntimeError(f"negative padding is not supported: got {padding}")
    return Geometry(stride, pairs, dilation, groups)


# ----- Windows as columns -------------------------------------------------------------------------


@op(
    x=lambda g, x_shape, kernel, geometry: columns_to_image(g, x_shape[2:], kernel, geometry),
    label="Im2Col",
)
def image_to_columns(x: Array, kernel: tuple[int, ...], geometry: Geometry) -> Array:
    """Return the windows of ``(N, C, H, W)`` as columns ``(N, C * K1 * K2, windows)``."""
    sizes = out_sizes_of(x.shape[2:], kernel, geometry)
    xp = padded(batch_last(x), geometry.padding)
    windows: Any = np.empty((xp.shape[0], *kernel, *sizes, xp.shape[-1]), x.dtype)
    for tap, index in taps(kernel, sizes, geometry):
        windows[(slice(None), *tap)] = xp[index]
    depth = xp.shape[0] * math.prod(kernel)
    return batch_first(windows.reshape(depth, math.prod(sizes), xp.shape[-1]))


@op(
    x=lambda g, kernel, geometry: image_to_columns(g, kernel, geometry),
    label="Col2Im",
)
def columns_to_image(
    x: Array, sizes: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry
) -> Array:
    """Return the sum of windows, columns ``(N, C * K1 * K2, windows)``, as ``(N, C, H, W)``."""
    xt = np.ascontiguousarray(batch_last(x))
    out_sizes = out_sizes_of(sizes, kernel, geometry)
    channels, batch = xt.shape[0] // math.prod(kernel), xt.shape[-1]
    windows: Any = xt.reshape(channels, *kernel, *out_sizes, batch)
    total = [n + sum(pair) for n, pair in zip(sizes, geometry.padding, strict=True)]
    out = np.zeros((channels, *total, batch), x.dtype)
    for tap, index in taps(kernel, out_sizes, geometry):
        out[index] += windows[(slice(None), *tap)]
    return batch_first(out[inner(tuple(sizes), geometry.padding)])


def _check_blocks(sizes: Any, kernel: Any, geometry: Geometry) -> tuple[int, ...]:
    counts = out_sizes_of(sizes, kernel, geometry)
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(sizes)}, kernel_size={kernel}, "
            f"dilation={geometry.dilation}, padding={tuple(p for p, _ in geometry.padding)}, calculated "
            f"shape of the array of sliding blocks as {counts}, but its components must be at least one."
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
    if input.ndim not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    kernel = per_dimension(kernel_size, 2, "kernel_size")
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
    if input.ndim not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    kernel = per_dimension(kernel_size, 2, "kernel_size")
    sizes = per_dimension(output_size, 2, "output_size")
    geometry = geometry_of(kernel, stride, padding, dilation, 1)
    if input.shape[-2] % math.prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but "
            f"got input.size(1)={input.shape[-2]} and kernel_size={kernel}."
        )
    counts = _check_blocks(sizes, kernel, geometry)
    if input.shape[-1] != math.prod(counts):
        raise RuntimeError(
            f"Given output_size={sizes}, kernel_size={kernel}, dilation={geometry.dilation}, "
            f"padding={tuple(p for p, _ in geometry.padding)}, stride={geometry.stride}, expected size "
            f"of input's dimension 2 to match the calculated number of sliding blocks "
            f"{' * '.join(map(str, counts))} = {math.prod(counts)}, but got "
            f"input.size(2)={input.shape[-1]}."
        )
    if input.ndim == 2:
        return columns_to_image(input[None], sizes, kernel, geometry)[0]
    return columns_to_image(input, sizes, kernel, geometry)
