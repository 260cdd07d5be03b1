"""Whether a thread's operations are recorded, and what else a thread can switch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any


class _ThreadMode(threading.local):
    """One thread's modes; the class attributes are what a new thread starts with."""

    grad = True
    inference = False
    anomaly: bool | str = False  # whether nan is looked for: see `set_anomaly`
    nonfinite: Sequence[str] = ()  # what is known of the first operation that made one
    witness: Callable[[Any, Sequence[Any], Sequence[Any]], None] | None = None  # see `set_witness`
    looking = False  # whether for either of these each operation is looked at
    targeted = False  # whether a backward is under way that was asked for certain gradients only
    saving: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any]], ...] = ()  # to pack and unpack
    saving_refused: str | None = None  # why there must be none of these
    overwritten: Any = None  # the memory an in-place operation will write


class _Departed:
    """How many threads left the default mode: reading a plain attribute costs a tenth of a local's."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


thread_mode = _ThreadMode()
departed = _Departed()
_mode_lock = threading.RLock()  # taken again if a mark dies while it is held


def depart(step: int) -> None:
    """Count one reason more, or less, for operations to look at their thread's modes."""
    with _mode_lock:
        departed.count += step


class InferenceMark:
    """What a tensor made in inference mode carries; while one lives, ops look for it."""

    __slots__ = ()

    def __init__(self) -> None:
        depart(1)

    def __del__(self) -> None:
        depart(-1)


def set_anomaly(mode: bool | str) -> bool | str:
    """Have this thread look for nan or not, "forwards" to stop there too; return what it was."""
    former = thread_mode.anomaly
    if bool(mode) != bool(former):
        depart(1 if mode else -1)
    thread_mode.anomaly = mode
    thread_mode.nonfinite = ()
    thread_mode.looking = bool(mode) or thread_mode.witness is not None
    return former


def set_witness(witness: Any) -> Any:
    """Have this thread tell a function of each operation's op, operands and results; return the former.

    It is told before the operation is recorded.
    """
    former = thread_mode.witness
    if (witness is None) != (former is None):
        depart(1 if former is None else -1)
    thread_mode.witness = witness
    thread_mode.looking = bool(thread_mode.anomaly) or witness is not None
    return former


def look(op_: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
    """Tell who wants to know; note the first operation that makes a nan or an infinity."""
    if thread_mode.witness is not None:
        thread_mode.witness(op_, operands, results)
    if thread_mode.anomaly and not thread_mode.nonfinite:
        from tinygrad_like.debug.anomaly import look

        look(op_, operands, results)


def is_grad_enabled() -> bool:
    """Return True if operations of this thread are recorded."""
    return thread_mode.grad


def is_inference_mode_enabled() -> bool:
    """Return True inside `inference_mode`."""
    return thread_mode.inference


def set_mode(grad: bool, inference: bool) -> tuple[bool, bool]:
    """Set this thread's modes and return the former ones as ``(grad, inference)``."""
    former = (thread_mode.grad, thread_mode.inference)
    was_default, is_default = former == (True, False), grad and not inference
    if was_default != is_default:
        depart(1 if was_default else -1)
    thread_mode.grad = grad
    thread_mode.inference = inference
    return former
