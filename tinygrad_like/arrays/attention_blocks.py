"""Attention cut into blocks of scores, and what is done with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like.arrays.products import multiply_into
from tinygrad_like.dtypes import F16, F32
from tinygrad_like.jit import compiled
from tinygrad_like.lines import told
from tinygrad_like.threads import split

NumpyArray = np.ndarray[Any, Any]

_BLOCK = 1 << 18  # scores computed at a time: with their gradients they stay in cache
_LEAST_ROWS = 128  # queries at a time, however many keys
_SAFE = 60.0  # exponentials of scores so near 0 neither overflow nor vanish, nor do their sums


class Form(NamedTuple):
    """What an attention is, but for its arrays."""

    scale: float
    is_causal: bool
    dropout_p: float
    drawn: NumpyArray | None  # bits of the weights that dropout lets through, (..., L, ceil(S / 8))
    keeps_weights: bool


# ----- Four dimensions ----------------------------------------------------------------------------


def batch_of(*arrays: NumpyArray) -> tuple[int, ...]:
    """Return the batch dimensions of several matrices, broadcast."""
    first: tuple[int, ...] = arrays[0].shape[:-2]
    if all(a.shape[:-2] == first for a in arrays):
        return first
    try:
        return np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
    except ValueError:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise told(
            RuntimeError,
            f"scaled_dot_product_attention: the batches of query, key and value don't broadcast: {shapes}",
        ) from None


def in_four(x: NumpyArray, batch: tuple[int, ...]) -> NumpyArray:
    """Return `x` with its batch dimensions broadcast and brought to two, as a view where possible.

    What is of 16 bits is computed in 32.
    """
    if x.dtype is F16:
        x = x.astype(F32)
    if x.ndim == 4 and x.shape[:2] == batch:
        return x
    if len(batch) <= 2:
        x = x.reshape((1,) * (4 - x.ndim) + x.shape)
        return np.broadcast_to(x, (1,) * (2 - len(batch)) + batch + x.shape[-2:])
    last = x.shape[-3] if x.ndim > 2 else 1
    x = np.broadcast_to(x, (*batch[:-1], last, *x.shape[-2:]))
    x = x.reshape(prod(batch[:-1]), last, *x.shape[-2:])
    return np.broadcast_to(x, (x.shape[0], batch[-1], *x.shape[2:]))


def matrices(block: NumpyArray) -> NumpyArray:
    """Return matrices with two batch dimensions as a list."""
    a, b, rows, columns = block.shape
    return block.reshape(a * b, rows, columns)


# ----- Blocks -------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A part of all scores: queries of some heads, and the first keys, all that they may see."""

    at: tuple[slice, slice, slice]  # the place of the queries
    seen: tuple[slice, slice, slice]  # that of the keys
    shape: tuple[int, int, int, int]  # of its scores
    start: int  # the first query


def blocks(first: range, second: range, rows: int, columns: int, shrinks: bool) -> Iterator[Block]:
    """Yield parts of about `_BLOCK` scores that together are all of them, in the order of memory.

    Args:
        first: the range of the first batch dimension.
        second: that of the second.
        rows: the number of queries.
        columns: the number of keys.
        shrinks: leave out keys after the last query's, which it may not see.
    """
    step_rows = max(min(max(_BLOCK // max(columns, 1), _LEAST_ROWS), rows), 1)
    matrix = max(columns, 1) * step_rows
    step_second = max(min(_BLOCK // matrix, len(second)), 1)
    whole = step_rows >= rows and step_second == len(second)
    step_first = max(_BLOCK // (matrix * step_second), 1) if whole else 1
    for a in first[::step_first]:
        a_end = min(a + step_first, first.stop)
        for b in second[::step_second]:
            b_end = min(b + step_second, second.stop)
            heads = slice(a, a_end), slice(b, b_end)
            for i in range(0, rows, step_rows):
                end = min(i + step_rows, rows)
                keys = min(end, columns) if shrinks else columns
                shape = (a_end - a, b_end - b, end - i, keys)
                yield Block((*heads, slice(i, end)), (*heads, slice(0, keys)), shape, i)


@lru_cache(maxsize=4)
def _hiding(rows: int, columns: int, d: Any) -> NumpyArray:
    """Return what hides keys after their query: 0 where a query may see a key, else -inf."""
    found: NumpyArray = np.where(np.tri(rows, columns, dtype=bool), d.type(0), d.type(-np.inf))
    found.flags.writeable = False
    return found


class Problem:
    """One attention in four dimensions, ``(batch, head, L or S, E)``, and how it is cut up."""

    __slots__ = (
        "batch", "columns", "drawn", "dtype", "form", "key", "mask", "query", "rows", "scale",
        "value",
    )  # fmt: skip

    def __init__(
        self,
        query: NumpyArray,
        key: NumpyArray,
        value: NumpyArray,
        mask: NumpyArray | None,
        form: Form,
    ) -> None:
        self.batch = batch = batch_of(query, key, value)
        self.query, self.key = in_four(query, batch), in_four(key, batch)
        self.value = in_four(value, batch)
        self.rows, self.columns = query.shape[-2], key.shape[-2]
        self.form, self.dtype, self.mask, self.drawn = form, self.query.dtype, mask, form.drawn
        self.scale = self.dtype.type(form.scale)
        if mask is not None:
            shape = (*batch, self.rows, self.columns)
            self.mask = in_four(np.broadcast_to(mask, shape), batch)
        if form.drawn is not None:
            self.drawn = form.drawn.reshape(*self.query.shape[:3], form.drawn.shape[-1])

    def each_block(self, work: Callable[[Iterator[Block]], None]) -> None:
        """Have `work` called with all blocks, those of different heads perhaps on several threads."""
        first, second = self.query.shape[:2]
        rows, columns = self.rows, self.columns
        shrinks = self.form.is_causal and not self.form.keeps_weights

        def part(start: int, stop: int) -> None:
            if first >= second:
                work(blocks(range(start, stop), range(second), rows, columns, shrinks))
            else:
                work(blocks(range(first), range(start, stop), rows, columns, shrinks))

        size = 4 * first * second * rows * columns * self.dtype.itemsize
        split(max(first, second), part, size)

    def reach(self, block: Block) -> int | None:
        """Return how many more keys than its place in the block each query may see, if not all."""
        return block.start if self.form.is_causal else None

    def hidden(self, block: Block) -> NumpyArray | None:
        """Return what to add to the scores of a block's last keys, where order hides some."""
        _, _, rows, columns = block.shape
        if not self.form.is_causal or block.start >= columns:
            return None
        return _hiding(rows, columns - block.start, self.dtype)

    def scores(self, block: Block, out: NumpyArray) -> tuple[NumpyArray, Any]:
        """Write scores, masked but for order, to `out`; return them as a list of matrices.

        Next to them return what they are still to be multiplied by.
        """
        multiply_into(self.query[block.at], self.key[block.seen].swapaxes(2, 3), out)
        if self.mask is None:
            return matrices(out), self.scale
        out *= self.scale
        mask = self.mask[(*block.at, block.seen[2])]
        if mask.dtype.kind == "f":
            out += mask
        else:
            np.copyto(out, -np.inf, where=~mask)
        return matrices(out), self.dtype.type(1)

    def drop(self, block: Block, weights: NumpyArray, out: NumpyArray) -> NumpyArray:
        """Return weights as dropout leaves them, in `out` if it drops any."""
        if self.drawn is None:
            return weights
        if self.form.dropout_p == 1:
            out[...] = 0
            return out
        kept = np.unpackbits(self.drawn[block.at], axis=-1, count=block.shape[3])
        np.multiply(weights, kept, out=out)
        out /= 1 - self.form.dropout_p
        return out

    def add_product(self, out: NumpyArray, block: Block, x: NumpyArray, y: NumpyArray) -> None:
        """Add ``x.T @ y``, of scores, to the rows of a block's keys; its heads' first block sets all."""
        rows = out[block.seen]
        if block.start == 0:
            multiply_into(x.swapaxes(2, 3), y, rows, below=self.reach(block))
            out[(*block.seen[:2], slice(block.shape[3], None))] = 0
        else:
            rows += np.matmul(x.swapaxes(2, 3), y)


class Scratch:
    """Memory for one block after the other."""

    __slots__ = ("memory",)

    def __init__(self, d: Any) -> None:
        self.memory = np.empty(0, d)

    def of(self, shape: tuple[int, ...]) -> NumpyArray:
        """Return memory of a shape, the same as before if there is enough."""
        size = prod(shape)
        if self.memory.size < size:
            self.memory = np.empty(size, self.memory.dtype)
        return self.memory[:size].reshape(shape)


# ----- Between the products -----------------------------------------------------------------------


def _hide(scores: NumpyArray, hidden: NumpyArray | None) -> None:
    """Add `hidden` to the scores of the last keys."""
    if hidden is not None:
        part = scores[:, :, scores.shape[2] - hidden.shape[1] :]
        part += hidden


@compiled("attention.weigh", least=4096)
def weigh(
    scores: NumpyArray, scale: Any, hidden: NumpyArray | None, logs: NumpyArray | None
) -> None:
    """Turn scores (N, L, S) into weights, all 0 where all scores are -inf.

    Args:
        scores: of queries and keys.
        scale: what to multiply them by first.
        hidden: what to add to those of the last keys then, (L, up to S).
        logs: where to write the logarithms of the sums of exponentials, (N, L).
    """
    shift: Any = 0.0
    scores *= scale
    near = scores.min(initial=0) >= -_SAFE and scores.max(initial=0) <= _SAFE  # False for nan
    _hide(scores, hidden)
    if not near:
        shift = scores.max(2, keepdims=True, initial=-np.inf)
        shift[shift == -np.inf] = 0
        scores -= shift
    np.exp(scores, out=scores)
    sums = np.matmul(scores, np.ones((scores.shape[2], 1), scores.dtype))
    sums[sums == 0] = 1
    scores *= 1 / sums
    if logs is not None:
        logs[...] = (np.log(sums) + shift)[:, :, 0]


@compiled("attention.reweigh", least=4096)
def reweigh(scores: NumpyArray, scale: Any, hidden: NumpyArray | None, logs: NumpyArray) -> None:
    """Turn scores into weights as `weigh` did, given what it wrote to `logs`."""
    scores *= scale
    _hide(scores, hidden)
    scores -= logs[:, :, None]
    np.exp(scores, out=scores)


@compiled("attention.slope", least=4096)
def slope(g: NumpyArray, weights: NumpyArray, scale: Any) -> None:
    """Turn the gradient of weights (N, L, S) into `scale` times that of scores."""
    g -= np.vecdot(g, weights)[:, :, None]
    g *= weights
    g *= scale
