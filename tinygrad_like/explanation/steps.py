"""The walk back through a graph, one step at a time.

`backward_steps` goes the way of `tinygrad_like.graph.walk`, by the same clock, and gives the same
gradients. It is slower, since it looks at everything: each gradient that arrives is kept apart with
its sender, and each operand's rule runs by itself.
"""

from __future__ import annotations

import functools
import linecache
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_like.backward import _roots, _sequence
from tinygrad_like.graph import (
    AccumulateGrad,
    Node,
    Pick,
    Traced,
    _call_hook,
    _replacement,
    _shown,
    as_array,
    fill_missing,
    reachable,
    refuse_overwritten,
    result_type,
)
from tinygrad_like.lines import line_number, recorded, told
from tinygrad_like.stamps import last_write
from tinygrad_like.viz.formulas import argument_names, formula_of, rule_source
from tinygrad_like.viz.textbook import ELEMENTWISE

_tick = attrgetter("tick")


@dataclass(eq=False)
class Contribution:
    """One of the gradients that are added up where a value was used several times.

    Attributes:
        sender: the step it comes from, None for the gradient the walk starts with.
        argument: which operand the value was there.
        gradient: the gradient, a tensor.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor(3.0, requires_grad=True)
    >>> *_, last = torch.autograd.backward_steps(w * w + w)
    >>> [(part.gradient.item(), part.sender.op, part.argument) for part in last.contributions]
    [(1.0, 'add', 'y'), (3.0, 'multiply', 'x'), (3.0, 'multiply', 'y')]
    """

    sender: BackwardStep | None
    argument: str
    gradient: Any


@dataclass(eq=False)
class Sent:
    """What one operand of an operation is sent.

    Attributes:
        argument: the operand's name in the formula.
        formula: the rule as a formula.
        source: the rule's source.
        parent: the operand's node, None if it needs no gradient.
        returned: what the rule returned, a tensor, None if no gradient goes there.
        gradient: what is passed on: `returned`, summed to the operand's shape if it was broadcast.
        wanted: whether a gradient was asked for.
        receiver: the step of `parent`, as soon as it had its turn.

    >>> import tinygrad_like as torch
    >>> w, data = torch.tensor(2.0, requires_grad=True), torch.tensor([1.0, 2.0, 3.0])
    >>> lesson = torch.explain((w * data).sum(), show=False)
    >>> sent = lesson[1].sent[0]  # by the product, to w
    >>> sent.formula, sent.source
    ('d(x*y)/dx = g*y', 'lambda g, y: g * y')
    >>> sent.local, sent.returned, sent.broadcast  # w was used along dimension 0
    (tensor([1., 2., 3.]), tensor([1., 2., 3.]), (0,))
    >>> sent.gradient, sent.receiver
    (tensor(6.), <BackwardStep 3: leaf>)
    """

    argument: str
    formula: str
    source: str
    parent: Node | None
    returned: Any = None
    gradient: Any = None
    wanted: bool = False
    receiver: BackwardStep | None = None
    _derive: Callable[[], Any] | None = None

    @property
    def local(self) -> Any:
        """The local derivative of the result by this operand as a tensor, None if that is no array.

        It can be shown as an array for operations that work element by element, where it has the
        result's shape, and for those whose result is one number, where it has the operand's.
        """
        return None if self._derive is None else self._derive()

    @property
    def broadcast(self) -> tuple[int, ...]:
        """The dimensions of `returned` that were summed, since the operand was repeated along them."""
        if self.gradient is None or self.returned is None:
            return ()
        long, short = self.returned.array.shape, self.gradient.array.shape
        missing = len(long) - len(short)
        return tuple(d for d, n in enumerate(long) if d < missing or short[d - missing] != n)


@dataclass(eq=False)
class BackwardStep:
    """One node's turn in a backward pass.

    Attributes:
        number: its place in the order, from 1.
        node: the node; `kind` is "operation", "leaf" or "result" (one result of several).
        op: the operation's name; `label` is PyTorch's name for the node.
        gradient: what arrived, a tensor; for an operation with several results a tuple, with None
            for results that have no gradient.
        contributions: the gradients that were added up to it.
        sent: for each operand what it is sent.
        hooked: whether a hook replaced the gradient that arrived or one that was sent.
        tick: when the operation was recorded; the walk goes from young to old.
        waiting: how many operations waited when this one was chosen, itself included.
        users: the steps of all that used its result.
        module: the innermost module that recorded it, if module calls were noted; else None.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> y = w.exp()
    >>> step = torch.explain((y * y).sum(), show=False)[2]
    >>> step, step.label, step.gradient
    (<BackwardStep 3: exp>, 'ExpBackward0', tensor([ 5.4366, 14.7781]))
    >>> step.formulas, step.users
    (('d(exp(x))/dx = g*exp(x)',), [<BackwardStep 2: multiply>])
    >>> step.why
    'Step 2, which used its result, had its turn: its gradient is complete.'
    """

    number: int
    node: Node
    gradient: Any
    contributions: list[Contribution]
    waiting: int
    users: list[BackwardStep]
    module: Any = None
    sent: list[Sent] = field(default_factory=list)
    hooked: bool = False
    _saved: Any = None

    @property
    def kind(self) -> str:
        """What the node is."""
        if isinstance(self.node, AccumulateGrad):
            return "leaf"
        return "result" if isinstance(self.node, Pick) else "operation"

    @property
    def op(self) -> str:
        """The name of the operation, "leaf" for a tensor that the user made."""
        node = self.node.parents[0] if isinstance(self.node, Pick) else self.node
        assert node is not None
        if self.kind == "leaf":
            return "leaf"
        if node.op is not None:
            return str(node.op.name)
        return node.label if node.label != "Node" else node.name()

    @property
    def label(self) -> str:
        """PyTorch's name for the node."""
        return self.node.name()

    @property
    def formulas(self) -> tuple[str, ...]:
        """The rule of each operand as a formula."""
        return tuple(sent.formula for sent in self.sent)

    @property
    def tick(self) -> int:
        """When the operation was recorded."""
        return self.node.tick

    @property
    def line(self) -> tuple[str, int] | None:
        """File and line of the user's program that recorded it, None if unknown."""
        where = self.node.line
        return None if where is None else (where[0].co_filename, line_number(where))

    @property
    def code(self) -> str:
        """The text of that line."""
        return "" if self.line is None else linecache.getline(*self.line).strip()

    @property
    def why(self) -> str:
        """A sentence that says why it comes now."""
        numbers = sorted({user.number for user in self.users})
        if not numbers:
            g = self.contributions[0].gradient.array
            if g.size == 1 and g == 1:
                return "The walk starts here: what a result gains by itself growing is 1."
            return "The walk starts here, with the gradient that was given."
        steps, their = ("step", "its") if len(numbers) == 1 else ("steps", "their")
        used = f"{steps} {_listed(numbers)}"
        if self.kind == "result":
            return (
                f"{_capital(used)}, which used this result, had {their} turn: its gradient goes to "
                "its place in the list that the operation will see."
            )
        if self.kind == "leaf":
            return f"Leaves come last, when nothing is left that could send more; {used} used it."
        text = (
            f"{_capital(used)}, which used its result, had {their} turn: its gradient is complete."
        )
        if self.waiting > 1:
            text += f" Of the {self.waiting} that wait it is the youngest."
        return text

    def _local(self, i: int) -> Any:
        op, shape = self.node.op, self.node.shape
        if op is None or op.several or self.sent[i].parent is None:
            return None
        if op.name not in ELEMENTWISE and int(np.prod(shape)) != 1:
            return None
        ones = np.ones(shape, self.gradient.array.dtype)
        found = _by_op(self.node, ones, self._saved, [k == i for k in range(len(self.sent))])[i]
        return None if found is None else result_type.make(np.asarray(found))

    def __repr__(self) -> str:
        return f"<BackwardStep {self.number}: {self.op}>"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(filter(None, (", ".join(map(str, numbers[:-1])), *map(str, numbers[-1:]))))


# ----- The rules, one by one ----------------------------------------------------------------------


class _Place(Node):
    """Stands for an operand, so that what it is sent is seen apart from what others are sent."""

    __slots__ = ()

    def __init__(self, shape: Any) -> None:
        self.shape = shape


def _by_op(node: Node, g: Any, saved: Any, wanted: Sequence[bool]) -> list[Any]:
    """Return what an op's rules say of each operand: what `generate_backward` writes out."""
    op = node.op
    if op.several:
        g = fill_missing(g, node)
    values = {**dict(zip(op.saves, saved, strict=True)), "g": g}

    def run(rule: Any, **more: Any) -> Any:
        names = rule.__code__.co_varnames[
            : rule.__code__.co_argcount + rule.__code__.co_kwonlyargcount
        ]
        return rule(*(more[n] if n in more else values[n] for n in names))

    if op.variadic:
        rule = op.rules[op.variadic]
        return [run(rule, i=i) if wants else None for i, wants in enumerate(wanted)]
    found: dict[str, Any] = {}
    for name, wants in zip(op.arrays, wanted, strict=True):
        if wants and name in op.rules:
            found[name] = run(op.rules[name])
    if op.joint:
        names, rule = op.joint
        needs = tuple(wanted[op.arrays.index(name)] for name in names)
        if True in needs:
            parts = zip(names, needs, run(rule, needs=needs), strict=True)
            found |= {name: part for name, wants, part in parts if wants}
    return [found.get(name) for name in op.arrays]


def _by_node(node: Node, g: Any, saved: Any, wanted: Sequence[bool]) -> list[Any]:
    """Return what another kind of node sends each operand, by showing it operands of our own."""
    parents = node.parents
    places = [None if p is None else _Place(p.shape) for p in parents]
    grads: dict[Node, Any] = {
        p: None for p, wants in zip(places, wanted, strict=True) if p is not None and wants
    }
    node.parents = tuple(places)
    try:
        node.backward(g, saved, grads)
    finally:
        node.parents = parents
    return [None if p is None else grads.get(p) for p in places]


def _send(
    step: BackwardStep, g: Any, needed: set[Node] | None
) -> list[tuple[Node, Contribution, Any]]:
    """Run a node's rules, note in `step` what each operand is sent, and return it."""
    node = step.node
    wanted = [p is not None and (needed is None or p in needed) for p in node.parents]
    run = _by_node if node.op is None else _by_op
    names = argument_names(node)
    for i, parent in enumerate(node.parents):
        sent = Sent(names[i], formula_of(node, i), rule_source(node, i), parent, wanted=wanted[i])
        sent._derive = functools.partial(step._local, i)
        step.sent.append(sent)
    parts = run(node, g, step._saved, wanted)
    for i, (sent, part) in enumerate(zip(step.sent, parts, strict=True)):
        if part is None or sent.parent is None:
            continue
        if isinstance(node, Pick):  # a list, for all results
            part = part[node.index]
            sent.returned = sent.gradient = result_type.make(np.asarray(part))
            continue
        sent.returned = result_type.make(np.asarray(part))
        if node.op is not None and part.shape != sent.parent.shape:
            parts[i] = part = node.op.mend(part, sent.parent.shape, names[i])
        sent.gradient = result_type.make(np.asarray(part))
    if node.hooks is not None and node.hooks.after:
        _show_sent(step, g)
    return [
        (
            sent.parent,
            Contribution(step, sent.argument, sent.gradient),
            (node.index, sent.gradient.array) if isinstance(node, Pick) else sent.gradient.array,
        )
        for sent in step.sent
        if sent.gradient is not None and sent.parent is not None
    ]


def _show_sent(step: BackwardStep, g: Any) -> None:
    """Let hooks see, and replace, what a node sends: an operand given twice is shown a sum, once."""
    node = step.node
    assert node.hooks is not None
    first: dict[Node, Sent] = {}
    for sent in step.sent:
        if sent.parent is None or sent.gradient is None:
            continue
        if sent.parent in first:
            former = first[sent.parent]
            former.gradient = result_type.make(former.gradient.array + sent.gradient.array)
            sent.gradient = None
        else:
            first[sent.parent] = sent
    received = g if isinstance(g, list) else [g]
    for hook in list(node.hooks.after.values()):
        shown = tuple(_shown(sent.gradient) for sent in step.sent)
        replaced = _call_hook(hook, g, shown, tuple(map(_shown, received)))
        if replaced is None:
            continue
        given = replaced if isinstance(replaced, tuple | list) else (replaced,)
        for sent, part in zip(step.sent, given, strict=True):
            if sent.gradient is not None:
                new = _replacement(hook, sent.gradient.array, part)
                step.hooked = step.hooked or new is not sent.gradient.array
                sent.returned = sent.gradient = result_type.make(as_array(new))


# ----- The walk -----------------------------------------------------------------------------------


def _total(node: Node, parts: Sequence[Any]) -> Any:
    """Return the sum of what arrived, added in the engine's order; a list for several results."""
    if isinstance(parts[0], tuple):
        received: list[Any] = [None] * len(node.shape)
        for index, g in parts:
            received[index] = g if received[index] is None else received[index] + g
        return received
    total = parts[0]
    for g in parts[1:]:
        total = total + g
    return total


def _tensors(g: Any) -> Any:
    if isinstance(g, list):
        return tuple(None if part is None else result_type.make(np.asarray(part)) for part in g)
    return result_type.make(np.asarray(g))


def _hooked(node: Node, g: Any, accumulate: bool) -> Any:
    """Return the gradient after the node's hooks saw it; `retain_grad` waits for a real backward."""
    hooks = node.hooks
    assert hooks is not None
    retain = hooks.retain
    if not accumulate:
        hooks.retain = None
    try:
        return hooks.run(g)
    finally:
        hooks.retain = retain


def _refuse_freed(nodes: Sequence[Node]) -> None:
    for node in reversed(nodes):
        if node.saved is None:
            raise told(
                RuntimeError,
                f"the graph was freed by an earlier backward(): what {node.name()} had saved is gone; "
                "explain it before backward(), or call backward(retain_graph=True)",
                recorded(node.name(), node.line),
            )


def backward_steps(
    loss: Any,
    gradient: Any = None,
    *,
    of: Any = None,
    modules: Sequence[Any] = (),
    accumulate: bool = False,
) -> Iterator[BackwardStep]:
    """Go through the backward pass of `loss` one node at a time, in the engine's order.

    The graph is kept, and no ``.grad`` is written, so ``backward()`` can follow. Hooks on the way are
    called, since they may change gradients.

    Args:
        loss: a tensor, or several.
        gradient: the gradient to start from, one for each tensor; None means 1, for scalars.
        of: go only where it leads to this tensor, or to these.
        modules: calls of modules as `tinygrad_like.nn.module.record_modules` notes them, so that
            steps know their module.
        accumulate: add gradients to ``.grad`` as ``backward()`` does.

    Raises:
        TypeError: if `loss` is no tensor.
        RuntimeError: if `loss` has no graph, or is no scalar and `gradient` is not given; if the
            graph was freed, or a value it needs overwritten; if `loss` does not depend on `of`.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor(3.0, requires_grad=True)
    >>> for step in torch.autograd.backward_steps((w * w).sum()):
    ...     print(step.number, step.op, step.gradient.item(), len(step.contributions))
    1 sum 1.0 1
    2 multiply 1.0 1
    3 leaf 6.0 2
    """
    outputs = outputs_of(loss)
    gradients = [None] * len(outputs) if gradient is None else _sequence(gradient)
    roots = _roots(outputs, gradients, False)
    nodes = reachable([node for node, _ in roots])
    _refuse_freed(nodes)
    needed = _leading_to(nodes, of)
    return _walk(roots, needed, modules, accumulate)


def outputs_of(loss: Any) -> Sequence[Any]:
    """Return the tensors that a walk is to start from.

    Raises:
        TypeError: if `loss` is something else.
    """
    outputs = list(loss) if isinstance(loss, list | tuple) else [loss]
    for output in outputs:
        if not isinstance(output, Traced):
            more = ""
            if hasattr(output, "named_parameters"):
                more = "; call the module, and explain what you make of its result"
            raise told(
                TypeError,
                f"expected a tensor or several to go back from, got {type(output).__name__}{more}",
            )
    return outputs


def _leading_to(nodes: Sequence[Node], of: Any) -> set[Node] | None:
    """Return the nodes from which a way leads to the tensors `of`, None if that isn't asked."""
    if of is None:
        return None
    targets = []
    known = set(nodes)
    for tensor in _sequence(of):
        if not isinstance(tensor, Traced):
            raise told(TypeError, f"of: expected a tensor or several, got {type(tensor).__name__}")
        if tensor.node is None or tensor.node not in known:
            raise told(
                RuntimeError,
                f"of: the loss does not depend on the given tensor of shape {tuple(tensor.array.shape)}; "
                "was it made anew, or detached, on the way?",
            )
        targets.append(tensor.node)
    needed = set(targets)
    for node in nodes:
        if not needed.isdisjoint(node.parents):
            needed.add(node)
    return needed


def _walk(
    roots: Sequence[tuple[Node, Any]],
    needed: set[Node] | None,
    modules: Sequence[Any],
    accumulate: bool,
) -> Iterator[BackwardStep]:
    arrived: dict[Node, list[Any]] = {}  # what the engine would have added up by now
    contributions: dict[Node, list[Contribution]] = {}
    users: dict[Node, list[BackwardStep]] = {}
    for node, g in roots:
        if needed is None or node in needed:
            is_result = isinstance(node, Pick)
            assert not isinstance(node.shape, list) or is_result
            arrived.setdefault(node, []).append(g)
            contribution = Contribution(None, "", result_type.make(g))
            contributions.setdefault(node, []).append(contribution)
    waiting = sorted((node for node in arrived if node.tick), key=_tick)
    leaves = [node for node in arrived if not node.tick]
    number = 0
    while waiting or leaves:
        if not waiting:
            waiting, leaves = leaves[::-1], []
        count = len(waiting)
        node = waiting.pop()
        parts = arrived.pop(node)
        if not parts:
            continue
        g = _total(node, parts)
        number += 1
        step = BackwardStep(
            number,
            node,
            None,
            contributions.pop(node),
            count,
            users.pop(node, []),
            _module(modules, node),
        )
        for user in step.users:
            for sent in user.sent:
                if sent.parent is node and sent.gradient is not None:
                    sent.receiver = step
        if node.hooks is not None:
            before, g = g, _hooked(node, g, accumulate)
            step.hooked = before is not g
        step.gradient = _tensors(g)
        step._saved = saved = node.saved
        if saved is None:
            _refuse_freed([node])
        elif saved and node.tick < last_write():
            refuse_overwritten(node, saved)
        for parent in node.parents:
            if parent is None or (needed is not None and parent not in needed):
                continue
            if step not in users.setdefault(parent, []):
                users[parent].append(step)
            if parent in arrived:
                continue
            arrived[parent] = []
            if not parent.tick:
                leaves.append(parent)
            else:
                insort(waiting, parent, key=_tick)
        if not isinstance(node, AccumulateGrad):
            try:
                results = _send(step, g, needed)
            except Exception as error:
                error.__dict__.setdefault("_step", step)
                raise
            for parent, contribution, part in results:
                if parent in arrived:
                    arrived[parent].append(part)
                    contributions.setdefault(parent, []).append(contribution)
        elif accumulate:
            node.backward(g, (), {})
        yield step


def _module(modules: Sequence[Any], node: Node) -> Any:
    for scope in modules:
        if scope.first < node.tick < scope.last:
            return scope.module
    return None
