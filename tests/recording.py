"""Notes which public functions and methods are called, with what, and what came of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import tinygrad_like as ours

HERE = str(Path(__file__).parent)
# Operators and protocols of Python that are worth a line; the others only serve printing and such.
OPERATORS = {
    f"__{name}__"
    for name in (
        *("abs", "add", "and", "bool", "contains", "eq", "float", "floordiv", "ge", "getitem"),
        *("gt", "iadd", "iand", "idiv", "ifloordiv", "ilshift", "imod", "imul", "index", "int"),
        *("invert", "ior", "ipow", "irshift", "isub", "itruediv", "ixor", "le", "len"),
        *("lshift", "lt", "matmul", "mod", "mul", "ne", "neg", "or", "pos", "pow", "radd", "rand"),
        *("rfloordiv", "rlshift", "rmatmul", "rmod", "rmul", "ror", "rpow", "rrshift", "rshift"),
        *("rsub", "rtruediv", "rxor", "setitem", "sub", "truediv", "xor"),
    )
}


class Array(NamedTuple):
    """A tensor that was an argument, as it was before the call."""

    array: np.ndarray
    requires_grad: bool


class Call(NamedTuple):
    """One call from a test; `name` is what stands after ``torch.``, such as ``Tensor.add``."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any


def kept(value: Any) -> Any:
    """Return an argument with copies of its tensors."""
    if isinstance(value, ours.Tensor):
        return Array(np.copy(value.array), value.requires_grad)
    if type(value) in (list, tuple):
        return type(value)(map(kept, value))
    return value


class Recorder:
    """Stands for the package or one of its modules, and notes the functions called on it."""

    def __init__(self, module: ModuleType, calls: list[Call], prefix: str = "") -> None:
        self._module, self._calls, self._prefix = module, calls, prefix

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        path = f"{self._prefix}{name}"
        if isinstance(value, ModuleType):
            return Recorder(value, self._calls, f"{path}.")
        if callable(value) and not isinstance(value, type):
            return _noting(path, value, self._calls)
        return value


def _noting(name: str, function: Callable[..., Any], calls: list[Call]) -> Callable[..., Any]:
    def noting(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1).f_code.co_filename
        if not caller.startswith(HERE) or caller == __file__:
            return function(*args, **kwargs)  # the package calls itself
        before = tuple(map(kept, args)), {key: kept(value) for key, value in kwargs.items()}
        result = function(*args, **kwargs)
        if result is not NotImplemented:
            calls.append(Call(name, *before, result))
        return result

    return noting


@contextlib.contextmanager
def recording() -> Iterator[tuple[Any, list[Call]]]:
    """Yield the package to call, and the list of calls, of methods and operators too."""
    calls: list[Call] = []
    cls, own = ours.Tensor, dict(vars(ours.Tensor))
    for name in dir(cls):
        value = getattr(cls, name)
        if name.startswith("_") and name not in OPERATORS:
            continue
        if isinstance(value, property) and value.fget is not None:
            getter = _noting(f"Tensor.{name}", value.fget, calls)
            setattr(cls, name, property(getter, value.fset, value.fdel))
        elif callable(value) and not isinstance(value, type):
            setattr(cls, name, _noting(f"Tensor.{name}", value, calls))
    try:
        yield Recorder(ours, calls), calls
    finally:
        for name in set(vars(cls)) - set(own):
            delattr(cls, name)
        for name, value in own.items():
            if vars(cls)[name] is not value:
                setattr(cls, name, value)
