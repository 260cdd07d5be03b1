"""Traps in losses: softmax twice, a column against a row, a gradient that nobody can see."""

from __future__ import annotations

from typing import Any

from tinygrad_like.debug.traps import trap
from tinygrad_like.graph import Node

_ARRANGING = frozenset(("Permute", "Select", "Squeeze", "Transpose", "View"))
_ELEMENTWISE = frozenset(("Abs", "Add", "Div", "Mul", "Neg", "Pow", "Square", "Sub"))


def see_scores(node: Node | None, label: str, loss: str) -> None:
    """Warn if a loss that squashes scores itself is given what was squashed already.

    Args:
        node: the node of what it is given.
        label: that of the operation that it applies itself.
        loss: its name.
    """
    while node is not None and node.label in _ARRANGING:
        node = node.parents[0]
    if node is not None and node.label == label:
        squashing = label.lower()
        trap(
            squashing,
            f"{loss} is given the result of a {squashing}, and applies one itself",
            "scores between 0 and 1 are nearly alike to it: training is slow and stops early",
            "giving it the scores; or log_softmax, and nll_loss"
            if label == "Softmax"
            else "giving it the scores; or binary_cross_entropy",
            line=node.line,
        )


def warn_of_sizes(input: Any, target: Any) -> None:
    """Warn that a loss is given predictions and targets of different shapes, in PyTorch's words."""
    column = len(input) == len(target) + 1 and input[-1] == 1
    trap(
        "",  # PyTorch warns each time
        f"Using a target size (torch.Size({list(target)})) that is different to the input size "
        f"(torch.Size({list(input)})). This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        "each prediction is compared with other samples' targets too",
        "input.squeeze(-1)" if column else "target.reshape(input.shape), or printing both shapes",
    )


def see_sum(node: Node) -> None:
    """Warn if what is summed up to a loss compares each prediction of a column with each target.

    A difference or product of shape `(N, N)` has an operand of shape `(N, 1)` or `(N,)` that needs a
    gradient, and one that needs none: were all pairs meant, the program would have made it a column
    itself, by ``x[:, None]``.
    """
    inner = node.parents[0]
    if inner is None or not _is_square(inner.shape):
        return
    size = inner.shape[0]
    waiting = [inner]
    for _ in range(16):
        if not waiting:
            return
        found = waiting.pop()
        if found.label in ("Sub", "Mul") and len(found.parents) == 2 and None in found.parents:
            operand = found.parents[0] or found.parents[1]
            if operand is not None and _is_lying(operand, size):
                column = len(operand.shape) == 2
                one, other = f"({size}, 1)", f"({size},)"
                trap(
                    "pairs",
                    f"a loss compares predictions {one if column else other} with targets "
                    f"{other if column else one}: all {size} with all {size}",
                    "they broadcast to a matrix, and the best prediction is the same for all",
                    "predictions.squeeze(1)" if column else "targets.squeeze(1)",
                    line=found.line,
                )
                return
        if found.label in _ELEMENTWISE:
            waiting += [p for p in found.parents if p is not None and _is_square(p.shape)]


def _is_square(shape: Any) -> bool:
    return type(shape) is tuple and len(shape) == 2 and shape[0] == shape[1] > 1


def _is_lying(operand: Node, size: int) -> bool:
    """Return True if this is a column or row that was not made one on purpose."""
    if operand.shape == (size,):
        return True
    source = operand.parents[0] if operand.parents else None
    return operand.shape == (size, 1) and (source is None or source.shape != (size,))


def warn_of_lost(leaf: Any) -> None:
    """Warn that a leaf whose gradient is asked for is none that the last backward met."""
    trap(
        "leaf",
        f"this leaf of shape {tuple(leaf.array.shape)} has no gradient: the last backward sent one to a "
        "leaf that is gone",
        "the name means a new tensor now, and the graph was made of the old one",
        "computing the loss anew; or x.copy_(...) under no_grad() in the place of x = ...",
    )
