"""Arrays of random numbers, made of a generator's words in the ways PyTorch makes them on a CPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.lines import told
from tinygrad_like.random import Generator


def refuse_whole(name: str, d: np.dtype[Any]) -> None:
    """Raise PyTorch's error for a dtype that is not a floating-point one."""
    if d.kind != "f":
        raise told(
            NotImplementedError,
            f'"{name}" not implemented for {dtypes.named(d)!r}; use a floating-point dtype',
        )


def uniform_numbers(
    generator: Generator, n: int, d: np.dtype[Any], low: float = 0.0, high: float = 1.0
) -> np.ndarray[Any, Any]:
    """Return `n` numbers of ``[low, high)`` as ``uniform_`` fills them in."""
    u = generator.uniform(n, d)
    start, width = d.type(low), d.type(d.type(high) - d.type(low))
    if start == 0 and width == 1:
        if d != np.float16:
            return u
        rounded = u.astype(d)
        rounded[rounded == 1] = 0
        return rounded
    # PyTorch multiplies and adds with one rounding; so does the next wider type.
    wide = np.longdouble if d == np.float64 else np.float64
    scaled: Any = u.astype(wide)
    scaled *= wide(width)
    scaled += wide(start)
    if d == np.float16:
        scaled = scaled.astype(np.float32)
    out: np.ndarray[Any, Any] = scaled.astype(d)
    out[out == d.type(high)] = start  # rounded up to the end that does not belong
    return out


def normal_numbers(
    generator: Generator, n: int, d: np.dtype[Any], mean: float = 0.0, std: float = 1.0
) -> np.ndarray[Any, Any]:
    """Return `n` normal numbers as ``normal_`` fills them into contiguous memory."""
    if n < 16:
        few: np.ndarray[Any, Any] = scaled_normals(paired_normals(generator, n), mean, std)
        return few.astype(d)
    work = np.dtype(np.float32) if d == np.float16 else d
    # The last 16 are drawn anew if they are no block of their own; float16 never drew them before.
    whole, rest = n - n % 16, n % 16
    end = whole + 16 if rest else n
    numbers = generator.uniform(n + 16 if rest and d != np.float16 else end, work)
    if rest:
        numbers[whole:end] = numbers[-16:]
    for start in range(0, end, _CHUNK):
        _box_muller(numbers[start : min(start + _CHUNK, end)], mean, std)
    out = numbers[:n]
    if rest:
        out[n - 16 :] = numbers[whole : whole + 16]
    return out.astype(d, copy=False)


_CHUNK = 65536  # numbers that stay in the cache


def _box_muller(numbers: Any, mean: float, std: float) -> None:
    """Turn blocks of 16 uniform numbers into normal ones: radii from 8 of them, angles from 8."""
    d = numbers.dtype
    # Eight numbers taken for one large element are copied many times as fast.
    halves = numbers.view(np.dtype((np.void, 8 * d.itemsize))).reshape(-1, 2)
    radius, angle = (halves[:, i].copy().view(d) for i in (0, 1))
    np.subtract(1, radius, out=radius)
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    angle *= d.type(2 * math.pi)
    first = np.cos(angle)
    first *= radius
    second = np.sin(angle, out=angle)
    second *= radius
    for i, half in enumerate((first, second)):
        halves[:, i] = half.view(halves.dtype)
    if std != 1:
        numbers *= d.type(std)
    if mean != 0:
        numbers += d.type(mean)


def paired_normals(generator: Generator, n: int) -> np.ndarray[Any, Any]:
    """Return `n` normal numbers made two at a time, the second of an odd pair kept for later."""
    kept = generator.kept_normal
    out = np.empty(n)
    if not n:
        return out
    start = 0
    if kept is not None:
        out[0] = kept
        generator.kept_normal = None
        start = 1
    pairs = (n - start + 1) // 2
    if not pairs:
        return out
    if pairs <= 8:  # arrays would take longer than Python's own numbers
        raw = generator.words(4 * pairs).tolist()
        u = [
            ((a & 0x1FFFFF) << 32 | b) * 2.0**-53 for a, b in zip(raw[0::2], raw[1::2], strict=True)
        ]
        numbers = []
        for first, second in zip(u[0::2], u[1::2], strict=True):
            radius = math.sqrt(-2 * math.log1p(-second))
            angle = 2 * math.pi * first
            numbers += [radius * math.cos(angle), radius * math.sin(angle)]
        made = np.array(numbers)
    else:
        uniform = generator.uniform(2 * pairs, dtypes.F64)
        radii = np.sqrt(-2 * np.log1p(-uniform[1::2]))
        angles = 2 * math.pi * uniform[0::2]
        made = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1).ravel()
    out[start:] = made[: n - start]
    if (n - start) % 2:
        generator.kept_normal = float(made[-1])
    return out


def scaled_normals(z: Any, mean: float, std: float) -> Any:
    """Return ``z * std + mean``, rounded once as PyTorch does."""
    if mean == 0:
        return z * std
    return (z.astype(np.longdouble) * std + mean).astype(np.float64)


def in_memory_order(
    like: np.ndarray[Any, Any], values: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return flat `values` in the shape of `like`, laid out as PyTorch walks through its memory."""
    if like.flags.c_contiguous:
        return values.reshape(like.shape)
    order = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
    return values.reshape([like.shape[axis] for axis in order]).transpose(np.argsort(order))


def refuse_interval(name: str, low: float, high: float) -> None:
    """Raise if `low` is above `high`."""
    if not low <= high:
        raise told(
            RuntimeError,
            f"{name} expects to return a [from, to) range, but found from={low} > to={high}",
        )


def refuse_spread(name: str, std: float) -> None:
    """Raise if a standard deviation is negative."""
    if not std >= 0:
        raise told(RuntimeError, f"{name} expects std >= 0.0, but found std {std}")


def whole_numbers(generator: Generator, n: int, low: int, high: int) -> np.ndarray[Any, Any]:
    """Return `n` integers of ``[low, high)``."""
    if low >= high:
        raise told(
            RuntimeError,
            f"randint and random_ expect 'from' to be less than 'to', but got from={low} >= to={high}",
        )
    width = high - low
    raw = generator.words(n) if width < 2**28 else generator.long_words(n)
    if width < 2**64:  # NumPy takes twice as long for a remainder
        multiple = raw // np.uint64(width)
        multiple *= np.uint64(width)
        raw -= multiple
    out: np.ndarray[Any, Any] = raw.view(np.int64)
    out += np.int64(low)
    return out
