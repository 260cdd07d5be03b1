"""Where the first nan or infinity came from, forwards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.autograd.anomaly_mode import set_detect_anomaly
from tinygrad_like.debug import errors
from tinygrad_like.graph import Traced
from tinygrad_like.modes import set_anomaly, thread_mode


def _finite(value: Any) -> bool:
    array = value.array if isinstance(value, Traced) else value
    if isinstance(array, np.ndarray | np.generic | float):
        return np.asarray(array).dtype.kind != "f" or bool(np.isfinite(array).all())
    return True


def look(op_: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
    """Note the operation if it made a nan or an infinity of finite numbers.

    Raises:
        RuntimeError: if that is to stop the program.
    """
    wrong = next((r for r in results if not _finite(r)), None)
    if wrong is None or not all(_finite(o) for o in operands):
        return
    kind = "nan" if np.isnan(wrong).any() else "inf"
    count = int((~np.isfinite(wrong)).sum())
    error = RuntimeError(
        f"{op_.spoken} made {kind} of finite operands: {count} of {wrong.size} elements of its result"
    )
    names = [op_.public(n) for n in op_.arrays]
    if op_.variadic:
        names = [f"{names[0]}[{i}]" for i in range(len(operands))]
    named = list(zip(names, operands, strict=False))
    values = [f"{name}: {_range(o)}" for name, o in named if isinstance(o, Traced | np.ndarray)]
    errors.tell(error, named, frame=sys._getframe(1), more=values)
    if thread_mode.anomaly == "forwards":
        raise error
    lines = [line.strip() for line in error.__notes__]
    thread_mode.nonfinite = [
        f"the first nan or inf came forwards: {error}",
        *(f"  {n}" for n in lines),
    ]


def _range(value: Any) -> str:
    array = value.array if isinstance(value, Traced) else value
    if not array.size:
        return "empty"
    return f"values from {array.min():.4g} to {array.max():.4g}"


class detect_anomaly(set_detect_anomaly):
    """Context manager inside which the first operation that makes a nan or an infinity raises.

    It must have made it of finite numbers: masks of -inf and what follows from them are no anomaly.
    The backward is looked at as by `autograd.detect_anomaly`, which only tells where nan began forwards
    when one is met backwards.

    Raises:
        RuntimeError: if an operation makes a nan or an infinity.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 0.0])
    >>> with torch.debug.detect_anomaly():
    ...     y = (x * 2).log()
    Traceback (most recent call last):
    ...
    RuntimeError: log made inf of finite operands: 1 of 2 elements of its result
      at ...
    """

    def __init__(self) -> None:
        pass

    def __enter__(self) -> None:
        self._former = set_anomaly("forwards")
