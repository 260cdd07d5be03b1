"""The spellings of each public function: where they stand, and calling them anew with recorded calls."""

from __future__ import annotations

import functools
import importlib
import warnings
import zlib
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

import tinygrad_like as ours
from tests.plain_calls import CALLS
from tests.recording import Array, Call, recording
from tests.test_ops import ROWS, Case, Ours
from tinygrad_like.graph import result_type

try:
    import torch
except ImportError:
    torch = None

FORMS = ("function", "method", "in-place", "out=")


class Use(NamedTuple):
    """A function in one case of the op table: how often its result there can be differentiated."""

    case: str
    order: int


class Known(NamedTuple):
    """Everything that is called by name: in which cases, and with what."""

    uses: dict[str, list[Use]]
    plain: dict[str, list[int]]
    calls: dict[str, list[Call]]


def line_of(name: str) -> str:
    """Return the line of the page for a recorded name: methods stand with their function."""
    return name.removeprefix("Tensor.")


def _wants(result: Any) -> bool:
    if isinstance(result, tuple | list):
        return any(map(_wants, result))
    return isinstance(result, ours.Tensor) and result.requires_grad


@functools.cache
def known() -> Known:
    """Run every row of the op table once, and return what it calls."""
    found = Known(defaultdict(list), defaultdict(list), defaultdict(list))
    with recording() as (package, calls), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, row in ROWS:
            for number, specs in enumerate(row.samples):
                case = Case(row, specs, zlib.crc32(f"{name}{number}".encode()))
                wanted = case.differentiable()
                drawn = enumerate(case.draw("float64"))
                operands = [Ours.leaf(array, i in wanted) for i, array in drawn]
                Ours.seed()
                try:
                    row.call(package, *operands)
                except ImportError:  # of SciPy, which some special functions need
                    calls.clear()
                for call in calls:
                    order = row.order if _wants(call.result) else 0
                    found.uses[line_of(call.name)].append(Use(f"{name}-{number}", order))
                    found.calls[line_of(call.name)].append(call)
                calls.clear()
        for number, plain in enumerate(CALLS):
            try:
                plain(package)
            except ImportError:
                calls.clear()
            for call in calls:
                found.plain[line_of(call.name)].append(number)
                found.calls[line_of(call.name)].append(call)
            calls.clear()
    found.plain.pop("manual_seed"), found.calls.pop("manual_seed")  # called before the others
    for alias, name in _aliases(found.calls):
        found.calls[alias], found.uses[alias] = found.calls[name], found.uses[name]
    return found


def _aliases(calls: dict[str, list[Call]]) -> list[tuple[str, str]]:
    """Return names nothing calls, each with one that is called and is the same function."""
    found = []
    for space in ("", "Tensor", "nn.functional", "linalg", "special"):
        home = find(ours, space)
        named = {n: getattr(home, n) for n in dir(home) if not n.startswith("_")}
        path = {n: line_of(f"{space}.{n}").lstrip(".") for n in named}
        same = {id(v): path[n] for n, v in named.items() if path[n] in calls}
        for n, value in named.items():
            if callable(value) and path[n] not in calls and id(value) in same:
                found.append((path[n], same[id(value)]))
    return found


def find(package: Any, path: str) -> Any:
    """Return what stands at ``package.path``, or None."""
    for part in filter(None, path.split(".")):
        inner = getattr(package, part, None)
        if inner is None and hasattr(package, "__path__"):
            try:
                inner = importlib.import_module(f"{package.__name__}.{part}")
            except ImportError:
                return None
        package = inner
    return package


def spelling(package: Any, line: str, form: str) -> Any:
    """Return the function that is called by this form of a line's name, or None."""
    if form == "method":
        return None if "." in line else getattr(package.Tensor, line, None)
    if form == "in-place":
        if "." not in line:
            return getattr(package.Tensor, f"{line}_", None)
        return find(package, f"{line}_") if line.startswith("nn.functional.") else None
    if line.startswith("__"):
        return None
    function = find(package, line)
    return function if callable(function) and not isinstance(function, type) else None


# ----- Calling a spelling with the arguments of a recorded call -----------------------------------


def given(package: Any, value: Any) -> Any:
    """Return an argument of a recorded call for one side or the other."""
    if isinstance(value, Array):
        array = np.copy(value.array)
        return result_type.make(array) if package is ours else torch.from_numpy(array)
    if isinstance(value, ours.dtype) and package is not ours:
        return getattr(torch, str(value).partition(".")[2])
    if type(value) in (list, tuple):
        return type(value)(given(package, v) for v in value)
    return value


def call_again(package: Any, line: str, form: str, call: Call) -> tuple[Any, list[Any]]:
    """Return what the call gives in another form, and its arguments, which may have been written."""
    args = [given(package, a) for a in call.args]
    kwargs = {k: given(package, v) for k, v in call.kwargs.items()}
    package.manual_seed(0)
    if form in ("method", "in-place") and "." not in line:
        attribute = getattr(args[0], line if form == "method" else f"{line}_")
        result = attribute(*args[1:], **kwargs) if callable(attribute) else attribute
    else:
        result = spelling(package, line, form)(*args, **kwargs)
    return result, [*args, *kwargs.values()]


def tensors(value: Any) -> list[Any]:
    """Return the tensors in a result, in order."""
    if isinstance(value, tuple | list):
        return [t for v in value for t in tensors(v)]
    return [value] if hasattr(value, "requires_grad_") else []


def sharing(result: Any, arguments: list[Any]) -> list[str]:
    """Say of each tensor in a result whether it is an argument, shares its memory, or neither."""
    found = []
    for t in tensors(result):
        owners = [a for a in tensors(arguments) if a.numel()]
        kinds = ["own"]
        kinds += ["view" for a in owners if t.numel() and memory(t) & memory(a)]
        kinds += ["same" for a in owners if t is a]
        found.append(kinds[-1])
    return found


def memory(t: Any) -> set[int]:
    """Return the address of the memory a tensor is a view of."""
    if not isinstance(t, ours.Tensor):
        return {t.untyped_storage().data_ptr()}
    array = t.array
    while isinstance(array.base, np.ndarray):
        array = array.base
    return {array.__array_interface__["data"][0]}
