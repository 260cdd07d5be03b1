"""What each operation of a graph costs: time forward and backward, memory, floating-point operations.

While a profile is taken, the functions that compute ops and the methods that send gradients are
replaced by ones that look at a clock. At its end all are put back as they were, so a program that
takes no profile pays nothing.
"""

from __future__ import annotations

import pkgutil
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from math import prod
from time import perf_counter_ns
from typing import Any

import numpy as np

from tinygrad_like import generate
from tinygrad_like.backward import grad
from tinygrad_like.graph import AccumulateGrad, Node, Traced, as_tensor
from tinygrad_like.registry import REGISTRY
from tinygrad_like.stamps import owner, tick
from tinygrad_like.viz.picture import operations_of

# Ops of these files move numbers and compute none.
_MOVERS = {"arranging", "expanding", "indexing", "joining", "scattering", "shaping", "embedding"}


@dataclass
class Cost:
    """What an operation took, or several together.

    Attributes:
        calls: how many operations these are.
        forward, backward: seconds.
        bytes: of the results, 0 for views of an operand's memory.
        kept: bytes that were kept for the backward pass.
        flops: additions and multiplications of the forward: two for each multiply-add of a product,
            one for each element of the larger of operands and result elsewhere, none for what only
            moves numbers.
    """

    calls: int = 0
    forward: float = 0.0
    backward: float = 0.0
    bytes: int = 0
    kept: int = 0
    flops: int = 0

    @property
    def time(self) -> float:
        """Seconds forward and backward."""
        return self.forward + self.backward

    def add(self, other: Cost) -> None:
        """Add another operation's cost."""
        for name in ("calls", "forward", "backward", "bytes", "kept", "flops"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def lines(self) -> list[str]:
        """Return what to write below an operation.

        >>> Cost(1, 2e-5, 3e-5, 4096, 0, 8000).lines()
        ['20 µs forward, 30 µs back', '4.1 kB, 8 kflop']
        """
        times = f"{_scaled(self.forward, 's')} forward"
        if self.backward:
            times += f", {_scaled(self.backward, 's')} back"
        sizes = [_scaled(self.bytes, "B") if self.bytes else "no memory"]
        if self.flops:
            sizes.append(_scaled(self.flops, "flop"))
        return [times, ", ".join(sizes)]


def _scaled(number: float, unit: str) -> str:
    """Return a number with the prefix that suits it."""
    if not number:
        return f"0 {unit}"
    for factor, prefix in (
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
    ):
        if number >= factor:
            scaled = number / factor
            return (
                f"{scaled:.0f} {prefix}{unit}" if scaled >= 10 else f"{scaled:.2g} {prefix}{unit}"
            )
    return f"{number:.1e} {unit}"


@dataclass
class _Event:
    """One forward that ran: `tick` is younger than its operands and older than its own node."""

    tick: int
    name: str
    cost: Cost


@dataclass
class Profile:
    """The costs of operations, taken by `profile` or `profiled`; ``print`` shows a table by op.

    Attributes:
        result: what the function given to `profile` returned.
        events: the forwards that ran, in their order.
        modules: the calls of modules, for `draw`.
    """

    result: Any = None
    events: list[_Event] = field(default_factory=list)
    modules: list[Any] = field(default_factory=list)
    _ticks: dict[str, list[int]] = field(default_factory=dict)
    _by_op: dict[str, list[_Event]] = field(default_factory=dict)
    _backward: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    _end: int = 0

    def of(self, *nodes: Node) -> Cost:
        """Return the cost of the operations that nodes record, 0 calls if none was profiled."""
        total = Cost()
        for node in nodes:
            event = self._event(node)
            if event is not None:
                total.add(event.cost)
            elif node.tick in self._backward:
                total.calls += 1
            total.backward += self._backward.get(node.tick, 0.0)
        return total

    def _event(self, node: Node) -> _Event | None:
        """Return the last forward of the node's op before it was recorded.

        Its own thread reads the clock for nothing else between the two.
        """
        if node.op is None or node.op.name not in self._ticks:
            return None
        name = node.op.name
        index = bisect_left(self._ticks[name], node.tick) - 1
        if index < 0 or node.tick > self._end:
            return None
        return self._by_op[name][index]

    @property
    def total(self) -> Cost:
        """The cost of everything that ran."""
        total = Cost()
        for event in self.events:
            total.add(event.cost)
        total.backward += sum(self._backward.values())
        return total

    def _settle(self) -> None:
        self._end = tick()
        for event in self.events:
            self._by_op.setdefault(event.name, []).append(event)
        self._ticks = {n: [event.tick for event in events] for n, events in self._by_op.items()}

    def __str__(self) -> str:
        by_name: dict[str, Cost] = {}
        for event in self.events:
            by_name.setdefault(event.name, Cost()).add(event.cost)
        lines = [f"{'op':<24}{'calls':>7}{'forward':>12}{'memory':>12}{'flops':>12}"]
        for name, cost in sorted(by_name.items(), key=lambda item: -item[1].forward):
            lines.append(
                f"{name:<24}{cost.calls:>7,}{_scaled(cost.forward, 's'):>12}"
                f"{_scaled(cost.bytes, 'B'):>12}{_scaled(cost.flops, 'flop'):>12}"
            )
        total = self.total
        lines.append(
            f"forward {_scaled(total.forward, 's')}, backward {_scaled(total.backward, 's')}, "
            f"memory {_scaled(total.bytes, 'B')}, {_scaled(total.flops, 'flop')}"
        )
        return "\n".join(lines)


def flops_of(op: Any, args: Sequence[Any], result: Any) -> int:
    """Return the additions and multiplications of one call: see `Cost`."""
    results = result if isinstance(result, tuple | list) else (result,)
    size = int(np.asarray(results[0]).size)
    products = _products(op.name, args, size)
    if products is not None:
        return 2 * int(products)
    if op.forward.__module__.rpartition(".")[2] in _MOVERS or op.view:
        return 0
    sizes = [arg.size for arg in args if isinstance(arg, np.ndarray)]
    return int(max([size, *sizes]))


def _products(name: str, args: Sequence[Any], size: int) -> int | None:
    """Return the multiply-adds of an op that is a product, whose result has `size` elements."""
    shape: tuple[int, ...] = args[0].shape if isinstance(args[0], np.ndarray) else ()
    match name:
        case "matmul" | "linear":
            return size * shape[-1]
        case "dot":
            return shape[-1]
        case "transposed_product":
            return size * shape[0]
        case "convolution":
            return size * int(prod(args[1].shape[1:]))
        case "attention":  # scores of all queries with all keys, and the sums of values
            return int(args[0].size + size) * int(args[1].shape[-2])
        case "rnn_layer" | "gru_layer" | "lstm_layer":
            first = 3 if name == "lstm_layer" else 2
            return prod(shape[:-1]) * int(args[first].size + args[first + 1].size)
        case "contract":  # every two arrays at once, as if there were no better order
            lengths: dict[Any, int] = {}
            for x, labels in zip(args[0], args[1], strict=True):
                for label, length in zip(labels, x.shape, strict=True):
                    lengths[label] = max(lengths.get(label, 1), length)
            return int(prod(lengths.values())) * max(len(args[0]) - 1, 1)
    return None


class _Timed:
    """Stands for an op's forward and notes what each call takes."""

    def __init__(self, op: Any, forward: Callable[..., Any], session: _Session) -> None:
        self.op, self.forward, self.session = op, forward, session
        self.__module__ = forward.__module__

    def __getattr__(self, name: str) -> Any:
        return getattr(self.forward, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        local = self.session.local
        if getattr(local, "busy", False):  # it is part of another op
            return self.forward(*args, **kwargs)
        local.busy = True
        try:
            start = perf_counter_ns()
            result = self.forward(*args, **kwargs)
            seconds = (perf_counter_ns() - start) / 1e9
        finally:
            local.busy = False
        self.session.note(self.op, args, result, seconds)
        return result


class _Session:
    """Puts the looking functions in, and the former ones back."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.local = threading.local()
        self.former: list[tuple[Any, str, Any]] = []

    def note(self, op: Any, args: Sequence[Any], result: Any, seconds: float) -> None:
        """Note one forward."""
        main, kept = (result[0], result[1:]) if op.keeps else (result, ())
        results = [np.asarray(r) for r in (main if op.several else (main,))]
        operands = [a for arg in args for a in (arg if isinstance(arg, tuple | list) else (arg,))]
        memory = {id(owner(a)) for a in operands if isinstance(a, np.ndarray)}
        made = sum(r.nbytes for r in results if id(owner(r)) not in memory)
        held = {id(a): a for a in kept if isinstance(a, np.ndarray)}
        named = dict(zip([*op.arrays, *op.options], args, strict=False)) | {"out": main}
        for name in op.saves:
            value = named.get(name)
            for a in value if isinstance(value, tuple | list) else (value,):
                if isinstance(a, np.ndarray):
                    held[id(a)] = a
        cost = Cost(1, seconds, 0.0, made, sum(a.nbytes for a in held.values()))
        cost.flops = flops_of(op, args, main)
        self.profile.events.append(_Event(tick(), op.name, cost))

    def begin(self) -> None:
        """Put the looking functions in."""
        _import_ops()
        for op in REGISTRY.values():
            if not isinstance(op.forward, _Timed):
                self._replace(op, "forward", _Timed(op, op.forward, self))
        for namespace in generate._namespaces:
            forward = namespace.get("forward")
            if forward is not None and not isinstance(forward, _Timed):
                self.former.append((namespace, "forward", forward))
                namespace["forward"] = _Timed(namespace["op"], forward, self)
        for op in REGISTRY.values():
            _ = op.node  # a class made meanwhile would not be seen
        stack = list(Node.__subclasses__())
        while stack:
            cls = stack.pop()
            stack += cls.__subclasses__()
            if "backward" in cls.__dict__:
                self._replace(cls, "backward", self._looking(cls.__dict__["backward"]))

    def _replace(self, place: Any, name: str, value: Any) -> None:
        self.former.append((place, name, place.__dict__[name]))
        setattr(place, name, value)

    def _looking(self, backward: Callable[..., None]) -> Callable[..., None]:
        spent, local = self.profile._backward, self.local

        def looking(node: Node, g: Any, saved: Any, grads: Any) -> None:
            busy = getattr(local, "busy", False)
            local.busy = not isinstance(g, Traced)  # with create_graph it records operations
            try:
                start = perf_counter_ns()
                backward(node, g, saved, grads)
                if node.tick and not busy:
                    spent[node.tick] += (perf_counter_ns() - start) / 1e9
            finally:
                local.busy = busy

        return looking

    def end(self) -> None:
        """Put everything back."""
        for place, name, value in reversed(self.former):
            if isinstance(place, dict):
                place[name] = value
            else:
                setattr(place, name, value)
        for namespace in generate._namespaces:  # some may have been made meanwhile
            forward = namespace.get("forward")
            if isinstance(forward, _Timed):
                namespace["forward"] = forward.forward
        self.profile._settle()


@cache
def _import_ops() -> None:
    """Import every op, since one that is declared later would not be looked at."""
    for package in ("ops", "linalg", "special"):
        found = import_module(f"tinygrad_like.{package}")
        for info in pkgutil.iter_modules(found.__path__):
            import_module(f"{found.__name__}.{info.name}")


_taking = threading.Lock()


@contextmanager
def profiled() -> Iterator[Profile]:
    """Note what each operation inside takes: ``draw(loss, profile=p)`` then shows it.

    Raises:
        RuntimeError: if a profile is being taken already.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> x = torch.ones(1000, requires_grad=True)
    >>> with viz.profiled() as p:
    ...     loss = (x * x).sum()
    ...     loss.backward()
    >>> cost = p.of(loss.grad_fn)
    >>> cost.forward > 0, cost.backward > 0, cost.bytes
    (True, True, 4)
    """
    if not _taking.acquire(blocking=False):
        raise RuntimeError("profiled: a profile is being taken already; end that one first")
    from tinygrad_like.nn.module import record_modules

    taken = Profile()
    session = _Session(taken)
    try:
        session.begin()
        with record_modules() as taken.modules:
            yield taken
    finally:
        session.end()
        _taking.release()


def profile(function: Callable[[], Any], *, warm_up: int = 1) -> Profile:
    """Call `function` and return what each operation took, its backward pass included.

    If it returns a tensor that has a graph, gradients are sent back through it, from ones, without
    a change of any ``.grad``; the graph stays whole. ``viz.draw(p.result, profile=p)`` shows it.

    Args:
        function: what to run, such as ``lambda: criterion(model(x), y)``.
        warm_up: calls before the one that counts, since the first is slower than others.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> x = torch.ones(100, requires_grad=True)
    >>> p = viz.profile(lambda: (x * 2).sum())
    >>> p.total.calls, p.total.flops, x.grad
    (2, 200, None)
    """
    for _ in range(warm_up):
        _send_back(function())
    with profiled() as taken:
        taken.result = function()
        _send_back(taken.result)
    return taken


def _send_back(result: Any) -> None:
    if not isinstance(result, Traced) or result.node is None:
        return
    leaves = [node.variable for node in operations_of([result]) if isinstance(node, AccumulateGrad)]
    ones = as_tensor(np.ones(result.array.shape, result.array.dtype))
    if leaves:
        grad(result, leaves, ones, retain_graph=True, allow_unused=True)
