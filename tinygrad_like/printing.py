"""How a tensor looks when printed: as PyTorch prints it."""

from __future__ import annotations

from typing import Any


def format_tensor(tensor: Any) -> str:
    return f"tensor({tensor.array})"
