"""Bags of embeddings: rows of a table looked up and reduced, bag by bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.cross_entropy import title
from tinygrad_like.ops.embedding import embedding, renormalize
from tinygrad_like.ops.scattering import gather, index_add

__all__: list[str] = []
FUNCTIONAL = ["embedding_bag"]


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, Any]:
    """Return all indices in a row, and where each bag begins, with the end of the last one.

    Raises:
        ValueError: if the dimensions of `input` and `offsets` do not fit.
        RuntimeError: if offsets do not begin with 0 or lead beyond the input.
    """
    if input.ndim == 2:
        if offsets is not None:
            raise told(
                ValueError,
                "embedding_bag: if input is 2D, then offsets has to be None, as input is treated is a "
                f"mini-batch of fixed length sequences; got offsets of type {type(offsets).__name__}",
            )
        count, length = input.shape
        return input.reshape(-1), np.arange(count + 1) * length
    if input.ndim != 1:
        raise told(
            ValueError, f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if offsets is None or as_array(offsets).ndim != 1:
        raise told(ValueError, "offsets has to be a 1D Tensor but got " + type(offsets).__name__)
    starts = as_array(offsets).astype(np.int64)
    if not starts.size:
        raise told(RuntimeError, "embedding_bag: offsets is empty, expected at least one bag")
    if starts[0] != 0:
        raise told(
            RuntimeError,
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position "
            f"0. However, got {starts[0]}",
        )
    if starts[-1] > len(input):
        raise told(
            RuntimeError,
            f"offsets[-1] can not be greater than input's length {len(input)} but got offsets[-1] of "
            f"{starts[-1]}",
        )
    return input, np.append(starts[:-1] if include_last_offset else starts, len(input))


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Return, for each bag of indices, the sum, mean or maximum of the rows of `weight`: ``(B, D)``.

    Args:
        input: bags of one length ``(B, L)``, or all bags in a row ``(N,)``.
        weight: the table ``(V, D)``.
        offsets: where each bag begins in a row ``(B,)``.
        max_norm: first scale rows that are longer down to this, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide each row's gradient by how often it was looked up.
        mode: "sum", "mean" or "max".
        sparse: ignored; gradients are always dense.
        per_sample_weights: what each row counts, shaped as `input`, for "sum" only.
        include_last_offset: the last of `offsets` is the end of the input, not another bag.
        padding_idx: an index that does not count at all.

    Raises:
        ValueError: for another mode, or shapes that do not fit.
        RuntimeError: for indices that are out of range or not integers.
        NotImplementedError: for `per_sample_weights` in another mode than "sum".

    >>> import tinygrad_like as torch
    >>> table = torch.tensor([[1.0], [2.0], [4.0]])
    >>> torch.nn.functional.embedding_bag(torch.tensor([0, 1, 2]), table, torch.tensor([0, 2]))
    tensor([[1.5000],
            [4.0000]])
    """
    del sparse
    if mode not in ("sum", "mean", "max"):
        raise told(ValueError, f"embedding_bag: mode has to be one of sum, mean or max, got {mode}")
    if mode == "max" and scale_grad_by_freq:
        raise told(ValueError, "max mode does not support scaling the gradient by the frequency")
    indices = as_array(input)
    if weight.ndim != 2:
        raise told(
            ValueError,
            f"embedding_bag: weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}",
        )
    if weight.array.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"embedding_bag: weight must have a floating-point dtype, got {weight.dtype}; use .float()",
        )
    if per_sample_weights is not None:
        if mode != "sum":
            raise told(
                NotImplementedError,
                f"embedding_bag: per_sample_weights is only supported for mode='sum' (got mode={mode!r})",
            )
        if tuple(per_sample_weights.shape) != indices.shape:
            raise told(
                ValueError,
                f"embedding_bag: If per_sample_weights ({tuple(per_sample_weights.shape)}) is not None, then "
                f"it must have the same shape as the input ({indices.shape})",
            )
        if per_sample_weights.dtype != weight.dtype:
            raise told(
                RuntimeError,
                f"embedding_bag: expected per_sample_weights of dtype {weight.dtype}, got "
                f"{per_sample_weights.dtype}",
            )
    if indices.dtype not in (np.int64, np.int32):
        raise told(
            RuntimeError,
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, "
            f"Int; but got torch.{title(indices)}Tensor instead (while checking arguments for embedding_bag)",
        )
    flat, bounds = _bags(indices, offsets, include_last_offset)
    rows = weight.shape[0]
    if flat.size and not (flat.min() >= 0 and flat.max() < rows):
        raise told(
            RuntimeError,
            f"embedding_bag: indices must be from 0 to {rows - 1}, got {flat.min()} to {flat.max()}",
        )
    if max_norm is not None:
        renormalize(weight, flat, max_norm, norm_type)  # a row for padding too
    counts = np.diff(bounds)
    bag = np.repeat(np.arange(len(counts)), counts)
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise told(
                RuntimeError,
                f"padding_idx must be within the number of embeddings, -{rows} through {rows - 1}, but got "
                f"{padding_idx}",
            )
        counted = flat != padding_idx % rows
        flat, bag = flat[counted], bag[counted]
        counts = np.bincount(bag, minlength=len(counts))
    found = embedding(result_type.make(flat), weight, None, None, norm_type, scale_grad_by_freq)
    if mode == "max":
        return _largest(found, bag, counts)
    if per_sample_weights is not None:
        factors = per_sample_weights.reshape(-1)
        if padding_idx is not None:
            factors = factors[result_type.make(counted)]
        found = found * factors.unsqueeze(1)
    total = weight.new_zeros((len(counts), weight.shape[1]))
    total = index_add(total, 0, result_type.make(bag), found)
    if mode == "sum":
        return total
    size = np.maximum(counts, 1).astype(as_array(weight).dtype)
    return total / result_type.make(size[:, None])


def _largest(found: Any, bag: Any, counts: Any) -> Any:
    """Return each bag's largest elements, the first of equals; 0 for an empty bag."""
    values = found.array
    filled = np.flatnonzero(counts)
    chosen = np.zeros((len(counts), values.shape[1]), np.int64)
    starts = np.cumsum(counts) - counts
    for b in filled:
        part = values[starts[b] : starts[b] + counts[b]]
        chosen[b] = starts[b] + part.argmax(0)
    if not len(bag):
        return found.new_zeros(chosen.shape)
    picked = gather(found, 0, result_type.make(chosen))
    return picked * result_type.make((counts > 0).astype(values.dtype)[:, None])
