"""Compiled kernels beside their NumPy versions: taken where numba is installed, else not missed.

    @compiled("softmax.forward", least=4096)
    def _forward(x, out):
        ...

`_forward` is the NumPy version. Called with C-contiguous arrays of which the first has at least
`least` elements, it is the function ``forward`` of ``tinygrad_like/jit/softmax.py`` that runs. Both
write their results into arrays they are given. numba is imported when the first kernel is wanted; if
it is missing, or fails, of which a warning tells, NumPy does the work.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])

KERNELS: dict[str, Callable[..., Any]] = {}  # the NumPy version of each kernel that was declared

_TYPES = frozenset("fdlqi?bB")  # what kernels are compiled for: dtypes' characters


class _Switch:
    """Whether kernels run; `on` is None until it has been asked whether numba is there."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on: bool | None = None if os.environ.get("TINYGRAD_LIKE_JIT", "1") != "0" else False

    def ask(self) -> bool:
        """Find out whether numba is installed, without importing it."""
        self.on = importlib.util.find_spec("numba") is not None
        return self.on


_switch = _Switch()


def enabled() -> bool:
    """Return True if kernels are compiled and used.

    >>> import tinygrad_like
    >>> isinstance(tinygrad_like.jit.enabled(), bool)
    True
    """
    return _switch.ask() if _switch.on is None else _switch.on


def enable(on: bool = True) -> None:
    """Switch the compiled kernels on, which takes numba, or off.

    Raises:
        ImportError: if numba is not installed.
    """
    if on and not _switch.ask():
        raise ImportError("jit.enable: numba is not installed; pip install 'tinygrad-like[jit]'")
    _switch.on = on


@contextmanager
def disabled() -> Iterator[None]:
    """Let NumPy do everything inside a ``with`` block, in all threads.

    >>> import tinygrad_like
    >>> with tinygrad_like.jit.disabled():
    ...     tinygrad_like.jit.enabled()
    False
    """
    former, _switch.on = _switch.on, False
    try:
        yield
    finally:
        _switch.on = former


def load(name: str) -> Callable[..., Any]:
    """Import the kernel called `name`, and numba with the first one."""
    module, function = name.split(".")
    found: Callable[..., Any] = getattr(
        importlib.import_module(f"tinygrad_like.jit.{module}"), function
    )
    return found


def compiled(name: str, *, least: int = 0, views: bool = False) -> Callable[[_F], _F]:
    """Have the kernel `name`, ``module.function``, stand in for the decorated NumPy version.

    Args:
        name: the module in ``tinygrad_like/jit`` and the function in it.
        least: the number of elements of the first argument below which NumPy does it.
        views: the kernel takes arrays of any strides.
    """

    def declare(plain: _F) -> _F:
        found: Callable[..., Any] | None = None

        def run(*args: Any) -> None:
            nonlocal found
            on = _switch.on
            if on is False or args[0].size < least or not (on or _switch.ask()):
                plain(*args)
                return
            for a in args:
                if type(a) is np.ndarray and not (
                    (views or a.flags.c_contiguous) and a.dtype.char in _TYPES and a.dtype.isnative
                ):
                    plain(*args)
                    return
            try:
                if found is None:
                    found = load(name)
                kernel = found
                kernel(*args)
            except Exception as error:  # numba is broken: kernels themselves never raise
                _switch.on = False
                warnings.warn(
                    f"the kernel {name} failed, so NumPy computes from here on: {error!r}; "
                    "TINYGRAD_LIKE_JIT=0 switches kernels off from the start",
                    stacklevel=2,
                )
                plain(*args)

        run.__name__, run.__qualname__, run.__doc__ = (
            plain.__name__,
            plain.__qualname__,
            plain.__doc__,
        )
        run.__module__ = plain.__module__
        run.plain, run.kernel = plain, name  # type: ignore[attr-defined]
        KERNELS[name] = run
        return run  # type: ignore[return-value]

    return declare


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the NumPy version of a function declared with `compiled`."""
    version: Callable[..., Any] = function.plain  # type: ignore[attr-defined]
    return version
