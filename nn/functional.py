"""Functions that modules are made of: torch.nn.functional's names."""

from __future__ import annotations

from tinygrad_like.ops import (
    activation,
    convolution,
    cross_entropy,
    indexing,
    linalg,
    loss,
    normalization,
    pooling,
    random,
    shaping,
    unary,
)

for _m in (
    unary,
    activation,
    convolution,
    cross_entropy,
    linalg,
    loss,
    normalization,
    pooling,
    random,
    shaping,
    indexing,
):
    for _n in [*getattr(_m, "FUNCTIONAL", ()), *_m.__all__]:
        if hasattr(_m, _n):
            globals()[_n] = getattr(_m, _n)
