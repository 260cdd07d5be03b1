"""Functions that modules are made of: torch.nn.functional's names."""

from __future__ import annotations

import importlib

for _name in (
    "unary",
    "arranging",
    "activation",
    "convolution",
    "cross_entropy",
    "linalg",
    "loss",
    "normalization",
    "pooling",
    "random",
    "dropout",
    "embedding",
    "shaping",
    "indexing",
):
    _m = importlib.import_module("tinygrad_like.ops." + _name)
    for _n in [*getattr(_m, "FUNCTIONAL", ()), *_m.__all__]:
        if hasattr(_m, _n):
            globals()[_n] = getattr(_m, _n)
