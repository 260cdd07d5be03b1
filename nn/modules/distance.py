"""How far, or how alike, the vectors of two tensors are."""

from __future__ import annotations

from typing import Any

from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """Return the norm of the differences of vectors: `(*, D)` and `(*, D)` to `(*)`.

    Args:
        p: which norm.
        eps: absolute, added to each difference.
        keepdim: keep the last dimension, of size 1.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        """Return the distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Return the cosines of the angles between vectors along `dim`.

    Args:
        dim: the dimension of the vectors.
        eps: absolute, the smallest product of norms to divide by.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Any, x2: Any) -> Any:
        """Return the cosines."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
