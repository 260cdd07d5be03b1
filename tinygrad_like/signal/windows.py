"""Window functions, spelt like ``torch.signal.windows``, and the older ``torch.hann_window`` etc.

All are computed in float64 and then rounded. A periodic window (``sym=False``) is the symmetric one
of one point more, without its last point.

>>> import tinygrad_like as torch
>>> torch.signal.windows.hann(5)
tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
>>> torch.hann_window(4)
tensor([0.0000, 0.5000, 1.0000, 0.5000])
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypedDict, Unpack

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.lines import told
from tinygrad_like.ops.creation import dtype_of, finish

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

_BLACKMAN = (0.42, 0.5, 0.08)
_NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)


class Options(TypedDict, total=False):
    """What every window takes besides its own arguments."""

    dtype: Any  # float32 or float64; None for the default
    layout: Any
    device: Any
    requires_grad: bool


# ----- The curves: of the positions 0, 1, ... and of the last position of the symmetric window ----


def _triangle(n: Any, last: int) -> Any:
    return 1 - np.abs(2 * n / last - 1) if last else np.ones(1)


def _cosines(n: Any, last: int, a: Iterable[float]) -> Any:
    if not last:
        return np.ones(1)
    if not isinstance(a, Iterable):
        raise told(TypeError, f"Coefficients must be a list/tuple, not {type(a).__name__}")
    a = tuple(a)
    if not a:
        raise told(ValueError, "Coefficients cannot be empty")
    angle = 2 * math.pi / last * n
    return sum((-1) ** i * c * np.cos(i * angle) for i, c in enumerate(a))


def _kaiser(n: Any, last: int, beta: float) -> Any:
    if not last:
        return np.ones(1)
    inside = np.maximum(1 - np.square(2 * n / last - 1), 0)
    return np.i0(beta * np.sqrt(inside)) / np.i0(beta)


def _values(length: int, sym: bool, curve: Callable[[Any, int], Any]) -> Any:
    if not length:
        return np.ones(0)
    return curve(np.arange(float(length)), length - 1 if sym or length == 1 else length)


def _window(
    name: str,
    length: Any,
    sym: bool,
    curve: Callable[[Any, int], Any],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    length = operator.index(length)
    d = dtype_of(name, dtype, dtypes.default())
    if length < 0:
        raise told(ValueError, f"{name} requires non-negative window length, got M={length}")
    if d not in (np.float32, np.float64):
        raise told(ValueError, f"{name} expects float32 or float64 dtypes, got: {dtypes.named(d)}")
    values = _values(length, sym, curve).astype(d)
    return finish(name, values, requires_grad, device, layout)


# ----- torch.signal.windows -----------------------------------------------------------------------


def bartlett(M: int, *, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return a triangle from 0 to 1 and back, shape ``(M,)``.

    Raises:
        ValueError: if `M` is negative or the dtype is neither float32 nor float64, as for all windows.
    """
    return _window("bartlett", M, sym, _triangle, **options)


def cosine(M: int, *, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return ``sin(pi * (n + 0.5) / M)``, shape ``(M,)``."""

    def curve(n: Any, last: int) -> Any:
        return np.sin(math.pi / (last + 1) * (n + 0.5))

    return _window("cosine", M, sym, curve, **options)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    **options: Unpack[Options],
) -> Any:
    """Return ``exp(-|n - center| / tau)``, shape ``(M,)``.

    Raises:
        ValueError: if `tau` is not positive, or `center` is given for a symmetric window.
    """
    if tau <= 0:
        raise told(ValueError, f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise told(ValueError, "Center must be None for symmetric windows")

    def curve(n: Any, last: int) -> Any:
        return np.exp(-np.abs(n - (last / 2 if center is None else center)) / tau)

    return _window("exponential", M, sym, curve, **options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return a bell of standard deviation `std` points around the middle, shape ``(M,)``.

    Raises:
        ValueError: if `std` is not positive.
    """
    if std <= 0:
        raise told(ValueError, f"Standard deviation must be positive, got: {std} instead.")

    def curve(n: Any, last: int) -> Any:
        return np.exp(-np.square((n - last / 2) / std) / 2)

    return _window("gaussian", M, sym, curve, **options)


def general_cosine(
    M: int, *, a: Iterable[float], sym: bool = True, **options: Unpack[Options]
) -> Any:
    """Return the sum of ``(-1)**i * a[i] * cos(2 * pi * i * n / (M - 1))``, shape ``(M,)``.

    Raises:
        ValueError: if `a` is empty.
        TypeError: if `a` is no sequence.
    """
    return _window("general_cosine", M, sym, lambda n, last: _cosines(n, last, a), **options)


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, **options: Unpack[Options]
) -> Any:
    """Return ``alpha - (1 - alpha) * cos(2 * pi * n / (M - 1))``, shape ``(M,)``."""
    return general_cosine(M, a=(alpha, 1 - alpha), sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return `general_hamming` with ``alpha=0.54``."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return `general_hamming` with ``alpha=0.5``."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return `general_cosine` with Blackman's three coefficients."""
    return general_cosine(M, a=_BLACKMAN, sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return `general_cosine` with Nuttall's four coefficients."""
    return general_cosine(M, a=_NUTTALL, sym=sym, **options)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Unpack[Options]) -> Any:
    """Return Kaiser's window, a modified Bessel function over an arc, shape ``(M,)``.

    Raises:
        ValueError: if `beta` is negative.
    """
    if beta < 0:
        raise told(ValueError, f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", M, sym, lambda n, last: _kaiser(n, last, beta), **options)


# ----- The older functions, periodic unless told otherwise ----------------------------------------


def _old_window(
    name: str,
    length: Any,
    periodic: bool,
    curve: Callable[[Any, int], Any],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    if not hasattr(length, "__index__"):
        got = type(length).__name__
        raise told(
            TypeError, f"{name}(): argument 'window_length' (position 1) must be int, not {got}"
        )
    length = operator.index(length)
    d = dtype_of(name, dtype, dtypes.default())
    if length < 0:
        raise told(
            RuntimeError, f"{name} requires non-negative window_length, got window_length={length}"
        )
    if d.kind != "f":
        raise told(RuntimeError, f"{name} expects floating point dtypes, got: {dtypes.named(d)}")
    values = _values(length, not periodic, curve).astype(d)
    return finish(name, values, requires_grad, device, layout)


def bartlett_window(window_length: int, periodic: bool = True, **options: Unpack[Options]) -> Any:
    """Return `bartlett`'s triangle, shape ``(window_length,)``.

    Raises:
        RuntimeError: if the length is negative or the dtype no floating-point one, as for all of these.
    """
    return _old_window("bartlett_window", window_length, periodic, _triangle, **options)


def blackman_window(window_length: int, periodic: bool = True, **options: Unpack[Options]) -> Any:
    """Return the window of `blackman`, shape ``(window_length,)``."""

    def curve(n: Any, last: int) -> Any:
        return _cosines(n, last, _BLACKMAN)

    return _old_window("blackman_window", window_length, periodic, curve, **options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Unpack[Options],
) -> Any:
    """Return ``alpha - beta * cos(2 * pi * n / (N - 1))``, shape ``(window_length,)``."""

    def curve(n: Any, last: int) -> Any:
        return _cosines(n, last, (alpha, beta))

    return _old_window("hamming_window", window_length, periodic, curve, **options)


def hann_window(window_length: int, periodic: bool = True, **options: Unpack[Options]) -> Any:
    """Return the window of `hann`, shape ``(window_length,)``."""

    def curve(n: Any, last: int) -> Any:
        return _cosines(n, last, (0.5, 0.5))

    return _old_window("hann_window", window_length, periodic, curve, **options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Unpack[Options]
) -> Any:
    """Return the window of `kaiser`, shape ``(window_length,)``."""

    def curve(n: Any, last: int) -> Any:
        return _kaiser(n, last, beta)

    return _old_window("kaiser_window", window_length, periodic, curve, **options)
