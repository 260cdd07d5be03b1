"""Convolutions in any number of dimensions: three ops, each the adjoint of the other two.

With the batch innermost in memory (see `windows`), no transpose stands around the matrix product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.correlation import correlate, correlate_for_weight
from tinygrad_like.arrays.windows import (
    Geometry,
    axes_of,
    batch_first,
    batch_last,
    images,
    kinds_of_pixels,
    out_sizes_of,
)
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops import windows as _windows
from tinygrad_like.ops.windows import geometry_of, per_dimension

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

# ----- The three ops ------------------------------------------------------------------------------


def _channel_sums(g: Any) -> Any:
    """Return the sum of each channel of ``(N, C, ...)``."""
    rows = batch_last(g) if isinstance(g, np.ndarray) and g.ndim > 3 else g
    if rows is g or not rows.flags.c_contiguous:
        return np.sum(g, axis=(0, *range(2, g.ndim)))
    # Products with ones are the fastest sums; in parts, which rounds less.
    rows = rows.reshape(*rows.shape[:2], -1)
    return np.add.reduce(rows @ np.ones(rows.shape[2], rows.dtype), axis=1)


@op(
    x=lambda g, x_shape, weight, geometry: convolution_input(g, weight, x_shape[2:], geometry),
    weight=lambda g, x, weight_shape, geometry: convolution_weight(
        x, g, weight_shape[2:], geometry
    ),
    bias=lambda g: _channel_sums(g),
    dtype="same",
)
def convolution(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """Return the convolution of ``(N, C, ...)`` with ``(O, C/groups, ...)``."""
    kernel = weight.shape[2:]
    sizes = out_sizes_of(x.shape[2:], kernel, geometry)
    out = np.empty((weight.shape[0], *sizes, x.shape[0]), x.dtype)
    axes = axes_of(kernel, sizes, geometry)
    correlate(images(x), weight, axes, geometry.groups, out, bias)
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
    groups, channels = geometry.groups, weight.shape[1]
    w = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    w = w.reshape(groups * channels, -1, *weight.shape[2:])
    out = np.empty((groups * channels, *sizes, grad.shape[0]), grad.dtype)
    grad = images(grad)
    for pixels, taps, axes in kinds_of_pixels(tuple(sizes), weight.shape[2:], geometry):
        part, seen = out[(slice(None), *pixels)], w[(..., *taps)]
        if 0 in seen.shape:
            part[...] = 0
        else:
            correlate(grad, seen, axes, groups, part)
    return batch_first(out)


@op(
    x=lambda g, grad, x_shape, geometry: convolution_input(grad, g, x_shape[2:], geometry),
    grad=lambda g, x, geometry: convolution(x, g, None, geometry),
    label="Convolution",
    dtype="same",
)
def convolution_weight(x: Array, grad: Array, kernel: tuple[int, ...], geometry: Geometry) -> Array:
    """Return the gradient of a convolution for its weight, whose kernel's sizes are given."""
    axes = axes_of(tuple(kernel), grad.shape[2:], geometry)
    return correlate_for_weight(images(x), images(grad), axes, geometry.groups)


# ----- Arguments ----------------------------------------------------------------------------------


def _check_operands(
    name: str, count: int, input: Any, weight: Any, bias: Any, groups: int, transposed: bool
) -> None:
    """Raise what PyTorch raises for operands that do not fit each other."""
    for position, (argument, value) in enumerate((("input", input), ("weight", weight)), 1):
        if not hasattr(value, "ndim"):
            raise told(
                TypeError,
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
                f"{type(value).__name__}",
            )
    x, w = as_array(input), as_array(weight)
    if x.ndim not in (count + 1, count + 2):
        raise told(
            RuntimeError,
            f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but got "
            f"input of size: {list(x.shape)}",
        )
    if w.ndim != count + 2:
        raise told(
            RuntimeError,
            f"{name}: weight has shape {list(w.shape)}, expected {count + 2} dimensions "
            + ("(C, O/groups, ...)" if transposed else "(O, C/groups, ...)"),
        )
    if x.dtype != w.dtype:
        if x.dtype.kind == "b":
            raise told(
                NotImplementedError, f"{name}: not implemented for bool; convert with .to(dtype)"
            )
        raise told(
            RuntimeError,
            f"Input type ({dtypes.named(x.dtype)}) and weight type ({dtypes.named(w.dtype)}) should be "
            "the same; convert one with .to(dtype)",
        )
    if not w.shape[0]:
        raise told(
            RuntimeError,
            f"Given groups={groups}, expected weight to be at least 1 at dimension 0, but got weight of "
            f"size {list(w.shape)} instead",
        )
    if groups <= 0:
        raise told(RuntimeError, f"non-positive groups is not supported: got {groups}")
    channels = x.shape[-count - 1]
    kind = f"Given transposed=1, weight of size {list(w.shape)}"
    if not transposed:
        kind = f"Given groups={groups}, weight of size {list(w.shape)}"
    if w.shape[0] % groups:
        raise told(
            RuntimeError,
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but "
            f"got weight of size [{list(w.shape)}] instead",
        )
    wanted = w.shape[0] if transposed else w.shape[1] * groups
    if channels != wanted:
        raise told(
            RuntimeError,
            f"{kind}, expected input{list(x.shape)} to have {wanted} channels, but got {channels} "
            "channels instead",
        )
    if bias is None:
        return
    b = as_array(bias)
    outputs = w.shape[1] * groups if transposed else w.shape[0]
    if b.shape != (outputs,):
        given = kind if transposed else f"Given weight of size {list(w.shape)}"
        raise told(
            RuntimeError,
            f"{given}, expected bias to be 1-dimensional with {outputs} elements, but got bias of size "
            f"{list(b.shape)} instead",
        )
    if b.dtype != x.dtype:
        raise told(
            RuntimeError,
            f"Input type ({dtypes.named(x.dtype)}) and bias type ({dtypes.named(b.dtype)}) should be "
            "the same; convert one with .to(dtype)",
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
        raise told(
            RuntimeError,
            f"Calculated padded input size per channel: ({' x '.join(map(str, sizes))}). Kernel size: "
            f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size",
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
        raise told(
            RuntimeError,
            "output padding must be smaller than either stride or dilation, but got output_padding="
            f"{list(extra)}, stride={list(geometry.stride)}, dilation={list(geometry.dilation)}",
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
        raise told(
            RuntimeError,
            f"Given input size per channel: {list(input.shape[2:])}. Calculated output size per "
            f"channel: {list(sizes)}. Output size is too small",
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
