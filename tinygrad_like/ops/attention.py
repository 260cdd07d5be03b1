"""Scaled dot product attention as one op, block by block.

The scores of a block of queries are computed, turned into weights and multiplied with the values
while they stay in cache; the matrix of all scores never exists, unless it is small enough to be
worth keeping for the gradient. Otherwise one number per query is kept, the logarithm of its sum of
exponentials, and the weights are computed anew. Source: Dao et al., "FlashAttention", 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.dtypes import F16, F32
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.op import op
from tinygrad_like.ops.arranging import repeat_interleave
from tinygrad_like.ops.random import _coin_array
from tinygrad_like.ops.reduction import sum_to
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.ops.softmax import softmax
from tinygrad_like.random import default_generator

__all__: list[str] = []
FUNCTIONAL = ["scaled_dot_product_attention"]

NumpyArray = np.ndarray[Any, Any]

_BLOCK = 1 << 16  # scores computed at a time: with the weights' gradients they stay in cache
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


# ----- Four dimensions ----------------------------------------------------------------------------


def _batch(arrays: list[NumpyArray]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(a.shape[:-2] for a in arrays))


def _in_four(x: NumpyArray, batch: tuple[int, ...]) -> NumpyArray:
    """Return `x` with its batch dimensions broadcast and brought to two, as a view where possible."""
    if len(batch) <= 2:
        x = x.reshape((1,) * (4 - x.ndim) + x.shape)
        return np.broadcast_to(x, (1,) * (2 - len(batch)) + batch + x.shape[-2:])
    last = x.shape[-3] if x.ndim > 2 else 1
    x = np.broadcast_to(x, (*batch[:-1], last, *x.shape[-2:]))
    x = x.reshape(prod(batch[:-1]), last, *x.shape[-2:])
    return np.broadcast_to(x, (x.shape[0], batch[-1], *x.shape[2:]))


def _empty(first: int, second: int, rows: int, width: int, d: Any) -> NumpyArray:
    """Return memory in which a row's second batch dimension (its heads) lie side by side.

    That is how they are merged after attention, and how the halves of a joint projection lie.
    """
    return np.empty((first, rows, second, width), d).transpose(0, 2, 1, 3)


class _Block(NamedTuple):
    """A part of all scores: batches, heads, and queries with as many keys as they may see."""

    heads: tuple[slice, slice]
    queries: slice
    keys: slice


def _blocks(first: int, second: int, rows: int, columns: int, is_causal: bool) -> Iterator[_Block]:
    """Yield parts of about `_BLOCK` scores that together are all of them."""
    step_rows = min(max(_BLOCK // max(columns, 1), 16), rows)
    matrix = max(columns * step_rows, 1)
    step_second = min(max(_BLOCK // matrix, 1), second)
    whole = step_rows == rows and step_second == second
    step_first = max(_BLOCK // max(matrix * second, 1), 1) if whole else 1
    for a in range(0, first, step_first):
        for b in range(0, second, max(step_second, 1)):
            for i in range(0, rows, max(step_rows, 1)):
                end = min(i + step_rows, rows)
                yield _Block(
                    (slice(a, min(a + step_first, first)), slice(b, min(b + step_second, second))),
                    slice(i, end),
                    slice(0, min(end, columns) if is_causal else columns),
                )


# ----- Weights ------------------------------------------------------------------------------------


class _Weights:
    """Computes blocks of the weights of one attention."""

    def __init__(
        self, query: NumpyArray, key: NumpyArray, mask: NumpyArray | None, form: Form
    ) -> None:
        self.query, self.keys_across, self.form = query, key.swapaxes(-1, -2), form
        self.mask = mask
        self.drawn = form.drawn
        if self.drawn is not None:
            self.drawn = self.drawn.reshape(*query.shape[:3], self.drawn.shape[-1])

    def scores(self, block: _Block, out: NumpyArray) -> None:
        """Write scaled scores, with a mask of numbers added, to `out`."""
        query = self.query[(*block.heads, block.queries)]
        np.matmul(
            query * query.dtype.type(self.form.scale),
            self.keys_across[(*block.heads, slice(None), block.keys)],
            out=out,
        )
        if self.mask is not None and self.mask.dtype.kind == "f":
            out += self.mask[(*block.heads, block.queries, block.keys)]

    def seen(self, block: _Block, scores: NumpyArray) -> tuple[NumpyArray, NumpyArray | None]:
        """Return the part of a block of scores in which some are hidden, and which ones are not."""
        if self.form.is_causal:
            start, rows = block.queries.start, block.queries.stop - block.queries.start
            part = scores[..., start:]
            return part, np.tri(rows, part.shape[-1], dtype=bool)
        if self.mask is not None and self.mask.dtype.kind == "b":
            return scores, self.mask[(*block.heads, block.queries, block.keys)]
        return scores, None

    def exponentials(self, block: _Block, out: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
        """Write exponentials of scores to `out`; return their sums and what was subtracted before.

        Where nothing may be seen the sum is 1 and all exponentials are 0.
        """
        self.scores(block, out)
        part, seen = self.seen(block, out)
        shift: Any = out.dtype.type(0)
        if -_SAFE <= out.min(initial=0) and out.max(initial=0) <= _SAFE:  # nan: no
            np.exp(out, out=out)
            if seen is not None:
                np.multiply(part, seen, out=part)
        else:
            if seen is not None:
                np.copyto(part, -np.inf, where=~seen)
            shift = out.max(-1, keepdims=True, initial=-np.inf)
            shift[shift == -np.inf] = 0
            out -= shift
            np.exp(out, out=out)
        sums = np.matmul(out, np.ones((out.shape[-1], 1), out.dtype))
        sums[sums == 0] = 1
        return sums, shift

    def normalised(self, block: _Block, logs: NumpyArray, out: NumpyArray) -> None:
        """Write weights to `out`, given the logarithm of the sums."""
        self.scores(block, out)
        part, seen = self.seen(block, out)
        if seen is not None:
            np.copyto(part, -np.inf, where=~seen)
        out -= logs
        np.exp(out, out=out)

    def drop(self, block: _Block, weights: NumpyArray, out: NumpyArray) -> NumpyArray:
        """Return weights as dropout leaves them, in `out` if it drops any."""
        drawn, p = self.drawn, self.form.dropout_p
        if drawn is None:
            return weights
        if p == 1:
            out[...] = 0
            return out
        bits = drawn[(*block.heads, block.queries)]
        kept = np.unpackbits(bits, axis=-1, count=block.keys.stop)
        np.multiply(weights, kept, out=out)
        out /= out.dtype.type(1 - p)
        return out


# ----- The op -------------------------------------------------------------------------------------


def _whole(array: NumpyArray) -> NumpyArray:
    return array.astype(F32) if array.dtype is F16 else array


def _prepared(
    query: NumpyArray, key: NumpyArray, value: NumpyArray, mask: NumpyArray | None
) -> tuple[tuple[int, ...], list[Any]]:
    """Return the batch dimensions and all arrays in four dimensions."""
    batch = _batch([query, key, value])
    arrays = [_in_four(_whole(a), batch) for a in (query, key, value)]
    if mask is not None:
        shape = (*batch, query.shape[-2], key.shape[-2])
        mask = _in_four(np.broadcast_to(mask, shape), batch)
        if mask.dtype.kind == "f":
            mask = _whole(mask)
    return batch, [*arrays, mask]


def _attention_rule(
    g: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any,
    out: Any,
    form: Form,
    weights: Any,
    sums: Any,
    needs: tuple[bool, ...],
) -> tuple[Any, ...]:
    kept = (as_array(out), weights, sums)
    found = attention_backward(g, query, key, value, attn_mask, form, kept, needs[3])
    return (*found, None)[:4]


@op(
    joint=(("query", "key", "value", "attn_mask"), _attention_rule),
    keeps=("weights", "sums"),
    label="ScaledDotProductFlashAttentionForCpu",
)
def attention(
    query: Array, key: Array, value: Array, attn_mask: Array | None, form: Form
) -> tuple[Array, Array | None, Array]:
    """Return attention's result, its weights before their normalisation (or None), and their sums.

    Where no weights are kept it is the sums' logarithms.
    """
    batch, (q, k, v, mask) = _prepared(query, key, value, attn_mask)
    first, second, rows, _ = q.shape
    columns, width = v.shape[-2:]
    out = _empty(first, second, rows, width, q.dtype)
    all_sums = np.empty((first, second, rows, 1), q.dtype)
    weights = np.empty((first, second, rows, columns), q.dtype) if form.keeps_weights else None
    maker = _Weights(q, k, mask, form)
    for block in _blocks(first, second, rows, columns, form.is_causal):
        at = (*block.heads, block.queries)
        shape = (*all_sums[at].shape[:3], block.keys.stop)
        scores = np.empty(shape, q.dtype) if weights is None else weights[(*at, block.keys)]
        sums, shift = maker.exponentials(block, scores)
        all_sums[at] = sums if form.keeps_weights else np.log(sums) + shift
        spare = scores if weights is None else np.empty_like(scores)
        part = out[at]
        np.matmul(maker.drop(block, scores, spare), v[(*block.heads, block.keys)], out=part)
        part /= sums
    shape = (*batch, rows, width)
    return out.reshape(shape).astype(query.dtype, copy=False), weights, all_sums


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
    kept: tuple[NumpyArray, NumpyArray | None, NumpyArray],
    of_mask: bool,
) -> tuple[Array, ...]:
    """Return the gradients of query, key, value and, if wanted, of a mask of numbers."""
    batch, (q, k, v, mask) = _prepared(query, key, value, attn_mask)
    out, weights, all_sums = kept
    g, out = _in_four(_whole(grad), batch), _in_four(_whole(out), batch)
    first, second, rows, features = q.shape
    columns, width = v.shape[-2:]
    d = q.dtype
    scale = d.type(form.scale)
    of_query = _empty(first, second, rows, features, d)
    of_key = _empty(first, second, columns, features, d)
    of_value = _empty(first, second, columns, width, d)
    of_scores = np.zeros((first, second, rows, columns), d) if of_mask else None
    maker = _Weights(q, k, mask, form)
    scaled = q * scale
    if not rows:
        of_key[...] = of_value[...] = 0
    for block in _blocks(first, second, rows, columns, form.is_causal):
        at, seen = (*block.heads, block.queries), (*block.heads, block.keys)
        part_g = g[at]
        if weights is None:
            w = np.empty((*part_g.shape[:3], block.keys.stop), d)
            maker.normalised(block, all_sums[at], w)
        else:
            w = weights[(*at, block.keys)]
            part_g = part_g / all_sums[at]
        slopes = np.empty(w.shape, d)
        dropped = maker.drop(block, w, slopes)
        _add_product(of_value, block, dropped, part_g)
        np.matmul(part_g, v[seen].swapaxes(-1, -2), out=slopes)
        slopes = maker.drop(block, slopes, slopes)
        slopes -= np.vecdot(part_g, out[at])[..., None]
        slopes *= w
        if of_scores is not None:
            of_scores[(*at, block.keys)] = slopes
        part = of_query[at]
        np.matmul(slopes, k[seen], out=part)
        part *= scale
        _add_product(of_key, block, slopes, scaled[at])
    found = [of_query, of_key, of_value]
    sources = [query, key, value]
    if of_scores is not None:
        found.append(of_scores)
        sources.append(attn_mask)
    return tuple(
        sum_to(f.reshape(*batch, *f.shape[2:]), s.shape).astype(s.dtype, copy=False)
        for f, s in zip(found, sources, strict=True)
    )


def _add_product(out: NumpyArray, block: _Block, x: NumpyArray, y: NumpyArray) -> None:
    """Add ``x.T @ y`` to the rows of `out` that are the keys of `block`; its first block sets all."""
    rows = out[(*block.heads, block.keys)]
    if block.queries.start == 0:
        np.matmul(x.swapaxes(-1, -2), y, out=rows)
        out[(*block.heads, slice(block.keys.stop, None))] = 0
    else:
        rows += np.matmul(x.swapaxes(-1, -2), y)


# ----- PyTorch's function -------------------------------------------------------------------------


def _refuse(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, p: float) -> None:
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
    _refuse(query, key, value, attn_mask, is_causal, dropout_p)
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
