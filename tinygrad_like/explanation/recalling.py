"""An operation's forward called again, with as much as its node kept of how it was called.

A node keeps what its rules need, which is not always what its forward was called with. What isn't
known is put in at random: a rule that doesn't look at a value must be right for every value.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.graph import AccumulateGrad, Node, Pick, Traced
from tinygrad_like.random import get_rng_state, set_rng_state
from tinygrad_like.stamps import version

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

Values = dict[tuple[Node, int], np.ndarray[Any, Any]]


class NotKept(Exception):
    """Something that the forward needs is not known."""


def is_ours(function: Any) -> bool:
    """Return True for a function of this package, False for the user's."""
    return str(function.__code__.co_filename).startswith(_PACKAGE)


# ----- What is known ------------------------------------------------------------------------------


def _key(node: Node) -> tuple[Node, int]:
    if isinstance(node, Pick):
        (parent,) = node.parents
        assert parent is not None
        return parent, node.index
    return node, 0


def known(steps: Sequence[BackwardStep]) -> Values:
    """Return the values that leaves have and operations saved."""
    values: Values = {}
    for step in steps:
        node, saved = step.node, step._saved
        if isinstance(node, AccumulateGrad):
            values[node, 0] = node.array
        elif node.op is not None and saved:
            for name, value in zip(node.op.saves, saved, strict=True):
                if name == "out":
                    results = value if node.op.several else (value,)
                    for index, result in enumerate(results or ()):
                        if isinstance(result, np.ndarray):
                            values[node, index] = result
                elif name == node.op.variadic:
                    _note(values, node.parents, value or ())
                elif name in node.op.arrays:
                    _note(values, [node.parents[node.op.arrays.index(name)]], [value])
        elif hasattr(node, "_origins") and saved:
            _note(values, node._origins, saved)
    return values


def _note(values: Values, nodes: Iterable[Any], arrays: Iterable[Any]) -> None:
    for node, array in zip(nodes, arrays, strict=True):
        if isinstance(node, Node) and isinstance(array, np.ndarray):
            values.setdefault(_key(node), array)


# ----- Calling an operation again -----------------------------------------------------------------

_RANGES = ((0.2, 0.8), (1.2, 1.8), (-1.0, 1.0))

# A function of the operands, these, and whether all are those that it was called with.
Call = tuple[Callable[..., Any], list[Any], bool]


def _unknown(shape: Any, bounds: tuple[float, float]) -> Any:
    return np.random.default_rng(0).uniform(*bounds, shape)


def calls_of_op(step: BackwardStep, values: Values) -> Iterator[Call]:
    """Give the ways in which an op may have been called, as far as the node tells."""
    node, op = step.node, step.node.op
    saved = dict(zip(op.saves, step._saved, strict=True))
    for bounds in _RANGES:
        operands: list[Any] = []
        complete = True
        names = op.arrays * len(node.parents) if op.variadic else op.arrays
        for i, (name, parent) in enumerate(zip(names, node.parents, strict=True)):
            value = saved.get(name)
            if op.variadic and value is not None:
                value = value[i]
            if value is None and parent is not None:
                value = values.get(_key(parent))
            if value is None and parent is None and name in op.optional:
                operands.append(None)
                continue
            if value is None:
                complete = False
                shape = saved.get(f"{name}_shape") if parent is None else parent.shape
                if shape is None and op.variadic:
                    shape = (saved.get(f"{name}_shapes") or {i: None})[i]
                value = _unknown(node.shape if shape is None else shape, bounds)
            operands.append(value)
        for options in _options(step, saved, operands):
            yield _call_op(op, options), operands, complete
        if complete:
            return


def _call_op(op: Any, options: Sequence[Any]) -> Callable[..., Any]:
    def call(*operands: Any) -> Any:
        return op.call(list(operands), *options) if op.variadic else op.call(*operands, *options)

    return call


def _options(
    step: BackwardStep, saved: dict[str, Any], operands: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """Give the options an op may have been called with; what rules need is saved, the rest guessed."""
    node, op = step.node, step.node.op
    shapes = node.shape if op.several else [node.shape]
    guesses: dict[str, Sequence[Any]] = {
        "dtype": (np.dtype(np.float64),),
        "shape": (node.shape,),
        "wanted": (True,),
        "recorded": (True,),
        "reduction": ("none",) if node.shape else ("mean", "sum"),
        "descending": (False, True),
        "largest": (True, False),
        "sorted": (True,),
        "running_mean": (None,),
        "running_var": (None,),
        "momentum": (0.1,),
        "value": (0.0,),
    }
    if op.name in ("squeeze", "unsqueeze"):
        before, after = np.shape(operands[0]), node.shape
        long, short = max(before, after, key=len), min(before, after, key=len)
        if op.name == "unsqueeze":
            guesses["dim"] = [d for d in range(len(long)) if long[:d] + long[d + 1 :] == short]
        else:
            dims = [d for d, n in enumerate(long) if n == 1]
            chosen = itertools.combinations(dims, len(long) - len(short))
            guesses["axes"] = list(chosen)
    if op.name in ("split", "split_with_sizes"):
        guesses["sizes"] = (tuple(shape[saved["dim"]] for shape in shapes),)
    if op.name == "topk":
        guesses["k"] = (shapes[0][saved["dim"]] if shapes[0] else 1,)
    if op.name.startswith("adaptive_"):
        guesses["sizes"] = (tuple(shapes[0][2:]),)
    kinds = {p.name: p for p in op.parameters}
    ways: list[Sequence[Any]] = []
    for name in op.options:
        default = kinds[name].default
        if name in saved:
            ways.append((saved[name],))
        elif name in guesses and is_ours(op.forward):
            ways.append(guesses[name])
        elif default is not kinds[name].empty:
            ways.append((default,))
        else:
            raise NotKept(f"its option {name} is not kept")
    return itertools.product(*ways)


def calls_of_function(step: BackwardStep, values: Values) -> Iterator[Call]:
    """Give the call of a user's `Function`: its arguments are remembered as long as they live."""
    node: Any = step.node
    arguments = [kept() if isinstance(kept, weakref.ref) else kept for kept in node.ctx._given]
    constants = _saved_constants(step, arguments)
    for bounds in _RANGES:
        operands: list[Any] = []
        complete = True
        for is_tensor, kept, value, parent in zip(
            node.ctx._arguments, node.ctx._given, arguments, node.parents, strict=True
        ):
            if is_tensor and value is not None and parent is not None:
                written = value.node is not parent or version(value.array) > node.tick
                value = None if written else value
            if not is_tensor:
                if kept is NotImplemented or (value is None and kept is not None):
                    raise NotKept("an argument of its forward is gone")
            elif value is not None:
                value = value.array
            elif parent is None:
                if len(operands) not in constants:
                    raise NotKept("a tensor that its forward was given is gone")
                value = constants[len(operands)]
            else:
                value = values.get(_key(parent))
                if value is None:
                    complete = False
                    value = _unknown(parent.shape, bounds)
            operands.append(value)
        given = [
            Given(o) if is_tensor else o
            for o, is_tensor in zip(operands, node.ctx._arguments, strict=True)
        ]
        yield _repeatable(node.function.apply), given, complete
        if complete:
            return


def _saved_constants(step: BackwardStep, arguments: Sequence[Any]) -> dict[int, Any]:
    """Return, by position, tensors without a gradient that are gone but were saved, in their order."""
    node: Any = step.node
    living = {id(a.array) for a in arguments if isinstance(a, Traced)}
    saved = [
        array
        for array, origin in zip(step._saved, node._origins, strict=True)
        if origin is None and array is not None and id(array) not in living
    ]
    gone = [
        position
        for position, (is_tensor, value) in enumerate(
            zip(node.ctx._arguments, arguments, strict=True)
        )
        if is_tensor and value is None and node.parents[position] is None
    ]
    return dict(zip(gone, saved, strict=True)) if len(gone) == len(saved) else {}


def _repeatable(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that draws the same random numbers in each call, and leaves none drawn."""

    def repeated(*operands: Any) -> Any:
        state, numpys = get_rng_state(), np.random.get_state()  # noqa: NPY002
        try:
            return call(*operands)
        finally:
            set_rng_state(state)
            np.random.set_state(numpys)  # noqa: NPY002

    return repeated


class Given:
    """An operand that must be given as a tensor, even where nothing is recorded."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array
