"""Each node's gradient rule against finite differences, so that a wrong one is named.

A node keeps what its rules need, which is not always what its forward was called with. What isn't
known is put in at random: a rule that doesn't look at a value must be right for every value.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like import lines
from tinygrad_like.autograd.grad_mode import enable_grad, no_grad
from tinygrad_like.backward import grad
from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.graph import AccumulateGrad, Node, Pick, Traced, result_type
from tinygrad_like.registry import REGISTRY

_ALL = 64  # elements that are varied one by one; larger operands are varied along random directions
_DIRECTIONS = 3

Values = dict[tuple[Node, int], np.ndarray[Any, Any]]


@dataclass
class Check:
    """What finite differences say of one rule.

    Attributes:
        step: the step whose rule it is; `op` is the operation's name.
        argument: the operand's name.
        right: True or False; None if it could not be checked, for the `reason`.
        got: what the rule gives for the gradient that arrived, in float64: an array, or for large
            operands its products with a few random directions.
        expected: what finite differences give.
        reason: why it could not be checked.
        place: file and line of a rule that is the user's own.
    """

    step: BackwardStep
    argument: str
    right: bool | None
    got: Any = None
    expected: Any = None
    reason: str = ""
    place: str = ""

    @property
    def op(self) -> str:
        """The operation's name."""
        return self.step.op

    def __str__(self) -> str:
        from tinygrad_like.explanation.lesson import shown

        if self.right is None:
            return f"{self.op}: the rule for {self.argument} was not checked: {self.reason}"
        if self.right:
            return f"{self.op}: the rule for {self.argument} is right"
        got, expected, where = self.got, self.expected, ""
        factor = _factor(got, expected)
        if got.size > 8:
            worst = int(np.nanargmax(np.abs(got - expected)))
            index = ", ".join(map(str, np.unravel_index(worst, got.shape)))
            got, expected, where = got.flat[worst], expected.flat[worst], f" at [{index}]"
        rule = f" (see {self.place})" if self.place else ""
        return (
            f"{self.op}: the rule for {self.argument} is wrong: it gives {shown(got)}{where}, "
            f"finite differences give {shown(expected)}{factor}{rule}"
        )


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _is_ours(function: Any) -> bool:
    """Return True for a function of this package, False for the user's."""
    return str(function.__code__.co_filename).startswith(_PACKAGE)


def _factor(got: Any, expected: Any) -> str:
    """Return a hint if all numbers are wrong by one factor."""
    apart = np.abs(got) > 1e-6 * np.abs(expected).max(initial=0.0)
    if not apart.any() or np.abs(expected[~apart]).max(initial=0.0) > 1e-6 * np.abs(got).max():
        return ""
    ratios = expected[apart] / got[apart]
    if np.ptp(ratios) > 1e-3 * np.abs(ratios).max() or ratios[0] == 0:
        return ""
    return f", which is {ratios.mean():.4g} times that"


class _NotKept(Exception):
    """Something that the forward needs is not known."""


def check_steps(steps: Sequence[BackwardStep]) -> list[Check]:
    """Compare the rules of all operations with central differences in float64, in the steps' order."""
    values = _known(steps)
    return [check for step in steps if step.kind == "operation" for check in _check(step, values)]


# ----- What is known ------------------------------------------------------------------------------


def _key(node: Node) -> tuple[Node, int]:
    if isinstance(node, Pick):
        (parent,) = node.parents
        assert parent is not None
        return parent, node.index
    return node, 0


def _known(steps: Sequence[BackwardStep]) -> Values:
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

Call = tuple[Callable[..., Any], list[Any]]  # a function of the operands, and these


def _unknown(shape: Any, bounds: tuple[float, float]) -> Any:
    return np.random.default_rng(0).uniform(*bounds, shape)


def _calls_of_op(step: BackwardStep, values: Values) -> Iterator[Call]:
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
            yield _call_op(op, options), operands
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
        elif name in guesses and _is_ours(op.forward):
            ways.append(guesses[name])
        elif default is not kinds[name].empty:
            ways.append((default,))
        else:
            raise _NotKept(f"its option {name} is not kept")
    return itertools.product(*ways)


def _calls_of_function(step: BackwardStep, values: Values) -> Iterator[Call]:
    """Give the call of a user's `Function`: its arguments are remembered as long as they live."""
    node: Any = step.node
    for bounds in _RANGES:
        operands: list[Any] = []
        complete = True
        for is_tensor, kept, parent in zip(
            node.ctx._arguments, node.ctx._given, node.parents, strict=True
        ):
            value = kept() if isinstance(kept, weakref.ref) else kept
            if not is_tensor:
                if kept is NotImplemented or (value is None and kept is not None):
                    raise _NotKept("an argument of its forward is gone")
            elif value is not None:
                value = value.array
            elif parent is None:
                raise _NotKept("a tensor that its forward was given is gone")
            else:
                value = values.get(_key(parent))
                if value is None:
                    complete = False
                    value = _unknown(parent.shape, bounds)
            operands.append(value)
        given = [
            _Tensor(o) if is_tensor else o
            for o, is_tensor in zip(operands, node.ctx._arguments, strict=True)
        ]
        yield node.function.apply, given
        if complete:
            return


class _Tensor:
    """An operand that must be given as a tensor, even where nothing is recorded."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array


# ----- Comparing ----------------------------------------------------------------------------------


_SYMMETRIC = "its matrix is symmetric, and finite differences would vary its halves apart"

# Ops whose gradient is not, on purpose, what finite differences give.
_ON_PURPOSE = {
    "cholesky": _SYMMETRIC,
    "ctc_loss": "its gradient counts on a log_softmax before it",
    "eigh": _SYMMETRIC,
    "eigvalsh": _SYMMETRIC,
}


def _excused(step: BackwardStep) -> str:
    """Return why an op's rule is not compared, "" if it is."""
    op = step.node.op
    if op is None or not _is_ours(op.forward):
        return ""
    if op.name == "embedding" and step._saved[list(op.saves).index("padding_idx")] is not None:
        return "the row for padding is sent nothing on purpose"
    return _ON_PURPOSE.get(op.name, "")


def _check(step: BackwardStep, values: Values) -> list[Check]:
    node: Any = step.node
    wanted = [i for i, sent in enumerate(step.sent) if sent.gradient is not None]
    is_function = hasattr(node, "function")
    if not wanted or (node.op is None and not is_function):
        return []
    excuse = _excused(step)
    if excuse:
        return [Check(step, step.sent[i].argument, None, reason=excuse) for i in wanted]
    reason = "its forward can't be run again with what was kept"
    found: list[Check] | None = None
    wrong: list[Check] | None = None
    ways = 0
    try:
        for call, operands in (_calls_of_function if is_function else _calls_of_op)(step, values):
            ways += 1
            try:
                compared = _compare(step, call, operands, wanted)
            except _NotKept as error:
                reason = str(error)
                continue
            except Exception:  # a guess that doesn't fit, or a forward that refuses float64
                continue
            if all(check.right for check in compared):
                return compared
            if any(check.right is False for check in compared):
                wrong = wrong or compared
            else:
                found = found or compared
    except _NotKept as error:
        reason = str(error)
    if wrong is not None:
        return wrong
    if found is not None:
        return found
    return [Check(step, step.sent[i].argument, None, reason=reason) for i in wanted]


def _compare(
    step: BackwardStep, call: Callable[..., Any], operands: list[Any], wanted: Sequence[int]
) -> list[Check]:
    """Compare the gradients of one call with differences, and again a little beside a kink."""
    place = _place(step.node)
    given = [_wide(o) for o in operands]
    checks = []
    for i in wanted:
        name = step.sent[i].argument
        got, expected, tolerance = _both(step, call, given, i)
        if not (np.isfinite(got).all() and np.isfinite(expected).all()):
            checks.append(Check(step, name, None, got, expected, "it meets inf or nan"))
            continue
        right = _close(got, expected, tolerance)
        if not right or not got.any():
            # At a kink differences see both sides; where all is 0 a rule may be right by chance.
            random = np.random.default_rng(1)
            beside = [_both(step, call, [_nudged(o, random) for o in given], i) for _ in range(2)]
            by_chance = right
            right = all(_close(*near) for near in beside)
            if by_chance and not right:
                got, expected, _ = beside[0]
        checks.append(Check(step, name, right, got, expected, place="" if right else place))
    return checks


def _close(got: Any, expected: Any, tolerance: float) -> bool:
    scale = np.abs(expected).max(initial=0.0) + np.abs(got).max(initial=0.0) + 1e-3
    return bool(np.abs(got - expected).max(initial=0.0) <= tolerance * scale)


def _array(o: Any) -> Any:
    return o.array if isinstance(o, _Tensor) else o


def _changed(o: Any, array: Any) -> Any:
    return _Tensor(array) if isinstance(o, _Tensor) else array


def _wide(o: Any) -> Any:
    array = _array(o)
    is_float = isinstance(array, np.ndarray | np.generic) and array.dtype.kind == "f"
    return _changed(o, np.array(array, np.float64)) if is_float else o


def _nudged(o: Any, random: np.random.Generator) -> Any:
    array = _array(o)
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return o
    return _changed(o, np.asarray(array + random.uniform(-1e-3, 1e-3, array.shape)))


def _both(
    step: BackwardStep, call: Callable[..., Any], operands: list[Any], i: int
) -> tuple[Any, Any, float]:
    """Return what the rule says, what differences say, and how far they may be apart."""
    gradients = step.gradient if isinstance(step.gradient, tuple) else (step.gradient,)
    gs = [None if g is None else np.asarray(g.array, np.float64) for g in gradients]
    leaves: list[Any] = [
        result_type.make(array.copy()) if isinstance(array, np.ndarray) else array
        for array in map(_array, operands)
    ]
    leaves[i].requires_grad_()
    with enable_grad():
        # A copy, since a forward may write into what it is given.
        results = call(
            *(REGISTRY["clone"].call(leaf) if isinstance(leaf, Traced) else leaf for leaf in leaves)
        )
        parts = results if isinstance(results, tuple) else (results,)
        if [p.array.shape for p, g in zip(parts, gs, strict=True) if g is not None] != [
            g.shape for g in gs if g is not None
        ]:
            raise _NotKept("its options are not all kept")
        pairs = [
            (p, result_type.make(g.astype(p.array.dtype)))
            for p, g in zip(parts, gs, strict=True)
            if g is not None and p.node is not None
        ]
        (found,) = grad([p for p, _ in pairs], leaves[i], [g for _, g in pairs], allow_unused=True)
    got = np.zeros(leaves[i].shape) if found is None else np.asarray(found.array, np.float64)
    narrow = any(p.array.dtype.itemsize < 8 for p, _ in pairs)
    length, tolerance = (1e-2, 1e-2) if narrow else (6e-6, 1e-5)

    def total(array: np.ndarray[Any, Any]) -> float:
        given = [array if k == i else _array(o) for k, o in enumerate(operands)]
        with no_grad():
            results = call(
                *(result_type.make(a.copy()) if isinstance(a, np.ndarray) else a for a in given)
            )
        parts = results if isinstance(results, tuple) else (results,)
        return sum(
            float((np.asarray(p.array, np.float64) * g).sum())
            for p, g in zip(parts, gs, strict=True)
            if g is not None
        )

    start = np.asarray(_array(operands[i]), np.float64)
    if total(start) != total(start):
        raise _NotKept("its forward does not give the same twice")
    if start.size <= _ALL:
        directions = np.eye(start.size).reshape(start.size, *start.shape)
    else:
        directions = np.random.default_rng(2).normal(size=(_DIRECTIONS, *start.shape))
    step_sizes = [length * max(1.0, float(np.abs(start * (d != 0)).max())) for d in directions]
    slopes = [
        (total(np.asarray(start + h * d)) - total(np.asarray(start - h * d))) / (2 * h)
        for d, h in zip(directions, step_sizes, strict=True)
    ]
    if start.size <= _ALL:
        return got, np.array(slopes).reshape(start.shape), tolerance
    return np.array([(got * d).sum() for d in directions]), np.array(slopes), tolerance


def _place(node: Any) -> str:
    """Return where a user's own rule stands, "" for the package's."""
    function = getattr(node, "function", None)
    rules = [function._gradients()] if function is not None else [*node.op.rules.values()]
    for rule in rules:
        code = getattr(rule, "__code__", None)
        if code is not None and not _is_ours(rule):
            return lines.place(code.co_filename, code.co_firstlineno)
    return ""
