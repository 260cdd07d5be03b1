"""What a file says of a storage, checked; and where it says the storage was, which must become the CPU."""

from __future__ import annotations

from typing import Any

from tinygrad_like.device import Device
from tinygrad_like.lines import told
from tinygrad_like.serialization.rebuild import refuse, shown
from tinygrad_like.serialization.storage import (
    ELEMENTS,
    Elements,
    LoadedStorage,
    StorageType,
    UntypedStorage,
)


def described(saved: Any, parts: int) -> tuple[Elements, str, str, int]:
    """Return the type, the key, the location and the number of elements of a storage.

    Raises:
        UnpicklingError: if the file says something else.
    """
    if type(saved) is not tuple or len(saved) != parts or saved[0] != "storage":
        raise refuse("the description of a storage", saved)
    kind, key, location, count = saved[1:5]
    if kind is UntypedStorage:
        elements = ELEMENTS["uint8"]
    elif isinstance(kind, StorageType):
        elements = kind.elements
    else:
        raise refuse("the type of a storage", kind)
    if type(key) is not str or type(location) is not str:
        raise refuse("a string for the key and the location of a storage", key)
    if type(count) is not int or not 0 <= count < 2**60:
        raise refuse("the number of elements of a storage", count)
    return elements, key, location, count


def check_location(location: str, map_location: Any) -> None:
    """Raise unless `location` is the CPU, or `map_location` says to put it there.

    Raises:
        RuntimeError: if it is elsewhere.
        TypeError: if `map_location` is nothing of the kind.
    """
    if isinstance(map_location, dict):
        location = str(map_location.get(location, location))
    elif isinstance(map_location, str | Device):
        location = str(map_location)
    elif map_location is not None and not callable(map_location):
        raise told(
            TypeError,
            f"load: map_location is a {type(map_location).__name__}, expected a device, its name, a dict of "
            "names or a function",
        )
    if location.partition(":")[0] != "cpu":
        raise told(
            RuntimeError,
            f"Attempting to deserialize object on device {shown(location)}, but there is only the CPU. Please "
            "use load with map_location=device('cpu') to map your storages to the CPU.",
        )


def placed(storage: LoadedStorage, location: str, map_location: Any) -> UntypedStorage:
    """Return a storage after `map_location` has had its say, which may give another in its place."""
    if callable(map_location) and not isinstance(map_location, Device):
        result = map_location(storage, location)
        if isinstance(result, UntypedStorage):
            return result
        if result is not None:
            raise told(
                TypeError,
                f"load: map_location returned a {type(result).__name__}, expected a storage or None",
            )
    check_location(location, map_location)
    return storage
