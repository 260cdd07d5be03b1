"""Transformers: stacks of attention and of a network for each position.

From Vaswani et al., arXiv:1706.03762. Where a mask is asked for, True (or -inf) says what may not be
looked at, and other numbers are added to the scores.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.attention import MultiheadAttention
from tinygrad_like.nn.modules.container import ModuleList
from tinygrad_like.nn.modules.dropout import Dropout
from tinygrad_like.nn.modules.linear import Linear
from tinygrad_like.nn.modules.normalization import LayerNorm
from tinygrad_like.ops.creation import full

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Any], Any]


def _subsequent(size: int, device: Any = None, dtype: Any = None) -> Any:
    """Return ``(size, size)`` numbers to add to scores so that position i sees positions 0 to i."""
    return full((size, size), -math.inf, device=device, dtype=dtype).triu(1)


def _causal(mask: Any, hint: bool | None, size: int) -> bool:
    """Return whether `mask` lets position i see just positions 0 to i; a hint is believed."""
    if hint is not None or mask is None or tuple(mask.shape) != (size, size):
        return hint is True
    later = np.triu(np.ones((size, size), bool), 1)
    wanted = later if mask.array.dtype.kind == "b" else np.where(later, -math.inf, 0)
    return np.array_equal(mask.array, wanted)


def _length(x: Any, layers: Any) -> int:
    """Return how many positions there are."""
    return int(x.shape[1 if x.ndim == 3 and layers[0].self_attn.batch_first else 0])


def _chosen(activation: Activation) -> Callable[[Any], Any]:
    """Return the activation of that name, or the one given."""
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise told(RuntimeError, f"activation should be relu/gelu, not {activation}")
    return F.relu if activation == "relu" else F.gelu


# ----- Layers -------------------------------------------------------------------------------------


class _Layer(Module):
    """What the layers share: attention to itself, and a network for each position.

    Args:
        d_model: E, features of a position.
        nhead: how many heads attention has.
        dim_feedforward: features inside the network.
        dropout: the probability with which a feature is dropped in training.
        activation: of the network: "relu", "gelu" or a function.
        layer_norm_eps: absolute, added to variances.
        batch_first: batches are ``(N, L, E)`` instead of ``(L, N, E)``.
        norm_first: normalize what goes into a part, instead of its sum with what comes out.
        bias: have biases.
        device: the CPU.
        dtype: of the parameters.
    """

    parts: int  # attention, perhaps attention to the memory, network

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"bias": bias, "device": device, "dtype": dtype}
        for name in ("self_attn", "multihead_attn")[: self.parts - 1]:
            attention = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **made)
            self.add_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        for part in range(1, self.parts + 1):
            self.add_module(f"norm{part}", LayerNorm(d_model, layer_norm_eps, **made))
        for part in range(1, self.parts + 1):
            self.add_module(f"dropout{part}", Dropout(dropout))
        self.activation = _chosen(activation)

    def _added(self, part: int, x: Any, function: Callable[..., Any], *args: Any) -> Any:
        """Return `x` plus what a part makes of it, normalized before or after."""
        norm, dropout = getattr(self, f"norm{part}"), getattr(self, f"dropout{part}")
        if self.norm_first:
            return x + dropout(function(norm(x), *args))
        return norm(x + dropout(function(x, *args)))

    def _attend_self(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        return self.self_attn(
            x,
            x,
            x,
            attn_mask=mask,
            key_padding_mask=padding,
            need_weights=False,
            is_causal=is_causal,
        )[0]

    def _feed(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Return each position's features after attention to all others and a network of two layers.

    Args:
        d_model: E, features of a position.
        nhead: how many heads attention has.
        dim_feedforward: features inside the network.
        dropout: the probability with which a feature is dropped in training.
        activation: of the network: "relu", "gelu" or a function.
        layer_norm_eps: absolute, added to variances.
        batch_first: batches are ``(N, S, E)`` instead of ``(S, N, E)``.
        norm_first: normalize what goes into a part (Xiong et al., arXiv:2002.04745), instead of its
            sum with what comes out.
        bias: have biases.
        device: the CPU.
        dtype: of the parameters.

    Raises:
        RuntimeError: for another name of an activation.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    >>> layer(torch.ones(10, 3, 8)).shape
    torch.Size([10, 3, 8])
    """

    parts = 2

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """Return the features after this layer.

        Args:
            src: ``(S, N, E)``, ``(N, S, E)`` with `batch_first`, or ``(S, E)`` without a batch.
            src_mask: ``(S, S)`` or ``(N * nhead, S, S)``: which position may not see which.
            src_key_padding_mask: ``(N, S)``: which positions do not count.
            is_causal: a promise that `src_mask` lets position i see positions 0 to i.
        """
        x = self._added(1, src, self._attend_self, src_mask, src_key_padding_mask, is_causal)
        return self._added(2, x, self._feed)


class TransformerDecoderLayer(_Layer):
    """Return each position's features after attention to each other, to a memory, and a network.

    The arguments are those of `TransformerEncoderLayer`.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    >>> layer(torch.ones(20, 3, 8), torch.ones(10, 3, 8)).shape
    torch.Size([20, 3, 8])
    """

    parts = 3

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the features after this layer.

        Args:
            tgt: ``(T, N, E)``, ``(N, T, E)`` with `batch_first`, or ``(T, E)`` without a batch.
            memory: what the encoder returned, S instead of T.
            tgt_mask: ``(T, T)`` or ``(N * nhead, T, T)``: which position may not see which.
            memory_mask: ``(T, S)``: which position may not see which of the memory's.
            tgt_key_padding_mask: ``(N, T)``: which positions do not count.
            memory_key_padding_mask: ``(N, S)``: which positions of the memory do not count.
            tgt_is_causal: a promise that `tgt_mask` lets position i see positions 0 to i.
            memory_is_causal: the same of `memory_mask`.
        """
        x = self._added(1, tgt, self._attend_self, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        given = (memory, memory_mask, memory_key_padding_mask, memory_is_causal)
        x = self._added(2, x, self._attend_memory, *given)
        return self._added(3, x, self._feed)

    def _attend_memory(self, x: Any, memory: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        return self.multihead_attn(
            x,
            memory,
            memory,
            attn_mask=mask,
            key_padding_mask=padding,
            need_weights=False,
            is_causal=is_causal,
        )[0]


# ----- Stacks -------------------------------------------------------------------------------------


class _Stack(Module):
    """What the stacks share: copies of a layer, all with the same weights at first."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm


class TransformerEncoder(_Stack):
    """Return what a stack of layers makes of the source.

    PyTorch has a quicker way for evaluation without gradients that gives zeros at positions that do
    not count; here they hold what the layers compute.

    Args:
        encoder_layer: the layer of which all are copies.
        num_layers: how many.
        norm: what to normalize the result with, or None.
        enable_nested_tensor: kept, but not used.
        mask_check: kept, but not used.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:
        """Return the features after all layers.

        Args:
            src: see `TransformerEncoderLayer.forward`.
            mask: the same.
            src_key_padding_mask: the same.
            is_causal: a promise about `mask`; None to find out.
        """
        causal = _causal(mask, is_causal, _length(src, self.layers))
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(_Stack):
    """Return what a stack of layers makes of the target and the memory.

    Args:
        decoder_layer: the layer of which all are copies.
        num_layers: how many.
        norm: what to normalize the result with, or None.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the features after all layers.

        Args:
            tgt: see `TransformerDecoderLayer.forward`; so with the others.
            memory: what the encoder returned.
            tgt_mask: which position may not see which.
            memory_mask: which position may not see which of the memory's.
            tgt_key_padding_mask: which positions do not count.
            memory_key_padding_mask: which positions of the memory do not count.
            tgt_is_causal: a promise about `tgt_mask`; None to find out.
            memory_is_causal: a promise about `memory_mask`.
        """
        causal = _causal(tgt_mask, tgt_is_causal, _length(tgt, self.layers))
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder of the source, and a decoder of the target that looks at what the encoder returns.

    Args:
        d_model: E, features of a position.
        nhead: how many heads attention has.
        num_encoder_layers: how many layers encode.
        num_decoder_layers: how many layers decode.
        dim_feedforward: features inside the layers' networks.
        dropout: the probability with which a feature is dropped in training.
        activation: of the networks: "relu", "gelu" or a function.
        custom_encoder: an encoder of one's own.
        custom_decoder: a decoder of one's own.
        layer_norm_eps: absolute, added to variances.
        batch_first: batches are ``(N, S, E)`` instead of ``(S, N, E)``.
        norm_first: normalize what goes into a part, instead of its sum with what comes out.
        bias: have biases.
        device: the CPU.
        dtype: of the parameters.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.Transformer(8, 2, 1, 1, dim_feedforward=16)
    >>> net(torch.ones(10, 3, 8), torch.ones(20, 3, 8)).shape
    torch.Size([20, 3, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"bias": bias, "device": device, "dtype": dtype}
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        order = (batch_first, norm_first)
        stacks: list[Any] = []
        for custom, kind, stack, count in (
            (custom_encoder, TransformerEncoderLayer, TransformerEncoder, num_encoder_layers),
            (custom_decoder, TransformerDecoderLayer, TransformerDecoder, num_decoder_layers),
        ):
            if custom is None:
                one: Any = kind(*layer, *order, **made)
                custom = stack(one, count, LayerNorm(d_model, layer_norm_eps, **made))
            stacks.append(custom)
        self.encoder, self.decoder = stacks
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Return the target's features, of its shape.

        Args:
            src: see `TransformerEncoder.forward`.
            tgt: see `TransformerDecoder.forward`; so with the masks.
            src_mask: which position of the source may not see which.
            tgt_mask: which position of the target may not see which.
            memory_mask: which position of the target may not see which of the encoded source.
            src_key_padding_mask: which positions of the source do not count.
            tgt_key_padding_mask: which positions of the target do not count.
            memory_key_padding_mask: which positions of the encoded source do not count.
            src_is_causal: a promise about `src_mask`; None to find out.
            tgt_is_causal: a promise about `tgt_mask`; None to find out.
            memory_is_causal: a promise about `memory_mask`.

        Raises:
            RuntimeError: if the batches are not equally large, or features not E.
        """
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise told(RuntimeError, "the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise told(RuntimeError, "the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """Return ``(sz, sz)`` zeros, and -inf where position i would see one after it.

        >>> import tinygrad_like as torch
        >>> torch.nn.Transformer.generate_square_subsequent_mask(3)
        tensor([[0., -inf, -inf],
                [0., 0., -inf],
                [0., 0., 0.]])
        """
        return _subsequent(sz, device, dtype)
