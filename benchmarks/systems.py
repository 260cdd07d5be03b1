"""The systems that are compared: each returns its module and its fastest optimizer settings."""

from typing import Any


def ours() -> tuple[Any, dict[str, Any]]:
    """This package."""
    import tinygrad_like

    return tinygrad_like, {}


def pytorch() -> tuple[Any, dict[str, Any]]:
    """PyTorch, eager, with fused optimizers."""
    import torch

    return torch, {"fused": True}


SYSTEMS = {"ours": ours, "torch": pytorch}
