"""Warnings of what runs and is most likely not meant: what, where, why it hurts, what to try."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from tinygrad_like.graph import Traced
from tinygrad_like.lines import Line, internal, line_number, located


class TrapWarning(UserWarning):
    """Something runs without an error and is most likely not what was meant.

    >>> import warnings
    >>> import tinygrad_like as torch
    >>> warnings.filterwarnings("ignore", category=torch.debug.TrapWarning)
    """


_on = True
_told: set[tuple[str, str, int]] = set()


def set_traps(mode: bool) -> None:
    """Have traps warned of, each once for each line of the program, or not at all.

    Seen without being asked for: a softmax or sigmoid before a loss that applies one itself; a column
    against a row in a loss; and, since some steps of each optimizer are looked at closely, a forgotten
    `zero_grad`, losses kept with their graphs, batch norms left in eval mode, parameters that no
    optimizer has. A leaf that was replaced after its graph was made is told of when its ``.grad`` is
    asked for. `watch` and `check` are stricter: they also tell what may be meant.

    >>> import tinygrad_like as torch
    >>> torch.debug.set_traps(False)
    >>> scores = torch.ones(2, 3, requires_grad=True)
    >>> loss = torch.nn.functional.cross_entropy(scores.softmax(1), torch.tensor([0, 2]))
    >>> torch.debug.set_traps(True)
    """
    global _on
    from tinygrad_like.debug import by_hand

    _on = mode
    _told.clear()
    by_hand.forget()


def wanted() -> bool:
    """Return True if traps are warned of."""
    return _on


def trap(
    kind: str,
    what: str | Callable[[], str],
    because: str,
    remedy: str | Callable[[], str],
    *,
    module: str = "",
    line: Line | None = None,
) -> None:
    """Warn of a trap at the line of the program that is running, unless that was done before.

    Args:
        kind: a word for the trap; "" has Python's filters decide how often it is told of.
        what: the sentence; a function for one that takes time to put together.
        because: why it hurts.
        remedy: what to try, likewise.
        module: the path of the module that it is in.
        line: where it began, if that is not the line that is running.
    """
    frame: FrameType = sys._getframe(1)
    level = 2
    while frame.f_back is not None and internal[frame.f_code.co_filename]:
        frame, level = frame.f_back, level + 1
    here = (frame.f_code.co_filename, frame.f_lineno)
    began = here if line is None else (line[0].co_filename, line_number(line))
    if not _on or (kind, *began) in _told:
        return
    if kind:
        _told.add((kind, *began))
    lines = [what if isinstance(what, str) else what()]
    if module:
        lines.append(f"in {module}")
    if line is not None and began != here:
        lines.append(f"at {located(line[0], line_number(line))}")
    lines += [f"because {because}", f"try {remedy if isinstance(remedy, str) else remedy()}"]
    warnings.warn("\n  ".join(lines), TrapWarning, stacklevel=level)


# ----- Names --------------------------------------------------------------------------------------


def paths(things: Sequence[Any]) -> list[tuple[Any, str]]:
    """Return for parameters or modules the outermost module each is in, and the path from there.

    Nobody keeps a way from the inside out, so all modules that are alive are looked through: this takes
    milliseconds. What is in no module is its own outermost one, and its path is "".
    """
    from tinygrad_like.nn.registered import Registered

    if not things:
        return []
    outside: dict[int, tuple[Any, str]] = {}
    modules = {}
    for entries in [o for o in gc.get_objects() if type(o) is Registered]:
        module = entries._module()
        if module is not None:
            modules[id(module)] = module
            for name, value in entries.items():
                outside.setdefault(id(value), (module, name))
    for module in modules.values():  # and those in plain lists and dicts, which are not registered
        for name, value in vars(module).items():
            plain = enumerate(value) if type(value) in (list, tuple) else ()
            for key, part in value.items() if type(value) is dict else plain:
                if id(part) in modules:
                    outside.setdefault(id(part), (module, f"{name}[{key!r}]"))
    found = []
    for thing in things:
        outer, names = thing, list[str]()
        while id(outer) in outside and len(names) < 100:
            outer, name = outside[id(outer)]
            names.insert(0, name)
        found.append((outer, ".".join(names)))
    return found


def spoken(outer: Any, path: str) -> str:
    """Return ``0.weight of Net``."""
    if isinstance(outer, Traced):
        return f"a parameter of shape {tuple(outer.array.shape)}"
    kind = type(outer).__name__
    return f"{path} of {kind}" if path else kind
