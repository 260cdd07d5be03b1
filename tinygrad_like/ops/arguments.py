"""Arguments that must be tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import Traced
from tinygrad_like.lines import told


def require_tensor(name: str, argument: str, value: Any) -> Any:
    """Return a tensor as it is, and raise PyTorch's error for anything else."""
    if not isinstance(value, Traced):
        raise told(
            TypeError, f"{name}(): argument '{argument}' must be Tensor, not {type(value).__name__}"
        )
    return value


def require_tensors(name: str, **arguments: Any) -> None:
    """Raise PyTorch's error for the first argument that is neither a tensor nor an array."""
    for argument, value in arguments.items():
        if not isinstance(value, (Traced, np.ndarray)):
            require_tensor(name, argument, value)
