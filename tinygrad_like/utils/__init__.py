"""What surrounds training: data, files, and computing values again instead of keeping them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygrad_like.utils import checkpoint, data, datasets, safetensors, tensorboard, visdom

__all__ = ["checkpoint", "data", "datasets", "safetensors", "tensorboard", "visdom"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported when first asked for
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)  # those not imported yet, too
