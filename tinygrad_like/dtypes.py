"""Names of element types, and PyTorch's rules for what a mix of them gives."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from tinygrad_like.lines import told


class dtype:
    """The type of a tensor's elements; usable wherever NumPy takes a dtype.

    >>> import tinygrad_like as torch
    >>> torch.zeros(2, dtype=torch.int64).dtype
    torch.int64
    """

    __slots__ = ("dtype", "is_floating_point", "is_signed", "itemsize", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dtype = np.dtype(name)  # NumPy reads this attribute in np.dtype(obj)
        self.itemsize = self.dtype.itemsize
        self.is_floating_point = self.dtype.kind == "f"
        self.is_signed = self.dtype.kind in "fi"

    @property
    def is_complex(self) -> bool:
        """False: complex numbers are not supported."""
        return False

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_by_name, (self.name,))


float16 = dtype("float16")
float32 = dtype("float32")
float64 = dtype("float64")
int8 = dtype("int8")
int16 = dtype("int16")
int32 = dtype("int32")
int64 = dtype("int64")
uint8 = dtype("uint8")
bool_ = dtype("bool")

ALL = (float16, float32, float64, int8, int16, int32, int64, uint8, bool_)
_NAMED = {d.name: d for d in ALL}
_OF_NUMPY = {d.dtype: d for d in ALL}
_CANONICAL: dict[Any, np.dtype[Any]] = {d: d.dtype for d in ALL}
_CANONICAL |= {d.dtype: d.dtype for d in ALL}
_CANONICAL |= {float: float64.dtype, int: int64.dtype, bool: bool_.dtype}

# NumPy keeps one object per type, so fast paths compare these by identity.
F16, F32, F64, I64, BOOL = (d.dtype for d in (float16, float32, float64, int64, bool_))


def _by_name(name: str) -> dtype:
    return _NAMED[name]


def named(numpy_dtype: np.dtype[Any]) -> dtype:
    """Return the `dtype` that stands for a NumPy dtype."""
    return _OF_NUMPY[numpy_dtype]


def of(value: Any) -> np.dtype[Any]:
    """Return the NumPy dtype meant by a `dtype`, a NumPy dtype or one of float, int and bool.

    Raises:
        TypeError: if there is no tensor of that type.
    """
    try:
        return _CANONICAL[value]
    except (KeyError, TypeError):
        pass
    try:
        return _CANONICAL[np.dtype(value)]
    except (KeyError, TypeError):
        names = ", ".join(_NAMED)
        raise told(TypeError, f"dtype: got {value!r}, expected one of {names}") from None


class _Default:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = F32


_default = _Default()


def default() -> np.dtype[Any]:
    """Return the NumPy dtype that Python floats become."""
    return _default.value


def get_default_dtype() -> dtype:
    """Return the dtype that Python floats become, float32 unless it was set."""
    return named(_default.value)


def set_default_dtype(d: Any) -> None:
    """Set the dtype that Python floats become.

    Raises:
        TypeError: if it is no floating-point type.
    """
    wanted = of(d)
    if wanted.kind != "f":
        raise told(
            TypeError, f"set_default_dtype: got {named(wanted)}, expected a floating-point dtype"
        )
    _default.value = wanted


def _category(d: np.dtype[Any]) -> int:
    return "bif".index("i" if d.kind == "u" else d.kind)


@cache
def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds a mix of `a` and `b`: unlike NumPy's, int with float gives that float."""
    if _category(a) != _category(b):
        return a if _category(a) > _category(b) else b
    return of(np.promote_types(a, b))


def promote_types(type1: Any, type2: Any) -> dtype:
    """Return the smallest dtype that a mix of two dtypes becomes.

    >>> import tinygrad_like as torch
    >>> torch.promote_types(torch.int64, torch.float16)
    torch.float16
    """
    return named(promote(of(type1), of(type2)))


def of_scalar(value: Any) -> np.dtype[Any]:
    """Return the type a Python number has by itself."""
    if isinstance(value, bool | np.bool_):
        return BOOL
    if isinstance(value, int | np.integer):
        return I64
    return default()


def result(arrays: Iterable[Any]) -> np.dtype[Any]:
    """Return the result type of a mix of ndarrays (0-d ones yield to others) and Python numbers.

    Within a category (bool, int, float) arrays with dimensions decide; a 0-d array, and after it a
    number, only matters if its category is higher (PyTorch, "Tensor Attributes", type promotion).
    """
    ranks: list[np.dtype[Any] | None] = [None, None, None]
    for value in arrays:
        is_array = isinstance(value, np.ndarray)
        d = value.dtype if is_array else of_scalar(value)
        rank = (0 if value.ndim else 1) if is_array else 2
        former = ranks[rank]
        ranks[rank] = d if former is None else promote(former, d)
    best: np.dtype[Any] | None = None
    for candidate in ranks:
        if candidate is not None and (best is None or _category(candidate) > _category(best)):
            best = candidate
    assert best is not None
    return best


def can_cast(from_: Any, to: Any) -> bool:
    """Return True if PyTorch allows an in-place result of the first dtype in a tensor of the second.

    >>> import tinygrad_like as torch
    >>> torch.can_cast(torch.float32, torch.int64)
    False
    """
    source, target = of(from_), of(to)
    return _category(source) <= _category(target)


class finfo:
    """The limits of a floating-point dtype.

    >>> import tinygrad_like as torch
    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: Any = None) -> None:
        d = default() if type is None else of(type)
        if d.kind != "f":
            raise told(
                TypeError, f"finfo: got {named(d)}, expected a floating-point dtype; use iinfo"
            )
        info = np.finfo(d)
        self.dtype = named(d).name
        self.bits = int(info.bits)
        self.eps = float(info.eps)
        self.max = float(info.max)
        self.min = float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0**-info.precision

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.tiny:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype.

    >>> import tinygrad_like as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    def __init__(self, type: Any) -> None:
        d = of(type)
        if d.kind not in "iu":
            raise told(TypeError, f"iinfo: got {named(d)}, expected an integer dtype; use finfo")
        info = np.iinfo(d)
        self.dtype = named(d).name
        self.bits = int(info.bits)
        self.max = int(info.max)
        self.min = int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
