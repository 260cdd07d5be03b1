"""Kernels of softmax and cross entropy: see `tinygrad_like.ops.softmax`, which has NumPy's versions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tinygrad_like.jit.compiler import inlined, kernel
from tinygrad_like.jit.mathematics import _bits32, _bits64, _real32, _real64, choose, exp, log
from tinygrad_like.jit.norms import _RUN, dots, total

# ----- The largest element ------------------------------------------------------------------------


def _by_integers(whole: Any, bits: Any, number: Any) -> Any:
    """Return a function that finds the largest element of a row, a positive nan if there is one.

    Compared as floats they would have to be taken one after the other, because of nans. As integers
    numbers have the same order once all but the sign of negative ones is inverted.
    """
    shift = whole(31 if whole is np.int32 else 63)
    rest = np.iinfo(whole).max
    least = np.iinfo(whole).min

    @inlined
    def order(i: Any) -> Any:
        return whole(i ^ whole(whole(i >> shift) & whole(rest)))

    @inlined
    def largest(row: Any) -> Any:
        found = whole(least)
        for j in range(row.size):
            i = order(bits(row[j]))
            found = choose(i > found, i, found)
        return number(order(found))

    return largest


_largest32 = _by_integers(np.int32, _bits32, _real32)
_largest64 = _by_integers(np.int64, _bits64, _real64)


def largest(row: Any) -> Any:
    """Return the largest element of a row."""
    raise NotImplementedError("largest is for kernels")


@overload(largest, jit_options={"forceinline": True})  # type: ignore[untyped-decorator]
def _largest(row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if row.dtype == types.float32:
        return lambda row: _largest32(row)
    return lambda row: _largest64(row)


# ----- Softmax ------------------------------------------------------------------------------------


@kernel
def softmax(x: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write exponentials divided by the sum of their row."""
    real = x.dtype.type
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        top = largest(row)
        summed = real(0)
        for first in range(0, row.size, _RUN):
            part = real(0)
            for j in range(first, min(first + _RUN, row.size)):
                e = exp(row[j] - top)
                made[j] = e
                part += e
            summed += part
        scale = real(1) / summed
        for j in range(row.size):
            made[j] *= scale


@kernel
def softmax_backward(g: Any, y: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write ``(g - sum(g * y)) * y`` for each row."""
    real = y.dtype.type
    for i in range(start * rows, min(stop * rows, y.shape[0])):
        received, row, made = g[i], y[i], out[i]
        _, product = dots(received, row, real(0))
        for j in range(row.size):
            made[j] = (received[j] - product) * row[j]


@kernel
def log_softmax(x: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write differences from the logarithm of the sum of a row's exponentials."""
    real = x.dtype.type
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        top = largest(row)
        summed = real(0)
        for first in range(0, row.size, _RUN):
            part = real(0)
            for j in range(first, min(first + _RUN, row.size)):
                part += exp(row[j] - top)
            summed += part
        level = log(summed)
        for j in range(row.size):
            made[j] = (row[j] - top) - level


@kernel
def log_softmax_backward(g: Any, y: Any, out: Any, rows: Any, start: Any, stop: Any) -> None:
    """Write ``g - exp(y) * sum(g)`` for each row."""
    for i in range(start * rows, min(stop * rows, y.shape[0])):
        received, row, made = g[i], y[i], out[i]
        summed = total(received)
        for j in range(row.size):
            made[j] = received[j] - exp(row[j]) * summed
