"""Switches that programs written for PyTorch set, and what they find when they ask.

Everything here is computed on the CPU, in the tensors' own precision, and alike from run to run. So
these keep what they are told and answer truthfully; nothing else depends on them.
"""

from __future__ import annotations

from typing import Any

from tinygrad_like import dtypes
from tinygrad_like.device import Device, check_device
from tinygrad_like.dtypes import set_default_dtype
from tinygrad_like.graph import Traced
from tinygrad_like.lines import told

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_device",
    "get_float32_matmul_precision",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_distributed",
    "is_neg",
    "set_default_device",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "typename",
    "use_deterministic_algorithms",
]

_DEBUG_MODES = ("default", "warn", "error")
_PRECISIONS = ("highest", "high", "medium")


class _Told:
    """What was set last."""

    debug_mode = 0
    precision = "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same results from run to run, which are given in any case.

    Raises:
        TypeError: if `mode` is no bool.

    >>> import tinygrad_like as torch
    >>> torch.use_deterministic_algorithms(True)
    >>> torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.use_deterministic_algorithms(False)
    """
    if not isinstance(mode, bool):
        raise told(
            TypeError,
            "use_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not "
            f"{type(mode).__name__}",
        )
    _Told.debug_mode = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Return whether the same results from run to run were asked for."""
    return _Told.debug_mode > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return whether only a warning was asked for where they can't be given."""
    return _Told.debug_mode == 1


def get_deterministic_debug_mode() -> int:
    """Return 0, 1 for a warning or 2 for an error where the same results can't be given."""
    return _Told.debug_mode


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set it, by number or as "default", "warn" or "error".

    Raises:
        RuntimeError: for another one.
        TypeError: if it is neither a number nor a name.
    """
    if not isinstance(debug_mode, int | str):
        raise told(TypeError, f"debug_mode must be str or int, but got {type(debug_mode)}")
    known: Any = _DEBUG_MODES if isinstance(debug_mode, str) else (0, 1, 2)
    if debug_mode not in known:
        raise told(
            RuntimeError,
            f"invalid value of debug_mode, expected one of {', '.join(map(str, known))}, but got {debug_mode}",
        )
    _Told.debug_mode = known.index(debug_mode)


def get_float32_matmul_precision() -> str:
    """Return the precision of products of matrices that was asked for; they have the highest."""
    return _Told.precision


def set_float32_matmul_precision(precision: str) -> None:
    """Ask for products of "highest", "high" or "medium" precision; all are computed in full.

    Raises:
        ValueError: for another one.
    """
    if precision not in _PRECISIONS:
        raise told(
            ValueError,
            f"set_float32_matmul_precision: got {precision!r}, expected one of {', '.join(_PRECISIONS)}",
        )
    _Told.precision = precision


def set_flush_denormal(mode: bool) -> bool:
    """Return whether numbers next to 0 will be treated as asked: they are kept, never made 0."""
    return not mode


def get_default_device() -> Device:
    """Return the device of tensors made without one: the CPU."""
    return Device("cpu")


def set_default_device(device: Any) -> None:
    """Set the device of tensors made without one.

    Raises:
        RuntimeError: for any but the CPU.
    """
    check_device(device)


def set_default_tensor_type(t: Any) -> None:
    """Set the dtype that Python floats become by an old name, such as ``"torch.DoubleTensor"``.

    Raises:
        TypeError: if it is no type, or not of floating-point numbers.
    """
    if isinstance(t, str):
        from tinygrad_like import legacy

        t = getattr(legacy, t.removeprefix("torch."), None)
    dtype = getattr(t, "dtype", None)
    if not isinstance(dtype, dtypes.dtype) or not dtype.is_floating_point:
        raise told(
            TypeError,
            "set_default_tensor_type: only floating-point types are supported as the default type, such "
            "as torch.DoubleTensor",
        )
    set_default_dtype(dtype)


def typename(obj: Any) -> str:
    """Return the name of a tensor's type, or the full name of an object's class.

    >>> import tinygrad_like as torch
    >>> torch.typename(torch.ones(1)), torch.typename(3)
    ('torch.FloatTensor', 'int')
    """
    if isinstance(obj, Traced):
        return str(obj.type())  # type: ignore[attr-defined]
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = named.__module__ or ""
    return named.__qualname__ if module in ("", "builtins") else f"{module}.{named.__qualname__}"


def get_device(input: Any) -> int:
    """Return -1: the number of the GPU that a tensor is on."""
    return int(input.get_device())


def is_neg(input: Any) -> bool:
    """Return False: no tensor here waits for its sign to be changed."""
    del input
    return False


def is_distributed(input: Any) -> bool:
    """Return False: no tensor here is spread over several machines."""
    del input
    return False
