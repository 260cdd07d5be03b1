"""Pooling: the largest, or the mean, of each window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.utils import Sizes, ntuple


class _MaxPoolNd(Module):
    """What max pooling shares."""

    _pool: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """Return the largest element of each window."""
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """Return the largest element of each window: `(N, C, L)` to `(N, C, L_out)`.

    Args:
        kernel_size: size of the window.
        stride: steps between windows (default: the window's size).
        padding: how many minus infinities to put on both sides.
        dilation: steps between a window's elements.
        return_indices: return the places of the largest as well.
        ceil_mode: round the number of windows up.

    >>> import tinygrad_like as torch
    >>> torch.nn.MaxPool1d(2)(torch.tensor([[[1.0, 3.0, 2.0, 0.0]]]))
    tensor([[[3., 2.]]])
    """

    _pool = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPoolNd):
    """Return the largest element of each window: `(N, C, H, W)` to `(N, C, H_out, W_out)`.

    The arguments are those of `MaxPool1d`, numbers or pairs.
    """

    _pool = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPoolNd):
    """Return the largest element of each window: `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`.

    The arguments are those of `MaxPool1d`, numbers or triples.
    """

    _pool = staticmethod(F.max_pool3d)


class _WindowsNd(Module):
    """What pooling by means, and taking max pooling back, share."""

    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_WindowsNd):
    """Return the mean of each window: `(N, C, L)` to `(N, C, L_out)`.

    Args:
        kernel_size: size of the window.
        stride: steps between windows (default: the window's size).
        padding: how many zeros to put on both sides.
        ceil_mode: round the number of windows up.
        count_include_pad: count those zeros as elements.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, 1)
        self.stride = ntuple(stride if stride is not None else kernel_size, 1)
        self.padding = ntuple(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        """Return the mean of each window."""
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _AvgPoolNd(_WindowsNd):
    """What pooling by means over several dimensions shares."""

    _pool: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        """Return the mean of each window."""
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool2d(_AvgPoolNd):
    """Return the mean of each window: `(N, C, H, W)` to `(N, C, H_out, W_out)`.

    Args:
        kernel_size: size of the window, a number or a pair; so with the next two.
        stride: steps between windows (default: the window's size).
        padding: how many zeros to put on both sides.
        ceil_mode: round the number of windows up.
        count_include_pad: count those zeros as elements.
        divisor_override: divide by this instead of the number of elements.
    """

    _pool = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPoolNd):
    """Return the mean of each window: `(N, C, D, H, W)` to `(N, C, D_out, H_out, W_out)`.

    The arguments are those of `AvgPool2d`, numbers or triples.
    """

    _pool = staticmethod(F.avg_pool3d)


# ----- To a given size ----------------------------------------------------------------------------


class _AdaptivePool(Module):
    """What pooling to a given size shares."""

    _pool: Callable[..., Any]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    """What pooling by means to a given size shares."""

    def forward(self, input: Any) -> Any:
        """Return the mean of each window."""
        return self._pool(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    """What max pooling to a given size shares."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        """Return the largest element of each window."""
        return self._pool(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Return the means of as many windows as asked: `(N, C, L)` to `(N, C, output_size)`.

    Args:
        output_size: the number of windows.
    """

    _pool = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Return the means of as many windows as asked: `(N, C, H, W)` to `(N, C, *output_size)`.

    Args:
        output_size: the numbers of windows, one or a pair; None leaves a dimension as it is.

    >>> import tinygrad_like as torch
    >>> torch.nn.AdaptiveAvgPool2d(1)(torch.ones(2, 3, 5, 7)).shape
    torch.Size([2, 3, 1, 1])
    """

    _pool = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Return the means of as many windows as asked: `(N, C, D, H, W)` to `(N, C, *output_size)`.

    Args:
        output_size: the numbers of windows, one or a triple; None leaves a dimension as it is.
    """

    _pool = staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Return the largest elements of as many windows as asked: `(N, C, L)` to `(N, C, output_size)`.

    Args:
        output_size: the number of windows.
        return_indices: return the places of the largest as well.
    """

    _pool = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Return the largest elements of as many windows as asked: `(N, C, H, W)` to `(N, C, *output_size)`.

    Args:
        output_size: the numbers of windows, one or a pair; None leaves a dimension as it is.
        return_indices: return the places of the largest as well.
    """

    _pool = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Return the largest elements of as many windows as asked: `(N, C, D, H, W)` to `(N, C, *output_size)`.

    The arguments are those of `AdaptiveMaxPool2d`, numbers or triples.
    """

    _pool = staticmethod(F.adaptive_max_pool3d)
