"""How special functions are declared: SciPy's name, the gradient rules, PyTorch's label."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.op import op
from tinygrad_like.ops.comparison import tensors_only, unsupported


def scipy_function(name: str) -> Any:
    """Return the function ``scipy.special.name``.

    Raises:
        ImportError: if SciPy is not installed.
    """
    try:
        module = importlib.import_module("scipy.special")
    except ImportError as error:
        raise ImportError(
            "this function needs SciPy: pip install 'tinygrad-like[special]'"
        ) from error
    return getattr(module, name)


def one_number(
    name: str,
    compute: str | Callable[[Any], Any],
    doc: str,
    x: Callable[..., Any] | None = None,
    *,
    label: str | None = None,
    half: bool = False,
) -> Any:
    """Declare a function of one number.

    Args:
        name: the public name.
        compute: the name of SciPy's function, or a function of an array.
        doc: the docstring.
        x: the gradient rule; None for functions that PyTorch does not differentiate.
        label: the name of the node where it differs from ``SpecialName``.
        half: whether PyTorch's takes float16.
    """

    def function(x: Array) -> Array:
        if x.dtype == np.float16 and not half:
            raise unsupported(f"{name}_cpu", x.dtype)
        f = scipy_function(compute) if isinstance(compute, str) else compute
        return f(x).astype(x.dtype, copy=False)

    function.__doc__ = doc
    label = label or "Special" + name.title().replace("_", "")
    rules: dict[str, Any] = {} if x is None else {"x": x}
    return op(dtype="float", name=name, label=label, **rules)(function)


def two_numbers(
    name: str,
    compute: str | Callable[[Any, Any], Any],
    doc: str,
    x: Callable[..., Any] | None = None,
    y: Callable[..., Any] | None = None,
    *,
    label: str | None = None,
    dtype: str = "float",
    half: bool = False,
) -> Any:
    """Declare a function of two numbers, broadcast; arguments as in `one_number`.

    One operand may be a Python number where `dtype` is ``"float"``; with ``"promote"`` both are
    tensors of floating-point numbers.
    """

    def function(x: Array, y: Array) -> Array:
        result = np.result_type(x, y)
        if result.kind != "f" or (result == np.float16 and not half):
            raise unsupported(f"{name}_cpu", result)
        f = scipy_function(compute) if isinstance(compute, str) else compute
        return f(x, y).astype(result, copy=False)

    function.__doc__ = doc
    label = label or "Special" + name.title().replace("_", "")
    rules: dict[str, Any] = {n: rule for n, rule in (("x", x), ("y", y)) if rule is not None}
    made = op(broadcasts=True, dtype=dtype, name=name, label=label, **rules)(function)
    return tensors_only(made) if dtype == "promote" else made


def refuse(name: str) -> Callable[..., Any]:
    """Return the gradient rule of an argument that PyTorch has no derivative for."""

    def rule(g: Any) -> Any:
        raise NotImplementedError(
            f"the derivative for {name!r} is not implemented; detach() that argument"
        )

    return rule
