"""Normalization by the statistics of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty, ones, tensor, zeros
from tinygrad_like.stamps import stamp


class _NormBase(Module):
    """What batch and instance normalization share: weight, bias and running statistics."""

    _version = 2
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = empty(num_features, device=device, dtype=dtype) if wanted else None
            self.register_parameter(name, None if made is None else Parameter(made))
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", tensor(0))
        else:
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)
            self.register_buffer("num_batches_tracked", None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the batches seen, and set weight to 1 and bias to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Any) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        version = local_metadata.get("version")
        if (version is None or version < 2) and self.track_running_stats:
            # States saved before batches were counted.
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


class _BatchNorm(_NormBase):
    """Batch normalization; subclasses say for what shapes."""

    def forward(self, input: Any) -> Any:
        """Return the input normalized, and in training take its statistics into account."""
        self._check_input_dim(input)
        factor = 0.0 if self.momentum is None else self.momentum
        mean, variance = self.running_mean, self.running_var
        if self.training:
            if not self.track_running_stats:
                mean = variance = None
            elif self.num_batches_tracked is not None:
                count = self.num_batches_tracked.array
                np.add(count, 1, out=count)  # what add_ does, in a tenth of the time
                stamp(count)
                if self.momentum is None:
                    factor = 1.0 / float(self.num_batches_tracked)
        of_batch = self.training or (mean is None and variance is None)
        return F.batch_norm(
            input, mean, variance, self.weight, self.bias, of_batch, factor, self.eps
        )


class BatchNorm1d(_BatchNorm):
    """Return `(N, C)` or `(N, C, L)` with mean 0 and variance 1 in each channel, times weight plus bias.

    In training the statistics are the batch's, and running means of them are kept; in evaluation
    those are used (Ioffe and Szegedy, arXiv:1502.03167).

    Args:
        num_features: C.
        eps: absolute, added to the variance.
        momentum: how much of the running mean a batch replaces; None for the mean of all batches.
        affine: have weight and bias.
        track_running_stats: keep running means.
        device: the CPU.
        dtype: of the parameters.
        bias: have a bias, if `affine`.

    >>> import tinygrad_like as torch
    >>> torch.nn.BatchNorm1d(1, affine=False)(torch.tensor([[1.0], [3.0]]))
    tensor([[-1.0000],
            [ 1.0000]])
    """

    def _check_input_dim(self, input: Any) -> None:
        if input.ndim not in (2, 3):
            raise told(ValueError, f"expected 2D or 3D input (got {input.ndim}D input)")


class BatchNorm2d(_BatchNorm):
    """Return `(N, C, H, W)` with mean 0 and variance 1 in each channel, times weight plus bias.

    See `BatchNorm1d` for the arguments.
    """

    def _check_input_dim(self, input: Any) -> None:
        if input.ndim != 4:
            raise told(ValueError, f"expected 4D input (got {input.ndim}D input)")


class BatchNorm3d(_BatchNorm):
    """Return `(N, C, D, H, W)` with mean 0 and variance 1 in each channel, times weight plus bias.

    See `BatchNorm1d` for the arguments.
    """

    def _check_input_dim(self, input: Any) -> None:
        if input.ndim != 5:
            raise told(ValueError, f"expected 5D input (got {input.ndim}D input)")


class SyncBatchNorm(_BatchNorm):
    """Return `(N, C, *)` normalized as by `BatchNorm1d`, for code written for several processes.

    There is only this process, so its batch is all there is to take statistics of.

    Args:
        num_features: C.
        eps: absolute, added to the variance.
        momentum: how much of the running mean a batch replaces; None for the mean of all batches.
        affine: have weight and bias.
        track_running_stats: keep running means.
        process_group: kept, but not used.
        device: the CPU.
        dtype: of the parameters.
        bias: have a bias, if `affine`.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.ndim < 2:
            raise told(ValueError, f"expected at least 2D input (got {input.ndim}D input)")
        if input.shape[1] == 0:
            raise told(ValueError, "SyncBatchNorm number of input channels should be non-zero")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """Return `module` with every batch normalization in it replaced, parameters and buffers kept.

        >>> import tinygrad_like as torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        >>> type(torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)[1]).__name__
        'SyncBatchNorm'
        """
        converted = module
        if isinstance(module, _BatchNorm):
            converted = SyncBatchNorm(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
