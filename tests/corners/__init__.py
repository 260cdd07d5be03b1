"""Calls at the edge of what functions do, one expression a line; `tests/test_corners.py` runs them.

In an expression ``t`` is the package, ``F`` its ``nn.functional``, ``L`` its ``linalg``, ``T`` its
``tensor``. ``r(2, 3)`` gives float64 numbers of a shape, the same for both packages; ``G(f, x, y)``
the result of ``f(x, y)`` and its gradients; ``S(f)`` what ``f()`` gives after seeding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.corners import elementwise, layers, linalg, losses, numbers, random, shapes

MODULES = (elementwise, layers, linalg, losses, numbers, random, shapes)
LINES = [line for module in MODULES for line in module.CORNERS.splitlines() if line]


def names(t: Any) -> dict[str, Any]:
    """Return what expressions may name, of one package."""

    def r(*shape: int) -> Any:
        n = t.arange(math.prod(shape), dtype=t.float64)
        return ((n * 7919 + n * n * 104729) % 1009 / 252 - 2).reshape(shape)

    def gradients(f: Callable[..., Any], *operands: Any) -> list[Any]:
        leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in operands]
        result = f(*leaves)
        results = result if isinstance(result, tuple | list) else [result]
        total = t.zeros(())
        for out in results:
            if out.requires_grad:
                total = total + (out * (t.arange(out.numel()).reshape(out.shape) + 1)).sum()
        total.backward()
        return [*results, *(leaf.grad for leaf in leaves if leaf.requires_grad)]

    def seeded(f: Callable[[], Any], seed: int = 0) -> Any:
        t.manual_seed(seed)
        return f()

    return {
        **{"t": t, "F": t.nn.functional, "L": t.linalg, "T": t.tensor, "math": math},
        **{"r": r, "G": gradients, "S": seeded, "inf": math.inf, "nan": math.nan},
    }
