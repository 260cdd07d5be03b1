"""The frames of a page: calls of modules, iterations of loops, and runs where there is neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isqrt
from typing import Any

import numpy as np

from tinygrad_like.graph import AccumulateGrad, Node
from tinygrad_like.lines import line_number
from tinygrad_like.viz.picture import Call, Names, assign, clusters_of, operation_name

GROUPED = 150  # a graph of more operations is cut into runs where there are no modules and loops
WIDE = 40  # what a frame may hold before it is cut
MOST = 35  # runs that a list is cut into, so that there is room for what stands beside them
LOOP = 200  # what an iteration of a loop may hold to be known as one


class Frames:
    """What a page draws around operations, so that none holds more than can be taken in.

    Attributes:
        frames: of each its "title", its "kind" ("module", "iteration" or "run"), the number of its
            "parent" or None, and what it is "about" unless it is a module.
        home: the number of the innermost frame of each operation, or None.
    """

    def __init__(self, nodes: Sequence[Node], calls: Sequence[Call], names: Names) -> None:
        clusters = clusters_of(calls, names)
        inside = assign(nodes, clusters)
        home: dict[Node, int | None] = {
            n: inside.get(n) for n in nodes if not isinstance(n, AccumulateGrad)
        }
        used = set(home.values())
        for index in reversed(range(len(clusters))):  # what is in a call comes after it
            if index in used:
                used.add(clusters[index].parent)
        kept = [index for index in range(len(clusters)) if index in used]
        place = {index: i for i, index in enumerate(kept)}
        self.frames: list[dict[str, Any]] = [
            {
                "title": clusters[index].title,
                "parent": place.get(clusters[index].parent),  # type: ignore[arg-type]
                "kind": "module",
            }
            for index in kept
        ]
        self.home = {node: None if i is None else place[i] for node, i in home.items()}
        self._group()

    def _group(self) -> None:
        """Cut what a frame holds, in the order of the clock, where it is too much to look at.

        A loop is cut into its iterations, and what is left into runs.
        """
        held: dict[int | None, list[Any]] = {}
        spans: dict[Any, tuple[int, int]] = {}  # the first and the last step of nodes and frames
        for step, (node, frame) in enumerate(self.home.items(), 1):
            spans[node] = (step, step)
            held.setdefault(frame, []).append(node)
            while frame is not None:
                parent = self.frames[frame]["parent"]
                if frame not in spans:
                    held.setdefault(parent, []).append(frame)
                spans[frame] = (spans.get(frame, (step, step))[0], step)
                frame = parent

        def enclose(items: list[Any], frame: int | None, kind: str, title: str) -> int:
            number = len(self.frames)
            spans[number] = (spans[items[0]][0], spans[items[-1]][1])
            about = self._summary(items)
            self.frames.append({"title": title, "parent": frame, "kind": kind, "about": about})
            for item in items:
                if isinstance(item, int):
                    self.frames[item]["parent"] = number
                else:
                    self.home[item] = number
            return number

        def cut(
            items: list[Any], frame: int | None, word: str, places: dict[Any, Any]
        ) -> list[Any]:
            while len(items) > MOST:
                size = WIDE if len(items) > WIDE**2 else isqrt(len(items) - 1) + 1
                parts = [items[first : first + size] for first in range(0, len(items), size)]
                items = []
                for part in parts:
                    span = places[part[0]][0], places[part[-1]][1]
                    items.append(enclose(part, frame, "run", f"{word} {span[0]} to {span[1]}"))
                    places[items[-1]] = span
            return items

        waiting = list(held.items())
        while waiting:
            frame, items = waiting.pop()
            if len(items) <= WIDE:
                continue
            together: list[Any] = []
            for first, size, times in repeats([self._signature(item) for item in items]):
                if size == 1:
                    together += items[first : first + times]
                    continue
                numbers: dict[Any, tuple[int, int]] = {}
                for i in range(times):
                    part = items[first + i * size : first + (i + 1) * size]
                    number = enclose(part, frame, "iteration", f"iteration {i + 1}")
                    numbers[number] = (i + 1, i + 1)
                    waiting.append((number, part))
                together += cut(list(numbers), frame, "iterations", numbers)
            if len(self.home) > GROUPED and len(together) > WIDE:
                cut(together, frame, "steps", spans)

    def _signature(self, item: Any) -> Any:
        """Return what one item has in common with the same in another iteration of a loop."""
        if isinstance(item, int):
            return self.frames[item]["title"]
        line = item.line
        place = (line[0].co_filename, line_number(line)) if line is not None else None
        return operation_name(item), place

    def _summary(self, items: Sequence[Any]) -> str:
        """Return what most of some nodes and frames are, or the first and the last if all differ."""
        frames = [self.frames[item] if isinstance(item, int) else None for item in items]
        first = frames[0]
        if first is not None and first["kind"] == "iteration":
            return f"each: {first['about']}"
        if first is not None and first.get("about", "").startswith("each: "):
            return str(first["about"])
        named = [
            operation_name(item) if frame is None else frame["title"]
            for item, frame in zip(items, frames, strict=True)
            if frame is None or frame["kind"] == "module"
        ]
        if len(named) <= 4:
            return ", ".join(named)
        counts = Counter(named)
        common = [f"{count} {name}" for name, count in counts.most_common(2) if count > 1]
        if common or len(counts) < 2:
            return ", ".join(common + (["…"] if len(counts) > len(common) else []))
        return f"{named[0]} … {named[-1]}"

    def _path(self, frame: int | None) -> list[int]:
        path: list[int] = []
        while frame is not None:
            path.append(frame)
            frame = self.frames[frame]["parent"]
        return path[::-1]

    def common(self, frames: Iterable[int | None]) -> int | None:
        """Return the innermost frame that holds all of these."""
        shared: list[int] | None = None
        for path in map(self._path, set(frames)):
            if shared is None:
                shared = path
            same = [a == b for a, b in zip(shared, path, strict=False)]
            shared = shared[: same.index(False) if False in same else len(same)]
        return shared[-1] if shared else None


def repeats(items: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Cut a sequence where a part of it repeats at least three times, the longest stretches first.

    Returns:
        for each piece where it begins, how long what repeats is, and how many times it does.

    >>> repeats("xabababy")
    [(0, 1, 1), (1, 2, 3), (7, 1, 1)]
    """
    codes = {item: i for i, item in enumerate(dict.fromkeys(items))}
    sequence = np.array([codes[item] for item in items])
    n = len(sequence)
    sizes = range(1, min(LOOP, n // 3) + 1)
    covered = np.zeros((len(sizes), n), int)  # by what repeats with a size, from a place on
    for row, size in enumerate(sizes):
        unlike = np.flatnonzero(sequence[:-size] != sequence[size:])
        ends = np.append(unlike, n - size)
        here = np.arange(n - size)
        times = (ends[np.searchsorted(ends, here)] - here) // size + 1
        covered[row, : n - size] = np.where(times >= 3, times * size, 0)
    best = covered.argmax(0) if len(sizes) else np.zeros(n, int)
    found, at = [], 0
    while at < n:
        length = int(covered[best[at], at]) if len(sizes) else 0
        size = sizes[best[at]] if length else 1
        found.append((at, size, length // size or 1))
        at += length or 1
    return found
