"""Tools for testing gradients: comparisons, random tensors, and whole properties."""

from tinygrad_like.testing.comparison import assert_close
from tinygrad_like.testing.properties import (
    Comparison,
    Entry,
    compare_with_torch,
    gradient_property,
)
from tinygrad_like.testing.strategies import (
    Domain,
    broadcastable_tensors,
    einsum_equations,
    index_expressions,
    shapes,
    tensors,
)

__all__ = [
    "Comparison",
    "Domain",
    "Entry",
    "assert_close",
    "broadcastable_tensors",
    "compare_with_torch",
    "einsum_equations",
    "gradient_property",
    "index_expressions",
    "shapes",
    "tensors",
]
