"""The declared ops, by name and by the NumPy functions they answer for."""

from __future__ import annotations

from typing import Any

REGISTRY: dict[str, Any] = {}  # every `Op`
UFUNCS: dict[Any, Any] = {}  # NumPy's ufuncs, and the op that stands for each
FUNCTIONS: dict[Any, Any] = {}  # NumPy's other functions, likewise: see `op.implements`
