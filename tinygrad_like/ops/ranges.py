"""Tensors of counted or evenly spaced numbers, and of indices."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.lines import told
from tinygrad_like.ops.creation import dtype_of, finish, number_of

__all__ = ["arange", "eye", "linspace", "logspace", "tril_indices", "triu_indices"]


def arange(
    *bounds: Any,
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return the numbers from `start` (0) up to, not including, `end`, `step` (1) apart.

    ``arange(end)``, ``arange(start, end)`` and ``arange(start, end, step)``.

    Raises:
        RuntimeError: if `step` is zero or leads away from `end`, or a bound is not finite.

    >>> import tinygrad_like as torch
    >>> torch.arange(1, 2, 0.25)
    tensor([1.0000, 1.2500, 1.5000, 1.7500])
    """
    if len(bounds) > 3 or (not bounds and end is None):
        raise told(
            TypeError,
            f"arange() takes end, start and end, or both and step: got {len(bounds)} arguments",
        )
    if len(bounds) == 1 and end is None:
        end = bounds[0]
    elif bounds:
        start = bounds[0]
        end = bounds[1] if len(bounds) > 1 else end
        step = bounds[2] if len(bounds) > 2 else step
    start, end, step = (number_of(0 if v is None else v, "end") for v in (start, end, step))
    whole = not any(isinstance(v, float) for v in (start, end, step))
    d = dtype_of("arange", dtype, dtypes.I64 if whole else dtypes.default())
    if d.kind == "b":
        raise told(NotImplementedError, "\"arange_cpu\" not implemented for 'Bool'")
    if step == 0:
        raise told(RuntimeError, "arange: step must be nonzero, got 0")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise told(RuntimeError, f"arange: unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise told(
            RuntimeError,
            f"upper bound and lower bound inconsistent with step sign: arange({start}, {end}, {step})",
        )
    if d.kind != "f":
        array = np.arange(int(start), int(end), int(step), dtype=np.int64).astype(d, copy=False)
    else:
        count = math.ceil((end - start) / step)
        array = np.arange(count, dtype=np.float64)
        array *= step
        array += start
        array = array.astype(d, copy=False)
    return finish("arange", array, requires_grad, device, layout, pin_memory)


def _steps(name: str, steps: Any) -> int:
    count = operator.index(steps)
    if count < 0:
        raise told(RuntimeError, f"number of steps must be non-negative: {name} got {count}")
    return count


def _spaced(start: Any, end: Any, steps: int, d: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return evenly spaced numbers, counted from the nearer end as PyTorch does."""
    work = d if d.kind == "f" else dtypes.F32
    if steps == 1:
        return np.array([start], d)
    # Integer results use a float32 step, as PyTorch's kernel does.
    first, last = np.asarray(start, work), np.asarray(end, work)
    step = (last - first) / work.type(steps - 1)
    index = np.arange(steps, dtype=work)
    spaced = np.where(index < steps // 2, first + step * index, last - step * (steps - 1 - index))
    array: np.ndarray[Any, Any] = spaced.astype(d, copy=False)
    return array


def linspace(
    start: Any,
    end: Any,
    steps: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return `steps` numbers evenly spaced from `start` to `end`, both included.

    Raises:
        RuntimeError: if `steps` is negative.

    >>> import tinygrad_like as torch
    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    d = dtype_of("linspace", dtype, dtypes.default())
    array = _spaced(number_of(start, "start"), number_of(end, "end"), _steps("linspace", steps), d)
    return finish("linspace", array, requires_grad, device, layout, pin_memory)


def logspace(
    start: Any,
    end: Any,
    steps: Any,
    base: float = 10.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return `base` to the power of `steps` evenly spaced exponents.

    Raises:
        RuntimeError: if `steps` is negative.

    >>> import tinygrad_like as torch
    >>> torch.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    d = dtype_of("logspace", dtype, dtypes.default())
    exponents = _spaced(
        number_of(start, "start"), number_of(end, "end"), _steps("logspace", steps), dtypes.F64
    )
    array = np.power(float(base), exponents).astype(d)
    return finish("logspace", array, requires_grad, device, layout, pin_memory)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Return a matrix (n, m) with ones on the diagonal.

    Raises:
        RuntimeError: if a size is negative.

    >>> import tinygrad_like as torch
    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    for letter, size in (("n", n), ("m", m)):
        if not hasattr(size, "__index__") and size is not None:
            raise told(
                TypeError, f"eye(): argument '{letter}' must be int, not {type(size).__name__}"
            )
        if size is not None and size < 0:
            raise told(RuntimeError, f"{letter} must be greater or equal to 0, got {size}")
    array = np.eye(n, m, dtype=dtype_of("eye", dtype, dtypes.default()))
    return finish("eye", array, requires_grad, device, layout, pin_memory)


def _refuse_negative(row: int, col: int) -> None:
    for name, size in (("row", row), ("col", col)):
        if size < 0:
            raise told(
                RuntimeError, f"{name}, a size of the matrix, must be non-negative, got {size}"
            )


def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
) -> Any:
    """Return the indices (2, K) of the lower triangle of a matrix (row, col), row by row.

    >>> import tinygrad_like as torch
    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    _refuse_negative(row, col)
    found = np.stack(np.tril_indices(row, offset, col)).astype(
        dtype_of("tril_indices", dtype, dtypes.I64)
    )
    return finish("tril_indices", found, False, device, layout)


def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
) -> Any:
    """Return the indices (2, K) of the upper triangle of a matrix (row, col), row by row.

    >>> import tinygrad_like as torch
    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    _refuse_negative(row, col)
    found = np.stack(np.triu_indices(row, offset, col)).astype(
        dtype_of("triu_indices", dtype, dtypes.I64)
    )
    return finish("triu_indices", found, False, device, layout)
