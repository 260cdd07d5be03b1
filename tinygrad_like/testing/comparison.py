"""`assert_close`: whether two results are the same, and if not, where and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_like.dtypes import F16, F32, F64
from tinygrad_like.graph import Traced

__all__ = ["assert_close"]

# (rtol, atol) of PyTorch's `torch.testing`; other types must be equal.
_TOLERANCES = {F16: (1e-3, 1e-5), F32: (1.3e-6, 1e-5), F64: (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert that ``|actual - expected| <= atol + rtol * |expected|`` holds for every element.

    Args:
        actual: a tensor, an array, a number, None, or a sequence or mapping of such; tensors may be
            PyTorch's.
        expected: the same.
        allow_subclasses: False asks for equal types.
        rtol: relative tolerance; by default that of the less precise dtype, as in PyTorch.
        atol: absolute tolerance, likewise; give both or neither.
        equal_nan: whether nan equals nan.
        check_device: accepted, since there is only one device.
        check_dtype: whether dtypes must be equal.
        check_layout: accepted, since there is only one layout.
        check_stride: whether strides must be equal.
        msg: what to say instead, or a function that turns the message into another.

    Raises:
        AssertionError: if they differ.
        TypeError: if they can't be compared.
        ValueError: if only one of `rtol` and `atol` is given.

    >>> import tinygrad_like as torch
    >>> torch.testing.assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    Traceback (most recent call last):
    ...
    AssertionError: Tensor-likes are not close!
    <BLANKLINE>
    Mismatched elements: 1 / 2 (50.0%)
    Greatest absolute difference: 0.5 at index (1,) (up to 1e-05 allowed)
    Greatest relative difference: 0.2 at index (1,) (up to 1.3e-06 allowed)
    There got 2.0, expected 2.5
    """
    del check_device, check_layout
    if (rtol is None) != (atol is None):
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    for path, a, e in _pairs(actual, expected, (), msg):
        if not allow_subclasses and type(a) is not type(e):
            raise TypeError(f"types differ: {type(a).__name__} and {type(e).__name__}")
        message = _difference(a, e, rtol, atol, equal_nan, check_dtype, check_stride)
        if message is not None:
            if path:
                item = "".join(f"[{key!r}]" for key in path)
                message += f"\n\nThe failure occurred for item {item}"
            raise _failure(message, msg)


def _failure(message: str, msg: str | Callable[[str], str] | None) -> AssertionError:
    if msg is None:
        return AssertionError(message)
    return AssertionError(msg if isinstance(msg, str) else msg(message))


def _pairs(
    actual: Any, expected: Any, path: tuple[Any, ...], msg: Any
) -> list[tuple[tuple[Any, ...], Any, Any]]:
    """Return the pairs of leaves of two nested structures."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, extra = sorted(expected.keys() - actual.keys()), actual.keys() - expected.keys()
        if missing or extra:
            lines = ["The keys of the mappings do not match:"]
            if missing:
                lines.append(f"Missing keys in the actual mapping: {missing}")
            if extra:
                lines.append(f"Additional keys in the actual mapping: {sorted(extra)}")
            raise _failure("\n".join(lines), msg)
        keys: Any = list(expected)
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise _failure(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", msg
            )
        keys = range(len(expected))
    else:
        return [(path, actual, expected)]
    return [pair for key in keys for pair in _pairs(actual[key], expected[key], (*path, key), msg)]


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def array_of(value: Any) -> np.ndarray[Any, Any] | None:
    """Return the array of a tensor (PyTorch's too) or an array; None for anything else."""
    if isinstance(value, Traced):
        return value.array
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return value.detach().cpu().numpy()  # type: ignore[no-any-return]
    return None


def _difference(
    actual: Any,
    expected: Any,
    rtol: float | None,
    atol: float | None,
    equal_nan: bool,
    check_dtype: bool,
    check_stride: bool,
) -> str | None:
    """Return what is different between two leaves, None if nothing is."""
    if actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}"
    a, e = array_of(actual), array_of(expected)
    if a is not None and e is not None:
        if a.shape != e.shape:
            return _attribute(
                "shape", f"torch.Size({list(a.shape)})", f"torch.Size({list(e.shape)})"
            )
        if check_dtype and a.dtype != e.dtype:
            return _attribute("dtype", f"torch.{a.dtype}", f"torch.{e.dtype}")
        if check_stride and a.strides != e.strides:
            return _attribute("stride()", _strides(a), _strides(e))
        return _array_difference(a, e, *_tolerances(a, e, rtol, atol), equal_nan)
    if isinstance(actual, bool) and isinstance(expected, bool):
        return None if actual is expected else f"Booleans mismatch: {actual} is not {expected}"
    if isinstance(actual, int | float) and isinstance(expected, int | float):
        if check_dtype and type(actual) is not type(expected):
            return f"The (d)types do not match: {type(actual)} != {type(expected)}."
        a, e = np.asarray(actual), np.asarray(expected)
        return _array_difference(a, e, *_tolerances(a, e, rtol, atol), equal_nan)
    raise TypeError(
        f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
    )


def _attribute(name: str, actual: Any, expected: Any) -> str:
    return f"The values for attribute '{name}' do not match: {actual} != {expected}."


def _strides(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return tuple(step // array.itemsize for step in array.strides)


def _tolerances(
    a: np.ndarray[Any, Any], e: np.ndarray[Any, Any], rtol: float | None, atol: float | None
) -> tuple[float, float]:
    if rtol is not None and atol is not None:
        return rtol, atol
    both = [_TOLERANCES.get(d, (0.0, 0.0)) for d in (a.dtype, e.dtype)]
    return max(r for r, _ in both), max(t for _, t in both)


def _array_difference(
    a: np.ndarray[Any, Any], e: np.ndarray[Any, Any], rtol: float, atol: float, equal_nan: bool
) -> str | None:
    kind = np.promote_types(a.dtype, e.dtype)
    if kind.kind in "bui":
        kind = np.dtype("int64")
    elif kind == F16:
        kind = F32
    x, y = a.astype(kind), e.astype(kind)
    with np.errstate(all="ignore"):
        matches = (x == y) | (np.isfinite(y) & (np.abs(x - y) <= atol + rtol * np.abs(y)))
        if equal_nan:
            matches |= np.isnan(x) & np.isnan(y)
        if matches.all():
            return None
        absolute = np.where(matches, 0, np.abs(x - y))
        relative = np.where(matches, 0, absolute / np.abs(y).astype(np.float64))
    equal = rtol == 0 and atol == 0
    head = (
        f"{'Scalars' if a.ndim == 0 else 'Tensor-likes'} are not {'equal' if equal else 'close'}!"
    )
    limits = ["" if equal else f" (up to {limit} allowed)" for limit in (atol, rtol)]
    if a.ndim == 0:
        return (
            f"{head}\n\nExpected {e.item()} but got {a.item()}.\n"
            f"Absolute difference: {_shown(absolute)}{limits[0]}\n"
            f"Relative difference: {_shown(relative)}{limits[1]}"
        )
    wrong = int(matches.size - matches.sum())
    places = [_place(absolute), _place(relative)]
    return (
        f"{head}\n\nMismatched elements: {wrong} / {a.size} ({wrong / a.size:.1%})\n"
        f"Greatest absolute difference: {_shown(absolute[places[0]])} at index {places[0]}{limits[0]}\n"
        f"Greatest relative difference: {_shown(relative[places[1]])} at index {places[1]}{limits[1]}\n"
        f"There got {a[places[0]].item()}, expected {e[places[0]].item()}"
    )


def _place(difference: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Return the index of the greatest element, nan being the greatest of all."""
    flat = np.where(np.isnan(difference), math.inf, difference)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(flat)), difference.shape))


def _shown(value: Any) -> Any:
    value = value.item()
    return float(f"{value:.7g}") if isinstance(value, float) else value
