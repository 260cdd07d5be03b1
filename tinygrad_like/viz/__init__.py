"""Pictures of the graph behind a tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tinygrad_like.graph import AccumulateGrad, Traced
from tinygrad_like.viz.picture import Call, Names, full_picture, operations_of

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_like.viz.drawing import Drawing

__all__ = ["draw", "render"]


def draw(
    tensor: Any,
    params: Any = None,
    *,
    show_values: bool = False,
    show_grads: bool = False,
    modules: Iterable[Call] = (),
    direction: str = "forward",
    rankdir: str = "TB",
    limit: int = 1000,
) -> Drawing:
    """Return a `graphviz.Digraph` of the operations `tensor` was computed by, and of their data.

    Ellipses are operations; boxes are data, with shape and dtype: parameters and other leaves blue,
    values that need no gradient dashed, `tensor` itself green. A notebook shows the result by
    itself; `render` writes it to a file. Draw before ``backward()``, or keep the graph with
    ``retain_graph=True``: constants and values that backward has freed can't be shown afterwards.

    Args:
        tensor: a tensor, or a list of them.
        params: names for the data: a dict of tensors, a `Module`, or pairs as from
            ``named_parameters()``. A Module also names the frames around its modules.
        show_values: also show numbers (of up to 6 elements) or mean and standard deviation,
            where the graph has kept the value.
        show_grads: likewise for the ``.grad`` of leaves, and of tensors with `retain_grad`.
        modules: calls of modules, as recorded by `tinygrad_like.nn.module.record_modules`; each
            becomes a frame around its operations.
        direction: "forward", "backward" (dashed arrows, the way gradients go) or "both".
        rankdir: "TB" from top to bottom, "LR" from left to right.
        limit: a graph with more nodes than this is summarised: one box per call of a module, or per
            run of operations.

    Raises:
        TypeError: if `tensor` is not a tensor, or `params` not what is said above.
        ValueError: if `direction` or `rankdir` is something else.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> graph = viz.draw((w * w).sum(), params={"w": w})
    >>> [box.title for box in graph.picture.boxes if box.kind == "operation"]
    ['multiply', 'sum']
    """
    from tinygrad_like.viz.drawing import to_digraph
    from tinygrad_like.viz.summary import summary_picture

    roots = list(tensor) if isinstance(tensor, list | tuple) else [tensor]
    for root in roots:
        if not isinstance(root, Traced):
            raise TypeError(f"draw: expected a tensor or a list of them, got {type(root).__name__}")
    if direction not in ("forward", "backward", "both"):
        raise ValueError(
            f"draw: direction is {direction!r}, expected 'forward', 'backward' or 'both'"
        )
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"draw: rankdir is {rankdir!r}, expected 'TB' or 'LR'")
    nodes = operations_of(roots)
    names = Names.of(params)
    calls = list(modules)
    if len(nodes) > limit and not all(isinstance(node, AccumulateGrad) for node in nodes):
        picture = summary_picture(roots, nodes, names, calls, limit=limit)
    else:
        picture = full_picture(
            roots, nodes, names, calls, show_values=show_values, show_grads=show_grads
        )
    return to_digraph(picture, direction=direction, rankdir=rankdir)


def render(graph: Any, path: Any, *, engine: str | None = None, **options: Any) -> Path:
    """Write what `draw` returned, or a tensor, to a file: see `tinygrad_like.viz.output.render`."""
    from tinygrad_like.viz.output import render as write

    return write(graph, path, engine=engine, **options)
