"""The kernel that shuffles."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel


@kernel
def shuffle(order: Any, partners: Any) -> None:
    """Swap each element of `order`, from the first on, with the one at its partner's place."""
    for i in range(partners.size):
        j = partners[i]
        order[i], order[j] = order[j], order[i]
