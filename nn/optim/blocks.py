"""How the optimizers here update parameters: in blocks that stay in the cache, without temporaries.

An update rule is a dozen elementwise operations. Over a large array each one would stream it through
memory again, and over a tiny one the dozen calls cost more than the arithmetic. So

* a large parameter is updated piece by piece, every operation of the rule on a piece before the next;
* small parameters are gathered into one piece together with their gradients, and scattered back.
  What the optimizer remembers of them lies side by side for good, so it need not be gathered.

Parameters keep the memory they have. `Layout` holds such an arrangement and notices when it is no
longer true: another gradient appeared, ``.data`` was replaced, state was loaded or taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tinygrad_like import dtypes
from tinygrad_like.graph import result_type
from tinygrad_like.lines import Line, here
from tinygrad_like.modes import set_mode
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.stamps import stamp_all
from tinygrad_like.tensor import Tensor

Flat = np.ndarray[Any, Any]  # one-dimensional

PIECE = 65536  # elements: 256 kB of float32
SMALL = 8192  # below this a parameter is gathered with others, if the rule is a long one


@lru_cache(maxsize=64)
def constants(d: np.dtype[Any], *values: float) -> tuple[Flat, ...]:
    """Return numbers as 0-d arrays, to be read only: NumPy takes these faster than Python's."""
    return tuple(np.array(value, d) for value in values)


def number(value: Any) -> float:
    """Return an option of a group as a Python number; PyTorch allows tensors of one element."""
    return value.item() if isinstance(value, Tensor) else value  # type: ignore[no-any-return]


def _copy(target: np.ndarray[Any, Any], source: np.ndarray[Any, Any]) -> None:
    """Copy, by a multiplication where it is not small.

    On some processors (Zen 3 and 4 with glibc before 2.39) a plain copy of some kilobytes is ten
    times slower if the two addresses differ by a little more than whole pages, as they do for
    arrays of a power of two that were made one after the other.
    """
    if source.nbytes < 2048:
        target[...] = source
    else:
        np.multiply(source, source.dtype.type(1), target)


class Member:
    """A parameter, and the arrays that hold what the optimizer remembers of it."""

    __slots__ = ("array", "kept", "p", "position")

    def __init__(self, p: Tensor, position: int) -> None:
        self.p = p
        self.array = p.array
        self.position = position  # of its step count
        self.kept: dict[str, np.ndarray[Any, Any]] = {}


class Whole:
    """A parameter that is updated where it is, in pieces."""

    def __init__(self, member: Member, kept: Sequence[Flat], scratch: Sequence[Flat]) -> None:
        self.member = member
        size = member.array.size
        count = -(-size // PIECE)
        flat = member.array.reshape(-1)
        self.pieces = []
        for i in range(count):
            where = slice(size * i // count, size * (i + 1) // count)
            parts = tuple(k[where] for k in kept)
            length = where.stop - where.start
            self.pieces.append((where, flat[where], parts, tuple(s[:length] for s in scratch)))

    def update(self, rule: Rule) -> None:
        """Update the parameter if it has a gradient."""
        member = self.member
        if member.p._grad is None:
            return
        g = member.p._grad.array.reshape(-1)
        for where, p, kept, scratch in self.pieces:
            rule(member.position, p, g[where] if len(p) < len(g) else g, kept, scratch)


class Pack:
    """Small parameters (or oddly laid out ones) that are updated together, in a copy."""

    def __init__(
        self,
        members: Sequence[Member],
        kept: Sequence[Flat],
        scratch: Sequence[Flat],
    ) -> None:
        self.members = members
        size = sum(member.array.size for member in members)
        self.p, self.g, *rest = (s[:size] for s in scratch)
        self.kept, self.scratch = tuple(kept), tuple(rest)
        self.parts: list[tuple[Member, slice, Flat, Flat]] = []
        start = 0
        for member in members:
            where = slice(start, start + member.array.size)
            start = where.stop
            shape = member.array.shape
            parts = (self.p[where].reshape(shape), self.g[where].reshape(shape))
            self.parts.append((member, where, *parts))

    def update(self, rule: Rule) -> None:
        """Update all parameters at once if all have gradients and the same age, else one by one."""
        if not rule.even:
            self._update_each(rule)
            return
        for member, _, p, g in self.parts:
            _copy(p, member.array)
            _copy(g, member.p._grad.array)
        rule(self.members[0].position, self.p, self.g, self.kept, self.scratch)
        for member, _, p, _ in self.parts:
            _copy(member.array, p)

    def _update_each(self, rule: Rule) -> None:
        for member, where, p, _ in self.parts:
            g = member.p._grad
            if g is None:
                continue
            p[...] = member.array
            kept = tuple(k[where] for k in self.kept)
            scratch = tuple(s[where] for s in self.scratch)
            rule(member.position, self.p[where], g.array.reshape(-1), kept, scratch)
            member.array[...] = p


class Rule:
    """An optimizer's update rule with the numbers of one step."""

    __slots__ = ("_count", "_known", "_numbers", "_steps", "_update", "even")

    def __init__(
        self,
        update: Callable[..., None],
        numbers: Callable[[np.dtype[Any], float], Any],
        steps: Flat,
        even: bool,
    ) -> None:
        self._update, self._numbers, self._steps = update, numbers, steps
        self.even = even  # every parameter has a gradient and is at the same step
        self._count = float(steps[0])
        self._known: dict[Any, Any] = {}

    def __call__(
        self, position: int, p: Flat, g: Flat, kept: Sequence[Flat], scratch: Sequence[Flat]
    ) -> None:
        """Update a piece of the parameter at `position`: see `BlockOptimizer.update_rule`."""
        count = self._count if self.even else float(self._steps[position])
        key = (count, p.dtype)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._numbers(p.dtype, count)
        self._update(p, g, kept, scratch, known)


class Layout:
    """The arrangement of the parameters of one group that have had a gradient."""

    def __init__(
        self, optimizer: BlockOptimizer, group: dict[str, Any], names: Sequence[str]
    ) -> None:
        self.names = tuple(names)
        self.params = list(map(id, group["params"]))
        self.members: list[Member] = []
        self.idle: list[Tensor] = []
        self.again: list[Tensor] = []  # listed a second time
        seen: set[Tensor] = set()
        for p in group["params"]:
            if p in seen:
                self.again.append(p)
            elif p._grad is None and not any(n in optimizer.state.get(p, ()) for n in names):
                self.idle.append(p)
            else:
                self.members.append(Member(p, len(self.members)))
            seen.add(p)
        self._gather_steps(optimizer)
        self.units: list[Whole | Pack] = []
        by_type: dict[np.dtype[Any], list[Member]] = {}
        for member in self.members:
            by_type.setdefault(member.array.dtype, []).append(member)
        for d, members in by_type.items():
            self._arrange(optimizer, group, d, members)

    def holds(self, optimizer: BlockOptimizer, group: dict[str, Any], names: Sequence[str]) -> bool:
        """Return True if nothing has changed that the arrangement rests on."""
        if names != self.names or list(map(id, group["params"])) != self.params:
            return False
        for p in self.idle:
            if p._grad is not None:
                return False
        state = optimizer.state
        empty: dict[Any, Any] = {}
        for member in self.members:
            if member.p.array is not member.array:
                return False
            if member.kept:
                now = state.get(member.p, empty)
                for name, array in member.kept.items():
                    tensor = now.get(name)
                    if type(tensor) is not Tensor or tensor.array is not array:
                        return False
        return True

    # ----- Making it ------------------------------------------------------------------------------

    def _gather_steps(self, optimizer: BlockOptimizer) -> None:
        """Lay the step counts of all parameters side by side."""
        counts = []
        for member in self.members:
            state = optimizer.state.get(member.p, {})
            if optimizer.counts_steps:
                counts.append(number(state.get("step", 0.0)))
            else:
                counts.append(float(any(state.get(n) is not None for n in self.names)))
        kind = dtypes.F64 if dtypes.default() is dtypes.F64 else dtypes.F32
        self.steps = np.array(counts, kind)
        self._even_steps = b""
        if optimizer.counts_steps:
            for member in self.members:
                count = self.steps[member.position, ...]
                former = optimizer.state[member.p].get("step")
                if type(former) is Tensor:
                    former.rebind(count)
                else:
                    optimizer.state[member.p]["step"] = result_type.make(count)
                member.kept["step"] = count

    def _arrange(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        d: np.dtype[Any],
        members: list[Member],
    ) -> None:
        scratch = [np.empty(PIECE, d) for _ in range(4)]
        overlapping = _overlapping([member.array for member in members])
        small_size = optimizer.small_size(group)
        small: list[Member] = []
        filled = 0
        for member, overlaps in zip(members, overlapping, strict=True):
            size = member.array.size
            if size >= small_size and member.array.flags.c_contiguous:
                kept = self._keep(optimizer, group, d, [member])
                self.units.append(Whole(member, kept, scratch[:2]))
            elif overlaps or size > PIECE:  # of a copy of overlapping memory only one can be right
                self._pack(optimizer, group, d, [member], scratch)
            else:
                if filled + size > PIECE:
                    self._pack(optimizer, group, d, small, scratch)
                    small, filled = [], 0
                small.append(member)
                filled += size
        if small:
            self._pack(optimizer, group, d, small, scratch)

    def _pack(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        d: np.dtype[Any],
        members: list[Member],
        scratch: list[Flat],
    ) -> None:
        size = sum(member.array.size for member in members)
        if size > PIECE:
            scratch = [np.empty(size, d) for _ in scratch]
        self.units.append(Pack(members, self._keep(optimizer, group, d, members), scratch))

    def _keep(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        d: np.dtype[Any],
        members: list[Member],
    ) -> list[Flat]:
        """Return, for each name, the state of `members` side by side in one array."""
        flats = []
        for name in self.names:
            flat = np.full(
                sum(member.array.size for member in members),
                optimizer.initial_state(group, name),
                d,
            )
            start = 0
            for member in members:
                stop = start + member.array.size
                array = flat[start:stop].reshape(member.array.shape)
                start = stop
                state = optimizer.state[member.p]
                former = state.get(name)
                if former is None:
                    state[name] = result_type.make(array)
                else:
                    if former.array.shape != array.shape:
                        raise RuntimeError(
                            f"{type(optimizer).__name__}: state {name!r} has shape "
                            f"{tuple(former.array.shape)}, its parameter {tuple(array.shape)}; drop the "
                            "old state with optimizer.state.pop(parameter)"
                        )
                    array[...] = former.array
                    former.rebind(array)
                member.kept[name] = array
            flats.append(flat)
        return flats

    # ----- Using it -------------------------------------------------------------------------------

    def update(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        line: Line | None,
    ) -> None:
        """Take one step."""
        steps = self.steps
        moving = [member.position for member in self.members if member.p._grad is not None]
        if not moving:
            return
        even = len(moving) == len(steps)
        if even:
            even = steps.tobytes() == self._even_steps or bool((steps == steps[0]).all())
            steps += 1.0
        else:
            steps[moving] += 1.0
        if not optimizer.counts_steps:
            np.minimum(steps, 2.0, out=steps)  # only the first step is a special one
        self._even_steps = steps.tobytes() if even else b""
        rule = Rule(optimizer.update_rule, optimizer.step_numbers(group), steps, even)
        try:
            for unit in self.units:
                unit.update(rule)
        finally:
            stamp_all([self.members[position].array for position in moving], line)


def _overlapping(arrays: Sequence[np.ndarray[Any, Any]]) -> list[bool]:
    """Return, for each array, whether it may share memory with another one."""
    bounds = sorted((*byte_bounds(a), i) for i, a in enumerate(arrays) if a.size)
    found = [False] * len(arrays)
    reach, owner = 0, -1
    for low, high, index in bounds:
        if low < reach:
            found[index] = found[owner] = True
        if high > reach:
            reach, owner = high, index
    return found


class BlockOptimizer(Optimizer):
    """An optimizer whose rule works element by element.

    A subclass says which arrays it keeps for a parameter (`state_names`), which numbers a step
    needs (`step_numbers`), and how a piece of a parameter changes (`update_rule`).
    """

    counts_steps: ClassVar[bool] = True

    _layouts: dict[int, Layout]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if defaults.get("differentiable"):
            raise NotImplementedError(
                f"{type(self).__name__}: differentiable=True is not supported; write the step with "
                "tensor operations to differentiate through it"
            )
        if defaults.get("fused") and defaults.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        self._layouts = {}
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._layouts = {}
        for group in self.param_groups:
            for name, value in self._later_options().items():
                group.setdefault(name, value)
            for p in group["params"]:
                step = self.state.get(p, {}).get("step")
                if step is not None and not isinstance(step, Tensor):
                    self.state[p]["step"] = result_type.make(np.array(step, dtypes.F32))

    def _later_options(self) -> dict[str, Any]:
        """Return options that a state saved by an older PyTorch may lack."""
        return {"maximize": False, "foreach": None, "differentiable": False}

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the arrays to keep for each parameter of `group`."""
        raise NotImplementedError

    def small_size(self, group: dict[str, Any]) -> int:
        """Return below how many elements it pays to gather parameters, rather than update each."""
        del group
        return SMALL

    def initial_state(self, group: dict[str, Any], name: str) -> float:
        """Return what a new array called `name` is filled with."""
        del group, name
        return 0.0

    def step_numbers(self, group: dict[str, Any]) -> Callable[[np.dtype[Any], float], Any]:
        """Return a function from dtype and step count (1 at first) to what `update_rule` needs."""
        raise NotImplementedError

    @staticmethod
    def update_rule(
        p: Flat, g: Flat, kept: Sequence[Flat], scratch: Sequence[Flat], numbers: Any
    ) -> None:
        """Update `p` and `kept` in place by the gradient `g`, which must not change.

        Args:
            p: a piece of a parameter.
            g: its gradient.
            kept: that piece of each of the arrays of `state_names`.
            scratch: two arrays to work in.
            numbers: what `step_numbers` gave.
        """
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients.

        Args:
            closure: computes the loss anew, with its gradients, and returns it.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            former = set_mode(True, False)
            try:
                loss = closure()
            finally:
                set_mode(*former)
        line = here()
        for index, group in enumerate(self.param_groups):
            names = self.state_names(group)
            layout = self._layouts.get(index)
            if layout is None or not layout.holds(self, group, names):
                layout = self._layouts[index] = Layout(self, group, names)
            layout.update(self, group, line)
            if layout.again:
                self._repeat(group, layout.again, names, line)
        return loss

    def _repeat(
        self, group: dict[str, Any], params: list[Tensor], names: tuple[str, ...], line: Line | None
    ) -> None:
        """Update parameters once more that are listed more than once."""
        while params:
            layout = Layout(self, group | {"params": params}, names)
            layout.update(self, group, line)
            params = layout.again
