"""How functions of one number go through arrays: in chunks, by kernels, on several threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import jit, threads

CHUNK = 65536  # elements of which a few arrays stay in the cache: of fewer, calls are what costs


LIGHT = (0.3, 0.1)  # the cost of a pass that hardly computes: see `alike`


def alike(
    routine: Callable[..., None],
    *arrays: Any,
    also: tuple[Any, ...] = (),
    options: Any = (),
    cost: tuple[float, float] = (1.0, 0.3),
) -> Any:
    """Return what `routine` writes for arrays of one shape, in the layout of the last of them.

    The routine is called, on several threads where there is much to do, with flat pieces of the
    arrays, of the result and of those in `also`, and with the options in the result's type.

    Args:
        routine: ``routine(*arrays, out, *also, *options)``.
        arrays: what to read.
        also: further arrays to write, made like the last of `arrays`, or None.
        options: numbers.
        cost: how much sooner it pays to use several threads than for a kernel that takes exponentials:
            with the routine's kernel, and with NumPy, whose calls for single chunks are short.
    """
    out = np.empty_like(arrays[-1])
    if not out.size:
        return out
    laid_out = [a if a.strides == out.strides else _copied(a, out) for a in arrays]
    flat = [None if a is None else a.ravel("K") for a in (*laid_out, out, *also)]
    numbers = [out.dtype.type(option) for option in options]
    bytes_ = int(cost[not jit.enabled()] * out.nbytes * len(flat))
    if bytes_ < threads.LEAST_BYTES:
        routine(*flat, *numbers)
    else:

        def work(start: int, stop: int) -> None:
            routine(*(None if a is None else a[start:stop] for a in flat), *numbers)

        threads.split(out.size, work, bytes_)
    return out


def _copied(x: Any, like: Any) -> Any:
    copy = np.empty_like(like)
    copy[...] = x
    return copy


def in_chunks(compute: Callable[..., None]) -> Callable[..., None]:
    """Return the routine that does `compute` for one chunk of its flat arrays after the other.

    Arguments that are no arrays are the same for all chunks.
    """

    def routine(*args: Any) -> None:
        size = args[0].size
        if size <= CHUNK:
            compute(*args)
            return
        for start in range(0, size, CHUNK):
            part = slice(start, start + CHUNK)
            compute(*(a[part] if isinstance(a, np.ndarray) else a for a in args))

    return routine
