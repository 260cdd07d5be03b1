"""`save` and `load`: both layers together, and where an object comes from or goes."""

from __future__ import annotations

import contextlib
import io
import mmap as _mmap
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_like.device import Device
from tinygrad_like.interchange import NumpyArray
from tinygrad_like.lines import told
from tinygrad_like.serialization import legacy, rebuild
from tinygrad_like.serialization.archive import Reader, Writer
from tinygrad_like.serialization.atomic import replacing
from tinygrad_like.serialization.locations import check_location, described, placed
from tinygrad_like.serialization.pickler import Storages, pickler
from tinygrad_like.serialization.rebuild import Name, shown
from tinygrad_like.serialization.storage import LoadedStorage
from tinygrad_like.serialization.unpickler import Unpickler, trusting, unsafe_names

_SMALL = 1000  # bytes of a record that is one word or number
_LARGEST_PICKLE = 2**31


class _Options:
    checksums = True


def get_crc32_options() -> bool:
    """Return whether `save` computes checksums."""
    return _Options.checksums


def set_crc32_options(compute_crc32: bool) -> None:
    """Have `save` compute checksums of records, as it does at first, or leave them 0.

    `load` then can't tell whether the file was damaged.
    """
    _Options.checksums = bool(compute_crc32)


# ----- Saving -------------------------------------------------------------------------------------


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Save an object in PyTorch's format: tensors, modules' and optimizers' state, plain data, own classes.

    The file at `f` is replaced at the end, at once: a crash or a full disk leaves the former one whole.
    Tensors that share memory share it again when they are loaded; so all of the memory that a tensor looks
    into is saved, as in PyTorch, even if the tensor is a small slice (``clone()`` it first).

    Args:
        obj: what to save.
        f: a path, or a file open for writing bytes.
        pickle_module: the module whose ``Pickler`` writes other classes; it must be written in Python.
        pickle_protocol: of pickles; PyTorch's own ``weights_only`` reader knows 2.
        _use_new_zipfile_serialization: False for the format of PyTorch before 1.6.

    Raises:
        AttributeError: if `f` is neither.
        RuntimeError: if tensors of different dtypes share memory.
        OSError: if the file can't be written.

    >>> import io
    >>> import tinygrad_like as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.tensor([1.0, 2.0]), "epoch": 3}, file)
    >>> torch.load(file.seek(0) or file)
    {'weight': tensor([1., 2.]), 'epoch': 3}
    """
    if not isinstance(f, str | os.PathLike) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute, "
            f"got {type(f).__name__}"
        )
    storages = Storages(old=not _use_new_zipfile_serialization)
    pickled = io.BytesIO()
    pickler(pickle_module, pickled, pickle_protocol, storages).dump(obj)
    content = pickled.getbuffer()
    if isinstance(f, str | os.PathLike):
        path = os.fspath(f)
        folder = os.path.splitext(os.path.basename(os.fsdecode(path)))[0] or "archive"
        with replacing(os.fsdecode(path)) as file:
            if _use_new_zipfile_serialization:
                _write(file, folder, content, storages)
            else:
                legacy.write(file, content, storages, pickle_protocol)
        return
    if _use_new_zipfile_serialization:
        _write(f, "archive", content, storages)
    else:
        legacy.write(f, content, storages, pickle_protocol)
    if hasattr(f, "flush"):
        f.flush()


def _write(file: Any, folder: str, content: memoryview, storages: Storages) -> None:
    writer = Writer(file.write, folder, _Options.checksums)
    writer.add("data.pkl", content)
    writer.add(".format_version", b"1")
    writer.add(".storage_alignment", b"64")
    writer.add("byteorder", sys.byteorder.encode())
    for key, memory in storages.arrays.items():
        writer.add(f"data/{key}", memory.data)
    writer.finish()


# ----- Loading ------------------------------------------------------------------------------------


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Return the object that a file holds, saved by `save` or by PyTorch, which is not needed.

    bfloat16 and 8-bit floats become float32; unsigned integers of 16 bits become int32, larger ones int64.

    With ``weights_only``, as by default, the file can hold tensors, parameters, dicts, lists and other
    plain data, and what `add_safe_globals` allows; anything else is refused by name, before it is run.

    Warning: ``weights_only=False`` uses Python's `pickle`, which runs any code that the file asks for.
    It is needed for objects of own classes, such as whole modules. Never do it with a file from elsewhere.

    Args:
        f: a path, or an open file that can be read and sought.
        map_location: where to put what was saved on another device: ``"cpu"``, a device, a dict of names,
            or a function of ``(storage, location)``.
        pickle_module: the module whose ``Unpickler`` to use; only without ``weights_only``.
        weights_only: refuse all but plain data; by default True unless `pickle_module` is given.
        mmap: look into the file instead of reading it; what is written to the tensors stays in memory.
            Checksums are not looked at then. `f` must be a path.
        pickle_load_args: options of the ``Unpickler``; with ``weights_only`` just ``encoding``, that of
            strings which Python 2 wrote ("bytes" leaves them bytes).

    Raises:
        UnpicklingError: if the file asks for something that is not allowed, or its content makes no sense.
        RuntimeError: if the file is damaged, compressed or a TorchScript archive, or if it was saved on
            another device and `map_location` doesn't say where to.
        EOFError: if it is empty.
        OSError: if it can't be read.

    >>> import os, tempfile
    >>> import tinygrad_like as torch
    >>> path = os.path.join(tempfile.mkdtemp(), "linear.pt")
    >>> torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    >>> [(name, tuple(tensor.shape)) for name, tensor in torch.load(path, map_location="cpu").items()]
    [('weight', (3, 2)), ('bias', (3,))]
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if weights_only and pickle_module is not None:
        raise told(
            RuntimeError,
            "Can not safely load weights when explicit pickle_module is specified: leave it out, or pass "
            "weights_only=False",
        )
    pickle_load_args.setdefault("encoding", "utf-8")
    if weights_only and len(pickle_load_args) > 1:
        names = ", ".join(name for name in pickle_load_args if name != "encoding")
        warnings.warn(f"load: {names} only works with weights_only=False", stacklevel=2)
    if isinstance(f, str | os.PathLike) and os.fsdecode(f).endswith(".safetensors"):
        from tinygrad_like.utils.safetensors import load_file

        check_location("cpu", map_location)
        return load_file(f)
    if mmap and not isinstance(f, str | os.PathLike):
        raise told(ValueError, "f must be a file path in order to use the mmap argument")
    run = _runner(weights_only, pickle_module or pickle, map_location, pickle_load_args)
    with _opened(f) as file:
        start = file.tell()
        first = file.read(4)
        file.seek(start)
        if not first:
            raise EOFError("load: the file is empty")
        if first == b"PK\3\4":
            return _load_archive(file, map_location, bool(mmap), run)
        if mmap:
            raise told(
                RuntimeError,
                "mmap can only be used with files saved with _use_new_zipfile_serialization=True",
            )
        return legacy.read(file, map_location, run)


Run = Callable[[bytes, int, Callable[[Any], Any]], "tuple[Any, int]"]


def _runner(
    weights_only: bool, pickle_module: Any, map_location: Any, options: dict[str, Any]
) -> Run:
    """Return what runs the pickle at a place of some bytes: gives its object, and where it ends."""

    def device(kind: Any, index: Any = None) -> Device:
        named = type(kind) is str and (index is None or type(index) is int)
        if named and not kind.startswith("cpu"):
            check_location(kind if index is None else f"{kind}:{index}", map_location)
            kind, index = "cpu", None
        return rebuild.device(kind, index)

    functions: dict[Name, Callable[..., Any]] = {("torch", "device"): device}

    def restricted(
        data: bytes, start: int, persistent_load: Callable[[Any], Any]
    ) -> tuple[Any, int]:
        unpickler = Unpickler(data, persistent_load, functions, start, options["encoding"])
        return unpickler.load(), unpickler.place

    def unrestricted(
        data: bytes, start: int, persistent_load: Callable[[Any], Any]
    ) -> tuple[Any, int]:
        file = io.BytesIO(data)
        file.seek(start)
        found = trusting(pickle_module, file, persistent_load, functions, **options)
        return found, file.tell()

    return restricted if weights_only else unrestricted


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[Any]:
    """Return a file for a path; an open one is returned as it is."""
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            yield file
        return
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only load from a file that is seekable; read it into a buffer like "
            "io.BytesIO first"
        ) from None
    yield f


def _load_archive(file: Any, map_location: Any, mmap: bool, run: Run) -> Any:
    archive = Reader(file)
    if "constants.pkl" in archive.records:
        raise told(
            RuntimeError,
            "load: the file is a TorchScript archive, a program; save the module's state_dict() instead",
        )
    content = archive.read("data.pkl", _LARGEST_PICKLE)
    byteorder = "little"
    if "byteorder" in archive.records:
        byteorder = archive.read("byteorder", _SMALL).decode("ascii", "replace")
        if byteorder not in ("little", "big"):
            raise told(
                ValueError, f"Unknown endianness type: {shown(byteorder)}, expected little or big"
            )
    mapped = _mmap.mmap(file.fileno(), 0, access=_mmap.ACCESS_COPY) if mmap else None
    loaded: dict[str, Any] = {}

    def persistent_load(saved: Any) -> Any:
        elements, key, location, count = described(saved, 5)
        known = loaded.get(key)
        if known is None:
            needed = count * elements.stored.itemsize
            memory = _memory(archive, f"data/{key}", needed, mapped)
            storage = LoadedStorage(memory, elements, byteorder)
            known = loaded[key] = placed(storage, location, map_location)
        return known

    return run(content, 0, persistent_load)[0]


def _memory(archive: Reader, name: str, needed: int, mapped: Any) -> NumpyArray:
    """Return the bytes of a storage, in memory or where they lie in the file."""
    size = archive.size(name)
    if not 0 <= size - needed < 16:  # PyTorch counts whole elements only
        raise told(
            RuntimeError,
            f"load: record {name!r} has {size} bytes, expected {needed}; the file is damaged, or not "
            "written by save",
        )
    if mapped is not None and needed:
        memory = np.frombuffer(mapped, np.uint8, needed, archive.place(name))
        # NumPy is slow where numbers are not aligned.
        return memory if archive.place(name) % 16 == 0 else memory.copy()
    memory = np.empty(needed, np.uint8)
    archive.read_into(name, memory.data)
    return memory


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """Return the full names that a file asks for and that `load` would refuse; nothing is run.

    Raises:
        RuntimeError: if it is no whole archive.
        UnpicklingError: if its pickle makes no sense.

    >>> import io
    >>> from fractions import Fraction
    >>> import tinygrad_like as torch
    >>> file = io.BytesIO()
    >>> torch.save(Fraction(1, 3), file)
    >>> torch.serialization.get_unsafe_globals_in_checkpoint(file.seek(0) or file)
    ['fractions.Fraction']
    """
    with _opened(f) as file:
        content = Reader(file).read("data.pkl", _LARGEST_PICKLE)
    return unsafe_names(content)
