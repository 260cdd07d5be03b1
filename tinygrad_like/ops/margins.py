"""By how much other scores come near those of targets: the sums that two margin losses are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Array, result_type
from tinygrad_like.op import op
from tinygrad_like.ops.comparison import keep_where


def _back(parts: Array, shape: tuple[int, ...], rows: Any, chosen: Any) -> Array:
    """Return the gradient of scores by what each target's row of differences weighs."""
    if len(rows) == shape[0] and (rows == np.arange(len(rows))).all():
        out = parts.copy()
    else:
        out = np.zeros(shape, parts.dtype)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        if len(starts):
            out[rows[starts]] = np.add.reduceat(parts, starts, axis=0)
    np.subtract.at(out, (rows, chosen), parts.sum(1))
    return out


def _rule(
    g: Any, x: Any, slope: Any, rows: Any, chosen: Any, counted: Any, margin: float, p: int
) -> Any:
    if type(g) is np.ndarray and type(x) is np.ndarray:
        return _back(slope * g[rows, None], x.shape, rows, chosen)
    row, column = result_type.make(rows), result_type.make(chosen)
    if p == 2:
        slope = keep_where((x[row] - x[row, column].unsqueeze(1) + margin).relu(), counted[rows])
        slope = slope * 2
    parts = g[row].unsqueeze(1) * slope
    out = result_type.make(np.zeros(x.shape, x.array.dtype)).index_add(0, row, parts)
    return out.index_put((row, column), -parts.sum(1), accumulate=True)


@op(
    x=lambda g, x, slope, rows, chosen, counted, margin, p: _rule(
        g, x, slope, rows, chosen, counted, margin, p
    ),
    keeps=("slope",),
    label="MultiMarginLoss",
)
def margin_sums(x: Array, rows: Any, chosen: Any, counted: Any, margin: float, p: int) -> Any:
    """Return for each row of scores ``(N, C)`` the sum of ``max(0, margin - x[target] + x[other])**p``.

    Args:
        x: the scores.
        rows: in which row each target is, in order.
        chosen: in which column.
        counted: which scores are others', ``(N, C)``.
        margin: how much a target's score should be larger.
        p: 1 or 2.
    """
    parts = x[rows]
    parts += (margin - x[rows, chosen])[:, None]
    np.maximum(parts, 0, out=parts)
    parts = keep_where(parts, counted[rows])
    if p == 1:
        slope, sums = (parts > 0).astype(x.dtype), parts.sum(1)
    else:
        slope, sums = parts * 2, np.einsum("ij,ij->i", parts, parts)
    return np.bincount(rows, sums, len(x)).astype(x.dtype), slope
