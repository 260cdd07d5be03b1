"""Kernels of normalization: see `tinygrad_like.arrays.norm_rows`, which has the NumPy versions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.jit.compiler import inlined_sum, kernel

RUN = 4096  # long rows are summed in runs, whose sums are then added: far fewer roundings in a row


@inlined_sum
def total(row: Any) -> Any:
    """Return the sum of a row."""
    real = row.dtype.type
    result = real(0)
    for start in range(0, row.size, RUN):
        part = real(0)
        for j in range(start, min(start + RUN, row.size)):
            part += row[j]
        result += part
    return result


@inlined_sum
def squares(row: Any, mean: Any) -> Any:
    """Return the sum of a row's squared differences from `mean`."""
    real = row.dtype.type
    result = real(0)
    for start in range(0, row.size, RUN):
        part = real(0)
        for j in range(start, min(start + RUN, row.size)):
            part += (row[j] - mean) * (row[j] - mean)
        result += part
    return result


@inlined_sum
def dots(g: Any, row: Any, mean: Any) -> Any:
    """Return the sums of `g` and of its products with a row's differences from `mean`."""
    real = row.dtype.type
    result, products = real(0), real(0)
    for start in range(0, row.size, RUN):
        part, product = real(0), real(0)
        for j in range(start, min(start + RUN, row.size)):
            part += g[j]
            product += g[j] * (row[j] - mean)
        result += part
        products += product
    return result, products


@inlined_sum
def scaled_dots(g: Any, row: Any, scale: Any, mean: Any) -> Any:
    """Return what `dots` does for ``g * scale``."""
    real = row.dtype.type
    result, products = real(0), real(0)
    for start in range(0, row.size, RUN):
        part, product = real(0), real(0)
        for j in range(start, min(start + RUN, row.size)):
            h = g[j] * scale[j]
            part += h
            product += h * (row[j] - mean)
        result += part
        products += product
    return result, products


# ----- Rows made standard, elements of a row scaled and shifted on their own ----------------------


@kernel
def standardize(
    x: Any,
    scale: Any,
    shift: Any,
    out: Any,
    mean: Any,
    rstd: Any,
    eps: Any,
    centered: Any,
    rows: Any,
    start: Any,
    stop: Any,
) -> None:
    """Make the mean of rows 0, if `centered`, and their mean square 1; scale and shift them."""
    real = x.dtype.type
    size = x.shape[1]
    share, least = real(1 / size), real(eps)
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        m = total(row) * share if centered else real(0)
        r = real(1) / np.sqrt(squares(row, m) * share + least)
        mean[i], rstd[i] = m, r
        for j in range(size):
            y = (row[j] - m) * r
            if scale is not None:
                y *= scale[j]
            if shift is not None:
                y += shift[j]
            made[j] = y


@kernel
def standardize_backward(
    g: Any,
    x: Any,
    scale: Any,
    mean: Any,
    rstd: Any,
    dx: Any,
    d_scale: Any,
    d_shift: Any,
    centered: Any,
    rows: Any,
    start: Any,
    stop: Any,
) -> None:
    """Find the gradients of `standardize`, those for scale and shift summed for each block."""
    real = x.dtype.type
    size = x.shape[1]
    share = real(1 / size)
    for block in range(start, stop):
        if scale is not None:
            d_scale[block, :] = real(0)
            d_shift[block, :] = real(0)
        for i in range(block * rows, min((block + 1) * rows, x.shape[0])):
            received, row, sent = g[i], x[i], dx[i]
            m, r = mean[i], rstd[i]
            if scale is None:
                sums, products = dots(received, row, m)
            else:
                sums, products = scaled_dots(received, row, scale, m)
            slope = -products * r * r * share
            level = -sums * r * share if centered else real(0)
            if scale is None:
                for j in range(size):
                    sent[j] = received[j] * r + (row[j] - m) * r * slope + level
            else:
                d_weight, d_bias = d_scale[block], d_shift[block]
                for j in range(size):
                    standard = (row[j] - m) * r
                    d_weight[j] += received[j] * standard
                    d_bias[j] += received[j]
                    sent[j] = received[j] * scale[j] * r + standard * slope + level


# ----- Moments, and rows scaled and shifted as a whole --------------------------------------------


@kernel
def moments(x: Any, mean: Any, square: Any, rows: Any, start: Any, stop: Any) -> None:
    """Find the mean of each row and the sum of its squared differences from that."""
    real = x.dtype.type
    share = real(1 / x.shape[1])
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        m = total(x[i]) * share
        mean[i], square[i] = m, squares(x[i], m)


@kernel
def products(
    g: Any, x: Any, mean: Any, sums: Any, product: Any, rows: Any, start: Any, stop: Any
) -> None:
    """Find the sum of each row of `g`, and of its products with the row of `x` less `mean`."""
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        sums[i], product[i] = dots(g[i], x[i], mean[i])


@kernel
def scale(
    x: Any, mean: Any, factor: Any, term: Any, out: Any, rows: Any, start: Any, stop: Any
) -> None:
    """Write ``(x - mean) * factor + term`` for each row."""
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        m, f, t = mean[i], factor[i], term[i]
        for j in range(x.shape[1]):
            made[j] = (row[j] - m) * f + t


@kernel
def combine(
    g: Any,
    x: Any,
    mean: Any,
    factor: Any,
    slope: Any,
    term: Any,
    out: Any,
    rows: Any,
    start: Any,
    stop: Any,
) -> None:
    """Write ``g * factor + (x - mean) * slope + term`` for each row."""
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        received, row, made = g[i], x[i], out[i]
        m, f, s, t = mean[i], factor[i], slope[i], term[i]
        for j in range(x.shape[1]):
            made[j] = received[j] * f + (row[j] - m) * s + t


# ----- The same for columns, sums by blocks of rows -----------------------------------------------


@kernel
def column_moments(x: Any, mean: Any, square: Any, rows: Any, start: Any, stop: Any) -> None:
    """Find the mean of each column of a block and the sum of squared differences from that."""
    real = x.dtype.type
    for block in range(start, stop):
        first, last = block * rows, min((block + 1) * rows, x.shape[0])
        m = mean[block * x.shape[1] : (block + 1) * x.shape[1]]
        s = square[block * x.shape[1] : (block + 1) * x.shape[1]]
        share = real(1 / (last - first))
        m[:] = real(0)
        s[:] = real(0)
        for i in range(first, last):
            row = x[i]
            for j in range(x.shape[1]):
                m[j] += row[j]
        for j in range(x.shape[1]):
            m[j] *= share
        for i in range(first, last):
            row = x[i]
            for j in range(x.shape[1]):
                s[j] += (row[j] - m[j]) * (row[j] - m[j])


@kernel
def column_products(
    g: Any, x: Any, mean: Any, sums: Any, product: Any, rows: Any, start: Any, stop: Any
) -> None:
    """Find the sum of each column of a block of `g`, and of its products with ``x - mean``."""
    real = x.dtype.type
    for block in range(start, stop):
        s = sums[block * x.shape[1] : (block + 1) * x.shape[1]]
        p = product[block * x.shape[1] : (block + 1) * x.shape[1]]
        s[:] = real(0)
        p[:] = real(0)
        for i in range(block * rows, min((block + 1) * rows, x.shape[0])):
            received, row = g[i], x[i]
            for j in range(x.shape[1]):
                s[j] += received[j]
                p[j] += received[j] * (row[j] - mean[j])


@kernel
def column_scale(
    x: Any, mean: Any, factor: Any, term: Any, out: Any, rows: Any, start: Any, stop: Any
) -> None:
    """Write ``(x - mean) * factor + term`` for each column."""
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        row, made = x[i], out[i]
        for j in range(x.shape[1]):
            made[j] = (row[j] - mean[j]) * factor[j] + term[j]


@kernel
def column_combine(
    g: Any,
    x: Any,
    mean: Any,
    factor: Any,
    slope: Any,
    term: Any,
    out: Any,
    rows: Any,
    start: Any,
    stop: Any,
) -> None:
    """Write ``g * factor + (x - mean) * slope + term`` for each column."""
    for i in range(start * rows, min(stop * rows, x.shape[0])):
        received, row, made = g[i], x[i], out[i]
        for j in range(x.shape[1]):
            made[j] = received[j] * factor[j] + (row[j] - mean[j]) * slope[j] + term[j]
