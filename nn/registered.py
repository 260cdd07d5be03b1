"""The dictionaries in which a module keeps its parameters, buffers and modules."""

from __future__ import annotations

import weakref
from typing import Any

_ABSENT = object()


class Registered(dict[str, Any]):
    """Names and what is registered under them, kept as attributes of a module too.

    Reading an attribute that is there costs a twentieth of what asking ``__getattr__`` does.
    """

    __slots__ = ("_module",)

    def __init__(self, module: Any, entries: Any = ()) -> None:
        super().__init__(entries)
        self._module = weakref.ref(module)
        module.__dict__.update(self)

    def _attributes(self) -> dict[str, Any]:
        module = self._module()
        return {} if module is None else module.__dict__

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._attributes()[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._attributes().pop(name, None)

    def pop(self, name: str, default: Any = _ABSENT) -> Any:
        """Remove an entry and return it, or `default`."""
        if name not in self and default is not _ABSENT:
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the last entry and return it."""
        name, value = super().popitem()
        self._attributes().pop(name, None)
        return name, value

    def clear(self) -> None:
        """Remove all entries."""
        for name in list(self):
            del self[name]

    def update(self, *entries: Any, **named: Any) -> None:
        """Add entries."""
        for name, value in dict(*entries, **named).items():
            self[name] = value

    def __ior__(self, entries: Any) -> Registered:  # type: ignore[override,misc]
        self.update(entries)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an entry, added if it was not there."""
        if name not in self:
            self[name] = default
        return self[name]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)  # the copy of a module makes its own: `Module.__setstate__`
