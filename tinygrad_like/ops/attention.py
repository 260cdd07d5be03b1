"""Scaled dot product attention as one op, block by block.

The scores of a block of queries are computed, turned into weights and multiplied with the values
while they stay in cache; the matrix of all scores never exists, unless it is small enough to be
worth keeping for the gradient. Otherwise one number per query is kept, the logarithm of its sum of
exponentials, and the weights are computed anew. Source: Dao et al., "FlashAttention", 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.dtypes import F16, F32
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.jit import compiled
from tinygrad_like.op import op
from tinygrad_like.ops.arranging import repeat_interleave
from tinygrad_like.ops.random import _coin_array
from tinygrad_like.ops.reduction import sum_to
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.ops.softmax import softmax
from tinygrad_like.random import default_generator
from tinygrad_like.threads import split

__all__: list[str] = []
FUNCTIONAL = ["scaled_dot_product_attention"]

NumpyArray = np.ndarray[Any, Any]

_BLOCK = 1 << 17  # scores computed at a time: with their gradients they stay in cache
_LEAST_ROWS = 128  # queries at a time, however many keys
_SAFE = (
    60.0  # exponentials of scores up to this size neither overflow nor vanish, nor do their sums
)


class Form(NamedTuple):
    """What an attention is, but for its arrays."""

    scale: float
    is_causal: bool
    dropout_p: float
    drawn: NumpyArray | None  # bits of the weights that dropout lets through, (..., L, ceil(S / 8))
    keeps_weights: bool


# ----- Blocks -------------------------------------------------------------------------------------


def _batch(arrays: list[NumpyArray]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(a.shape[:-2] for a in arrays))


def _in_four(x: NumpyArray, batch: tuple[int, ...]) -> NumpyArray:
    """Return `x` with its batch dimensions broadcast and brought to two, as a view where possible."""
    if x.ndim == 4 and x.shape[:2] == batch:
        return x
    if len(batch) <= 2:
        x = x.reshape((1,) * (4 - x.ndim) + x.shape)
        return np.broadcast_to(x, (1,) * (2 - len(batch)) + batch + x.shape[-2:])
    last = x.shape[-3] if x.ndim > 2 else 1
    x = np.broadcast_to(x, (*batch[:-1], last, *x.shape[-2:]))
    x = x.reshape(prod(batch[:-1]), last, *x.shape[-2:])
    return np.broadcast_to(x, (x.shape[0], batch[-1], *x.shape[2:]))


class _Block(NamedTuple):
    """A part of all scores: queries of some heads, and the first keys, all that they may see."""

    heads: tuple[slice, slice]
    queries: slice
    keys: slice

    @property
    def shape(self) -> tuple[int, int, int, int]:
        (a, b), q, k = self
        return a.stop - a.start, b.stop - b.start, q.stop - q.start, k.stop


def _blocks(
    first: range, second: range, rows: int, columns: int, shrinks: bool
) -> Iterator[_Block]:
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
        for b in second[::step_second]:
            for i in range(0, rows, step_rows):
                end = min(i + step_rows, rows)
                yield _Block(
                    (
                        slice(a, min(a + step_first, first.stop)),
                        slice(b, min(b + step_second, second.stop)),
                    ),
                    slice(i, end),
                    slice(0, min(end, columns) if shrinks else columns),
                )


class _Problem:
    """One attention in four dimensions, ``(batch, head, L or S, E)``, and how it is cut up."""

    def __init__(
        self,
        query: NumpyArray,
        key: NumpyArray,
        value: NumpyArray,
        mask: NumpyArray | None,
        form: Form,
    ) -> None:
        self.batch = batch = _batch([query, key, value])
        self.query, self.key, self.value = (
            _in_four(_computable(a), batch) for a in (query, key, value)
        )
        self.rows, self.columns = query.shape[-2], key.shape[-2]
        self.mask = mask
        if mask is not None:
            shape = (*batch, self.rows, self.columns)
            self.mask = _in_four(np.broadcast_to(_computable(mask), shape), batch)
        self.form, self.drawn, self.dtype = form, form.drawn, self.query.dtype
        self._hidden: NumpyArray | None = None
        if self.drawn is not None:
            self.drawn = self.drawn.reshape(*self.query.shape[:3], self.drawn.shape[-1])

    def each_block(self, work: Callable[[Iterator[_Block]], None]) -> None:
        """Have `work` called with all blocks, those of different heads perhaps on several threads."""
        first, second, rows, columns = *self.query.shape[:2], self.rows, self.columns
        shrinks = self.form.is_causal and not self.form.keeps_weights

        def part(start: int, stop: int) -> None:
            heads = range(first), range(second)
            heads = (heads[0][start:stop], heads[1]) if across else (heads[0], heads[1][start:stop])
            work(_blocks(*heads, rows, columns, shrinks))

        across = first >= second
        size = 4 * first * second * rows * columns * self.dtype.itemsize
        split(first if across else second, part, size)

    def hidden(self, block: _Block) -> NumpyArray | None:
        """Return what to add to the scores of a block's last keys, where order hides some."""
        start, rows, columns = block.queries.start, block.shape[2], block.keys.stop
        if not self.form.is_causal or start >= columns:
            return None
        shape = (rows, columns - start)
        if self._hidden is None or self._hidden.shape != shape:
            d = self.dtype.type
            self._hidden = np.where(np.tri(*shape, dtype=bool), d(0), d(-np.inf))
        return self._hidden

    def scores(self, block: _Block, out: NumpyArray) -> NumpyArray:
        """Write scores, masked but for causality, to `out`; return them as a list of matrices."""
        at = (*block.heads, block.queries)
        query = self.query[at] * self.dtype.type(self.form.scale)
        np.matmul(query, self.key[(*block.heads, block.keys)].swapaxes(2, 3), out=out)
        if self.mask is not None:
            mask = self.mask[(*at, block.keys)]
            if mask.dtype.kind == "f":
                out += mask
            else:
                np.copyto(out, -np.inf, where=~mask)
        return _matrices(out)

    def drop(self, block: _Block, weights: NumpyArray, out: NumpyArray) -> NumpyArray:
        """Return weights as dropout leaves them, in `out` if it drops any."""
        if self.drawn is None:
            return weights
        if self.form.dropout_p == 1:
            out[...] = 0
            return out
        bits = self.drawn[(*block.heads, block.queries)]
        np.multiply(weights, np.unpackbits(bits, axis=-1, count=block.keys.stop), out=out)
        out /= 1 - self.form.dropout_p
        return out


def _computable(array: NumpyArray) -> NumpyArray:
    return array.astype(F32) if array.dtype is F16 else array


def _matrices(block: NumpyArray) -> NumpyArray:
    return block.reshape(block.shape[0] * block.shape[1], *block.shape[2:])


def _scratch(memory: NumpyArray | None, shape: tuple[int, ...], d: Any) -> NumpyArray:
    """Return `memory`, or new one where it is missing or too small, from which blocks are cut."""
    if memory is None or memory.size < prod(shape):
        memory = np.empty(prod(shape), d)
    return memory


# ----- Between the products -----------------------------------------------------------------------


def _hide(scores: NumpyArray, hidden: NumpyArray | None) -> None:
    if hidden is not None:
        part = scores[:, :, scores.shape[2] - hidden.shape[1] :]
        part += hidden


@compiled("attention.weigh", least=4096)
def _weigh(scores: NumpyArray, hidden: NumpyArray | None, logs: NumpyArray | None) -> None:
    """Turn scores (N, L, S) into weights, all 0 where all scores are -inf.

    Args:
        scores: of queries and keys.
        hidden: what to add to those of the last keys first, (L, up to S).
        logs: where to write the logarithms of the sums of exponentials, (N, L).
    """
    shift: Any = 0.0
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
def _reweigh(scores: NumpyArray, hidden: NumpyArray | None, logs: NumpyArray) -> None:
    """Turn scores into weights as `_weigh` did, given what it wrote to `logs`."""
    _hide(scores, hidden)
    scores -= logs[:, :, None]
    np.exp(scores, out=scores)


@compiled("attention.slope", least=4096)
def _slope(g: NumpyArray, weights: NumpyArray, scale: Any) -> None:
    """Turn the gradient of weights (N, L, S) into `scale` times that of scores."""
    g -= np.vecdot(g, weights)[:, :, None]
    g *= weights
    g *= scale


# ----- The op -------------------------------------------------------------------------------------


def _attention_rule(
    g: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any,
    form: Form,
    weights: Any,
    logs: Any,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    found = attention_backward(g, query, key, value, attn_mask, form, weights, logs, needs[3])
    return (*found, None)[:4]


@op(
    joint=(("query", "key", "value", "attn_mask"), _attention_rule),
    keeps=("weights", "logs"),
    label="ScaledDotProductFlashAttentionForCpu",
)
def attention(
    query: Array, key: Array, value: Array, attn_mask: Array | None, form: Form
) -> tuple[Array, Array | None, Array | None]:
    """Return attention's result, and its weights or the logarithms of their sums (else None)."""
    problem = _Problem(query, key, value, attn_mask, form)
    first, second, rows, _ = problem.query.shape
    columns, width = problem.value.shape[2:]
    d = problem.dtype
    out = np.empty_like(problem.query, shape=(first, second, rows, width))
    weights = logs = None
    if form.keeps_weights:
        weights = np.empty((first, second, rows, columns), d)
    else:
        logs = np.empty((first, second, rows), d)

    def work(blocks: Iterator[_Block]) -> None:
        own = spare = None
        for block in blocks:
            at, shape = (*block.heads, block.queries), block.shape
            if weights is None:
                own = _scratch(own, shape, d)
                w = own[: prod(shape)].reshape(shape)
            else:
                w = weights[at]
            matrices = problem.scores(block, w)
            log = None if logs is None else logs[at].reshape(matrices.shape[:2])
            _weigh(matrices, problem.hidden(block), log)
            dropped = w
            if problem.drawn is not None:
                spare = _scratch(spare, shape, d)
                dropped = problem.drop(block, w, spare[: prod(shape)].reshape(shape))
            np.matmul(dropped, problem.value[(*block.heads, block.keys)], out=out[at])

    problem.each_block(work)
    shaped = out.reshape(*problem.batch, rows, width)
    return shaped.astype(query.dtype, copy=False), weights, logs


def _second_order_rule(
    g: tuple[Any, ...],
    grad: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any,
    form: Form,
) -> tuple[Any, ...]:
    """Return the gradients of `attention_backward`, from all weights, as textbook formulas.

    With P the weights, R what dropout multiplies them by, and for gradients dQ, dK, dV, dM of the
    loss: it is <dS, T> + <P * R, W> for some T and W that hold no P.
    """
    of_query, of_key, of_value = g[:3]
    weights, factors = _all_weights(query, key, attn_mask, form)
    scale = form.scale
    by_weights = np.matmul(grad, _across(value)) * factors
    steps = (np.matmul(of_query, _across(key)) + np.matmul(query, _across(of_key))) * scale
    if len(g) == 4:
        steps = steps + g[3]
    slopes = _softmax_slopes(by_weights, weights)
    sent = _softmax_slopes(steps, weights)
    level = np.sum(by_weights * weights, -1, keepdims=True)
    amount = np.sum(steps * weights, -1, keepdims=True)
    others = np.matmul(grad, _across(of_value)) * factors
    again = _softmax_slopes(steps * (by_weights - level) - by_weights * amount + others, weights)
    found = (
        np.matmul(sent * factors, value) + np.matmul(weights * factors, of_value),
        (np.matmul(slopes, of_key) + np.matmul(again, key)) * scale,
        (np.matmul(_across(slopes), of_query) + np.matmul(_across(again), query)) * scale,
        np.matmul(_across(sent * factors), grad),
    )
    wanted = (grad, query, key, value)
    summed = [sum_to(f, tuple(x.shape)) for f, x in zip(found, wanted, strict=True)]
    of_mask = attn_mask is not None and attn_mask.dtype.kind == "f"
    return (*summed, sum_to(again, tuple(attn_mask.shape)) if of_mask else None)


def _across(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _softmax_slopes(g: Any, weights: Any) -> Any:
    """Return what a gradient of weights means for scores."""
    return weights * (g - np.sum(g * weights, -1, keepdims=True))


def _all_weights(query: Any, key: Any, mask: Any, form: Form) -> tuple[Any, Any]:
    """Return the matrix of all weights, and what dropout multiplies it by."""
    scores = np.matmul(query, _across(key)) * form.scale
    seen = np.ones(scores.shape[-2:], bool)
    if form.is_causal:
        seen = np.tri(*seen.shape, dtype=bool)
    if mask is not None:
        if mask.dtype.kind == "b":
            seen = as_array(mask)
        else:
            scores = scores + mask
            seen = as_array(mask) != -np.inf
    # Where nothing may be seen a softmax would be nan: there it is of zeros, and cleared afterwards.
    some = seen.any(-1, keepdims=True)
    hidden = np.where(some, -np.inf, 0.0).astype(as_array(scores).dtype)
    weights = softmax(np.where(seen, scores, hidden), -1) * some
    d = as_array(scores).dtype
    factors: Any = np.ones((), d)
    if form.drawn is not None:
        kept = np.unpackbits(form.drawn, axis=-1, count=scores.shape[-1]).reshape(scores.shape)
        factors = (kept / (1 - form.dropout_p) if form.dropout_p < 1 else 0 * kept).astype(d)
    return weights, factors


@op(
    joint=(("grad", "query", "key", "value", "attn_mask"), _second_order_rule),
    several=True,
    label="ScaledDotProductFlashAttentionForCpuBackward",
)
def attention_backward(
    grad: Array,
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None,
    form: Form,
    weights: NumpyArray | None,
    logs: NumpyArray | None,
    of_mask: bool,
) -> tuple[Array, ...]:
    """Return the gradients of query, key, value and, if wanted, of a mask of numbers."""
    problem = _Problem(query, key, value, attn_mask, form)
    g = _in_four(_computable(grad), problem.batch)
    q, k, v, d = problem.query, problem.key, problem.value, problem.dtype
    rows, columns = problem.rows, problem.columns
    of_query, of_key, of_value = map(np.empty_like, (q, k, v))
    of_scores = np.zeros((*q.shape[:3], columns), d) if of_mask else None
    scale = d.type(form.scale)
    if not rows:
        of_key[...] = of_value[...] = 0

    def work(blocks: Iterator[_Block]) -> None:
        own = spare = None
        for block in blocks:
            at, seen, shape = (
                (*block.heads, block.queries),
                (*block.heads, block.keys),
                block.shape,
            )
            size = prod(shape)
            if weights is None:
                own = _scratch(own, shape, d)
                w = own[:size].reshape(shape)
                assert logs is not None
                matrices = problem.scores(block, w)
                _reweigh(matrices, problem.hidden(block), logs[at].reshape(matrices.shape[:2]))
            else:
                w = weights[at]
                matrices = _matrices(w)
            spare = _scratch(spare, shape, d)
            slopes = spare[:size].reshape(shape)
            _add_product(of_value, block, problem.drop(block, w, slopes), g[at])
            np.matmul(g[at], v[seen].swapaxes(2, 3), out=slopes)
            problem.drop(block, slopes, slopes)
            if of_scores is not None:
                _slope(slopes.reshape(matrices.shape), matrices, d.type(1))
                of_scores[(*at, block.keys)] = slopes
                slopes *= scale
            else:
                _slope(slopes.reshape(matrices.shape), matrices, scale)
            np.matmul(slopes, k[seen], out=of_query[at])
            _add_product(of_key, block, slopes, q[at])

    problem.each_block(work)
    found = [of_query, of_key, of_value]
    sources = [query, key, value]
    if of_scores is not None:
        found.append(of_scores)
        sources.append(attn_mask)
    return tuple(
        sum_to(f.reshape(*problem.batch, *f.shape[2:]), s.shape).astype(s.dtype, copy=False)
        for f, s in zip(found, sources, strict=True)
    )


def _add_product(out: NumpyArray, block: _Block, x: NumpyArray, y: NumpyArray) -> None:
    """Add ``x.T @ y`` to the rows of `out` that are a block's keys; the first block sets them all."""
    rows = out[(*block.heads, block.keys)]
    if block.queries.start == 0:
        np.matmul(x.swapaxes(2, 3), y, out=rows)
        out[(*block.heads, slice(block.keys.stop, None))] = 0
    else:
        rows += np.matmul(x.swapaxes(2, 3), y)


# ----- PyTorch's function -------------------------------------------------------------------------


def _refuse(
    query: Any, key: Any, value: Any, mask: Any, is_causal: bool, p: float, scale: Any
) -> None:
    """Raise if attention of these is not defined."""
    for position, (name, x) in enumerate((("query", query), ("key", key), ("value", value))):
        if not isinstance(x, Traced | np.ndarray):
            raise TypeError(
                f"scaled_dot_product_attention(): argument '{name}' (position {position + 1}) must be "
                f"Tensor, not {type(x).__name__}"
            )
    q, k, v = as_array(query), as_array(key), as_array(value)
    names = [dtypes.named(a.dtype).name for a in (q, k, v)]
    if len(set(names)) > 1:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{names[0]} key.dtype: {names[1]} and value.dtype: {names[2]} instead."
        )
    if q.dtype.kind != "f":
        raise RuntimeError(
            f"scaled_dot_product_attention: expected floating-point tensors, got {names[0]}"
        )
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be at least 2 dimensional, but got query.dim: "
            f"{q.ndim} key.dim: {k.ndim} and value.dim: {v.ndim} instead."
        )
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise RuntimeError(
            "scaled_dot_product_attention: expected query (..., L, E), key (..., S, E) and value "
            f"(..., S, Ev), got {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    if mask is not None:
        if not isinstance(mask, Traced | np.ndarray):
            raise TypeError(
                "scaled_dot_product_attention(): argument 'attn_mask' must be Tensor, not "
                f"{type(mask).__name__}"
            )
        if is_causal:
            raise RuntimeError(
                "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
                "is_causal=True"
            )
        d = as_array(mask).dtype
        if d.kind != "b" and d != F32 and d != q.dtype:
            raise RuntimeError(
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                f"attn_mask.dtype: {dtypes.named(d).name} and query.dtype: {names[0]} instead."
            )
    if isinstance(scale, str):
        raise TypeError("scaled_dot_product_attention(): argument 'scale' must be float, not str")
    if p > 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")


def _grouped(query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Return arguments in which heads that share keys are a dimension of their own.

    Queries become ``(..., H of keys, H of queries / H of keys, L, E)``.
    """
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise IndexError("Dimension out of range (expected to be in range of [-2, 1], but got -3)")
    heads, shared, other = query.shape[-3], key.shape[-3], value.shape[-3]
    if not shared or not other or heads % shared or heads % other:
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query, got "
            f"{shared}, {other} and {heads}"
        )
    if shared != other:
        repeat = repeat_interleave
        key, value = (repeat(x, heads // x.shape[-3], -3) for x in (key, value))
        shared = heads

    def split(x: Any) -> Any:
        own = x.shape[-3]
        return reshape(x, (*x.shape[:-3], own, 1, *x.shape[-2:]))

    if mask is not None and mask.ndim > 2 and mask.shape[-3] == heads:
        mask = reshape(mask, (*mask.shape[:-3], shared, heads // shared, *mask.shape[-2:]))
    elif mask is not None and mask.ndim > 2:
        mask = split(mask)
    query = reshape(query, (*query.shape[:-3], shared, heads // shared, *query.shape[-2:]))
    return query, split(key), split(value), mask


def _draw(shape: tuple[int, ...], p: float) -> NumpyArray:
    """Return bits that say which weights dropout keeps, drawn as PyTorch does."""
    rows, columns = prod(shape[:-1]), shape[-1]
    out = np.empty((rows, -(-columns // 8)), np.uint8)
    step = max(_BLOCK // max(columns, 1), 1)
    for start in range(0, rows, step):
        part = out[start : start + step]
        like = np.empty((len(part), columns), np.uint8)
        part[...] = np.packbits(_coin_array(default_generator, like, 1 - p), axis=-1)
    return out.reshape(*shape[:-1], -1)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Return ``softmax(query @ key.mT * scale + mask) @ value``: ``(..., L, Ev)``.

    Batch dimensions are broadcast. Where a query may see no key at all the result is 0. Memory grows
    with L and with S, not with their product.

    Args:
        query: ``(..., L, E)``.
        key: ``(..., S, E)``.
        value: ``(..., S, Ev)``.
        attn_mask: broadcastable to ``(..., L, S)``: bools, True where a query may see a key, or
            numbers that are added to the scores.
        dropout_p: the probability with which a weight is dropped, in evaluation too.
        is_causal: let query i see keys 0 to i.
        scale: what scores are multiplied by, ``1 / sqrt(E)`` if None.
        enable_gqa: let several heads ``(..., H, L, E)`` of queries share a head of keys and values.

    Raises:
        RuntimeError: if shapes or dtypes do not fit, or there is a mask although `is_causal`.

    >>> import tinygrad_like as torch
    >>> x = torch.eye(2)
    >>> torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
    tensor([[1.0000, 0.0000],
            [0.3302, 0.6698]])
    """
    _refuse(query, key, value, attn_mask, is_causal, dropout_p, scale)
    if scale is None:
        scale = (query.shape[-1] or 1) ** -0.5
    given = query
    if enable_gqa:
        query, key, value, attn_mask = _grouped(query, key, value, attn_mask)
    rows, columns = query.shape[-2], key.shape[-2]
    drawn = None
    if dropout_p > 0:
        batch = _batch([as_array(x) for x in (query, key, value)])
        drawn = _draw((*batch, rows, columns), dropout_p)
    short = columns <= 4 * query.shape[-1]
    wanted = any(getattr(x, "node", None) is not None for x in (query, key, value, attn_mask))
    form = Form(float(scale), bool(is_causal), float(dropout_p), drawn, short and wanted)
    out = attention(query, key, value, attn_mask, form)
    if enable_gqa:
        out = reshape(out, (*out.shape[:-4], given.shape[-3], *out.shape[-2:]))
    return out
