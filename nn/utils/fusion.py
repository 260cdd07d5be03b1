"""Batch normalization folded into the layer before it, for a network that is trained."""

from __future__ import annotations

import copy
from typing import Any

import tinygrad_like as torch
from tinygrad_like.lines import told
from tinygrad_like.nn.parameter import Parameter

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def _fused(
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    eps: float,
    scale: Any,
    shift: Any,
    dim: int,
) -> tuple[Parameter, Parameter]:
    """Return ``weight * s`` and ``(bias - mean) * s + shift``, s being ``scale / sqrt(variance + eps)``."""
    factor = torch.rsqrt(variance + eps)
    if scale is not None:
        factor = factor * scale
    shape = [1] * weight.ndim
    shape[dim] = -1
    made = (0 if bias is None else bias) - mean
    made = made * factor + (0 if shift is None else shift)
    return (
        Parameter((weight * factor.reshape(shape)).to(weight.dtype).detach(), weight.requires_grad),
        Parameter(
            made.to((weight if bias is None else bias).dtype).detach(),
            False if bias is None else bias.requires_grad,
        ),
    )


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return the weight and bias of a convolution that does the batch normalization after it too.

    Args:
        conv_w: the convolution's weight.
        conv_b: its bias or None.
        bn_rm: the running mean.
        bn_rv: the running variance.
        bn_eps: what is added to it.
        bn_w: the factor of each channel or None.
        bn_b: the shift of each channel or None.
        transpose: the convolution is a transposed one.
    """
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Any,
    linear_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
) -> tuple[Parameter, Parameter]:
    """Return the weight and bias of a linear layer that does the batch normalization after it too.

    See `fuse_conv_bn_weights` for the arguments.
    """
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _check(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise told(AssertionError, "Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise told(AssertionError, "bn.running_mean and bn.running_var must not be None")


def _fuse(layer: Any, bn: Any, dim: int) -> Any:
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = _fused(
        layer.weight,
        layer.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        dim,
    )
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """Return a convolution that does what `conv` and then `bn` do.

    Args:
        conv: a convolution, in evaluation mode.
        bn: the batch normalization after it, in evaluation mode.
        transpose: `conv` is a transposed one.

    Raises:
        AssertionError: if one is in training mode, or `bn` has no running statistics.

    >>> import tinygrad_like as torch
    >>> conv, bn = torch.nn.Conv2d(1, 2, 3).eval(), torch.nn.BatchNorm2d(2).eval()
    >>> x = torch.randn(1, 1, 4, 4)
    >>> torch.allclose(torch.nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    _check(conv, bn)
    return _fuse(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """Return a linear layer that does what `linear` and then `bn` do.

    Args:
        linear: a linear layer, in evaluation mode.
        bn: the batch normalization after it, in evaluation mode, of as many features or of one.

    Raises:
        AssertionError: if one is in training mode, or they do not fit.
    """
    if bn.num_features not in (linear.out_features, 1):
        raise told(
            AssertionError,
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}",
        )
    _check(linear, bn)
    return _fuse(linear, bn, 0)
