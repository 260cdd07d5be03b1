"""Where in the user's program something happened, noted cheaply enough to do so for every operation."""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from types import CodeType, FrameType
from typing import TypeVar

_Error = TypeVar("_Error", bound=Exception)

Line = tuple[CodeType, int]  # a code object and an instruction in it: see `line_number`

_PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


files: dict[str, bool] = {}  # what `internal` has found out: a plain dictionary is read faster


class _Internal(dict[str, bool]):
    """Tells the package's own files, and code generated for ops, from the user's."""

    def __missing__(self, filename: str) -> bool:
        own = filename.startswith(("<op ", _PACKAGE_FOLDER))
        self[filename] = files[filename] = own
        return own


internal = _Internal()


class _Tracing:
    """Whether lines are noted: see `generate.trace_lines`."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True


tracing = _Tracing()


class _Calls:
    """The call of one of the package's modules that is under way, if nothing of the user's runs inside it.

    All that is recorded meanwhile happens on the line of that call, which the call notes once, so that
    nobody has to walk out of many modules for it. `now` is that line and the thread.
    """

    __slots__ = ("known", "now")

    def __init__(self) -> None:
        self.now: tuple[Line | None, int] | None = None
        self.known: CodeType | None = None  # the user's code that `user_line` came to last


calls = _Calls()


def user_line(frame: FrameType | None) -> Line | None:
    """Return the innermost place, from `frame` outwards, that is not inside this package."""
    while frame is not None:
        code = frame.f_code
        if not internal[code.co_filename]:
            calls.known = code
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def led_to(frame: FrameType | None) -> Line | None:
    """Return the line of the user's program that led to `frame`, where a thread has just come to."""
    call = calls.now
    return call[0] if call is not None and call[1] == get_ident() else user_line(frame)


def here(above: int = 1) -> Line | None:
    """Return the line of the user's program that is running now, None if lines are not noted.

    The frames of `above` callers are known to be this package's; not looking at them saves half.
    """
    return led_to(sys._getframe(above)) if tracing.on else None


def line_number(line: Line) -> int:
    """Return the line number that a kept place stands for."""
    code, instruction = line
    for position, (number, *_) in enumerate(code.co_positions()):
        if position == instruction // 2 and number is not None:
            return number
    return code.co_firstlineno


def cell(filename: str) -> str:
    """Return ``cell 3`` for code that was typed into a notebook, "" for a file."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    named = getattr(getattr(shell, "compile", None), "format_code_name", None)
    found = named(filename) if named is not None else None  # ("Cell", "In[3]")
    return f"cell {found[1].removeprefix('In[').removesuffix(']')}" if found else ""


def location(filename: str, number: int, short: bool = False) -> str:
    """Return ``train.py:12``, in a notebook ``cell 3, line 12``; `short` leaves folders out."""
    typed = cell(filename)
    if typed:
        return f"{typed}, line {number}"
    return f"{os.path.basename(filename) if short else filename}:{number}"


def describe(line: Line | None) -> str:
    """Return ``file.py:12`` for a kept place, or ``an unknown line``."""
    if line is None:
        return "an unknown line"
    return location(line[0].co_filename, line_number(line))


def shortened(text: str) -> str:
    """Return a line of a program without its indentation, and cut where it is very long."""
    text = text.strip()
    return text if len(text) <= 120 else f"{text[:117]}..."


def located(code: CodeType, number: int, inside: str = "") -> str:
    """Return ``train.py:12: y = x * 2``."""
    import linecache

    text = shortened(linecache.getline(code.co_filename, number))
    return f"{location(code.co_filename, number)}{inside}" + (f": {text}" if text else "")


def recorded(what: str, line: Line | None) -> str:
    """Return ``<what> at train.py:12: y = x * 2`` for a kept place."""
    where = "an unknown line" if line is None else located(line[0], line_number(line))
    return f"{what} at {where}"


def told(kind: type[_Error], sentence: str, *more: str) -> _Error:
    """Return an error with lines below its sentence: where, on what, what to try (`debug.errors`)."""
    from tinygrad_like.debug import errors

    error = kind(sentence)
    errors.tell(error, frame=sys._getframe(1), more=more)
    return error


def passing(error: Exception) -> None:
    """Add its lines to an error that is on its way out of a module."""
    if type(error).__module__ == "builtins":
        from tinygrad_like.debug import errors

        errors.passing(error)
