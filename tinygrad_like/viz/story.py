"""One forward and one backward pass, told node by node: what a page that plays them needs to know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_like.graph import (
    AccumulateGrad,
    Node,
    Pick,
    Traced,
    freed,
    reachable,
    refuse_overwritten,
)
from tinygrad_like.modes import set_witness
from tinygrad_like.op import REGISTRY
from tinygrad_like.stamps import find, tick
from tinygrad_like.viz.picture import Facts, Key, key_of

# Options that change what is kept for the rules, the order in memory or what else is written, but
# not the result, with values that do least.
IMMATERIAL = {
    "wanted": False,
    "recorded": False,
    "order": "K",
    "running_mean": None,
    "running_var": None,
    "momentum": 0.0,
}


@dataclass
class Arrival:
    """A gradient that arrives at a value, and what has arrived there once it is added."""

    sender: Node | None  # None: it is where the backward pass starts
    gradient: np.ndarray[Any, Any]
    total: np.ndarray[Any, Any]


@dataclass
class Story:
    """A backward pass.

    Attributes:
        order: operations and leaves in the order in which their turn came.
        gradients: of each value, complete.
        arrivals: of each value, in the order in which they arrived.
    """

    order: list[Node] = field(default_factory=list)
    gradients: dict[Key, np.ndarray[Any, Any]] = field(default_factory=dict)
    arrivals: dict[Key, list[Arrival]] = field(default_factory=dict)


def observe(roots: Sequence[tuple[Node, np.ndarray[Any, Any]]]) -> Story:
    """Send gradients back from `roots` as `graph.walk` does, and note all that happens.

    Nothing is added to any ``.grad``, nothing is freed. Hooks on tensors and nodes run, since they
    may change gradients; those that wait for a leaf's ``.grad`` don't.

    Raises:
        RuntimeError: if saved values were freed or overwritten.
    """
    story = Story()
    order = reachable([node for node, _ in roots])
    former = _retained(order)
    grads: dict[Node, Any] = {}
    leaves: dict[AccumulateGrad, None] = {}  # in the order in which they are found
    for node, g in roots:
        _arrive(story, grads, node, None, g)
        if isinstance(node, AccumulateGrad):
            leaves[node] = None
    try:
        for node in reversed(order):
            if not isinstance(node, AccumulateGrad) and node in grads:
                _turn(story, grads, node, leaves)
        for leaf in leaves:
            if leaf in grads:
                g = grads.pop(leaf)
                g = g if leaf.hooks is None else leaf.hooks.run(g)
                story.gradients[leaf, 0] = np.asarray(g, leaf.array.dtype)  # as .grad has it
                story.order.append(leaf)
    finally:
        for tensor, grad in former:
            tensor._grad = grad
    return story


def _retained(nodes: Iterable[Node]) -> list[tuple[Any, Any]]:
    """Return each tensor that retains its gradient, with what it has."""
    found = []
    for node in nodes:
        tensor = node.hooks.retain() if node.hooks is not None and node.hooks.retain else None
        if tensor is not None:
            found.append((tensor, tensor._grad))
    return found


def _turn(
    story: Story, grads: dict[Node, Any], node: Node, leaves: dict[AccumulateGrad, None]
) -> None:
    """Have a node send what its rules make of the gradient that arrived."""
    g = grads.pop(node)
    if node.hooks is not None:
        g = node.hooks.run(g)
    saved = node.saved
    if saved is None:
        raise freed(node)
    refuse_overwritten(node, saved)
    if not isinstance(node, Pick):
        story.order.append(node)
        for index, part in enumerate(g if isinstance(g, list) else [g]):
            if part is not None:
                story.gradients[node, index] = part
    sent: dict[Node, Any] = {parent: None for parent in node.parents if parent is not None}
    leaves |= {parent: None for parent in sent if isinstance(parent, AccumulateGrad)}
    sums: dict[Node, Any] = {}
    if node.hooks is not None and node.hooks.after:
        node.hooks.send(node, g, saved, sent)
    else:
        node.backward(g, saved, sent)
        if any(parent in grads and node.parents.count(parent) > 1 for parent in sent):
            # The engine adds one contribution after the other to what was there: that rounds otherwise.
            sums = {parent: grads.get(parent) for parent in sent}
            node.backward(g, saved, sums)
    for parent, part in sent.items():
        if part is None:
            continue
        if isinstance(node, Pick):
            former = grads.get(parent) or [None] * len(part)
            grads[parent] = [_sum(a, b) for a, b in zip(former, part, strict=True)]
        else:
            _arrive(story, grads, parent, node, part, sums.get(parent))


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _arrive(
    story: Story,
    grads: dict[Node, Any],
    node: Node,
    sender: Node | None,
    g: Any,
    total: Any = None,
) -> None:
    # What arrives is kept here too, so the engine never adds in its memory.
    grads[node] = total = _sum(grads.get(node), g) if total is None else total
    story.arrivals.setdefault(key_of(node), []).append(Arrival(sender, g, total))


# ----- Values -------------------------------------------------------------------------------------


class Witness:
    """What operations were given and what they made, noted while they ran.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> with Witness() as seen:
    ...     y = x + 1
    >>> results, constants = seen.of(y.grad_fn)
    >>> [result.tolist() for result in results], constants
    ([3.0], [1])
    """

    def __init__(self) -> None:
        self._ticks: dict[Any, list[int]] = {}  # by op, or by the class of its nodes
        self._seen: dict[Any, list[tuple[list[Any], list[Any]] | None]] = {}

    def __enter__(self) -> Witness:
        self._former = set_witness(self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        set_witness(self._former)

    def _note(self, op: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
        # A node that is made of this has the next tick of its op's.
        self._ticks.setdefault(op, []).append(tick())
        constants = [
            value.array if isinstance(value, Traced) else value
            for value in operands
            if not (isinstance(value, Traced) and value.node is not None)
        ]
        plain = [v for v in constants if isinstance(v, np.ndarray | np.generic | float | int)]
        copies = [np.array(result) for result in results]  # they may be overwritten
        self._seen.setdefault(op, []).append((copies, plain))

    def of(self, node: Node) -> tuple[list[Any], list[Any]] | None:
        """Return the results of the operation that a node records, and its operands without a gradient.

        It is told once: a node that was recorded without an operation has nothing to do with that before.
        """
        op = type(node) if node.op is None else node.op
        index = bisect_left(self._ticks.get(op, ()), node.tick) - 1
        if index < 0:
            return None
        found, self._seen[op][index] = self._seen[op][index], None
        return found

    def inform(self, facts: Facts, nodes: Sequence[Node]) -> None:
        """Add what was seen of operations to what their graph has kept."""
        for node in nodes:
            if (noted := self.of(node)) is not None:
                results, facts.constants[node] = noted
                facts.missing[node] = 0
                facts.values |= {(node, i): value for i, value in enumerate(results)}
                facts.types |= {(node, i): value.dtype for i, value in enumerate(results)}


def values_of(nodes: Sequence[Node], facts: Facts) -> dict[Key, np.ndarray[Any, Any]]:
    """Return the value of each result, as far as it is known or can be had again.

    The tape keeps only what rules need. The result of any other operation is computed again if its
    operands are known and nothing else went into it that was not kept.
    """
    values = dict(facts.values)
    for node in nodes:
        wanted = range(len(node.shape)) if isinstance(node.shape, list) else range(1)
        if node.op is None or node.packs or all((node, index) in values for index in wanted):
            continue
        results = _again(node, values)
        for index in wanted if results is not None else ():
            shape = node.shape[index] if isinstance(node.shape, list) else node.shape
            if results[index].shape == tuple(shape):
                values.setdefault((node, index), results[index])
    return values


def _again(node: Node, values: dict[Key, np.ndarray[Any, Any]]) -> Any:
    """Return the results of an operation run again, None if not all that it needs is known."""
    op: Any = node.op
    if REGISTRY.get(op.name) != op or node.saved is None:
        return None
    operands, options = _operands(node, values), _options(node)
    if operands is None or options is None:
        return None
    try:
        with np.errstate(all="ignore"):
            result = op.forward(*([tuple(operands)] if op.variadic else operands), *options)
    except Exception:  # something was not what it seemed: then the value is not known
        return None
    if op.keeps:
        result = result[0]
    return [np.asarray(part) for part in (result if op.several else (result,))]


def _kept(node: Node, name: str) -> tuple[bool, Any]:
    """Return whether the tape knows an argument, since a rule that will run names it, and its value."""
    op: Any = node.op
    names = op.arrays * len(node.parents) if op.variadic else op.arrays
    users = op.saves.get(name, ())
    if not any(parent and n in users for n, parent in zip(names, node.parents, strict=True)):
        return False, None
    return True, (node.saved or ())[list(op.saves).index(name)]


def _operands(node: Node, values: dict[Key, np.ndarray[Any, Any]]) -> list[Any] | None:
    op: Any = node.op
    found: list[Any] = []
    for i, parent in enumerate(node.parents):
        name = op.variadic or op.arrays[i]
        if parent is not None:
            operand: Any = values.get(key_of(parent))
            known = operand is not None
        else:
            known, operand = _kept(node, name)
            if known and op.variadic:
                operand = operand[i]
        note = find(operand) if isinstance(operand, np.ndarray) else None
        overwritten = note is not None and max(note.tick, note.silent_tick) > node.tick
        if not known or overwritten or (operand is None and name not in op.optional):
            return None
        found.append(operand)
    return found


def _options(node: Node) -> list[Any] | None:
    op: Any = node.op
    found: list[Any] = []
    for parameter in op.parameters[len(op.arrays) :]:
        known, option = _kept(node, parameter.name)
        if known:
            found.append(option)
        elif parameter.name in IMMATERIAL:
            found.append(IMMATERIAL[parameter.name])
        elif parameter.name == "shape" and not op.several:
            found.append(node.shape)
        elif parameter.name == "sizes" and op.several and _kept(node, "dim")[0]:
            found.append([shape[_kept(node, "dim")[1]] for shape in node.shape])
        else:
            return None
    return found
