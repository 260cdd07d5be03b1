"""One rule against central differences of its forward, at one place and for one gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like.autograd.grad_mode import enable_grad, no_grad
from tinygrad_like.backward import grad
from tinygrad_like.explanation.recalling import Given, NotKept
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.registry import REGISTRY

Array = np.ndarray[Any, Any]

_ALL = 64  # elements that are varied one by one; larger operands are varied along random directions
_DIRECTIONS = 3
_LOOKED_AT = 24  # elements of a large operand among which the worst is looked for

Sizes = tuple[float, float, float]

WIDE = (6e-6, 1e-5, 1e-3)  # how far to vary, how far slopes may be apart, how far beside a kink is
NARROW = (1e-2, 1e-2, 5e-2)  # of forwards that compute in float32


@dataclass
class Trial:
    """What a rule sends an operand, and what differences say of it.

    Attributes:
        call: the forward, as a function of the operands.
        operands: what it is called with, in float64.
        gs: the gradients of its results, None for those that have none.
        i: which operand.
        got: what the rule sends it.
        directions: what it was varied along; None for element by element.
        low, high: the slopes below and above, of which the mean is the central difference.
        noise: how far slopes may be off by rounding, the tolerance aside.
        sizes: `WIDE` or `NARROW`.
    """

    call: Callable[..., Any]
    operands: list[Any]
    gs: list[Array | None]
    i: int
    got: Array
    directions: Array | None
    low: Array
    high: Array
    noise: float
    sizes: Sizes

    @property
    def expected(self) -> Array:
        """Return the central differences: an array like the operand, or slopes along the directions."""
        return (self.low + self.high) / 2

    def along(self, gradient: Array) -> Array:
        """Return a gradient as `expected` is: by element, or its products with the directions."""
        if self.directions is None:
            return gradient
        return np.array([(gradient * d).sum() for d in self.directions])

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        return bool(np.isfinite(self.got).all() and np.isfinite(self.expected).all())

    def agrees(self, gradient: Array | None = None) -> bool:
        """Return True if a gradient, the rule's if none is given, is what differences say.

        At a kink any slope between those of the two sides will do.
        """
        got = self.along(self.got if gradient is None else gradient)
        ends = np.sort([self.low, self.high], axis=0)
        return self._close(got, np.clip(got, *ends))

    def steady(self, other: Trial) -> bool:
        """Return True if differences over another length say the same."""
        return self._close(self.expected, other.expected)

    def _close(self, a: Array, b: Array) -> bool:
        scale = np.abs(self.expected).max(initial=0.0) + np.abs(a).max(initial=0.0) + 1e-3
        return bool(np.abs(a - b).max(initial=0.0) <= self.sizes[1] * scale + self.noise)

    def worst(self) -> tuple[tuple[int, ...], float, float]:
        """Return where the rule is most wrong, what it gives there, and what differences give."""
        if self.directions is None:
            index = np.unravel_index(np.argmax(np.abs(self.got - self.expected)), self.got.shape)
            place = tuple(int(n) for n in index)
            return place, float(self.got[place]), float(self.expected[place])
        one = _attempt(
            self.call, self.operands, self.gs, self.i, self.got, self.sizes, some_elements(self.got)
        )
        assert one.directions is not None
        apart = np.abs(one.along(self.got) - one.expected)
        most = int(np.argmax(apart))
        index = np.unravel_index(np.argmax(one.directions[most]), self.got.shape)
        place = tuple(int(n) for n in index)
        return place, float(self.got[place]), float(one.expected[most])


def attempt(call: Callable[..., Any], operands: list[Any], gs: list[Array | None], i: int) -> Trial:
    """Compare what a rule sends operand `i` with differences.

    Raises:
        NotKept: if the call is not the one that was recorded, or not the same twice.
    """
    got, narrow = sent(call, operands, gs, i)
    found = _attempt(call, operands, gs, i, got, NARROW if narrow else WIDE)
    if narrow or found.agrees():
        return found
    longer = _attempt(call, operands, gs, i, got, (1.37 * WIDE[0], *WIDE[1:]))
    if found.steady(longer):
        return found
    # Slopes that depend on the length are those of a kink, or of float32 somewhere inside.
    coarse = _attempt(call, operands, gs, i, got, NARROW)
    if coarse.agrees() or coarse.directions is None:
        return coarse
    # Any direction through thousands of elements meets kinks, where pooling switches; one may not.
    return _attempt(call, operands, gs, i, got, WIDE, some_elements(got))


def some_elements(got: Array) -> Array:
    """Return directions along single elements of a large operand: where `got` is largest, and others."""
    half = _LOOKED_AT // 2
    largest = np.argsort(np.abs(got).ravel())[-half:]
    others = np.random.default_rng(4).choice(got.size, half, replace=False)
    chosen = np.unique(np.concatenate([largest, others]))
    directions = np.zeros((len(chosen), got.size))
    directions[np.arange(len(chosen)), chosen] = 1.0
    return directions.reshape(-1, *got.shape)


def _attempt(
    call: Callable[..., Any],
    operands: list[Any],
    gs: list[Array | None],
    i: int,
    got: Array,
    sizes: Sizes,
    directions: Array | None = None,
) -> Trial:
    if directions is None and got.size > _ALL:
        directions = np.random.default_rng(2).normal(size=(_DIRECTIONS, *got.shape))
    ways = np.eye(got.size).reshape(-1, *got.shape) if directions is None else directions
    low, high, noise = _slopes(call, operands, gs, i, ways, sizes[0])
    if directions is None:
        low, high = low.reshape(got.shape), high.reshape(got.shape)
    return Trial(call, operands, gs, i, got, directions, low, high, noise, sizes)


def sent(
    call: Callable[..., Any],
    operands: list[Any],
    gs: list[Array | None],
    i: int,
    between: Callable[[tuple[Any, ...], list[Any]], None] | None = None,
) -> tuple[Array, bool]:
    """Return what the rule sends operand `i`, and whether the forward computes in float32.

    Args:
        call: the forward.
        operands: what it is called with.
        gs: the gradients of its results.
        i: which operand.
        between: called with results and operands after the forward, before the rule.

    Raises:
        NotKept: if the results have other shapes than those that were recorded.
    """
    leaves: list[Any] = [
        result_type.make(array.copy()) if isinstance(array, np.ndarray) else array
        for array in map(as_array, operands)
    ]
    leaves[i].requires_grad_()
    with enable_grad():
        # A copy, since a forward may write into what it is given.
        parts = _called(
            call,
            [REGISTRY["clone"].call(o) if isinstance(o, Traced) else o for o in leaves],
        )
        if [p.array.shape for p, g in zip(parts, gs, strict=True) if g is not None] != [
            g.shape for g in gs if g is not None
        ]:
            raise NotKept("its options are not all kept")
        if between is not None:
            between(parts, leaves)
        pairs = [
            (p, result_type.make(g.astype(p.array.dtype)))
            for p, g in zip(parts, gs, strict=True)
            if g is not None and p.node is not None
        ]
        (found,) = grad([p for p, _ in pairs], leaves[i], [g for _, g in pairs], allow_unused=True)
    got = np.zeros(leaves[i].shape) if found is None else np.asarray(found.array, np.float64)
    return got, any(p.array.dtype.itemsize < 8 for p, _ in pairs)


def _called(call: Callable[..., Any], operands: Sequence[Any]) -> tuple[Any, ...]:
    results = call(*operands)
    return results if isinstance(results, tuple) else (results,)


def _slopes(
    call: Callable[..., Any],
    operands: list[Any],
    gs: list[Array | None],
    i: int,
    directions: Any,
    length: float,
) -> tuple[Array, Array, float]:
    """Return the slopes of ``sum(result * g)`` below and above a place, and how far they may be off."""
    size = 0.0
    eps = np.finfo(np.float64).eps

    def total(array: Array) -> float:
        nonlocal size, eps
        given = [as_array(o) for o in operands]
        given[i] = array.astype(given[i].dtype)
        with no_grad():
            parts = _called(
                call,
                [result_type.make(a.copy()) if isinstance(a, np.ndarray) else a for a in given],
            )
        summed = 0.0
        for p, g in zip(parts, gs, strict=True):
            if g is not None:
                terms = np.asarray(p.array, np.float64) * g
                summed += float(terms.sum())
                size = max(size, float(np.abs(terms).sum()))
                eps = max(eps, np.finfo(p.array.dtype).eps)
        return summed

    start = np.asarray(as_array(operands[i]), np.float64)
    middle = total(start)
    if total(start) != middle:
        if middle != middle:
            return np.full(len(directions), np.nan), np.full(len(directions), np.nan), 0.0
        raise NotKept("its forward does not give the same twice")
    low, high, lengths = [], [], [length]
    for d in directions:
        h = length * max(1.0, float(np.abs(start * (d != 0)).max()))
        lengths.append(h)
        low.append((middle - total(np.asarray(start - h * d))) / h)
        high.append((total(np.asarray(start + h * d)) - middle) / h)
    return np.array(low), np.array(high), float(8 * eps * size / min(lengths))


def as_array(o: Any) -> Any:
    """Return an operand's array; what is none is returned as it is."""
    return o.array if isinstance(o, Given) else o


def changed(o: Any, change: Callable[[Array], Array], dtype: Any = None) -> Any:
    """Return an operand with its numbers changed, if it has any, and of another dtype if one is given."""
    array = as_array(o)
    if not (isinstance(array, np.ndarray | np.generic) and array.dtype.kind == "f"):
        return o
    new = np.asarray(change(np.asarray(array)), dtype or array.dtype)
    return Given(new) if isinstance(o, Given) else new
