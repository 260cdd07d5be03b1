"""The format of PyTorch before 1.6: five pickles one after the other, then the storages' bytes.

The pickles are a magic number, the version of the format, facts about the machine, the object, and the
keys of its storages. Each storage is its number of elements, in 8 bytes, and these. The object comes before
its numbers: its tensors are made around memory that is filled afterwards.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from tinygrad_like.serialization.locations import described, placed
from tinygrad_like.serialization.pickler import Storages
from tinygrad_like.serialization.rebuild import refuse
from tinygrad_like.serialization.storage import LoadedStorage
from tinygrad_like.serialization.unpickler import Unpickler

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MACHINE = {
    "protocol_version": _VERSION,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}


def write(file: Any, content: memoryview, storages: Storages, protocol: int) -> None:
    """Write an object whose pickle is `content`."""
    for value in (_MAGIC, _VERSION, _MACHINE):
        file.write(pickle.dumps(value, protocol))
    file.write(content)
    file.write(pickle.dumps(sorted(storages.arrays), protocol))
    for key in sorted(storages.arrays):
        memory, width = storages.arrays[key], storages.widths[key]
        count = memory.size // width
        file.write(count.to_bytes(8, "little"))
        file.write(memory[: count * width].data)


def read(
    file: Any,
    map_location: Any,
    run: Callable[[bytes, int, Callable[[Any], Any]], tuple[Any, int]],
) -> Any:
    """Return the object of a file; `run` runs the pickle that describes it.

    Raises:
        UnpicklingError: if it is no such file.
    """
    data: bytes = file.read()
    place = 0
    for expected in (_MAGIC, _VERSION):
        try:
            found, place = _plain(data, place)
        except UnpicklingError:
            found = None
        if type(found) is not int or found != expected:
            raise UnpicklingError(
                f"load: the file starts with {data[:8]!r}; that is no file of save, nor a zip archive"
            )
    machine, place = _plain(data, place)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise UnpicklingError("load: the file was written on a machine with another byte order")
    loaded: dict[str, tuple[LoadedStorage, int]] = {}
    room = len(data)

    def persistent_load(saved: Any) -> Any:
        nonlocal room
        elements, key, location, count = described(saved, 6)
        if saved[5] is not None:
            raise UnpicklingError(
                "load: the file has views of storages, as only PyTorch before 0.4 wrote; save it again"
            )
        if key not in loaded:
            size = count * elements.stored.itemsize
            room -= size
            if room < 0:
                raise UnpicklingError(
                    "load: the file's storages are larger than the file; it is cut off"
                )
            storage = LoadedStorage(np.zeros(size, np.uint8), elements, "little")
            loaded[key] = storage, count
            result[key] = placed(storage, location, map_location)
        return result[key]

    result: dict[str, Any] = {}
    found, place = run(data, place, persistent_load)
    keys, place = _plain(data, place)
    if type(keys) is not list or not loaded.keys() <= {key for key in keys if type(key) is str}:
        raise refuse("the keys of all storages", keys)
    for key in keys:
        if type(key) is not str or key not in loaded:
            raise UnpicklingError(
                "load: the file has a storage that nothing refers to; it is damaged"
            )
        storage, count = loaded[key]
        size = count * storage.elements.stored.itemsize
        header = data[place : place + 8]
        stored = np.frombuffer(data, np.uint8)[place + 8 : place + 8 + size]
        if header != count.to_bytes(8, "little") or stored.size != size:
            raise UnpicklingError(
                "load: a storage has another size than expected; the file is cut off"
            )
        storage.fill(stored)
        place += 8 + size
    return found


def _plain(data: bytes, start: int) -> tuple[Any, int]:
    """Return what a pickle of plain data holds, and where it ends."""

    def refused(saved: Any) -> Any:
        raise refuse("plain data", saved)

    unpickler = Unpickler(data, refused, start=start)
    return unpickler.load(), unpickler.place
