"""Convolutions in any number of dimensions: three ops, each the adjoint of the other two.

With the batch innermost in memory (see `windows`), no transpose stands around the matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Array, as_array
from tinygrad_like.op import op
from tinygrad_like.ops import windows as _windows
from tinygrad_like.ops.windows import (
    Geometry,
    batch_first,
    batch_last,
    geometry_of,
    inner,
    out_sizes_of,
    padded,
    per_dimension,
    taps,
)

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]
FUNCTIONAL = [*__all__, *_windows.FUNCTIONAL]

fold, unfold = _windows.fold, _windows.unfold

# A matrix of windows larger than this many bytes is made and used up block by block, in the cache.
_BLOCK = 1 << 20


def _block_rows(row_bytes: int, rows: int) -> int:
    """Return how many windows of the first spatial dimension to treat at a time."""
    if row_bytes * rows <= 2 * _BLOCK:
        return rows
    return max(1, min(rows, _BLOCK // max(row_bytes, 1)))


def _in_blocks(
    xp: Any, kernel: tuple[int, ...], out_sizes: tuple[int, ...], geometry: Geometry
) -> Iterator[tuple[int, int, Any]]:
    """Yield the matrix of all windows of a padded input, ``(groups, C/groups * taps, windows * N)``.

    It comes in blocks, each with the first and the last row of windows (plus one) it holds.
    """
    depth, groups = xp.shape[0] * math.prod(kernel), geometry.groups
    rows, *rest = out_sizes
    if math.prod(kernel) == 1 and xp.shape[1:-1] == out_sizes:
        # A kernel of one element sees the input itself.
        yield 0, rows, xp.reshape(groups, depth // groups, -1)
        return
    row = math.prod(rest) * xp.shape[-1]
    block = _block_rows(depth * row * xp.itemsize, rows)
    windows: Any = None
    for start in range(0, rows, block):
        n = min(block, rows - start)
        if windows is None or windows.size != depth * n * row:
            windows = np.empty((xp.shape[0], *kernel, n, *rest, xp.shape[-1]), xp.dtype)
        for tap, index in taps(kernel, (n, *rest), geometry, start):
            windows[(slice(None), *tap)] = xp[index]
        yield start, start + n, windows.reshape(groups, depth // groups, -1)


def _product(x: Any, y: Any, out: Any = None) -> Any:
    """Return the products of matrices; where the inner size is 1 NumPy's own is 20 times slower."""
    return np.multiply(x, y, out=out) if x.shape[-1] == 1 else np.matmul(x, y, out=out)


# ----- The three ops ------------------------------------------------------------------------------


@op(
    x=lambda g, x_shape, weight, geometry: convolution_input(g, weight, x_shape[2:], geometry),
    weight=lambda g, x, weight_shape, geometry: convolution_weight(
        x, g, weight_shape[2:], geometry
    ),
    bias=lambda g: np.sum(g, axis=(0, *range(2, g.ndim))),
    dtype="same",
)
def convolution(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """Return the convolution of ``(N, C, ...)`` with ``(O, C/groups, ...)``."""
    groups, kernel = geometry.groups, weight.shape[2:]
    out_channels, batch = weight.shape[0], x.shape[0]
    sizes = out_sizes_of(x.shape[2:], kernel, geometry)
    xp = padded(batch_last(x), geometry.padding)
    w = weight.reshape(groups, out_channels // groups, -1)
    out = np.empty((groups, out_channels // groups, *sizes, batch), x.dtype)
    for start, stop, windows in _in_blocks(xp, kernel, sizes, geometry):
        # Whole rows of windows lie together in memory, so this is a view, and BLAS writes into it.
        part = out[:, :, start:stop].reshape(*out.shape[:2], -1)
        _product(w, windows, part)
    out = out.reshape(out_channels, *sizes, batch)
    if bias is not None:
        out += bias.reshape(-1, *(1,) * (out.ndim - 1))
    return batch_first(out)


@op(
    grad=lambda g, weight, geometry: convolution(g, weight, None, geometry),
    weight=lambda g, grad, weight_shape, geometry: convolution_weight(
        g, grad, weight_shape[2:], geometry
    ),
    label="Convolution",
    dtype="same",
)
def convolution_input(
    grad: Array, weight: Array, sizes: tuple[int, ...], geometry: Geometry
) -> Array:
    """Return the gradient of a convolution for its input, whose spatial sizes are given.

    This is also what a transposed convolution computes.
    """
    groups, kernel = geometry.groups, weight.shape[2:]
    sizes, channels, batch = tuple(sizes), weight.shape[1] * groups, grad.shape[0]
    gt = np.ascontiguousarray(batch_last(grad))
    out_sizes = gt.shape[1:-1]
    w = weight.reshape(groups, weight.shape[0] // groups, -1).swapaxes(1, 2)
    gt = gt.reshape(groups, weight.shape[0] // groups, *gt.shape[1:])
    total = tuple(
        n + before + after for n, (before, after) in zip(sizes, geometry.padding, strict=True)
    )
    if math.prod(kernel) == 1 and total == out_sizes:
        out = _product(w, gt.reshape(*gt.shape[:2], -1)).reshape(channels, *total, batch)
        return batch_first(out[inner(sizes, geometry.padding)])
    out = np.zeros((channels, *total, batch), grad.dtype)
    rows, *rest = out_sizes
    row_bytes = channels * math.prod(kernel) * math.prod(rest) * batch * grad.itemsize
    block = _block_rows(row_bytes, rows)
    for start in range(0, rows, max(block, 1)):
        n = min(block, rows - start)
        part = gt[:, :, start : start + n].reshape(*gt.shape[:2], -1)
        windows = _product(w, part).reshape(channels, *kernel, n, *rest, batch)
        for tap, index in taps(kernel, (n, *rest), geometry, start):
            target = out[index]
            np.add(target, windows[(slice(None), *tap)], out=target)
    return batch_first(out[inner(sizes, geometry.padding)])


@op(
    x=lambda g, grad, x_shape, geometry: convolution_input(grad, g, x_shape[2:], geometry),
    grad=lambda g, x, geometry: convolution(x, g, None, geometry),
    label="Convolution",
    dtype="same",
)
def convolution_weight(x: Array, grad: Array, kernel: tuple[int, ...], geometry: Geometry) -> Array:
    """Return the gradient of a convolution for its weight, whose kernel's sizes are given."""
    groups, kernel = geometry.groups, tuple(kernel)
    gt = np.ascontiguousarray(batch_last(grad))
    out_sizes = gt.shape[1:-1]
    channels = gt.shape[0]
    gt = gt.reshape(groups, channels // groups, *gt.shape[1:])
    xp = padded(batch_last(x), geometry.padding)
    out = np.zeros((groups, channels // groups, xp.shape[0] // groups * math.prod(kernel)), x.dtype)
    for start, stop, windows in _in_blocks(xp, kernel, out_sizes, geometry):
        part = gt[:, :, start:stop].reshape(*gt.shape[:2], -1)
        out += np.matmul(part, windows.swapaxes(1, 2))
    return out.reshape(channels, xp.shape[0] // groups, *kernel)


# ----- Arguments ----------------------------------------------------------------------------------


def _check_operands(
    name: str, count: int, input: Any, weight: Any, bias: Any, groups: int, transposed: bool
) -> None:
    """Raise what PyTorch raises for operands that do not fit each other."""
    for position, (argument, value) in enumerate((("input", input), ("weight", weight)), 1):
        if not hasattr(value, "ndim"):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
                f"{type(value).__name__}"
            )
    x, w = as_array(input), as_array(weight)
    if x.ndim not in (count + 1, count + 2):
        raise RuntimeError(
            f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but got "
            f"input of size: {list(x.shape)}"
        )
    if w.ndim != count + 2:
        raise RuntimeError(
            f"{name}: weight has shape {list(w.shape)}, expected {count + 2} dimensions "
            + ("(C, O/groups, ...)" if transposed else "(O, C/groups, ...)")
        )
    if x.dtype != w.dtype:
        raise RuntimeError(
            f"Input type ({dtypes.named(x.dtype)}) and weight type ({dtypes.named(w.dtype)}) should be "
            "the same; convert one with .to(dtype)"
        )
    if groups <= 0:
        raise RuntimeError(f"non-positive groups is not supported: got {groups}")
    channels = x.shape[-count - 1]
    kind = f"Given transposed=1, weight of size {list(w.shape)}"
    if not transposed:
        kind = f"Given groups={groups}, weight of size {list(w.shape)}"
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but "
            f"got weight of size [{list(w.shape)}] instead"
        )
    wanted = w.shape[0] if transposed else w.shape[1] * groups
    if channels != wanted:
        raise RuntimeError(
            f"{kind}, expected input{list(x.shape)} to have {wanted} channels, but got {channels} "
            "channels instead"
        )
    if bias is None:
        return
    b = as_array(bias)
    outputs = w.shape[1] * groups if transposed else w.shape[0]
    if b.shape != (outputs,):
        given = kind if transposed else f"Given weight of size {list(w.shape)}"
        raise RuntimeError(
            f"{given}, expected bias to be 1-dimensional with {outputs} elements, but got bias of size "
            f"{list(b.shape)} instead"
        )
    if b.dtype != x.dtype:
        raise RuntimeError(
            f"Input type ({dtypes.named(x.dtype)}) and bias type ({dtypes.named(b.dtype)}) should be "
            "the same; convert one with .to(dtype)"
        )


def _convolve(
    name: str,
    count: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    _check_operands(name, count, input, weight, bias, groups, False)
    geometry = geometry_of(tuple(weight.shape[2:]), stride, padding, dilation, groups)
    unbatched = input.ndim == count + 1
    if unbatched:
        input = input[None]
    sizes = [n + sum(p) for n, p in zip(input.shape[2:], geometry.padding, strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], geometry.dilation, strict=True)]
    if any(n < k for n, k in zip(sizes, reach, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, sizes))}). Kernel size: "
            f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size"
        )
    out = convolution(input, weight, bias, geometry)
    return out[0] if unbatched else out


def _convolve_transposed(
    name: str,
    count: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    _check_operands(name, count, input, weight, bias, groups, True)
    geometry = geometry_of(tuple(weight.shape[2:]), stride, padding, dilation, groups)
    extra = per_dimension(output_padding, count, "output_padding")
    if any(
        e >= s and e >= d for e, s, d in zip(extra, geometry.stride, geometry.dilation, strict=True)
    ):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got output_padding="
            f"{list(extra)}, stride={list(geometry.stride)}, dilation={list(geometry.dilation)}"
        )
    unbatched = input.ndim == count + 1
    if unbatched:
        input = input[None]
    sizes = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + e
        for n, s, (p, _), d, k, e in zip(
            input.shape[2:],
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            weight.shape[2:],
            extra,
            strict=True,
        )
    )
    if min(sizes) < 1:
        raise RuntimeError(
            f"Given input size per channel: {list(input.shape[2:])}. Calculated output size per "
            f"channel: {list(sizes)}. Output size is too small"
        )
    out = convolution_input(input, weight, sizes, geometry)
    if bias is not None:
        out = out + bias[(slice(None), *(None,) * count)]
    return out[0] if unbatched else out


# ----- PyTorch's spelling -------------------------------------------------------------------------


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of ``(N, C, L)`` or ``(C, L)`` with ``(O, C/groups, K)``.

    The arguments and errors are those of `conv2d`.

    >>> import tinygrad_like as torch
    >>> torch.conv1d(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[1.0, -1.0]]]))
    tensor([[[-1., -1.]]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of ``(N, C, H, W)`` or ``(C, H, W)`` with ``(O, C/groups, K1, K2)``.

    Args:
        input: a batch of images, or one.
        weight: the kernels.
        bias: what is added to each output channel, ``(O)``.
        stride: steps between windows, an int or one per dimension.
        padding: zeros on either side, an int or one per dimension; "valid" for none, "same" for as
            many as keep the size.
        dilation: steps between the elements of a window, an int or one per dimension.
        groups: how many parts the channels are divided into, each seeing only its own.

    Raises:
        RuntimeError: if shapes, dtypes or options do not fit.

    >>> import tinygrad_like as torch
    >>> torch.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of ``(N, C, D, H, W)`` with ``(O, C/groups, K1, K2, K3)``.

    The arguments and errors are those of `conv2d`.
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Return the transposed convolution of ``(N, C, L)`` with ``(C, O/groups, K)``.

    The arguments and errors are those of `conv_transpose2d`.

    >>> import tinygrad_like as torch
    >>> torch.conv_transpose1d(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]]), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return _convolve_transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Return the transposed convolution of ``(N, C, H, W)`` with ``(C, O/groups, K1, K2)``.

    It is the gradient of a convolution with the same options for its input.

    Args:
        input: a batch of images, or one.
        weight: the kernels.
        bias: what is added to each output channel, ``(O)``.
        stride: steps between windows of the output.
        padding: rows and columns that are cut off on either side of the output.
        output_padding: further rows and columns at the end of the output.
        groups: how many parts the channels are divided into.
        dilation: steps between the elements of a window.

    Raises:
        RuntimeError: if shapes, dtypes or options do not fit.
    """
    return _convolve_transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Return the transposed convolution of ``(N, C, D, H, W)`` with ``(C, O/groups, K1, K2, K3)``.

    The arguments and errors are those of `conv_transpose2d`.
    """
    return _convolve_transposed(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )
