"""How a tensor looks when printed: as PyTorch prints it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.lines import told


@dataclass
class PrintOptions:
    """What `set_printoptions` sets."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}
options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    Args:
        precision: digits after the decimal point (4).
        threshold: the number of elements above which only the edges are shown (1000).
        edgeitems: how many elements to show at each edge (3).
        linewidth: characters per line (80).
        profile: "default", "short" or "full": sets all of the above.
        sci_mode: force scientific notation on or off; None decides by the values.

    Raises:
        ValueError: if there is no such profile.

    >>> import tinygrad_like as torch
    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1.12345])
    tensor([1.12])
    >>> torch.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise told(
                ValueError,
                f"set_printoptions: got profile={profile!r}, expected one of {', '.join(_PROFILES)}",
            )
        _set(**asdict(_PROFILES[profile]))
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _set(**{name: value for name, value in given.items() if value is not None}, sci_mode=sci_mode)


def _set(**values: Any) -> None:
    for name, value in values.items():
        setattr(options, name, value)


@contextmanager
def printoptions(**given: Any) -> Iterator[None]:
    """Set print options, as `set_printoptions`, for the duration of a ``with`` block."""
    former = replace(options)
    set_printoptions(**given)
    try:
        yield
    finally:
        _set(**asdict(former))


# ----- Numbers ------------------------------------------------------------------------------------


class _Format:
    """How to write each element, so that all are of one width."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.is_float = values.dtype.kind == "f"
        self.is_whole, self.scientific = True, False
        self.width = 1
        if not self.is_float:
            self.width = max(map(len, map(str, values.ravel().tolist())), default=1)
            return
        numbers = values[np.isfinite(values) & (values != 0)].astype(np.float64)
        if not numbers.size:
            return
        sizes = np.abs(numbers)
        largest, smallest = float(sizes.max()), float(sizes.min())
        self.is_whole = bool((numbers == np.ceil(numbers)).all())
        if options.sci_mode is None:
            self.scientific = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
        else:
            self.scientific = options.sci_mode
        self.width = max(len(self.spell(value)) for value in numbers.tolist())

    def spell(self, value: Any) -> str:
        """Return one element, unpadded."""
        if not self.is_float:
            return str(value)
        if self.scientific:
            return f"{value:.{options.precision}e}"
        if self.is_whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self.spell(value).rjust(self.width)


def _edges(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the elements that are shown of an array with too many."""
    edge = options.edgeitems
    for axis, size in enumerate(array.shape):
        if not edge:
            array = np.take(array, range(0), axis)
        elif size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array


# ----- Brackets -----------------------------------------------------------------------------------


def _spell_array(array: np.ndarray[Any, Any], indent: int, short: bool, spell: _Format) -> str:
    """Return the elements of `array` in nested brackets, the first one `indent` from the left."""
    if array.ndim == 0:
        return spell(array.item())
    edge = options.edgeitems
    is_short = short and len(array) > 2 * edge
    head, tail = (array[:edge], array[len(array) - edge :]) if is_short else (array, array[:0])
    if array.ndim > 1:
        parts = [_spell_array(part, indent + 1, short, spell) for part in head]
        if is_short:
            parts.append("...")
            parts += [_spell_array(part, indent + 1, short, spell) for part in tail]
        separator = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
        return f"[{separator.join(parts)}]"
    words = [spell(value) for value in head.tolist()]
    if is_short:
        words = [*words, " ...", *map(spell, tail.tolist())] if edge else ["..."]
    per_line = max(1, (options.linewidth - indent) // (spell.width + 2))
    lines = [", ".join(words[at : at + per_line]) for at in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def spell_elements(array: np.ndarray[Any, Any], indent: int) -> str:
    """Return all that stands between the parentheses of a printed tensor, but its properties."""
    if array.size == 0:
        return "[]"
    short = array.size > options.threshold
    return _spell_array(array, indent, short, _Format(_edges(array) if short else array))


def _properties(tensor: Any) -> list[str]:
    """Return what is said of a tensor after its elements."""
    array = tensor.array
    default = dtypes.default()
    found = []
    if (not array.size and array.ndim != 1) or (array.size and not options.edgeitems):
        found.append(f"size={tuple(array.shape)}")
    understood = (default, dtypes.I64, dtypes.BOOL) if array.size else (default,)
    if array.dtype not in understood:
        found.append(f"dtype={dtypes.named(array.dtype)}")
    if tensor.grad_fn is not None:
        found.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        found.append("requires_grad=True")
    return found


def format_tensor(tensor: Any) -> str:
    """Return how `tensor` is printed: its elements, and what is not usual about it."""
    prefix = "tensor("
    text = prefix + spell_elements(tensor.array, len(prefix))
    column = len(text) - text.rfind("\n") + 1
    for word in _properties(tensor):
        if column + len(word) + 2 > options.linewidth:
            text += ",\n" + " " * len(prefix) + word
            column = len(prefix) + len(word)
        else:
            text += ", " + word
            column += len(word) + 2
    return text + ")"
