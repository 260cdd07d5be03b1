"""Layers that learn the sizes of their parameters from the first input."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, _NormBase
from tinygrad_like.nn.modules.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    _Conv,
    _ConvNd,
    _ConvTranspose,
)
from tinygrad_like.nn.modules.instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from tinygrad_like.nn.modules.linear import Linear
from tinygrad_like.nn.modules.utils import Sizes
from tinygrad_like.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from tinygrad_like.ops.creation import tensor

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


class LazyModuleMixin(Module):
    """A module that makes its parameters at its first call, and is then of another class.

    Make the parameters `UninitializedParameter`, write `initialize_parameters`, which materializes
    them, and name the class in `cls_to_become`.
    """

    cls_to_become: ClassVar[type[Module] | None] = None
    _inferred = False

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialize and fill the parameters for these inputs: to be overridden.

        Raises:
            NotImplementedError: if it is not.
        """
        del args, kwargs
        raise told(
            NotImplementedError,
            f"initialize_parameters is not implemented for {type(self).__name__}",
        )

    def has_uninitialized_params(self) -> bool:
        """Return whether there is a parameter or buffer whose shape is not known yet."""
        own = itertools.chain(self._parameters.values(), self._buffers.values())
        return any(is_lazy(member) for member in own)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what ``forward`` returns, the parameters made first.

        Raises:
            RuntimeError: if `initialize_parameters` left some out.
        """
        if not self._inferred:
            self.initialize_parameters(*args, **kwargs)
            if self.has_uninitialized_params():
                raise told(
                    RuntimeError, f"module {self._get_name()} has not been fully initialized"
                )
            if self.cls_to_become is None:
                self._inferred = True
            else:
                self.__class__ = self.cls_to_become  # type: ignore[assignment]
        return Module.__call__(self, *args, **kwargs)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        own = itertools.chain(self._parameters.items(), self._buffers.items())
        for name, member in list(own):
            given = state_dict.get(prefix + name)
            if is_lazy(member) and given is not None and not is_lazy(given):
                member.materialize(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` that takes `in_features` from the first input.

    Args:
        out_features: size of the output's last dimension.
        bias: have a bias.
        device: the CPU.
        dtype: of the parameters.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.LazyLinear(3)
    >>> _ = net(torch.ones(5, 2))
    >>> net
    Linear(in_features=2, out_features=3, bias=True)
    """

    cls_to_become = Linear
    weight: Any
    bias: Any

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias once their sizes are known."""
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    @no_grad()
    def initialize_parameters(self, input: Any) -> None:
        """Make weight and bias for an input like this one.

        Raises:
            AssertionError: if a weight that was loaded is for another size.
        """
        size = input.shape[-1]
        if self.has_uninitialized_params():
            self.in_features = size
            self.weight.materialize((self.out_features, size))
            if self.bias is not None:
                self.bias.materialize((self.out_features,))
            self.reset_parameters()
        if self.in_features == 0:
            if size != self.weight.shape[-1]:
                raise told(
                    AssertionError,
                    f"The in_features inferred from input: {size} is not equal to in_features from "
                    f"self.weight: {self.weight.shape[-1]}",
                )
            self.in_features = size


# ----- Convolutions -------------------------------------------------------------------------------


class _LazyConvNd(LazyModuleMixin, _ConvNd):
    """What these share: `in_channels` is taken from the first input."""

    weight: Any
    bias: Any

    def _wait(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        """Register weight and bias that are not there yet."""
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias once their sizes are known."""
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        """Make weight and bias for an input like this one.

        Raises:
            RuntimeError: if the input has other dimensions.
            ValueError: if `groups` does not divide the channels.
        """
        del args, kwargs
        if not self.has_uninitialized_params():
            return
        single = self.dims + 1
        if input.ndim not in (single, single + 1):
            raise told(
                RuntimeError,
                f"Expected {single}D (unbatched) or {single + 1}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}",
            )
        self.in_channels = input.shape[input.ndim - single]
        if self.in_channels % self.groups != 0:
            raise told(ValueError, "in_channels must be divisible by groups")
        channels = (self.out_channels, self.in_channels)
        first, second = reversed(channels) if self.transposed else channels
        self.weight.materialize((first, second // self.groups, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConv(_LazyConvNd, _Conv):
    """A convolution; subclasses say over how many dimensions."""

    def __init__(
        self,
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
        sizes = (kernel_size, stride, padding, dilation)
        super().__init__(0, 0, *sizes, groups, False, padding_mode, device, dtype)
        self._wait(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvNd, _ConvTranspose):
    """A transposed convolution; subclasses say over how many dimensions."""

    def __init__(
        self,
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
        sizes = (kernel_size, stride, padding, output_padding)
        super().__init__(0, 0, *sizes, groups, False, dilation, padding_mode, device, dtype)
        self._wait(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` that takes `in_channels` from the first input; the arguments are its others.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.LazyConv1d(4, kernel_size=3)
    >>> _ = net(torch.ones(1, 2, 5))
    >>> net
    Conv1d(2, 4, kernel_size=(3,), stride=(1,))
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` that takes `in_channels` from the first input; the arguments are its others."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` that takes `in_channels` from the first input; the arguments are its others."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """`ConvTranspose1d` that takes `in_channels` from the first input; the arguments are its others."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """`ConvTranspose2d` that takes `in_channels` from the first input; the arguments are its others."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """`ConvTranspose3d` that takes `in_channels` from the first input; the arguments are its others."""

    cls_to_become = ConvTranspose3d


# ----- Normalization ------------------------------------------------------------------------------


class _LazyNorm(LazyModuleMixin, _NormBase):
    """What these share: `num_features` is taken from the first input."""

    weight: Any
    bias: Any

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = tensor(0)

    def reset_parameters(self) -> None:
        """Fill parameters and buffers once their sizes are known."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Make parameters and buffers for an input like this one."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for member in (self.weight, self.bias, self.running_mean, self.running_var):
            if member is not None:
                member.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` that takes `num_features` from the first input; the arguments are its others."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` that takes `num_features` from the first input; the arguments are its others."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """`BatchNorm3d` that takes `num_features` from the first input; the arguments are its others."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """`InstanceNorm1d` that takes `num_features` from the first input; the arguments are its others.

    Here and in the next two `affine` and `track_running_stats` are True unless said otherwise.
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """`InstanceNorm2d` that takes `num_features` from the first input; see `LazyInstanceNorm1d`."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """`InstanceNorm3d` that takes `num_features` from the first input; see `LazyInstanceNorm1d`."""

    cls_to_become = InstanceNorm3d
