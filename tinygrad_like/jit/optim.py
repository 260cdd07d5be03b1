"""The optimizers' rules, each in one pass over a parameter and all that is kept of it.

Each kernel is a loop around an optimizer's own formula, which stands in ``tinygrad_like/nn/optim``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba.extending import overload

from tinygrad_like.jit.compiler import inlined, kernel
from tinygrad_like.jit.mathematics import choose
from tinygrad_like.nn.optim.rules import FORMULAS, where

# Have formulas choose without a branch.
overload(where)(lambda condition, yes, no: lambda condition, yes, no: choose(condition, yes, no))  # noqa: ARG005

# What a formula is given for an array that is not in use plays no part.


def _one(p, g, a, numbers, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(p.size):
        x = a[i] if a is not None else p[i]
        p[i], (x,) = f(p[i], g[i], (x,), numbers, flags)  # type: ignore[name-defined]  # noqa: F821
        if a is not None:
            a[i] = x


def _two(p, g, a, b, numbers, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(p.size):
        p[i], (a[i], b[i]) = f(  # type: ignore[name-defined]  # noqa: F821
            p[i], g[i], (a[i], b[i]), numbers, flags
        )


def _three(p, g, a, b, c, numbers, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(p.size):
        y = b[i] if b is not None else p[i]
        z = c[i] if c is not None else p[i]
        p[i], (a[i], y, z) = f(  # type: ignore[name-defined]  # noqa: F821
            p[i], g[i], (a[i], y, z), numbers, flags
        )
        if b is not None:
            b[i] = y
        if c is not None:
            c[i] = z


_LOOPS = {1: _one, 2: _two, 3: _three}


def __getattr__(name: str) -> Callable[..., None]:
    """Make the kernel of the rule `name`; under that name it is kept on disk."""
    if name not in FORMULAS:
        raise AttributeError(name)
    made: dict[int, Any] = {}  # for each number of arrays that are kept

    def run(p: Any, g: Any, kept: Any, numbers: Any, *flags: bool) -> None:
        count = len(kept)
        if count not in made:
            made[count] = _around(name, count)
        made[count](p, g, *kept, numbers, flags)

    return run


def _around(name: str, count: int) -> Any:
    namespace = {"__name__": __name__, "f": inlined(FORMULAS[name])}
    made = FunctionType(_LOOPS[count].__code__, namespace, name)
    made.__qualname__ = name
    return kernel(made)
