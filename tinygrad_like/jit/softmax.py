"""Kernels of softmax and cross entropy: see `tinygrad_like.ops.softmax`, which has NumPy's versions."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel
from tinygrad_like.jit.mathematics import exp, largest, log
from tinygrad_like.jit.norms import RUN, dots, total


@kernel
def softmax(x: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write exponentials divided by the sum of their row."""
    real = x.dtype.type
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        top = largest(row)
        summed = real(0)
        for first in range(0, row.size, RUN):
            part = real(0)
            for j in range(first, min(first + RUN, row.size)):
                e = exp(row[j] - top)
                made[j] = e
                part += e
            summed += part
        scale = real(1) / summed
        for j in range(row.size):
            made[j] *= scale


@kernel
def softmax_backward(g: Any, y: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write ``(g - sum(g * y)) * y`` for each row."""
    real = y.dtype.type
    for i in range(start * rows, min(stop * rows, y.shape[0])):
        received, row, made = g[i], y[i], out[i]
        _, product = dots(received, row, real(0))
        for j in range(row.size):
            made[j] = (received[j] - product) * row[j]


@kernel
def log_softmax(x: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write differences from the logarithm of the sum of a row's exponentials."""
    real = x.dtype.type
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        top = largest(row)
        summed = real(0)
        for first in range(0, row.size, RUN):
            part = real(0)
            for j in range(first, min(first + RUN, row.size)):
                part += exp(row[j] - top)
            summed += part
        level = log(summed)
        for j in range(row.size):
            made[j] = (row[j] - top) - level


@kernel
def log_softmax_backward(g: Any, y: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write ``g - exp(y) * sum(g)`` for each row."""
    for i in range(start * rows, min(stop * rows, y.shape[0])):
        received, row, made = g[i], y[i], out[i]
        summed = total(received)
        for j in range(row.size):
            made[j] = received[j] - exp(row[j]) * summed
