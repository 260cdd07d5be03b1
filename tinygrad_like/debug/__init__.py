"""Seeing what goes wrong: the lines below errors, and later more."""

from __future__ import annotations

from tinygrad_like.debug.errors import text

__all__ = ["text"]
