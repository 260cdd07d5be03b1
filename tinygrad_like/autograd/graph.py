"""The graph as users see it: its nodes, and the edges that gradients take."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_like.graph import Node, Pick, Traced

__all__ = ["GradientEdge", "Node", "get_gradient_edge"]


class GradientEdge(NamedTuple):
    """Where a gradient enters the graph: a node, and which of its results it belongs to."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Return the edge by which a gradient of `tensor` enters the graph.

    Raises:
        RuntimeError: if `tensor` requires no gradient.
    """
    node = tensor.node if isinstance(tensor, Traced) else None
    if node is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    if isinstance(node, Pick):
        (made_by,) = node.parents
        assert made_by is not None
        return GradientEdge(made_by, node.index)
    return GradientEdge(node, 0)
