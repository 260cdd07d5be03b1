"""Kernels of functions of one number: a loop around each of those in three tables."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from tinygrad_like.jit import activation, mathematics
from tinygrad_like.jit.compiler import kernel

_PIECES = (
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "relu", "softshrink",
    "threshold",
)  # fmt: skip
_SMOOTH = (
    "cosh", "elu", "erfc", "gelu", "gelu_tanh", "logsigmoid", "mish", "silu", "sinh", "softplus",
)  # fmt: skip
_ELEMENTARY = ("erf", "exp", "expm1", "log", "log1p", "sigmoid", "tanh")


def _values(x, out, *options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
    for i in range(x.size):
        out[i] = f(x[i], *options)  # type: ignore[name-defined]  # noqa: F821


def _passed(g, x, out, *options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
    for i in range(x.size):
        out[i] = f(g[i], x[i], *options)  # type: ignore[name-defined]  # noqa: F821


def _slopes(x, out, slope, *options):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
    for i in range(x.size):
        y, steep = f(x[i], *options)  # type: ignore[name-defined]  # noqa: F821
        out[i] = y
        if slope is not None:
            slope[i] = steep


_LOOPS = {
    **{name: (_values, getattr(mathematics, name)) for name in _ELEMENTARY},
    **{name: (_values, getattr(activation, name)) for name in ("atanh", *_PIECES)},
    **{f"{name}_backward": (_passed, getattr(activation, f"{name}_backward")) for name in _PIECES},
    **{name: (_slopes, getattr(activation, name)) for name in _SMOOTH},
}


def __getattr__(name: str) -> Any:
    """Make the kernel around the function `name`; under that name it is kept on disk."""
    if name not in _LOOPS:
        raise AttributeError(name)
    loop, function = _LOOPS[name]
    made = FunctionType(loop.__code__, {"__name__": __name__, "f": function}, name)
    made.__qualname__ = name
    return kernel(made)
