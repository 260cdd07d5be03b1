"""Scaled dot product attention as one op, block by block.

The scores of a block of queries are computed, turned into weights and multiplied with the values
while they stay in cache; the matrix of all scores never exists, unless it is small enough to be
worth keeping for the gradient. Otherwise one number per query is kept, the logarithm of its sum of
exponentials, and the weights are computed anew. Source: Dao et al., "FlashAttention", 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.attention_blocks import (
    Block,
    Form,
    NumpyArray,
    Problem,
    Scratch,
    batch_of,
    in_four,
    matrices,
    reweigh,
    slope,
    weigh,
)
from tinygrad_like.arrays.products import multiply_into
from tinygrad_like.dtypes import F32
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arranging import repeat_interleave
from tinygrad_like.ops.random import _coin_array
from tinygrad_like.ops.reduction import sum_to
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.ops.softmax import softmax
from tinygrad_like.random import default_generator

__all__: list[str] = []
FUNCTIONAL = ["scaled_dot_product_attention"]

_DRAWN = 1 << 16  # numbers drawn at a time


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
    problem = Problem(query, key, value, attn_mask, form)
    q, v, d = problem.query, problem.value, problem.dtype
    out = np.empty_like(q, shape=(*q.shape[:3], v.shape[3]))
    weights = logs = None
    if form.keeps_weights:
        weights = np.empty((*q.shape[:3], problem.columns), d)
    else:
        logs = np.empty(q.shape[:3], d)

    def work(parts: Iterator[Block]) -> None:
        own, spare = Scratch(d), Scratch(d)
        for block in parts:
            w = own.of(block.shape) if weights is None else weights[block.at]
            rows, scale = problem.scores(block, w)
            log = None if logs is None else logs[block.at].reshape(rows.shape[:2])
            weigh(rows, scale, problem.hidden(block), log)
            if problem.drawn is not None:
                w = problem.drop(block, w, spare.of(block.shape))
            multiply_into(w, v[block.seen], out[block.at], above=problem.reach(block))

    problem.each_block(work)
    shaped = out.reshape(*problem.batch, *out.shape[2:])
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
    problem = Problem(query, key, value, attn_mask, form)
    g, q, k, v = in_four(grad, problem.batch), problem.query, problem.key, problem.value
    d = problem.dtype
    of_query, of_key, of_value = np.empty_like(q), np.empty_like(k), np.empty_like(v)
    of_scores = np.zeros((*q.shape[:3], problem.columns), d) if of_mask else None
    if not problem.rows:
        of_key[...] = of_value[...] = 0

    def work(parts: Iterator[Block]) -> None:
        own, spare = Scratch(d), Scratch(d)
        for block in parts:
            at, seen = block.at, block.seen
            if logs is not None:
                w = own.of(block.shape)
                rows, scale = problem.scores(block, w)
                reweigh(rows, scale, problem.hidden(block), logs[at].reshape(rows.shape[:2]))
            else:
                assert weights is not None
                w = weights[at]
            slopes = spare.of(block.shape)
            problem.add_product(of_value, block, problem.drop(block, w, slopes), g[at])
            multiply_into(g[at], v[seen].swapaxes(2, 3), slopes)
            problem.drop(block, slopes, slopes)
            slope(matrices(slopes), matrices(w), problem.scale if of_scores is None else d.type(1))
            if of_scores is not None:
                of_scores[(*at, seen[2])] = slopes
                slopes *= problem.scale
            multiply_into(slopes, k[seen], of_query[at], above=problem.reach(block))
            problem.add_product(of_key, block, slopes, q[at])

    problem.each_block(work)
    found = [of_query, of_key, of_value]
    sources = [query, key, value]
    if of_scores is not None:
        found.append(of_scores)
        sources.append(attn_mask)
    return tuple(
        _as_source(f.reshape(*problem.batch, *f.shape[2:]), s)
        for f, s in zip(found, sources, strict=True)
    )


def _as_source(found: NumpyArray, source: NumpyArray) -> NumpyArray:
    """Return a gradient in the shape and type of what it is for."""
    if found.shape != source.shape:
        found = sum_to(found, source.shape)
    return found.astype(source.dtype, copy=False)


# ----- PyTorch's function -------------------------------------------------------------------------


def _refuse(
    query: Any, key: Any, value: Any, mask: Any, is_causal: bool, p: float, scale: Any
) -> None:
    """Raise if attention of these is not defined."""
    for position, (name, x) in enumerate((("query", query), ("key", key), ("value", value))):
        if not isinstance(x, Traced | np.ndarray):
            raise told(
                TypeError,
                f"scaled_dot_product_attention(): argument '{name}' (position {position + 1}) must be "
                f"Tensor, not {type(x).__name__}",
            )
    q, k, v = as_array(query), as_array(key), as_array(value)
    names = [dtypes.named(a.dtype).name for a in (q, k, v)]
    if len(set(names)) > 1:
        raise told(
            RuntimeError,
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{names[0]} key.dtype: {names[1]} and value.dtype: {names[2]} instead.",
        )
    if q.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"scaled_dot_product_attention: expected floating-point tensors, got {names[0]}",
        )
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise told(
            RuntimeError,
            "Expected query, key, and value to all be at least 2 dimensional, but got query.dim: "
            f"{q.ndim} key.dim: {k.ndim} and value.dim: {v.ndim} instead.",
        )
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise told(
            RuntimeError,
            "scaled_dot_product_attention: expected query (..., L, E), key (..., S, E) and value "
            f"(..., S, Ev), got {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}",
        )
    if mask is not None:
        if not isinstance(mask, Traced | np.ndarray):
            raise told(
                TypeError,
                "scaled_dot_product_attention(): argument 'attn_mask' must be Tensor, not "
                f"{type(mask).__name__}",
            )
        if is_causal:
            raise told(
                RuntimeError,
                "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
                "is_causal=True",
            )
        d = as_array(mask).dtype
        if d.kind != "b" and d != F32 and d != q.dtype:
            raise told(
                RuntimeError,
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                f"attn_mask.dtype: {dtypes.named(d).name} and query.dtype: {names[0]} instead.",
            )
    if isinstance(scale, str):
        raise told(
            TypeError, "scaled_dot_product_attention(): argument 'scale' must be float, not str"
        )
    if p > 1:
        raise told(
            RuntimeError, f"dropout_p, a probability, has to be between 0 and 1, but got {p}"
        )


def _grouped(query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Return arguments in which heads that share keys are a dimension of their own.

    Queries become ``(..., H of keys, H of queries / H of keys, L, E)``.
    """
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise told(
            IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got -3)"
        )
    heads, shared, other = query.shape[-3], key.shape[-3], value.shape[-3]
    if not shared or not other or heads % shared or heads % other:
        raise told(
            RuntimeError,
            "Number of heads in key and value must divide the number of heads in query, got "
            f"{shared}, {other} and {heads}",
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
    step = max(_DRAWN // max(columns, 1), 1)
    for start in range(0, rows, step):
        part = out[start : start + step]
        like = np.empty((len(part), columns), np.uint8)
        part[...] = np.packbits(_coin_array(default_generator, like, 1 - p), axis=-1)
    return out.reshape(*shape[:-1], out.shape[1])


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
        batch = batch_of(*(as_array(x) for x in (query, key, value)))
        drawn = _draw((*batch, rows, columns), dropout_p)
    short = columns <= 4 * query.shape[-1]
    wanted = any(getattr(x, "node", None) is not None for x in (query, key, value, attn_mask))
    form = Form(float(scale), bool(is_causal), float(dropout_p), drawn, short and wanted)
    out = attention(query, key, value, attn_mask, form)
    if enable_gqa:
        out = reshape(out, (*out.shape[:-4], given.shape[-3], *out.shape[-2:]))
    return out
