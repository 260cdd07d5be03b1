"""Time every op of `op_table` and every layer of `layer_table`, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.layer_table import EXPRESSIONS as LAYERS
from benchmarks.layer_table import inputs
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


def layer(torch: Any, line: str, found: dict[str, Any]) -> Callable[[], Any]:
    """Return the function that runs a line of `layer_table` forward and backward on these inputs."""
    made, _, arguments = line.partition(" <- ")
    torch.manual_seed(0)
    module = eval(f"nn.{made}", {"nn": torch.nn})
    call = eval(f"lambda module: module({arguments})", dict(found))
    call(module)  # which makes the parameters of lazy layers
    leaves = [*module.parameters()]
    leaves += [found[n] for n in call.__code__.co_names if n in found and found[n].requires_grad]

    def outputs() -> list[Any]:
        return [o for o in flat(call(module)) if o.requires_grad]

    g = [torch.randn(tuple(o.shape)) for o in outputs()]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        torch.autograd.backward(outputs(), g)

    return step


def flat(value: Any) -> list[Any]:
    """Return the tensors in nested tuples."""
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in flat(part)]
    return [] if value is None else [value]


PAGES = {"ops": (EXPRESSIONS, operands, make), "layers": (LAYERS, inputs, layer)}


def page(name: str, systems: list[str], seconds: float, wanted: list[str]) -> dict[str, Any]:
    """Time every line of a page that contains one of the wanted words (all without any)."""
    from benchmarks.systems import load

    lines, prepare, build = PAGES[name]
    modules = {system: load(system) for system in systems}
    found = {system: prepare(packages(system)) for system in systems}
    results: dict[str, Any] = {}
    chosen = [line for line in lines if not wanted or any(word in line for word in wanted)]
    for line in chosen:
        ready, absent = {}, {}
        for system, module in modules.items():
            try:
                with module.active():
                    step = build(packages(system), line, found[system])
                    step()
                    step()
            except Exception as error:
                absent[system] = reason(error)
            else:
                ready[system] = (step, module.active)
        times = rounds(ready, seconds * len(ready), block=0.002) if ready else {}
        results[line] = {"times": times, "absent": absent}
    return results
