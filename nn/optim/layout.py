"""How the parameters of a group lie in memory for their optimizer, and when that is out of date.

A rule updates flat arrays. A large parameter is one, where it is. Small ones, for which calls cost
more than the arithmetic, are moved side by side into one `Block` and updated at once; so is what the
optimizer remembers of them. Only memory that nobody else can see is moved: a parameter whose array
(or an array it looks into) is also held by a view, a graph, another tensor or the user's program
stays, and is copied into the block and back at each step. Gradients are never moved. Those of small
parameters are copied side by side, so one that the user keeps stays what it was.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Sequence
from functools import partial
from inspect import unwrap
from itertools import chain
from math import inf
from operator import attrgetter, is_, itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tinygrad_like import dtypes, jit
from tinygrad_like.graph import AccumulateGrad, result_type
from tinygrad_like.lines import Line, told
from tinygrad_like.nn.optim.passes import Flat, Kept, Rule, flats, parts
from tinygrad_like.nn.optim.rules import LEAST
from tinygrad_like.stamps import mark, noted, owner
from tinygrad_like.tensor import Tensor
from tinygrad_like.threads import split

if TYPE_CHECKING:
    from tinygrad_like.nn.optim.blocks import BlockOptimizer

Array = np.ndarray[Any, Any]
Flags = tuple[bool, ...]

SMALL = 16384  # a parameter with fewer elements is updated together with others
PACK = 65536  # how many elements lie in one block at most
CHUNK = 131072  # how many of a large parameter one thread updates at once

_SLOW_COPY = 2048  # bytes: see `_copy`

_array = attrgetter("array")
_bytes = np.ndarray.tobytes
_nothing: dict[str, Any] = {}


# ----- Memory that may be moved -------------------------------------------------------------------


class Block(np.ndarray[Any, Any]):
    """Memory in which parameters lie side by side.

    As it has a class of its own, `stamps.owner` doesn't find it: each parameter owns its part, and a
    write into one is no write into its neighbours.
    """

    def part(self, where: slice, shape: tuple[int, ...]) -> Array:
        """Return a part of it, as a plain array of that shape."""
        return self[where].reshape(shape).view(np.ndarray)


def _holders(p: Tensor) -> list[int]:
    """Count who holds the array of `p`, but for its node, and each array that it looks into."""
    array = p.array
    node = isinstance(p.node, AccumulateGrad) and p.node.array is array
    counts = [sys.getrefcount(array) - node]
    while type(array.base) is np.ndarray:
        array = array.base
        counts.append(sys.getrefcount(array))
    return counts


# The counts where nobody else holds them: how many these are is Python's own affair.
_OWN, _LOOKED_INTO = _holders(result_type.make(np.empty(2)[:1]).requires_grad_())


def movable(p: Tensor) -> bool:
    """Return True if nobody else can see the memory of `p`, and a move would not change its strides."""
    own, *others = _holders(p)
    if own > _OWN or any(count > _LOOKED_INTO for count in others):
        return False
    flags, lender = p.array.flags, owner(p.array).base
    alone = lender is None or type(lender) is Block  # or else it is another library's, or a file
    return alone and flags.c_contiguous and flags.writeable


def _overlapping(arrays: Sequence[Array]) -> list[bool]:
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


def _copy(target: Array, source: Array) -> None:
    """Copy, by a multiplication where it is not small.

    On some processors (Zen 3 and 4 with glibc before 2.39) a plain copy of some kilobytes is ten
    times slower if the two addresses differ by a little more than whole pages, as they do for
    arrays of a power of two that were made one after the other.
    """
    if source.nbytes < _SLOW_COPY:
        target[...] = source
    else:
        np.multiply(source, source.dtype.type(1), target)


# ----- What is updated at once --------------------------------------------------------------------


class Numbers:
    """What a rule computes with at one step, in one type."""

    __slots__ = ("flat", "scalars", "single")

    def __init__(self, d: np.dtype[Any]) -> None:
        self.flat = np.empty(0, d)
        self.scalars: tuple[Any, ...] = ()  # as kernels take them
        self.single: tuple[Array, ...] = ()  # as NumPy takes them fastest

    def fill(self, values: Sequence[float]) -> None:
        """Set them."""
        if len(values) != len(self.flat):
            self.flat = np.empty(len(values), self.flat.dtype)
            self.single = tuple(self.flat[i, ...] for i in range(len(values)))
        self.flat[:] = values
        self.scalars = tuple(self.flat)


def _plain(rule: Rule) -> Rule:
    return getattr(rule, "plain", rule)  # not every rule has a kernel


def _apply(rule: Rule, p: Flat, g: Flat, kept: Kept, numbers: Numbers, flags: Flags) -> None:
    """Update a flat parameter, by NumPy's version of the rule or a compiled one."""
    if p.size < LEAST or not jit.enabled():
        _plain(rule)(p, g, kept, numbers.single, *flags)
    else:
        rule(p, g, kept, numbers.scalars, *flags)


class Whole:
    """A large parameter, updated where it is."""

    __slots__ = ("chunks", "members", "numbers", "plain", "rule")

    def __init__(self, members: list[Tensor], kept: Kept, rule: Rule, numbers: Numbers) -> None:
        self.members, self.rule, self.plain, self.numbers = members, rule, _plain(rule), numbers
        p = members[0].array.reshape(-1)
        count = -(-p.size // CHUNK)
        bounds = [p.size * i // count for i in range(count + 1)]
        self.chunks = [
            (where, p[where], parts(kept, where)) for where in map(slice, bounds, bounds[1:])
        ]

    def update_chunk(self, chunk: int, g: Flat, flags: Flags, compiled: bool) -> None:
        """Update a part of the parameter."""
        where, p, kept = self.chunks[chunk]
        if p.size != g.size:
            g = g[where]
        if compiled:
            self.rule(p, g, kept, self.numbers.scalars, *flags)
        else:
            self.plain(p, g, kept, self.numbers.single, *flags)

    def update_member(self, index: int, grad: Array, flags: Flags) -> None:
        """Update the parameter."""
        del index
        g = grad.reshape(-1)
        for chunk in range(len(self.chunks)):
            self.update_chunk(chunk, g, flags, jit.enabled())


class Pack:
    """Small parameters, or oddly laid out ones, that are updated together."""

    __slots__ = (
        "direct", "g", "guests", "kept", "large_slots", "members", "numbers", "p", "places", "rule",
        "slots",
    )  # fmt: skip

    def __init__(
        self,
        members: list[Tensor],
        kept: Kept,
        rule: Rule,
        numbers: Numbers,
        g: Flat,
    ) -> None:
        self.kept, self.rule, self.numbers = kept, rule, numbers
        self.members = members
        size = _size(members)
        # What is tiny needs no blocks either.
        self.direct = unwrap(_plain(rule)) if size < LEAST else None
        (self.p,) = flats(1, size, members[0].array.dtype)
        self.g = g[:size]
        block = self.p.view(Block)
        self.places: list[slice] = []
        self.slots: list[tuple[int, Array]] = []  # for the members' gradients
        self.large_slots: list[tuple[int, Array]] = []
        self.guests: dict[int, tuple[Array, Array]] = {}  # a copy in the block, and the array
        stop = 0
        for index, p in enumerate(members):
            place = slice(stop, stop := stop + p.array.size)
            self.places.append(place)
            slot = self.g[place].reshape(p.array.shape)
            (self.slots if slot.nbytes < _SLOW_COPY else self.large_slots).append((index, slot))
            part = block.part(place, p.array.shape)
            if movable(p):
                _copy(part, p.array)
                p.rebind(part)
            else:
                self.guests[index] = part, p.array

    def update(self, grads: Sequence[Array], flags: Flags) -> None:
        """Update all parameters at once."""
        for index, slot in self.slots:
            slot[...] = grads[index]
        for index, slot in self.large_slots:
            _copy(slot, grads[index])
        for part, array in self.guests.values():
            _copy(part, array)
        if self.direct is None:
            _apply(self.rule, self.p, self.g, self.kept, self.numbers, flags)
        else:
            self.direct(self.p, self.g, self.kept, self.numbers.single, *flags)
        for part, array in self.guests.values():
            _copy(array, part)

    def update_member(self, index: int, grad: Array, flags: Flags) -> None:
        """Update one parameter."""
        place = self.places[index]
        guest = self.guests.get(index)
        if guest is not None:
            _copy(*guest)
        kept = parts(self.kept, place)
        _apply(self.rule, self.p[place], grad.reshape(-1), kept, self.numbers, flags)
        if guest is not None:
            _copy(*reversed(guest))


# ----- The arrangement of a group -----------------------------------------------------------------


class Layout:
    """The arrangement of the parameters of one group that have had a gradient.

    Args:
        optimizer: whose group it is.
        group: one of its groups.
        options: what the rule depends on in it.
        former: the members there were before.

    Raises:
        RuntimeError: if a gradient, or what is remembered, has another shape than its parameter.
    """

    def __init__(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        options: tuple[Any, ...],
        former: Container[Tensor] = (),
    ) -> None:
        self.params: list[Tensor] = list(group["params"])
        self.names = optimizer.state_names(group)
        self.idle: list[Tensor] = []
        self.again: list[Tensor] = []  # listed a second time
        by_type: dict[np.dtype[Any], list[Tensor]] = {}
        seen: set[Tensor] = set()
        for p in self.params:
            if p in seen:
                self.again.append(p)
            elif p._grad is not None or self._has_moved(optimizer, p, former):
                by_type.setdefault(p.array.dtype, []).append(p)
            else:
                self.idle.append(p)
            seen.add(p)
        least = optimizer.whole_size()
        plan = [unit for members in by_type.values() for unit in _plan(members, least)]
        self.members = [p for _, members in plan for p in members]
        _refuse_shapes(optimizer, self.members, self.names)
        self.ages = optimizer.ages(group)
        self.numbers = {d: Numbers(d) for d in by_type}
        self._lay_scalars(optimizer, group)
        self._arrange(optimizer, group, plan)
        self.pairs = [(p, p.array) for p in self.members]
        self.notes = [noted(array) for _, array in self.pairs]
        saved = (*optimizer.scalars, *self.names)
        self.take: Any = itemgetter(*saved) if saved else None
        self.take_several = len(saved) > 1
        self.state = [] if self.take is None else list(self._state_arrays(optimizer))
        self._read_options(options)

    # ----- Making it ------------------------------------------------------------------------------

    def _has_moved(self, optimizer: BlockOptimizer, p: Tensor, former: Container[Tensor]) -> bool:
        """Return True if `p` has had a gradient before, as far as is known."""
        if self.names:
            return any(n in optimizer.state.get(p, ()) for n in self.names)
        return p in former

    def _lay_scalars(self, optimizer: BlockOptimizer, group: dict[str, Any]) -> None:
        """Lay the step counts of all members side by side, and what else is one number for each."""
        self.scalars: list[Flat] = []
        self.most = inf
        self.now: tuple[Any, ...] = (1.0,)  # what all members' are, if
        self.counted = b""  # they are these
        self.values = self.now  # what numbers depend on
        state = [optimizer.state.get(p, _nothing) for p in self.members]
        d = dtypes.F64 if dtypes.default() is dtypes.F64 else dtypes.F32
        for name in optimizer.scalars:
            found = [notes[name].array.dtype for notes in state if name in notes]
            start = number(optimizer.initial_state(group, name))
            values = [number(notes.get(name, start)) for notes in state]
            self.scalars.append(np.array(values, np.result_type(*found) if found else d))
            for index, p in enumerate(self.members):
                _hold(optimizer.state[p], name, self.scalars[-1][index, ...])
        if self.ages and not optimizer.scalars:  # only the first step is a special one
            self.most = 2.0
            begun = [any(notes.get(n) is not None for n in self.names) for notes in state]
            self.scalars.append(np.array(begun, d))

    def _arrange(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        plan: Sequence[tuple[bool, list[Tensor]]],
    ) -> None:
        """Make the packs and the others that were planned."""
        self.units: list[tuple[Whole | Pack, int]] = []  # each with the place of its first member
        self.packs: list[tuple[Pack, slice]] = []  # with the place of its members
        self.chunks: list[tuple[Whole, int, int]] = []  # of each large one, with its member's place
        self.large: list[int] = []  # the places of their members
        self.bytes = 0  # of all that chunks read and write
        # One for all packs of a type, one after the other, so that it stays in the cache.
        most = max((_size(members) for packed, members in plan if packed), default=0)
        gathered = {d: flats(1, most, d)[0] for d in self.numbers}
        stop = 0
        for packed, members in plan:
            d = members[0].array.dtype
            kept = self._keep(optimizer, group, members, d)
            numbers = self.numbers[d]
            unit: Whole | Pack
            if packed:
                unit = Pack(members, kept, optimizer.rule, numbers, gathered[d])
                self.packs.append((unit, slice(stop, stop + len(members))))
            else:
                unit = Whole(members, kept, optimizer.rule, numbers)
                self.chunks += [(unit, i, stop) for i in range(len(unit.chunks))]
                self.large.append(stop)
                self.bytes += members[0].array.nbytes * (3 + 2 * len(self.names))
            self.units.append((unit, stop))
            stop += len(members)

    def _keep(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        members: list[Tensor],
        d: np.dtype[Any],
    ) -> Kept:
        """Return, for each of the optimizer's slots, that state of `members` side by side."""
        kept: dict[str, Any] = dict.fromkeys(optimizer.slots)
        size = _size(members)
        for name, flat in zip(self.names, flats(len(self.names), size, d), strict=True):
            kept[name] = flat
            stop = 0
            for p in members:
                former = optimizer.state[p].get(name)
                flat_already = former is not None and former.array.flags.c_contiguous
                if len(members) == 1 and flat_already and former.array.dtype is d:
                    kept[name] = former.array.reshape(-1)
                    break
                array = flat[stop : (stop := stop + p.array.size)].reshape(p.array.shape)
                if former is None:
                    array.fill(optimizer.initial_state(group, name))
                else:
                    array[...] = former.array
                _hold(optimizer.state[p], name, array)
        return tuple(kept.values())

    def _read_options(self, options: tuple[Any, ...]) -> None:
        # Where an option might change without being replaced, it is read at each step.
        self.options = options if all(map(_immutable, options)) else None
        self.filled: tuple[Any, ...] | None = None  # what the numbers are for

    # ----- Using it -------------------------------------------------------------------------------

    def step(
        self,
        optimizer: BlockOptimizer,
        group: dict[str, Any],
        options: tuple[Any, ...],
        line: Line | None,
    ) -> bool:
        """Take one step, unless something has changed that the arrangement rests on: return False."""
        if not self._holds(optimizer, group, options):
            return False
        grads: list[Array] = []
        try:
            for p, array in self.pairs:
                if p.array is not array:
                    return False
                grads.append(p._grad.array)
        except AttributeError:  # it has none
            if any(p.array is not array for p, array in self.pairs):
                return False
        if len(grads) < len(self.pairs) or not self._advance(optimizer, group):
            self._update_each(optimizer, group, line)
        else:
            self._prepare(optimizer, group)
            try:
                for pack, place in self.packs:
                    pack.update(grads[place], self.flags)
                if self.chunks:
                    flat = {place: grads[place].reshape(-1) for place in self.large}
                    split(len(self.chunks), partial(self._update_chunks, flat), self.bytes)
            finally:
                mark(self.notes, line)
        return True

    def _holds(
        self, optimizer: BlockOptimizer, group: dict[str, Any], options: tuple[Any, ...]
    ) -> bool:
        """Return True if all is as it was but for the members' arrays; read changed options."""
        params = group["params"]
        if len(params) != len(self.params) or not all(map(is_, params, self.params)):
            return False
        for p in self.idle:
            if p._grad is not None:
                return False
        if self.take is not None:
            try:
                if not all(map(is_, self._state_arrays(optimizer), self.state)):
                    return False
            except (KeyError, TypeError, AttributeError):  # something is missing, or no tensor
                return False
        if options != self.options:
            if optimizer.state_names(group) != self.names or optimizer.ages(group) != self.ages:
                return False
            self._read_options(options)
        return True

    def _state_arrays(self, optimizer: BlockOptimizer) -> Iterable[Array]:
        """Return the arrays that are now in the members' state."""
        found = map(self.take, map(optimizer.state.get, self.members))
        return map(_array, chain.from_iterable(found) if self.take_several else found)

    def _advance(self, optimizer: BlockOptimizer, group: dict[str, Any]) -> bool:
        """Count one step, and return True, if all members were at the same."""
        scalars = self.scalars
        if not scalars:
            return True
        if b"".join(map(_bytes, scalars)) != self.counted:
            if any((row != row[0]).any() for row in scalars):
                return False
            self.now = tuple(row[0] for row in scalars)
        self._count(optimizer, group, self.now)
        for row, value in zip(scalars, self.now, strict=True):
            row.fill(value)
        self.counted = b"".join(map(_bytes, scalars))
        return True

    def _count(
        self, optimizer: BlockOptimizer, group: dict[str, Any], now: tuple[Any, ...]
    ) -> None:
        """Find what follows after the step counts, and other scalars, `now`."""
        step, *others = now
        step = min(float(step) + 1.0, self.most)
        self.now = self.values = (step,)
        if others:
            following = optimizer.advance(self._plain(group), step, *others)
            rounded = [type(a)(b) for a, b in zip(others, following, strict=True)]
            self.now, self.values = (step, *rounded), (step, *others, *rounded)

    def _update_chunks(self, grads: dict[int, Flat], start: int, stop: int) -> None:
        """Update the chunks from `start` up to `stop`."""
        flags, compiled = self.flags, jit.enabled()
        for whole, chunk, place in self.chunks[start:stop]:
            whole.update_chunk(chunk, grads[place], flags, compiled)

    def _update_each(
        self, optimizer: BlockOptimizer, group: dict[str, Any], line: Line | None
    ) -> None:
        """Update each member that has a gradient, by a count of its own."""
        moved = []
        self.counted = b""
        try:
            for unit, position in self.units:
                for index, p in enumerate(unit.members):
                    if p._grad is None:
                        continue
                    place = position + index
                    moved.append(self.notes[place])
                    if self.scalars:
                        now = tuple(row[place] for row in self.scalars)
                        self._count(optimizer, group, now)
                        for row, value in zip(self.scalars, self.now, strict=True):
                            row[place] = value
                    self._prepare(optimizer, group)
                    unit.update_member(index, p._grad.array, self.flags)
        finally:
            mark(moved, line)

    def _prepare(self, optimizer: BlockOptimizer, group: dict[str, Any]) -> None:
        """Have the rule compute with the numbers for this step."""
        if self.filled is None or (self.ages and self.filled != self.values):
            plain = self._plain(group)
            self.flags = optimizer.flags(plain, *self.values)
            values = optimizer.numbers(plain, *self.values)
            for numbers in self.numbers.values():
                numbers.fill(values)
            self.filled = self.values

    def _plain(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return the options, tensors as Python numbers."""
        if self.options is not None:
            return group
        return {key: _plain_option(group[key]) for key in group if key != "params"}


def number(value: Any) -> float:
    """Return an option of a group as a Python number; PyTorch allows tensors of one element."""
    return value.item() if isinstance(value, Tensor) else value  # type: ignore[no-any-return]


def _plain_option(value: Any) -> Any:
    return tuple(map(number, value)) if isinstance(value, list | tuple) else number(value)


def _immutable(option: Any) -> bool:
    if isinstance(option, tuple):
        return all(map(_immutable, option))
    return option is None or isinstance(option, int | float)


def _size(members: Sequence[Tensor]) -> int:
    return sum(p.array.size for p in members)


def _hold(notes: dict[str, Any], name: str, array: Array) -> None:
    """Have the state called `name` hold `array` from now on, in the tensor that is there already."""
    former = notes.get(name)
    if type(former) is Tensor:
        former.rebind(array)
    else:
        notes[name] = result_type.make(array)


def _plan(members: list[Tensor], least: int) -> list[tuple[bool, list[Tensor]]]:
    """Part members of one type into packs (True) and those that are updated where they are."""
    plan: list[tuple[bool, list[Tensor]]] = []
    pack: list[Tensor] = []
    filled = 0
    for p, overlaps in zip(members, _overlapping([p.array for p in members]), strict=True):
        size = p.array.size
        if size >= least and p.array.flags.c_contiguous and not overlaps:
            plan.append((False, [p]))
        elif overlaps or size > PACK:  # of copies of overlapping memory only one can be right
            plan.append((True, [p]))
        else:
            if filled + size > PACK:
                plan.append((True, pack))
                pack, filled = [], 0
            pack.append(p)
            filled += size
    return [*plan, (True, pack)] if pack else plan


def _refuse_shapes(
    optimizer: BlockOptimizer, members: Sequence[Tensor], names: Sequence[str]
) -> None:
    """Raise if something that goes with a member doesn't have its shape."""
    kind = type(optimizer).__name__
    for p in members:
        shape = p.array.shape
        if p._grad is not None and p._grad.array.shape != shape:
            raise told(
                RuntimeError,
                f"{kind}: a gradient has shape {p._grad.array.shape}, its parameter {shape}; set "
                ".grad to None when .data gets another shape",
            )
        for name in names:
            former = optimizer.state.get(p, _nothing).get(name)
            if former is not None and former.array.shape != shape:
                raise told(
                    RuntimeError,
                    f"{kind}: state {name!r} has shape {former.array.shape}, its parameter {shape}; "
                    "drop the old state with optimizer.state.pop(parameter)",
                )
