"""One formula for each optimizer, made into what NumPy, a kernel and autograd compute with.

A formula gives the new values of a parameter, and of what is kept of it, as expressions in the old
ones. Called with tensors it records how a step depends on everything; called with the numbers of one
element it is the body of a compiled loop (``tinygrad_like/jit/optim.py``). For NumPy it is called once
with symbols, and the operations it does are written out as passes over arrays that make no new ones:
each result goes into the array of the value it replaces as soon as the old value is not needed any
more, and ``a * x + b * y`` becomes a call of BLAS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygrad_like.jit import compiled
from tinygrad_like.nn.optim.passes import Flat, Kept, Rule, axpby, blockwise, scratch

LEAST = 1024  # what is smaller NumPy updates, whether there are compiled rules or not

# ``formula(p, g, kept, numbers, flags)`` returns the new `p` and the new `kept`.
Formula: TypeAlias = Callable[[Any, Any, Any, Any, Any], tuple[Any, tuple[Any, ...]]]

FORMULAS: dict[str, Formula] = {}


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Choose between values, in formulas."""
    return np.where(condition, yes, no)


def elementwise(name: str, *, least: int = LEAST) -> Callable[[Formula], Rule]:
    """Make a formula the rule ``rule(p, g, kept, numbers, *flags)``, which writes into `p` and `kept`.

    The rule's ``formula`` is what was decorated.

    Args:
        name: what the kernel is called.
        least: the number of elements below which NumPy is faster.
    """

    def declare(formula: Formula) -> Rule:
        FORMULAS[name] = formula
        written: dict[tuple[bool, ...], Callable[..., None]] = {}

        def by_numpy(p: Flat, g: Flat, kept: Kept, numbers: Sequence[Any], *flags: bool) -> None:
            passes = written.get(flags)
            if passes is None:
                passes = written[flags] = write(formula, len(kept), len(numbers), flags)
            passes(p, g, kept, numbers)

        by_numpy.__doc__, by_numpy.__module__ = formula.__doc__, formula.__module__
        rule: Any = compiled(f"optim.{name}", least=least)(blockwise(by_numpy))
        rule.formula = formula
        return rule  # type: ignore[no-any-return]

    return declare


# ----- Symbols ------------------------------------------------------------------------------------


class _Value(NDArrayOperatorsMixin):
    """A symbol, or the result of an operation on symbols."""

    def __init__(
        self, tape: list[_Value], operation: Any, operands: tuple[Any, ...], name: str = ""
    ) -> None:
        self.tape, self.operation, self.operands, self.name = tape, operation, operands, name
        if operation is not None:
            tape.append(self)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any) -> _Value:
        assert method == "__call__"
        return _Value(self.tape, ufunc, operands)

    def __array_function__(self, function: Any, _: Any, operands: Any, options: Any) -> _Value:
        assert function is np.where
        assert not options
        return _Value(self.tape, function, operands)

    @property
    def is_number(self) -> bool:
        """Return True if it stands for a number rather than an array."""
        return self.name.startswith("n")


def _product(value: Any) -> tuple[Any, Any]:
    """Return ``a, x`` if a value is the product of a number and an array, else ``None, value``."""
    if isinstance(value, _Value) and value.operation is np.multiply:
        x, y = value.operands
        for a, other in ((x, y), (y, x)):
            if isinstance(a, _Value) and a.is_number and not getattr(other, "is_number", True):
                return a, other
    return None, value


# ----- Passes -------------------------------------------------------------------------------------

_END = 1 << 30  # later than any operation


class _Writer:
    """The passes of a formula, as lines of Python.

    Args:
        tape: the operations, in their order.
        old: the symbols of what is updated.
        new: their values after the update.
    """

    def __init__(self, tape: list[_Value], old: Sequence[_Value], new: Sequence[_Value]) -> None:
        self.old, self.new = old, new
        self.lines: list[str] = []
        self.free: list[str] = []  # scratch arrays that are not in use
        self.count = 0  # of scratch arrays
        self.names = {id(symbol): symbol.name for symbol in old}
        self.needed = self._needed(tape)
        found = [(v, self._fused(v)) for v in self.needed]
        self.fused = {id(v): f for v, f in found if f is not None}
        while not self._arrange():
            pass
        for place, value in enumerate(self.order):
            self._write(place, value)
        for before, value in zip(old, new, strict=True):
            name = self._name(value)
            if name != before.name:
                self.lines.append(f"np.copyto({before.name}, {name})")

    def _needed(self, tape: list[_Value]) -> list[_Value]:
        """Return the operations that a result depends on."""
        found: set[int] = set()
        waiting: list[Any] = list(self.new)
        while waiting:
            value = waiting.pop()
            if isinstance(value, _Value) and id(value) not in found:
                found.add(id(value))
                waiting += value.operands
        return [value for value in tape if id(value) in found]

    def _fused(self, value: _Value) -> tuple[Any, ...] | None:
        """Return ``a, x, b, y`` if a value is ``b * y + a * x`` or ``b * y - a * x`` and replaces `y`."""
        if value.operation not in (np.add, np.subtract):
            return None
        left, right = value.operands
        sides = [(left, right)] + [(right, left)] * (value.operation is np.add)
        for kept, other in sides:
            (b, y), (a, x) = _product(kept), _product(other)
            replaces = any(y is o and value is n for o, n in zip(self.old, self.new, strict=True))
            single = all(v is y or self._uses(v) == 1 for v in (kept, other))
            if a is not None and x is not y and replaces and single:
                return a, x, b, y
        return None

    def _uses(self, value: Any) -> int:
        read = [operand for v in self.needed for operand in v.operands]
        return sum(v is value for v in (*read, *self.new))

    def _arrange(self) -> bool:
        """Find the order of passes and when each value is last read; undo what would be too late."""
        absorbed = {
            id(v)
            for value in self.needed
            if id(value) in self.fused
            for v in value.operands
            if _product(v)[0] is not None
        }
        self.order = [v for v in self.needed if id(v) not in absorbed]
        self.last: dict[int, int] = {}
        for place, value in enumerate(self.order):
            for operand in self._read(value):
                self.last[id(operand)] = place
        for before, value in zip(self.old, self.new, strict=True):
            if value is not before:
                self.last[id(value)] = _END
        late = [
            id(value)
            for place, value in enumerate(self.order)
            if id(value) in self.fused and self.last[id(self.fused[id(value)][3])] > place
        ]
        for key in late:
            del self.fused[key]
        return not late

    def _read(self, value: _Value) -> list[_Value]:
        """Return the arrays that the passes for a value read."""
        fused = self.fused.get(id(value))
        operands = value.operands if fused is None else (fused[1], fused[3])
        return [v for v in operands if isinstance(v, _Value) and not v.is_number]

    def _name(self, operand: Any) -> str:
        if not isinstance(operand, _Value):
            return repr(operand)
        return self.names.get(id(operand), operand.name)

    def _take(self) -> str:
        """Return a scratch array."""
        if not self.free:
            self.free.append(f"t{self.count}")
            self.lines.insert(self.count, f"t{self.count} = scratch(p, {self.count})")
            self.count += 1
        return self.free.pop()

    def _write(self, place: int, value: _Value) -> None:
        """Write the passes for one value."""
        texts = [self._name(v) for v in value.operands]
        read = self._read(value)
        dying = {self._name(v) for v in read if self.last[id(v)] == place}
        spare = sorted(name for name in dying if name.startswith("t"))
        fused = self.fused.get(id(value))
        if fused is not None:
            a, x, b, y = fused
            work = self._name(x) if self._name(x) in spare else self._take()
            operands = ", ".join([a.name, self._name(x), b.name if b is not None else "None"])
            how = ", np.subtract" if value.operation is np.subtract else ""
            self.lines.append(f"axpby({operands}, {y.name}, {work}{how})")
            self.names[id(value)] = y.name
            self.free += {work, *spare}
            return
        self.free += spare
        call = f"np.{value.operation.__name__}({', '.join(texts)}"
        if value.operation in (np.where, np.greater, np.less):  # no array of ours can take it
            self.names[id(value)] = f"v{place}"
            self.lines.append(f"v{place} = {call})")
            return
        target = None
        for before, after in zip(self.old, self.new, strict=True):
            if after is value and self.last.get(id(before), -1) <= place:
                target = before.name
                break
        name = self._take() if target is None else target
        self.names[id(value)] = name
        out = "out=" if value.operation in (np.maximum, np.minimum) else ""
        self.lines.append(f"{call}, {out}{name})")


def write(
    formula: Formula, slots: int, count: int, flags: tuple[bool, ...]
) -> Callable[[Flat, Flat, Kept, Sequence[Any]], None]:
    """Return a function that does what a formula says with arrays, by as few passes as can be.

    Args:
        formula: the new values.
        slots: how many arrays are kept.
        count: how many numbers there are.
        flags: what else the formula is called with.
    """
    text = source(formula, slots, count, flags)
    namespace = {"__name__": __name__, "np": np, "axpby": axpby, "scratch": scratch}
    exec(compile(text, f"<passes of {formula.__module__}>", "exec"), namespace)
    return namespace["update"]  # type: ignore[return-value]


def source(formula: Formula, slots: int, count: int, flags: tuple[bool, ...]) -> str:
    """Return the Python code of what `write` makes."""
    tape: list[_Value] = []
    p, g = (_Value(tape, None, (), name) for name in "pg")
    kept = tuple(_Value(tape, None, (), f"k{i}") for i in range(slots))
    numbers = tuple(_Value(tape, None, (), f"n{i}") for i in range(count))
    new_p, new_kept = formula(p, g, kept, numbers, flags)
    old = (p, *kept)
    new = [
        value if value is before or value.operation is not None else np.positive(value)
        for before, value in zip(old, (new_p, *new_kept), strict=True)
    ]
    lines = _Writer(tape, old, new).lines
    head = ["def update(p, g, kept, numbers):"]
    if kept:
        lines.insert(0, f"{', '.join(k.name for k in kept)}, = kept")
    if numbers:
        lines.insert(0, f"{', '.join(n.name for n in numbers)}, = numbers")
    return "\n    ".join(head + lines)
