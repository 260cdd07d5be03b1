"""Kernels of distances between rows, for the norms that take no powers."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel
from tinygrad_like.jit.mathematics import choose


@kernel
def sums(x: Any, y: Any, out: Any, upper: bool) -> None:
    """Write the sums of absolute differences of rows to `out`."""
    for i in range(x.shape[0]):
        for j in range(i if upper else 0, y.shape[0]):
            found = x.dtype.type(0)
            for k in range(x.shape[1]):
                found += abs(x[i, k] - y[j, k])
            out[i, j] = found


@kernel
def signs(
    x: Any, y: Any, g: Any, length: Any, of_x: Any, of_y: Any, largest: bool, upper: bool
) -> None:
    """Add each weight with its difference's sign, only for the largest differences if so told."""
    zero = x.dtype.type(0)
    for i in range(x.shape[0]):
        for j in range(i if upper else 0, y.shape[0]):
            w, reached = g[i, j], length[i, j]
            for k in range(x.shape[1]):
                d = x[i, k] - y[j, k]
                s = choose(d > zero, w, zero) - choose(d < zero, w, zero)
                if largest:
                    s = choose(abs(d) == reached, s, zero)
                of_x[i, k] += s
                of_y[j, k] -= s
