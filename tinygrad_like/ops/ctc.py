"""Connectionist temporal classification (Graves et al., 2006): labels without alignment.

Every labelling of the frames that says the target, once repeats and blanks are taken out, is a path
through states blank, label, blank, label, ..., blank. `_forward` adds up the paths to each state
(equations 6 and 7), `_backward` those from it (10 and 11), all in logarithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.arrays.accumulating import add_along
from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.jit import compiled
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.cross_entropy import check_reduction

__all__ = ["ctc_loss"]
FUNCTIONAL = __all__


def _states(targets: Any, lengths: Any, blank: int) -> tuple[Any, Any]:
    """Return the label of each state ``(N, 2 * S + 1)``, and whether the blank before it may be skipped."""
    n, longest = targets.shape
    labels = np.full((n, 2 * longest + 1), blank, np.int64)
    labels[:, 1::2] = np.where(np.arange(longest) < lengths[:, None], targets, blank)
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return labels, skips


def _at_states(log_probs: Any, labels: Any) -> Any:
    """Return the log-probability of each state's label, ``(T, N, 2 * S + 1)``."""
    n = np.arange(len(labels))[:, None]
    return log_probs[:, n, labels]


@compiled("alignment.paths", least=128)
def _paths(scores: Array, penalty: Array, alpha: Array) -> None:
    """Fill in the logarithms of the sums of the paths to each state, from the first frame's.

    Args:
        scores: the log-probability of each state's label, ``(T, N, 2 * S + 1)``.
        penalty: 0 where the state before may be skipped, minus infinity else, ``(N, 2 * S + 1)``.
        alpha: the sums, with two states in front of the first that no path comes through.
    """
    lowest = np.finfo(alpha.dtype).min
    for t in range(1, len(scores)):
        former = alpha[t - 1]
        stay, move, skip = former[:, 2:], former[:, 1:-1], former[:, :-2] + penalty
        top = np.maximum(np.maximum(stay, move), np.maximum(skip, lowest))
        total = np.exp(stay - top)
        total += np.exp(move - top)
        total += np.exp(skip - top)
        np.log(total, out=total)
        total += top
        np.add(total, scores[t], out=alpha[t, :, 2:])


def _forward(scores: Any, skips: Any) -> Any:
    """Return the logarithms of the sums of the paths to each state ``(T, N, 2 * S + 1)``."""
    steps, batch, states = scores.shape
    alpha = np.full((steps, batch, states + 2), -np.inf, scores.dtype)
    if steps:
        alpha[0, :, 2:4] = scores[0, :, :2]
        penalty = np.where(skips, 0.0, -np.inf).astype(scores.dtype)
        with np.errstate(divide="ignore"):
            _paths(np.ascontiguousarray(scores), penalty, alpha)
    return alpha[:, :, 2:]


def _likelihoods(alpha: Any, input_lengths: Any, target_lengths: Any) -> Any:
    """Return the logarithm of the sum of all paths that end where they should."""
    n = np.arange(len(target_lengths))
    if not len(alpha):
        return np.where(target_lengths == 0, 0.0, -np.inf).astype(alpha.dtype)
    last = alpha[np.maximum(input_lengths - 1, 0), n]
    blank_end = last[n, 2 * target_lengths]
    label_end = last[n, np.maximum(2 * target_lengths - 1, 0)]
    label_end = np.where(target_lengths > 0, label_end, -np.inf)
    found = np.logaddexp(blank_end, label_end)
    return np.where(input_lengths > 0, found, np.where(target_lengths == 0, 0.0, -np.inf)).astype(
        alpha.dtype
    )


def _backward(scores: Any, labels: Any, blank: int, input_lengths: Any, target_lengths: Any) -> Any:
    """Return the logarithms of the sums of the paths from each state, the state's own score left out.

    Read from its end, a sequence's paths from states are paths to states.
    """
    steps, _, states = scores.shape
    n = np.arange(len(labels))[:, None]
    across = 2 * target_lengths[:, None] - np.arange(states)
    mirror = np.maximum(across, 0)
    after = np.maximum(input_lengths - 1 - np.arange(steps)[:, None], 0)[:, :, None]
    mirrored = labels[n, mirror]
    skips = np.zeros(mirrored.shape, bool)
    skips[:, 2:] = (mirrored[:, 2:] != blank) & (mirrored[:, 2:] != mirrored[:, :-2])
    found = _forward(scores[after, n, mirror], skips)[after, n, mirror]
    reached = (across >= 0) & ~np.isneginf(scores)
    return np.subtract(found, scores, out=np.full_like(found, -np.inf), where=reached)


def _no_second_derivative(g: Any) -> Any:
    del g
    raise told(RuntimeError, "ctc_loss: the derivative of its gradient is not implemented")


@op(x=_no_second_derivative, log_probs=_no_second_derivative, label="CtcLossBackward")
def ctc_gradient(
    x: Array,
    log_probs: Array,
    alpha: Array,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int,
    zero_infinity: bool,
) -> Array:
    """Return the gradient of the losses, times `x`, by logits of which `log_probs` are the log_softmax."""
    labels, _ = _states(targets, target_lengths, blank)
    scores = _at_states(log_probs, labels)
    total = _likelihoods(alpha, input_lengths, target_lengths)
    beta = _backward(scores, labels, blank, input_lengths, target_lengths)
    with np.errstate(invalid="ignore"):
        share = -np.exp(alpha + beta - total[:, None])
    out = np.exp(log_probs, order="C")
    add_along(out, 2, np.broadcast_to(labels, share.shape), share)
    out *= x[:, None]
    outside = np.arange(len(log_probs))[:, None] >= input_lengths
    if zero_infinity:
        outside = outside | np.isinf(total)
    out[outside] = 0
    return out


@op(
    log_probs=lambda g, log_probs, alpha, targets, input_lengths, target_lengths, blank, zero_infinity: (
        ctc_gradient(
            g, log_probs, alpha, targets, input_lengths, target_lengths, blank, zero_infinity
        )
    ),
    keeps=("alpha",),
    label="CtcLoss",
    name="ctc_loss",
)
def _ctc_loss(
    log_probs: Array,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int,
    zero_infinity: bool,
) -> Any:
    labels, skips = _states(targets, target_lengths, blank)
    alpha = _forward(_at_states(log_probs, labels), skips)
    loss = -_likelihoods(alpha, input_lengths, target_lengths)
    if zero_infinity:
        loss = np.where(np.isinf(loss), 0, loss).astype(loss.dtype)
    return loss, alpha


def _lengths(name: str, given: Any, batch: int) -> Any:
    array = np.asarray(given.array if isinstance(given, Traced) else given)
    if array.dtype.kind not in "iu" and array.size:
        raise told(RuntimeError, f"ctc_loss: {name} must be integers, got {array.dtype}")
    array = array.astype(np.int64).reshape(-1)
    if len(array) != batch:
        raise told(
            RuntimeError,
            f"ctc_loss: expected {name} to have value for every batch item, got {len(array)} for a batch "
            f"of {batch}",
        )
    if array.size and array.min() < 0:
        raise told(
            RuntimeError,
            f"ctc_loss: expected {name} to have value at least 0, but got {array.min()}",
        )
    return array


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Return minus the log-likelihood of label sequences that are not aligned with the frames.

    Args:
        log_probs: log_softmax of the scores, ``(T, N, C)``, or ``(T, C)`` for one sequence.
        targets: labels ``(N, S)``, padded, or all sequences one after the other in one dimension.
        input_lengths: how many frames each sequence has, ``(N,)``.
        target_lengths: how many labels each has, ``(N,)``.
        blank: the class that says nothing.
        reduction: "none", "sum", or "mean" (each loss over its number of labels, then the mean).
        zero_infinity: give 0 where the target is longer than the frames allow, instead of infinity.

    Raises:
        RuntimeError: if shapes and lengths do not fit.

    >>> import tinygrad_like as torch
    >>> frames = torch.log_softmax(torch.zeros(4, 1, 3), 2)  # 4 frames, 3 classes, all alike
    >>> target = torch.tensor([[1, 2]])
    >>> loss = torch.nn.functional.ctc_loss(frames, target, (4,), (2,), reduction="sum")
    >>> round(float(torch.exp(-loss)) * 3**4)  # of 81 labellings so many say 1, 2
    15
    """
    reduction = check_reduction(None, None, reduction)
    single = log_probs.ndim == 2
    if log_probs.ndim not in (2, 3):
        raise told(
            RuntimeError,
            f"ctc_loss: expected log_probs (T, N, C) or (T, C), got shape {tuple(log_probs.shape)}",
        )
    frames = log_probs.unsqueeze(1) if single else log_probs
    steps, batch, classes = frames.shape
    if not 0 <= blank < classes:
        raise told(
            RuntimeError, f"ctc_loss: blank must be in label range 0 to {classes - 1}, got {blank}"
        )
    inputs = _lengths("input_lengths", input_lengths, batch)
    counts = _lengths("target_lengths", target_lengths, batch)
    if inputs.size and inputs.max() > steps:
        raise told(
            RuntimeError,
            f"ctc_loss: expected input_lengths to have value at most {steps}, but got value {inputs.max()}",
        )
    labels = np.asarray(targets.array if isinstance(targets, Traced) else targets)
    if labels.dtype.kind not in "iu":
        raise told(RuntimeError, f"ctc_loss: targets must be integers, got {labels.dtype}")
    longest = int(counts.max(initial=0))
    if single and labels.ndim == 1:
        labels = labels[None]
    elif labels.ndim == 1:
        if labels.size < counts.sum():
            raise told(
                RuntimeError,
                f"ctc_loss: expected targets to hold {counts.sum()} labels, one sequence after the other, "
                f"got {labels.size}",
            )
        starts = np.cumsum(counts) - counts
        places = starts[:, None] + np.arange(longest)
        labels = labels[np.minimum(places, max(labels.size - 1, 0))] if labels.size else labels[:0]
        labels = labels.reshape(batch, longest)
    if labels.ndim != 2 or labels.shape[0] != batch or labels.shape[1] < longest:
        raise told(
            RuntimeError,
            f"ctc_loss: expected targets of shape ({batch}, {longest}) or larger for target_lengths of at "
            f"most {longest}, got {tuple(labels.shape)}",
        )
    labels = np.ascontiguousarray(labels[:, :longest]).astype(np.int64)
    losses = _ctc_loss(frames, labels, inputs, counts, blank, bool(zero_infinity))
    if reduction == "mean":
        size = np.maximum(counts, 1).astype(losses.array.dtype)
        return (losses / result_type.make(size)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses.squeeze(0) if single else losses
