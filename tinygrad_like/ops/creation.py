"""Creation."""

from __future__ import annotations

__all__ = []


class CreationMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()
