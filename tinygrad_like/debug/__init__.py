"""Seeing what goes wrong.

* Errors say where they happened, on what, and what to try: `text` returns all of it.
* `detect_anomaly` stops at the first operation that makes a nan or an infinity.
* `watch` sees a model train: dead units, gradients and updates of a wrong scale; `check` looks a model
  and its optimizer over.
* `TrapWarning` is the class of warnings of what runs and is most likely not meant; `set_traps` turns
  them off.
* `set_trace_lines` says whether operations note the line of the program that they are on.
"""

from __future__ import annotations

from tinygrad_like.debug.anomaly import detect_anomaly
from tinygrad_like.debug.checking import check
from tinygrad_like.debug.errors import text
from tinygrad_like.debug.tracing import set_trace_lines
from tinygrad_like.debug.traps import TrapWarning, set_traps
from tinygrad_like.debug.watching import Finding, watch

__all__ = [
    "Finding",
    "TrapWarning",
    "check",
    "detect_anomaly",
    "set_trace_lines",
    "set_traps",
    "text",
    "watch",
]


def __dir__() -> list[str]:
    return sorted(__all__)
