"""Runs the same lines with this package and with PyTorch, and compares what comes of it."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours


def outcome(call: Callable[[Any], Any], module: Any) -> tuple[str, Any]:
    """Return what a call gives, flattened to names, arrays and numbers, or the error it raises."""
    try:
        return "value", flat(call(module))
    except Exception as error:  # the kind of error is what is compared
        return "error", error


def flat(value: Any) -> list[Any]:
    """Return a result as a flat list in which tensors are dtype name, requires_grad and array."""
    if isinstance(value, tuple | list) and not hasattr(value, "numel"):
        named = "return_types" in type(value).__module__
        head = [type(value).__name__] if named else []
        return head + [part for v in value for part in flat(v)]
    if hasattr(value, "detach"):
        array = value.detach().numpy()
        return [array.dtype.name, value.requires_grad, array]
    return [str(value) if type(value).__module__.startswith(("torch", "tinygrad")) else value]


def compare(call: Callable[[Any], Any], rtol: float = 1e-5, any_error: bool = False) -> None:
    """Assert that both give the same, or both raise the same kind of error (or any, if allowed)."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind, expected = outcome(call, torch)
        got, actual = outcome(call, ours)
    if kind == "error":
        assert got == "error", f"{actual} where PyTorch raises {expected!r}"
        known = type(expected) in vars(builtins).values() and not any_error
        wanted = type(expected) if known else Exception
        assert isinstance(actual, wanted), f"{actual!r} where PyTorch raises {expected!r}"
        assert type(actual).__module__ == "builtins", f"{actual!r} is no error of Python's own"
        assert len(str(actual)) > 10
        return
    assert got == "value", f"{actual!r} where PyTorch gives {expected}"
    assert len(actual) == len(expected), f"{actual} where PyTorch gives {expected}"
    for a, e in zip(actual, expected, strict=True):
        if not isinstance(e, np.ndarray):
            assert a == e, f"{actual} where PyTorch gives {expected}"
            continue
        assert a.shape == e.shape, f"{actual} where PyTorch gives {expected}"
        if not np.array_equal(a, e):  # far quicker than words about what is equal
            near = (
                (max(rtol, 2 * float(np.finfo(e.dtype).eps)), 1e-6)
                if e.dtype.kind == "f"
                else (0, 0)
            )
            np.testing.assert_allclose(a, e, *near, err_msg=f"{actual}, not {expected}")
