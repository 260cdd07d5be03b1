"""Rows for the kernels of functions of one number."""

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like import jit

OPTIONS = {
    "elu": [(1.0, 1.0, 1.0), (0.7, 1.1, 1.3)],
    "softplus": [(1.0, 20.0), (2.0, 3.0)],
    "hardtanh": [(-1.5, 2.0)],
    "leaky_relu": [(0.1,), (-0.5,)],
    "threshold": [(0.5, 7.0)],
    "hardshrink": [(0.5,)],
    "softshrink": [(0.5,)],
}
PIECES = [
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "relu", "softshrink",
    "threshold",
]  # fmt: skip
WITH_SLOPE = [
    "cosh", "elu", "erfc", "gelu", "gelu_tanh", "logsigmoid", "mish", "silu", "sinh", "softplus",
]  # fmt: skip
ALONE = ["atanh", "erf", "exp", "expm1", "log", "log1p", "sigmoid", "tanh"]


def numbers(name, rng, dtype):
    """Return numbers of all sizes in the function's domain, 0 and more than one chunk of them."""
    x = rng.normal(size=20000) * rng.choice([0.01, 1, 8], 20000)
    if name.startswith("log") and name != "logsigmoid":
        x = np.abs(x) + 1e-3
    if name == "atanh":
        x = np.tanh(x / 4)
    x[0] = 0.5 if name == "log" else 0
    return x.astype(dtype)


def alone(name, options=()):
    """Return the row of a kernel that finds values."""

    def arguments(rng, dtype):
        x = numbers(name, rng, dtype)
        return x, np.zeros_like(x), *map(dtype.type, options)

    return KernelRow(jit.KERNELS[f"pointwise.{name}"], arguments)


def backward(name, options):
    """Return the row of a kernel that lets gradients pass."""

    def arguments(rng, dtype):
        x = numbers(name, rng, dtype)
        return rng.normal(size=x.size).astype(dtype), x, x * 0, *map(dtype.type, options)

    return KernelRow(jit.KERNELS[f"pointwise.{name}_backward"], arguments)


def with_slope(name, options, wanted):
    """Return the row of a kernel that finds values and, if `wanted`, derivatives."""

    def arguments(rng, dtype):
        x = numbers(name, rng, dtype)
        slope = np.zeros_like(x) if wanted else None
        return x, np.zeros_like(x), slope, *map(dtype.type, options)

    return KernelRow(jit.KERNELS[f"pointwise.{name}"], arguments)


ROWS = [
    *map(alone, ALONE),
    *(f(name, o) for f in (alone, backward) for name in PIECES for o in OPTIONS.get(name, [()])),
    *(
        with_slope(name, options, wanted)
        for name in WITH_SLOPE
        for options in OPTIONS.get(name, [()])
        for wanted in (True, False)
    ),
]
