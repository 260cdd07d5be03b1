"""What changed between two graphs of the same program: values and gradients, one step and the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from tinygrad_like.graph import AccumulateGrad, Node, Traced
from tinygrad_like.viz.health import backward_story
from tinygrad_like.viz.notes import Note
from tinygrad_like.viz.picture import (
    Facts,
    Key,
    operation_name,
    operations_of,
    written_since,
)
from tinygrad_like.viz.story import values_of

Numbers = dict[int, np.ndarray[Any, Any]]  # of an operation, by the index of the result


@dataclass
class Part:
    """An operation or a leaf of a graph: what it is called, its values and their gradients."""

    name: str
    shape: Any
    values: Numbers = field(default_factory=dict)
    gradients: Numbers = field(default_factory=dict)
    node: Node | None = None


@dataclass
class Snapshot:
    """The values and gradients of a graph: made by `snapshot`, compared by ``draw(compare=)``.

    Attributes:
        operations: in the order in which they were recorded.
        leaves: in the order in which operations first use them.
    """

    operations: list[Part]
    leaves: list[Part]


def snapshot(tensor: Any) -> Snapshot:
    """Return copies of the values and gradients in the graph of a tensor, or of several.

    They are what ``draw(later, compare=snapshot)`` compares with. Take it before ``backward()``, which
    frees the graph, and before the optimizer's step, which overwrites the parameters. Gradients are
    found by a backward pass of its own that changes no ``.grad``.

    Raises:
        TypeError: if `tensor` is not a tensor or a list of them.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> w = torch.tensor(3.0, requires_grad=True)
    >>> before = viz.snapshot(w * w)
    >>> [part.name for part in before.operations], before.leaves[0].gradients[0].item()
    (['multiply'], 6.0)
    """
    roots = list(tensor) if isinstance(tensor, list | tuple) else [tensor]
    for root in roots:
        if not isinstance(root, Traced):
            raise TypeError(f"snapshot: expected a tensor, got {type(root).__name__}")
    taken = _parts(roots, operations_of(roots))
    for part in (*taken.operations, *taken.leaves):
        part.values = {index: value.copy() for index, value in part.values.items()}
        part.gradients = {index: g.copy() for index, g in part.gradients.items()}
        part.node = None
    return taken


def _parts(roots: Sequence[Any], nodes: Sequence[Node]) -> Snapshot:
    facts = Facts(nodes, roots)
    values = values_of(nodes, facts)
    story, _ = backward_story(roots)
    gradients = facts.gradients if story is None else story.gradients
    newest = max((node.tick for node in nodes), default=0)
    parts: dict[Node, Part] = {}
    for node in nodes:
        if isinstance(node, AccumulateGrad):
            continue
        for parent in node.parents:
            if isinstance(parent, AccumulateGrad) and parent not in parts:
                parts[parent] = Part("leaf", parent.shape, node=parent)
        parts[node] = Part(operation_name(node), node.shape, node=node)
    for leaf in nodes:
        parts.setdefault(leaf, Part("leaf", leaf.shape, node=leaf))
    for (node, index), value in values.items():
        # What was written since is no longer what the graph was computed from.
        if node in parts and not written_since(value, newest):
            parts[node].values[index] = value
    for (node, index), g in gradients.items():
        if node in parts:
            parts[node].gradients[index] = g
    found = list(parts.values())
    return Snapshot(
        [part for part in found if not isinstance(part.node, AccumulateGrad)],
        [part for part in found if isinstance(part.node, AccumulateGrad)],
    )


@dataclass
class Change:
    """By how much an array changed: at most (of one element), and relative to its former norm."""

    largest: float
    relative: float

    @classmethod
    def between(cls, before: Any, after: Any) -> Change:
        """Return the change from one array to another of the same shape."""
        with np.errstate(all="ignore"):
            old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
            step = np.where(old == new, 0.0, new - old)  # also of equal infinities
            step[np.isnan(old) & np.isnan(new)] = 0.0
            size, former = np.linalg.norm(step.ravel()), np.linalg.norm(old.ravel())
            relative = float(size / former) if former else float("inf") if size else 0.0
            return cls(float(np.abs(step).max(initial=0.0)), relative)

    def __str__(self) -> str:
        if self.relative == 0:
            return "unchanged"
        if np.isnan(self.relative):
            return "changed to or from nan or inf"
        share = "from zero" if np.isinf(self.relative) else f"by {_percent(self.relative)}"
        return f"{share}, at most {self.largest:.2g}"


@dataclass
class Differences:
    """What changed between a graph and an earlier one.

    Attributes:
        values: by the result or leaf, where both are known.
        gradients: likewise.
        new: operations that the earlier graph did not have.
        gone: how many operations it had that this one does not.
    """

    values: dict[Key, Change] = field(default_factory=dict)
    gradients: dict[Key, Change] = field(default_factory=dict)
    new: set[Node] = field(default_factory=set)
    gone: int = 0

    @classmethod
    def of(cls, roots: Sequence[Any], nodes: Sequence[Node], before: Any) -> Differences:
        """Return what changed since `before`: a snapshot, a tensor, or a list of tensors.

        Raises:
            TypeError: if it is something else.
        """
        if isinstance(before, Snapshot):
            earlier = before
        else:
            former = list(before) if isinstance(before, list | tuple) else [before]
            if not all(isinstance(root, Traced) for root in former):
                raise TypeError(
                    "draw: compare must be a tensor, a list of them or what snapshot returned, got "
                    f"{type(before).__name__}"
                )
            earlier = _parts(former, operations_of(former))
        later = _parts(roots, nodes)
        found = cls()
        pairs = _aligned(earlier.operations, later.operations)
        found.gone = len(earlier.operations) - len(pairs)
        matched = {id(after) for _, after in pairs}
        found.new = {
            part.node
            for part in later.operations
            if id(part) not in matched and part.node is not None
        }
        for old, new in [*pairs, *_aligned(earlier.leaves, later.leaves)]:
            assert new.node is not None
            for changes, a, b in (
                (found.values, old.values, new.values),
                (found.gradients, old.gradients, new.gradients),
            ):
                for index in a.keys() & b.keys():
                    if a[index].shape == b[index].shape:
                        changes[new.node, index] = Change.between(a[index], b[index])
        return found

    @property
    def captions(self) -> list[str]:
        """What to say below a picture."""
        told = []
        for name, changes in (("values", self.values), ("gradients", self.gradients)):
            changed = sum(change.relative != 0 for change in changes.values())
            told.append(f"{changed} of {len(changes)} {name} changed")
        lines = [" and ".join(told)]
        if self.new or self.gone:
            lines.append(f"{len(self.new)} operations are new, {self.gone} are gone")
        return lines

    def of_data(self, key: Key) -> Note:
        """Return how a value changed, and its gradient."""
        note, shares = Note(), []
        for what, changes in (("value", self.values), ("gradient", self.gradients)):
            change = changes.get(key)
            if change is not None and change.relative != 0:
                note.lines.append(f"{what} {change}")
                note.marks = ("changed",)
                shares.append(1.0 if np.isnan(change.relative) else change.relative)
        if shares:
            note.heat = 0.2 + 0.8 * min(max(shares), 1.0)
        return note

    def of_operations(self, nodes: Sequence[Node]) -> Note:
        """Return whether an operation is new; of several, how much changed among their results."""
        note = Note()
        fresh = sum(node in self.new for node in nodes)
        if fresh:
            note.lines.append("new" if len(nodes) == 1 else f"{fresh} operations new")
            note.marks = ("new",)
        if len(nodes) > 1:
            inside = [self.values.get((node, 0)) for node in nodes]
            sizes = [c.relative for c in inside if c is not None and c.relative != 0]
            if sizes:
                note.lines.append(f"values by up to {_percent(max(sizes))}")
                note.marks += ("changed",)
                note.heat = 0.2 + 0.8 * min(max(sizes), 1.0)
        return note


def _aligned(before: list[Part], after: list[Part]) -> list[tuple[Part, Part]]:
    """Return the parts that stand for each other: by order, where names and shapes agree."""
    one, two = ([(p.name, str(p.shape)) for p in parts] for parts in (before, after))
    if one == two:
        return list(zip(before, after, strict=True))
    pairs: list[tuple[Part, Part]] = []
    for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks():
        pairs += zip(
            before[block.a : block.a + block.size],
            after[block.b : block.b + block.size],
            strict=True,
        )
    return pairs


def _percent(share: float) -> str:
    return f"{100 * share:,.0f}%" if share >= 1 else f"{100 * share:.2g}%"
