"""Convolutions and their transposes over one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.utils import Sizes, ntuple
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty


class _ConvNd(Module):
    """What convolutions share: checked arguments, weight and bias."""

    weight: Parameter
    bias: Parameter | None
    dims: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        output_padding: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = ntuple(kernel_size, self.dims)
        self.stride = ntuple(stride, self.dims)
        self.padding = padding if isinstance(padding, str) else ntuple(padding, self.dims)
        self.dilation = ntuple(dilation, self.dims)
        self.output_padding = ntuple(output_padding, self.dims)
        self.groups = groups
        self.padding_mode = padding_mode
        self._check()
        self._around = self._padding_around()
        into, out = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (into, out // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self) -> None:
        if self.groups <= 0:
            raise told(ValueError, "groups must be a positive integer")
        if self.in_channels % self.groups != 0:
            raise told(ValueError, "in_channels must be divisible by groups")
        if self.out_channels % self.groups != 0:
            raise told(ValueError, "out_channels must be divisible by groups")
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise told(
                    ValueError,
                    f"Invalid padding string {self.padding!r}, should be one of 'same' and 'valid'",
                )
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise told(ValueError, "padding='same' is not supported for strided convolutions")
        modes = ("zeros", "reflect", "replicate", "circular")
        if self.padding_mode not in modes:
            raise told(
                ValueError,
                f"padding_mode must be one of {modes}, but got padding_mode='{self.padding_mode}'",
            )

    def _padding_around(self) -> list[int]:
        """Return the padding as `F.pad` wants it: before and after, last dimension first."""
        around = []
        for i in reversed(range(self.dims)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                around += [total // 2, total - total // 2]
            else:
                around += [0 if self.padding == "valid" else int(self.padding[i])] * 2
        return around

    def reset_parameters(self) -> None:
        """Draw weight and bias uniformly from ±1/sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        if self.padding != (0,) * len(self.padding):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * len(self.dilation):
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * len(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_ConvNd):
    """A convolution; subclasses say over how many dimensions."""

    _convolve: Callable[..., Any]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        """Return the convolution of the input with this weight and bias."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._around, mode=self.padding_mode), 0
        return self._convolve(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        """Return the convolution of the input."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """Return the cross-correlation with the weight: `(N, C_in, L)` to `(N, C_out, L_out)`.

    L_out is ``(L + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1``.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: size of the window.
        stride: steps between windows.
        padding: how much to pad on both sides, or "valid" (none) or "same" (L_out = L).
        dilation: steps between a window's elements.
        groups: into how many parts to divide the channels, each part seeing only its own.
        bias: have a bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: the CPU.
        dtype: of the parameters.

    Raises:
        ValueError: if `groups` does not divide the channels, or for an unknown way to pad.

    >>> import tinygrad_like as torch
    >>> torch.nn.Conv1d(16, 33, 3, stride=2)(torch.ones(20, 16, 50)).shape
    torch.Size([20, 33, 24])
    """

    dims = 1
    _convolve = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Return the cross-correlation with the weight: `(N, C_in, H, W)` to `(N, C_out, H_out, W_out)`.

    The sizes and arguments are those of `Conv1d`, for each dimension: numbers or pairs.

    >>> import tinygrad_like as torch
    >>> torch.nn.Conv2d(3, 8, (3, 5), padding=(1, 2))
    Conv2d(3, 8, kernel_size=(3, 5), stride=(1, 1), padding=(1, 2))
    """

    dims = 2
    _convolve = staticmethod(F.conv2d)


class _ConvTranspose(_ConvNd):
    """A transposed convolution; subclasses say over how many dimensions."""

    transposed = True
    _convolve: Callable[..., Any]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise told(
                ValueError, f'Only "zeros" padding mode is supported for {type(self).__name__}'
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """Return the transposed convolution, if asked with just this size."""
        return self._convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )

    def _output_padding(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """Return how much to add to the smallest output to get `output_size`."""
        if output_size is None:
            return self.output_padding
        wanted = output_size
        leading = 2 if input.ndim == self.dims + 2 else 1
        if len(wanted) == leading + self.dims:
            wanted = wanted[leading:]
        if len(wanted) != self.dims:
            raise told(
                ValueError,
                f"ConvTranspose{self.dims}D: for {input.ndim}D input, output_size must have "
                f"{self.dims} or {leading + self.dims} elements (got {len(wanted)})",
            )
        smallest = [
            (input.shape[leading + d] - 1) * self.stride[d]
            - 2 * int(self.padding[d])
            + self.dilation[d] * (self.kernel_size[d] - 1)
            + 1
            for d in range(self.dims)
        ]
        largest = [size + self.stride[d] - 1 for d, size in enumerate(smallest)]
        sizes = zip(wanted, smallest, largest, strict=True)
        if any(not low <= size <= high for size, low, high in sizes):
            raise told(
                ValueError,
                f"requested an output size of {wanted}, but valid sizes range from {smallest} to "
                f"{largest} (for an input of {input.shape[2:]})",
            )
        return tuple(size - low for size, low in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Return what `Conv1d` does to gradients: `(N, C_in, L)` to `(N, C_out, L_out)`.

    L_out is ``(L - 1)*stride - 2*padding + dilation*(kernel_size - 1) + output_padding + 1``.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: size of the window.
        stride: steps between windows in the output.
        padding: how much to cut off on both sides of the output.
        output_padding: how much to add on one side of the output.
        groups: into how many parts to divide the channels.
        bias: have a bias.
        dilation: steps between a window's elements.
        padding_mode: "zeros".
        device: the CPU.
        dtype: of the parameters.

    Raises:
        ValueError: if `groups` does not divide the channels, or for another padding mode.

    >>> import tinygrad_like as torch
    >>> torch.nn.ConvTranspose1d(2, 3, 4, stride=2)(torch.ones(1, 2, 5)).shape
    torch.Size([1, 3, 12])
    """

    dims = 1
    _convolve = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """Return what `Conv2d` does to gradients: `(N, C_in, H, W)` to `(N, C_out, H_out, W_out)`.

    The sizes and arguments are those of `ConvTranspose1d`, for each dimension: numbers or pairs.

    >>> import tinygrad_like as torch
    >>> torch.nn.ConvTranspose2d(2, 3, 2, stride=2)(torch.ones(1, 2, 4, 4)).shape
    torch.Size([1, 3, 8, 8])
    """

    dims = 2
    _convolve = staticmethod(F.conv_transpose2d)


class Conv3d(_Conv):
    """Return the cross-correlation with the weight: `(N, C_in, D, H, W)` to `(N, C_out, ...)`.

    The sizes and arguments are those of `Conv1d`, for each dimension: numbers or triples.
    """

    dims = 3
    _convolve = staticmethod(F.conv3d)


class ConvTranspose3d(_ConvTranspose):
    """Return what `Conv3d` does to gradients: `(N, C_in, D, H, W)` to `(N, C_out, ...)`.

    The sizes and arguments are those of `ConvTranspose1d`, for each dimension: numbers or triples.
    """

    dims = 3
    _convolve = staticmethod(F.conv_transpose3d)
