"""What a row of the op table says; `tests/test_ops.py` is the machinery that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Real:
    """A floating-point operand with elements drawn evenly from an interval, distinct by design.

    Choose the interval so that samples stay away from kinks and poles; `apart` keeps a distance
    from the numbers listed there, and `distinct` spaces the elements evenly (for sorts and maxima).
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    apart: tuple[float, ...] = ()
    distinct: bool = False
    grad: bool = True

    def draw(self, rng: np.random.Generator, dtype: str, shape: Any = None) -> np.ndarray:
        """Return a sample in `dtype`, of another shape if one is given."""
        shape = self.shape if shape is None else shape
        size = int(np.prod(shape))
        if self.distinct:
            values = rng.permutation(np.linspace(self.low, self.high, size + 2)[1:-1])
        else:
            values = rng.uniform(self.low, self.high, size)
        margin = 0.02 * (self.high - self.low)
        for point in self.apart:
            near = np.abs(values - point) < margin
            values[near] += np.where(values[near] < point, -margin, margin)
        return values.reshape(shape).astype(dtype)


@dataclass(frozen=True)
class Ints:
    """An integer operand, elements from ``low`` to ``high - 1``."""

    shape: tuple[int, ...]
    low: int = 0
    high: int = 10
    dtype: str = "int64"

    def draw(self, rng: np.random.Generator, dtype: str, shape: Any = None) -> np.ndarray:
        """Return a sample in its own dtype."""
        shape = self.shape if shape is None else shape
        return rng.integers(self.low, self.high, shape).astype(self.dtype)


@dataclass(frozen=True)
class Bools:
    """A boolean operand."""

    shape: tuple[int, ...]

    def draw(self, rng: np.random.Generator, dtype: str, shape: Any = None) -> np.ndarray:
        """Return a sample."""
        return np.asarray(rng.random(self.shape if shape is None else shape) < 0.5)


@dataclass(frozen=True)
class Row:
    """One op: how to call it, on what, and what to hold it to.

    Attributes:
        op: the name in the registry (several, comma-separated, for a composite that shows them all).
        call: ``call(torch, *operands)``, run with this package and with PyTorch as `torch`. The seed
            is the same before every call. It returns a tensor, or several, or a plain value.
        samples: tuples of operands, each a `Real`, `Ints` or `Bools`, or a value to be passed on.
        order: how often it can be differentiated: 0, 1 or 2.
        exact: compare values exactly (shape and index ops).
        rtol: relative tolerance against PyTorch in float64 and float32; None for the machinery's.
        finite: also compare the gradient with finite differences.
        broadcast: also run over random broadcastable shapes (operands must be all `Real`).
        name: an id for the test where an op has several rows.
    """

    op: str
    call: Callable[..., Any]
    samples: list[tuple[Any, ...]]
    order: int = 2
    exact: bool = False
    rtol: tuple[float, float] | None = None
    finite: bool = True
    broadcast: bool = False
    name: str = ""

    @property
    def ops(self) -> list[str]:
        """The names in `op`."""
        return [name.strip() for name in self.op.split(",")]
