"""Normalization of each channel of each sample."""

from __future__ import annotations

import warnings
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn.modules.batchnorm import _NormBase

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _InstanceNorm(_NormBase):
    """Instance normalization; subclasses say for what shapes."""

    unbatched: int  # the number of dimensions of one sample

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Any) -> None:
        if input.ndim not in (self.unbatched, self.unbatched + 1):
            raise told(
                ValueError,
                f"expected {self.unbatched}D or {self.unbatched + 1}D input (got {input.ndim}D input)",
            )

    def forward(self, input: Any) -> Any:
        """Return the input normalized, and in training take its statistics into account."""
        self._check_input_dim(input)
        dim = input.ndim - self.unbatched
        channels = input.shape[dim]
        if channels != self.num_features:
            if self.affine:
                raise told(
                    ValueError,
                    f"expected input's size at dim={dim} to match num_features "
                    f"({self.num_features}), but got: {channels}.",
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. You can silence this warning by "
                "not passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        if dim == 0:
            return self._normalized(input.unsqueeze(0)).squeeze(0)
        return self._normalized(input)

    def _normalized(self, input: Any) -> Any:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Return `(N, C, L)` or `(C, L)` with mean 0 and variance 1 in each channel of each sample.

    Args:
        num_features: C.
        eps: absolute, added to the variance (Ulyanov et al., arXiv:1607.08022).
        momentum: how much of the running mean a batch replaces.
        affine: have weight and bias.
        track_running_stats: keep running means, and use them in evaluation.
        device: the CPU.
        dtype: of the parameters.
        bias: have a bias, if `affine`.
    """

    unbatched = 2


class InstanceNorm2d(_InstanceNorm):
    """Return `(N, C, H, W)` or `(C, H, W)` with mean 0 and variance 1 in each channel of each sample.

    See `InstanceNorm1d` for the arguments.
    """

    unbatched = 3


class InstanceNorm3d(_InstanceNorm):
    """Return `(N, C, D, H, W)` or `(C, D, H, W)` with mean 0 and variance 1 in each channel of each sample.

    See `InstanceNorm1d` for the arguments.
    """

    unbatched = 4
