"""What is wrong with the numbers of a graph: nan, infinities, gradients that are zero, huge or tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_like.graph import Node
from tinygrad_like.viz.notes import Note
from tinygrad_like.viz.picture import Facts, Key, counted
from tinygrad_like.viz.story import Story, observe, values_of

EXPLODING, VANISHING = 1e3, 1e-6  # times the norm of the gradient that the walk starts with


def backward_story(roots: Sequence[Any]) -> tuple[Story | None, str]:
    """Send gradients back from tensors, ones where they have several elements, and return the story.

    The second value says why there is none, if there is none.
    """
    starts = [(r.node, np.ones(r.array.shape, r.array.dtype)) for r in roots if r.node is not None]
    try:
        with np.errstate(all="ignore"):
            return observe(starts), ""
    except RuntimeError as error:
        reason = "freed" if "freed" in str(error) else "overwritten"
        return None, f"gradients in between are not known: what they need was {reason}"


@dataclass
class Health:
    """What is found, by a look at all values and by one backward pass that leaves ``.grad`` alone.

    Attributes:
        data: what is the matter with a value or its gradient.
        operations: what is the matter with how an operation passes gradients on.
        caption: what could not be found out.
    """

    data: dict[Key, Note] = field(default_factory=dict)
    operations: dict[Node, Note] = field(default_factory=dict)
    caption: str = ""

    @classmethod
    def of(cls, roots: Sequence[Any], nodes: Sequence[Node]) -> Health:
        """Return what is found in the graph of the tensors `roots`."""
        found = cls()
        facts = Facts(nodes, roots)
        story, found.caption = backward_story(roots)
        gradients = facts.gradients if story is None else story.gradients
        for key, value in values_of(nodes, facts).items():
            found._values(key, value)
        norms = [np.sqrt(r.array.size) for r in roots if r.node is not None]
        for key, g in gradients.items():
            found._gradient(key, g, max(norms, default=1.0) if story is not None else None)
        if story is not None:
            found._dead(story)
        return found

    def _add(self, key: Key, mark: str, line: str) -> None:
        note = self.data.setdefault(key, Note())
        note.lines.append(line)
        note.marks += (mark,)

    def _values(self, key: Key, value: Any) -> None:
        for mark, text in _not_finite(value):
            self._add(key, mark, text)

    def _gradient(self, key: Key, g: Any, start: float | None) -> None:
        bad = list(_not_finite(g))
        for mark, text in bad:
            self._add(key, mark, f"gradient: {text}")
        if bad or g.size == 0:
            return
        if not np.any(g):
            self._add(key, "zero", "gradient is zero")
            return
        if start is None:
            return
        norm = float(np.linalg.norm(g.astype(np.float64).ravel())) / start
        if norm > EXPLODING:
            self._add(key, "exploding", f"exploding gradient: {norm:.1e} times the start's")
        elif norm < VANISHING:
            self._add(key, "vanishing", f"vanishing gradient: {norm:.1e} times the start's")

    def _dead(self, story: Story) -> None:
        """Find operations that pass nothing on of what arrives, wholly or in whole units."""
        sent: dict[Node, list[Any]] = {}
        for arrivals in story.arrivals.values():
            for arrival in arrivals:
                if arrival.sender is not None:
                    sent.setdefault(arrival.sender, []).append(arrival.gradient)
        for node, parts in sent.items():
            arrived = story.gradients.get((node, 0))
            if arrived is None or isinstance(node.shape, list) or not np.any(arrived):
                continue
            if not any(np.any(part) for part in parts):
                self.operations[node] = Note(["dead: passes no gradient on"], ("dead",))
                continue
            if len(parts) == 1 and parts[0].shape == arrived.shape and arrived.ndim > 1:
                axes = tuple(axis for axis in range(arrived.ndim) if axis != 1)
                dead = np.any(arrived, axis=axes) & ~np.any(parts[0], axis=axes)
                if dead.any():
                    count, of = int(dead.sum()), dead.size
                    self.operations[node] = Note([f"{count} of {of} units dead"], ("dead",))

    def of_data(self, key: Key) -> Note:
        """Return what is the matter with a value."""
        return self.data.get(key, Note())

    def of_operations(self, nodes: Sequence[Node]) -> Note:
        """Return what is the matter with an operation, or with several and their results inside."""
        note = Note()
        if len(nodes) == 1:
            return self.operations.get(nodes[0], note)
        inside = [self.operations[node] for node in nodes if node in self.operations]
        inside += [self.data[key] for node in nodes for key in [(node, 0)] if key in self.data]
        counts: dict[str, int] = {}
        for found in inside:
            for mark in dict.fromkeys(found.marks):
                counts[mark] = counts.get(mark, 0) + 1
        note.lines += [f"{mark} in {counted(count, 'place')}" for mark, count in counts.items()]
        note.marks = tuple(counts)
        return note


def _not_finite(array: Any) -> list[tuple[str, str]]:
    values = np.asarray(array)
    if values.dtype.kind not in "fc" or np.isfinite(values).all():
        return []
    nan, inf = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    found = []
    if nan:
        found.append(("nan", f"{nan:,} of {values.size:,} nan" if values.size > 1 else "nan"))
    if inf:
        found.append(("inf", f"{inf:,} of {values.size:,} inf" if values.size > 1 else "inf"))
    return found
