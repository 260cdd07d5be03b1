"""Pictures of graphs too large to show in full.

Operations are cut, in the order they were recorded, into stretches: the calls of modules where
modules are known, and runs of operations elsewhere. What stands later in that order never feeds
what stands earlier, so the stretches form a graph without cycles whatever the cuts are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tinygrad_like.graph import AccumulateGrad, Node
from tinygrad_like.viz.notes import Notes
from tinygrad_like.viz.picture import (
    MANY,
    Box,
    Call,
    Cluster,
    Names,
    Picture,
    assign,
    clusters_of,
    key_of,
    operation_name,
)

SHOWN = 60  # boxes that a reader can still take in
RUNS = 12  # stretches to merge down to when even the coarsest cut has more than that


@dataclass
class Stretch:
    """Operations that follow one another and are shown as one box."""

    cluster: int | None  # the module call they are, None for a run of operations
    nodes: list[Node] = field(default_factory=list)
    parts: list[Stretch] = field(default_factory=list)  # what was merged into this one


def cut(
    nodes: Sequence[Node], inside: dict[Node, int], clusters: Sequence[Cluster], depth: int
) -> list[Stretch]:
    """Cut at the borders of the module calls that are `depth` deep (or less, where none is)."""
    stretches: list[Stretch] = []
    for node in nodes:
        cluster = inside.get(node)
        while cluster is not None and clusters[cluster].depth > depth:
            cluster = clusters[cluster].parent
        if not stretches or stretches[-1].cluster != cluster:
            stretches.append(Stretch(cluster))
        stretches[-1].nodes.append(node)
    return stretches


def readable_depth(nodes: Sequence[Node], clusters: Sequence[Cluster]) -> int:
    """Return how many frames may lie in one another so that a reader can still take it in."""
    operations = [node for node in nodes if not isinstance(node, AccumulateGrad)]
    inside = assign(operations, clusters)
    depth = max(cluster.depth for cluster in clusters)
    while depth > 1 and len(cut(operations, inside, clusters, depth)) > 2 * SHOWN:
        depth -= 1
    return depth


def cut_runs(nodes: Sequence[Node]) -> list[Stretch]:
    """Cut where one kind of operation ends and another begins."""
    stretches: list[Stretch] = []
    last = ""
    for node in nodes:
        name = operation_name(node)
        if not stretches or name != last:
            stretches.append(Stretch(None))
        stretches[-1].nodes.append(node)
        last = name
    return stretches


def best_cut(
    nodes: Sequence[Node], inside: dict[Node, int], clusters: Sequence[Cluster], limit: int
) -> list[Stretch]:
    """Return the finest cut that has at most `limit` stretches."""
    if inside:
        depths = range(max(cluster.depth for cluster in clusters), -1, -1)
        cuts = (cut(nodes, inside, clusters, depth) for depth in depths)
    else:
        cuts = (cut_runs(nodes) for _ in range(1))
    stretches: list[Stretch] = []
    for stretches in cuts:
        if len(stretches) <= limit:
            return stretches
    size = -(-len(stretches) // RUNS)
    merged = []
    for first in range(0, len(stretches), size):
        parts = stretches[first : first + size]
        merged.append(Stretch(None, [node for part in parts for node in part.nodes], parts))
    return merged


def counted(number: int, noun: str) -> str:
    """Return ``1,234 operations`` or ``1 operation``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def summary_picture(
    roots: Sequence[Any],
    nodes: Sequence[Node],
    names: Names,
    calls: Iterable[Call],
    notes: Notes | None = None,
    *,
    limit: int,
) -> Picture:
    """Return a picture with a box for each stretch of operations."""
    notes = notes or Notes()
    clusters = clusters_of(calls, names)
    leaves = [node for node in nodes if isinstance(node, AccumulateGrad)]
    operations = [node for node in nodes if not isinstance(node, AccumulateGrad)]
    inside = assign(nodes, clusters)
    stretches = best_cut(operations, inside, clusters, min(limit, SHOWN))
    home = {node: i for i, stretch in enumerate(stretches) for node in stretch.nodes}
    users: dict[Node, set[int]] = {leaf: set() for leaf in leaves}
    arrows: dict[tuple[int, int], None] = {}
    for node in operations:
        for parent in node.parents:
            if parent is None:
                continue
            source, _ = key_of(parent)
            if source in users:
                users[source].add(home[node])
            elif home[source] != home[node]:
                arrows[home[source], home[node]] = None
    owned: dict[int, list[Node]] = {}
    shared: dict[tuple[int, ...], list[Node]] = {}
    for leaf, where in users.items():
        if len(where) == 1:
            owned.setdefault(next(iter(where)), []).append(leaf)
        elif where:
            shared.setdefault(tuple(sorted(where)), []).append(leaf)
    picture = Picture()
    for group, together in shared.items():
        title = names.nodes.get(together[0], "") if len(together) == 1 else ""
        kind = "parameter" if together[0] in names.nodes else "leaf"
        lines = _leaf_lines(together)
        number = picture.add(Box(kind, title or f"used in {len(group)} places", lines))  # type: ignore[arg-type]
        # A fan of arrows to every use would hide the rest.
        picture.arrows += [
            (number, index) for index in (group if len(group) <= MANY else group[:1])
        ]
    shift = len(picture.boxes)
    picture.arrows = [(source, target + shift) for source, target in picture.arrows]
    for index, stretch in enumerate(stretches):
        picture.add(_group_box(stretch, clusters, owned.get(index, []), notes))
    picture.arrows += [(source + shift, target + shift) for source, target in arrows]
    for root in roots:
        if root.node is None:
            continue
        source, _ = key_of(root.node)
        shape = tuple(root.array.shape)
        output = picture.add(Box("output", "result", ["scalar" if shape == () else str(shape)]))
        if source in home:
            picture.arrows.append((home[source] + shift, output))
    picture.captions += notes.captions
    return picture


def _leaf_lines(leaves: Sequence[Node]) -> list[str]:
    elements = sum(prod(leaf.shape) for leaf in leaves)
    return [f"{counted(len(leaves), 'leaf tensor')}, {counted(elements, 'element')}"]


def folded_lines(nodes: Sequence[Node], leaves: Sequence[Node]) -> list[str]:
    """Return what a box says of the operations and leaves that it stands for."""
    counts = Counter(operation_name(node) for node in nodes)
    return [_most_common(counts), *(_leaf_lines(leaves) if leaves else ())]


def _most_common(counts: Counter[str]) -> str:
    common = [f"{number:,} {name}" for name, number in counts.most_common(4)]
    return ", ".join([*common, "…"] if len(counts) > 4 else common)


def _group_box(
    stretch: Stretch, clusters: Sequence[Cluster], leaves: Sequence[Node], notes: Notes
) -> Box:
    counts: Counter[str] = Counter()
    for part in stretch.parts or [Stretch(None, stretch.nodes)]:
        if part.cluster is None:
            counts.update(operation_name(node) for node in part.nodes)
        else:
            counts[clusters[part.cluster].title] += 1
    lines = [_most_common(counts)]
    if leaves:
        lines += _leaf_lines(leaves)
    title = counted(len(stretch.nodes), "operation")
    if stretch.cluster is not None:
        title = clusters[stretch.cluster].title
    first, last = stretch.nodes[0], stretch.nodes[-1]
    hint = f"{operation_name(first)} to {operation_name(last)}"
    note, inputs = notes.of_operations(stretch.nodes), notes.of_leaves(leaves)
    lines += [*note.lines, *inputs.lines]
    marks = (*note.marks, *inputs.marks)
    return Box("group", title, lines, None, hint, marks, note.heat)
