"""What things are called in a lesson: operations and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.debug.names import SPOKEN
from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.graph import Traced

FEW = 8  # an array of more elements is summarised


def shown(value: Any) -> str:
    """Return the numbers of a small array, size and range of a larger one.

    >>> import numpy as np
    >>> shown(np.array([1.0, 2.5])), shown(np.zeros((4, 5)))
    ('[1, 2.5]', '4 x 5 numbers, all 0')
    >>> shown(np.r_[np.arange(9.0), np.nan])
    '10 numbers, 1 nan, and else from 0 to 8, mean 4'
    """
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    array = value.array if isinstance(value, Traced) else np.asarray(value)
    if array.size <= FEW:
        return _listed(array.tolist())
    size = " x ".join(map(str, array.shape))
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    counts = {"nan": np.isnan(numbers).sum(), "infinite": np.isinf(numbers).sum()}
    strange = " and ".join(f"{count} {name}" for name, count in counts.items() if count)
    strange = f", {strange}, and else" if strange else ""
    if not finite.size:
        return f"{size} numbers{strange} none"
    low, high, mean = (f"{n:.4g}" for n in (finite.min(), finite.max(), finite.mean()))
    if low == high:
        return f"{size} numbers{strange or ','} all {low}"
    return f"{size} numbers{strange} from {low} to {high}, mean {mean}"


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_listed, value))}]"
    return f"{value:.4g}"


# What ops are called that are only a part of what a user wrote, where lessons say more than messages.
_SPOKEN = SPOKEN | {
    "BackwardHookFunctionBackward": "hooks of a module",
    "broadcast_to": "expand",
    "cast": "change of dtype",
    "clip": "clamp",
    "concatenate": "cat",
    "copied": "copy",
}


def spoken(step: BackwardStep) -> str:
    """Return what a step's operation is called in the lesson."""
    return _SPOKEN.get(step.op, step.op)


def ordinal(n: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, ``4th`` ..."""
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
