"""Sequences of different lengths: padded to one tensor, or packed into one without padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.dtypes import I64
from tinygrad_like.graph import Traced, as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.creation import full
from tinygrad_like.ops.joining import concatenate, stack
from tinygrad_like.ops.scattering import index_select
from tinygrad_like.ops.shaping import reshape, transpose

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Fields(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Fields):
    """Sequences of different lengths without padding: what recurrent modules take and return.

    Made by `pack_sequence` and `pack_padded_sequence`. The rows of `data` are the first elements of
    all sequences, longest sequence first, then the second elements of those that have one, and so on.

    Args:
        data: the elements, ``(sum of lengths, *)``.
        batch_sizes: how many sequences have an element at each step, ``(longest length)``.
        sorted_indices: which of the original sequences each one is, None if they came sorted.
        unsorted_indices: the inverse of that, found if it is not given.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> Self:
        """Return the sequences: from their fields, or from a pair of the first two."""
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, list | tuple) and len(data) == 2):
                raise told(AssertionError, "Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the sequences with `data` as ``data.to(...)`` gives it."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return type(self)(data, *self[1:])

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """Return the sequences as they are, since they are on the CPU."""
        return self.to(*args, device="cpu", **kwargs)

    def double(self) -> Self:
        """Return the sequences in float64."""
        return self.to(dtype=dtypes.float64)

    def float(self) -> Self:
        """Return the sequences in float32."""
        return self.to(dtype=dtypes.float32)

    def half(self) -> Self:
        """Return the sequences in float16."""
        return self.to(dtype=dtypes.float16)

    def long(self) -> Self:
        """Return the sequences in int64."""
        return self.to(dtype=dtypes.int64)

    def int(self) -> Self:
        """Return the sequences in int32."""
        return self.to(dtype=dtypes.int32)

    def short(self) -> Self:
        """Return the sequences in int16."""
        return self.to(dtype=dtypes.int16)

    def char(self) -> Self:
        """Return the sequences in int8."""
        return self.to(dtype=dtypes.int8)

    def byte(self) -> Self:
        """Return the sequences in uint8."""
        return self.to(dtype=dtypes.uint8)

    @property
    def is_cuda(self) -> bool:
        """False: the data are on the CPU."""
        return False

    def is_pinned(self) -> bool:
        """Return False: memory is not pinned."""
        return False


def invert_permutation(permutation: Any) -> Any:
    """Return the permutation that undoes this one, None for None.

    >>> import tinygrad_like as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    return result_type.make(np.argsort(as_array(permutation)))


# ----- Packing ------------------------------------------------------------------------------------


def _places(batch_sizes: Any, batch: int) -> Any:
    """Return where each packed row stands in the rows of a padded ``(T, N, *)`` with ``N = batch``."""
    return np.concatenate([t * batch + np.arange(n) for t, n in enumerate(batch_sizes)])


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Return padded sequences ``(T, N, *)`` without their padding.

    Args:
        input: the sequences.
        lengths: how long each of them is, a tensor or a list of ints.
        batch_first: `input` is ``(N, T, *)``.
        enforce_sorted: take it that lengths never grow, instead of sorting the sequences.

    Raises:
        RuntimeError: if lengths do not fit the input, or are not sorted but should be.

    >>> import tinygrad_like as torch
    >>> padded = torch.tensor([[1, 4], [2, 5], [3, 0]])
    >>> packed = torch.nn.utils.rnn.pack_padded_sequence(padded, [3, 2])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """
    counts = as_array(lengths).astype(I64)
    if batch_first:
        input = transpose(input, 0, 1)
    order = None
    if not enforce_sorted:
        order = result_type.make(np.argsort(-counts, kind="stable"))
        counts = counts[order.array]
        input = index_select(input, 1, order)
    _check_lengths(input, counts)
    longest, batch, *rest = input.shape
    del longest
    batch_sizes = np.add.reduce(counts > np.arange(counts[0])[:, None], axis=1, dtype=I64)
    rows = reshape(input, (-1, *rest))
    data = index_select(rows, 0, result_type.make(_places(batch_sizes, batch)))
    return PackedSequence(data, result_type.make(batch_sizes), order, None)


def _check_lengths(input: Any, counts: Any) -> None:
    """Raise RuntimeError if these lengths do not fit a padded ``(T, N, *)``."""
    if not input.array.size:
        raise told(RuntimeError, "Cannot pack empty tensors.")
    if counts.ndim != 1:
        raise told(
            RuntimeError,
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {counts.ndim}D cpu Long tensor",
        )
    longest, batch = input.shape[:2]
    if len(counts) != batch:
        raise told(
            RuntimeError,
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={batch})",
        )
    if (counts <= 0).any():
        raise told(
            RuntimeError,
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that "
            "is <= 0",
        )
    if (np.diff(counts) > 0).any():
        raise told(
            RuntimeError,
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep "
            "this requirement if you do not need ONNX exportability.",
        )
    if counts[0] > longest:
        raise told(
            RuntimeError,
            f"pack_padded_sequence: the longest length is {counts[0]}, but the input has only {longest} steps",
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Return packed sequences as a padded tensor ``(T, N, *)``, and their lengths ``(N)``.

    Args:
        sequence: what to unpack.
        batch_first: return ``(N, T, *)``.
        padding_value: what to fill up with.
        total_length: T, by default the longest length.

    Raises:
        ValueError: if `total_length` is less than the longest length.

    >>> import tinygrad_like as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    data, sizes, _, unsorted = sequence
    batch_sizes = as_array(sizes)
    longest = len(batch_sizes)
    if total_length is not None:
        if total_length < longest:
            raise told(
                ValueError,
                "Expected total_length to be at least the length of the longest sequence in input, but "
                f"got total_length={total_length} and max sequence length being {longest}",
            )
        longest = total_length
    batch = int(batch_sizes[0])
    rest = tuple(data.shape[1:])
    source = np.full(longest * batch, data.shape[0])  # where there is none: the row of padding
    source[_places(batch_sizes, batch)] = np.arange(data.shape[0])
    rows = concatenate([data, full((1, *rest), padding_value, dtype=data.dtype)])
    padded = reshape(index_select(rows, 0, result_type.make(source)), (longest, batch, *rest))
    lengths = np.add.reduce(batch_sizes[:, None] > np.arange(batch), axis=0, dtype=I64)
    if batch_first:
        padded = transpose(padded, 0, 1)
    if unsorted is not None:
        padded = index_select(padded, 0 if batch_first else 1, unsorted)
        lengths = lengths[unsorted.array]
    return padded, result_type.make(lengths)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Return tensors ``(T_i, *)`` packed.

    Args:
        sequences: the tensors.
        enforce_sorted: take it that lengths never grow, instead of sorting the sequences.

    Raises:
        RuntimeError: if there are none, or they are not sorted but should be.
    """
    padded = pad_sequence(sequences)
    return pack_padded_sequence(padded, [s.shape[0] for s in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Return packed sequences as a list of tensors.

    >>> import tinygrad_like as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> torch.nn.utils.rnn.unpack_sequence(packed)
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


# ----- Padding ------------------------------------------------------------------------------------


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Return tensors ``(T_i, *)`` as one, ``(T, N, *)`` with the longest length T.

    Args:
        sequences: the tensors.
        batch_first: return ``(N, T, *)``.
        padding_value: what to fill up with.
        padding_side: fill up on the "right" or on the "left".

    Raises:
        RuntimeError: if there are no sequences or their other sizes differ.

    >>> import tinygrad_like as torch
    >>> sequences = [torch.tensor([1, 2, 3]), torch.tensor([4])]
    >>> torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_side="left")
    tensor([[1, 2, 3],
            [0, 0, 4]])
    """
    if not isinstance(sequences, Iterable):
        raise told(
            RuntimeError,
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}",
        )
    sequences = tuple(sequences)
    if not sequences:
        raise told(RuntimeError, "received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise told(
            RuntimeError,
            f"Expected padding_side to be one of left or right, but got {padding_side}.",
        )
    for position, sequence in enumerate(sequences):
        if not isinstance(sequence, Traced):
            raise told(
                TypeError,
                f"expected Tensor as element {position} in argument 0, but got {type(sequence).__name__}",
            )
    first = sequences[0]
    longest = max(sequence.shape[0] for sequence in sequences)
    filled = []
    for sequence in sequences:
        if tuple(sequence.shape[1:]) != tuple(first.shape[1:]):
            raise told(
                RuntimeError,
                "pad_sequence: sequences must have equal sizes after the first, got "
                f"{tuple(first.shape)} and {tuple(sequence.shape)}",
            )
        missing = (longest - sequence.shape[0], *sequence.shape[1:])
        padding = full(missing, padding_value, dtype=first.dtype)
        parts = [sequence.to(first.dtype), padding]
        filled.append(concatenate(parts if padding_side == "right" else parts[::-1]))
    return stack(filled, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Return the sequences in a padded ``(T, N, *)`` as a list of tensors.

    Args:
        padded_sequences: the sequences.
        lengths: how long each of them is.
        batch_first: they are ``(N, T, *)``.

    Raises:
        ValueError: if there are more or fewer lengths than sequences.
    """
    if not batch_first:
        padded_sequences = transpose(padded_sequences, 0, 1)
    counts = as_array(lengths).tolist()
    return [sequence[:count] for sequence, count in zip(padded_sequences, counts, strict=True)]
