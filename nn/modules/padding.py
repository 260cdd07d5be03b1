"""Padding: more elements around the last dimensions."""

from __future__ import annotations

from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.utils import Sizes, ntuple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """What paddings share: `(left, right, top, bottom, ...)`, or one number for all."""

    dims: int
    mode: str

    def __init__(self, padding: Sizes) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.dims)

    def forward(self, input: Any) -> Any:
        """Return the input padded."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Padding by one number."""

    mode = "constant"

    def __init__(self, padding: Sizes, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        """Return the input padded."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    """Padding by zeros."""

    def __init__(self, padding: Sizes) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """Return the input with a number put around its last dimension.

    Args:
        padding: how often before and after; one number for both.
        value: the number.
    """

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Return the input with a number put around its last two dimensions.

    Args:
        padding: how often left, right, above and below; one number for all.
        value: the number.
    """

    dims = 2


class ConstantPad3d(_ConstantPad):
    """Return the input with a number put around its last three dimensions.

    Args:
        padding: how often left, right, above, below, in front and behind; one number for all.
        value: the number.
    """

    dims = 3


class ZeroPad1d(_ZeroPad):
    """Return the input with zeros put around its last dimension.

    Args:
        padding: how many before and after; one number for both.
    """

    dims = 1


class ZeroPad2d(_ZeroPad):
    """Return the input with zeros put around its last two dimensions.

    Args:
        padding: how many left, right, above and below; one number for all.

    >>> import tinygrad_like as torch
    >>> torch.nn.ZeroPad2d((1, 0, 0, 1))(torch.ones(1, 1, 1, 2))
    tensor([[[[0., 1., 1.],
              [0., 0., 0.]]]])
    """

    dims = 2


class ZeroPad3d(_ZeroPad):
    """Return the input with zeros put around its last three dimensions.

    Args:
        padding: how many left, right, above, below, in front and behind; one number for all.
    """

    dims = 3


class ReflectionPad1d(_Pad):
    """Return the input mirrored at the ends of its last dimension; see `ZeroPad1d`."""

    dims = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Return the input mirrored at the ends of its last two dimensions; see `ZeroPad2d`."""

    dims = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Return the input mirrored at the ends of its last three dimensions; see `ZeroPad3d`."""

    dims = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Return the input with the ends of its last dimension repeated; see `ZeroPad1d`."""

    dims = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Return the input with the ends of its last two dimensions repeated; see `ZeroPad2d`."""

    dims = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Return the input with the ends of its last three dimensions repeated; see `ZeroPad3d`."""

    dims = 3
    mode = "replicate"


class _CircularPad(_Pad):
    """Padding from the other end."""

    mode = "circular"

    def forward(self, input: Any) -> Any:
        """Return the input padded."""
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise told(
                ValueError,
                f"expected {self.dims + 1}D or {self.dims + 2}D input (got {input.ndim}D input)",
            )
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """Return the input continued from the other end of its last dimension; see `ZeroPad1d`."""

    dims = 1


class CircularPad2d(_CircularPad):
    """Return the input continued from the other ends of its last two dimensions; see `ZeroPad2d`."""

    dims = 2


class CircularPad3d(_CircularPad):
    """Return the input continued from the other ends of its last three dimensions; see `ZeroPad3d`."""

    dims = 3
