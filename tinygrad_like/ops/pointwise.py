"""Functions of one number: how arrays go through them, and how an activation is declared.

What takes several passes over an array is done in chunks that stay in the cache, or by a compiled
kernel (`tinygrad_like.jit.pointwise`), and is shared out between threads where it is large.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import jit, threads
from tinygrad_like.dtypes import F16, F32, F64
from tinygrad_like.graph import Array, Traced
from tinygrad_like.modes import thread_mode
from tinygrad_like.op import UFUNCS, op
from tinygrad_like.ops.comparison import unsupported

CHUNK = 16384  # elements of which a few arrays stay in the cache
LEAST = 4096  # elements from which a kernel beats NumPy by more than it costs to call it


def flat(x: Any) -> Any:
    """Return the elements in the order of memory: a view of an array without gaps, else a copy."""
    return x.ravel("K")


def by_pieces(routine: Callable[..., None], arrays: tuple[Any, ...], *options: Any) -> None:
    """Call `routine` with flat arrays of equal size (or None), on several threads if they are large."""
    size = arrays[0].size
    bytes_ = sum(a.nbytes for a in arrays if a is not None)
    if bytes_ < threads.LEAST_BYTES:
        routine(*arrays, *options)
        return

    def work(start: int, stop: int) -> None:
        routine(*(None if a is None else a[start:stop] for a in arrays), *options)

    threads.split(size, work, bytes_)


def in_chunks(compute: Callable[..., None]) -> Callable[..., None]:
    """Return the routine that does `compute` for one chunk of flat arrays (or None) after the other."""

    def routine(x: Any, out: Any, slope: Any, *options: Any) -> None:
        for start in range(0, x.size, CHUNK):
            part = slice(start, start + CHUNK)
            compute(x[part], out[part], None if slope is None else slope[part], *options)

    return routine


# ----- Activations --------------------------------------------------------------------------------


def smooth(
    name: str, derivative: Callable[..., Any], *, label: str | None = None, refusal: str = ""
) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Declare an op by a routine that finds value and slope together, while numbers are at hand.

    The decorated ``compute(x, out, slope, *options)`` writes the values for a flat array and, unless
    `slope` is None, the derivatives; a kernel of that name in `tinygrad_like.jit.pointwise` stands
    in for it. What is declared is called with a tensor and the options, which are numbers.

    Args:
        name: of the op and of its kernel.
        derivative: ``derivative(x, *options)`` by operations, for derivatives of higher order.
        label: as for `op`.
        refusal: what PyTorch calls the routine in its error for whole numbers.
    """

    def declare(compute: Callable[..., None]) -> Callable[..., Any]:
        routine = jit.compiled(f"pointwise.{name}", least=LEAST)(in_chunks(compute))

        def forward(x: Array, options: tuple[float, ...], wanted: bool) -> Any:
            d = x.dtype
            if d.kind != "f":
                raise unsupported(refusal or f"{name}_cpu", d)
            given = x.astype(F32) if d is F16 else x
            out = np.empty_like(given)
            if given.strides != out.strides:
                given = given.copy("K")
            slope = np.empty_like(out) if wanted else None
            numbers = [given.dtype.type(option) for option in options]
            arrays = (flat(given), flat(out), None if slope is None else flat(slope))
            by_pieces(routine, arrays, *numbers)
            if d is F16:
                return out.astype(d), None if slope is None else slope.astype(d)
            return out, slope

        def rule(g: Any, x: Any, slope: Any, options: Any) -> Any:
            kept = slope is not None and not isinstance(x, Traced)
            return g * (slope if kept else derivative(x, *options))

        made = op(x=rule, keeps=("slope",), name=name, label=label)(forward)

        def call(input: Any, *options: float) -> Any:
            wanted = isinstance(input, Traced) and input.node is not None and thread_mode.grad
            return made(input, options, wanted)

        call.routine = routine  # type: ignore[attr-defined]
        return call

    return declare


# ----- Functions with a kernel --------------------------------------------------------------------


def elementary(
    compute: Callable[..., Any], rule: Callable[..., Any], label: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an op that is a ufunc, or works like one, with a kernel for large arrays.

    The decorated function gives the op's name, which is the kernel's in
    `tinygrad_like.jit.pointwise`, and docstring.

    Args:
        compute: ``compute(x, out=None)`` returns the values, or writes them.
        rule: gives the gradient.
        label: as for `op`.
    """

    def declare(described: Callable[..., Any]) -> Callable[..., Any]:
        name = described.__name__

        def write(x: Any, out: Any) -> None:
            compute(x, out=out)

        routine = jit.compiled(f"pointwise.{name}", least=LEAST)(write)

        def forward(x: Array) -> Array:
            if x.size < LEAST or (x.dtype is not F32 and x.dtype is not F64):
                return compute(x)
            out = np.empty_like(x)
            if x.strides == out.strides:
                by_pieces(routine, (flat(x), flat(out)))
            else:
                compute(x, out=out)
            return out

        forward.__doc__ = described.__doc__
        made = op(x=rule, dtype="float", name=name, label=label)(forward)
        if isinstance(compute, np.ufunc):
            UFUNCS[compute] = made
        return made

    return declare
