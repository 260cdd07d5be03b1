"""What of a large graph is folded into one box: rounds of a loop, calls of modules, runs of operations.

A frame is a stretch of the clock, so what is recorded later never feeds what stands in an earlier
one: folding frames makes no cycle, whichever are folded. Modules give frames by their calls. Loops
are found in the graph itself, as stretches that follow one another and hold the same operations
of the same lines; of these the first is shown, and all others are one box.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tinygrad_like.graph import AccumulateGrad, Node
from tinygrad_like.lines import line_number
from tinygrad_like.viz.picture import (
    Call,
    Cluster,
    Names,
    assign,
    clusters_of,
    counted,
    key_of,
    nested,
    operation_name,
)

READABLE = 40  # operations, or folded boxes, that a reader can take in
ROUNDS = 3  # of a loop, to be taken for one
HIDDEN = 6  # operations that folding must hide, to be worth it
LONGEST = 1000  # operations, or calls, that a round may have
RUNS = 12  # boxes that a graph without any structure is cut into


def frames_of(
    nodes: Sequence[Node], calls: Iterable[Call], names: Names, *, depth: int | None, limit: int
) -> list[Cluster]:
    """Return the frames for a picture of these nodes; some are folded.

    Args:
        nodes: operations and leaves, oldest first.
        calls: of modules.
        names: of the modules.
        depth: how many calls may lie in one another, or None for as many as can be read.
        limit: how many operations and folded boxes there may be, however little is then told.
    """
    operations = [node for node in nodes if not isinstance(node, AccumulateGrad)]
    modules = clusters_of(calls, names)
    if depth is not None:
        return _folded(modules, depth)
    readable = min(limit, READABLE)
    if len(operations) <= readable:
        return modules
    for strict in (True, False):
        plan = _with_rounds(modules, operations, strict=strict)
        level = max((frame.level for frame in plan), default=-1)
        while (count := _shown(plan, operations)) > readable and level > 0:
            plan, level = _folded(plan, level), level - 1
        if count <= readable:
            return plan
    return plan if count <= limit else _runs(operations)


def _folded(frames: Sequence[Cluster], level: int) -> list[Cluster]:
    """Return the frames with the calls folded that are `level` calls deep."""
    return [
        replace(frame, folded=frame.folded or (not frame.round and frame.level == level))
        for frame in frames
    ]


def _shown(frames: Sequence[Cluster], operations: Sequence[Node]) -> int:
    """Return how many boxes for operations and for folded frames there are."""
    outer: list[int | None] = []  # of each frame: the outermost folded one that it lies in
    for index, frame in enumerate(frames):
        above = None if frame.parent is None else outer[frame.parent]
        outer.append(index if above is None and frame.folded else above)
    inside = assign(operations, frames)
    homes = [outer[inside[node]] if node in inside else None for node in operations]
    return homes.count(None) + len({home for home in homes if home is not None})


def _runs(operations: Sequence[Node]) -> list[Cluster]:
    """Cut what has no structure into a few folded frames."""
    size = -(-len(operations) // RUNS)
    cuts = [operations[i : i + size] for i in range(0, len(operations), size)]
    return nested(
        Cluster(counted(len(cut), "operation"), cut[0].tick - 1, cut[-1].tick, folded=True)
        for cut in cuts
    )


# ----- Loops --------------------------------------------------------------------------------------


@dataclass
class _Item:
    """An operation, a call of a module or a whole loop: what rounds are made of."""

    word: int  # the same for what is alike
    first: int
    last: int
    size: int  # operations in it
    line: int  # where it was recorded
    fed: bool  # whether it begins with what the operation before has just made


class _Words(dict[object, int]):
    """A number for each thing that is not yet known."""

    def __missing__(self, thing: object) -> int:
        self[thing] = len(self)
        return self[thing]


def _with_rounds(
    modules: Sequence[Cluster], operations: Sequence[Node], *, strict: bool
) -> list[Cluster]:
    """Return the frames of modules and those of the rounds that are found in each of them.

    Operations are alike that have the same name, line and shape, calls that have the same title; if
    not `strict`, whatever the shape, and calls of the same kind of module.
    """
    words, number = _Words(), cache(line_number)
    held: list[list[_Item]] = [[] for _ in range(len(modules) + 1)]  # in the last: in no frame
    inside = assign(operations, modules)
    before: Node | None = None
    for node in operations:
        line = 0 if node.line is None else number(node.line)
        word = words[operation_name(node), line, str(node.shape) if strict else ""]
        fed = any(parent is not None and key_of(parent)[0] is before for parent in node.parents)
        home, before = inside.get(node, -1), node
        held[home].append(_Item(word, node.tick - 1, node.tick, 1, line, fed))
    found: list[Cluster] = []
    for index in reversed(range(len(modules))):  # a call comes after the one it happened in
        frame, items = modules[index], held[index]
        if not items:
            continue
        found += _rounds(items, words)
        title = frame.title if strict else frame.title.rpartition(": ")[2]
        size = sum(item.size for item in items)
        item = replace(items[0], word=words[title], first=frame.first, last=frame.last, size=size)
        held[-1 if frame.parent is None else frame.parent].append(item)
    found += _rounds(held[-1], words)
    return nested([*found, *modules])


def _rounds(items: list[_Item], words: _Words) -> list[Cluster]:
    """Return frames for the loops among the items, which are replaced by one item for each loop."""
    items.sort(key=lambda item: item.first)
    frames: list[Cluster] = []
    while loops := _repeated(items):
        for start, period, count in reversed(loops):
            end = start + period * count
            body, others = items[start : start + period], items[start + period : end]
            for title, some, folded in (
                (f"first of {count:,} alike", body, False),
                (f"{count - 1:,} more alike", others, True),
            ):
                frames.append(
                    Cluster(title, some[0].first, some[-1].last, folded=folded, round=True)
                )
            word = words[tuple(item.word for item in body)]
            size = sum(item.size for item in items[start:end])
            items[start:end] = [replace(body[0], word=word, last=others[-1].last, size=size)]
    return frames


def _repeated(items: Sequence[_Item]) -> list[tuple[int, int, int]]:
    """Return start, length and number of the shortest rounds that are worth folding, wherever they are."""
    words = np.array([item.word for item in items])
    for period in range(1, min(len(items) // ROUNDS, LONGEST) + 1):
        same = words[:-period] == words[period:]
        needed = (ROUNDS - 1) * period
        if np.count_nonzero(same) < needed:
            continue
        ends = np.flatnonzero(np.diff(same, prepend=False, append=False))
        loops, free = [], 0
        for start, end in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
            start = max(start, free)
            if end - start < needed:
                continue
            begin = _head(items, start, period, spare=(end - start) % period)
            count = (end + period - begin) // period
            if (count - 1) * sum(item.size for item in items[begin : begin + period]) >= HIDDEN:
                loops.append((begin, period, count))
                free = begin + period * count
        if loops:
            return loops
    return []


def _head(items: Sequence[_Item], start: int, period: int, spare: int) -> int:
    """Return where a round begins, from `start` to `spare` later, which loses no round.

    It is best where nothing of what was just made is used, and then at the first of its lines.
    """
    top = min(item.line for item in items[start : start + period])

    def fault(begin: int) -> tuple[bool, bool]:
        item = items[begin]
        again = begin > start and items[begin - 1].line == top
        return item.fed, item.line != top or again

    return min(range(start, start + spare + 1), key=fault)
