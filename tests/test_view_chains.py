"""Chains of views: values, shared memory, strides and gradients are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.both import compare

torch = pytest.importorskip("torch")

Step = tuple[str, tuple[Any, ...]]  # a method and its arguments; one of several parts is number 0


def values(shape: Any) -> np.ndarray:
    return np.arange(1.0, int(np.prod(shape)) + 1).reshape(tuple(shape))


def factored(draw: Any, count: int) -> tuple[int, ...]:
    """Return sizes whose product is `count`."""
    sizes = []
    for _ in range(draw(st.integers(0, 3))):
        divisors = [n for n in range(1, count + 1) if count % n == 0] or [0]
        sizes.append(draw(st.sampled_from(divisors)))
        count //= sizes[-1] or 1
    return (*sizes, count)


@st.composite
def steps(draw: Any, shape: tuple[int, ...]) -> Step:
    """One step from a tensor of a shape, mostly one that can be taken."""
    ndim = len(shape)
    dims = st.integers(-max(ndim, 1), max(ndim, 1) - 1)
    dim = draw(dims)
    size = shape[dim] if ndim else 1
    name = draw(st.sampled_from(sorted(_STEPS)))
    return name, _STEPS[name](draw, shape, ndim, dim, size)


def _sizes(draw: Any, shape: tuple[int, ...], *_: Any) -> tuple[Any, ...]:
    sizes = list(factored(draw, int(np.prod(shape))))
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    if draw(st.integers(0, 9)) == 0:
        sizes.append(2)  # too many elements
    return tuple(sizes)


def _order(draw: Any, shape: tuple[int, ...], ndim: int, *_: Any) -> tuple[Any, ...]:
    return (tuple(draw(st.permutations(range(ndim)))),)


def _expanded(draw: Any, shape: tuple[int, ...], *_: Any) -> tuple[Any, ...]:
    sizes = [draw(st.sampled_from([3, 2, -1])) if n == 1 else n for n in shape]
    return (*draw(st.lists(st.sampled_from([1, 2]), max_size=1)), *sizes)


def _narrowed(draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int) -> tuple[Any, ...]:
    start = draw(st.integers(0, size))
    return dim, start, draw(st.integers(0, size - start))


def _windows(draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int) -> tuple[Any, ...]:
    return dim, draw(st.integers(1, max(size, 1))), draw(st.integers(1, 2))


def _two(draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int) -> tuple[Any, ...]:
    return dim, draw(st.integers(-max(ndim, 1), max(ndim, 1) - 1))


def _diagonal(draw: Any, shape: tuple[int, ...], ndim: int, *_: Any) -> tuple[Any, ...]:
    first, second = draw(st.integers(0, ndim)), draw(st.integers(0, ndim))
    return draw(st.integers(-2, 2)), first, second


def _parts(draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int) -> tuple[Any, ...]:
    return draw(st.integers(1, 3)), dim


def _cut(draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int) -> tuple[Any, ...]:
    first = draw(st.integers(0, size))
    return [first, size - first], dim


def _unflattened(
    draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int
) -> tuple[Any, ...]:
    return dim, factored(draw, size)


def _slice(draw: Any, shape: tuple[int, ...], ndim: int, dim: int, size: int) -> tuple[Any, ...]:
    bound = st.none() | st.integers(-size, size)
    index = [slice(None)] * ndim
    if ndim:
        index[dim] = slice(draw(bound), draw(bound), draw(st.integers(1, 2)))
    return (tuple(index),)


_STEPS: dict[str, Any] = {
    "reshape": _sizes,
    "view": _sizes,
    "permute": _order,
    "transpose": _two,
    "expand": _expanded,
    "squeeze": lambda draw, shape, ndim, dim, size: draw(st.sampled_from([(), (dim,)])),
    "unsqueeze": lambda draw, shape, ndim, dim, size: (draw(st.integers(-ndim - 1, ndim)),),
    "flatten": _two,
    "unflatten": _unflattened,
    "narrow": _narrowed,
    "select": lambda draw, shape, ndim, dim, size: (dim, draw(st.integers(-size, size))),
    "unfold": _windows,
    "diagonal": _diagonal,
    "flip": lambda draw, shape, ndim, dim, size: (dim,),
    "chunk": _parts,
    "split": _parts,
    "split_with_sizes": _cut,
    "tensor_split": _parts,
    "unbind": lambda draw, shape, ndim, dim, size: (dim,),
    "movedim": _two,
    "__getitem__": _slice,
    "t": lambda *_: (),
    "contiguous": lambda *_: (),
    "detach": lambda *_: (),
    "view_as": lambda *_: (),
    "ravel": lambda *_: (),
}


def has_batch_innermost(x: Any) -> bool:
    order = (*range(1, x.ndim), 0)
    return x.ndim > 2 and not x.is_contiguous() and x.permute(order).is_contiguous()


def taken(x: Any, step: Step) -> Any:
    """Return the tensor one step further."""
    name, arguments = step
    if name == "view_as":
        arguments = (x.clone().reshape(-1),)
    if name.startswith("view") and has_batch_innermost(x):  # `tinygrad_like/layout.py` grants views
        name = name.replace("view", "reshape")
    out = getattr(x, name)(*arguments)
    return out[len(out) - 1] if isinstance(out, tuple | list) else out


@st.composite
def chains(draw: Any) -> tuple[tuple[int, ...], list[Step]]:
    """A shape and steps from it, the last of which may fail."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 2, 3, 6, 0]), max_size=4)))
    x = torch.tensor(values(shape))
    chain = []
    for _ in range(draw(st.integers(1, 6))):
        step = draw(steps(tuple(x.shape)))
        chain.append(step)
        try:
            x = taken(x, step)
        except Exception:
            break
        if x.numel() > 500:
            break
    return shape, chain


def base_of(module: Any, shape: tuple[int, ...], turned: bool, dtype: str = "float64") -> Any:
    """Return a tensor of a shape, if wanted one whose memory is in another order."""
    if not turned:
        return module.tensor(values(shape).astype(dtype))
    x = module.tensor(values(shape[::-1]).astype(dtype))
    return x.permute(tuple(range(len(shape)))[::-1]).detach()


def geometry(x: Any) -> tuple[Any, ...]:
    """Return where the elements lie, as far as there are elements with neighbours."""
    if not x.numel():
        return (tuple(x.shape),)
    steps = tuple(step for step, size in zip(x.stride(), x.shape, strict=True) if size > 1)
    return tuple(x.shape), steps, x.storage_offset(), x.is_contiguous()


def overlaps(x: Any) -> bool:
    """Return True if two elements lie in one place."""
    places = np.zeros(1, np.int64)
    for size, step in zip(x.shape, x.stride(), strict=True):
        places = np.add.outer(places, step * np.arange(size))
    return len(np.unique(places)) < x.numel()


def followed(x: Any, chain: list[Step]) -> Any:
    for step in chain:
        x = taken(x, step)
    return x


def is_writable(shape: tuple[int, ...], chain: list[Step]) -> bool:
    """Return True unless a chain leads through repeated elements, which this package keeps from writes.

    PyTorch looks for some of these cases, and for the last step alone.
    """
    x = torch.tensor(values(shape))
    for step in chain:
        try:
            x = taken(x, step)
        except Exception:
            return True
        if overlaps(x):
            return False
    return True


@example(((), [("expand", ())]), "float64", False)
@example(((), [("unflatten", (0, (1,)))]), "float64", False)
@example(((1,), [("expand", (2,)), ("ravel", ())]), "float32", False)
@example(((2, 3), [("unsqueeze", (1,)), ("transpose", (0, 2))]), "int64", False)
@given(chains(), st.sampled_from(["float64", "float32", "int64", "bool"]), st.booleans())
def test_values_and_geometry(case: Any, dtype: str, turned: bool) -> None:
    shape, chain = case

    def call(module: Any) -> Any:
        x = base_of(module, shape, turned, dtype)
        found = []
        for step in chain:
            if step[0] == "flip" and 0 in x.stride():  # how a copy of repeated ones lies differs
                x = x.contiguous()
            x = taken(x, step)
            found.append((x, *geometry(x)))
        return found

    compare(call)


@example(((3,), [("unfold", (0, 3, 2))]), False)
@example(((2, 3, 4), [("permute", ((1, 0, 2),)), ("flip", (0,)), ("unfold", (1, 2, 1))]), False)
@given(chains(), st.booleans())
def test_memory_is_shared_both_ways(case: Any, turned: bool) -> None:
    shape, chain = case
    writable = is_writable(shape, chain)

    def call(module: Any) -> Any:
        base = base_of(module, shape, turned)
        x = followed(base, chain)
        before = x.clone()
        base.add_(100)  # seen through the view, or not
        middle = x.clone()
        if x.numel() and writable:
            x.mul_(-1)
        return before, middle, base

    compare(call)


@given(chains(), st.booleans())
def test_gradients(case: Any, turned: bool) -> None:
    shape, chain = case

    def call(module: Any) -> Any:
        x = base_of(module, shape, turned).requires_grad_()
        y = x * x
        out = followed(y, chain)
        weights = module.tensor(values(out.shape))
        (out * out * weights).sum().backward()
        return out, x.grad

    if any(name == "detach" for name, _ in chain):
        return
    compare(call)


@example(((), [("view_as", ())]), "mul_", False, False)
@example(((2, 3), [("t", ()), ("view", (6,))]), "mul_", False, True)
@example(((2, 3), [("expand", (1, 2, 3))]), "copy_", True, True)
@given(chains(), st.sampled_from(["mul_", "copy_", "zero_"]), st.booleans(), st.booleans())
def test_writing_through_a_view_changes_the_gradient_of_its_base(
    case: Any, write: str, read_view: bool, turned: bool
) -> None:
    shape, chain = case

    def call(module: Any) -> Any:
        x = base_of(module, shape, turned).requires_grad_()
        y = x * x
        out = followed(y, chain)
        if not out.numel():
            return out
        value = module.tensor(values(out.shape)).requires_grad_()
        if write == "mul_":
            out.mul_(value)
        elif write == "copy_":
            out.copy_(value)
        else:
            out.zero_()
        result = out if read_view else y
        weights = module.tensor(values(result.shape))
        found = module.autograd.grad((result * weights).sum(), [x, value], allow_unused=True)
        zeros = [module.zeros_like(t) for t in (x, value)]
        return y, out, [z if g is None else g for g, z in zip(found, zeros, strict=True)]

    if any(name == "detach" for name, _ in chain) or not is_writable(shape, chain):
        return
    compare(call)


def test_a_write_at_strides_finds_its_way_back_in_another_order_of_memory() -> None:
    def call(module: Any) -> Any:
        x = base_of(module, (3, 2), True).requires_grad_()
        y = x * x
        y.as_strided((3,), (2,), 1).mul_(2)
        return y, module.autograd.grad((y * module.tensor(values((3, 2)))).sum(), [x])

    compare(call)
