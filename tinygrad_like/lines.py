"""Where in the user's program something happened, noted cheaply enough to do so for every operation."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

Line = tuple[CodeType, int]  # a code object and an instruction in it: see `line_number`

_PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class _Internal(dict[str, bool]):
    """Tells the package's own files, and code generated for ops, from the user's."""

    def __missing__(self, filename: str) -> bool:
        own = filename.startswith(("<op ", _PACKAGE_FOLDER))
        self[filename] = own
        return own


internal = _Internal()


def user_line(frame: FrameType | None) -> Line | None:
    """Return the innermost place, from `frame` outwards, that is not inside this package."""
    while frame is not None and internal[frame.f_code.co_filename]:
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


def here() -> Line | None:
    """Return the line of the user's program that is running now."""
    return user_line(sys._getframe(1))


def line_number(line: Line) -> int:
    """Return the line number that a kept place stands for."""
    code, instruction = line
    for position, (number, *_) in enumerate(code.co_positions()):
        if position == instruction // 2 and number is not None:
            return number
    return code.co_firstlineno


def describe(line: Line | None) -> str:
    """Return ``file.py:12`` for a kept place, or ``an unknown line``."""
    if line is None:
        return "an unknown line"
    return f"{line[0].co_filename}:{line_number(line)}"
