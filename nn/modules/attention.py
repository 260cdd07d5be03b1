"""Attention with several heads."""

from __future__ import annotations

from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.linear import Linear
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty

__all__ = ["MultiheadAttention"]


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear` under the name that PyTorch prints for the last layer of attention."""


class MultiheadAttention(Module):
    """Return attention of several heads, and its weights (Vaswani et al., arXiv:1706.03762).

    Args:
        embed_dim: E, features of queries and of the result, divided among the heads.
        num_heads: how many heads.
        dropout: the probability with which a weight is dropped in training.
        bias: have biases.
        add_bias_kv: learn one more key and value.
        add_zero_attn: add one more key and value of zeros.
        kdim: features of keys (default: E).
        vdim: features of values (default: E).
        batch_first: batches are ``(N, L, E)`` instead of ``(L, N, E)``.
        device: the CPU.
        dtype: of the parameters.

    Raises:
        ValueError: if a size is not positive.
        AssertionError: if the heads do not divide E.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    >>> x = torch.ones(5, 3, 6)
    >>> out, weights = net(x, x, x)
    >>> out.shape, weights.shape
    (torch.Size([5, 3, 6]), torch.Size([5, 3, 3]))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise told(
                ValueError,
                "embed_dim and num_heads must be greater than 0, "
                f"got embed_dim={embed_dim} and num_heads={num_heads} instead",
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise told(AssertionError, "embed_dim must be divisible by num_heads")
        widths = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        shapes: dict[str, tuple[int, ...] | None]
        if self._qkv_same_embed_dim:
            shapes = {"in_proj_weight": (3 * embed_dim, embed_dim)}
            shapes |= {f"{name}_proj_weight": None for name in widths}
        else:
            shapes = {f"{n}_proj_weight": (embed_dim, width) for n, width in widths.items()}
            shapes["in_proj_weight"] = None
        shapes["in_proj_bias"] = (3 * embed_dim,) if bias else None
        for name in ("bias_k", "bias_v"):
            shapes[name] = (1, 1, embed_dim) if add_bias_kv else None
        for name, shape in shapes.items():
            made = None if shape is None else Parameter(empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, made)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Return the attention, of the query's shape, and its weights ``(N, L, S)`` or None.

        Args:
            query: ``(L, N, E)``, ``(N, L, E)`` with `batch_first`, or ``(L, E)`` without a batch.
            key: likewise, S instead of L and `kdim` instead of E.
            value: likewise, with `vdim` features.
            key_padding_mask: ``(N, S)``, True (or -inf) where a key does not count.
            need_weights: return the weights too; without them it takes less time and memory.
            attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``, True (or -inf) where a query may not
                look, or numbers that are added to its scores.
            average_attn_weights: give the heads' mean, not ``(N, num_heads, L, S)``.
            is_causal: a promise that `attn_mask`, which must be given, lets query i see keys 0 to i.

        Raises:
            AssertionError: if shapes do not fit, or a mask is of integers.
            RuntimeError: for `is_causal` without a mask, or a mask of another shape.
        """
        swapped = self.batch_first and query.ndim == 3
        if swapped:
            # What is the same tensor stays so: its projections are then computed at once.
            first = query.transpose(0, 1)
            second = first if key is query else key.transpose(0, 1)
            value = second if value is key else value.transpose(0, 1)
            query, key = first, second
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(0, 1) if swapped else out), weights
