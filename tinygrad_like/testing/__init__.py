"""Tools for testing gradients: comparisons, random tensors, and whole properties."""

from tinygrad_like.testing.comparison import assert_close

__all__ = ["assert_close"]
