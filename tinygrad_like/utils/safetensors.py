"""Dictionaries of tensors in files of the safetensors format, by the library of that name.

A file is a JSON header, which gives name, dtype, shape and place of each tensor, and the tensors' bytes in
order. It can hold nothing else, so loading one is safe whatever it says. The library (extra
``safetensors``) is imported when one of these functions is called. Names and errors are those of
``safetensors.torch``, and files go either way.

>>> import tinygrad_like as torch
>>> from tinygrad_like.utils import safetensors
>>> data = safetensors.save({"weight": torch.tensor([[1.0, 2.0]])})
>>> safetensors.load(data)
{'weight': tensor([[1., 2.]])}
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tinygrad_like.device import check_device
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.serialization.atomic import replacing
from tinygrad_like.serialization.storage import ELEMENTS, Elements, LoadedStorage
from tinygrad_like.stamps import owner

if TYPE_CHECKING:
    from tinygrad_like.nn import Module

__all__ = ["load", "load_file", "load_metadata", "load_model", "save", "save_file", "save_model"]

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
    "BF16": "bfloat16",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}


def _library(name: str = "safetensors") -> Any:
    """Return a module of the library.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            "utils.safetensors needs the library safetensors, which is not installed: "
            "pip install 'tinygrad-like[safetensors]'"
        ) from error


# ----- Saving -------------------------------------------------------------------------------------


def save(tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """Return tensors as the bytes of a file.

    Args:
        tensors: tensors by name; those whose elements don't lie in order are copied.
        metadata: texts by name, kept in the header.

    Raises:
        ValueError: if `tensors` is no dictionary of tensors.
        RuntimeError: if two of them share memory, which the format can't tell; see `save_model`.
        ImportError: if the library is not installed.
    """
    if not isinstance(tensors, Mapping):
        raise told(
            ValueError, f"Expected a dict of [str, Tensor] but received {type(tensors).__name__}"
        )
    for name, tensor in tensors.items():
        if not isinstance(tensor, Traced):
            raise told(
                ValueError,
                f"Key `{name}` is invalid, expected a Tensor but received {type(tensor).__name__}",
            )
    shared = [sorted(names) for names in _sharing(tensors) if len(names) > 1]
    if shared:
        raise told(
            RuntimeError,
            "Some tensors share memory, this will lead to duplicate memory on disk and potential "
            f"differences when loading them again: {shared}. Save them with save_model, or a clone() of each",
        )
    # The library takes the address of an array and writes the bytes from there, whatever its strides.
    arrays = {name: np.asarray(tensor.array, order="C") for name, tensor in tensors.items()}
    return _library("safetensors.numpy").save(arrays, metadata=metadata)  # type: ignore[no-any-return]


def save_file(
    tensors: Mapping[str, Any],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Save tensors to a file, which is replaced at once, when the new one is whole.

    See `save` for arguments and errors.
    """
    data = save(tensors, metadata)
    with replacing(os.fspath(filename)) as file:
        file.write(data)


def save_model(
    model: Module,
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:
    """Save the state of a module, each tensor once; the names left out are noted in the metadata.

    Args:
        model: the module.
        filename: where to.
        metadata: texts by name, kept in the header.
        force_contiguous: accepted for PyTorch's sake: elements are always put in order.

    Raises:
        RuntimeError: if tensors share memory and none of them covers all of it.
    """
    del force_contiguous
    state = model.state_dict()
    notes = dict(metadata or {})
    for kept, others in _duplicates(state).items():
        for name in others:
            notes.setdefault(name, kept)
            del state[name]
    save_file(state, filename, notes or metadata)


def _sharing(tensors: Mapping[str, Any]) -> list[list[str]]:
    """Return the names, those together whose tensors overlap in memory."""
    areas: dict[int, list[tuple[int, int, str]]] = {}
    groups = []
    for name, tensor in tensors.items():
        if tensor.array.size:
            area = (*byte_bounds(tensor.array), name)
            areas.setdefault(id(owner(tensor.array)), []).append(area)
        else:
            groups.append([name])
    for known in areas.values():
        end = 0
        for start, stop, name in sorted(known):
            if start >= end:
                groups.append([])
            groups[-1].append(name)
            end = max(end, stop)
    return groups


def _duplicates(
    tensors: Mapping[str, Any], preferred: Mapping[str, Any] | None = None
) -> dict[str, list[str]]:
    """Return for each piece of memory with several names the one to keep, and the others."""
    found = {}
    for names in _sharing(tensors):
        if len(names) < 2:
            continue
        complete = sorted(
            name
            for name in names
            if tensors[name].array.nbytes == owner(tensors[name].array).nbytes
        )
        if not complete:
            raise told(
                RuntimeError,
                f"save_model: {sorted(names)} share memory, but none of them covers all of it; save a clone() "
                "of each by save_file",
            )
        kept = next((name for name in complete if name in (preferred or ())), complete[0])
        found[kept] = sorted(name for name in names if name != kept)
    return found


# ----- Loading ------------------------------------------------------------------------------------


def load(data: bytes) -> dict[str, Any]:
    """Return the tensors in the bytes of a file.

    What has no dtype here is widened, as by `tinygrad_like.load`: bfloat16 becomes float32.

    Raises:
        RuntimeError: if there is a dtype that can't be.
        ImportError: if the library is not installed.
        Exception: the library's own SafetensorError, if the bytes are no whole file.
    """
    return {
        name: _tensor(name, part["dtype"], part["data"], part["shape"])
        for name, part in _library().deserialize(data)
    }


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """Return the tensors in a file.

    See `load` for errors.
    """
    check_device(device)
    with _library().safe_open(filename, framework="numpy") as file:
        names = list(file.keys())
        kinds = [_elements(name, file.get_slice(name).get_dtype()) for name in names]
        if not any(kind.convert for kind in kinds):
            return {
                name: result_type.make(file.get_tensor(name).view(kind.stored))
                for name, kind in zip(names, kinds, strict=True)
            }
    # The library knows no arrays of dtypes that NumPy has not.
    with open(filename, "rb") as opened:
        return load(opened.read())


def load_metadata(filename: str | os.PathLike[str]) -> dict[str, str]:
    """Return the texts that were saved with a file's tensors."""
    with _library().safe_open(filename, framework="numpy") as file:
        return dict(file.metadata() or {})


def load_model(
    model: Module, filename: str | os.PathLike[str], strict: bool = True, device: Any = "cpu"
) -> tuple[set[str], list[str]]:
    """Load the state of a module that `save_model` saved.

    Returns:
        The names that the file lacks, and those it has too many; other names of memory that was loaded
        are not missed.

    Raises:
        RuntimeError: if there are any, unless `strict` is False.
    """
    state = load_file(filename, device)
    own = model.state_dict()
    missing_keys, unexpected = model.load_state_dict(state, strict=False)
    missing = set(missing_keys)
    for others in _duplicates(own, state).values():
        for name in others:
            if name in missing:
                missing.remove(name)
            else:
                unexpected.append(name)
    if strict and (missing or unexpected):
        raise told(
            RuntimeError,
            f"Error(s) in loading state_dict for {type(model).__name__}: missing key(s) {sorted(missing)}, "
            f"unexpected key(s) {sorted(unexpected)}",
        )
    return missing, unexpected


def _elements(name: str, kind: str) -> Elements:
    if kind not in _DTYPES:
        raise told(
            RuntimeError,
            f"load: tensor {name!r} has the dtype {kind}, which has no counterpart here; expected one of "
            f"{', '.join(_DTYPES)}",
        )
    return ELEMENTS[_DTYPES[kind]]


def _tensor(name: str, kind: str, data: bytearray, shape: list[int]) -> Any:
    memory = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    storage = LoadedStorage(memory, _elements(name, kind), "little")
    return result_type.make(storage.array.reshape(shape))
