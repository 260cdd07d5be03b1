"""The picture of a graph with a box for each operation, and one for each folded frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like import lines
from tinygrad_like.graph import AccumulateGrad, Node
from tinygrad_like.viz.notes import Notes
from tinygrad_like.viz.picture import (
    MANY,
    Box,
    Cluster,
    Facts,
    Key,
    Kind,
    Names,
    Picture,
    assign,
    common,
    counted,
    describe_kind,
    describe_values,
    key_of,
    operation_name,
    place,
    written_since,
)

if TYPE_CHECKING:
    from tinygrad_like.viz.story import Witness

FEW = 4  # results of one shape that a folded frame hands on: so many are shown as one


@dataclass
class Wanted:
    """What `draw` was asked to show."""

    values: bool = False
    grads: bool = False
    saved: bool = False
    results: str = "boxes"


@dataclass
class _Builder:
    """Adds boxes and arrows, operands before the operations that use them."""

    roots: Sequence[Any]
    nodes: Sequence[Node]
    names: Names
    frames: Sequence[Cluster]
    wanted: Wanted
    notes: Notes
    facts: Facts
    data: dict[Key, int] = field(default_factory=dict)
    constants: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.picture = Picture(clusters=list(self.frames))
        self.inside: dict[Node, int | None] = dict(assign(self.nodes, self.picture.clusters))
        self.fold: dict[Node, int] = {}
        self._fold()
        self.members: dict[int, list[Node]] = {}
        for node in self.nodes:
            if node in self.fold:
                self.members.setdefault(self.fold[node], []).append(node)
        self.called = {key_of(node): name for node, name in self.names.nodes.items()}
        self.outputs = {key_of(root.node) for root in self.roots if root.node is not None}
        self.saved = self.facts.saved if self.wanted.saved else set()
        self._count_uses()

    def _fold(self) -> None:
        """Find the outermost folded frames: each becomes one box, whatever is inside."""
        clusters = self.picture.clusters
        for node, index in self.inside.items():
            while index is not None:
                if clusters[index].folded:
                    self.fold[node] = index
                    self.inside[node] = clusters[index].parent
                index = clusters[index].parent

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
        together: dict[frozenset[int], list[Node]] = {}
        for (node, index), units in folds.items():
            if not isinstance(node, AccumulateGrad) or (node, index) in self.outputs:
                continue
            hiding = frozenset(unit for unit in units if unit is not None)
            if len(hiding) < len(units) or id(node.array) in self.names.inputs:
                continue
            if len(hiding) == 1:
                (unit,) = hiding
                self.within.setdefault(unit, []).append(node)
            else:
                together.setdefault(hiding, []).append(node)
        self.together = {
            leaf: leaves for leaves in together.values() if len(leaves) > 1 for leaf in leaves
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
        if cluster is not None and not self.picture.clusters[cluster].round:
            title = title.rpartition(".")[2]  # the frames around it say the rest
        fed = id(leaf.array) in self.names.inputs  # type: ignore[attr-defined]
        kind: Kind = "input" if fed else "parameter"
        box = self._data_box((leaf, 0), kind, title, leaf.shape, cluster)
        if leaf in self.notes.order:
            box.lines.append(self.notes.turn([leaf]))
        return self.picture.add(box)

    def _leaves(self, leaves: Sequence[Node]) -> None:
        """Add one box for leaves that the same folded frames use."""
        note = self.notes.together([(leaf, 0) for leaf in leaves])
        (title,) = _leaf_lines(leaves)
        box = Box("parameter", title, note.lines, marks=note.marks)
        self.data |= dict.fromkeys(((leaf, 0) for leaf in leaves), self.picture.add(box))

    def _operand(self, parent: Node, cluster: int | None) -> int:
        key = key_of(parent)
        if isinstance(parent, AccumulateGrad):
            if parent in self.together:
                if key not in self.data:
                    self._leaves(self.together[parent])
                return self.data[key]
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
        told = [_most_common(nodes), *_leaf_lines(leaves)]
        if cluster.round:
            told += _places(nodes)
        inputs = self.notes.together([(leaf, 0) for leaf in leaves])
        told += [*note.lines, *inputs.lines]
        marks = (*note.marks, *inputs.marks)
        hint = f"{operation_name(nodes[0])} to {operation_name(nodes[-1])}"
        return Box("group", cluster.title, told, cluster.parent, hint, marks, note.heat)

    def _unit(self, members: list[Node], box: Box) -> None:
        """Add the box of an operation or a folded call, its operands before it and results behind."""
        folded = box.kind == "group"
        rounds = folded and self.picture.clusters[self.fold[members[0]]].round
        own = {*members, *self.within.get(self.fold.get(members[0], -1), ())}
        operands: list[int] = []
        for node in members:
            for parent in node.parents:
                if parent is None or (folded and key_of(parent)[0] in own):
                    continue
                operands.append(self._operand(parent, box.cluster))
            for value in self.facts.constants.get(node, ()):
                if not folded:
                    operands.append(self._constant(value, box.cluster))
                elif id(value) in self.names.inputs:
                    number = self.constants.get(id(value))
                    # What each round is given is not shown: the first shows what all are given.
                    if number is None and not rounds:
                        number = self._constant(value, box.cluster)
                    operands += [] if number is None else [number]
            for _ in range(0 if folded else self.facts.missing.get(node, 0)):
                unknown = Box("constant", "", ["not kept"], box.cluster, "no rule needs its value")
                operands.append(self.picture.add(unknown))
        number = self.picture.add(box)
        for operand in dict.fromkeys(operands) if folded else operands:
            self.picture.join(operand, number)
        done = self._several(members, number, box.cluster) if folded else ()
        for node in members:
            self._results(node, number, box.cluster, done)

    def _several(self, members: Sequence[Node], number: int, cluster: int | None) -> set[Key]:
        """Add one box for each many results of a folded frame that have one shape."""
        alike: dict[tuple[int, ...], list[Key]] = {}
        for node in members:
            for index in self.used_results.get(node, ()):
                shape = node.shape[index] if isinstance(node.shape, list) else node.shape
                if (node, index) not in self.outputs:
                    alike.setdefault(tuple(shape), []).append((node, index))
        done: set[Key] = set()
        for shape, keys in alike.items():
            if len(keys) < FEW:
                continue
            home = common(
                self.picture.clusters, [cluster, *(c for key in keys for c in self.users[key])]
            )
            note = self.notes.together(keys)
            lines = [describe_kind(shape, self.facts.types.get(keys[0])), *note.lines]
            title = counted(len(keys), "result")
            box = self.picture.add(Box("result", title, lines, home, "", note.marks))
            self.picture.join(number, box)
            self.data |= dict.fromkeys(keys, box)
            done.update(keys)
        return done

    def _results(
        self, node: Node, number: int, cluster: int | None, done: Container[Key] = ()
    ) -> None:
        several = isinstance(node.shape, list)
        for index in sorted(self.used_results.get(node, ())):
            key = (node, index)
            if key in done:
                continue
            kind: Kind = "saved" if key in self.saved else "result"
            kind = "output" if key in self.outputs else kind
            shape = node.shape[index] if several else node.shape
            title = self.called.get(key, f"[{index}]" if several else "")
            # What a module hands on stands between the frames.
            home = common(self.picture.clusters, [cluster, *self.users.get(key, ())])
            home = None if kind == "output" else home
            box = self._data_box(key, kind, title, shape, home)
            if self.wanted.results == "edges" and kind == "result":
                box.kind, box.lines[0] = "flow", box.lines[0].partition(",")[0]
            self.data[key] = self.picture.add(box)
            self.picture.join(number, self.data[key])


def full_picture(
    roots: Sequence[Any],
    nodes: Sequence[Node],
    names: Names,
    frames: Sequence[Cluster],
    wanted: Wanted,
    notes: Notes,
    seen: Witness | None = None,
) -> Picture:
    """Return a picture with a box for every operation, or folded frame, and every piece of data.

    What was `seen` when the operations ran is known besides what the graph has kept.
    """
    facts = Facts(nodes, roots)
    if seen is not None:
        seen.inform(facts, nodes)
    if wanted.values:
        from tinygrad_like.viz.story import values_of

        newest = max((node.tick for node in nodes), default=0)
        if not any(written_since(value, newest) for value in facts.values.values()):
            facts.values = values_of(nodes, facts)  # also what the tape did not keep
    return _Builder(roots, nodes, names, frames, wanted, notes, facts).build()


def _leaf_lines(leaves: Sequence[Node]) -> list[str]:
    if not leaves:
        return []
    elements = sum(prod(leaf.shape) for leaf in leaves)
    return [f"{counted(len(leaves), 'parameter')}, {counted(elements, 'element')}"]


def _most_common(nodes: Sequence[Node]) -> str:
    counts = Counter(operation_name(node) for node in nodes)
    common = [f"{number:,} {name}" for name, number in counts.most_common(4)]
    return ", ".join([*common, "…"] if len(counts) > 4 else common)


def _places(nodes: Sequence[Node]) -> list[str]:
    """Return the lines of the program that nodes were recorded by, if they are of one file."""
    known = {node.line for node in nodes if node.line is not None}
    files = {line[0].co_filename for line in known}
    if len(files) != 1:
        return []
    numbers = [lines.line_number(line) for line in known]
    first, last = min(numbers), max(numbers)
    return [
        lines.location(files.pop(), first, short=True) + (f" to {last}" if last > first else "")
    ]
