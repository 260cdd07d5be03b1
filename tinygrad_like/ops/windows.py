"""Windows: how kernels lie on the spatial dimensions, and images as columns of windows.

What decides the speed is the layout in memory. With the batch innermost, ``(C, H, W, N)`` behind a
view of shape ``(N, C, H, W)``, each slice that a window takes is a long run of neighbours. Results
have that layout, and NumPy's elementwise functions keep it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import jit, threads
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import unsupported

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


class Axis(NamedTuple):
    """How windows lie on one dimension.

    Attributes:
        taps: the elements of a window.
        start: where the first window begins; before the input if negative.
        step: how far the next window is.
        spread: how far a window's next element is.
        windows: how many windows there are.
    """

    taps: int
    start: int
    step: int
    spread: int
    windows: int

    def part(self, start: int, stop: int) -> Axis:
        """Return some of the windows."""
        return self._replace(start=self.start + start * self.step, windows=stop - start)

    def within(self, n: int) -> bool:
        """Return whether windows of one element follow each other inside an input of `n`."""
        inside = self.start >= 0 and self.start + self.windows <= n
        return inside and self.taps == 1 and self.step == 1

    def seen(self, tap: int, n: int) -> tuple[slice, slice]:
        """Return whose element `tap` is inside an input of `n`, and where in the input it is."""
        first = self.start + tap * self.spread
        low = min(max(0, -(first // self.step)), self.windows)
        high = max(low, min(self.windows, (n - 1 - first) // self.step + 1))
        at = max(0, low * self.step + first)
        return slice(low, high), slice(at, at + (high - low) * self.step, self.step)


# ----- Layout -------------------------------------------------------------------------------------


def batch_last(x: Any) -> Any:
    """Return ``(N, C, ...)`` as a view ``(C, ..., N)``."""
    return x.transpose(*range(1, x.ndim), 0)


def batch_first(x: Any) -> Any:
    """Return ``(C, ..., N)`` as a view ``(N, C, ...)``."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


@jit.compiled("convolution.transpose", least=4096)
def _transpose(x: Any, out: Any, start: int, stop: int) -> None:
    """Write the columns of ``(N, M)`` from `start` to `stop` into the rows of ``(M, N)``."""
    if x.shape[0] <= 8 or x.strides[0] % 1024:
        out[start:stop] = x[:, start:stop].T
        return
    # Numbers that lie a multiple of such a distance apart are in each other's place in the cache.
    nearer = np.empty((x.shape[0], 1024 + 16), x.dtype)
    for first in range(start, stop, 1024):
        part = nearer[:, : min(1024, stop - first)]
        part[...] = x[:, first : first + part.shape[1]]
        out[first : first + part.shape[1]] = part.T


def images(x: Any) -> Any:
    """Return ``(N, C, ...)`` as ``(C, ..., N)`` with the batch innermost in memory too."""
    xt = batch_last(x)
    if xt.shape[-1] < 2 or xt.strides[-1] == xt.itemsize:
        return xt
    if not x.flags.c_contiguous:
        return np.ascontiguousarray(xt)
    out = np.empty(xt.shape, x.dtype)
    flat, columns = x.reshape(x.shape[0], -1), out.reshape(-1, x.shape[0])

    def work(start: int, stop: int) -> None:
        _transpose(flat, columns, start, stop)

    threads.split(len(columns), work, x.nbytes + out.nbytes)
    return out


@lru_cache(maxsize=256)
def axes_of(
    kernel: tuple[int, ...], counts: tuple[int, ...], geometry: Geometry
) -> tuple[Axis, ...]:
    """Return how windows, whose numbers are given, lie on the input of a convolution."""
    return tuple(
        Axis(taps, -before, step, spread, count)
        for taps, (before, _), step, spread, count in zip(
            kernel, geometry.padding, geometry.stride, geometry.dilation, counts, strict=True
        )
    )


_Tap = tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]


@lru_cache(maxsize=256)
def taps(axes: tuple[Axis, ...], sizes: tuple[int, ...]) -> list[_Tap]:
    """Return each element of a window, which windows have it inside an input, and where it is there."""
    ways = [
        [(tap, *axis.seen(tap, n)) for tap in range(axis.taps)]
        for axis, n in zip(axes, sizes, strict=True)
    ]
    found = []
    for way in product(*ways):
        tap, windows, seen = (tuple(part) for part in zip(*way, strict=True)) if way else ((),) * 3
        found.append((tap, windows, seen))
    return found


def clear_outside(x: Any, box: Sequence[slice], first: int) -> None:
    """Set an array to 0 outside a box that spans the dimensions from `first` on."""
    for k, (n, side) in enumerate(zip(x.shape[first:], box, strict=False), first):
        for outside in (slice(0, side.start), slice(side.stop, n)):
            if outside.start < outside.stop:
                x[(*(slice(None),) * k, outside)] = 0


def as_numbers(axes: Sequence[Axis], sizes: Sequence[int]) -> Any:
    """Return three axes and the sizes of what they lie on as an array, which is what kernels take."""
    rows = [(*axis, n) for axis, n in zip(axes, sizes, strict=True)]
    return np.array([(1, 0, 1, 1, 1, 1)] * (3 - len(rows)) + rows, np.int64)


def from_numbers(numbers: Any) -> tuple[tuple[Axis, ...], list[int]]:
    """Undo `as_numbers`."""
    return tuple(Axis(*row[:5]) for row in numbers.tolist()), numbers[:, 5].tolist()


_Kind = tuple[tuple[slice, ...], tuple[slice, ...], tuple[Axis, ...]]


@lru_cache(maxsize=256)
def kinds_of_pixels(
    sizes: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry
) -> list[_Kind]:
    """Return which pixels of a convolution's input which elements of its kernel see, and from where.

    With a stride of s there are s kinds of pixels in each dimension, and every element of the kernel
    sees one kind. The axes say which windows see a pixel: they are windows on the result.
    """
    ways: list[Any] = []
    for n, taps, (before, _), step, spread in zip(
        sizes, kernel, geometry.padding, geometry.stride, geometry.dilation, strict=True
    ):
        common = math.gcd(step, spread)
        ways.append([])
        for k in range(min(step, n)):
            # Tap t sees the pixel before + k, counted in the padded input, if it is t * spread
            # behind a multiple of the step.
            found = [t for t in range(taps) if (before + k - t * spread) % step == 0]
            count = -(-(n - k) // step)
            last = (before + k - found[-1] * spread) // step if found else 0
            stop = found[0] - 1 if found and found[0] else None
            seen = slice(found[-1], stop, -(step // common)) if found else slice(0, 0)
            axis = Axis(len(found), last, 1, spread // common, count)
            ways[-1].append((slice(k, None, step), seen, axis))
    kinds = []
    for way in product(*ways):
        pixels, elements, axes = zip(*way, strict=True)
        kinds.append((pixels, elements, axes))
    return kinds


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
