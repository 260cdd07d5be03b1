"""Channels and pixels that change places."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.shaping import clone, permute, reshape

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]
FUNCTIONAL = __all__


def _needs_image(name: str, input: Any) -> None:
    if input.ndim < 3:
        raise told(
            RuntimeError,
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)",
        )


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Return ``(*, C * r * r, H, W)`` as ``(*, C, H * r, W * r)``, channels laid out as pixels.

    From Shi et al., 2016: Real-time single image super-resolution.

    Raises:
        RuntimeError: if the channels are not a multiple of ``r * r``, or there are too few dimensions.

    >>> import tinygrad_like as torch
    >>> torch.pixel_shuffle(torch.arange(4).reshape(4, 1, 1), 2)
    tensor([[[0, 1],
             [2, 3]]])
    """
    require_tensors("pixel_shuffle", input=input)
    _needs_image("pixel_shuffle", input)
    r = upscale_factor
    if r <= 0:
        raise told(RuntimeError, f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise told(
            RuntimeError,
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            f"upscale_factor, but input.size(-3)={c} is not divisible by {r * r}",
        )
    n = len(lead)
    split = reshape(input, (*lead, c // (r * r), r, r, h, w))
    mixed = permute(split, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(clone(mixed, "C"), (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Return ``(*, C, H * r, W * r)`` as ``(*, C * r * r, H, W)``: undo `pixel_shuffle`.

    Raises:
        RuntimeError: if height or width is not a multiple of ``r``, or there are too few dimensions.
    """
    require_tensors("pixel_unshuffle", input=input)
    _needs_image("pixel_unshuffle", input)
    r = downscale_factor
    if r <= 0:
        raise told(
            RuntimeError, f"pixel_unshuffle expects a positive downscale_factor, but got {r}"
        )
    *lead, c, h, w = input.shape
    for side, size, index in (("height", h, -2), ("width", w, -1)):
        if size % r:
            raise told(
                RuntimeError,
                f"pixel_unshuffle expects {side} to be divisible by downscale_factor, but "
                f"input.size({index})={size} is not divisible by {r}",
            )
    n = len(lead)
    split = reshape(input, (*lead, c, h // r, r, w // r, r))
    mixed = permute(split, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(clone(mixed, "C"), (*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Return ``(N, C, ...)`` with the channels of `groups` groups dealt out in turn.

    From Zhang et al., 2018: ShuffleNet.

    Raises:
        RuntimeError: if the channels do not divide into `groups`, or there are too few dimensions.

    >>> import tinygrad_like as torch
    >>> torch.channel_shuffle(torch.arange(4).reshape(1, 4, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    require_tensors("channel_shuffle", input=input)
    if input.ndim <= 2:
        raise told(
            RuntimeError,
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}",
        )
    if groups <= 0:
        raise told(
            RuntimeError,
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}",
        )
    n, c = input.shape[:2]
    if c % groups:
        raise told(
            RuntimeError,
            f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.",
        )
    split = reshape(input, (n, groups, c // groups, math.prod(input.shape[2:])))
    return reshape(clone(permute(split, (0, 2, 1, 3)), "C"), tuple(input.shape))
