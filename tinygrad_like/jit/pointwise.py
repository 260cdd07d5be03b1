"""Kernels of functions of one number: a loop around each of those in two tables."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from tinygrad_like.jit import activation, mathematics
from tinygrad_like.jit.compiler import kernel

# Functions that find a value.
_ONE = {
    "exp": mathematics.exp,
    "expm1": mathematics.expm1,
    "log": mathematics.log,
    "log1p": mathematics.log1p,
    "sigmoid": mathematics.sigmoid,
    "tanh": mathematics.tanh,
    "sinh": activation.sinh,
    "cosh": activation.cosh,
    "atanh": activation.atanh,
    "erf": mathematics.erf,
    "erfc": mathematics.erfc,
}
# Functions that find a value and its derivative.
_TWO = {
    name: getattr(activation, name)
    for name in (
        "elu", "gelu", "gelu_tanh", "logsigmoid", "mish", "silu", "softplus",
    )
}  # fmt: skip


def _one(x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(x.size):
        out[i] = f(x[i])  # type: ignore[name-defined]  # noqa: F821


def _two(x, out, slope, *options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
    for i in range(x.size):
        y, steep = f(x[i], *options)  # type: ignore[name-defined]  # noqa: F821
        out[i] = y
        if slope is not None:
            slope[i] = steep


def __getattr__(name: str) -> Any:
    """Make the kernel around the function `name`; under that name it is kept on disk."""
    loop: Callable[..., None] = _one if name in _ONE else _two
    function = _ONE.get(name) or _TWO.get(name)
    if function is None:
        raise AttributeError(name)
    made = FunctionType(loop.__code__, {"__name__": __name__, "f": function}, name)
    made.__qualname__ = name
    return kernel(made)
