"""Embedding: rows of a table looked up by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.arrays.accumulating import add_slices
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.cross_entropy import title
from tinygrad_like.stamps import stamp

__all__: list[str] = []
FUNCTIONAL = ["embedding"]


def _row_factors(indices: Any, rows: int, padding_idx: int | None, by_frequency: bool) -> Any:
    """Return what the gradient of each looked up row counts, None if all count 1."""
    if padding_idx is None and not by_frequency:
        return None
    factors = np.ones(indices.shape)
    if by_frequency:
        counts = np.bincount(indices.reshape(-1), minlength=rows)
        factors /= counts[indices]
    if padding_idx is not None:
        factors[indices == padding_idx] = 0
    return factors[..., None]


@op(
    grad=lambda g, grad_dtype, indices, rows, padding_idx, by_frequency: _looked_up(
        g, grad_dtype, indices, rows, padding_idx, by_frequency
    ),
)
def embedding_backward(
    grad: Array, indices: Array, rows: int, padding_idx: int | None, by_frequency: bool
) -> Array:
    """Return a table of `rows` rows with the gradients of the looked up rows added to each."""
    factors = _row_factors(indices, rows, padding_idx, by_frequency)
    if factors is not None:
        grad = grad * factors.astype(grad.dtype)
    width = grad.shape[-1]
    out = np.zeros((rows, width), grad.dtype)
    add_slices(out, 0, indices.reshape(-1), grad.reshape(-1, width))
    return out


def _looked_up(
    g: Any, d: Any, indices: Any, rows: int, padding_idx: int | None, by_frequency: bool
) -> Any:
    found = _embedding(g, indices, None, False)
    factors = _row_factors(as_array(indices), rows, padding_idx, by_frequency)
    return found if factors is None else found * factors.astype(d)


def _refuse_outside(weight: Array, indices: Array) -> None:
    # Seen as unsigned numbers negative ones are huge, and taking raises for them too.
    unsigned = indices.view(f"u{indices.dtype.itemsize}")
    if unsigned.size and unsigned.max() >= weight.shape[0]:
        outside = indices[unsigned >= weight.shape[0]][0]
        raise told(
            IndexError,
            f"index out of range in self: got {outside} for a weight of {weight.shape[0]} rows",
        )


@op(
    weight=lambda g, indices, weight_shape, padding_idx, by_frequency: embedding_backward(
        g, indices, weight_shape[0], padding_idx, by_frequency
    ),
    name="embedding",
)
def _embedding(weight: Array, indices: Array, padding_idx: int | None, by_frequency: bool) -> Array:
    del padding_idx, by_frequency
    _refuse_outside(weight, indices)
    return np.take(weight, indices, axis=0)


def renormalize(weight: Any, indices: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are looked up down to `max_norm`, in place, as PyTorch does."""
    table = weight.array
    used = np.unique(indices)
    used = used[(used >= 0) & (used < table.shape[0])]
    norms = np.linalg.norm(table[used], norm_type, axis=1)
    long = norms > max_norm
    if long.any():
        factors = (max_norm / (norms[long] + 1e-7)).astype(table.dtype)
        table[used[long]] *= factors[:, None]
        stamp(table)


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Return the rows of `weight`, ``(V, D)``, at the indices in `input`: ``(..., D)``.

    Args:
        input: indices, of any shape.
        weight: the table.
        padding_idx: the row that receives no gradient.
        max_norm: first scale rows that are longer down to this, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide each row's gradient by how often it was looked up.
        sparse: ignored; gradients are always dense.

    Raises:
        IndexError: if an index is out of range.
        RuntimeError: if `input` is not of an integer type or `weight` not a matrix.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.embedding(torch.tensor([1, 0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    del sparse
    indices, table = as_array(input), as_array(weight)
    if indices.dtype not in (np.int64, np.int32):
        raise told(
            RuntimeError,
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{title(indices)}Tensor instead (while checking arguments for "
            "embedding)",
        )
    if table.ndim != 2:
        raise told(RuntimeError, f"'weight' must be 2-D: embedding got shape {tuple(table.shape)}")
    if padding_idx is not None:
        if not -table.shape[0] <= padding_idx < table.shape[0]:
            raise told(
                AssertionError,
                f"Padding_idx must be within num_embeddings, {table.shape[0]}, got {padding_idx}",
            )
        padding_idx %= table.shape[0]
    if max_norm is not None:
        _refuse_outside(table, indices)  # before rows are written
        renormalize(weight, indices, max_norm, norm_type)
    return _embedding(weight, input, padding_idx, scale_grad_by_freq)
