"""Time every op of `op_table`, forward and backward, in several systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.op_table import EXPRESSIONS, operands
from benchmarks.timing import reason, rounds


def packages(system: str) -> Any:
    """Return the package that a system runs ops of."""
    if system == "torch":
        import torch

        return torch
    import tinygrad_like

    return tinygrad_like


def make(torch: Any, expression: str, found: dict[str, Any]) -> Callable[[], Any]:
    """Return the function that runs an expression forward and backward on these operands."""
    forward = eval(f"lambda: {expression}", {"t": torch, "F": torch.nn.functional, **found})
    leaves = [found[n] for n in forward.__code__.co_names if n in found and found[n].requires_grad]
    outputs = forward()
    several = isinstance(outputs, list | tuple)
    outputs = list(outputs) if several else [outputs]
    g = [torch.randn(tuple(o.shape), dtype=o.dtype) for o in outputs]
    if several:

        def step() -> None:
            for leaf in leaves:
                leaf.grad = None
            torch.autograd.backward(forward(), g)

    else:
        (only,) = g

        def step() -> None:
            for leaf in leaves:
                leaf.grad = None
            forward().backward(only)

    return step


def page(systems: list[str], seconds: float, wanted: list[str]) -> dict[str, Any]:
    """Time every expression that contains one of the wanted words (all without any)."""
    from benchmarks.systems import load

    modules = {system: load(system) for system in systems}
    found = {system: operands(packages(system)) for system in systems}
    results: dict[str, Any] = {}
    chosen = [e for e in EXPRESSIONS if not wanted or any(word in e for word in wanted)]
    for expression in chosen:
        ready, absent = {}, {}
        for system, module in modules.items():
            try:
                step = make(packages(system), expression, found[system])
                with module.active():
                    step()
                    step()
            except Exception as error:
                absent[system] = reason(error)
            else:
                ready[system] = (step, module.active)
        times = rounds(ready, seconds * len(ready), block=0.002) if ready else {}
        results[expression] = {"times": times, "absent": absent}
    return results
