"""What the rules of optimizers are made of: passes over flat arrays, as few and as short as can be.

A rule is a dozen elementwise operations, and over a large array each would stream it through memory
again. So a rule runs on blocks that stay in the cache, every operation on a block before the next.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import numpy as np

from tinygrad_like.blas import _libraries

Flat = np.ndarray[Any, Any]  # one-dimensional and contiguous
Kept = tuple[Flat | None, ...]  # None for what is not in use
Rule = Callable[..., None]

BLOCK = 1 << 18  # bytes of one array that are updated at a time
_MOST = 4  # scratch arrays that a rule uses
_LINE = 64  # bytes of a line of the cache
_LEAST = 8192  # elements; for what is smaller, to find addresses for BLAS takes too long

_NAMES = ("scipy_cblas_{}axpby64_", "scipy_cblas_{}axpby", "cblas_{}axpby64_", "cblas_{}axpby")
_memory: Any = (ctypes.c_char * 0).from_buffer  # the fastest way to hand over an address


def flats(count: int, size: int, d: np.dtype[Any]) -> list[Flat]:
    """Return new arrays, each of which starts with a cache line, all at other places in their pages.

    Vectors that lie across two lines, and addresses that differ by whole pages, make passes slower.
    """
    line = _LINE // d.itemsize
    step = (size // line + 2) * line
    memory = np.empty(count * step, d)
    start = -(memory.ctypes.data // d.itemsize) % line
    return [memory[start + i * step :][:size] for i in range(count)]


class _Scratch(threading.local):
    """Arrays to work in, of the size of a block; each thread has its own."""

    def __init__(self) -> None:
        self.arrays: dict[str, list[Flat]] = {}


_scratch = _Scratch()


def scratch(like: Flat, which: int = 0) -> Flat:
    """Return an array like one that is no larger than a block, another one for each `which`.

    What is in it stays there until the same thread asks again.
    """
    kind = like.dtype.char
    found = _scratch.arrays.get(kind)
    if found is None:
        found = _scratch.arrays[kind] = flats(_MOST, BLOCK // like.itemsize, like.dtype)
    return found[which][: like.size]


def parts(kept: Kept, where: slice) -> Kept:
    """Return a part of each array."""
    return tuple(None if k is None else k[where] for k in kept)


def blockwise(rule: Rule) -> Rule:
    """Have ``rule(p, g, kept, *rest)`` called for one block of these arrays after the other."""

    @wraps(rule)
    def run(p: Flat, g: Flat, kept: Kept, *rest: Any) -> None:
        if p.nbytes <= BLOCK:
            rule(p, g, kept, *rest)
            return
        size, count = p.size, -(-p.nbytes // BLOCK)
        for i in range(count):
            where = slice(size * i // count, size * (i + 1) // count)
            rule(p[where], g[where], parts(kept, where), *rest)

    return run


def axpby(a: Any, x: Flat, b: Any, y: Flat, scratch: Flat, combine: Any = np.add) -> None:
    """Set `y` to ``b * y + a * x``, or ``b * y - a * x``.

    NumPy takes three passes. The BLAS it brings has a function for it that NumPy doesn't show, so
    that one is called, where it is found.

    Args:
        a: a number, as a 0-d array of the type of `y`.
        x: an array like `y`.
        b: a number like `a`, or None for 1.
        y: what is changed.
        scratch: an array like `y` to work in; it may be `x`.
        combine: `np.add` or `np.subtract`.
    """
    if y.size >= _LEAST and x.dtype is y.dtype:
        function = _function(y.dtype.char)
        if function is not None:
            first = float(a) if combine is np.add else -float(a)
            second = 1.0 if b is None else float(b)
            if first and second:  # BLAS takes 0 * nan for 0
                try:
                    function(y.size, first, _memory(x), 1, second, _memory(y), 1)
                    return
                except TypeError:  # no addresses are given of memory that is read-only
                    pass
    np.multiply(x, a, scratch)
    if b is not None:
        np.multiply(y, b, y)
    combine(y, scratch, y)


@cache
def _function(kind: str) -> Callable[..., None] | None:
    """Return BLAS's function for a type, given by its character, or None."""
    if kind not in "fd":
        return None
    letter, real = {"f": ("s", ctypes.c_float), "d": ("d", ctypes.c_double)}[kind]
    # Where its integers have 32 bits, it takes those from registers and slots of 64 all the same.
    integer, memory = ctypes.c_int64, ctypes.c_void_p
    for file in _libraries():
        try:
            library = ctypes.CDLL(file)
        except OSError:
            continue
        for name in _NAMES:
            found: Any = getattr(library, name.format(letter), None)
            if found is not None:
                found.argtypes = (integer, real, memory, integer, real, memory, integer)
                found.restype = None
                if _works(found, kind):
                    return found  # type: ignore[no-any-return]
    return None


def _works(function: Callable[..., None], kind: str) -> bool:
    """Return True if `function` does on a small example what it should."""
    x, y = np.arange(5, dtype=kind), np.ones(6, kind)
    function(5, 2.0, _memory(x), 1, 3.0, _memory(y), 1)
    return y.tolist() == [3.0, 5.0, 7.0, 9.0, 11.0, 1.0]
