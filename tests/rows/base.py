"""What a row of the op table says; `tests/test_ops.py` is the machinery that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class Ints:
    """An integer operand, elements from ``low`` to ``high - 1``."""

    shape: tuple[int, ...]
    low: int = 0
    high: int = 10
    dtype: str = "int64"


@dataclass(frozen=True)
class Bools:
    """A boolean operand."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One op: how to call it, on what, and what to hold it to.

    Attributes:
        op: the name in the registry (several, comma-separated, for a composite that shows them all).
        call: ``call(torch, *operands)``, run with this package and with PyTorch as `torch`.
        samples: tuples of operands, each a `Real`, `Ints` or `Bools`.
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
