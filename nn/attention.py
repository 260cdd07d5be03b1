"""Attention with several heads as one function: what `MultiheadAttention` is made of."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.ops.activation import softmax
from tinygrad_like.ops.arranging import pad
from tinygrad_like.ops.attention import scaled_dot_product_attention
from tinygrad_like.ops.creation import zeros
from tinygrad_like.ops.dropout import dropout
from tinygrad_like.ops.joining import cat
from tinygrad_like.ops.linalg import bmm, linear


def _as_added(mask: Any, name: str, d: Any) -> Any:
    """Return a mask as numbers to add to scores: -inf where a bool mask says to leave out."""
    if mask is None:
        return None
    if str(mask.dtype) == "torch.bool":
        return zeros(tuple(mask.shape), dtype=d).masked_fill(mask, -math.inf)
    if not mask.is_floating_point():
        raise told(
            AssertionError,
            f"only bool and floating types of {name} are supported, got {mask.dtype}",
        )
    return mask


def _check(query: Any, key: Any, value: Any, padding: Any, mask: Any, num_heads: int) -> bool:
    """Return True for a batch.

    Raises:
        RuntimeError: if the numbers of dimensions do not fit.
    """
    if query.dim() not in (2, 3):
        raise told(
            AssertionError,
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor",
        )
    batched: bool = query.dim() == 3
    for name, tensor in (("key", key), ("value", value)):
        if tensor.dim() != query.dim():
            raise told(
                AssertionError,
                f"expected query, key and value of equally many dimensions, but query is {query.dim()}-D "
                f"and {name} {tensor.dim()}-D",
            )
    if padding is not None and padding.dim() != query.dim() - 1:
        raise told(
            AssertionError,
            f"expected key_padding_mask to be {query.dim() - 1}-D, but found {padding.dim()}-D",
        )
    if mask is not None and mask.dim() not in (2, 3):
        raise told(AssertionError, f"expected attn_mask to be 2-D or 3-D, but found {mask.dim()}-D")
    if not batched and mask is not None and mask.dim() == 3 and mask.shape[0] != num_heads:
        raise told(
            AssertionError,
            f"Expected `attn_mask` shape to start with {num_heads} heads but got {tuple(mask.shape)}",
        )
    return batched


def _projected(
    query: Any, key: Any, value: Any, weight: Any, separate: tuple[Any, Any, Any], bias: Any
) -> tuple[Any, Any, Any]:
    embed = query.shape[-1]
    biases = (None, None, None) if bias is None else bias.chunk(3)
    if weight is None:
        weights: Any = separate
    elif key is value and query is key:
        q, k, v = (part.contiguous() for part in linear(query, weight, bias).split(embed, -1))
        return q, k, v
    else:
        weights = weight.chunk(3)
    q, k, v = (
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    return q, k, v


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Return attention of several heads ``(L, N, E)``, and its weights ``(N, L, S)`` if needed.

    From Vaswani et al., 2017: Attention is all you need.

    Args:
        query: ``(L, N, E)``, or ``(L, E)`` without a batch.
        key: ``(S, N, E_k)``.
        value: ``(S, N, E_v)``.
        embed_dim_to_check: E.
        num_heads: how many heads E is divided into.
        in_proj_weight: the weights of query, key and value, one below the other, ``(3 * E, E)``.
        in_proj_bias: their biases ``(3 * E,)``, or None.
        bias_k: one more key ``(1, 1, E)`` at the end, or None.
        bias_v: its value.
        add_zero_attn: one more key and value of zeros.
        dropout_p: drop attention weights in training.
        out_proj_weight: of the last layer, ``(E, E)``.
        out_proj_bias: its bias, or None.
        training: apply dropout.
        key_padding_mask: ``(N, S)``, True (or -inf) where a key does not count.
        need_weights: return the weights too.
        attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``, True (or -inf) where a query may not look.
        use_separate_proj_weight: take the three weights that follow instead of `in_proj_weight`.
        q_proj_weight: ``(E, E)``.
        k_proj_weight: ``(E, E_k)``.
        v_proj_weight: ``(E, E_v)``.
        static_k: use these keys ``(N * num_heads, S, E / num_heads)``.
        static_v: use these values.
        average_attn_weights: give the heads' mean, not ``(N, num_heads, L, S)``.
        is_causal: a promise that `attn_mask`, which must be given, lets query i see keys 0 to i.

    Raises:
        AssertionError: if shapes do not fit, or a mask is of integers.
        RuntimeError: for `is_causal` without a mask.
    """
    batched = _check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if is_causal and attn_mask is None:
        raise told(RuntimeError, "Need attn_mask if specifying the is_causal hint.")
    is_causal = is_causal and key_padding_mask is None and not need_weights
    if is_causal:
        attn_mask = None  # as promised
    if not batched:
        same = key is value and query is key
        query = query.unsqueeze(1)
        key, value = (query, query) if same else (key.unsqueeze(1), value.unsqueeze(1))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, embed = query.shape
    head = embed // num_heads
    if embed != embed_dim_to_check:
        raise told(
            AssertionError,
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed}",
        )
    if head * num_heads != embed:
        raise told(AssertionError, f"embed_dim {embed} not divisible by num_heads {num_heads}")
    if key.shape[:2] != value.shape[:2]:
        raise told(
            AssertionError,
            f"key's sequence and batch dims {tuple(key.shape[:2])} do not match value's "
            f"{tuple(value.shape[:2])}",
        )
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    if use_separate_proj_weight and any(w is None for w in separate):
        raise told(
            AssertionError, "use_separate_proj_weight is True but a projection weight is None"
        )
    if not use_separate_proj_weight and in_proj_weight is None:
        raise told(AssertionError, "use_separate_proj_weight is False but in_proj_weight is None")
    joint = None if use_separate_proj_weight else in_proj_weight
    q, k, v = _projected(query, key, value, joint, separate, in_proj_bias)

    mask = _as_added(attn_mask, "attn_mask", q.dtype)
    padding = _as_added(key_padding_mask, "key_padding_mask", q.dtype)
    more = 0
    if bias_k is not None and bias_v is not None:
        k, v = cat([k, bias_k.repeat(1, batch, 1)]), cat([v, bias_v.repeat(1, batch, 1)])
        more += 1

    def heads(x: Any) -> Any:
        return x.reshape(x.shape[0], batch * num_heads, head).transpose(0, 1)

    q = heads(q)
    k = heads(k) if static_k is None else static_k
    v = heads(v) if static_v is None else static_v
    if add_zero_attn:
        blank = zeros((batch * num_heads, 1, head), dtype=k.dtype)
        k, v = cat([k, blank], 1), cat([v, blank], 1)
        more += 1
    if more:
        mask = None if mask is None else pad(mask, (0, more))
        padding = None if padding is None else pad(padding, (0, more))
    source = k.shape[1]
    if mask is not None:
        wanted = {(length, source), (batch * num_heads, length, source)}
        if tuple(mask.shape) not in wanted:
            raise told(
                RuntimeError,
                f"The shape of the attn_mask is {tuple(mask.shape)}, but should be ({length}, {source}) or "
                f"({batch * num_heads}, {length}, {source}).",
            )
        mask = mask.unsqueeze(0) if mask.dim() == 2 else mask
    if padding is not None:
        if tuple(padding.shape) != (batch, source):
            raise told(
                AssertionError,
                f"expecting key_padding_mask shape of {(batch, source)}, but got {tuple(padding.shape)}",
            )
        spread = padding.reshape(batch, 1, 1, source).expand(batch, num_heads, 1, source)
        spread = spread.reshape(batch * num_heads, 1, source)
        mask = spread if mask is None else mask + spread
    rate = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = bmm(q * math.sqrt(1.0 / head), k.transpose(1, 2))
        weights = softmax(scores if mask is None else scores + mask, dim=-1)
        if rate:
            weights = dropout(weights, rate)
        mixed = bmm(weights, v)
        weights = weights.reshape(batch, num_heads, length, source)
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        if mask is not None:
            rows = mask.expand(batch * num_heads, mask.shape[1], source)
            mask = rows.reshape(batch, num_heads, mask.shape[1], source)
        q, k, v = (x.reshape(batch, num_heads, x.shape[1], head) for x in (q, k, v))
        mixed = scaled_dot_product_attention(q, k, v, mask, rate, is_causal)
        mixed = mixed.reshape(batch * num_heads, length, head)
    joined = mixed.transpose(0, 1).reshape(length * batch, embed)
    out = linear(joined, out_proj_weight, out_proj_bias)
    out = out.reshape(length, batch, out.shape[1])
    if not batched:
        out = out.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return out, weights
