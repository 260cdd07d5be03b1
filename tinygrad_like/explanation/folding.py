"""The overview of a long lesson: a line for each step, and one for many that belong together."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_like.explanation.names import spoken
from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.lines import location
from tinygrad_like.viz.picture import Names

MOST = 60  # rows; of more steps, those that belong together are one


@dataclass
class Row:
    """One line of an overview.

    Attributes:
        steps: the step it tells of, or several.
        number: the step's number, or the first and the last.
        what: the operation, or how many there are of which.
        shape: the shape of the gradient that arrives.
        largest: the largest size of a number in the gradients that arrive.
        receivers: the numbers of the steps that are sent something.
        where: the module, or the line of the program.
    """

    steps: list[BackwardStep]
    number: str
    what: str
    shape: str
    largest: float
    receivers: str
    where: str


def overview(steps: Sequence[BackwardStep], names: Names, wrong: Collection[int] = ()) -> list[Row]:
    """Return the rows of an overview, hardly more than `MOST`; steps with these numbers are wrong."""
    rows = _rows(steps, names)
    for row in rows:
        if any(step.number in wrong for step in row.steps):
            row.what = f"WRONG {row.what}"
    return rows


def _rows(steps: Sequence[BackwardStep], names: Names) -> list[Row]:
    if len(steps) <= MOST:
        return [_single(step, names) for step in steps]
    paths = [_path(step, names) for step in steps]
    runs: list[list[BackwardStep]] = []
    for depth in range(max(map(len, paths)), 0, -1):
        keys = (path[:depth] for path in paths)
        grouped = itertools.groupby(zip(keys, steps, strict=True), lambda pair: pair[0])
        runs = [[step for _, step in pairs] for _, pairs in grouped]
        if len(runs) <= MOST:
            break
    rows = []
    for run in _even(runs):
        rows.append(_single(run[0], names) if len(run) == 1 else _several(run, names))
    return rows


def _even(runs: list[list[BackwardStep]]) -> Iterator[list[BackwardStep]]:
    """Cut and join runs of which only the line is known, and not a module, to make use of all rows."""
    told = [run for run in runs if run[0].module is not None or run[0].kind == "leaf"]
    loose = sum(map(len, runs)) - sum(map(len, told))
    size = -(-loose // max(MOST - len(told), MOST // 4))
    for known, group in itertools.groupby(runs, lambda run: any(run is t for t in told)):
        if known:
            yield from group
        else:
            steps = [step for run in group for step in run]
            yield from (steps[i : i + size] for i in range(0, len(steps), size))


def _path(step: BackwardStep, names: Names) -> tuple[str, ...]:
    """Return the names of the modules that a step is inside of, or the line that recorded it."""
    if step.kind == "leaf":
        return ("leaf", *names.nodes.get(step.node, "").split(".")[:-1])
    if step.module is not None:
        return (*names.modules.get(id(step.module), type(step.module).__name__).split("."), "")
    return ("" if step.line is None else location(*step.line, short=True),)


def _largest(steps: Iterable[BackwardStep]) -> float:
    parts = [
        g.array
        for step in steps
        for g in (step.gradient if isinstance(step.gradient, tuple) else (step.gradient,))
        if g is not None
    ]
    with np.errstate(all="ignore"):
        sizes = [float(np.abs(a).max(initial=0.0)) for a in parts]
    return max(sizes, default=0.0) if not any(s != s for s in sizes) else float("nan")


def _single(step: BackwardStep, names: Names) -> Row:
    several = isinstance(step.gradient, tuple)
    shape = () if several else step.gradient.array.shape
    sent = {s.receiver.number for s in step.sent if s.receiver is not None}
    name = names.nodes.get(step.node, "")
    what = (name or "a leaf") if step.kind == "leaf" else spoken(step)
    where = _where([step], names) if step.kind != "leaf" else "leaf"
    return Row(
        [step],
        str(step.number),
        what,
        "several" if several else " x ".join(map(str, shape)) or "1",
        _largest([step]),
        ", ".join(map(str, sorted(sent))),
        where,
    )


def _several(steps: list[BackwardStep], names: Names) -> Row:
    if all(step.kind == "leaf" for step in steps):
        what = f"{len(steps)} leaves"
    else:
        common = Counter(spoken(step) for step in steps if step.kind == "operation").most_common()
        told = (f"{name} x {n}" if n > 1 else name for name, n in common[:3])
        what = f"{len(steps)} steps: {', '.join(told)}"
        what += ", ..." if len(common) > 3 else ""
    inside = {id(step) for step in steps}
    sent = {
        s.receiver.number
        for step in steps
        for s in step.sent
        if s.receiver is not None and id(s.receiver) not in inside and s.receiver.kind != "leaf"
    }
    numbers = f"{steps[0].number}-{steps[-1].number}"
    receivers = ", ".join(map(str, sorted(sent)))
    return Row(steps, numbers, what, "", _largest(steps), receivers, _where(steps, names))


def _where(steps: Sequence[BackwardStep], names: Names) -> str:
    """Return the module or line that steps have in common."""
    paths = [_path(step, names) for step in steps]
    if steps[0].kind == "leaf":
        paths = [path[1:] for path in paths]
    shared = [parts[0] for parts in zip(*paths, strict=False) if len(set(parts)) == 1]
    return ".".join(part for part in shared if part)
