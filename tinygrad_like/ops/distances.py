"""Distances between rows: of two collections (`cdist`), or of one among themselves (`pdist`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_like import dtypes, jit
from tinygrad_like.arrays.sums import total
from tinygrad_like.dtypes import F16
from tinygrad_like.graph import Array, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import SIGNED
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.norms import norm
from tinygrad_like.ops.shaping import reshape

__all__ = ["cdist", "pdist"]
FUNCTIONAL = ["pdist"]

_BLOCK = 32768  # differences at a time: they stay in the cache


# ----- By differences -----------------------------------------------------------------------------


def _sign_of(d: Array) -> Array:
    """Return the signs of differences; several times as fast as np.sign, which branches."""
    bits = SIGNED[d.itemsize]
    one, sign = d.dtype.type(1).view(bits), d.dtype.type(-0.0).view(bits)
    out = np.bitwise_and(d.view(bits), sign)
    found: Array = np.bitwise_or(out, one, out=out).view(d.dtype)
    found.reshape(-1)[np.flatnonzero(d == 0)] = 0
    return found


def _blocks(x: Array, y: Array, upper: bool) -> Iterator[tuple[slice, slice, Array]]:
    """Yield some rows of `x`, rows of `y` (the later ones only if `upper`), and their differences."""
    step, width = (max(1, _BLOCK // max(size, 1)) for size in (y.size, x.shape[1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        for first in range(start if upper else 0, len(y), width):
            others = slice(first, first + width)
            yield rows, others, x[rows, None] - y[None, others]


def _lengths(d: Array, p: float) -> Array:
    """Return the p-norms along the last dimension; `d` is used up."""
    if p == 2:
        return np.sqrt(np.einsum("...i,...i->...", d, d))
    if p == 0:
        return np.count_nonzero(d, -1).astype(d.dtype)
    np.abs(d, out=d)
    if p == 1:
        return total(d, (d.ndim - 1,))
    if math.isinf(p):
        return d.max(-1, initial=0)
    np.power(d, p, out=d)
    return total(d, (d.ndim - 1,)) ** (1 / p)


def _slopes(g: Any, d: Any, length: Any, p: float) -> Any:
    """Return the gradients by the differences `d`, 0 where these are 0 (PyTorch, DistanceOpsKernel.cpp)."""
    if p == 0:
        return d * 0
    if p == 1:
        return np.sign(d) * g
    there = length != 0
    if p == 2:
        return d * (g * there / (length + np.logical_not(there)))
    size = np.abs(d)
    if math.isinf(p):
        return np.sign(d) * g * (size == length)
    nonzero = size != 0
    power = (size + np.logical_not(nonzero)) ** (p - 1) * nonzero
    return np.sign(d) * power * (g * there * (length + np.logical_not(there)) ** (1 - p))


# ----- By products --------------------------------------------------------------------------------

# Where a squared distance is this small beside the squared lengths, a difference of products is too
# inexact, and the difference itself is taken.
_CLOSE = 0.02


def _centered(x: Array, y: Array) -> tuple[Array, Array]:
    """Return both moved to where squared lengths are small; the distances stay."""
    middle = x.mean(0)
    moved = x - middle
    return moved, moved if y is x else y - middle


def _by_products(p: float, rows: int) -> bool:
    """Return whether products are to be used: for few rows, as in PyTorch, exactness matters more."""
    return p == 2 and rows > 25


def _squares(x: Array) -> Array:
    return np.einsum("ij,ij->i", x, x)


def _chunks(rows: Array, others: Array, size: int) -> Iterator[tuple[Array, Array]]:
    step = max(1, _BLOCK // max(size, 1))
    for start in range(0, len(rows), step):
        yield rows[start : start + step], others[start : start + step]


def _euclidean(x: Array, y: Array) -> Array:
    """Return Euclidean distances by one matrix product, and where that is inexact by differences."""
    x, y = _centered(x, y)
    sums = np.add.outer(_squares(x), _squares(y))
    out = np.matmul(x, y.T)
    out *= -2
    out += sums
    close = out < sums * _CLOSE
    if x is y:
        np.fill_diagonal(close, False)
        np.fill_diagonal(out, 0)
    rows, others = np.nonzero(close)
    for i, j in _chunks(rows, others, x.shape[1]):
        out[i, j] = _squares(x[i] - y[j])
    return np.sqrt(out, out=out)


def _euclidean_slopes(g: Array, x: Array, y: Array, out: Array) -> tuple[Array, Array]:
    """Return the gradients of `_euclidean`: sums of weighted differences, by products likewise."""
    x, y = _centered(x, y)
    there = out != 0
    weights = np.divide(g, out, out=np.zeros_like(out), where=there)
    sums = np.add.outer(_squares(x), _squares(y))
    rows, others = np.nonzero((out * out < sums * _CLOSE) & there & (g != 0))
    near = weights[rows, others]
    weights[rows, others] = 0
    of_x = x * weights.sum(1)[:, None] - weights @ y
    of_y = y * weights.sum(0)[:, None] - weights.T @ x
    start = 0
    for i, j in _chunks(rows, others, x.shape[1]):
        parts = (x[i] - y[j]) * near[start : start + len(i), None]
        start += len(i)
        np.add.at(of_x, i, parts)
        np.subtract.at(of_y, j, parts)
    return of_x, of_y


# ----- Between two collections --------------------------------------------------------------------


@jit.compiled("distances.sums")
def _sums(x: Array, y: Array, out: Array, upper: bool) -> None:
    _by_differences(x, y, out, 1, upper)


def _by_differences(x: Array, y: Array, out: Array, p: float, upper: bool) -> None:
    for rows, others, d in _blocks(x, y, upper):
        out[rows, others] = _lengths(d, p)


def _pair_lengths(x: Array, y: Array, p: float, products: bool, upper: bool) -> Array:
    """Return the distances ``(P, R)`` of rows; below the diagonal they may be anything if `upper`."""
    if products:
        return _euclidean(x, y)
    out = np.empty((len(x), len(y)), x.dtype)
    if p == 1:
        _sums(x, y, out, upper)
    else:
        _by_differences(x, y, out, p, upper)
    return out


@jit.compiled("distances.signs")
def _signs(
    x: Array,
    y: Array,
    g: Array,
    length: Array,
    of_x: Array,
    of_y: Array,
    largest: bool,
    upper: bool,
) -> None:
    if largest:
        reached = np.where(length > 0, length, np.inf)[:, :, None]
        for rows, others, d in _blocks(x, y, upper):
            chosen = np.flatnonzero(np.abs(d) >= reached[rows, others])
            i, j, k = np.unravel_index(chosen, d.shape)
            parts = np.sign(d[i, j, k]) * g[rows, others][i, j]
            np.add.at(of_x, (i + rows.start, k), parts)
            np.subtract.at(of_y, (j + others.start, k), parts)
        return
    for rows, others, d in _blocks(x, y, upper):
        d = _sign_of(d)
        of_x[rows] += np.matmul(g[rows, None, others], d)[:, 0]
        d *= g[rows, others, None]
        of_y[others] -= d[0] if len(d) == 1 else d.sum(0)


def _pair_slopes(
    g: Array, x: Array, y: Array, out: Array, p: float, products: bool, upper: bool
) -> tuple[Array, Array]:
    """Return the gradients by both collections' rows; `g` is 0 below the diagonal if `upper`."""
    if products:
        return _euclidean_slopes(g, x, y, out)
    of_x, of_y = np.zeros_like(x), np.zeros_like(y)
    if p == 1 or math.isinf(p):
        _signs(x, y, g, out, of_x, of_y, math.isinf(p), upper)
    else:
        for rows, others, d in _blocks(x, y, upper):
            slopes = _slopes(g[rows, others, None], d, out[rows, others, None], p)
            of_x[rows] += total(slopes, (1,))
            of_y[others] -= total(slopes, (0,))
    return of_x, of_y


def _recorded_slopes(g: Any, x: Any, y: Any, p: float) -> tuple[Any, Any]:
    """Return the gradients by both collections, in ops, to be differentiated again."""
    d = x[..., :, None, :] - y[..., None, :, :]
    slopes = _slopes(g[..., None], d, norm(d, p, -1, True) if x.shape[-1] else g[..., None], p)
    return slopes.sum(-2), -slopes.sum(-3)


def _cdist_rule(g: Any, x: Any, y: Any, out: Any, p: float, products: bool) -> Any:
    if not all(type(a) is np.ndarray for a in (g, x, y)):
        return _recorded_slopes(g, x, y, p)
    of_x, of_y = np.empty(x.shape, x.dtype), np.empty(y.shape, y.dtype)
    for b in range(len(x)):
        of_x[b], of_y[b] = _pair_slopes(g[b], x[b], y[b], out[b], p, products, False)
    return of_x, of_y


@op(
    joint=(("x", "y"), lambda g, x, y, out, p, products: _cdist_rule(g, x, y, out, p, products)),
    label="Cdist",
)
def distances(x: Array, y: Array, p: float, products: bool) -> Array:
    """Return the distances ``(B, P, R)`` of all rows of ``(B, P, M)`` from all of ``(B, R, M)``."""
    out = np.empty((*x.shape[:2], y.shape[1]), x.dtype)
    for b in range(len(x)):
        out[b] = _pair_lengths(x[b], y[b], p, products, False)
    return out


_MODES = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}


def cdist(
    x1: Any,
    x2: Any,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Any:
    """Return the p-norms of all differences of a row of one tensor and a row of the other.

    The gradient is 0 where rows are equal.

    Args:
        x1: rows ``(..., P, M)``.
        x2: rows ``(..., R, M)``; batch dimensions broadcast.
        p: which norm, from 0 (how many elements differ) to inf.
        compute_mode: whether Euclidean distances are found by a matrix product: "use_mm_for_euclid_dist",
            "donot_use_mm_for_euclid_dist", or if there are more than 25 rows, as by default.

    Raises:
        RuntimeError: if shapes or dtypes do not fit, or `p` is negative.
        ValueError: for another `compute_mode`.

    >>> import tinygrad_like as torch
    >>> torch.cdist(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([[4.],
            [5.]])
    """
    require_tensors("cdist", x1=x1, x2=x2)
    if compute_mode not in _MODES:
        raise told(
            ValueError,
            f"{compute_mode} is not a valid value for compute_mode: expected one of {list(_MODES)}",
        )
    for name, x in (("X1", x1), ("X2", x2)):
        _refuse_whole("cdist", x, f", {name} got: {dtypes.named(as_array(x).dtype)}")
        if x.ndim < 2:
            raise told(
                RuntimeError, f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D"
            )
    if x1.shape[-1] != x2.shape[-1]:
        raise told(
            RuntimeError,
            f"cdist: X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}",
        )
    if x1.array.dtype is not x2.array.dtype:
        raise told(
            RuntimeError, f"cdist: expected X2 to be {x1.dtype} as X1 is, but found {x2.dtype}"
        )
    _refuse_negative("cdist", p)
    rows, others, size = x1.shape[-2], x2.shape[-2], x1.shape[-1]
    wanted = _MODES[compute_mode]
    products = _by_products(p, max(rows, others)) if wanted is None else wanted and p == 2
    batch = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    count = math.prod(batch)
    x = reshape(broadcast_to(x1, (*batch, rows, size)), (count, rows, size))
    y = reshape(broadcast_to(x2, (*batch, others, size)), (count, others, size))
    return reshape(distances(x, y, float(p), bool(products and rows)), (*batch, rows, others))


def _refuse_whole(name: str, x: Any, shown: str = "") -> None:
    d = as_array(x).dtype
    if d.kind != "f":
        raise told(RuntimeError, f"{name} only supports floating-point dtypes{shown}; use .float()")
    if d is F16:
        raise told(NotImplementedError, f"\"{name}\" not implemented for 'Half'; use .float()")


def _refuse_negative(name: str, p: float) -> None:
    if p < 0:
        raise told(RuntimeError, f"{name} only supports non-negative p values, got {p}")


# ----- Within one collection ----------------------------------------------------------------------


def _pairs(size: int) -> tuple[Array, Array]:
    """Return the rows and columns above the diagonal; np.triu_indices takes many times as long."""
    numbers = np.arange(size)
    rows, columns = np.nonzero(numbers[:, None] < numbers)
    return rows, columns


def _pdist_rule(g: Any, x: Any, out: Any, p: float) -> Any:
    size = x.shape[0]
    if size < 2:
        return x * 0
    pairs = _pairs(size)
    if type(g) is np.ndarray and type(x) is np.ndarray:
        square = np.zeros((2, size, size), x.dtype)
        square[(0, *pairs)], square[(1, *pairs)] = g, out
        of_rows, of_others = _pair_slopes(
            square[0], x, x, square[1], p, _by_products(p, size), True
        )
        return of_rows + of_others
    number, mask = np.zeros((size, size), int), np.zeros((size, size), as_array(x).dtype)
    number[pairs], mask[pairs] = np.arange(len(pairs[0])), 1
    of_rows, of_others = _recorded_slopes(g[number] * mask, x, x, p)
    return of_rows + of_others


@op(x=lambda g, x, out, p: _pdist_rule(g, x, out, p), name="pdist")
def _pdist(x: Array, p: float) -> Array:
    if len(x) < 2:
        return np.empty(0, x.dtype)
    return _pair_lengths(x, x, p, _by_products(p, len(x)), True)[_pairs(len(x))]


def pdist(input: Any, p: float = 2.0) -> Any:
    """Return the p-norms of the differences of all pairs of rows: ``(N, M)`` to ``(N (N - 1) / 2,)``.

    The gradient is 0 where rows are equal.

    Args:
        input: the rows.
        p: which norm, from 0 (how many elements differ) to inf.

    Raises:
        RuntimeError: if it is not a floating-point matrix, or `p` is negative.

    >>> import tinygrad_like as torch
    >>> torch.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]))
    tensor([5., 3., 4.])
    """
    require_tensors("pdist", input=input)
    if input.ndim != 2:
        raise told(RuntimeError, f"pdist only supports 2D tensors, got: {input.ndim}D")
    _refuse_whole("pdist", input)
    _refuse_negative("pdist", p)
    return _pdist(input, float(p))
