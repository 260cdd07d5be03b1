"""Hypothesis strategies for tensors, shapes that broadcast, index expressions and einsum equations.

They need hypothesis: ``pip install tinygrad-like[testing]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import result_type

__all__ = [
    "Domain",
    "broadcastable_tensors",
    "einsum_equations",
    "index_expressions",
    "shapes",
    "tensors",
]

STEPS = 1024  # values lie on a grid, so that they read well and differ by more than rounding


def hypothesis() -> Any:
    """Return the module `hypothesis`.

    Raises:
        ImportError: if it is not installed, saying how to get it.
    """
    try:
        import hypothesis
        import hypothesis.extra.numpy
    except ImportError as error:
        raise ImportError(
            "tinygrad_like.testing makes random examples with hypothesis, which is not installed: "
            "pip install 'tinygrad-like[testing]'"
        ) from error
    return hypothesis


@dataclass(frozen=True)
class Domain:
    """Where the elements of random tensors come from.

    Attributes:
        low: the least value.
        high: the greatest value.
        apart: numbers to keep away from, such as kinks and poles.
        margin: how far.
        distinct: whether no two elements of a tensor are equal (for maxima and sorts).
    """

    low: float = -2.0
    high: float = 2.0
    apart: tuple[float, ...] = ()
    margin: float = 0.1
    distinct: bool = False

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return an array of values.

        Raises:
            ValueError: if there are not enough of them.
        """
        grid = self.low + (self.high - self.low) / STEPS * np.arange(STEPS + 1)
        for point in self.apart:
            grid = grid[np.abs(grid - point) >= self.margin]
        size = int(np.prod(shape))
        if len(grid) == 0 or (self.distinct and size > len(grid)):
            raise ValueError(f"{self} has {len(grid)} values to choose from, wanted {size}")
        chosen = rng.choice(grid, size, replace=not self.distinct)
        return np.asarray(chosen.reshape(shape))


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4) -> Any:
    """Return a strategy for shapes."""
    return hypothesis().extra.numpy.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def tensors(
    shape: Any = None,
    dtype: Any = dtypes.float64,
    domain: Domain | None = None,
    requires_grad: bool | None = None,
) -> Any:
    """Return a strategy for tensors.

    Args:
        shape: a shape, a strategy for shapes, or None for any with up to three dimensions.
        dtype: a dtype, or a strategy for dtypes.
        domain: where the elements come from.
        requires_grad: by default True for floating-point tensors.
    """
    st = hypothesis().strategies

    @st.composite  # type: ignore[untyped-decorator, unused-ignore]
    def build(draw: Any) -> Any:
        given = shapes() if shape is None else shape
        size = draw(given) if isinstance(given, st.SearchStrategy) else given
        kind = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
        return _tensor(draw, st, tuple(size), kind, domain, requires_grad)

    return build()


def _tensor(
    draw: Any,
    st: Any,
    shape: tuple[int, ...],
    dtype: Any,
    domain: Domain | None,
    requires_grad: bool | None,
) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = dtypes.of(dtype)
    if domain is None:
        domain = Domain() if d.kind == "f" else Domain(0, 1 if d.kind == "b" else 10)
    values = domain.sample(rng, shape)
    array = (
        values >= 0.5 if d.kind == "b" else np.round(values) if d.kind in "iu" else values
    ).astype(d)
    wants = d.kind == "f" if requires_grad is None else requires_grad
    return result_type.make(array).requires_grad_(wants)


def broadcastable_tensors(
    n: int,
    dtype: Any = dtypes.float64,
    domain: Domain | None = None,
    requires_grad: bool | None = None,
    min_side: int = 0,
) -> Any:
    """Return a strategy for tuples of `n` tensors whose shapes broadcast against each other."""
    lib = hypothesis()
    st = lib.strategies

    @st.composite  # type: ignore[untyped-decorator, unused-ignore]
    def build(draw: Any) -> Any:
        found = draw(
            lib.extra.numpy.mutually_broadcastable_shapes(
                num_shapes=n, max_dims=3, max_side=4, min_side=min_side
            )
        )
        return tuple(
            _tensor(draw, st, shape, dtype, domain, requires_grad) for shape in found.input_shapes
        )

    return build()


def index_expressions(shape: tuple[int, ...]) -> Any:
    """Return a strategy for index tuples that fit `shape`.

    They hold ints, slices with positive steps, None, Ellipsis, integer arrays that broadcast against
    each other, and boolean masks over one dimension or more.
    """
    lib = hypothesis()
    st = lib.strategies
    npst = lib.extra.numpy

    @st.composite  # type: ignore[untyped-decorator, unused-ignore]
    def build(draw: Any) -> Any:
        style = draw(st.sampled_from(["basic", "arrays", "mask"]))
        common = draw(npst.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
        used = draw(st.integers(0, len(shape)))
        leading = draw(st.booleans())  # index the first `used` dimensions, or the last
        sizes = shape[:used] if leading else shape[len(shape) - used :]
        masked = draw(st.integers(0, max(used - 1, 0)))
        index: list[Any] = []
        axis = 0
        while axis < len(sizes):
            size = sizes[axis]
            if draw(st.integers(0, 5)) == 0:
                index.append(None)
            if style == "mask" and axis == masked:
                wide = draw(st.integers(1, len(sizes) - axis))
                rng = np.random.default_rng(draw(st.integers(0, 2**16)))
                index.append(rng.random(sizes[axis : axis + wide]) < 0.5)
                axis += wide
                continue
            if style == "arrays" and size > 0 and draw(st.booleans()):
                shape_ = draw(st.sampled_from([common, common[-1:], ()]))
                index.append(
                    draw(npst.arrays(np.int64, shape_, elements=st.integers(-size, size - 1)))
                )
            elif style != "mask" and size > 0 and draw(st.booleans()):
                index.append(draw(st.integers(-size, size - 1)))
            else:
                bounds = st.none() | st.integers(-size - 1, size + 1)
                step = draw(st.none() | st.integers(1, 3))
                index.append(slice(draw(bounds), draw(bounds), step))
            axis += 1
        if not leading:
            index.insert(0, Ellipsis)
        elif draw(st.booleans()):
            index.append(Ellipsis)
        return tuple(index)

    return build()


def einsum_equations(max_operands: int = 3, max_letters: int = 4, max_side: int = 4) -> Any:
    """Return a strategy for pairs of an einsum equation and the shapes of its operands.

    Equations have repeated letters, an explicit result or none, and sometimes an ellipsis.
    """
    st = hypothesis().strategies

    @st.composite  # type: ignore[untyped-decorator, unused-ignore]
    def build(draw: Any) -> Any:
        letters = "abcdefg"[: draw(st.integers(1, max_letters))]
        side = {letter: draw(st.integers(1, max_side)) for letter in letters}
        batch = draw(st.sampled_from([None, None, (), (2,), (2, 3)]))
        terms: list[str] = []
        shapes_: list[tuple[int, ...]] = []
        for _ in range(draw(st.integers(1, max_operands))):
            term = draw(st.text(letters, min_size=0 if terms else 1, max_size=3))
            sizes = tuple(side[letter] for letter in term)
            if batch is not None:
                kept = draw(st.integers(0, len(batch)))
                sizes = batch[len(batch) - kept :] + sizes
                term = "..." + term
            terms.append(term)
            shapes_.append(sizes)
        equation = ",".join(terms)
        if draw(st.booleans()):
            present = sorted({c for term in terms for c in term if c != "."})
            result = draw(st.permutations(present))[: draw(st.integers(0, len(present)))]
            equation += "->" + ("..." if batch is not None else "") + "".join(result)
        return equation, shapes_

    return build()
