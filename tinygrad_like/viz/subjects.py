"""What can be drawn: tensors, a module with inputs for it, an optimizer and its next step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced, result_type
from tinygrad_like.viz.folding import frames_of
from tinygrad_like.viz.full import Wanted, full_picture
from tinygrad_like.viz.notes import Notes, backward_order
from tinygrad_like.viz.picture import Box, Call, Cluster, Names, Picture, operations_of

MEANINGS = {
    "operation": "operation",
    "parameter": "parameter",
    "input": "input",
    "constant": "needs no gradient",
    "result": "result",
    "saved": "kept for backward",
    "output": "output",
    "group": "several operations",
    "gradient": "gradient",
    "state": "optimizer's state",
}


def picture_of(
    subject: Any,
    params: Any,
    *,
    inputs: Any,
    names: Any,
    calls: list[Call],
    wanted: Wanted,
    rules: bool,
    order: bool,
    profile: Any,
    compare: Any,
    highlight: bool,
    depth: int | None,
    limit: int,
    frame: FrameType | None,
) -> Picture:
    """Return the picture of what `draw` was given: see there for the arguments."""
    from tinygrad_like.viz.story import Witness

    if hasattr(subject, "param_groups"):
        from tinygrad_like.viz.step import step_picture

        return step_picture(subject, params, Names.of(names, frame), values=wanted.values)
    seen = Witness()
    if hasattr(subject, "named_modules"):
        known = Names.of(subject if params is None else params, frame)
        with seen:
            subject, calls = run_module(subject, inputs, known)
    elif inputs is not None:
        raise TypeError(f"draw: inputs are for a Module, got {type(subject).__name__}")
    else:
        if callable(subject):
            with seen:
                subject, calls = run_function(subject)
        known = Names.of(params, frame)
    if not calls and profile is not None:
        calls = profile.modules
    roots = list(subject) if isinstance(subject, list | tuple) else [subject]
    for root in roots:
        if not isinstance(root, Traced):
            raise TypeError(
                "draw: expected a tensor or a list of them, a function that computes one, a "
                "Module or an optimizer, got "
                f"{type(root).__name__}"
            )
    nodes = operations_of(roots)
    notes = Notes(order=backward_order(nodes) if order else {}, rules=rules, profile=profile)
    if highlight:
        from tinygrad_like.viz.health import Health

        notes.health = Health.of(roots, nodes)
        notes.captions += [notes.health.caption] if notes.health.caption else []
    if compare is not None:
        from tinygrad_like.viz.differences import Differences

        notes.differences = Differences.of(roots, nodes, compare)
        notes.captions += notes.differences.captions
    if profile is not None:
        notes.captions.append(", ".join(profile.total.lines()))
    frames = frames_of(nodes, calls, known, depth=depth, limit=limit)
    return _scaled(full_picture(roots, nodes, known, frames, wanted, notes, seen))


def _scaled(picture: Picture) -> Picture:
    """Make times shares of the longest."""
    timed = [box for box in picture.boxes if box.heat is not None and "changed" not in box.marks]
    longest = max((box.heat or 0.0 for box in timed), default=0.0)
    for box in timed:
        box.heat = (box.heat or 0.0) / (longest or 1.0)
    return picture


# ----- What is run --------------------------------------------------------------------------------


def run_function(function: Callable[[], Any]) -> tuple[Any, list[Call]]:
    """Return what a function computes, with the calls of modules."""
    from tinygrad_like.nn.module import record_modules

    with record_modules() as calls:
        return function(), list(calls)


def run_module(module: Any, inputs: Any, names: Names) -> tuple[list[Any], list[Call]]:
    """Run a module and return the tensors that come out, with the calls of modules.

    What goes in is given a gradient for the time, so that all that is done with it is recorded.
    """
    from tinygrad_like.autograd.grad_mode import enable_grad
    from tinygrad_like.nn.module import record_modules
    from tinygrad_like.random import fork_rng

    if inputs is None:
        raise TypeError("draw: a Module needs inputs=, what to call it with")
    args, kwargs = _arguments(inputs)
    _name(module, args, kwargs, names)
    buffers = [
        (buffer, buffer.array.copy())
        for buffer in module.buffers()
        if not hasattr(buffer, "materialize")
    ]
    for followed in (True, False):
        copies: dict[int, Any] = {}
        given = [_followed(a, names, copies) if followed else a for a in args]
        named = {k: _followed(a, names, copies) if followed else a for k, a in kwargs.items()}
        try:
            with enable_grad(), record_modules() as calls, fork_rng():
                out = module(*given, **named)
            break
        except RuntimeError:
            if not followed:  # some modules write into what they are given
                raise
        finally:
            for buffer, former in buffers:
                if not np.array_equal(buffer.array, former, equal_nan=former.dtype.kind == "f"):
                    buffer.array[...] = former
    names.note("", module)  # again, since lazy modules have tensors now
    return list(_tensors(out)), list(calls)


def _arguments(inputs: Any) -> tuple[list[Any], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return [], dict(inputs)
    return (list(inputs), {}) if isinstance(inputs, tuple | list) else ([inputs], {})


def _name(module: Any, args: list[Any], kwargs: dict[str, Any], names: Names) -> None:
    parameters = list(inspect.signature(module.forward).parameters.values())
    own = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    titles = [own[i] if i < len(own) else f"input {i}" for i in range(len(args))]
    given: dict[int, str] = {}
    for title, value in [*zip(titles, args, strict=True), *kwargs.items()]:
        if isinstance(value, Traced):
            memory = id(value.array)
            title = f"{given[memory]}, {title}" if memory in given else title
            given[memory] = names.arrays[memory] = title
            names.inputs.add(memory)
            if value.node is not None:
                names.nodes[value.node] = title


def _followed(value: Any, names: Names, copies: dict[int, Any]) -> Any:
    """Return a tensor of the same memory that wants a gradient, if it can have one."""
    if not isinstance(value, Traced) or value.node is not None or value.array.dtype.kind != "f":
        return value
    if id(value) not in copies:
        copies[id(value)] = tensor = result_type.make(value.array)
        tensor.requires_grad_()
        names.nodes[tensor.node] = names.arrays[id(value.array)]
    return copies[id(value)]


def _tensors(value: Any) -> Iterable[Any]:
    if isinstance(value, Traced):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


# ----- What the boxes mean ------------------------------------------------------------------------


def with_legend(picture: Picture) -> None:
    """Add a frame with one box of each kind that is there."""
    kinds = dict.fromkeys(box.kind for box in picture.boxes)
    picture.clusters.append(Cluster("what is what"))
    frame = len(picture.clusters) - 1
    numbers = [
        picture.add(Box(kind, meaning, [], frame))
        for kind, meaning in MEANINGS.items()
        if kind in kinds
    ]
    picture.columns += pairwise(numbers)
