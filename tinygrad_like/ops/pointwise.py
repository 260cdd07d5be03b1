"""How functions of one number are declared: activations, and ufuncs with a kernel.

What takes several passes over an array is done in chunks that stay in the cache, or by a compiled
kernel (`tinygrad_like.jit.pointwise`), and is shared out between threads where it is large.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import jit
from tinygrad_like.arrays.passes import LIGHT, alike, in_chunks
from tinygrad_like.dtypes import F16, F32, F64
from tinygrad_like.graph import Array, Traced
from tinygrad_like.keywords import Parameters
from tinygrad_like.modes import thread_mode
from tinygrad_like.op import UFUNCS, op
from tinygrad_like.ops.comparison import unsupported

LEAST = 4096  # elements from which a kernel beats NumPy by more than it costs to call it


# ----- Activations --------------------------------------------------------------------------------


def smooth(
    name: str,
    derivative: Callable[..., Any],
    *,
    label: str | None = None,
    refusal: str = "",
    dtype: str = "any",
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
        dtype: as for `op`; "float" lets whole numbers become floats.
    """

    def declare(compute: Callable[..., None]) -> Callable[..., Any]:
        routine = jit.compiled(f"pointwise.{name}", least=LEAST)(in_chunks(compute))

        def forward(x: Array, options: tuple[float, ...], wanted: bool) -> Any:
            d = x.dtype
            if d.kind != "f":
                raise unsupported(refusal or f"{name}_cpu", d)
            given = x.astype(F32) if d is F16 else x
            slope = np.empty_like(given) if wanted else None
            out = alike(routine, given, also=(slope,), options=options)
            if d is F16:
                return out.astype(d), None if slope is None else slope.astype(d)
            return out, slope

        def rule(g: Any, x: Any, slope: Any, options: Any) -> Any:
            kept = slope is not None and not isinstance(x, Traced)
            return g * (slope if kept else derivative(x, *options))

        made = op(x=rule, keeps=("slope",), name=name, label=label, dtype=dtype)(forward)

        def call(input: Any, *options: float) -> Any:
            wanted = isinstance(input, Traced) and input.node is not None and thread_mode.grad
            return made(input, options, wanted)

        call.__name__, call.__qualname__, call.__doc__ = name, name, compute.__doc__
        call.__module__ = compute.__module__
        call.routine = routine  # type: ignore[attr-defined]
        call.__wrapped__ = Parameters(  # type: ignore[attr-defined]
            lambda: _without_results(compute), compute
        )
        return call

    return declare


def _without_results(compute: Callable[..., None]) -> inspect.Signature:
    """Return what a function declared by ``compute(x, out, slope, *options)`` is called with."""
    options = list(inspect.signature(compute).parameters.values())[3:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter("input", kind), *options])


def piecewise(
    name: str,
    passed: Callable[..., None],
    *,
    label: str | None = None,
    kinds: str = "f",
    bend: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Declare an op that is made of straight pieces, with its backward, an op too.

    The decorated ``compute(x, out, *options)`` writes the values for a flat array. Kernels called
    `name` and ``name_backward`` stand in for it and for `passed`.

    Args:
        name: of the op.
        passed: ``passed(g, x, out, *options)`` writes what is left of a gradient.
        label: as for `op`.
        kinds: the kinds of elements that it works on.
        bend: the backward's gradient rule for `x`, ``bend(g, x, y, options)`` where `x` is the
            gradient and `y` the operand; None if it is 0, pieces being straight.
    """
    backward_routine = jit.compiled(f"pointwise.{name}_backward", least=LEAST)(in_chunks(passed))
    rules: dict[str, Any] = {"x": lambda g, y, options: backward(g, y, options)}
    if bend is not None:
        rules["y"] = bend

    @op(name=f"{name}_backward", **rules)
    def backward(x: Array, y: Array, options: tuple[float, ...]) -> Array:
        return alike(backward_routine, x, y, options=options, cost=LIGHT)

    def declare(compute: Callable[..., None]) -> Callable[..., Any]:
        routine = jit.compiled(f"pointwise.{name}", least=LEAST)(in_chunks(compute))

        def forward(x: Array, options: tuple[float, ...]) -> Array:
            if x.dtype.kind not in kinds:
                raise unsupported(f"{name}_cpu", x.dtype)
            return alike(routine, x, options=options, cost=LIGHT)

        made = op(x=lambda g, x, options: backward(g, x, options), name=name, label=label)(forward)

        def call(input: Any, *options: float) -> Any:
            return made(input, options)

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
            return alike(routine, x, cost=(1.0, 2.0))  # NumPy does it in one call

        forward.__doc__ = described.__doc__
        made = op(x=rule, dtype="float", name=name, label=label)(forward)
        ufunc = getattr(compute, "ufunc", compute)
        if isinstance(ufunc, np.ufunc):
            UFUNCS[ufunc] = made
        return made

    return declare
