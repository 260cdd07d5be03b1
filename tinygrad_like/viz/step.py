"""The picture of an optimizer's step: of each parameter the gradient, the state and the update."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_like.backward import grad
from tinygrad_like.graph import Traced, as_tensor
from tinygrad_like.viz.picture import (
    Box,
    Cluster,
    Names,
    Picture,
    counted,
    describe_kind,
    describe_values,
)

SHOWN = 12  # parameters, or groups of them, that stand by themselves
OPTIONS = 4  # of the optimizer that are told

Array = np.ndarray[Any, Any]


@dataclass
class _Step:
    """What a step does to one parameter."""

    name: str
    group: dict[str, Any]
    before: Array
    after: Array | None
    gradient: Array | None
    state: dict[str, Any] = field(default_factory=dict)


def step_picture(optimizer: Any, loss: Any, names: Names, *, values: bool) -> Picture:
    """Return the picture of the step that `optimizer` would take now.

    The step is tried on a copy, so neither parameters nor state change.

    Raises:
        TypeError: if `loss` is no tensor.
    """
    if loss is not None and not isinstance(loss, Traced):
        raise TypeError(
            f"draw: with an optimizer the second argument is the loss, got {type(loss).__name__}; "
            "give names for the parameters as names="
        )
    steps = _steps(optimizer, loss, names)
    picture = Picture()
    root = None
    if loss is not None:
        text = describe_values(loss.array)
        root = picture.add(Box("output", "loss", [text]))
    title = type(optimizer).__name__
    if len(steps) <= SHOWN:
        frames: dict[str, int] = {}
        for step in steps:
            frame, _, own = step.name.rpartition(".")
            if frame and frame not in frames:
                picture.clusters.append(Cluster(frame))
                frames[frame] = len(picture.clusters) - 1
            _add(picture, [step], own, title, frames.get(frame), root, values)
    else:
        for name, together in _grouped(steps).items():
            _add(picture, together, name, title, None, root, values)
    return picture


def _steps(optimizer: Any, loss: Any, names: Names) -> list[_Step]:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [None if p._grad is None else p._grad.array for p in params]
    missing = [i for i, g in enumerate(gradients) if g is None and params[i].node is not None]
    if missing and loss is not None and loss.node is not None:
        start = as_tensor(np.ones(loss.array.shape, loss.array.dtype))
        wanted = [params[i] for i in missing]
        for i, g in zip(
            missing, grad(loss, wanted, start, retain_graph=True, allow_unused=True), strict=True
        ):
            gradients[i] = None if g is None else g.array
    after = _tried(optimizer, gradients)
    steps: list[_Step] = []
    for group in optimizer.param_groups:
        own = group.get("param_names", [""] * len(group["params"]))
        for name, p in zip(own, group["params"], strict=True):
            i = len(steps)
            known = names.nodes.get(p.node, "") if p.node is not None else ""
            known = known or names.arrays.get(id(p.array), "") or name or f"parameter {i}"
            state = dict(optimizer.state.get(p, {}))
            steps.append(_Step(known, group, p.array, after[i], gradients[i], state))
    return steps


def _tried(optimizer: Any, gradients: Sequence[Any]) -> list[Array | None]:
    """Return the parameters after a step of a copy, None where it can't be told without a closure."""
    twin = copy.deepcopy(optimizer)
    params = [p for group in twin.param_groups for p in group["params"]]
    for p, g in zip(params, gradients, strict=True):
        p._grad = None if g is None else as_tensor(g.copy())
    try:
        twin.step()
    except TypeError:
        return [None] * len(params)
    return [p.array for p in params]


def _grouped(steps: Sequence[_Step]) -> dict[str, list[_Step]]:
    """Return the steps by the module they belong to, or by outer ones if those are too many."""
    deepest = max(step.name.count(".") for step in steps)
    groups: dict[str, list[_Step]] = {}
    for depth in range(deepest, 0, -1):
        groups = {}
        for step in steps:
            path = step.name.split(".")
            groups.setdefault(".".join(path[: min(depth, len(path) - 1)] or path), []).append(step)
        if len(groups) <= SHOWN:
            return groups
    if groups:
        return groups
    size = -(-len(steps) // SHOWN)
    return {
        f"{steps[i].name} to {steps[min(i + size, len(steps)) - 1].name}": list(steps[i : i + size])
        for i in range(0, len(steps), size)
    }


def norm(arrays: Sequence[Any]) -> float:
    """Return the norm of several arrays taken as one vector."""
    return float(np.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays)))


def _add(
    picture: Picture,
    steps: list[_Step],
    title: str,
    optimizer: str,
    frame: int | None,
    root: int | None,
    values: bool,
) -> None:
    """Add the boxes of one parameter, or of several shown as one."""
    one = steps[0] if len(steps) == 1 else None

    def size(arrays: Sequence[Array]) -> list[str]:
        if one is None:
            return [counted(sum(a.size for a in arrays), "element"), f"norm {norm(arrays):.3g}"]
        said = describe_values(arrays[0]) if values else f"norm {norm(arrays):.3g}"
        return [describe_kind(arrays[0].shape, arrays[0].dtype), said]

    before = [step.before for step in steps]
    kind = "parameter" if one is not None else "group"
    lines = size(before) if one is not None else [f"{len(steps)} parameters", *size(before)]
    weight = picture.add(Box(kind, title, lines, frame))  # type: ignore[arg-type]
    gradients = [step.gradient for step in steps if step.gradient is not None]
    update = Box("operation", optimizer, _options(steps[0].group), frame)
    operands = [weight]
    if gradients:
        arrived = picture.add(Box("gradient", "gradient", size(gradients), frame))
        if root is not None:
            picture.join(root, arrived, "backward")
        operands.append(arrived)
    else:
        update.lines = ["no gradient: nothing is done"]
        update.marks = ("zero",)
    state = _state(steps)
    if state:
        operands.append(picture.add(Box("state", "state", state, frame)))
    number = picture.add(update)
    for operand in operands:
        picture.join(operand, number)
    pairs = [(step.before, step.after) for step in steps if step.after is not None]
    if not pairs:
        lines = ["the update needs a closure"]
    else:
        moved = norm([after.astype(np.float64) - b for b, after in pairs])
        lines = [f"update {moved:.3g}"]
        if length := norm([b for b, _ in pairs]):
            lines.append(f"{100 * moved / length:.2g}% of its norm")
        if values and one is not None and one.after is not None:
            lines.insert(0, describe_values(one.after))
    picture.join(number, picture.add(Box("result", f"{title} after", lines, frame)))


def _options(group: dict[str, Any]) -> list[str]:
    """Return the options that tell most: numbers that are not 0, the learning rate first."""
    told = []
    for name, value in group.items():
        number: Any = value
        if isinstance(value, Traced) and value.array.size == 1:
            number = value.array.item()
        if isinstance(number, bool) or name in ("initial_lr",):
            continue
        if isinstance(number, int | float) and number:
            told.append(f"{name} {number:g}")
        elif isinstance(number, tuple) and all(isinstance(n, int | float) for n in number):
            told.append(f"{name} {', '.join(f'{n:g}' for n in number)}")
    return told[:OPTIONS]


def _state(steps: Sequence[_Step]) -> list[str]:
    """Return a line for each thing the optimizer remembers."""
    lines = []
    for name in dict.fromkeys(key for step in steps for key in step.state):
        found = [step.state[name] for step in steps if step.state.get(name) is not None]
        arrays = [value.array for value in found if isinstance(value, Traced)]
        if arrays and all(a.size == 1 for a in arrays):
            lines.append(f"{name} {arrays[0].item():.4g}")
        elif arrays:
            lines.append(f"{name} norm {norm(arrays):.3g}")
        elif found and isinstance(found[0], int | float):
            lines.append(f"{name} {found[0]:g}")
    return lines
