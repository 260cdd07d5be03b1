"""The picture of a graph with a box for each operation, and one for each folded module call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_like.graph import AccumulateGrad, Node
from tinygrad_like.viz.notes import Notes
from tinygrad_like.viz.picture import (
    MANY,
    Box,
    Call,
    Facts,
    Key,
    Kind,
    Names,
    Picture,
    assign,
    clusters_of,
    common,
    describe_kind,
    describe_values,
    key_of,
    operation_name,
    place,
)
from tinygrad_like.viz.summary import folded_lines


@dataclass
class Wanted:
    """What `draw` was asked to show."""

    values: bool = False
    grads: bool = False
    saved: bool = False
    results: str = "boxes"
    depth: int | None = None


@dataclass
class _Builder:
    """Adds boxes and arrows, operands before the operations that use them."""

    roots: Sequence[Any]
    nodes: Sequence[Node]
    names: Names
    calls: Iterable[Call]
    wanted: Wanted
    notes: Notes
    facts: Facts
    data: dict[Key, int] = field(default_factory=dict)
    constants: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.picture = Picture(clusters=clusters_of(self.calls, self.names))
        self.inside: dict[Node, int | None] = dict(assign(self.nodes, self.picture.clusters))
        self.fold: dict[Node, int] = {}
        if self.wanted.depth is not None:
            self._fold(self.wanted.depth)
        self.members: dict[int, list[Node]] = {}
        for node in self.nodes:
            if node in self.fold:
                self.members.setdefault(self.fold[node], []).append(node)
        self.outputs = {key_of(root.node) for root in self.roots if root.node is not None}
        self.saved = self.facts.saved if self.wanted.saved else set()
        self._count_uses()

    def _fold(self, depth: int) -> None:
        """Find the calls `depth` frames deep: each becomes one box, whatever is inside."""
        clusters = self.picture.clusters
        for node, index in self.inside.items():
            while index is not None and clusters[index].depth > depth:
                index = clusters[index].parent
            if index is not None and clusters[index].depth == depth:
                self.fold[node] = index
                self.inside[node] = clusters[index].parent

    def _count_uses(self) -> None:
        self.users: dict[Key, list[int | None]] = {}
        self.used_results: dict[Node, set[int]] = {}
        self.within: dict[int, list[Node]] = {}  # leaves that only one folded call uses
        self.uses: Counter[int] = Counter()
        folds: dict[Key, set[int | None]] = {}
        for node in self.nodes:
            unit = self.fold.get(node)
            for parent in node.parents:
                if parent is None:
                    continue
                key = key_of(parent)
                if unit is not None and self.fold.get(key[0]) == unit:
                    continue
                known = folds.setdefault(key, set())
                if unit is None or unit not in known:
                    self.users.setdefault(key, []).append(self.inside.get(node))
                known.add(unit)
                self.used_results.setdefault(key[0], set()).add(key[1])
            self.uses.update(id(value) for value in self.facts.constants.get(node, ()))
        for node, index in self.outputs:
            self.used_results.setdefault(node, set()).add(index)
        for (node, index), units in folds.items():
            (unit, *others) = units
            hidden = isinstance(node, AccumulateGrad) and not others and unit is not None
            if hidden and (node, index) not in self.outputs and node not in self._fed():
                self.within.setdefault(unit, []).append(node)  # type: ignore[arg-type]

    def _fed(self) -> set[Node]:
        return {
            node
            for node in self.nodes
            if isinstance(node, AccumulateGrad) and id(node.array) in self.names.inputs
        }

    # ----- Data -----------------------------------------------------------------------------------

    def _data_box(self, key: Key, kind: Kind, title: str, shape: Any, cluster: int | None) -> Box:
        lines: list[str] = [describe_kind(shape, self.facts.types.get(key))]
        if self.wanted.values and key in self.facts.values:
            lines.append(describe_values(self.facts.values[key]))
        if self.wanted.grads and key in self.facts.gradients:
            lines.append(f"grad {describe_values(self.facts.gradients[key])}")
        note = self.notes.of_data(key)
        return Box(kind, title, [*lines, *note.lines], cluster, "", note.marks, note.heat)

    def _leaf(self, leaf: Node, cluster: int | None) -> int:
        title = self.names.nodes.get(leaf, "")
        if cluster is not None and "." in title:
            title = title.rpartition(".")[2]  # the frames around it say the rest
        kind: Kind = "parameter" if leaf in self.names.nodes else "leaf"
        if id(leaf.array) in self.names.inputs:  # type: ignore[attr-defined]
            kind = "input"
        box = self._data_box((leaf, 0), kind, title, leaf.shape, cluster)
        if leaf in self.notes.order:
            box.lines.append(self.notes.turn([leaf]))
        return self.picture.add(box)

    def _operand(self, parent: Node, cluster: int | None) -> int:
        key = key_of(parent)
        if isinstance(parent, AccumulateGrad):
            if len(self.users[key]) > MANY:
                return self._leaf(parent, cluster)
            if key not in self.data:
                self.data[key] = self._leaf(parent, common(self.picture.clusters, self.users[key]))
        return self.data[key]

    def _constant(self, value: Any, cluster: int | None) -> int:
        number = self.constants.get(id(value))
        if number is None or self.uses[id(value)] > MANY:
            array = np.asarray(value)
            if isinstance(value, np.ndarray):
                lines = [describe_kind(array.shape, array.dtype)]
                if self.wanted.values:
                    lines.append(describe_values(array))
                kind: Kind = "input" if id(value) in self.names.inputs else "constant"
                home = None if kind == "input" else cluster
                box = Box(kind, self.names.arrays.get(id(value), ""), lines, home)
            else:
                box = Box("constant", f"{value:.4g}", [], cluster)
            number = self.constants[id(value)] = self.picture.add(box)
        return number

    # ----- Operations -----------------------------------------------------------------------------

    def build(self) -> Picture:
        """Return the picture."""
        emitted: set[int] = set()
        for node in self.nodes:
            unit = self.fold.get(node)
            if isinstance(node, AccumulateGrad):
                if (node, 0) in self.outputs:
                    self.data[node, 0] = self._leaf(node, None)
            elif unit is None:
                self._unit([node], self._operation_box(node))
            elif unit not in emitted:
                emitted.add(unit)
                self._unit(self.members[unit], self._folded_box(unit))
        for root in self.roots:
            if root.node is None:
                self._constant(root.array, None)
        self.picture.captions += self.notes.captions
        return self.picture

    def _operation_box(self, node: Node) -> Box:
        note = self.notes.of_operations([node])
        cluster = self.inside.get(node)
        return Box(
            "operation",
            operation_name(node),
            note.lines,
            cluster,
            place(node),
            note.marks,
            note.heat,
        )

    def _folded_box(self, unit: int) -> Box:
        nodes, cluster = self.members[unit], self.picture.clusters[unit]
        note = self.notes.of_operations(nodes)
        leaves = self.within.get(unit, [])
        lines = [*folded_lines(nodes, leaves), *note.lines, *self.notes.of_leaves(leaves).lines]
        marks = (*note.marks, *self.notes.of_leaves(leaves).marks)
        hint = f"{operation_name(nodes[0])} to {operation_name(nodes[-1])}"
        return Box("group", cluster.title, lines, cluster.parent, hint, marks, note.heat)

    def _unit(self, members: list[Node], box: Box) -> None:
        """Add the box of an operation or a folded call, its operands before it and results behind."""
        folded = box.kind == "group"
        own, hidden = set(members), set(self.within.get(self.fold.get(members[0], -1), ()))
        operands: list[int] = []
        for node in members:
            for parent in node.parents:
                if parent is None or (folded and key_of(parent)[0] in own | hidden):
                    continue
                operand = self._operand(parent, box.cluster)
                if not folded or operand not in operands:
                    operands.append(operand)
            for value in self.facts.constants.get(node, ()):
                if not folded or id(value) in self.names.inputs:
                    operands.append(self._constant(value, box.cluster))
        number = self.picture.add(box)
        for operand in operands:
            self.picture.join(operand, number)
        for node in members:
            self._results(node, number, box.cluster)

    def _results(self, node: Node, number: int, cluster: int | None) -> None:
        several = isinstance(node.shape, list)
        for index in sorted(self.used_results.get(node, ())):
            key = (node, index)
            kind: Kind = "saved" if key in self.saved else "result"
            kind = "output" if key in self.outputs else kind
            shape = node.shape[index] if several else node.shape
            title = self.names.nodes.get(node, "") if not several else f"[{index}]"
            # What a module hands on stands between the frames.
            home = common(self.picture.clusters, [cluster, *self.users.get(key, ())])
            home = None if kind == "output" else home
            box = self._data_box(key, kind, title, shape, home)
            if self.wanted.results == "edges" and kind != "output":
                box.kind, box.lines[0] = "flow", box.lines[0].partition(",")[0]
            self.data[key] = self.picture.add(box)
            self.picture.join(number, self.data[key])


def full_picture(
    roots: Sequence[Any],
    nodes: Sequence[Node],
    names: Names,
    calls: Iterable[Call],
    wanted: Wanted,
    notes: Notes,
) -> Picture:
    """Return a picture with a box for every operation, or folded call, and every piece of data."""
    return _Builder(roots, nodes, names, calls, wanted, notes, Facts(nodes, roots)).build()
