"""What samples say: covariances, areas under them, slopes between them; and rows kept short."""

from __future__ import annotations

import math
import warnings
from typing import Any

from tinygrad_like import dtypes
from tinygrad_like.arrays.matrices import needs_float
from tinygrad_like.graph import Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.ops.arguments import require_tensor, require_tensors
from tinygrad_like.ops.comparison import where
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.diagonals import diagonal
from tinygrad_like.ops.elementwise import clamp
from tinygrad_like.ops.joining import cat, narrow
from tinygrad_like.ops.norms import norm
from tinygrad_like.ops.reduction import axes_of
from tinygrad_like.ops.shaping import axis_of, reshape, unsqueeze
from tinygrad_like.views import in_place

__all__ = [
    "corrcoef",
    "cov",
    "cumulative_trapezoid",
    "gradient",
    "renorm",
    "trapezoid",
    "trapz",
]


def _as_float(x: Any) -> Any:
    return x if x.array.dtype.kind == "f" else convert(x, dtypes.default())


# ----- Covariance ---------------------------------------------------------------------------------


def _checked_weights(name: str, w: Any, kind: str, words: str, count: int) -> Any:
    d = w.array.dtype
    if w.ndim > 1:
        raise told(
            RuntimeError,
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.ndim} "
            "dimensions",
        )
    if d.kind not in kind:
        raise told(
            RuntimeError,
            f"cov(): expected {name} to have {words} dtype but got {name} with {dtypes.named(d).name} "
            "dtype",
        )
    if w.array.size != count:
        raise told(
            RuntimeError,
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{w.array.size} != {count}",
        )
    if (w.array < 0).any():
        raise told(RuntimeError, f"cov(): {name} cannot be negative")
    return reshape(w, (count,))


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Return the covariances of variables, the rows of ``(N, M)``, over M observations: ``(N, N)``.

    Args:
        input: ``(N, M)``; or ``(M,)``, one variable, of which it is the variance.
        correction: what is subtracted from M.
        fweights: ``(M,)`` integers: how often each observation was made.
        aweights: ``(M,)`` floats: how much each observation counts.

    Raises:
        RuntimeError: if there are more dimensions, elements are bools, or weights do not fit.

    >>> import tinygrad_like as torch
    >>> torch.cov(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    require_tensors("cov", input=input)
    if input.ndim > 2:
        raise told(
            RuntimeError,
            f"cov(): expected input to have two or fewer dimensions, got shape {input.array.shape}",
        )
    if input.array.dtype.kind == "b":
        raise told(RuntimeError, "cov(): bool dtype is not supported for input; use .float()")
    x = _as_float(input if input.ndim == 2 else reshape(input, (1, -1)))
    count = x.shape[1]
    weights = None
    if fweights is not None:
        weights = _checked_weights("fweights", fweights, "iu", "integral", count)
    if aweights is not None:
        given = _checked_weights("aweights", aweights, "f", "floating point", count)
        weights = given if weights is None else weights * given
    if aweights is not None:
        d = dtypes.result((x.array, aweights.array))
        x, weights = convert(x, d), convert(weights, d)
    if weights is None:
        mean = x.sum(1, keepdim=True) / count if count else x.sum(1, keepdim=True) * math.nan
        factor: Any = count
    else:
        factor = weights.sum()
        if float(factor.array) == 0:
            raise told(RuntimeError, "cov(): weights sum to zero, can't be normalized")
        mean = (x * weights).sum(1, keepdim=True) / factor
    if weights is not None and aweights is not None:
        factor = factor - correction * (weights * reshape(aweights, (count,))).sum() / factor
    else:
        factor = factor - correction
    if float(as_array(factor)) <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0", UserWarning, stacklevel=2)
        factor = 0
    centered = x - mean
    weighted = centered if weights is None else centered * weights
    products = convert(weighted, x.array.dtype) @ centered.mT
    out = products / factor if isinstance(factor, Traced) or factor else products / (x.sum() * 0)
    return out if input.ndim == 2 and len(x) > 1 else out.squeeze()


def corrcoef(input: Any) -> Any:
    """Return the correlations of variables, the rows of ``(N, M)``, over M observations: ``(N, N)``.

    Raises:
        RuntimeError: if there are more dimensions, or elements are bools.

    >>> import tinygrad_like as torch
    >>> torch.corrcoef(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    require_tensors("corrcoef", input=input)
    if input.ndim > 2:
        raise told(
            RuntimeError,
            f"corrcoef(): expected input to have two or fewer dimensions, got shape {input.array.shape}",
        )
    covariance = cov(input)
    if covariance.ndim == 0:
        return covariance / covariance
    deviation = diagonal(covariance).sqrt()
    return clamp(covariance / unsqueeze(deviation, 1) / deviation, -1, 1)


# ----- Areas --------------------------------------------------------------------------------------


def _widths(name: str, y: Any, x: Any, dx: Any, dim: int) -> Any:
    """Return the distances between samples: a number, or a tensor that broadcasts along `dim`."""
    if y.array.dtype.kind == "b":
        raise told(
            RuntimeError, f"{name}: received a bool input for `y`, but bool is not supported"
        )
    if x is None:
        if isinstance(dx, bool) or not isinstance(dx, int | float | None):
            raise told(RuntimeError, f"{name}: Currently, we only support dx as a real number.")
        return 1 if dx is None else dx
    if dx is not None:
        raise told(TypeError, f"{name}(): takes x or dx, not both")
    x = require_tensor(name, "x", x)
    if x.array.dtype.kind == "b":
        raise told(
            RuntimeError, f"{name}: received a bool input for `x`, but bool is not supported"
        )
    if x.ndim == 1:
        if x.shape[0] != y.shape[dim]:
            raise told(
                RuntimeError,
                f"{name}: There must be one `x` value for each sample point: got {x.shape[0]} and "
                f"{y.shape[dim]}",
            )
        x = reshape(x, tuple(-1 if i == dim else 1 for i in range(y.ndim)))
    elif x.ndim < y.ndim:
        x = reshape(x, (1,) * (y.ndim - x.ndim) + tuple(x.shape))
    return _steps(x, dim)


def _steps(x: Any, dim: int) -> Any:
    size = x.shape[dim]
    if size < 2:
        return narrow(x, dim, 0, 0)
    return narrow(x, dim, 1, size - 1) - narrow(x, dim, 0, size - 1)


def _trapezoids(y: Any, widths: Any, dim: int) -> Any:
    count = y.shape[dim] - 1
    return (narrow(y, dim, 0, count) + narrow(y, dim, 1, count)) * widths / 2


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Return the area under samples along `dim`, between two of them a trapezoid.

    Args:
        y: the samples.
        x: where they were taken; of one dimension, or broadcastable.
        dx: how far they are apart, 1 if None.
        dim: the dimension.

    Raises:
        RuntimeError: if there is not an `x` for each sample, or one of them is of bools.

    >>> import tinygrad_like as torch
    >>> torch.trapezoid(torch.tensor([1.0, 2.0, 4.0]))
    tensor(4.5000)
    """
    require_tensors("trapezoid", y=y)
    if not y.ndim:
        raise told(
            IndexError, f"trapezoid: Dimension specified as {dim} but tensor has no dimensions"
        )
    axis = axis_of(dim, y.ndim)
    widths = _widths("trapezoid", y, x, dx, axis)
    if not y.shape[axis]:
        return _as_float(y).sum(axis)
    return _as_float(_trapezoids(y, widths, axis).sum(axis))


def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Return what `trapezoid` returns."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Return the area under samples along `dim` up to each but the first; see `trapezoid`.

    Raises:
        RuntimeError: if there is not an `x` for each sample, or one of them is of bools.

    >>> import tinygrad_like as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 4.0]))
    tensor([1.5000, 4.5000])
    """
    require_tensors("cumulative_trapezoid", y=y)
    if not y.ndim:
        raise told(IndexError, "cumulative_trapezoid: slice() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, y.ndim)
    widths = _widths("cumulative_trapezoid", y, x, dx, axis)
    if not y.shape[axis]:
        return _as_float(y)
    return _trapezoids(y, widths, axis).cumsum(axis)


# ----- Slopes -------------------------------------------------------------------------------------


def _spacings(input: Any, spacing: Any, axes: list[int], given: bool) -> list[Any]:
    """Return for each axis the distance between samples, or the tensor of where they were taken."""
    if isinstance(spacing, Traced):
        if spacing.array.ndim:
            raise told(
                TypeError,
                "gradient(): spacing is a Tensor with dimensions, expected a number or a list of numbers or "
                "of Tensors: spacing=(coordinates,)",
            )
        spacing = spacing.array.item()
    if not isinstance(spacing, list | tuple):
        return [spacing] * len(axes)
    if len(spacing) != len(axes):
        what = (
            "the list of dims" if given else f"'self.dim() = {input.ndim}', since dim was not given"
        )
        raise told(
            RuntimeError,
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
            f"{what}, but got a list of length {len(spacing)}",
        )
    for axis, s in zip(axes, spacing, strict=True):
        if isinstance(s, Traced) and tuple(s.array.shape) != (input.shape[axis],):
            raise told(
                RuntimeError,
                f"torch.gradient expected each tensor in spacing to have one coordinate for each sample: got "
                f"{tuple(s.array.shape)} for dimension {axis} of size {input.shape[axis]}",
            )
    return list(spacing)


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    """Return estimates of the slopes along dimensions `dim`, all if None, as a tuple of tensors.

    In the middle they are exact for parabolas (Fornberg 1988), at the edges for lines, or for parabolas
    if `edge_order` is 2.

    Args:
        input: samples.
        spacing: how far they are apart: a number, or one for each dimension, or for each dimension a
            tensor of where they were taken.
        dim: an int or several.
        edge_order: 1 or 2.

    Raises:
        RuntimeError: if there are not more than `edge_order` samples, they are bools, or `spacing` does
            not fit.

    >>> import tinygrad_like as torch
    >>> torch.gradient(torch.tensor([1.0, 4.0, 9.0]))
    (tensor([3., 4., 5.]),)
    """
    require_tensors("gradient", input=input)
    axes = (
        list(range(input.ndim))
        if dim is None
        else [axis_of(d, input.ndim) for d in (dim if isinstance(dim, list | tuple) else (dim,))]
    )
    axes_of(axes, input.ndim)
    if input.array.dtype.kind == "b":
        raise told(
            RuntimeError, "torch.gradient: bool dtype is not supported for input; use .float()"
        )
    if edge_order not in (1, 2):
        raise told(RuntimeError, f"gradient: edge_order must be 1 or 2, got {edge_order}")
    spacings = _spacings(input, spacing, axes, dim is not None)
    for axis in axes:
        if input.shape[axis] < edge_order + 1:
            raise told(
                RuntimeError,
                "torch.gradient expected each dimension size to be at least edge_order+1, got size "
                f"{input.shape[axis]} in dimension {axis}",
            )
    return tuple(
        _slopes(_as_float(input), axis, s, edge_order)
        for axis, s in zip(axes, spacings, strict=True)
    )


def _slopes(x: Any, dim: int, spacing: Any, edge_order: int) -> Any:
    size = x.shape[dim]
    if isinstance(spacing, Traced):
        shape = tuple(-1 if i == dim else 1 for i in range(x.ndim))
        widths = reshape(_steps(_as_float(spacing), 0), shape)
        rises = _steps(x, dim) / widths
    else:
        rises = _steps(x, dim) / spacing
    count = size - 2
    first, last = narrow(rises, dim, 0, 1), narrow(rises, dim, size - 2, 1)
    if not count:
        return cat([first, last], dim)
    left, right = narrow(rises, dim, 0, count), narrow(rises, dim, 1, count)
    if isinstance(spacing, Traced):
        before, after = narrow(widths, dim, 0, count), narrow(widths, dim, 1, count)
        share = after / (before + after)
    else:
        share = 0.5
    middle = left * share + right * (1 - share)
    if edge_order == 2:  # a parabola's slope is linear, and halfway between samples it is the rise
        first = first * 2 - narrow(middle, dim, 0, 1)
        last = last * 2 - narrow(middle, dim, count - 1, 1)
    return cat([first, middle, last], dim)


# ----- Rows kept short ----------------------------------------------------------------------------


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Return the tensor with each slice along `dim` of a p-norm above `maxnorm` scaled down to it.

    Raises:
        RuntimeError: for fewer than two dimensions, `p` not positive or `maxnorm` negative, or elements
            not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.5, 0.0]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.5000, 0.0000]])
    """
    require_tensors("renorm", input=input)
    if p <= 0:
        raise told(RuntimeError, f"renorm: non-positive-norm not supported, got p={p}")
    if input.ndim < 2:
        raise told(
            RuntimeError, f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    if maxnorm < 0:
        raise told(RuntimeError, f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.array.dtype.kind != "f":
        needs_float("renorm", input.array)
    axis = axis_of(dim, input.ndim)
    length = norm(input, p, tuple(i for i in range(input.ndim) if i != axis), True)
    long = length > maxnorm
    return input * where(long, maxnorm / (length + 1e-7), length.new_ones(()))


# ----- Methods ------------------------------------------------------------------------------------


class StatisticsMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    corrcoef = corrcoef
    cov = cov
    renorm = renorm

    renorm_ = in_place("renorm_", renorm)
