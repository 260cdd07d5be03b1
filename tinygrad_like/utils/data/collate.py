"""Making a batch out of items: tensors and numbers are stacked, structures are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.joining import stack
from tinygrad_like.tensor import Tensor


def _is_text(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "SUO"


def _as_tensor(value: Any) -> Any:
    array = np.asarray(value)
    return result_type.make(array.astype(dtypes.of(array.dtype), copy=False))


def default_convert(data: Any) -> Any:
    """Return `data` with NumPy arrays and numbers inside it made tensors, which share their memory.

    Mappings, sequences and named tuples are gone through; a tuple becomes a list.

    >>> import numpy as np
    >>> import tinygrad_like as torch
    >>> torch.utils.data.default_convert({"x": np.zeros(2), "name": "a"})
    {'x': tensor([0., 0.], dtype=torch.float64), 'name': 'a'}
    """
    if isinstance(data, np.ndarray):
        return data if _is_text(data) else _as_tensor(data)
    if isinstance(data, np.generic) and not isinstance(data, np.str_ | np.bytes_):
        return _as_tensor(data)
    if isinstance(data, Tensor | str | bytes):
        return data
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        parts = [default_convert(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    if isinstance(data, Sequence):
        return _like_sequence(data, [default_convert(part) for part in data])
    return data


def default_collate(batch: Any) -> Any:
    """Return items as a batch: a new first dimension for tensors, arrays and numbers.

    Structures are kept, with a batch in the place of each leaf; strings become a list. A tuple
    becomes a list, a named tuple stays one.

    Raises:
        TypeError: if there is something that can't be stacked.
        RuntimeError: if the items are sequences of different lengths.

    >>> import tinygrad_like as torch
    >>> torch.utils.data.default_collate([(1.0, "a"), (2.0, "b")])
    [tensor([1., 2.], dtype=torch.float64), ('a', 'b')]
    """
    first = batch[0]
    for kinds, collate in _COLLATORS:
        if isinstance(first, kinds):
            return collate(batch)
    if isinstance(first, Mapping):
        parts = {key: default_collate([item[key] for item in batch]) for key in first}
        return _like_mapping(first, parts)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(column) for column in zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise told(RuntimeError, "each element in list of batch should be of equal size")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise _refusal(type(first))


def _refusal(found: Any) -> TypeError:
    return told(
        TypeError,
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {found}",
    )


def _collate_tensors(batch: Any) -> Any:
    if any(tensor.node is not None for tensor in batch):
        return stack(batch, 0)
    arrays = [tensor.array for tensor in batch]
    if any(array.shape != arrays[0].shape for array in arrays):
        sizes = [list(array.shape) for array in arrays]
        entry = next(i for i, size in enumerate(sizes) if size != sizes[0])
        raise told(
            RuntimeError,
            f"stack expects each tensor to be equal size, but got {sizes[0]} at entry 0 and "
            f"{sizes[entry]} at entry {entry}: a batch is a stack of samples",
        )
    return result_type.make(np.stack(arrays))


def _collate_arrays(batch: Any) -> Any:
    if _is_text(batch[0]):
        raise _refusal(batch[0].dtype)
    return _collate_tensors([_as_tensor(array) for array in batch])


def _collate_floats(batch: Any) -> Any:
    return result_type.make(np.array(batch, np.float64))


def _collate_integers(batch: Any) -> Any:
    array = np.array(batch)
    # A float among integers makes them what Python's floats become.
    return result_type.make(array.astype(dtypes.default()) if array.dtype.kind == "f" else array)


def _keep(batch: Any) -> Any:
    return batch


_COLLATORS: list[tuple[Any, Callable[[Any], Any]]] = [
    (Tensor, _collate_tensors),
    (np.ndarray, _collate_arrays),
    ((str, bytes), _keep),  # before NumPy's numbers: its strings are both
    ((np.bool_, np.number), _as_tensor),
    (float, _collate_floats),
    (int, _collate_integers),
]


def _like_mapping(model: Any, parts: dict[Any, Any]) -> Any:
    """Return `parts` as the kind of mapping that `model` is, if that can be done."""
    try:
        if isinstance(model, MutableMapping):
            made = copy.copy(model)
            made.update(parts)
            return made
        return type(model)(parts)
    except TypeError:
        return parts


def _like_sequence(model: Any, parts: list[Any]) -> Any:
    """Return `parts` as the kind of sequence that `model` is, if that can be done."""
    try:
        if isinstance(model, MutableSequence):
            made = copy.copy(model)
            for i, part in enumerate(parts):
                made[i] = part
            return made
        return type(model)(parts)
    except TypeError:
        return parts
