"""What surrounds training: data so far."""

from tinygrad_like.utils import data

__all__ = ["data"]
