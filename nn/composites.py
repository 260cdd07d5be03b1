"""Functions of torch.nn.functional that are made of other operations: distances and rarer losses."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.activation import logsigmoid
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import keep_where
from tinygrad_like.ops.cross_entropy import check_reduction
from tinygrad_like.ops.expanding import broadcast_tensors
from tinygrad_like.ops.margins import margin_sums

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "kl_div",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _needs_float(name: str, input: Any) -> None:
    if input.array.dtype.kind != "f":
        raise told(
            NotImplementedError,
            f"{name}: not implemented for input of dtype {input.dtype}; use .float()",
        )


def _classes_of(name: str, scores: Any, target: Any, shape: tuple[int, ...], lowest: int) -> Any:
    """Return the array of target classes once it is known to fit scores ``(N, C)``.

    Raises:
        RuntimeError: if shape or dtype are others, or a class isn't from `lowest` to C - 1.
    """
    if scores.ndim != 2:
        raise told(
            RuntimeError, f"{name}: expected input (N, C) or (C,), got {tuple(scores.shape)}"
        )
    _needs_float(name, scores)
    classes, count = target.array, scores.shape[1]
    if classes.shape != shape and classes.size == math.prod(shape) and len(scores) == 1:
        classes = classes.reshape(shape)  # a single sample needs no dimension for samples
    if classes.shape != shape:
        raise told(
            RuntimeError,
            f"{name}: inconsistent target size: target has shape {classes.shape}, expected {shape} for "
            f"scores of shape {tuple(scores.shape)}",
        )
    if classes.dtype != np.int64:
        raise told(
            RuntimeError, f"{name}: target must be of dtype int64, got {classes.dtype}; use .long()"
        )
    if classes.size and not lowest <= classes.min() <= classes.max() < count:
        raise told(
            RuntimeError,
            f"{name}: target out of range: classes are {classes.min()} to {classes.max()}, expected "
            f"{lowest} to {count - 1}",
        )
    return classes


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _at_least(x: Any, low: Any) -> Any:
    """Return `x` raised to `low`, with the gradient of `x` all the same."""
    return x + (x.detach().clamp(min=low) - x.detach())


# ----- Distances ----------------------------------------------------------------------------------


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """Return the p-norms of the differences of vectors: `(*, D)` and `(*, D)` to `(*)`.

    Args:
        x1: the first vectors.
        x2: the second vectors.
        p: which norm.
        eps: absolute, added to each difference.
        keepdim: keep the last dimension, of size 1.

    >>> import tinygrad_like as torch
    >>> F = torch.nn.functional
    >>> F.pairwise_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), eps=0.0)
    tensor([5.])
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return the cosines of the angles between the vectors along `dim`.

    Args:
        x1: the first vectors.
        x2: the second vectors.
        dim: the dimension of the vectors.
        eps: absolute, the smallest norm to divide by.

    >>> import tinygrad_like as torch
    >>> F = torch.nn.functional
    >>> F.cosine_similarity(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]]))
    tensor([0.9600])
    """
    require_tensors("cosine_similarity", x1=x1, x2=x2)
    if x1.shape != x2.shape or x1.dtype is not x2.dtype or not x1.is_floating_point():
        d = dtypes.result((x1.array, x2.array))
        if d.kind != "f":
            raise told(
                RuntimeError,
                f"cosine_similarity: expected a floating-point dtype in common, got {dtypes.named(d)}",
            )
        x1, x2 = (x.to(dtypes.named(d)) for x in broadcast_tensors(x1, x2))
    first = x1 / _at_least(x1.norm(2, dim, True), eps)
    return (first * (x2 / _at_least(x2.norm(2, dim, True), eps))).sum(dim)


# ----- Distributions ------------------------------------------------------------------------------


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """Return ``target * (log(target) - input)``, reduced: `input` holds log-probabilities.

    Args:
        input: log-probabilities.
        target: probabilities, or with `log_target` log-probabilities.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "batchmean" (the sum over the number of samples), "sum" or "none".
        log_target: see `target`.

    Raises:
        ValueError: for another reduction.
    """
    require_tensors("kl_div", input=input, target=target)
    if size_average is not None or reduce is not None or reduction != "batchmean":
        reduction = check_reduction(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    if input.array.dtype.kind != "f" or target.array.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"kl_div: Integral inputs not supported, got {input.dtype} and target {target.dtype}; use "
            ".float()",
        )
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = target.xlogy(target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss.sum()
    return _reduced(loss, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return minus the log-likelihood of counts with the expectation `input`, reduced.

    Args:
        input: the expectation, or with `log_input` its logarithm.
        target: the counts.
        log_input: see `input`.
        full: add Stirling's approximation of the logarithm of the factorial, for counts above 1.
        size_average: an older way to say `reduction`.
        eps: absolute, added to `input` before its logarithm.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    require_tensors("poisson_nll_loss", input=input, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        large = target.clamp(min=1.0)
        stirling = large * large.log() - large + 0.5 * (2 * math.pi * large).log()
        loss = loss + keep_where(stirling, np.asarray(target.array > 1))
    return _reduced(loss, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Return minus the log-likelihood of the target with expectation `input` and variance `var`, reduced.

    Args:
        input: the expectations.
        target: what was observed.
        var: the variances, one for each element or one for each sample, or a number.
        full: add the constant that does not matter to training.
        eps: absolute, the smallest variance.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if a variance is negative, their shape does not fit, or for another reduction.
    """
    if not isinstance(var, Traced):
        if var < 0:
            raise told(ValueError, f"var has negative entry/entries: {var}")
        var = input.detach() * 0 + var
    elif (var.array < 0).any():
        raise told(ValueError, f"var has negative entry/entries: {var.array.min()} is the least")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            raise told(
                ValueError,
                f"var is of incorrect size: got {tuple(var.shape)} for input of {tuple(input.shape)}",
            )
    if reduction not in ("none", "mean", "sum"):
        raise told(ValueError, f"{reduction} is not valid as reduction")
    bounded = _at_least(var, eps)
    loss = 0.5 * (bounded.log() + (input - target) ** 2 / bounded)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction)


# ----- Margins ------------------------------------------------------------------------------------


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return the input where the target is 1 and what it lacks of `margin` where it is -1, reduced.

    Args:
        input: distances.
        target: 1 for alike, -1 for different.
        margin: how far what is different should be.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    require_tensors("hinge_embedding_loss", input=input, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    lacking = keep_where((margin - input).clamp(min=0), target.array != 1)
    return _reduced(lacking + keep_where(input, target.array != -1), reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return ``max(0, -target * (input1 - input2) + margin)``, reduced.

    Args:
        input1: the first scores.
        input2: the second scores.
        target: 1 where the first should be larger, -1 where the second should.
        margin: by how much.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        RuntimeError: if the numbers of dimensions differ.
        ValueError: for another reduction.
    """
    reduction = check_reduction(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise told(
            RuntimeError,
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape} ",
        )
    return _reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return ``log(1 + exp(-target * input))``, reduced.

    Args:
        input: scores.
        target: 1 or -1.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    reduction = check_reduction(size_average, reduce, reduction)
    _needs_float("soft_margin_loss", input)
    return _reduced((-target * input).exp().log1p(), reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return by how much other classes' scores come nearer than `margin` to the target's, reduced.

    Args:
        input: scores, `(N, C)` or `(C)`.
        target: classes, `(N)` or a scalar.
        p: the power of each difference, 1 or 2.
        margin: how much the target's score should be larger.
        weight: a factor for each class, `(C,)`.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    require_tensors("multi_margin_loss", input=input, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    scores = input.unsqueeze(0) if input.ndim < 2 else input
    if p not in (1, 2):
        raise told(ValueError, f"multi_margin_loss: only p == 1 and p == 2 supported, got {p}")
    classes = _classes_of("multi_margin_loss", scores, target, tuple(scores.shape[:1]), 0)
    rows = np.arange(len(classes))
    others = np.ones(scores.shape, bool)
    others[rows, classes] = False
    loss = margin_sums(scores, rows, classes, others, float(margin), p) / scores.shape[1]
    if weight is not None:
        loss = loss * weight[result_type.make(classes)]
    return _reduced(loss if input.ndim == 2 else loss.squeeze(0), reduction)


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return by how much other classes' scores come nearer than 1 to those of the targets, reduced.

    Args:
        input: scores, `(N, C)` or `(C)`.
        target: in each row the target classes, and -1 after the last; the shape of `input`.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    require_tensors("multilabel_margin_loss", input=input, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    scores = input.unsqueeze(0) if input.ndim < 2 else input
    classes = _classes_of("multilabel_margin_loss", scores, target, tuple(scores.shape), -1)
    rows, places = np.nonzero(np.logical_and.accumulate(classes >= 0, axis=1))
    chosen = classes[rows, places]
    others = np.ones(classes.shape, bool)
    others[rows, chosen] = False
    loss = margin_sums(scores, rows, chosen, others, 1.0, 1) / scores.shape[1]
    return _reduced(loss if input.ndim == 2 else loss.squeeze(0), reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return the binary cross entropy of logits, the mean over classes, reduced.

    Args:
        input: logits, `(N, C)`.
        target: 1 or 0 for each class, `(N, C)`.
        weight: a factor for each class, `(C,)`.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    reduction = check_reduction(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduced(loss.mean(-1), reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return ``1 - cosine`` where the target is 1 and ``max(0, cosine - margin)`` where it is -1, reduced.

    Args:
        input1: vectors, `(N, D)` or `(D)`.
        input2: vectors of the same shape.
        target: 1 for alike, -1 for different, `(N)` or a scalar.
        margin: the largest cosine that counts as different.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: for another reduction.
    """
    require_tensors("cosine_embedding_loss", input1=input1, input2=input2, target=target)
    reduction = check_reduction(size_average, reduce, reduction)
    dim = target.ndim
    if dim > 1 or input1.ndim != dim + 1 or input2.ndim != dim + 1:
        raise told(
            RuntimeError,
            "cosine_embedding_loss: expected inputs (N, D) and target (N,), or (D,) and (), got "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}",
        )
    sizes = ((input1 * input1).sum(dim) + 1e-12) * ((input2 * input2).sum(dim) + 1e-12)
    cosine = (input1 * input2).sum(dim) / sizes.sqrt()
    alike = keep_where(1 - cosine, np.asarray(target.array == 1))
    different = keep_where((cosine - margin).clamp(min=0), np.asarray(target.array == -1))
    return _reduced(alike + different, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Return by how much the negative is not farther than the positive by `margin`, reduced.

    Args:
        anchor: vectors, `(N, D)` or `(D)`.
        positive: vectors that should be near.
        negative: vectors that should be far.
        margin: how much farther.
        p: which norm.
        eps: absolute, added to each difference.
        swap: measure from the positive to the negative where that is less (Balntas et al., 2016).
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if `margin` is not positive, or for another reduction.
    """
    require_tensors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    reduction = check_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise told(ValueError, f"margin must be greater than 0, got {margin}")

    def distance(x: Any, y: Any) -> Any:
        return pairwise_distance(x, y, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Do what `triplet_margin_loss` does, with any measure of distance.

    Args:
        anchor: vectors, `(N, D)` or `(D)`.
        positive: vectors that should be near.
        negative: vectors that should be far.
        distance_function: the measure (default: `pairwise_distance`).
        margin: how much farther.
        swap: measure from the positive to the negative where that is less.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if `margin` is not positive, or for another reduction.
    """
    if margin <= 0:
        raise told(ValueError, f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise told(
            RuntimeError,
            "triplet_margin_loss: anchor, positive and negative must have equally many dimensions, got "
            f"{tuple(anchor.shape)}, {tuple(positive.shape)} and {tuple(negative.shape)}",
        )
    reduction = check_reduction(None, None, reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _reduced((margin + near - far).clamp(min=0), reduction)
