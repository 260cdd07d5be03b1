"""The engine: what a recorded operation is, the one clock, and the walk back through the graph.

A `Tensor` holds an array and, if gradients are wanted, the `Node` that made it. A node knows its
parents (the nodes of its operands), the values its gradient rules need, and the tick of the clock
at which it was recorded. Everything else here follows from those three:

* backward order: of the nodes that wait for their turn always the newest by tick. An operation is
  always younger than its operands, so when a node's turn comes, every gradient it will ever receive
  has arrived.
* safety: an in-place write stamps the written memory with the next tick. A saved array whose memory
  carries a stamp younger than the node was overwritten, and its gradient would be wrong.
* memory: nodes refer to their parents only, never the other way, so a graph dies with its tensors.
"""

from __future__ import annotations

import sys
import threading
import warnings
import weakref
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from tinygrad_like import noticed
from tinygrad_like.lines import Line, describe, recorded, told
from tinygrad_like.modes import InferenceMark, departed, set_mode, thread_mode
from tinygrad_like.stamps import find, last_write, owner, stamp, tick

Array = Any  # An ndarray where a rule runs plainly, a Tensor where what it does is recorded again.

# ----- Nodes --------------------------------------------------------------------------------------


class Traced:
    """What a tensor is to the engine: an array and the node that made it (None: no gradient)."""

    __slots__ = ("__dict__", "__weakref__", "_grad", "_view", "array", "node")
    array: np.ndarray[Any, Any]
    node: Node | None
    _grad: Any
    _view: Any


class Node:
    """One recorded operation. Each op has a subclass of its own, made where the op is declared."""

    __slots__ = ("__weakref__", "hooks", "line", "parents", "saved", "shape", "tick")
    tick: int
    parents: tuple[Node | None, ...]
    saved: tuple[Any, ...] | None  # None once a backward has used and dropped them
    shape: Any  # of the result; a list of shapes where there are several results
    line: Line | None
    hooks: Hooks | None

    op: ClassVar[Any] = None
    label: ClassVar[str] = "Node"
    packs: ClassVar[bool] = False  # whether what it saves goes through a user's hooks

    def name(self) -> str:
        """Return the name PyTorch gives this kind of node, such as ``MulBackward0``."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes this one sends gradients to, each with the index of that node's result."""
        return tuple(
            (parent.parents[0], parent.index) if isinstance(parent, Pick) else (parent, 0)
            for parent in self.parents
        )

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Add to `grads` what the gradient `g` of the result means for each parent found there."""
        raise NotImplementedError

    def lift(self, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the saved values as tensors in their places in the graph, to be recorded again."""
        return saved

    def __repr__(self) -> str:
        return f"<{self.name().rpartition(':')[2]} object at {id(self):#x}>"

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_outputs)`` before this node's rules; it may return replacements."""
        return _added(hook, hooks_of(self).before)

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node's rules; it may return new inputs."""
        return _added(hook, hooks_of(self).after)


class Pick(Node):
    """One result of an operation that has several: it puts its gradient in that result's place."""

    __slots__ = ("index",)
    index: int

    def name(self) -> str:
        """Return the name of the operation that made all the results."""
        parent = self.parents[0]
        return "Pick" if parent is None else parent.name()

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Put `g` at this result's index in the list of gradients its operation will see."""
        del saved
        (parent,) = self.parents
        if parent in grads:
            assert parent is not None
            received = grads[parent]
            if received is None:
                received = grads[parent] = [None] * len(parent.shape)
            former = received[self.index]
            received[self.index] = g if former is None else former + g


class AccumulateGrad(Node):
    """Where a gradient ends: the node of a tensor that the user made and wants a gradient for."""

    __slots__ = ("_tensor", "array", "post_hooks")
    _tensor: weakref.ref[Traced]  # weak, since the tensor refers to this node
    array: np.ndarray[Any, Any]
    post_hooks: dict[int, Callable[[Any], None]] | None

    def __init__(self, tensor: Traced) -> None:
        self.tick = 0  # older than every operation, hence last in every walk
        self.parents = ()
        self.saved = ()
        self.line = None
        self.hooks = None
        self.post_hooks = None
        self._tensor = weakref.ref(tensor)
        self.array = tensor.array
        self.shape = tensor.array.shape

    def name(self) -> str:
        """Return PyTorch's name for the end of a path."""
        return "torch::autograd::AccumulateGrad"

    @property
    def variable(self) -> Any:
        """The tensor whose ``.grad`` this node fills."""
        tensor = self._tensor()
        return result_type.make(self.array, self) if tensor is None else tensor

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Add `g` to the tensor's ``.grad``."""
        del saved, grads
        tensor = self._tensor()
        if tensor is None:
            noticed.lost.add(self.shape)
            return
        if tensor.node is None:
            return
        accumulate(tensor, g)
        if self.post_hooks:
            run_post_hooks(tensor, isinstance(g, Traced))


class _ResultType:
    """Holds the class of results, so that the engine can make tensors without importing it."""

    __slots__ = ("cls",)
    cls: type[Traced]

    def make(self, array: np.ndarray[Any, Any], node: Node | None = None) -> Any:
        """Return a new tensor around `array`."""
        tensor = object.__new__(self.cls)
        tensor.array = array
        tensor.node = node
        tensor._grad = None
        tensor._view = None
        if departed.count and thread_mode.inference:
            tensor.__dict__["_inference"] = InferenceMark()
        return tensor


result_type = _ResultType()


def mark_inference(tensor: Any, sources: Iterable[Any]) -> None:
    """Mark a tensor as made in inference mode, unless it looks at the memory of a normal one."""
    memory = owner(tensor.array)
    for source in sources:
        if (
            isinstance(source, Traced)
            and "_inference" not in source.__dict__
            and owner(source.array) is memory
        ):
            tensor.__dict__.pop("_inference", None)
            return
    tensor.__dict__["_inference"] = InferenceMark()


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """Return the array of a tensor, or an array as it is."""
    return value.array if isinstance(value, Traced) else np.asarray(value)


def as_tensor(value: Any) -> Any:
    """Return a tensor as it is, or an array as a tensor without a place in the graph."""
    return value if isinstance(value, Traced) else result_type.make(np.asarray(value))


# What `sys.getrefcount` says of a gradient that nobody but the walk holds: see `_calibrate`.
_unshared = 0

_accumulating = threading.RLock()


def accumulate(tensor: Any, g: Any) -> None:
    """Add the gradient `g` to ``tensor.grad``, which never shares memory with anything else."""
    with _accumulating:  # NumPy lets other threads run while it adds
        former = tensor._grad
        if isinstance(g, Traced):  # create_graph: the gradient has a graph of its own
            if former is None:
                tensor._grad = result_type.make(g.array.copy(), g.node)
            else:
                tensor._grad = former + g
            return
        array, dtype = tensor.array, tensor.array.dtype
        if g.shape != array.shape:
            raise told(
                RuntimeError,
                f"backward: a gradient of shape {g.shape} arrived for a tensor of shape {array.shape}; "
                "a gradient rule on the way returns the wrong shape",
            )
        if former is not None:
            if former.node is None:
                if not len(noticed.optimizers):
                    from tinygrad_like.debug.by_hand import see_added

                    see_added(tensor, former)
                np.add(former.array, g, out=former.array, casting="unsafe")
                stamp(former.array)
            else:
                tensor._grad = former + result_type.make(np.asarray(g))
            return
        if (
            sys.getrefcount(g) > _unshared
            or type(g) is not np.ndarray
            or g.dtype is not dtype
            or g.base is not None
        ):
            g = np.array(g, dtype)
        tensor._grad = result_type.make(g)


class _Fresh(Node):
    """Sends its parent an array that nobody else holds."""

    __slots__ = ()

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        del g, saved
        (parent,) = self.parents
        assert parent is not None
        grads[parent] = np.empty(1)


class _Counting(AccumulateGrad):
    """Notes how often a gradient is referred to at the end of a walk."""

    __slots__ = ()

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        del saved, grads
        _count_references(self, g)


def _count_references(node: Node, g: Any) -> None:
    del node
    global _unshared
    _unshared = sys.getrefcount(g)


def _calibrate() -> None:
    """Find `_unshared` by a walk, since how many references a call holds is Python's own affair."""
    tensor = Traced()
    tensor.array = np.empty(1)
    fresh = _Fresh()
    fresh.tick, fresh.parents, fresh.saved, fresh.hooks = tick(), (_Counting(tensor),), (), None
    walk([(fresh, np.empty(1))])


# ----- Hooks --------------------------------------------------------------------------------------


class Hooks:
    """What the user asked to see, or change, when a gradient arrives at a node and when it leaves."""

    __slots__ = ("after", "before", "calls", "retain")

    def __init__(self) -> None:
        self.before: dict[int, Callable[..., Any]] = {}  # given the gradients of all results
        self.calls: dict[int, Callable[[Any], Any]] = {}  # given the gradient of a tensor
        self.after: dict[
            int, Callable[..., Any]
        ] = {}  # given those of all operands and all results
        self.retain: weakref.ref[Traced] | None = None  # the tensor whose .grad is to be kept

    def run(self, g: Any) -> Any:
        """Return the gradient after every hook had its say, newest last."""
        for hook in list(self.before.values()):
            received = g if isinstance(g, list) else [g]
            replaced = _call_hook(hook, g, tuple(map(_shown, received)))
            if replaced is not None:
                parts = replaced if isinstance(replaced, tuple | list) else (replaced,)
                changed = [
                    part if former is None else _replacement(hook, former, part)
                    for former, part in zip(received, parts, strict=True)
                ]
                g = changed if isinstance(g, list) else changed[0]
        for hook in list(self.calls.values()):
            replaced = _call_hook(hook, g, as_tensor(g))
            if replaced is not None:
                g = _replacement(hook, g, replaced)
        tensor = self.retain() if self.retain is not None else None
        if tensor is not None:
            kept = g if isinstance(g, Traced) else result_type.make(np.array(g))
            tensor._grad = kept if tensor._grad is None else tensor._grad + kept
        return g

    def send(self, node: Node, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Do `Node.backward` with the hooks that want to see what it sends."""
        own: dict[Node, Any] = {p: None for p in node.parents if p is not None and p in grads}
        node.backward(g, saved, own)
        sent: list[Any] = []
        for parent in node.parents:
            # An operand given twice received a sum; it is shown once.
            sent.append(None if parent is None else own.pop(parent, None))
        received = g if isinstance(g, list) else [g]
        for hook in list(self.after.values()):
            shown = tuple(map(_shown, sent))
            replaced = _call_hook(hook, g, shown, tuple(map(_shown, received)))
            if replaced is not None:
                parts = replaced if isinstance(replaced, tuple | list) else (replaced,)
                sent = [
                    part if former is None else _replacement(hook, former, part)
                    for former, part in zip(sent, parts, strict=True)
                ]
        for parent, part in zip(node.parents, sent, strict=True):
            if parent is not None and part is not None and parent in grads:
                former = grads[parent]
                grads[parent] = part if former is None else former + part


def _shown(g: Any) -> Any:
    return None if g is None else as_tensor(g)


def _call_hook(hook: Callable[..., Any], g: Any, *args: Any) -> Any:
    """Call a hook where operations are recorded only if `g` is (``create_graph=True``)."""
    received = g if isinstance(g, list) else [g]
    former = set_mode(any(isinstance(part, Traced) for part in received), False)
    try:
        return hook(*args)
    finally:
        set_mode(*former)


def _replacement(hook: Callable[..., Any], g: Any, replaced: Any) -> Any:
    """Return what a hook gave in the place of `g`.

    Raises:
        TypeError: if it is no tensor.
        RuntimeError: if it does not have the shape and type of `g`.
    """
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(replaced, Traced):
        raise told(TypeError, f"expected Variable, but hook returned '{type(replaced).__name__}'")
    former = as_array(g)
    if replaced.array.shape != former.shape:
        raise told(
            RuntimeError,
            f"hook '{name}' has changed the size of value: from {tuple(former.shape)} to "
            f"{tuple(replaced.array.shape)}",
        )
    if replaced.array.dtype != former.dtype:
        raise told(
            RuntimeError,
            f"hook '{name}' has changed the type of value (was {former.dtype} got "
            f"{replaced.array.dtype})",
        )
    return replaced if isinstance(g, Traced) else replaced.array


def run_post_hooks(tensor: Any, recorded: bool) -> None:
    """Call the hooks that wait for the ``.grad`` of this leaf."""
    for hook in list((tensor.node.post_hooks or {}).values()):
        former = set_mode(recorded, False)
        try:
            hook(tensor)
        finally:
            set_mode(*former)


class RemovableHandle:
    """Takes a hook out again; also a context manager that does so at its end."""

    _ids = count()

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(RemovableHandle._ids)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def hooks_of(node: Node) -> Hooks:
    """Return the hooks of `node`, made if there are none yet."""
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks


def _added(hook: Callable[..., Any], hooks: dict[int, Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def add_hook(node: Node, hook: Callable[[Any], Any]) -> RemovableHandle:
    """Have `hook` called with each gradient that arrives at `node`."""
    return _added(hook, hooks_of(node).calls)


def refuse_overwritten(node: Node, saved: tuple[Any, ...]) -> None:
    """Raise if memory that `node` saved has been written since; only warn for writes by ``.data``."""
    if node.packs:
        return
    for value in saved:
        for array in value if type(value) is tuple else (value,):
            if not isinstance(array, np.ndarray):
                continue
            found = find(array)
            if found is None or max(found.tick, found.silent_tick) < node.tick:
                continue
            loud = found.tick > node.tick
            message = (
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: {node.name()} (recorded at {describe(node.line)}) needs a value of "
                f"shape {tuple(array.shape)} that was overwritten "
                f"{'' if loud else 'through .data '}"
                f"at {describe(found.line if loud else found.silent_line)}; "
                "write into a clone() instead, or call backward() before the write"
            )
            if loud:
                written = recorded("it was overwritten", found.line)
                raise told(RuntimeError, message, recorded(node.name(), node.line), written)
            found.silent_tick = 0  # once is enough
            warnings.warn(message, UserWarning, stacklevel=2)


# ----- The walk -----------------------------------------------------------------------------------


_tick = attrgetter("tick")


def reachable(roots: Iterable[Node]) -> list[Node]:
    """Return every node that `roots` depend on, oldest first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_tick)


def freed(node: Node) -> RuntimeError:
    """Return the error for a second backward through `node`."""
    return told(
        RuntimeError,
        "Trying to backward through the graph a second time: the values that "
        f"{node.name()} (recorded at {describe(node.line)}) saved were freed by the first backward; "
        "specify retain_graph=True there if you need both",
        recorded(node.name(), node.line),
    )


def walk(
    roots: Sequence[tuple[Node, Any]],
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    targets: Sequence[Node] | None = None,
) -> dict[Node, Any]:
    """Send gradients from `roots` backwards.

    Args:
        roots: nodes, each with the gradient that enters there.
        retain_graph: keep saved values, so that the same graph can be walked again.
        create_graph: give rules tensors, so that what they do is recorded in its turn.
        targets: walk only where it leads to one of these nodes, and return their gradients
            instead of adding gradients to ``.grad``.

    Returns:
        The gradient of each target that was reached.

    Raises:
        RuntimeError: if saved values were freed or overwritten.
    """
    needed: set[Node] | None = None
    wanted: set[Node] = set(targets or ())
    if targets is not None:
        needed = set(wanted)
        for node in reachable([node for node, _ in roots]):
            if not needed.isdisjoint(node.parents):
                needed.add(node)
    captured: dict[Node, Any] = {}
    grads: dict[Node, Any] = {}
    for node, g in roots:
        if needed is None or node in needed:
            former = grads.get(node)
            grads[node] = g if former is None else former + g
    # Nodes that wait for their turn, oldest first; leaves, older than everything, wait apart.
    waiting = sorted((node for node in grads if node.tick), key=_tick)
    leaves = [node for node in grads if not node.tick]
    newest_write = last_write()
    anomaly = thread_mode.anomaly
    while waiting or leaves:
        if not waiting:
            waiting, leaves = leaves[::-1], []
        node = waiting.pop()
        g = grads.pop(node)
        if g is None:
            continue
        if create_graph and type(g) is np.ndarray:  # from a rule whose gradient is constant
            g = result_type.make(g)
        hooks = node.hooks
        if hooks is not None:
            g = hooks.run(g)
        if wanted and node in wanted:
            captured[node] = g
            if not node.tick:
                continue
        saved = node.saved
        if saved is None:
            raise freed(node)
        for parent in node.parents:
            if parent is None or parent in grads or (needed is not None and parent not in needed):
                continue
            grads[parent] = None
            if not parent.tick:
                leaves.append(parent)
            elif not waiting or parent.tick > waiting[-1].tick:
                waiting.append(parent)
            else:
                insort(waiting, parent, key=_tick)
        if saved:
            if node.tick < newest_write:
                refuse_overwritten(node, saved)
            if create_graph:
                saved = node.lift(saved)
        if hooks is None or not hooks.after:
            node.backward(g, saved, grads)
        else:
            hooks.send(node, g, saved, grads)
        if anomaly:
            from tinygrad_like.debug.anomaly import look_back

            look_back(node, g, saved, grads)
        if saved and not retain_graph:
            node.saved = None
    return captured


def fill_missing(received: list[Any], node: Node) -> tuple[Any, ...]:
    """Return the gradients of all results of `node`, zeros where a result was not used."""
    some = next(g for g in received if g is not None)
    return tuple(
        np.zeros(shape, some.dtype) if g is None else g
        for g, shape in zip(received, node.shape, strict=True)
    )


_calibrate()
