"""The passes over memory that normalization is made of, on matrices, block by block.

Each writes its results into arrays it is given, and has a kernel in `tinygrad_like.jit.norms`. What
is said of one row or one column, means for example, stands in vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.arrays.row_blocks import column_sums, row_dots, row_slices, row_sums, unbuffered
from tinygrad_like.jit import compiled

LEAST = 2048  # elements from which on a kernel is worth its call


def _as_rows(vector: Any, rows: int, blocks: int) -> Any:
    """Return a vector as a matrix to be combined with blocks: full where several make up for that."""
    if blocks > 1:
        return np.broadcast_to(vector, (rows, len(vector))).copy()
    return vector[None]


# ----- Rows made standard, elements of a row scaled and shifted on their own ----------------------


@compiled("norms.standardize", least=LEAST)
@unbuffered
def standardize(
    x: Any,
    scale: Any,
    shift: Any,
    out: Any,
    mean: Any,
    rstd: Any,
    eps: float,
    centered: bool,
    rows: int,
    start: int,
    stop: int,
) -> None:
    """Make the mean of rows 0, if `centered`, and their mean square 1; scale and shift them.

    Args:
        x: the rows, ``(N, D)``.
        scale: a factor for each element of a row, ``(D)``, or None.
        shift: likewise what is added.
        out: where the result goes.
        mean: where the mean of each row goes, ``(N)``; 0 if not `centered`.
        rstd: where the reciprocal of each row's deviation goes.
        eps: added to the mean square.
        centered: whether the mean is subtracted.
        rows: of a block.
        start: the first block.
        stop: the block after the last.
    """
    share, least = x.dtype.type(1 / x.shape[1]), x.dtype.type(eps)
    if not centered:
        mean[start * rows : stop * rows] = 0
    if scale is not None:
        scale = _as_rows(scale, rows, stop - start)
    if shift is not None:
        shift = _as_rows(shift, rows, stop - start)
    for part in row_slices(rows, start, stop):
        seen, made, r = x[part], out[part], rstd[part]
        if centered:
            m = mean[part]
            row_sums(seen, m)
            m *= share
            seen = np.subtract(seen, m[:, None], out=made)
        row_dots(seen, seen, r)
        r *= share
        r += least
        np.sqrt(r, out=r)
        np.reciprocal(r, out=r)
        np.multiply(seen, r[:, None], out=made)
        if scale is not None:
            made *= scale[: len(r)]
        if shift is not None:
            made += shift[: len(r)]


@compiled("norms.standardize_backward", least=LEAST)
@unbuffered
def standardize_backward(
    g: Any,
    x: Any,
    scale: Any,
    mean: Any,
    rstd: Any,
    dx: Any,
    d_scale: Any,
    d_shift: Any,
    centered: bool,
    rows: int,
    start: int,
    stop: int,
) -> None:
    """Find the gradients of `standardize`, those for scale and shift summed for each block.

    Args:
        g: the gradient of the result, ``(N, D)``.
        x: as for `standardize`, likewise `scale`, `mean`, `rstd` and `centered`.
        scale: see there.
        mean: see there.
        rstd: see there.
        dx: where the gradient of `x` goes.
        d_scale: where the gradient of `scale` goes, ``(blocks, D)``; not used if that is None.
        d_shift: likewise for `shift`.
        centered: see there.
        rows: of a block.
        start: the first block.
        stop: the block after the last.
    """
    share = x.dtype.type(1 / x.shape[1])
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    dots, sums = np.empty(spare.shape[0], x.dtype), np.empty(spare.shape[0], x.dtype)
    wide: Any = None if scale is None else _as_rows(scale, rows, stop - start)
    for block, part in enumerate(row_slices(rows, start, stop), start):
        received, seen, sent, r = g[part], x[part], dx[part], rstd[part]
        count = len(r)
        c, d, s = spare[:count], dots[:count], sums[:count]
        # Rows are left unscaled by r, which is cheaper to put into the factors of whole rows.
        if centered:
            seen = np.subtract(seen, mean[part, None], out=c)
        scaled = received
        if scale is None:
            row_dots(received, seen, d)
        else:
            np.multiply(received, seen, out=sent)
            np.matmul(r, sent, out=d_scale[block])
            column_sums(received, d_shift[block])
            np.matmul(sent, scale, out=d)
            scaled = np.multiply(received, wide[:count], out=sent)
        d *= r
        d *= r
        d *= share
        np.multiply(seen, d[:, None], out=c)
        if centered:
            row_sums(scaled, s)
            s *= share
            c += s[:, None]
        np.subtract(scaled, c, out=sent)
        sent *= r[:, None]


# ----- Moments, and rows scaled and shifted as a whole --------------------------------------------


@compiled("norms.moments", least=LEAST)
@unbuffered
def moments(x: Any, mean: Any, square: Any, rows: int, start: int, stop: int) -> None:
    """Find the mean of each row and the sum of its squared differences from that."""
    share = x.dtype.type(1 / x.shape[1])
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    for part in row_slices(rows, start, stop):
        seen, m = x[part], mean[part]
        row_sums(seen, m)
        m *= share
        c = np.subtract(seen, m[:, None], out=spare[: len(m)])
        row_dots(c, c, square[part])


@compiled("norms.products", least=LEAST)
@unbuffered
def products(
    g: Any, x: Any, mean: Any, sums: Any, product: Any, rows: int, start: int, stop: int
) -> None:
    """Find the sum of each row of `g`, and of its products with the row of `x` less `mean`."""
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    for part in row_slices(rows, start, stop):
        received, m = g[part], mean[part]
        row_sums(received, sums[part])
        c = np.subtract(x[part], m[:, None], out=spare[: len(m)])
        row_dots(received, c, product[part])


@compiled("norms.scale", least=LEAST)
@unbuffered
def scale(
    x: Any, mean: Any, factor: Any, term: Any, out: Any, rows: int, start: int, stop: int
) -> None:
    """Write ``(x - mean) * factor + term`` for each row."""
    for part in row_slices(rows, start, stop):
        _scale(x[part], mean[part, None], factor[part, None], term[part, None], out[part])


def _scale(x: Any, mean: Any, factor: Any, term: Any, out: Any) -> None:
    """Write ``(x - mean) * factor + term`` in two passes, as precisely as PyTorch."""
    np.multiply(x, factor, out=out)
    out += term - mean * factor


@compiled("norms.combine", least=LEAST)
@unbuffered
def combine(
    g: Any,
    x: Any,
    mean: Any,
    factor: Any,
    slope: Any,
    term: Any,
    out: Any,
    rows: int,
    start: int,
    stop: int,
) -> None:
    """Write ``g * factor + (x - mean) * slope + term`` for each row."""
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    for part in row_slices(rows, start, stop):
        c = spare[: len(mean[part])]
        _scale(x[part], mean[part, None], slope[part, None], term[part, None], c)
        made = np.multiply(g[part], factor[part, None], out=out[part])
        made += c


# ----- The same for columns, sums by blocks of rows -----------------------------------------------


@compiled("norms.column_moments", least=LEAST)
@unbuffered
def column_moments(x: Any, mean: Any, square: Any, rows: int, start: int, stop: int) -> None:
    """Find the mean of each column of a block and the sum of squared differences from that."""
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    for block, part in enumerate(row_slices(rows, start, stop), start):
        seen, m = x[part], mean[block * x.shape[1] : (block + 1) * x.shape[1]]
        column_sums(seen, m)
        m *= x.dtype.type(1 / seen.shape[0])
        c = np.subtract(seen, m, out=spare[: seen.shape[0]])
        c *= c
        column_sums(c, square[block * x.shape[1] : (block + 1) * x.shape[1]])


@compiled("norms.column_products", least=LEAST)
@unbuffered
def column_products(
    g: Any, x: Any, mean: Any, sums: Any, product: Any, rows: int, start: int, stop: int
) -> None:
    """Find the sum of each column of a block of `g`, and of its products with ``x - mean``."""
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    for block, part in enumerate(row_slices(rows, start, stop), start):
        received, place = g[part], slice(block * x.shape[1], (block + 1) * x.shape[1])
        column_sums(received, sums[place])
        c = np.subtract(x[part], mean, out=spare[: received.shape[0]])
        c *= received
        column_sums(c, product[place])


@compiled("norms.column_scale", least=LEAST)
@unbuffered
def column_scale(
    x: Any, mean: Any, factor: Any, term: Any, out: Any, rows: int, start: int, stop: int
) -> None:
    """Write ``(x - mean) * factor + term`` for each column."""
    for part in row_slices(rows, start, stop):
        _scale(x[part], mean, factor, term, out[part])


@compiled("norms.column_combine", least=LEAST)
@unbuffered
def column_combine(
    g: Any,
    x: Any,
    mean: Any,
    factor: Any,
    slope: Any,
    term: Any,
    out: Any,
    rows: int,
    start: int,
    stop: int,
) -> None:
    """Write ``g * factor + (x - mean) * slope + term`` for each column."""
    spare = np.empty((min(rows, x.shape[0]), x.shape[1]), x.dtype)
    for part in row_slices(rows, start, stop):
        c = spare[: x[part].shape[0]]
        _scale(x[part], mean, slope, term, c)
        made = np.multiply(g[part], factor, out=out[part])
        made += c
