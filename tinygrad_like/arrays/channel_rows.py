"""Batches as matrices whose rows, or columns, belong to one channel each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.arrays import norm_rows
from tinygrad_like.arrays.row_blocks import by_blocks, rows_of_block


def merged(mean: Any, square: Any, counts: Any) -> tuple[Any, Any]:
    """Return means and sums of squared differences of wholes, from those of their parts.

    Source: Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983.

    Args:
        mean: of each part, ``(parts, wholes)``.
        square: the sums of squared differences from that.
        counts: how many numbers each part has, ``(parts)``.
    """
    counts = counts.astype(mean.dtype)
    whole = np.matmul(counts / np.add.reduce(counts), mean)
    apart = mean - whole
    apart *= apart
    return whole, np.add.reduce(square, axis=0) + np.matmul(counts, apart)


def repeated(values: Any, count: int) -> Any:
    """Return a vector `count` times in a row."""
    if count == 1:
        return values
    out = np.empty((count, len(values)), values.dtype)
    out[...] = values
    return out.reshape(-1)


SHORT = 16  # runs of fewer numbers are too short for rows
_LONG = 4096  # and longer ones are cut


def cut(run: int) -> tuple[int, int]:
    """Return how many pieces a run is cut into, and their size, which NumPy sums quickly."""
    pieces = 1
    while run > _LONG and not run % 2:
        run, pieces = run // 2, pieces * 2
    return pieces, run


class Channels:
    """A batch ``(N, C, ...)`` as a matrix in the order its numbers have in memory.

    They are runs of numbers of one channel, `outer` times C of them. Long runs are the rows of the
    matrix, very long ones several; of short ones C are in a row, and a column belongs to one channel.
    """

    def __init__(self, x: Any) -> None:
        dims = range(2, x.ndim)
        # As PyTorch lays them out, with the batch innermost, or with the channels.
        orders = ((0, 1, *dims), (1, *dims, 0), (0, *dims, 1))
        found = next((o for o in orders if x.transpose(o).flags.c_contiguous), None)
        self.order = found or orders[0]
        self.like = x if found else np.empty(x.shape, x.dtype)
        shape = [x.shape[axis] for axis in self.order]
        at = self.order.index(1)
        self.outer, self.channels = math.prod(shape[:at]), x.shape[1]
        self.pieces, self.run = cut(math.prod(shape[at + 1 :]))
        self.by_rows = self.run >= SHORT
        if self.by_rows:
            self.shape = (self.outer * self.channels * self.pieces, self.run)
        else:
            self.shape = (self.outer, self.channels * self.run)

    def matrix(self, x: Any) -> Any:
        """Return an array of the batch's shape as a matrix."""
        if self.order[0] or self.order[1] != 1:
            x = x.transpose(self.order)
        return np.ascontiguousarray(x).reshape(self.shape)

    def vector(self, values: Any) -> Any:
        """Return a number for each channel as one for each row, or column, of the matrix."""
        each = self.pieces if self.by_rows else self.run
        values = values if each == 1 else np.repeat(values, each)
        return repeated(values, self.outer) if self.by_rows else values

    def _sums(self, x: Any) -> tuple[Any, Any]:
        """Return where two sums of each row go, or of each column of each block."""
        if self.by_rows:
            size = self.shape[0]
        else:
            size = -(-self.outer // rows_of_block(x)) * self.shape[1]
        return np.empty(size, x.dtype), np.empty(size, x.dtype)

    def _by_channel(self, values: Any) -> Any:
        """Return sums of rows, or of columns in blocks, as ``(parts, C)``."""
        inner = self.pieces if self.by_rows else self.run
        if inner == 1:
            return values.reshape(-1, self.channels)
        parts = values.reshape(-1, self.channels, inner)
        return parts.transpose(0, 2, 1).reshape(-1, self.channels)

    def _counts(self, x: Any) -> Any:
        """Return how many numbers of a channel each part has."""
        if self.by_rows:
            return np.full(self.outer * self.pieces, self.run)
        starts = np.arange(0, self.outer, rows_of_block(x))
        return np.repeat(np.diff(starts, append=self.outer), self.run)

    def moments(self, x: Any) -> tuple[Any, Any]:
        """Return each channel's mean and sum of squared differences from that, of a matrix."""
        mean, square = self._sums(x)
        by_blocks(norm_rows.moments if self.by_rows else norm_rows.column_moments, x, mean, square)
        if len(mean) == self.channels:
            return mean, square
        return merged(self._by_channel(mean), self._by_channel(square), self._counts(x))

    def products(self, g: Any, x: Any, mean: Any) -> tuple[Any, Any]:
        """Return each channel's sum of `g`, and of its products with ``x - mean``."""
        sums, products = self._sums(x)
        routine = norm_rows.products if self.by_rows else norm_rows.column_products
        by_blocks(routine, g, x, self.vector(mean), sums, products)
        if len(sums) == self.channels:
            return sums, products
        return (
            np.add.reduce(self._by_channel(sums), axis=0),
            np.add.reduce(self._by_channel(products), axis=0),
        )

    def scaled(self, x: Any, mean: Any, factor: Any, term: Any) -> Any:
        """Return the batch ``(x - mean) * factor + term``."""
        out = np.empty_like(self.like)
        routine = norm_rows.scale if self.by_rows else norm_rows.column_scale
        by_blocks(routine, x, *map(self.vector, (mean, factor, term)), self.matrix(out))
        return out

    def combined(self, g: Any, x: Any, mean: Any, factor: Any, slope: Any, term: Any) -> Any:
        """Return the batch ``g * factor + (x - mean) * slope + term``."""
        out = np.empty_like(self.like)
        routine = norm_rows.combine if self.by_rows else norm_rows.column_combine
        by_blocks(routine, g, x, *map(self.vector, (mean, factor, slope, term)), self.matrix(out))
        return out
