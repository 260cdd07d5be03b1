"""How weights start: functions that fill a tensor in place and return it.

Given the same seed they give PyTorch's numbers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.ops import random
from tinygrad_like.ops.creation import empty, empty_like

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

Function = TypeVar("Function", bound=Callable[..., Any])

_GAINS = {"sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
_GAINS |= dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), 1.0)
_GAINS |= dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return what to multiply the spread of weights by where this function follows.

    Args:
        nonlinearity: the function's name in `nn.functional`.
        param: the slope, for "leaky_relu" (default 0.01).

    Raises:
        ValueError: if there is no gain for it.

    >>> import tinygrad_like as torch
    >>> torch.nn.init.calculate_gain("leaky_relu", 0.2)
    1.3867504905630728
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise told(ValueError, f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise told(ValueError, f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


# ----- Plain fillings -----------------------------------------------------------------------------


@no_grad()
def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Fill `tensor` with numbers drawn evenly from `[a, b)`.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.nn.init.uniform_(torch.empty(3))
    tensor([0.4963, 0.7682, 0.0885])
    """
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Fill `tensor` with normally distributed numbers."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Any, val: float) -> Any:
    """Fill `tensor` with one number."""
    return tensor.fill_(val)


def ones_(tensor: Any) -> Any:
    """Fill `tensor` with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Fill `tensor` with 0."""
    return constant_(tensor, 0.0)


@no_grad()
def eye_(tensor: Any) -> Any:
    """Fill the matrix `tensor` with ones on the diagonal and zeros elsewhere.

    Raises:
        ValueError: if it is not a matrix.
    """
    if tensor.ndim != 2:
        raise told(ValueError, "Only tensors with 2 dimensions are supported")
    tensor.zero_()
    np.fill_diagonal(tensor.array, 1)
    return tensor


@no_grad()
def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill a convolution's weight so that it passes on as many channels as it can.

    Args:
        tensor: `(C_out, C_in / groups, *kernel)`.
        groups: the convolution's.

    Raises:
        ValueError: for another number of dimensions, or if `groups` does not divide `C_out`.
    """
    if tensor.ndim not in (3, 4, 5):
        raise told(ValueError, "Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups != 0:
        raise told(ValueError, "dim 0 must be divisible by groups")
    per_group = tensor.shape[0] // groups
    tensor.zero_()
    centre = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            tensor.array[(group * per_group + channel, channel, *centre)] = 1
    return tensor


@no_grad()
def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Any:
    """Fill `tensor` with normally distributed numbers, those outside `[a, b]` drawn again.

    Where few would lie inside, even numbers from `[a, b]` are drawn and accepted with the
    probability that the density gives them.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    fresh = empty_like(tensor)
    if inside > 0.3:
        low, high = tensor.array.dtype.type(a), tensor.array.dtype.type(b)
        values = tensor.normal_(mean, std, generator=generator).array
        while (outside := (values < low) | (values > high)).any():
            np.copyto(values, fresh.normal_(mean, std, generator=generator).array, where=outside)
        return tensor
    mode = max(a, min(mean, b))
    log_peak = -0.5 * ((mode - mean) / std) ** 2

    def refused(candidates: Any) -> Any:
        log_density = ((candidates - mean) / std) ** 2 * -0.5 - log_peak
        draws = empty_like(tensor).uniform_(generator=generator).array
        return np.log(draws) > log_density

    values = tensor.uniform_(a, b, generator=generator).array
    pending = refused(values)
    while pending.any():
        candidates = fresh.uniform_(a, b, generator=generator).array
        np.copyto(values, candidates, where=pending)
        pending &= refused(candidates)
    return tensor


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


# ----- Spread chosen by the layer's size ----------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    """Return how many inputs one output has, and how many outputs one input."""
    if tensor.ndim < 2:
        raise told(
            ValueError,
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got shape "
            f"{tuple(tensor.shape)}",
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _calculate_correct_fan(tensor: Any, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise told(
            ValueError, f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']"
        )
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill `tensor` evenly from ±gain*sqrt(6/(fan_in + fan_out)) (Glorot and Bengio, 2010).

    Raises:
        ValueError: if it has fewer than 2 dimensions.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill `tensor` normally with deviation gain*sqrt(2/(fan_in + fan_out)) (Glorot and Bengio, 2010).

    Raises:
        ValueError: if it has fewer than 2 dimensions.
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _xavier_std(tensor: Any, gain: float) -> float:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """Fill `tensor` evenly from ±gain*sqrt(3/fan) (He et al., arXiv:1502.01852).

    Args:
        tensor: a weight, `(out, in, *kernel)`.
        a: the slope of the leaky ReLU that follows.
        mode: "fan_in" keeps the size of activations, "fan_out" that of gradients.
        nonlinearity: what follows: see `calculate_gain`.
        generator: where the numbers come from.

    Raises:
        ValueError: if `tensor` has fewer than 2 dimensions.
    """
    if tensor.array.size == 0:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """Fill `tensor` normally with deviation gain/sqrt(fan) (He et al., arXiv:1502.01852).

    See `kaiming_uniform_` for the arguments and errors.
    """
    if tensor.array.size == 0:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


@no_grad()
def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """Fill `tensor` with orthogonal rows, or columns if there are fewer (Saxe et al., arXiv:1312.6120).

    Args:
        tensor: `(rows, *)`; the other dimensions count as one.
        gain: what to multiply by.
        generator: where the numbers come from.

    Raises:
        ValueError: if it has fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise told(ValueError, "Only tensors with 2 or more dimensions are supported")
    if tensor.array.size == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.array.size // rows
    drawn = empty((rows, columns), dtype=tensor.dtype).normal_(0, 1, generator=generator)
    tall = drawn.array.T if rows < columns else drawn.array
    q, r = np.linalg.qr(tall)
    # With this sign all orthogonal matrices are equally likely (Mezzadri, arXiv:math-ph/0609050).
    q *= np.sign(np.diag(r))
    tensor.zero_()
    tensor.array[...] = (q.T if rows < columns else q).reshape(tensor.shape)
    return tensor.mul_(gain)


@no_grad()
def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Fill the matrix `tensor` normally, with zeros at random places of each column (Martens, 2010).

    Args:
        tensor: `(rows, columns)`.
        sparsity: the part of each column that is 0.
        std: deviation of the others.
        generator: where their numbers come from; the places come from the default one.

    Raises:
        ValueError: if it is not a matrix.
    """
    if tensor.ndim != 2:
        raise told(ValueError, "Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        tensor.array[random.randperm(rows).array[:zeros], column] = 0
    return tensor


# ----- Names from before in-place functions ended in an underscore --------------------------------


def _deprecated(function: Function) -> Function:
    new = function.__name__
    old = new[:-1]

    @wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    renamed.__name__ = renamed.__qualname__ = old
    renamed.__doc__ = f"Do what `{new}` does."
    return renamed  # type: ignore[return-value]


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
