"""What a page can hold of an array: all its numbers if they are few, else what they look like."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

SHOWN = 64  # elements; an array of more is shown by its statistics
FEW = 16  # the same for one contribution to a gradient
BINS = 32  # of a histogram
COUNTED = 8  # elements; fewer make no histogram
SIDE = 32  # of a heat map, at most
MISSING = 255  # the byte for a cell of a heat map that holds a nan or an infinity


def number(value: Any) -> float | int | bool | str:
    """Return a number as JSON can hold it, by the fewest digits that give the same number again."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        # A page's numbers are float64; a text it leaves as it is.
        return int(value) if abs(int(value)) <= 2**53 else str(value)
    if not np.isfinite(value):
        return "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"
    # The shortest digits of a float32 are fewer than those of the float64 it becomes.
    return float(str(np.asarray(value)[()])) if isinstance(value, np.floating) else float(value)


def brief(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the numbers of a small array, and statistics.

    >>> import numpy as np
    >>> brief(np.array([0.5]))
    {'values': [0.5]}
    """
    found = _statistics(array) if array.size > 1 else {}
    if array.size <= FEW:
        found["values"] = [number(value) for value in array.ravel()]
    return found


def digest(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return statistics, a histogram and a heat map of an array, and its numbers if they are few.

    The heat map has a cell for each element, or for the mean of a block of them if there are more
    than 32 rows or columns; all dimensions but the last are its rows. Its ``cells`` are an array,
    to be made a text of by `with_heat`.
    """
    found: dict[str, Any] = {"size": int(array.size)}
    if array.size <= SHOWN:
        found["values"] = [number(value) for value in array.ravel()]
    if array.size > 1:
        found |= _statistics(array)
        if array.size >= COUNTED:
            found |= _histogram(array)
        found["cells"] = _cells(array)
    return found


def _statistics(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    numbers = array.astype(np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    found: dict[str, Any] = {}
    if finite.size:
        with np.errstate(over="ignore", invalid="ignore"):
            found = {
                "mean": number(finite.mean()),
                "std": number(finite.std()),
                "min": number(finite.min()),
                "max": number(finite.max()),
            }
        found = {
            name: float(f"{v:.7g}") if isinstance(v, float) else v for name, v in found.items()
        }
    counts = {
        "zeros": int(np.count_nonzero(numbers == 0)),
        "nan": int(np.count_nonzero(np.isnan(numbers))),
        "inf": int(np.count_nonzero(np.isinf(numbers))),
    }
    return found | {name: count for name, count in counts.items() if count}


def _histogram(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    numbers = array.astype(np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    if not finite.size or not np.isfinite(finite.max() - finite.min()):
        return {}
    if finite.max() == finite.min():
        return {"counts": [int(finite.size)]}
    return {"counts": np.histogram(finite, BINS, (finite.min(), finite.max()))[0].tolist()}


def _cells(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return rows and columns of means, at most 32 of each."""
    table = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
    return reduced(table.astype(np.float64), SIDE)


def reduced(table: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    """Return a table of at most `side` rows and columns, each cell the mean of a block."""
    with np.errstate(all="ignore"):
        for axis in (0, 1):
            size = table.shape[axis]
            if size > side:
                edges = np.linspace(0, size, side + 1).astype(int)
                sums = np.add.reduceat(table, edges[:-1], axis=axis)
                widths = np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
                table = sums / widths
    return table


def with_heat(found: dict[str, Any] | None, side: int) -> dict[str, Any] | None:
    """Return a digest with its heat map as text, of at most `side` rows and columns (0: none).

    A byte of 0 to 254 stands for a number between ``-scale`` and ``scale``.
    """
    if found is None or "cells" not in found:
        return found
    rest = {name: value for name, value in found.items() if name != "cells"}
    if side == 0:
        rest.pop("counts", None)
        return rest
    if "values" in found:  # the page has the numbers themselves
        return rest | {"columns": found["cells"].shape[1]}
    cells = reduced(found["cells"], side)
    sound = np.isfinite(cells)
    scale = float(np.abs(cells[sound]).max()) if sound.any() else 0.0
    levels = np.full(cells.shape, MISSING, np.uint8)
    levels[sound] = np.round((cells[sound] / (scale or 1.0) + 1) * 127).astype(np.uint8)
    return rest | {
        "columns": cells.shape[1],
        "scale": float(f"{scale:.6g}"),
        "heat": base64.b64encode(levels.tobytes()).decode(),
    }
