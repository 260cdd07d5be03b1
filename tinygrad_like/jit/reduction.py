"""Kernels of running sums and products along the middle of three dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.jit.compiler import inlined, kernel


@inlined
def _place(j: int, count: int, reverse: bool) -> int:
    return count - 1 - j if reverse else j


@kernel
def cumsum(x: Any, out: Any, reverse: bool) -> None:
    """Write the running sums of `x` to `out`, from the end if `reverse`."""
    outer, count, inner = x.shape
    for i in range(outer):
        if inner == 1:
            total = np.float64(0)
            for j in range(count):
                place = _place(j, count, reverse)
                total += x[i, place, 0]
                out[i, place, 0] = total
            continue
        for j in range(count):
            place = _place(j, count, reverse)
            former = _place(j - 1, count, reverse)
            for k in range(inner):
                out[i, place, k] = x[i, place, k] + (out[i, former, k] if j else x.dtype.type(0))


@kernel
def cumprod(x: Any, out: Any, reverse: bool) -> None:
    """Write the running products of `x` to `out`, from the end if `reverse`."""
    outer, count, inner = x.shape
    for i in range(outer):
        if inner == 1:
            product = np.float64(1)
            for j in range(count):
                place = _place(j, count, reverse)
                product *= x[i, place, 0]
                out[i, place, 0] = product
            continue
        for j in range(count):
            place = _place(j, count, reverse)
            former = _place(j - 1, count, reverse)
            for k in range(inner):
                out[i, place, k] = x[i, place, k] * (out[i, former, k] if j else x.dtype.type(1))
