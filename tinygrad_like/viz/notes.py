"""What is said of operations and data beyond their names and shapes, as far as it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING

from tinygrad_like.graph import AccumulateGrad, Node
from tinygrad_like.viz.picture import Key, Line

if TYPE_CHECKING:
    from tinygrad_like.viz.differences import Differences
    from tinygrad_like.viz.health import Health
    from tinygrad_like.viz.profiling import Profile

RULES = 3  # formulas at one operation


@dataclass
class Note:
    """Lines for a box, its marks and its share of the cost or of the change."""

    lines: list[str] = field(default_factory=list)
    marks: tuple[str, ...] = ()
    heat: float | None = None


def backward_order(nodes: Sequence[Node]) -> dict[Node, int]:
    """Return for each operation and leaf when its turn comes in a backward pass, from 1 on.

    Operations come newest first, by the clock; leaves after them, in the order they are met.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.viz.picture import operations_of
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = (x * x).exp()
    >>> order = backward_order(operations_of([y]))
    >>> order[y.grad_fn], order[x.node]
    (1, 3)
    """
    operations = [node for node in reversed(nodes) if not isinstance(node, AccumulateGrad)]
    found = dict.fromkeys(operations)
    for node in operations:
        found |= dict.fromkeys(p for p in node.parents if isinstance(p, AccumulateGrad))
    found |= dict.fromkeys(nodes)  # a leaf that is drawn by itself
    return {node: number for number, node in enumerate(found, 1)}


@dataclass
class Notes:
    """Everything that was asked for; what wasn't is empty."""

    order: dict[Node, int] = field(default_factory=dict)
    rules: bool = False
    profile: Profile | None = None
    health: Health | None = None
    differences: Differences | None = None
    captions: list[str] = field(default_factory=list)

    def turn(self, nodes: Sequence[Node]) -> Line:
        """Return when a backward pass comes to these nodes."""
        numbers = [self.order[node] for node in nodes]
        first, last = min(numbers), max(numbers)
        return Line(f"backward {first}" + (f" to {last}" if last > first else ""), "order")

    def of_operations(self, nodes: Sequence[Node]) -> Note:
        """Return what is to be said of an operation, or of several shown as one."""
        note = Note()
        if self.rules and len(nodes) == 1:
            note.lines += _rules(nodes[0])
        if self.order:
            note.lines.append(self.turn(nodes))
        if self.profile is not None:
            cost = self.profile.of(*nodes)
            if cost.calls:
                note.lines += [Line(text, "cost") for text in cost.lines()]
                note.heat = cost.time  # relative to the slowest box once all are known
        if self.health is not None:
            found = self.health.of_operations(nodes)
            note.lines += [Line(text, "alarm") for text in found.lines]
            note.marks += found.marks
        if self.differences is not None:
            changed = self.differences.of_operations(nodes)
            note.lines += [Line(text, "change") for text in changed.lines]
            note.marks += changed.marks
            note.heat = changed.heat if changed.heat is not None else note.heat
        return note

    def of_data(self, key: Key) -> Note:
        """Return what is to be said of a value."""
        note = Note()
        if self.health is not None:
            found = self.health.of_data(key)
            note.lines += [Line(text, "alarm") for text in found.lines]
            note.marks += found.marks
        if self.differences is not None:
            changed = self.differences.of_data(key)
            note.lines += [Line(text, "change") for text in changed.lines]
            note.marks += changed.marks
            note.heat = changed.heat
        return note

    def together(self, keys: Sequence[Key]) -> Note:
        """Return what is to be said of values that are not shown by themselves."""
        notes = [self.of_data(key) for key in keys]
        lines = dict.fromkeys(
            line for note in notes for line in note.lines if getattr(line, "tone", "") == "alarm"
        )
        marks = dict.fromkeys(mark for note in notes for mark in note.marks)
        return Note(list(lines), tuple(marks))


def _rules(node: Node) -> list[str]:
    from tinygrad_like.viz.formulas import formula_of

    wanted = [i for i, parent in enumerate(node.parents) if parent is not None]
    shown = [formula_of(node, i) for i in wanted[:RULES]]
    lines = [Line(text, "rule") for formula in shown for text in _wrapped(formula)]
    if len(wanted) > RULES:
        lines.append(Line(f"and {len(wanted) - RULES} more alike", "rule"))
    return list(lines)


def _wrapped(formula: str, width: int = 60) -> list[str]:
    """Return a long formula in several lines: what letters stand for has its own."""
    if len(formula) <= width:
        return [formula]
    return [line for clause in formula.split("; ") for line in _balanced(clause, width)]


def _balanced(text: str, width: int) -> list[str]:
    """Return a text in as few lines as there must be, of about one length."""
    lines = wrap(text, width, break_long_words=False)
    while len(lines) > 1:
        narrower = wrap(text, width - 1, break_long_words=False)
        if len(narrower) > len(lines):
            break
        lines, width = narrower, width - 1
    return lines
