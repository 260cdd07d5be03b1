"""Normalization by the statistics of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.utils import ntuple
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty


class _SampleNorm(Module):
    """What these share: a weight of ones and a bias of zeros, each perhaps missing."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: Any, weight: bool, bias: bool | None, device: Any, dtype: Any) -> None:
        """Register weight and bias; None for `bias` if there is never one."""
        for name, wanted in (("weight", weight), ("bias", bias)):
            if wanted is not None:
                made = empty(shape, device=device, dtype=dtype) if wanted else None
                self.register_parameter(name, None if made is None else Parameter(made))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                init.constant_(parameter, float(name == "weight"))


class LayerNorm(_SampleNorm):
    """Return the input with mean 0 and variance 1 over its last dimensions, times weight plus bias.

    Args:
        normalized_shape: the sizes of those dimensions, or the size of the last one.
        eps: absolute, added to the variance (Ba et al., arXiv:1607.06450).
        elementwise_affine: have weight and bias.
        bias: have a bias, if `elementwise_affine`.
        device: the CPU.
        dtype: of the parameters.

    >>> import tinygrad_like as torch
    >>> torch.nn.LayerNorm(2, elementwise_affine=False)(torch.tensor([[1.0, 3.0]]))
    tensor([[-1.0000,  1.0000]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = ntuple(normalized_shape, 1)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(
            self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype
        )

    def forward(self, input: Any) -> Any:
        """Return the input normalized."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_SampleNorm):
    """Return `(N, C, *)` with mean 0 and variance 1 in each group of channels, times weight plus bias.

    Args:
        num_groups: the number of groups.
        num_channels: C.
        eps: absolute, added to the variance (Wu and He, arXiv:1803.08494).
        affine: have a weight and a bias for each channel.
        device: the CPU.
        dtype: of the parameters.
        bias: have a bias, if `affine`.

    Raises:
        ValueError: if the groups do not divide the channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise told(
                ValueError,
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})",
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make(num_channels, affine, affine and bias, device, dtype)

    def forward(self, input: Any) -> Any:
        """Return the input normalized."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_SampleNorm):
    """Return the input over its root mean square over the last dimensions, times weight.

    Args:
        normalized_shape: the sizes of those dimensions, or the size of the last one.
        eps: absolute, added to the mean square (default: the dtype's eps; arXiv:1910.07467).
        elementwise_affine: have a weight.
        device: the CPU.
        dtype: of the weight.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = ntuple(normalized_shape, 1)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, None, device, dtype)

    def forward(self, x: Any) -> Any:
        """Return the input normalized."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """Return `(N, C, *)` divided by a power of the mean square over neighbouring channels.

    Args:
        size: how many channels.
        alpha: factor of the mean square (Krizhevsky et al., 2012).
        beta: the power.
        k: absolute, added before.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Any:
        """Return the input normalized."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """Return `(N, C, H, W)` divided by a power of the mean square over neighbouring channels.

    It differs from `LocalResponseNorm` as in PyTorch: the first channel counts for all after it, and
    an even `size` reaches as far as the odd one before it. Gradients are those of that.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Any) -> Any:
        """Return the input normalized.

        Raises:
            ValueError: if the input has other dimensions.
        """
        if input.ndim != 4:
            raise told(
                ValueError, f"CrossMapLRN2d: Expected input to be 4D, got {input.ndim}D instead."
            )
        steps = np.arange(input.shape[1])
        reach = (self.size - 1) // 2
        apart = steps[None, :] - steps[:, None]
        near = (apart <= reach) & ((apart >= -reach) | (steps[None, :] == 0))
        band = (near / self.size).astype(input.array.dtype)
        squares = (input * input).flatten(2)
        means = np.matmul(band, squares).reshape(input.shape)
        return input / (means * self.alpha + self.k) ** self.beta
