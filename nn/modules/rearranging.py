"""Layers that move elements about: resizing, windows as columns, channels as pixels."""

from __future__ import annotations

from typing import Any

from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.utils import Sizes

__all__ = [
    "ChannelShuffle",
    "Fold",
    "PixelShuffle",
    "PixelUnshuffle",
    "Unfold",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]


# ----- Other sizes --------------------------------------------------------------------------------


class Upsample(Module):
    """Return `(N, C, *)`, with one to three spatial dimensions, in another size.

    Args:
        size: the new size, one number or one for each spatial dimension.
        scale_factor: how many times larger; instead of `size`.
        mode: "nearest", "linear", "bilinear", "bicubic" or "trilinear".
        align_corners: let the corner elements keep their values (not for "nearest").
        recompute_scale_factor: take the factor that the rounded size means.

    >>> import tinygrad_like as torch
    >>> torch.nn.Upsample(scale_factor=2)(torch.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: float | tuple[float, ...] | None
        if isinstance(scale_factor, tuple):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        """Return the input in the new size."""
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        given = "size" if self.scale_factor is None else "scale_factor"
        return f"{given}={getattr(self, given)!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Return `(N, C, H, W)` in another size, each element repeated: `Upsample` of mode "nearest".

    Args:
        size: the new size, a number or a pair.
        scale_factor: how many times larger; instead of `size`.
    """

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | tuple[float, float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Return `(N, C, H, W)` in another size, interpolated: `Upsample` of mode "bilinear".

    Corner elements keep their values. See `UpsamplingNearest2d` for the arguments.
    """

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | tuple[float, float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


# ----- Windows as columns -------------------------------------------------------------------------


class _Windows(Module):
    """What taking windows out and adding them up share."""

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Unfold(_Windows):
    """Return the windows of `(N, C, H, W)` as columns: `(N, C * kernel, windows)`.

    Args:
        kernel_size: size of the window, a number or a pair; so with the others.
        dilation: steps between a window's elements.
        padding: how many zeros to put on both sides.
        stride: steps between windows.

    >>> import tinygrad_like as torch
    >>> torch.nn.Unfold(2)(torch.ones(1, 2, 3, 3)).shape
    torch.Size([1, 8, 4])
    """

    def forward(self, input: Any) -> Any:
        """Return the windows."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Windows):
    """Return `(N, C, *output_size)` with columns `(N, C * kernel, windows)` added where windows are.

    Args:
        output_size: the height and width to return.
        kernel_size: size of the window, a number or a pair; so with the others.
        dilation: steps between a window's elements.
        padding: how much to cut off on both sides.
        stride: steps between windows.
    """

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        """Return the sum of the windows."""
        sizes = (self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
        return F.fold(input, *sizes)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"output_size={self.output_size}, {super().extra_repr()}"


# ----- Channels -----------------------------------------------------------------------------------


class PixelShuffle(Module):
    """Return channels as pixels: `(*, C * r * r, H, W)` to `(*, C, H * r, W * r)`.

    From Shi et al., arXiv:1609.05158.

    Args:
        upscale_factor: r.

    >>> import tinygrad_like as torch
    >>> torch.nn.PixelShuffle(3)(torch.ones(1, 9, 4, 4)).shape
    torch.Size([1, 1, 12, 12])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        """Return the larger image."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Return pixels as channels: `(*, C, H * r, W * r)` to `(*, C * r * r, H, W)`.

    Args:
        downscale_factor: r.
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        """Return the smaller image."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Return `(N, C, *)` with the channels of all groups in turn: the first of each, the second, ...

    Args:
        groups: into how many the channels are divided.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Any) -> Any:
        """Return the input with its channels in another order."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"groups={self.groups}"
