"""Whole tests: a function's gradients as a property, and a function beside PyTorch's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_like.autograd.gradcheck import gradcheck, gradgradcheck
from tinygrad_like.backward import grad
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.testing.comparison import array_of, assert_close
from tinygrad_like.testing.strategies import Domain, broadcastable_tensors, hypothesis, tensors

__all__ = ["Comparison", "Entry", "compare_with_torch", "gradient_property"]


@dataclass(frozen=True)
class Entry:
    """One value or gradient, from both sides.

    Attributes:
        name: what it is, such as ``output 0`` or ``gradient of input 1``.
        ours: our array, None if there is none.
        theirs: PyTorch's array.
        error: what is different, None if nothing is.
    """

    name: str
    ours: np.ndarray[Any, Any] | None
    theirs: np.ndarray[Any, Any] | None
    error: str | None


@dataclass(frozen=True)
class Comparison:
    """A function beside PyTorch's version of it: see `compare_with_torch`."""

    entries: list[Entry] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if every value and gradient agrees."""
        return all(entry.error is None for entry in self.entries)

    def __str__(self) -> str:
        width = max((len(entry.name) for entry in self.entries), default=0)
        lines = []
        for entry in self.entries:
            sign = "same     " if entry.error is None else "DIFFERENT"
            lines.append(f"{entry.name:<{width}}  {sign}  {_sketch(entry.ours)}")
            if entry.error is not None:
                lines.append(f"{'':<{width}}  PyTorch    {_sketch(entry.theirs)}")
                lines += [f"{'':<{width}}  {line}" for line in entry.error.splitlines() if line]
        return "\n".join(lines)

    __repr__ = __str__


def _sketch(array: np.ndarray[Any, Any] | None) -> str:
    if array is None:
        return "none"
    shown = np.array2string(array, precision=6, threshold=8, edgeitems=2, separator=", ")
    return f"{array.dtype} {tuple(array.shape)} {' '.join(shown.split())}"


def compare_with_torch(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> Comparison:
    """Return a report of values and gradients of a function beside PyTorch's version of it.

    Args:
        ours: takes our tensors and returns one or several.
        theirs: takes PyTorch's tensors and returns as many.
        inputs: tensors or arrays; floating-point ones are differentiated, others passed on, and what is
            neither is given to both functions as it is.
        rtol: relative tolerance, by default `assert_close`'s.
        atol: absolute tolerance, likewise.

    Raises:
        ImportError: if PyTorch is not installed.
    """
    import torch

    arrays = [array_of(value) for value in inputs]
    weights: dict[int, np.ndarray[Any, Any]] = {}

    def run(module: Any, function: Callable[..., Any]) -> tuple[list[Any], list[Any]]:
        is_torch = module is torch
        given, leaves = [], []
        for value, array in zip(inputs, arrays, strict=True):
            if array is None:
                given.append(value)
                continue
            t = torch.tensor(array) if is_torch else result_type.make(array.copy())
            if array.dtype.kind == "f":
                t.requires_grad_()
                leaves.append(t)
            given.append(t)
        out = function(*given)
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        live = [t for t in outputs if getattr(t, "requires_grad", False)]
        if not live or not leaves:
            return [_detached(t) for t in outputs], [None] * len(leaves)
        starts: list[Any] = []
        for i, t in enumerate(live):
            array = _detached(t)
            if i not in weights:
                rng = np.random.default_rng(i)
                weights[i] = np.asarray(rng.uniform(0.5, 1.5, array.shape)).astype(array.dtype)
            w = np.resize(weights[i], array.shape)  # shapes that differ are told as a difference
            starts.append(torch.tensor(w) if is_torch else result_type.make(w))
        found = (torch.autograd.grad if is_torch else grad)(live, leaves, starts, allow_unused=True)
        return [_detached(t) for t in outputs], [None if g is None else _detached(g) for g in found]

    values, gradients = run(None, ours)
    torch_values, torch_gradients = run(torch, theirs)
    entries = []
    for i in range(max(len(values), len(torch_values))):
        entries.append(_entry(f"output {i}", _nth(values, i), _nth(torch_values, i), rtol, atol))
    for i, (a, e) in enumerate(zip(gradients, torch_gradients, strict=True)):
        entries.append(_entry(f"gradient of input {i}", a, e, rtol, atol))
    return Comparison(entries)


def _nth(values: list[Any], i: int) -> Any:
    return values[i] if i < len(values) else None


def _detached(value: Any) -> np.ndarray[Any, Any]:
    array = array_of(value)
    return np.asarray(value) if array is None else array


def _entry(name: str, ours: Any, theirs: Any, rtol: float | None, atol: float | None) -> Entry:
    try:
        assert_close(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    except AssertionError as error:
        return Entry(name, ours, theirs, str(error))
    return Entry(name, ours, theirs, None)


def gradient_property(
    function: Callable[..., Any] | None = None,
    *,
    inputs: Any = None,
    domain: Domain | None = None,
    broadcast: bool = False,
    order: int = 2,
    theirs: Callable[..., Any] | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    max_examples: int | None = None,
) -> Any:
    """Decorate a function of tensors so that it becomes a property test of its gradients.

    The test takes no arguments, so pytest runs it. It draws tensors, compares the function's gradients
    with finite differences (those of the second order too), and, if a version for PyTorch is given, or
    the function's first argument is named ``torch`` and PyTorch is installed, values and gradients
    with PyTorch's.

    Args:
        function: takes tensors, perhaps after a first argument ``torch``, which is then this package
            or PyTorch, and returns a tensor or several.
        inputs: a strategy for tuples of tensors; by default one float64 tensor for each argument,
            all of one shape.
        domain: where the elements come from, if `inputs` is not given.
        broadcast: shapes that broadcast instead of equal ones, if `inputs` is not given.
        order: how often to differentiate: 1 or 2.
        theirs: the function for PyTorch's tensors.
        rtol: relative tolerance against finite differences.
        atol: absolute tolerance against finite differences.
        max_examples: how many examples to try, by default hypothesis's.

    Raises:
        ImportError: if hypothesis is not installed.

    >>> import tinygrad_like as torch
    >>> @torch.testing.gradient_property(max_examples=5)
    ... def test_own_gelu(x):
    ...     return x * torch.sigmoid(1.702 * x)
    >>> test_own_gelu()
    """
    if function is None:
        return functools.partial(
            gradient_property,
            inputs=inputs,
            domain=domain,
            broadcast=broadcast,
            order=order,
            theirs=theirs,
            rtol=rtol,
            atol=atol,
            max_examples=max_examples,
        )
    lib = hypothesis()
    names = list(inspect.signature(function).parameters)
    takes_module = bool(names) and names[0] == "torch"
    count = len(names) - takes_module
    if takes_module:
        import tinygrad_like

        ours: Callable[..., Any] = functools.partial(function, tinygrad_like)
        torch = _torch_or_none()
        if theirs is None and torch is not None:
            theirs = functools.partial(function, torch)
    else:
        ours = function
    strategy = _tuples(count, domain, broadcast) if inputs is None else inputs

    def check(given: Any) -> None:
        given = (given,) if isinstance(given, Traced) else tuple(given)
        if any(_wants(t) for t in given):
            gradcheck(ours, given, rtol=rtol, atol=atol)
            if order > 1:
                gradgradcheck(ours, given, rtol=10 * rtol, atol=10 * atol)
        if theirs is not None:
            report = compare_with_torch(ours, theirs, given)
            assert report.ok, f"not what PyTorch gives:\n{report}"

    name = getattr(function, "__name__", "")
    check.__name__ = check.__qualname__ = name if name.isidentifier() else "gradient_property"
    check.__doc__ = function.__doc__
    check.__module__ = function.__module__
    wrapped = lib.given(strategy)(check)
    settings = {"deadline": None} | ({"max_examples": max_examples} if max_examples else {})
    return lib.settings(**settings)(wrapped)


def _wants(value: Any) -> bool:
    return isinstance(value, Traced) and value.node is not None


def _torch_or_none() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def _tuples(count: int, domain: Domain | None, broadcast: bool) -> Any:
    if broadcast:
        return broadcastable_tensors(count, domain=domain)
    lib = hypothesis()
    sizes = lib.extra.numpy.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3)
    return sizes.flatmap(
        lambda shape: lib.strategies.tuples(*[tensors(shape, domain=domain)] * count)
    )
