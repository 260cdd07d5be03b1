"""Which memory was written when: how a backward notices that a value it needs is gone.

Every in-place write notes the next tick of the clock for the array that owns the memory, so all
views of it share the note, and reading or saving a value costs nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import numpy as np

from tinygrad_like.lines import Line, here

# The one clock: operations and writes take their ticks from it, so any two have an order.
tick: Callable[[], int] = count(1).__next__


class Stamp:
    """When and where a piece of memory was last written."""

    __slots__ = ("line", "memory", "silent_line", "silent_tick", "tick")

    def __init__(self, memory: weakref.ref[Any]) -> None:
        self.tick = 0
        self.line: Line | None = None
        self.silent_tick = 0  # the last write through `.data`, which PyTorch does not see
        self.silent_line: Line | None = None
        self.memory = memory


_stamps: dict[int, Stamp] = {}
_last_write = 0


def owner(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the array that owns the memory `array` looks at."""
    while type(array.base) is np.ndarray:
        array = array.base
    return array


def noted(array: np.ndarray[Any, Any]) -> Stamp:
    """Return the note for the memory of `array`, a new one if there is none: good while that lives."""
    memory = owner(array)
    key = id(memory)
    note = _stamps.get(key)
    if note is None:
        reference = weakref.ref(memory, lambda _: _stamps.pop(key, None))
        note = _stamps[key] = Stamp(reference)
    return note


def stamp(array: np.ndarray[Any, Any], *, silent: bool = False, line: Line | None = None) -> None:
    """Note that the memory of `array` is written now."""
    global _last_write
    note = noted(array)
    if line is None:
        line = here(2)
    _last_write = now = tick()
    if silent:
        note.silent_tick, note.silent_line = now, line
    else:
        note.tick, note.line = now, line


def mark(notes: Iterable[Stamp], line: Line | None) -> None:
    """Note that all these pieces of memory are written now, at one tick."""
    global _last_write
    now = tick()
    for note in notes:
        note.tick, note.line = now, line
    if now > _last_write:  # another thread may have come first
        _last_write = now


def version(array: np.ndarray[Any, Any]) -> int:
    """Return the tick of the last write to the memory of `array`, 0 if there was none."""
    found = _stamps.get(id(owner(array)))
    return 0 if found is None else found.tick


def last_write() -> int:
    """Return the tick of the latest write anywhere."""
    return _last_write


def find(array: np.ndarray[Any, Any]) -> Stamp | None:
    """Return what is noted for the memory of `array`, if it was ever written in place."""
    return _stamps.get(id(owner(array)))
