"""Pictures of the graph behind a tensor, a module or an optimizer's step; what operations cost."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_like.viz.picture import Call

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_like.viz.differences import snapshot
    from tinygrad_like.viz.drawing import Drawing
    from tinygrad_like.viz.plots import activations, gradients, landscape, loss_surface, weights
    from tinygrad_like.viz.profiling import profile, profiled
    from tinygrad_like.viz.webpage import html

__all__ = ["draw", "html", "profile", "profiled", "render", "snapshot"]

# Where names live whose modules are imported when they are first asked for.
_HOMES = {
    "html": "webpage",
    "profile": "profiling",
    "profiled": "profiling",
    "snapshot": "differences",
}
_HOMES |= dict.fromkeys(
    ("activations", "gradients", "landscape", "loss_surface", "weights"), "plots"
)
__all__ += ["activations", "gradients", "landscape", "loss_surface", "weights"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)  # those not imported yet, too


def draw(
    tensor: Any,
    params: Any = None,
    *,
    inputs: Any = None,
    show_values: bool = False,
    show_grads: bool = False,
    show_saved: bool = False,
    show_rules: bool = False,
    show_order: bool = False,
    results: str = "boxes",
    modules: Iterable[Call] = (),
    depth: int | None = None,
    profile: Any = None,
    compare: Any = None,
    highlight: bool = False,
    names: Any = None,
    direction: str = "forward",
    rankdir: str = "TB",
    style: str = "light",
    legend: bool = False,
    limit: int = 1000,
) -> Drawing:
    """Return a `graphviz.Digraph` of the operations `tensor` was computed by, and of their data.

    Ellipses are operations; boxes are data, with shape and dtype: parameters and other leaves blue,
    inputs yellow, other values that need no gradient dashed, `tensor` itself green. A notebook
    shows the result by itself; `render` writes it to a file. Draw before ``backward()``, or keep the
    graph with ``retain_graph=True``: constants and values that backward has freed can't be shown
    afterwards. In a large graph the first round of a loop is shown and all others are one box; then
    calls of modules become boxes, until it can be read.

    Args:
        tensor: a tensor, or a list of them; a function of no arguments that computes such, whose
            calls of modules become frames; a `Module`, which is run on `inputs`; or an optimizer,
            whose next step is shown for each parameter: gradient, state and update.
        params: names for the data: a dict of tensors, a `Module`, or pairs as from
            ``named_parameters()``. What it doesn't name has the name of the caller's variable. With
            an optimizer, the loss whose gradients it is to use where parameters have no ``.grad``.
        inputs: what to call the module with: a tensor, a tuple of arguments, or a dict of named ones.
            Its buffers and the random numbers are left as they were.
        show_values: also show numbers (of up to 6 elements) or mean and standard deviation.
        show_grads: likewise for the ``.grad`` of leaves, and of tensors with `retain_grad`.
        show_saved: give results that are kept for the backward pass a colour of their own.
        show_rules: write below each operation what it passes back, such as ``d(x*y)/dx = g*y``.
        show_order: number operations and leaves in the order in which backward comes to them.
        results: "boxes", or "edges": what flows between operations stands at the arrows.
        modules: calls of modules, as recorded by `tinygrad_like.nn.module.record_modules`; each
            becomes a frame around its operations. Of a function, a Module or a profile they are known.
        depth: how many calls of modules may lie in one another; those deeper become one box each.
            If it isn't said, only what has more than 40 operations is folded, as far as it must be.
        profile: what `profile` or `profiled` returned: time, memory and floating-point operations
            are written at each operation, and the more time it took the deeper its colour.
        compare: an earlier tensor, or what `snapshot` made of it: values and gradients that changed
            since are coloured, with the change relative to the former norm, and of one element.
        highlight: mark nan, infinities, gradients that are zero, that explode or vanish, and
            operations or units that pass none on. It takes a backward pass, which changes no ``.grad``.
        names: with an optimizer, what `params` is otherwise.
        direction: "forward", "backward" (dashed arrows, the way gradients go) or "both".
        rankdir: "TB" from top to bottom, "LR" from left to right.
        style: "light", "dark" (for screens) or "print" (black and white, patterns for colours).
        legend: show what the boxes mean.
        limit: if there are more operations and folded boxes than this whatever is folded, the graph
            is cut into a few runs of operations.

    Raises:
        TypeError: if `tensor` can't be drawn, or `params` is not what is said above.
        ValueError: if `direction`, `rankdir`, `results`, `style` or `depth` is something else.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> graph = viz.draw((w * w).sum(), params={"w": w}, show_rules=True)
    >>> for box in graph.picture.boxes:
    ...     if box.kind == "operation":
    ...         print(box.title, box.lines)
    multiply ['d(x*y)/dx = g*y', 'd(x*y)/dy = g*x']
    sum ['d(Σ x)/dx = g for every element']
    """
    from tinygrad_like.viz.drawing import to_digraph
    from tinygrad_like.viz.full import Wanted
    from tinygrad_like.viz.styles import STYLES
    from tinygrad_like.viz.subjects import picture_of, with_legend

    for name, value, allowed in (
        ("direction", direction, ("forward", "backward", "both")),
        ("rankdir", rankdir, ("TB", "LR")),
        ("results", results, ("boxes", "edges")),
        ("style", style, tuple(STYLES)),
    ):
        if value not in allowed:
            *some, last = map(repr, allowed)
            raise ValueError(f"draw: {name} is {value!r}, expected {', '.join(some)} or {last}")
    if depth is not None and (not isinstance(depth, int) or depth < 0):
        raise ValueError(
            f"draw: depth is {depth!r}, expected None or a number of frames, from 0 on"
        )
    picture = picture_of(
        tensor,
        params,
        inputs=inputs,
        names=names,
        calls=list(modules),
        wanted=Wanted(show_values, show_grads, show_saved, results),
        rules=show_rules,
        order=show_order,
        profile=profile,
        compare=compare,
        highlight=highlight,
        depth=depth,
        limit=limit,
        frame=sys._getframe(1),
    )
    if legend:
        with_legend(picture)
    return to_digraph(picture, direction=direction, rankdir=rankdir, style=STYLES[style])


def render(graph: Any, path: Any, *, engine: str | None = None, **options: Any) -> Path:
    """Write what `draw` returned, or a tensor, to a file: see `tinygrad_like.viz.output.render`."""
    from tinygrad_like.viz.output import render as write

    return write(graph, path, engine=engine, **options)
