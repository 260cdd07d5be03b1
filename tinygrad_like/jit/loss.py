"""Kernels of losses: see `tinygrad_like.ops.cross_entropy` and `tinygrad_like.ops.loss`."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel
from tinygrad_like.jit.mathematics import choose, exp, largest, log, log1p
from tinygrad_like.jit.norms import RUN


@kernel
def cross_entropy(
    x: Any,
    target: Any,
    weights: Any,
    losses: Any,
    slope: Any,
    rows: Any,
    start: Any,
    stop: Any,
) -> None:
    """Find the loss of each row, and its derivatives unless `slope` is None."""
    real = x.dtype.type
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row = x[i]
        top = largest(row)
        summed = real(0)
        for first in range(0, row.size, RUN):
            part = real(0)
            for j in range(first, min(first + RUN, row.size)):
                e = exp(row[j] - top)
                if slope is not None:
                    slope[i, j] = e
                part += e
            summed += part
        loss = log(summed) - (row[target[i]] - top)
        scale = real(1) / summed
        weight = real(1)
        if weights is not None:
            weight = weights[i]
        losses[i] = loss * weight
        if slope is not None:
            made = slope[i]
            for j in range(row.size):
                made[j] *= scale * weight
            made[target[i]] -= weight


@kernel
def soft_cross_entropy(
    x: Any, target: Any, losses: Any, slope: Any, rows: Any, start: Any, stop: Any
) -> None:
    """Find the loss of each row, and its derivatives unless `slope` is None."""
    real = x.dtype.type
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, wanted = x[i], target[i]
        top = largest(row)
        summed, whole = real(0), real(0)
        for first in range(0, row.size, RUN):
            part, wanted_part = real(0), real(0)
            for j in range(first, min(first + RUN, row.size)):
                e = exp(row[j] - top)
                if slope is not None:
                    slope[i, j] = e
                part += e
                wanted_part += wanted[j]
            summed += part
            whole += wanted_part
        level = log(summed)
        loss = real(0)
        for first in range(0, row.size, RUN):
            part = real(0)
            for j in range(first, min(first + RUN, row.size)):
                part += (level - (row[j] - top)) * wanted[j]
            loss += part
        losses[i] = loss
        if slope is not None:
            made = slope[i]
            scale = whole / summed
            for j in range(row.size):
                made[j] = made[j] * scale - wanted[j]


@kernel
def logits(x: Any, y: Any, out: Any, slope: Any) -> None:
    """Find losses of the sigmoid of `x`, and their derivatives unless `slope` is None."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(x.size):
        e = exp(-abs(x[i]))
        out[i] = (one - y[i]) * x[i] - choose(x[i] > zero, zero, x[i]) + log1p(e)
        if slope is not None:
            slope[i] = choose(x[i] < zero, e, one) / (one + e) - y[i]


@kernel
def binary(x: Any, y: Any, out: Any, slope: Any) -> None:
    """Find losses for probabilities from 0 to 1, and their derivatives unless `slope` is None."""
    one, lowest, least = x.dtype.type(1), x.dtype.type(-100), x.dtype.type(1e-12)
    for i in range(x.size):
        value, rest = log(x[i]), log1p(-x[i])
        value = choose(value < lowest, lowest, value)
        rest = choose(rest < lowest, lowest, rest)
        out[i] = (y[i] - one) * rest - y[i] * value
        if slope is not None:
            variance = (one - x[i]) * x[i]
            slope[i] = (x[i] - y[i]) / choose(variance < least, least, variance)
