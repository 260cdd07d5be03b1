"""Pooling by norms, in windows of random sizes, and max pooling taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.pooling import _WindowsNd
from tinygrad_like.nn.modules.utils import Sizes, ntuple

__all__ = [
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


# ----- Norms --------------------------------------------------------------------------------------


class _LPPoolNd(Module):
    """What pooling by norms shares."""

    _pool: Callable[..., Any]

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """Return the norm of each window."""
        return self._pool(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """Return ``sum(input**p)**(1/p)`` of each window: `(N, C, L)` to `(N, C, L_out)`.

    Args:
        norm_type: p.
        kernel_size: size of the window.
        stride: steps between windows (default: the window's size).
        ceil_mode: round the number of windows up.

    >>> import tinygrad_like as torch
    >>> torch.nn.LPPool1d(2, 2)(torch.tensor([[3.0, 4.0, 6.0, 8.0]]))
    tensor([[ 5., 10.]])
    """

    _pool = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPoolNd):
    """Return ``sum(input**p)**(1/p)`` of each window: `(N, C, H, W)` to `(N, C, H_out, W_out)`.

    The arguments are those of `LPPool1d`, numbers or pairs.
    """

    _pool = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPoolNd):
    """Return ``sum(input**p)**(1/p)`` of each window: `(N, C, D, H, W)` to `(N, C, *out)`.

    The arguments are those of `LPPool1d`, numbers or triples.
    """

    _pool = staticmethod(F.lp_pool3d)


# ----- Max pooling taken back ---------------------------------------------------------------------


class _MaxUnpoolNd(_WindowsNd):
    """What taking max pooling back shares."""

    dims: int
    _unpool: Callable[..., Any]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, self.dims)
        self.stride = ntuple(stride if stride is not None else kernel_size, self.dims)
        self.padding = ntuple(padding, self.dims)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Return zeros with the input at `indices`, which max pooling returned.

        Args:
            input: what max pooling returned, `(N, C, *)`.
            indices: the places it returned.
            output_size: what size to return where several would have pooled to this one.
        """
        return self._unpool(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool1d(_MaxUnpoolNd):
    """Return what max pooling took out, at its place among zeros: `(N, C, L)` to `(N, C, L_out)`.

    Args:
        kernel_size: size of the pooling's window.
        stride: steps between windows (default: the window's size).
        padding: how much the pooling padded.

    >>> import tinygrad_like as torch
    >>> pooled, places = torch.nn.MaxPool1d(2, return_indices=True)(torch.tensor([[1.0, 3.0, 4.0, 2.0]]))
    >>> torch.nn.MaxUnpool1d(2)(pooled, places)
    tensor([[0., 3., 4., 0.]])
    """

    dims = 1
    _unpool = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpoolNd):
    """Return what max pooling took out, at its place among zeros: `(N, C, H, W)` to `(N, C, H_out, W_out)`.

    The arguments are those of `MaxUnpool1d`, numbers or pairs.
    """

    dims = 2
    _unpool = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpoolNd):
    """Return what max pooling took out, at its place among zeros: `(N, C, D, H, W)` to `(N, C, *out)`.

    The arguments are those of `MaxUnpool1d`, numbers or triples.
    """

    dims = 3
    _unpool = staticmethod(F.max_unpool3d)


# ----- Windows of random sizes --------------------------------------------------------------------


class _FractionalMaxPoolNd(Module):
    """What max pooling in windows at random places shares."""

    dims: int
    output_size: tuple[int, ...] | None
    output_ratio: tuple[Any, ...] | None

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        name = f"FractionalMaxPool{self.dims}d"
        self.kernel_size = ntuple(kernel_size, self.dims)
        if self.dims == 3 and min(self.kernel_size) <= 0:
            raise told(ValueError, f"kernel_size must be greater than 0, but got {kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else ntuple(output_size, self.dims)
        self.output_ratio = None if output_ratio is None else ntuple(output_ratio, self.dims)
        if self.output_size is None and self.output_ratio is None:
            raise told(
                ValueError, f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if self.output_size is not None and self.output_ratio is not None:
            raise told(ValueError, "only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise told(ValueError, f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Any) -> Any:
        """Return the largest element of each window."""
        pool = F.fractional_max_pool2d if self.dims == 2 else F.fractional_max_pool3d
        return pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Return the largest element of windows at random places: `(N, C, H, W)` to `(N, C, *output_size)`.

    From Graham, arXiv:1412.6071.

    Args:
        kernel_size: size of the window, a number or a pair.
        output_size: the numbers of windows, one or a pair.
        output_ratio: the numbers of windows over the input's sizes, instead of `output_size`.
        return_indices: return the places of the largest as well.
        _random_samples: the numbers that say where windows are, `(N, C, 2)`, instead of random ones.

    Raises:
        ValueError: unless one of `output_size` and `output_ratio` is given.
    """

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Return the largest element of windows at random places: `(N, C, D, H, W)` to `(N, C, *output_size)`.

    The arguments are those of `FractionalMaxPool2d`, numbers or triples.
    """

    dims = 3
