"""Losses that compare a prediction with a target element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.arrays import loss_rows
from tinygrad_like.arrays.loss_rows import LEAST_VARIANCE
from tinygrad_like.arrays.passes import alike
from tinygrad_like.dtypes import F16
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops import cross_entropy as _classes
from tinygrad_like.ops.comparison import keep_where, unsupported
from tinygrad_like.ops.cross_entropy import (
    check_reduction,
    is_recorded,
    reduced,
    scale_of,
    title,
)
from tinygrad_like.ops.unary import sigmoid

__all__ = ["binary_cross_entropy_with_logits"]
FUNCTIONAL = [
    *_classes.FUNCTIONAL,
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

cross_entropy, nll_loss, one_hot = _classes.cross_entropy, _classes.nll_loss, _classes.one_hot


def _common(x: Any, y: Any) -> tuple[int, ...]:
    """Return the shape that the shapes of both operands broadcast to."""
    return x if x == y else np.broadcast_shapes(x, y)


def _scaled(slope: Any, g: Any, x: Any, y: Any, reduction: str, factor: float = 1.0) -> Any:
    """Return new derivatives of elements' losses times what reaches these of `g`, times a factor."""
    factor *= scale_of(reduction, _common(x.shape, y.shape))
    return _times(slope, g if factor == 1 else g * factor)


def _times(slope: Any, g: Any) -> Any:
    """Return ``slope * g``, in the place of `slope` if that is an array."""
    if isinstance(slope, np.ndarray) and not isinstance(g, Traced) and slope.ndim:
        shape = np.shape(g)
        if not shape or shape == slope.shape:
            return np.multiply(slope, g, out=slope)
    return slope * g


def _difference(x: Any, y: Any, name: str) -> Any:
    """Return ``x - y``.

    Raises:
        NotImplementedError: if the elements are no floating-point numbers.
    """
    if x.dtype.kind != "f":
        raise told(NotImplementedError, f"\"{name}_cpu\" not implemented for '{title(x)}'")
    return x - y


# ----- Squared errors -----------------------------------------------------------------------------


@op(
    x=lambda g, x, y, reduction: _scaled(x - y, g, x, y, reduction, 2.0),
    y=lambda g, x, y, reduction: _scaled(x - y, g, x, y, reduction, -2.0),
    broadcasts=True,
    dtype="promote",
    name="mse_loss",
)
def _mse_loss(x: Array, y: Array, reduction: str) -> Array:
    d = _difference(x, y, "mse")
    if 0 < d.size <= 65536 and reduction != "none" and d.dtype is not F16:
        d = d.reshape(-1)
        total = np.dot(d, d)
        return total if reduction == "sum" else total / d.dtype.type(d.size)
    # Of more elements NumPy's pairwise sum is the more precise.
    return reduced(np.multiply(d, d, out=d if d.ndim else None), reduction)


# ----- Errors that grow linearly ------------------------------------------------------------------


def _cut(d: Any, edge: float) -> Any:
    """Return numbers cut at `edge` and ``-edge``."""
    if not isinstance(d, Traced):
        return np.clip(d, -edge, edge)
    inside = (np.abs(d.array) < edge).astype(d.array.dtype)
    return d * inside + np.sign(d.array) * (1 - inside) * edge


def _bent_errors(d: Any, edge: float, divisor: float) -> Any:
    """Return half the squares of numbers below `edge`, beyond it the tangent's values, divided."""
    size = np.abs(d)
    inner = np.clip(size, 0, edge)
    size -= 0.5 * inner
    if divisor != 1:
        inner /= divisor
    size *= inner
    return size


def _smooth_l1_rule(sign: float) -> Callable[..., Any]:
    def rule(g: Any, x: Any, y: Any, reduction: str, beta: float) -> Any:
        if beta == 0:
            return _scaled(_sign_of(x, y), g, x, y, reduction, sign)
        return _scaled(_cut(x - y, beta), g, x, y, reduction, sign / beta)

    return rule


@op(
    x=_smooth_l1_rule(1),
    y=_smooth_l1_rule(-1),
    broadcasts=True,
    dtype="promote",
    name="smooth_l1_loss",
    label="SmoothL1Loss",
)
def _smooth_l1_loss(x: Array, y: Array, reduction: str, beta: float) -> Array:
    d = _difference(x, y, "smooth_l1")
    if beta == 0:
        return reduced(np.abs(d), reduction)
    return reduced(_bent_errors(d, beta, beta), reduction)


def _huber_rule(sign: float) -> Callable[..., Any]:
    def rule(g: Any, x: Any, y: Any, reduction: str, delta: float) -> Any:
        return _scaled(_cut(x - y, delta), g, x, y, reduction, sign)

    return rule


@op(
    x=_huber_rule(1),
    y=_huber_rule(-1),
    broadcasts=True,
    dtype="promote",
    name="huber_loss",
)
def _huber_loss(x: Array, y: Array, reduction: str, delta: float) -> Array:
    return reduced(_bent_errors(_difference(x, y, "huber"), delta, 1.0), reduction)


@op(
    x=lambda g, x, y, reduction: _scaled(_sign_of(x, y), g, x, y, reduction),
    y=lambda g, x, y, reduction: _scaled(_sign_of(x, y), g, x, y, reduction, -1.0),
    broadcasts=True,
    dtype="promote",
    name="l1_loss",
    label="Mean",
)
def _l1_loss(x: Array, y: Array, reduction: str) -> Array:
    d = np.abs(x - y)
    if d.dtype.kind != "f" and reduction == "mean":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {title(d)}"
        )
    return reduced(d, reduction)


def _sign_of(x: Any, y: Any) -> Any:
    """Return the sign of the difference, 0 for a nan as in PyTorch."""
    d = as_array(x) - as_array(y)
    return np.subtract(d > 0, d < 0, dtype=np.int8).astype(d.dtype)


# ----- Binary cross entropy -----------------------------------------------------------------------


def _alike(routine: Callable[..., None], x: Any, y: Any, recorded: bool) -> tuple[Any, Any]:
    """Return the losses that `routine` finds for alike arrays, and their slope if `recorded`."""
    slope = np.empty_like(y) if recorded else None
    return alike(routine, x, y, also=(slope,)), slope


def _weighed(weight: Any, losses: Any, slope: Any, reduction: str) -> tuple[Any, Any, float]:
    """Return the reduced loss, the slope, and what one element counts in the loss."""
    if weight is not None:
        losses = losses * weight
        slope = None if slope is None else slope * weight
    return reduced(losses, reduction), slope, scale_of(reduction, losses.shape)


def _weighted(g: Any, weight: Any) -> Any:
    return g if weight is None else g * weight


def _bce_slope(g: Any, x: Any, y: Any, weight: Any, slope: Any, scale: float) -> Any:
    if slope is not None and not isinstance(x, Traced):
        return slope * (g * scale)
    variance = (1 - x) * x
    least = as_array(variance) < LEAST_VARIANCE
    if least.any():
        kept = (~least).astype(as_array(variance).dtype)
        variance = variance * kept + LEAST_VARIANCE * (1 - kept)
    return _weighted(g * scale, weight) * (x - y) / variance


def _bce_target_slope(g: Any, x: Any, weight: Any, scale: float) -> Any:
    g = _weighted(g * scale, weight)
    return g * (np.log(1 - x) - np.log(x))  # not cut, as in PyTorch


@op(
    x=_bce_slope,
    y=_bce_target_slope,
    dtype="same",
    keeps=("slope", "scale"),
    name="binary_cross_entropy",
)
def _binary_cross_entropy(
    x: Array, y: Array, weight: Array | None, reduction: str, recorded: bool
) -> Any:
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        outside = x[~((x >= 0) & (x <= 1))][0]
        raise RuntimeError(f"all elements of input should be between 0 and 1, got {outside}")
    return _weighed(weight, *_alike(loss_rows.binary, x, y, recorded), reduction)


def _softplus_of_minus(x: Any) -> Any:
    """Return ``log(1 + exp(-x))`` by ops."""
    negative = np.asarray(as_array(x) < 0)
    sign = 2 * negative.astype(as_array(x).dtype) - 1
    return np.log(1 + np.exp(x * sign)) - keep_where(x, negative)


def _logits_slope(
    g: Any, x: Any, y: Any, weight: Any, pos_weight: Any, slope: Any, scale: float
) -> Any:
    if slope is not None and not isinstance(x, Traced):
        return slope * (g * scale)
    if pos_weight is None:
        steep = sigmoid(x) - y
    else:
        t = y * pos_weight
        steep = (t + 1 - y) * sigmoid(x) - t
    return _times(steep, _weighted(g * scale, weight))


def _logits_target_slope(g: Any, x: Any, weight: Any, pos_weight: Any, scale: float) -> Any:
    steep = -x
    if pos_weight is not None:
        steep = steep + (pos_weight - 1) * _softplus_of_minus(x)
    return _weighted(g * scale, weight) * steep


@op(
    x=_logits_slope,
    y=_logits_target_slope,
    broadcasts=True,
    dtype="promote",
    keeps=("slope", "scale"),
    name="binary_cross_entropy_with_logits",
)
def _binary_cross_entropy_with_logits(
    x: Array,
    y: Array,
    weight: Array | None,
    pos_weight: Array | None,
    reduction: str,
    recorded: bool,
) -> Any:
    if pos_weight is None and x.size < loss_rows.LEAST:
        return _weighed(weight, loss_rows.few_logits(x, y), None, reduction)
    if pos_weight is None:
        return _weighed(weight, *_alike(loss_rows.logits, x, y, recorded), reduction)
    softplus = _softplus_of_minus(x)
    losses = (1 - y) * x + softplus * ((pos_weight - 1) * y + 1)
    return _weighed(weight, losses, None, reduction)


# ----- PyTorch's spelling -------------------------------------------------------------------------


def _warn_of_sizes(input: Any, target: Any) -> None:
    if not hasattr(target, "shape"):
        raise told(
            AttributeError,
            f"'{type(target).__name__}' object has no attribute 'size': target must be a Tensor",
        )
    if input.shape != target.shape:
        from tinygrad_like.debug.losses import warn_of_sizes

        warn_of_sizes(input.shape, target.shape)


def mse_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Return the squared difference, averaged over all elements (or "sum", or "none").

    With `weight`, each square is multiplied by it, and a mean divides by its sum.

    Raises:
        ValueError: if `reduction` is none of the three.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.loss import mse_loss
    >>> mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]))
    tensor(2.5000)
    """
    _warn_of_sizes(input, target)
    reduction = check_reduction(size_average, reduce, reduction)
    if weight is not None:
        return _weighted_mean(_mse_loss(input, target, "none"), weight, reduction)
    return _mse_loss(input, target, reduction)


def _fitting(weight: Any, input: Any) -> Any:
    """Return the weight of each element in the dtype of the input.

    Raises:
        RuntimeError: if it doesn't broadcast to the shape of the input.
    """
    if weight is None or not isinstance(weight, Traced):
        return weight
    w, x = weight.array, as_array(input)
    if w.shape != x.shape and _broadcast(w.shape, x.shape) != x.shape:
        raise told(
            RuntimeError,
            f"binary_cross_entropy: weight has shape {w.shape}, expected one that broadcasts to that of "
            f"input, {x.shape}",
        )
    return weight if w.dtype is x.dtype else REGISTRY["cast"].call(weight, x.dtype)


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        return None


def _weighted_mean(losses: Any, weight: Any, reduction: str) -> Any:
    if tuple(weight.shape) != tuple(losses.shape):
        raise told(ValueError, "Weights and input must have the same size.")
    losses = losses * weight
    if reduction == "none":
        return losses
    total = np.sum(losses)
    return total if reduction == "sum" else total / np.sum(weight)


def l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Return the absolute difference, averaged over all elements (or "sum", or "none").

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.loss import l1_loss
    >>> l1_loss(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.0]))
    tensor(1.5000)
    """
    _warn_of_sizes(input, target)
    reduction = check_reduction(size_average, reduce, reduction)
    if weight is not None:
        return _weighted_mean(_l1_loss(input, target, "none"), weight, reduction)
    return _l1_loss(input, target, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Return ``d**2 / (2 * beta)`` where the difference d is below `beta`, else ``|d| - beta / 2``.

    Raises:
        RuntimeError: if `beta` is negative.
    """
    _warn_of_sizes(input, target)
    reduction = check_reduction(size_average, reduce, reduction)
    if beta < 0:
        raise told(
            RuntimeError, f"smooth_l1_loss does not support negative values for beta, got {beta}"
        )
    return _smooth_l1_loss(input, target, reduction, float(beta))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """Return ``d**2 / 2`` where the difference d is below `delta`, else ``delta * (|d| - delta / 2)``.

    Raises:
        RuntimeError: if `delta` is not positive.
    """
    _warn_of_sizes(input, target)
    reduction = check_reduction(None, None, reduction)
    if delta <= 0:
        raise told(
            RuntimeError, f"huber_loss does not support non-positive values for delta, got {delta}"
        )
    if weight is not None:
        losses = _weighted_mean(_huber_loss(input, target, "none", float(delta)), weight, "none")
        if reduction == "none":
            return losses
        total = np.sum(losses)  # whose mean PyTorch takes over the elements, not over the weights
        return total if reduction == "sum" else total * scale_of("mean", tuple(losses.shape))
    return _huber_loss(input, target, reduction, float(delta))


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return ``-(target * log(input) + (1 - target) * log(1 - input))``, logarithms cut at -100.

    Raises:
        RuntimeError: if an element of `input` lies outside [0, 1].
        ValueError: if the shapes differ.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.loss import binary_cross_entropy
    >>> binary_cross_entropy(torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.0]))
    tensor(50.3466)
    """
    reduction = check_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise told(
            ValueError,
            f"Using a target size (torch.Size({list(target.shape)})) that is different to the input "
            f"size (torch.Size({list(input.shape)})) is deprecated. Please ensure they have the same "
            "size.",
        )
    return _binary_cross_entropy(
        input, target, _fitting(weight, input), reduction, is_recorded(input)
    )


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Return the binary cross entropy of ``sigmoid(input)``, without ever computing that.

    Args:
        input: logits of any shape.
        target: probabilities of the same shape.
        weight: what each element counts; it broadcasts.
        size_average: an old spelling of `reduction`.
        reduce: an old spelling of `reduction`.
        reduction: "mean", "sum" or "none".
        pos_weight: what the positive part counts; it broadcasts.

    Raises:
        ValueError: if the shapes differ.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = check_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise told(
            ValueError,
            f"Target size (torch.Size({list(target.shape)})) must be the same as input size "
            f"(torch.Size({list(input.shape)}))",
        )
    node = input.node if isinstance(input, Traced) else None
    if node is not None and node.label in ("Sigmoid", "View", "Select", "Squeeze"):
        from tinygrad_like.debug.losses import see_scores

        see_scores(node, "Sigmoid", "binary_cross_entropy_with_logits")
    x, y = as_array(input), as_array(target)
    if x.dtype.kind != "f":
        raise unsupported("binary_cross_entropy_with_logits", x.dtype)
    if y.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"binary_cross_entropy_with_logits: result type {title(x)} can't be cast to the target's type "
            f"{title(y)}; use target.float()",
        )
    return _binary_cross_entropy_with_logits(
        input, target, _fitting(weight, input), pos_weight, reduction, is_recorded(input)
    )
