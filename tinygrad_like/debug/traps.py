"""Warnings of what runs and is most likely not meant."""

from __future__ import annotations

import sys
import warnings

from tinygrad_like.lines import internal


class TrapWarning(UserWarning):
    """Something runs without an error and is most likely not what was meant."""


_on = True
_told: set[str] = set()


def set_traps(mode: bool) -> None:
    """Have traps warned of, each once, or not at all.

    Two are seen without being asked for: a softmax before `cross_entropy`, once, and a loss of
    two shapes, for which PyTorch warns each time too. The others cost something, so `watch` and
    `check` look for them.

    >>> import tinygrad_like as torch
    >>> torch.debug.set_traps(False)
    >>> scores = torch.ones(2, 3, requires_grad=True)
    >>> loss = torch.nn.functional.cross_entropy(scores.softmax(1), torch.tensor([0, 2]))
    >>> torch.debug.set_traps(True)
    """
    global _on
    _on = mode
    _told.clear()


def trap(kind: str, message: str) -> None:
    """Warn of a trap, unless that was done before or is not wanted."""
    if not _on or kind in _told:
        return
    _told.add(kind)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and internal[frame.f_code.co_filename]:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, TrapWarning, stacklevel=level)


def warn_of_softmax() -> None:
    """Warn that a loss that applies softmax is given probabilities."""
    trap(
        "softmax",
        "cross_entropy is given the result of a softmax and applies one itself: training will be slow "
        "and stop early; try giving it the scores, or nll_loss of log_softmax",
    )
