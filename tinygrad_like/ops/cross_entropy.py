"""Losses on class scores: cross entropy, the negative log likelihood, and one-hot coding."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_like.arrays import loss_rows
from tinygrad_like.arrays.row_blocks import HEAVY, by_blocks
from tinygrad_like.dtypes import F16, F32, I64
from tinygrad_like.graph import Array, Traced, as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.modes import thread_mode
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.unary import exp

__all__: list[str] = []
FUNCTIONAL = ["cross_entropy", "nll_loss", "one_hot"]


# ----- What all losses share ----------------------------------------------------------------------


def check_reduction(size_average: Any, reduce: Any, reduction: str) -> str:
    """Return the reduction asked for, also by the two flags that came before it.

    Raises:
        ValueError: if it is none of "none", "mean" and "sum".
    """
    if isinstance(size_average, Traced) and size_average.array.size != 1:
        raise told(
            RuntimeError,
            "Boolean value of Tensor with more than one value is ambiguous: size_average is a Tensor, "
            "expected a bool",
        )
    if size_average is not None or reduce is not None:
        meant = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{meant}' instead.",
            UserWarning,
            stacklevel=3,
        )
        return meant
    if reduction not in ("none", "mean", "sum"):
        raise told(ValueError, f"{reduction} is not a valid value for reduction")
    return reduction


def quotient(total: Any, count: int | float) -> float:
    """Return ``total / count`` as a Python float, nan or infinity where the count is 0."""
    if count:
        return float(total) / count
    return math.nan if total == 0 or math.isnan(total) else math.copysign(math.inf, total)


def reduced(values: Any, reduction: str, total: float | None = None) -> Any:
    """Return losses reduced, in the forward of a loss; a mean divides by `total`, or their number."""
    if reduction == "none":
        return values
    # The sum of numbers of half precision is one of single.
    result = np.add.reduce(values, axis=None, dtype=F32 if values.dtype is F16 else None)
    if reduction == "mean":
        # An empty batch has the mean nan, 0 / 0.
        result = result / result.dtype.type(values.size if total is None else total)
    return result if result.dtype is values.dtype else result.astype(values.dtype)


def scale_of(reduction: str, shape: tuple[int, ...]) -> float:
    """Return what one element counts in the reduced loss."""
    return quotient(1, math.prod(shape)) if reduction == "mean" else 1.0


# ----- Targets ------------------------------------------------------------------------------------


def _places(shape: Any, target: Any) -> Any:
    """Return where among all scores of a shape ``(N, C, d1, ...)`` each target's own stands."""
    n, classes, *sizes = shape
    if not sizes:
        return np.arange(0, n * classes, classes) + target
    each = math.prod(sizes)
    first = (np.arange(n) * (classes * each)).reshape(n, *(1 for _ in sizes))
    return first + target.astype(np.int64) * each + np.arange(each).reshape(sizes)


def _checked(
    classes: int, d: Any, target: Any, weight: Any, ignore_index: int
) -> tuple[Any, Any, Any]:
    """Return the targets with ignored ones set to 0, which those are (or None), and all weights.

    The weights are those of the elements, in the dtype `d`, None if all are 1.
    """
    ignored = None
    if target.dtype is I64:
        # As unsigned numbers negative ones are huge: one reduction tells that nothing is special.
        largest = np.maximum.reduce(target.view(np.uint64), axis=None) if target.size else 0
    else:
        largest = target.max() if target.size else 0
    if largest >= classes or 0 <= ignore_index < classes:
        ignored = target == ignore_index
        wrong = ((target < 0) | (target >= classes)) & ~ignored
        if wrong.any():
            raise told(IndexError, f"Target {target[wrong][0]} is out of bounds.")
        target = np.where(ignored, 0, target)
        if not ignored.any():
            ignored = None
    if weight is None:
        return target, ignored, None if ignored is None else (~ignored).astype(d)
    weights = weight[target].astype(d, copy=False)
    if ignored is not None:
        weights[ignored] = 0
    return target, ignored, weights


def _total(weights: Any, target: Any) -> float:
    """Return what a mean divides by: the weights of all elements."""
    return float(target.size if weights is None else np.add.reduce(weights, axis=None))


def _spread(g: Any) -> Any:
    """Return the gradient of a loss, reduced or one per element, to be multiplied with scores."""
    return g if g.ndim == 0 else g[:, None]


def is_recorded(input: Any) -> bool:
    """Return whether the derivatives of what is computed from `input` will be asked for."""
    return isinstance(input, Traced) and input.node is not None and bool(thread_mode.grad)


# ----- Cross entropy with class indices -----------------------------------------------------------


def softmax_of(x: Any) -> Any:
    """Return the softmax of scores ``(N, C, d1, ...)`` over the classes, by ops."""
    e = np.exp(x - as_array(x).max(axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def _distribution(
    shape: Any, d: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float
) -> Any:
    """Return the coefficients q of the losses ``-sum(q * log_softmax(x))`` for x of a shape."""
    target, ignored, weights = _checked(shape[1], d, target, weight, ignore_index)
    q: Any = np.zeros(shape, d)
    if label_smoothing:
        q += label_smoothing / shape[1]
        if weight is not None:
            q *= weight.reshape((-1,) + (1,) * (len(shape) - 2))
    share = 1 - label_smoothing
    q.reshape(-1)[_places(shape, target)] += share if weights is None else share * weights
    if ignored is not None:
        np.moveaxis(q, 1, -1)[ignored] = 0
    return q


def _scores_rule(
    g: Any,
    x: Any,
    slope: Any,
    scale: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
) -> Any:
    if slope is not None and not isinstance(x, Traced):
        return slope * _spread(np.asarray(g * scale, slope.dtype))
    weight = None if weight is None else as_array(weight)
    d = as_array(x).dtype
    q = _distribution(x.shape, d, as_array(target), weight, ignore_index, label_smoothing)
    return (softmax_of(x) * q.sum(axis=1, keepdims=True) - q) * _spread(g * scale)


@op(
    x=_scores_rule,
    dtype="any",
    keeps=("slope", "scale"),
    name="cross_entropy",
    label="NllLoss",
)
def _cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
    recorded: bool,
) -> Any:
    d = x.dtype
    if d is F16:
        x = x.astype(F32)
    target, ignored, weights = _checked(x.shape[1], x.dtype, target, weight, ignore_index)
    if x.ndim == 2 and not label_smoothing:
        losses = np.empty(len(x), x.dtype)
        slope = np.empty(x.shape, x.dtype) if recorded else None
        if x.size:
            by_blocks(loss_rows.cross_entropy_rows, x, target, weights, losses, slope, cost=HEAVY)
    else:
        losses, slope = _smoothed(x, target, ignored, weights, weight, label_smoothing)
    if ignored is not None:
        losses[ignored] = 0  # and not 0 times what may be infinite
    total = _total(weights, target)
    loss = reduced(losses, reduction, total)
    scale: Any = quotient(1, total) if reduction == "mean" else 1.0
    if ignored is not None and not total:
        scale = np.where(ignored, 0, x.dtype.type(scale))  # and not 0 times infinity
    if d is F16:
        loss, slope = loss.astype(d), None if slope is None else slope.astype(d)
    return loss, slope, scale


def _smoothed(
    x: Any, target: Any, ignored: Any, weights: Any, weight: Any, label_smoothing: float
) -> tuple[Any, Any]:
    """Return the losses, their targets perhaps smoothed, of scores ``(N, C, ...)``, and the slope."""
    p = np.empty(x.shape, x.dtype)
    np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=p)
    places = _places(x.shape, target)
    own = p.reshape(-1)[places]
    mean_score = None
    if label_smoothing:
        mean_score = p.mean(axis=1) if weight is None else np.einsum("nc...,c->n...", p, weight)
    p = exp(p)
    sums = np.add.reduce(p, axis=1, keepdims=True)
    p /= sums
    log_sums = np.log(sums[:, 0])
    losses = log_sums - own
    share = 1 - label_smoothing
    kept = share if weights is None else share * weights
    whole = kept  # that the targets of an element add up to
    if weights is not None:
        losses *= weights
    if mean_score is not None:
        spread = x.dtype.type(label_smoothing / x.shape[1])
        if weight is None:
            smooth, whole = log_sums - mean_score, whole + label_smoothing
        else:
            smooth = log_sums * weight.mean() - mean_score * (1 / x.shape[1])
            whole = whole + spread * np.add.reduce(weight)
            spread = spread * weight.reshape((-1,) + (1,) * (x.ndim - 2))
        if ignored is not None:
            smooth[ignored], whole = 0, np.where(ignored, 0, whole)
        losses = share * losses + label_smoothing * smooth
        p *= _by_element(whole)
        p -= spread if ignored is None else spread * ~ignored[:, None]
    elif weights is not None:
        p *= weights[:, None]
    p.reshape(-1)[places] -= kept
    return losses, p


def _by_element(values: Any) -> Any:
    return values if np.ndim(values) == 0 else values[:, None]


# ----- Cross entropy with probabilities -----------------------------------------------------------


def _probabilities_rule(g: Any, x: Any, target: Any, slope: Any, scale: float) -> Any:
    g = _spread(g * scale)
    if slope is not None and not isinstance(x, Traced):
        return slope * g
    return g * (softmax_of(x) * np.sum(target, axis=1, keepdims=True) - target)


@op(
    x=_probabilities_rule,
    target=lambda g, x, scale: -_spread(g * scale) * log_softmax_of(x),
    dtype="promote",
    keeps=("slope", "scale"),
)
def soft_cross_entropy(x: Array, target: Array, reduction: str, recorded: bool) -> Any:
    """Return ``-sum(target * log_softmax(input))`` over the classes, dimension 1, reduced.

    >>> from tinygrad_like.ops.cross_entropy import soft_cross_entropy
    >>> import tinygrad_like as torch
    >>> soft_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.5, 0.5]]), "none", False)
    tensor([0.6931])
    """
    slope = None
    if x.ndim == 2 and x.dtype is not F16:
        losses = np.zeros(len(x), x.dtype)
        slope = np.empty(x.shape, x.dtype) if recorded else None
        if x.size:
            by_blocks(loss_rows.soft_cross_entropy_rows, x, target, losses, slope, cost=HEAVY)
    else:
        losses = -np.add.reduce(log_softmax_of(x) * target, axis=1)
    scale = scale_of(reduction, losses.shape)
    return reduced(losses, reduction), slope, scale


def log_softmax_of(x: Any) -> Any:
    """Return the logarithm of `softmax_of`, by ops."""
    shifted = x - as_array(x).max(axis=1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


def _with_probabilities(
    input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    if as_array(target).dtype.kind != "f":
        raise told(
            RuntimeError,
            "Expected floating point type for target with class probabilities, got "
            f"{title(as_array(target))}",
        )
    q = target
    if label_smoothing:
        q = q * (1 - label_smoothing) + label_smoothing / input.shape[1]
    if weight is not None:
        q = q * as_array(weight).reshape((-1,) + (1,) * (input.ndim - 2))
    return soft_cross_entropy(input, q, reduction, is_recorded(input))


_TITLES = {"f2": "Half", "f4": "Float", "f8": "Double", "i1": "Char", "i2": "Short", "i4": "Int"}
_TITLES |= {"i8": "Long", "u1": "Byte", "b1": "Bool"}


def title(array: Any) -> str:
    """Return what PyTorch calls the dtype of an array in messages."""
    return _TITLES[array.dtype.kind + str(array.dtype.itemsize)]


# ----- PyTorch's spelling -------------------------------------------------------------------------


def _check_classes(input: Any, target: Any, weight: Any) -> None:
    """Raise what PyTorch raises for scores and class indices that do not fit each other."""
    x, t = as_array(input), as_array(target)
    if x.shape[0] != t.shape[0] if t.ndim else x.shape[0] != 1:
        raise told(
            ValueError,
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size "
            f"({t.shape[0] if t.ndim else 1}).",
        )
    if t.dtype != np.int64 and t.dtype != np.uint8:
        same = "; probabilities have the shape of input" if t.dtype.kind == "f" else "; use .long()"
        raise told(
            RuntimeError, f"expected target dtype to be Long or Byte, but got {title(t)}{same}"
        )
    wanted = (x.shape[0], *x.shape[2:])
    if t.shape != wanted:
        if x.ndim == 2:
            raise told(
                RuntimeError,
                "0D or 1D target tensor expected, multi-target not supported: target has shape "
                f"{list(t.shape)} for input {list(x.shape)}",
            )
        raise told(RuntimeError, f"Expected target size {list(wanted)}, got {list(t.shape)}")
    if weight is not None:
        w = as_array(weight)
        if w.shape != (x.shape[1],):
            raise told(
                RuntimeError,
                f"weight tensor should be defined either for all {x.shape[1]} classes or no classes "
                f"but got weight tensor of shape: {list(w.shape)}",
            )
        if w.dtype != x.dtype:
            if x.dtype.kind != "f":
                raise told(
                    NotImplementedError, f"nll_loss: not implemented for '{title(x)}'; use .float()"
                )
            raise told(
                RuntimeError, f"weight: expected scalar type {title(x)} but found {title(w)}"
            )


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross entropy of class scores ``(N, C, d1, ...)`` or ``(C)`` to targets.

    Args:
        input: unnormalised scores, logits.
        target: class indices ``(N, d1, ...)``, or probabilities of the shape of `input`.
        weight: what each class counts, ``(C)``.
        size_average: an old spelling of `reduction`.
        ignore_index: targets of this value count nothing.
        reduce: an old spelling of `reduction`.
        reduction: "mean" (over the targets' weights), "sum" or "none".
        label_smoothing: the share of the target that is spread evenly over all classes.

    Raises:
        IndexError: if a class index is out of range.
        ValueError: if the batch sizes differ or `reduction` is none of the three.
        RuntimeError: if shapes or dtypes do not fit, or classes are to be ignored though targets are
            probabilities.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.cross_entropy import cross_entropy
    >>> cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor(0.6931)
    """
    if not (isinstance(input, Traced) and isinstance(target, Traced)):
        require_tensors("cross_entropy_loss", input=input, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    x, t = as_array(input), as_array(target)
    node = input.node if isinstance(input, Traced) else None
    if node is not None and node.label in ("Softmax", "View", "Permute", "Transpose"):
        from tinygrad_like.debug.losses import see_scores

        see_scores(node, "Softmax", "cross_entropy")
    if not 0 <= label_smoothing <= 1:
        raise told(
            RuntimeError, f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}"
        )
    if x.ndim == 0:
        raise told(
            RuntimeError, "cross_entropy: input is a number, expected scores (C) or (N, C, ...)"
        )
    if x.dtype.kind != "f":
        raise told(
            NotImplementedError,
            f"cross_entropy: not implemented for '{title(x)}'; convert the input to a floating-point dtype",
        )
    if x.shape == t.shape:
        if ignore_index >= 0:
            raise told(RuntimeError, "ignore_index is not supported for floating point target")
        if x.ndim > 1:
            return _with_probabilities(input, target, weight, reduction, label_smoothing)
        losses = _with_probabilities(input[None], target[None], weight, reduction, label_smoothing)
        return losses[0] if reduction == "none" else losses
    if x.ndim == 1:
        if t.size != 1 or t.ndim > 1:
            raise told(
                ValueError,
                f"Expected input batch_size (1) to match target batch_size ({t.shape[0]}).",
            )
        single = result_type.make(t.reshape(1))
        _check_classes(input[None], single, weight)
        options = reduction, ignore_index, label_smoothing, is_recorded(input)
        losses = _cross_entropy(input[None], single, weight, *options)
        return losses[0] if reduction == "none" else losses
    _check_classes(input, target, weight)
    options = reduction, ignore_index, label_smoothing, is_recorded(input)
    return _cross_entropy(input, target, weight, *options)


# ----- Negative log likelihood --------------------------------------------------------------------


@op(
    grad=lambda g, grad_shape, target, weight, shape, reduction, ignore_index: _contracted(
        g, grad_shape, target, weight, shape, reduction, ignore_index
    ),
)
def nll_loss_backward(
    grad: Array, target: Array, weight: Array | None, shape: Any, reduction: str, ignore_index: int
) -> Array:
    """Return the gradient of `nll_loss` for the log probabilities of the given shape."""
    target, ignored, weights = _checked(shape[1], grad.dtype, target, weight, ignore_index)
    out: Any = np.zeros(shape, grad.dtype)
    scale = -grad
    if weights is not None:
        scale = scale * weights
    if reduction == "mean":
        scale = scale * quotient(1, _total(weights, target))
    if ignored is not None:
        scale = np.where(ignored, 0, scale)
    out.reshape(-1)[_places(shape, target)] = scale
    return out


def _contracted(
    g: Any, grad_shape: Any, target: Any, weight: Any, shape: Any, reduction: str, ignore_index: int
) -> Any:
    """Return the gradient of `nll_loss_backward`, which is linear, for the loss's gradient."""
    weight = None if weight is None else as_array(weight)
    q = _distribution(shape, as_array(g).dtype, as_array(target), weight, ignore_index, 0.0)
    if reduction == "mean":
        q *= quotient(1, float(np.add.reduce(q, axis=None)))
    return -np.sum(g * q, axis=1) if grad_shape else -np.sum(g * q)


@op(
    x=lambda g, x_shape, target, weight, reduction, ignore_index: nll_loss_backward(
        g, target, weight, x_shape, reduction, ignore_index
    ),
    name="nll_loss",
)
def _nll_loss(
    x: Array, target: Array, weight: Array | None, reduction: str, ignore_index: int
) -> Array:
    target, ignored, weights = _checked(x.shape[1], x.dtype, target, weight, ignore_index)
    losses = -x.reshape(-1)[_places(x.shape, target)]
    if weights is not None:
        losses *= weights
    if ignored is not None:
        losses[ignored] = 0
    return reduced(losses, reduction, _total(weights, target))


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return the negative log likelihood of targets under log probabilities ``(N, C, d1, ...)``.

    The arguments and errors are those of `cross_entropy`.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.cross_entropy import nll_loss
    >>> nll_loss(torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]), torch.tensor([0, 1]))
    tensor(2.5000)
    """
    if not (isinstance(input, Traced) and isinstance(target, Traced)):
        require_tensors("nll_loss", input=input, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    x, t = as_array(input), as_array(target)
    if x.ndim == 1 and t.ndim == 0:
        single = result_type.make(t.reshape(1))
        _check_classes(input[None], single, weight)
        loss = _nll_loss(input[None], single, weight, reduction, ignore_index)
        return loss[0] if reduction == "none" else loss
    if x.ndim < 2:
        raise told(
            ValueError, f"nll_loss: input has {x.ndim} dimensions, expected (N, C, ...) or (C)"
        )
    _check_classes(input, target, weight)
    return _nll_loss(input, target, weight, reduction, ignore_index)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return ones where the last, new dimension's index is the element's value, zeros elsewhere.

    Args:
        tensor: class indices of dtype int64, of any shape.
        num_classes: the size of the new dimension, by default one more than the largest index.

    Raises:
        RuntimeError: if the dtype is another or an index is out of range.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.ops.cross_entropy import one_hot
    >>> one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if not isinstance(tensor, Traced):
        raise told(
            TypeError,
            f"one_hot(): argument 'input' (position 1) must be Tensor, not {type(tensor).__name__}",
        )
    indices = tensor.array
    if indices.dtype != np.int64:
        raise told(
            RuntimeError,
            f"one_hot is only applicable to index tensor of dtype int64, got {indices.dtype}; use .long()",
        )
    if indices.size == 0 and num_classes <= 0:
        raise told(
            RuntimeError,
            "one_hot: Can not infer total number of classes from empty tensor; give num_classes"
            if num_classes == -1
            else "num_classes should be positive",
        )
    if indices.size and indices.min() < 0:
        raise told(RuntimeError, f"one_hot: class values must be non-negative, got {indices.min()}")
    if num_classes == -1:
        num_classes = int(indices.max()) + 1
    elif num_classes < 1:
        raise told(RuntimeError, "num_classes should be positive")
    elif indices.size and indices.max() >= num_classes:
        raise told(
            RuntimeError,
            f"one_hot: class values must be smaller than num_classes, {num_classes}, got {indices.max()}",
        )
    return result_type.make((indices[..., None] == np.arange(num_classes)).astype(np.int64))
