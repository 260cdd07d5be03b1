"""Dropout: in training some of the input is replaced by 0, at random."""

from __future__ import annotations

from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module


class _DropoutNd(Module):
    """What dropouts share.

    Args:
        p: the probability of being replaced.
        inplace: overwrite the input.
    """

    p: float
    inplace: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise told(ValueError, f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Return the input with each element replaced by 0 with probability `p`, the others enlarged.

    In evaluation the input itself is returned.

    Args:
        p: the probability; what stays is divided by 1 - p (Hinton et al., arXiv:1207.0580).
        inplace: overwrite the input.

    Raises:
        ValueError: if `p` is no probability.

    >>> import tinygrad_like as torch
    >>> torch.nn.Dropout(0.3).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """Return the input with elements dropped."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Return `(N, C, L)` or `(C, L)` with whole channels dropped; see `Dropout`."""

    def forward(self, input: Any) -> Any:
        """Return the input with channels dropped."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Return `(N, C, H, W)` with whole channels dropped; see `Dropout`."""

    def forward(self, input: Any) -> Any:
        """Return the input with channels dropped."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Return the input with elements replaced so that mean and variance stay (for `SELU`).

    Args:
        p: the probability of being replaced (Klambauer et al., arXiv:1706.02515).
        inplace: overwrite the input.

    Raises:
        ValueError: if `p` is no probability.
    """

    def forward(self, input: Any) -> Any:
        """Return the input with elements replaced."""
        return F.alpha_dropout(input, self.p, self.training)


class Dropout3d(_DropoutNd):
    """Return `(N, C, D, H, W)` or `(C, D, H, W)` with whole channels dropped; see `Dropout`."""

    def forward(self, input: Any) -> Any:
        """Return the input with channels dropped."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """Return `(N, C, *)` with whole channels replaced as by `AlphaDropout`.

    Args:
        p: the probability of being replaced.
        inplace: overwrite the input.

    Raises:
        ValueError: if `p` is no probability.
    """

    def forward(self, input: Any) -> Any:
        """Return the input with channels replaced."""
        return F.feature_alpha_dropout(input, self.p, self.training)
