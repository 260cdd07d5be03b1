"""Seeing what goes wrong.

* Errors say where they happened, on what, and what to try: `text` returns all of it.
* `detect_anomaly` stops at the first operation that makes a nan or an infinity.
* `set_trace_lines` says whether operations note the line of the program that they are on.
"""

from __future__ import annotations

from tinygrad_like.debug.anomaly import detect_anomaly
from tinygrad_like.debug.errors import text
from tinygrad_like.debug.tracing import set_trace_lines

__all__ = ["detect_anomaly", "set_trace_lines", "text"]
