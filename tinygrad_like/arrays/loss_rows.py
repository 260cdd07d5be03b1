"""The passes over memory that losses are made of, with kernels in `tinygrad_like.jit.loss`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.arrays.passes import in_chunks
from tinygrad_like.arrays.row_blocks import row_dots, row_slices, row_sums, unbuffered
from tinygrad_like.dtypes import F32
from tinygrad_like.jit import compiled

# PyTorch cuts logarithms here, and this is what it divides by at least.
LOWEST_LOG = -100.0
LEAST_VARIANCE = 1e-12

# ----- Rows of scores -----------------------------------------------------------------------------

_LEAST_SCORES = 512  # elements from which on a kernel is worth its call


@compiled("loss.cross_entropy", least=_LEAST_SCORES)
@unbuffered
def cross_entropy_rows(
    x: Any,
    target: Any,
    weights: Any,
    losses: Any,
    slope: Any,
    rows: int,
    start: int,
    stop: int,
) -> None:
    """Find the loss of each row, and its derivatives unless `slope` is None.

    Args:
        x: scores, ``(N, C)``.
        target: the classes, ``(N)``.
        weights: what each row counts, or None.
        losses: where these go.
        slope: where the losses' derivatives for `x` go.
        rows: of a block.
        start: the first block.
        stop: the block after the last.
    """
    classes = x.shape[1]
    sums = np.empty(len(x), x.dtype)
    spare: Any = np.empty((min(rows, len(x)), classes), x.dtype) if slope is None else None
    for part in row_slices(rows, start, stop):
        seen, summed = x[part], sums[part]
        p = spare[: len(seen)] if slope is None else slope[part]
        np.subtract(seen, np.maximum.reduce(seen, axis=1, keepdims=True), out=p)
        flat, place = p.reshape(-1), np.arange(0, p.size, classes)
        place += target[part]
        own = flat[place]
        np.exp(p, out=p)
        row_sums(p, summed)
        loss = np.log(summed, out=losses[part])
        loss -= own
        if weights is not None:
            loss *= weights[part]
        if slope is not None:
            p /= summed[:, None]
            flat[place] -= 1
            if weights is not None:
                p *= weights[part, None]


@compiled("loss.soft_cross_entropy", least=_LEAST_SCORES)
@unbuffered
def soft_cross_entropy_rows(
    x: Any, target: Any, losses: Any, slope: Any, rows: int, start: int, stop: int
) -> None:
    """Find the loss of each row, and its derivatives unless `slope` is None.

    The arguments are those of `cross_entropy_rows`, but targets are probabilities, ``(N, C)``.
    """
    sums, whole = np.empty(len(x), x.dtype), np.empty(len(x), x.dtype)
    spare = np.empty((min(rows, len(x)), x.shape[1]), x.dtype)
    for part in row_slices(rows, start, stop):
        seen, wanted, summed = x[part], target[part], sums[part]
        shifted = spare[: len(seen)]
        p = shifted if slope is None else slope[part]
        np.subtract(seen, np.maximum.reduce(seen, axis=1, keepdims=True), out=shifted)
        row_sums(np.exp(shifted, out=p), summed)
        if slope is None:
            np.subtract(seen, np.maximum.reduce(seen, axis=1, keepdims=True), out=shifted)
        shifted -= np.log(summed)[:, None]
        row_dots(shifted, wanted, losses[part])
        if slope is not None:
            row_sums(wanted, whole[part])
            p *= (whole[part] / summed)[:, None]
            p -= wanted
    losses[start * rows : stop * rows] *= -1


# ----- Binary losses ------------------------------------------------------------------------------

LEAST = 2048  # elements from which on kernels, and chunks that stay in the cache, pay


def _log_of(u: Any, e: Any) -> Any:
    """Return ``log(1 + e)`` where `u` is ``1 + e``; three times as fast as np.log1p in float32."""
    lost = u - 1
    np.subtract(e, lost, out=lost)
    lost /= u
    lost += np.log(u)
    return lost


@compiled("loss.binary", least=LEAST)
@in_chunks
def binary(x: Any, y: Any, out: Any, slope: Any) -> None:
    """Find losses for probabilities from 0 to 1, and their derivatives unless `slope` is None."""
    rest = 1 - x
    log = np.log(x)
    np.maximum(log, np.full_like(log, LOWEST_LOG), out=log)
    log *= y
    log_rest = _log_of(rest, -x) if x.dtype is F32 else np.log1p(-x)
    # Where `rest` is 0 that is nan, which fmax takes for nothing.
    np.fmax(log_rest, np.full_like(log, LOWEST_LOG), out=log_rest)
    np.subtract(y, 1, out=out)
    out *= log_rest
    out -= log
    if slope is not None:
        rest *= x
        np.subtract(x, y, out=slope)
        slope /= np.maximum(rest, np.full_like(rest, LEAST_VARIANCE), out=rest)


@compiled("loss.logits", least=LEAST)
@in_chunks
def logits(x: Any, y: Any, out: Any, slope: Any) -> None:
    """Find losses of the sigmoid of `x`, and their derivatives unless `slope` is None."""
    e = np.abs(x)
    np.negative(e, out=e)
    np.exp(e, out=e)
    np.subtract(1, y, out=out)
    out *= x
    out -= np.minimum(x, np.zeros_like(x))
    u = e + 1
    out += _log_of(u, e) if x.dtype is F32 else np.log1p(e)
    if slope is not None:
        np.maximum(e, x >= 0, out=slope)  # the sigmoid's numerator over `u`: e is at most 1
        slope /= u
        slope -= y


def few_logits(x: Any, y: Any) -> Any:
    """Return what `logits` finds, by fewer calls, each of which takes longer for many elements."""
    losses = np.asarray(np.copysign(x, -1.0))  # -|x|
    np.exp(losses, losses)
    np.log1p(losses, losses)
    losses -= np.minimum(x, 0)
    losses += (1 - y) * x
    return losses
