"""Reading arguments that may be given once for all dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Sizes = int | tuple[int, ...]


def ntuple(value: Any, count: int) -> tuple[int, ...]:
    """Return an iterable as a tuple, or a single value repeated."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count
