"""What things are called in a lesson: tensors, modules, operations and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.graph import Node, Traced
from tinygrad_like.lines import told, user_line

FEW = 8  # an array of more elements is summarised


@dataclass
class Names:
    """What the user calls tensors, by their nodes, and modules, by identity."""

    nodes: dict[Node, str] = field(default_factory=dict)
    modules: dict[int, str] = field(default_factory=dict)
    arrays: dict[int, str] = field(default_factory=dict)  # by id(), of tensors without a node

    @classmethod
    def of(cls, params: Any, frame: FrameType | None) -> Names:
        """Return the names in a Module, a dict or pairs, or else those of the caller's variables.

        Raises:
            TypeError: if `params` is something else, or names what is not a tensor.
        """
        names = cls()
        if params is None:
            line = user_line(frame)
            while frame is not None and line is not None and frame.f_code is not line[0]:
                frame = frame.f_back
            if frame is not None:
                for variables in (frame.f_locals, frame.f_globals):
                    for name, value in list(variables.items()):
                        if not name.startswith("_"):
                            names._note(name, value)
            return names
        if hasattr(params, "named_parameters"):
            names._note("", params)
            return names
        pairs: Iterable[Any] = params.items() if isinstance(params, Mapping) else params
        for pair in pairs:
            if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Traced)):
                raise told(
                    TypeError,
                    "explain: params must be a dict of names and tensors, a Module, or an iterable of "
                    f"(name, tensor) pairs; found {pair!r:.60}",
                )
            names._note(str(pair[0]), pair[1])
        return names

    def _note(self, name: str, value: Any) -> None:
        if isinstance(value, Traced):
            if value.node is not None:
                self.nodes.setdefault(value.node, name)
            else:
                self.arrays.setdefault(id(value.array), name)
        elif hasattr(value, "named_parameters") and not isinstance(value, type):
            start = f"{name}." if name else ""
            for inner, module in value.named_modules():
                self.modules.setdefault(id(module), f"{start}{inner}".rstrip("."))
            for inner, parameter in value.named_parameters():
                if parameter.node is not None:
                    self.nodes.setdefault(parameter.node, f"{start}{inner}")


def shown(value: Any) -> str:
    """Return the numbers of a small array, size and range of a larger one.

    >>> import numpy as np
    >>> shown(np.array([1.0, 2.5])), shown(np.zeros((4, 5)))
    ('[1, 2.5]', '4 x 5 numbers, all 0')
    """
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    array = value.array if isinstance(value, Traced) else np.asarray(value)
    if array.size <= FEW:
        return _listed(array.tolist())
    with np.errstate(all="ignore"):
        numbers = array.astype(np.float64)
        size = " x ".join(map(str, array.shape))
        low, high, mean = (f"{n:.4g}" for n in (numbers.min(), numbers.max(), numbers.mean()))
    if low == high:
        return f"{size} numbers, all {low}"
    return f"{size} numbers from {low} to {high}, mean {mean}"


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_listed, value))}]"
    return f"{value:.4g}"


# What ops are called that are only a part of what a user wrote.
_SPOKEN = {
    "BackwardHookFunctionBackward": "hooks of a module",
    "basic_alias": "indexing",
    "basic_select": "indexing",
    "basic_unsqueeze": "indexing",
    "broadcast_to": "expand",
    "cast": "change of dtype",
    "clip": "clamp",
    "clip_between": "clamp",
    "concatenate": "cat",
    "contract": "einsum",
    "copied": "copy",
    "max_of_all": "max",
    "min_of_all": "min",
    "power": "pow",
    "power_number": "pow",
    "region": "slicing",
    "replace_region": "write in place",
    "take_index": "indexing",
}


def spoken(step: BackwardStep) -> str:
    """Return what a step's operation is called in the lesson."""
    return _SPOKEN.get(step.op, step.op)


def ordinal(n: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, ``4th`` ..."""
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
