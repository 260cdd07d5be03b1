"""Seeing that steps which a program takes by itself use old gradients again."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from tinygrad_like.debug.traps import paths, spoken, trap, wanted
from tinygrad_like.stamps import tick, version

_MOST = 100_000  # elements of a leaf that is looked at
_PATIENCE = 10_000  # other leaves met in between, and another one is looked at
_ALIKE = 0.999  # the cosine of a step and a gradient


class _Leaf:
    """One leaf of a program that has no optimizer, from one backward to the next."""

    def __init__(self, tensor: Any, gradient: Any) -> None:
        self._tensor, self._gradient = weakref.ref(tensor), weakref.ref(gradient)
        self._value = tensor.array.copy()
        self._added = tick()
        self._steps = 0  # along the gradient, to which the next one was added
        self._patience = _PATIENCE

    def waits(self, tensor: Any) -> bool:
        """Return True if this is about another leaf, that is still in use."""
        known = self._tensor()
        if known is None or known is tensor:
            return False
        self._patience -= 1
        return self._patience > 0

    def goes_on(self, tensor: Any, gradient: Any) -> bool:
        """Return False if the gradient is another, or was written to since the last backward."""
        untouched = version(gradient.array) == self._added + 1  # the adding itself
        return self._tensor() is tensor and self._gradient() is gradient and untouched

    def see(self, tensor: Any, gradient: Any) -> None:
        """Warn if the program has taken two steps along a gradient that is added to again.

        The first may have used a new gradient; the second used an old one. What adds up gradients on
        purpose takes no steps along them.
        """
        value = tensor.array
        self._steps = self._steps + 1 if _is_along(value - self._value, gradient.array) else 0
        if self._steps == 2:
            trap(
                "zero_grad",
                lambda: (
                    f"the gradient of {spoken(*paths([tensor])[0])} is added to that of the last step"
                ),
                "that was used already: each step repeats all before it, and overshoots",
                "p.grad = None for each parameter before each backward",
            )
        self._value = value.copy()
        self._patience = _PATIENCE
        self._added = tick()


_seen: list[_Leaf] = []  # one at a time


def forget() -> None:
    """Begin to look anew."""
    _seen.clear()


def see_added(tensor: Any, gradient: Any) -> None:
    """Look at a leaf whose gradient is about to be added to."""
    if not wanted() or not 1 < tensor.array.size <= _MOST:
        return
    if _seen and _seen[0].waits(tensor):
        return
    if _seen and _seen[0].goes_on(tensor, gradient):
        _seen[0].see(tensor, gradient)
    else:
        _seen[:] = [_Leaf(tensor, gradient)]


def _is_along(step: Any, gradient: Any) -> bool:
    length = float(np.linalg.norm(step.ravel())) * float(np.linalg.norm(gradient.ravel()))
    return bool(-np.vdot(step, gradient) > _ALIKE * length > 0)
