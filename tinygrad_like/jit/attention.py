"""Kernels of attention: what happens to a block of scores between its matrix products."""

import numpy as np

from tinygrad_like.jit.compiler import inlined, kernel
from tinygrad_like.jit.mathematics import decay, largest, log


@inlined
def _prepare(row, scale, hidden, i):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for j in range(row.size):
        row[j] *= scale
    if hidden is not None:
        part, extra = row[row.size - hidden.shape[1] :], hidden[i]
        for j in range(extra.size):
            part[j] += extra[j]


@kernel
def weigh(scores, scale, hidden, logs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Turn scores into weights: `tinygrad_like.arrays.attention_blocks.weigh`."""
    count, rows, columns = scores.shape
    real = scores.dtype.type
    for a in range(count):
        for i in range(rows):
            row = scores[a, i]
            _prepare(row, scale, hidden, i)
            shift = largest(row)
            if shift == -np.inf:
                shift = real(0)
            total = real(0)
            for j in range(columns):
                e = decay(row[j] - shift)
                row[j] = e
                total += e
            if total == 0:
                total = real(1)
            factor = real(1) / total
            for j in range(columns):
                row[j] *= factor
            if logs is not None:
                logs[a, i] = shift + log(total)


@kernel
def reweigh(scores, scale, hidden, logs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Turn scores into weights, given the logarithms of the sums of exponentials."""
    count, rows, columns = scores.shape
    for a in range(count):
        for i in range(rows):
            row = scores[a, i]
            _prepare(row, scale, hidden, i)
            for j in range(columns):
                row[j] = decay(row[j] - logs[a, i])


@kernel
def slope(g, weights, scale):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Turn gradients of weights into those of scores."""
    count, rows, columns = g.shape
    for a in range(count):
        for i in range(rows):
            row, weight = g[a, i], weights[a, i]
            level = g.dtype.type(0)
            for j in range(columns):
                level += row[j] * weight[j]
            for j in range(columns):
                row[j] = (row[j] - level) * weight[j] * scale
