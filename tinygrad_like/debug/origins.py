"""Where the user's program assigned a tensor: read from its code when an error is told, so it costs nothing before.

A tensor without a place in the graph notes nothing of how it came about. But the program has a name for
it, mostly, and its compiled code says on which lines that name is assigned.
"""

from __future__ import annotations

import dis
from collections.abc import Sequence
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType
from typing import Any

from tinygrad_like.lines import located

_STORES = frozenset({"STORE_NAME", "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF"})
_MOST = 20_000  # bytes of code that are looked through


def origin(value: Any, frames: Sequence[FrameType]) -> str:
    """Return ``train.py:12: x = torch.ones(3)``, "" if that can't be told for sure.

    Args:
        value: the tensor.
        frames: the user's frames, the innermost first.
    """
    for frame in frames:
        code = frame.f_code
        name = name_in(value, frame)
        if not name:
            continue
        numbers = _assignments(code, name, frame.f_lasti)
        if numbers:
            (number,) = numbers if len(numbers) == 1 else (frame.f_lineno,)
            return "" if number == frame.f_lineno else located(code, number)
    return ""


def name_in(value: Any, frame: FrameType) -> str:
    """Return the name that a frame's function has for a value, "" if it has none."""
    seen = frame.f_locals
    found = next((name for name, v in seen.items() if v is value and name.isidentifier()), "")
    if type(seen) is dict and frame.f_code.co_flags & CO_OPTIMIZED:
        seen.clear()  # before Python 3.13 a copy, which would keep all of it alive with the frame
    if found:
        return found
    everywhere = frame.f_globals
    return next((name for name in frame.f_code.co_names if everywhere.get(name) is value), "")


def _assignments(code: CodeType, name: str, now: int) -> set[int]:
    """Return the lines of the assignments to `name` that may have been the last before `now`."""
    if len(code.co_code) > _MOST:
        return set()
    stores: list[tuple[int, int]] = []  # offset and line
    jumps: list[tuple[int, int]] = []
    for instruction in dis.get_instructions(code):
        line = instruction.positions.lineno if instruction.positions else None
        if instruction.opname in _STORES and instruction.argval == name and line:
            stores.append((instruction.offset, line))
        elif instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            jumps.append((instruction.offset, instruction.argval))
    found = set()
    for offset, line in reversed(stores):
        if offset < now:
            found.add(line)
            if not any(start < offset < end <= now for start, end in jumps):
                break  # nothing goes round it
        elif any(start > offset and end <= now for start, end in jumps):
            found.add(line)  # later in a loop: it may have been the last time round
    return found
