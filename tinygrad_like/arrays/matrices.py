"""What NumPy's linear algebra lacks, on arrays: triangles solved, LU, the exponential; and checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes, jit
from tinygrad_like.lines import told


class LinAlgError(RuntimeError):
    """Raised where the values of a matrix do not admit what was asked: it is singular, for example."""

    __module__ = "tinygrad_like.linalg"


# ----- Checks -------------------------------------------------------------------------------------


def needs_matrices(name: str, x: Any, square: bool = False, argument: str = "A") -> None:
    """Raise unless `x` is a batch of (square) matrices of float32 or float64.

    Raises:
        RuntimeError: if it is not.
    """
    if x.ndim < 2:
        raise told(
            RuntimeError,
            f"{name}: The input tensor {argument} must have at least 2 dimensions, got {x.ndim}",
        )
    if square and x.shape[-1] != x.shape[-2]:
        raise told(
            RuntimeError,
            f"{name}: {argument} must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices",
        )
    needs_float(name, x)


def needs_float(name: str, x: Any) -> None:
    """Raise unless the elements are of float32 or float64.

    Raises:
        RuntimeError: if they are integers or bools.
        NotImplementedError: if they are of float16.
    """
    if x.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.named(x.dtype).name}; use .float()",
        )
    if x.dtype is dtypes.F16:
        raise told(
            NotImplementedError,
            f"{name}: Low precision dtypes not supported. Got Half; use .float()",
        )


def attempt(compute: Callable[[Any], Any], x: Any, words: str) -> Any:
    """Return ``compute(x)``; where NumPy finds that impossible, raise with the batch's element named.

    Raises:
        LinAlgError: if it is impossible for one of the matrices.
    """
    try:
        return compute(x)
    except np.linalg.LinAlgError:
        where = ""
        if x.ndim > 2:
            for number, matrix in enumerate(x.reshape(-1, *x.shape[-2:])):
                try:
                    compute(matrix)
                except np.linalg.LinAlgError:
                    where = f"(Batch element {number}): "
                    break
        raise LinAlgError(where + words) from None


# ----- Triangles ----------------------------------------------------------------------------------


def solve_triangle(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    """Return what times the triangle of `a` is `b`; the other triangle is not looked at."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    _solve_in_place(np.broadcast_to(a, (*batch, *a.shape[-2:])), out, upper, unit)
    return out


def _solve_in_place(a: Any, out: Any, upper: bool, unit: bool) -> None:
    """Solve by halves, so that products do the work, down to small triangles."""
    size = a.shape[-1]
    if size <= 32:
        count = math.prod(out.shape[:-2])
        part = np.ascontiguousarray(out).reshape(count, *out.shape[-2:])
        _substitute(np.ascontiguousarray(a).reshape(count, size, size), part, upper, unit)
        if not np.shares_memory(part, out):
            out[...] = part.reshape(out.shape)
        return
    half = size // 2
    first, second = slice(half), slice(half, None)
    if upper:
        first, second = second, first
    _solve_in_place(a[..., first, first], out[..., first, :], upper, unit)
    out[..., second, :] -= a[..., second, first] @ out[..., first, :]
    _solve_in_place(a[..., second, second], out[..., second, :], upper, unit)


@jit.compiled("matrices.substitute")
def _substitute(a: Any, out: Any, upper: bool, unit: bool) -> None:
    diagonal = np.arange(a.shape[-1])
    if unit or a[:, diagonal, diagonal].all():
        # Of an upper triangle elimination leaves all as it is: the rest of LAPACK's work is ours.
        turn = slice(None) if upper else slice(None, None, -1)
        triangle = np.triu(a[:, turn, turn], 1)
        triangle[:, diagonal, diagonal] = 1 if unit else a[:, diagonal, diagonal][:, turn]
        out[:, turn] = np.linalg.solve(triangle, out[:, turn])
        return
    for i in range(a.shape[-1])[:: -1 if upper else 1]:
        known = slice(i + 1, None) if upper else slice(i)
        row = out[:, i : i + 1]
        row -= a[:, i : i + 1, known] @ out[:, known]
        if not unit:
            row /= a[:, i : i + 1, i : i + 1]


# ----- LU -----------------------------------------------------------------------------------------


def lu_factors(x: Any) -> tuple[Any, Any]:
    """Return L and U in one matrix, and with which row, counted from 1, each was swapped in turn."""
    rows, columns = x.shape[-2:]
    size = min(rows, columns)
    flat = np.array(x, order="C").reshape(math.prod(x.shape[:-2]), rows, columns)
    swaps = np.empty((len(flat), size), np.int32)
    _factor(flat, swaps, 0, size)
    if columns > size:
        lower = flat[:, :, :size]
        flat[:, :, size:] = solve_triangle(lower, flat[:, :, size:], False, True)
    return flat.reshape(x.shape), swaps.reshape(*x.shape[:-2], size)


def _factor(a: Any, swaps: Any, start: int, stop: int) -> None:
    """Factor columns from `start` to `stop`, by halves (Toledo 1997), swapping whole rows."""
    if stop - start <= 16:
        _panel(a, swaps, start, stop)
        return
    middle = (start + stop) // 2
    done, rest = slice(start, middle), slice(middle, stop)
    _factor(a, swaps, start, middle)
    _solve_in_place(a[:, done, done], a[:, done, rest], False, True)
    a[:, middle:, rest] -= a[:, middle:, done] @ a[:, done, rest]
    _factor(a, swaps, middle, stop)


@jit.compiled("matrices.panel")
def _panel(a: Any, swaps: Any, start: int, stop: int) -> None:
    if len(a) == 1:
        _panel_of_one(a[0], swaps[0], start, stop)
        return
    batch = np.arange(len(a))
    for j in range(start, stop):
        chosen = j + np.abs(a[:, j:, j]).argmax(1)
        swaps[:, j] = chosen + 1
        held = a[batch, chosen]
        a[batch, chosen] = a[:, j]
        a[:, j] = held
        below, pivot = a[:, j + 1 :, j : j + 1], a[:, j : j + 1, j : j + 1]
        np.divide(below, pivot, out=below, where=pivot != 0)
        a[:, j + 1 :, j + 1 : stop] -= below * a[:, j : j + 1, j + 1 : stop]


def _panel_of_one(a: Any, swaps: Any, start: int, stop: int) -> None:
    for j in range(start, stop):
        column = a[j:, j]
        chosen = j + int(np.absolute(column).argmax())
        swaps[j] = chosen + 1
        if chosen != j:
            a[[j, chosen]] = a[[chosen, j]]
        if column[0] != 0:
            column[1:] /= column[0]
        a[j + 1 :, j + 1 : stop] -= column[1:, None] * a[j, j + 1 : stop]


def permutation(swaps: Any, rows: int, d: Any) -> Any:
    """Return the matrices P ``(..., rows, rows)`` that a list of swaps stands for, as in A = P L U."""
    flat = swaps.reshape(math.prod(swaps.shape[:-1]), swaps.shape[-1])
    if len(flat) <= 16:
        orders = [list(range(rows)) for _ in flat]
        for order, line in zip(orders, flat.tolist(), strict=True):
            for j, number in enumerate(line):
                order[j], order[number - 1] = order[number - 1], order[j]
        places = np.array(orders, np.intp).reshape(len(flat), rows)
    else:
        places = np.tile(np.arange(rows), (len(flat), 1))
        batch = np.arange(len(flat))
        for j in range(flat.shape[1]):
            chosen = flat[:, j] - 1
            held = places[batch, chosen]
            places[batch, chosen] = places[:, j]
            places[:, j] = held
    out = np.zeros((len(flat), rows, rows), d)
    out[np.arange(len(flat))[:, None], places, np.arange(rows)] = 1
    return out.reshape(*swaps.shape[:-1], rows, rows)


# ----- The exponential ----------------------------------------------------------------------------

# Coefficients of the [13/13] Pade approximant, and the norm up to which it is exact in float64.
_PADE = (
    *(64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0),
    *(129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0),
    *(40840800.0, 960960.0, 16380.0, 182.0, 1.0),
)
_REACH = 5.371920351148152


def exponential(x: Any) -> Any:
    """Return the exponential of matrices, by scaling and squaring (Higham 2005, algorithm 2.3)."""
    if not x.size:
        return x.copy()
    norm = np.abs(x).sum(-2).max(-1)
    finite = np.where(np.isfinite(norm) & (norm > 0), norm, 1.0)
    halvings = np.maximum(np.ceil(np.log2(finite / _REACH)), 0).astype(int)[..., None, None]
    a = (x * 2.0**-halvings).astype(x.dtype)
    eye = np.eye(x.shape[-1], dtype=x.dtype)
    b = _PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a2 @ a4
    odd = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2
    odd = a @ (odd + b[1] * eye)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2
    even = even + b[0] * eye
    out = np.linalg.solve(even - odd, even + odd)
    for turn in range(int(halvings.max())):
        out = np.where(halvings > turn, out @ out, out)
    return out
