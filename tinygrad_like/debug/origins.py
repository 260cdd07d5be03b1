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

from tinygrad_like.lines import internal, located, shortened

_STORES = ("STORE_NAME", "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF")
_MOST = 20_000  # bytes of code that are looked through
# Where all branches of a cell come together: too long for the compiler to copy it into each.
_JOIN = "\n__name__" * 4


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
        if frame.f_locals is frame.f_globals:
            return _in_cells(name, frame.f_globals.get("In"))
    return ""


def _in_cells(name: str, cells: Any) -> str:
    """Return ``cell 3, line 2: x = torch.ones(3)``, the last assignment in a notebook's earlier cells."""
    for number, text in reversed(list(enumerate(cells if isinstance(cells, list) else ()))[:-1]):
        if name not in text:
            continue
        try:
            code = compile(text + _JOIN, f"<cell {number}>", "exec")
        except SyntaxError:  # what IPython makes of it isn't known
            return ""
        lines = _assignments(code, name, len(code.co_code))
        if lines:
            line = lines.pop()
            told = f"cell {number}, line {line}: {shortened(text.splitlines()[line - 1])}"
            return "" if lines else told
    return ""


def name_in(value: Any, frame: FrameType) -> str:
    """Return the name that a frame's function has for a value, "" if it has none."""
    found = [name for name, seen in _seen(frame).items() if seen is value and name.isidentifier()]
    named = [name for name in found if name.strip("_0123456789")]  # not a notebook's _ or _12
    return min(named, key=lambda name: name.startswith("_"), default="")


def _seen(frame: FrameType) -> dict[str, Any]:
    """Return what a frame's function has names for: its own, then what it names of its module's."""
    own = frame.f_locals
    seen = dict(own)
    if type(own) is dict and frame.f_code.co_flags & CO_OPTIMIZED:
        own.clear()  # before Python 3.13 a copy, which would keep all of it alive with the frame
    everywhere = frame.f_globals
    return seen | {
        n: everywhere[n] for n in frame.f_code.co_names if n in everywhere and n not in seen
    }


def holder_of(value: Any, frame: FrameType) -> tuple[str, str]:
    """Return ``model.head.weight`` and ``model.py:12: self.head = ...`` for what a module of a frame's holds."""
    from tinygrad_like.nn.module import Module

    for name, module in _seen(frame).items():
        if not isinstance(module, Module) or "_parameters" not in vars(module):
            continue
        for path, held in [
            *vars(module).items(),
            *module.named_parameters(),
            *module.named_buffers(),
        ]:
            if held is value:
                outer, _, last = path.rpartition(".")
                return f"{name}.{path}", _assigned_in(type(module.get_submodule(outer)), last)
    return "", ""


def _assigned_in(kind: type, attribute: str) -> str:
    """Return the line of a class of the user's that assigns to an attribute, "" if that isn't certain."""
    code = getattr(getattr(kind, "__init__", None), "__code__", None)
    if code is None or internal[code.co_filename]:
        return ""
    lines = {
        i.positions.lineno
        for i in dis.get_instructions(code)
        if i.opname == "STORE_ATTR" and i.argval == attribute and i.positions
    }
    return located(code, lines.pop() or 0) if len(lines) == 1 else ""


def _stored(instruction: dis.Instruction) -> tuple[str, ...]:
    """Return the names that an instruction assigns to: from Python 3.13 on, one may do two things."""
    if not instruction.opname.startswith(_STORES):
        return ()
    names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    return names[:1] if "LOAD" in instruction.opname else names


def _assignments(code: CodeType, name: str, now: int) -> set[int]:
    """Return the lines of the assignments to `name` that may have been the last before `now`."""
    if len(code.co_code) > _MOST:
        return set()
    stores: list[tuple[int, int]] = []  # offset and line
    jumps: list[tuple[int, int]] = []
    for instruction in dis.get_instructions(code):
        line = instruction.positions.lineno if instruction.positions else None
        if line and name in _stored(instruction):
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
