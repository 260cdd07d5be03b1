"""Normalization: over the features of an element, over a batch, over groups of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.ops import embedding as _embedding
from tinygrad_like.ops import norm_ops as kernels
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.cross_entropy import title
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.outs import written

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]
FUNCTIONAL = [*__all__, *_embedding.FUNCTIONAL, "local_response_norm", "normalize"]

embedding = _embedding.embedding


# ----- PyTorch's spelling -------------------------------------------------------------------------


def _check_normalized(input: Any, normalized_shape: Any, weight: Any, bias: Any, name: str) -> int:
    """Return how many dimensions are normalized.

    Raises:
        RuntimeError: if shapes do not fit.
    """
    if isinstance(normalized_shape, int):
        raise told(
            TypeError,
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not int",
        )
    shape = tuple(int(n) for n in normalized_shape)
    if not shape:
        raise told(
            RuntimeError,
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []",
        )
    given = tuple(input.shape)
    if given[max(0, len(given) - len(shape)) :] != shape:
        raise told(
            RuntimeError,
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(given)}",
        )
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and not isinstance(value, Traced):
            require_tensors(name, **{argument: value})
        if value is not None and tuple(value.shape) != shape:
            raise told(
                RuntimeError,
                f"Expected {argument} to be of same shape as normalized_shape, but got {argument} of "
                f"shape {list(value.shape)} and normalized_shape = {list(shape)}",
            )
    x = as_array(input)
    if x.dtype.kind != "f":
        raise told(
            NotImplementedError,
            f"layer_norm: not implemented for '{title(x)}'; convert the input to a floating-point dtype",
        )
    return len(shape)


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Return `input` with mean 0 and variance 1 over the last dimensions, times `weight` plus `bias`.

    Args:
        input: what to normalize, ``(..., *normalized_shape)``.
        normalized_shape: the sizes of the dimensions to normalize over.
        weight: a factor for each element of those, of shape `normalized_shape`.
        bias: likewise what is added.
        eps: added to the variance.

    Raises:
        RuntimeError: if shapes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.layer_norm(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), (2,))
    tensor([[-1.0000,  1.0000],
            [ 0.0000,  0.0000]])
    """
    if not isinstance(input, Traced):
        require_tensors("layer_norm", input=input)
    dims = _check_normalized(input, normalized_shape, weight, bias, "layer_norm")
    return kernels.layer_norm(input, weight, bias, dims, eps, True)


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Return `input` divided by the root of its mean square over the last dimensions.

    Args:
        input: what to normalize, ``(..., *normalized_shape)``.
        normalized_shape: the sizes of the dimensions to normalize over.
        weight: a factor for each element of those.
        eps: added to the mean square; by default the dtype's.

    Raises:
        RuntimeError: if shapes do not fit.
    """
    if not isinstance(input, Traced):
        require_tensors("rms_norm", input=input)
    dims = _check_normalized(input, normalized_shape, weight, None, "rms_norm")
    d = as_array(input).dtype
    if eps is None:
        eps = float(np.finfo(d).eps)
    if isinstance(weight, Traced) and weight.array.dtype is not d:
        weight = convert(weight, d)
    return kernels.layer_norm(input, weight, None, dims, eps, False)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Return ``(N, C, ...)`` with mean 0 and variance 1 per channel, times `weight` plus `bias`.

    Args:
        input: a batch.
        running_mean: the mean to use, or in training to move towards the batch's, ``(C)``.
        running_var: likewise the variance; the batch's is then the unbiased one.
        weight: a factor for each channel.
        bias: what is added to each channel.
        training: use the statistics of the batch.
        momentum: how far the running statistics move.
        eps: added to the variance.

    Raises:
        RuntimeError: if shapes do not fit or statistics are missing.
        ValueError: if there is only one value per channel to train on.
    """
    if not isinstance(input, Traced):
        require_tensors("batch_norm", input=input)
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise told(
            RuntimeError, f"batch_norm: expected (N, C, ...), got input of shape {list(shape)}"
        )
    if as_array(input).dtype.kind != "f":
        raise told(
            NotImplementedError,
            f"batch_norm: not implemented for '{title(as_array(input))}'; convert the input to a "
            "floating-point dtype",
        )
    named = (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    )
    for name, value in named:
        if value is not None and not isinstance(value, Traced):
            require_tensors("batch_norm", **{name: value})
        if value is not None and as_array(value).shape != shape[1:2]:
            raise told(
                RuntimeError,
                f"batch_norm: {name} should contain {shape[1]} elements not {math.prod(value.shape)}",
            )
    if training:
        if math.prod(shape) == shape[1]:
            raise told(
                ValueError,
                "Expected more than 1 value per channel when training, got input size "
                f"torch.Size({list(shape)})",
            )
        if math.prod(shape):
            return kernels.batch_norm(input, weight, bias, running_mean, running_var, momentum, eps)
        running_mean, running_var = (np.zeros(shape[1]) for _ in range(2))  # nothing is learned
    for name, value in named[:2]:
        if value is None and not training:
            raise told(RuntimeError, f"{name} must be defined in evaluation mode")
    d = as_array(input).dtype
    mean = as_array(running_mean).astype(d)  # a copy: the statistics may move before backward
    rstd = (1 / np.sqrt(as_array(running_var) + as_array(running_var).dtype.type(eps))).astype(d)
    return kernels.batch_norm_fixed(input, weight, bias, mean, rstd)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Return ``(N, C, ...)`` with mean 0 and variance 1 per group of channels, scaled and shifted.

    Args:
        input: a batch.
        num_groups: how many groups the channels are divided into.
        weight: a factor for each channel.
        bias: what is added to each channel.
        eps: added to the variance.

    Raises:
        RuntimeError: if shapes do not fit.
    """
    if not isinstance(input, Traced):
        require_tensors("group_norm", input=input)
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise told(
            RuntimeError,
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}",
        )
    if num_groups <= 0 or shape[1] % num_groups:
        raise told(
            RuntimeError,
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(shape)} and num_groups={num_groups}",
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and not isinstance(value, Traced):
            require_tensors("group_norm", **{name: value})
        if value is not None and tuple(value.shape) != (shape[1],):
            raise told(
                RuntimeError,
                f"Expected {name} to be a vector of size equal to the number of channels in input, but "
                f"got {name} of shape {list(value.shape)} and input of shape {list(shape)}",
            )
    if math.prod(shape[2:]) * shape[0] * (shape[1] // num_groups) == 1:
        raise told(
            ValueError,
            "Expected more than 1 value per channel when training, got input size "
            f"torch.Size({list(shape)})",
        )
    return kernels.group_norm(input, weight, bias, num_groups, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Return ``(N, C, ...)`` with mean 0 and variance 1 per element of the batch and channel.

    The arguments are those of `batch_norm`; with `use_input_stats` False the running statistics are
    used, as that does.

    Raises:
        ValueError: if there is only one value per channel.
        RuntimeError: if shapes do not fit or statistics are missing.
    """
    require_tensors("instance_norm", input=input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise told(
                RuntimeError,
                "Expected running_mean and running_var to be defined when use_input_stats is false",
            )
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    shape = tuple(input.shape)
    if math.prod(shape[2:]) == 1:
        raise told(
            ValueError,
            f"Expected more than 1 spatial element when training, got input size torch.Size({list(shape)})",
        )
    out = group_norm(input, shape[1], weight, bias, eps)
    if running_mean is not None:
        x = as_array(input)
        axes = tuple(range(2, x.ndim))
        kernels.update(running_mean, x.mean(axis=axes).mean(axis=0), momentum)
        if running_var is not None:
            kernels.update(running_var, x.var(axis=axes, ddof=1).mean(axis=0), momentum)
    return out


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Return `input` divided by its `p`-norm over `dim`, which counts as at least `eps`.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    result = input / input.norm(p, dim, keepdim=True).clamp_min(eps)
    return result if out is None else written("div", "cast", out, result)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Return ``(N, C, ...)`` divided by a power of the mean square of `size` neighbouring channels.

    Raises:
        ValueError: if there are fewer than three dimensions.
        RuntimeError: if `size` is not positive.
    """
    if input.ndim < 3:
        raise told(
            ValueError, f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if size <= 0:
        raise told(
            RuntimeError, f"local_response_norm: size should be greater than zero, got {size}"
        )
    channels = input.shape[1]
    steps = np.arange(channels)
    apart = steps[None, :] - steps[:, None]
    near = (apart >= -(size // 2)) & (apart <= (size - 1) // 2)
    band = (near / size).astype(as_array(input).dtype)
    squares = reshape(input * input, (input.shape[0], channels, math.prod(input.shape[2:])))
    means = reshape(np.matmul(band, squares), tuple(input.shape))
    return input / (means * alpha + k) ** beta
