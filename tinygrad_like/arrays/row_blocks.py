"""Work on the rows of a matrix in blocks that stay in the cache from one pass to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_like import jit, threads
from tinygrad_like.arrays.sums import ones_vector

BLOCK = 1 << 19  # bytes of one array that a block is about as large as
LIGHT, HEAVY = 0.5, 1.5  # what work on rows costs beside one pass that takes exponentials

_RUN = 4096  # numbers that a product sums as precisely as NumPy's pairwise sums do

# ----- Blocks -------------------------------------------------------------------------------------


def rows_of_block(x: Any) -> int:
    """Return how many rows of `x` make a block."""
    return max(1, BLOCK // max(1, int(x.shape[1]) * int(x.itemsize)))


def by_blocks(routine: Callable[..., None], *args: Any, cost: float = LIGHT) -> None:
    """Call ``routine(*args, rows, start, stop)`` for all blocks of the matrix that is the first argument.

    `rows` is the size of a block, and `start` and `stop` say which blocks; large matrices are shared
    out between threads. Blocks are the same however many threads there are, and so are results. `cost`
    is `LIGHT` or `HEAVY`, for a routine that takes exponentials.
    """
    x = args[0]
    rows = rows_of_block(x)
    count = -(-x.shape[0] // rows)
    if count == 1:
        routine(*args, rows, 0, 1)
        return

    def work(start: int, stop: int) -> None:
        routine(*args, rows, start, stop)

    bytes_: float = sum(a.nbytes for a in args if isinstance(a, np.ndarray))
    if not jit.enabled():
        bytes_ /= 6  # NumPy's calls for one block are too short to share out well
    threads.split(count, work, int(cost * bytes_))


def row_slices(rows: int, start: int, stop: int) -> list[slice]:
    """Return the slices that are the blocks from `start` up to `stop`."""
    return [slice(block * rows, (block + 1) * rows) for block in range(start, stop)]


def unbuffered(routine: Callable[..., None]) -> Callable[..., None]:
    """Have NumPy combine rows with single numbers, or with one row, where they lie.

    It copies broadcast operands into a buffer first, piece by piece, unless that is shorter than a
    row, which takes longer than to compute. Only short rows gain by being computed several at once.
    """

    @wraps(routine)
    def run(x: Any, *args: Any) -> None:
        if x.size < 32768 or not 256 <= x.shape[-1] < 8192:
            routine(x, *args)
            return
        with np.errstate():  # which also restores the size of the buffer
            np.setbufsize(16)
            routine(x, *args)

    return run


# ----- Sums ---------------------------------------------------------------------------------------


def row_sums(x: Any, out: Any) -> None:
    """Write the sums of rows: of short ones by a product, which is twice as fast as a reduction."""
    if x.shape[1] <= _RUN:
        np.matmul(x, ones_vector(x.shape[1], x.dtype), out=out)
    else:
        np.add.reduce(x, axis=1, out=out)


def row_dots(x: Any, y: Any, out: Any) -> None:
    """Write the sums of the products of two matrices' rows."""
    if x.shape[1] <= _RUN:
        np.vecdot(x, y, out=out)
    else:
        np.add.reduce(x * y, axis=1, out=out)


def column_sums(x: Any, out: Any) -> None:
    """Write the sums of columns."""
    np.matmul(ones_vector(x.shape[0], x.dtype), x, out=out)
