"""Index expressions of every kind: what is got, set and differentiated is PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_like as ours
from tests.both import compare, outcome

torch = pytest.importorskip("torch")

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool"]


class T:
    """Stands in an index or for a value for a tensor, until it is known whose."""

    def __init__(self, data: Any, dtype: str) -> None:
        self.array = np.array(data, dtype)

    def __repr__(self) -> str:
        return f"T({self.array.tolist()}, {str(self.array.dtype)!r})"


def made(module: Any, item: Any) -> Any:
    """Return an index with tensors of a module in it."""
    if isinstance(item, tuple):
        return tuple(made(module, i) for i in item)
    if isinstance(item, list):
        return [made(module, i) for i in item]
    if isinstance(item, slice):
        return slice(*(made(module, part) for part in (item.start, item.stop, item.step)))
    return module.tensor(item.array) if isinstance(item, T) else item


def nested(values: Any, shape: tuple[int, ...]) -> Any:
    return np.array(values).reshape(shape).tolist()


@st.composite
def items(draw: Any, size: int, rest: tuple[int, ...]) -> tuple[Any, int]:
    """One part of an index for a dimension of the given size, and how many it takes."""
    wrong = 0 if draw(st.integers(0, 9)) else 1  # one in ten may be out of range
    low, high = -size - wrong, max(size - 1, 0) + wrong
    number = st.integers(min(low, 0), high)
    kind = draw(
        st.sampled_from(
            [
                "int",
                "slice",
                "slice",
                "none",
                "0-d",
                "ints",
                "ints",
                "list",
                "mask",
                "bool",
                "array",
            ]
        )
    )
    if kind == "int":
        value = draw(number)
        return draw(st.sampled_from([value, np.int64(value)])), 1
    if kind == "0-d":
        return T(draw(number), draw(st.sampled_from(["int64", "int32", "int16", "int8"]))), 1
    if kind == "slice":
        bound = st.none() | st.integers(-size - 2, size + 2)
        start, stop = draw(bound), draw(bound)
        if start is not None and draw(st.integers(0, 5)) == 0:
            start = T(start, "int64")
        steps = st.sampled_from(
            [None, None, 1, 2, 3] if isinstance(start, T) else [None, 1, 2, 3, -1, 0]
        )
        return slice(start, stop, draw(steps)), 1
    if kind == "none":
        return None, 0
    if kind in ("ints", "list", "array"):
        shape = draw(st.sampled_from([(1,), (2,), (3,), (2, 1), (2, 3), (0,), (1, 1)]))
        count = int(np.prod(shape))
        values = draw(st.lists(number, min_size=count, max_size=count))
        if kind == "list":
            return nested(values, shape), 1
        if kind == "array":
            return np.array(values, np.int64).reshape(shape), 1
        return T(nested(values, shape), draw(st.sampled_from(["int64", "int64", "int32"]))), 1
    if kind == "bool":
        value = draw(st.booleans())
        return draw(st.sampled_from([value, T(value, "bool")])), 0
    ndim = draw(st.integers(1, 1 + len(rest)))
    shape = (size, *rest)[:ndim]
    if draw(st.integers(0, 9)) == 0:
        shape = (shape[0] + 1, *shape[1:])
    count = int(np.prod(shape))
    values = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mask = np.array(values, bool).reshape(shape)
    form = draw(st.sampled_from(["tensor", "tensor", "array", "list", "bytes"]))
    if form == "list" and ndim == 1 and mask.size:
        return mask.tolist(), 1
    if form == "array" and ndim == 1:  # PyTorch takes one of two for one dimension next to `...`
        return mask, ndim
    return T(mask, "uint8" if form == "bytes" else "bool"), ndim


@st.composite
def expressions(draw: Any) -> tuple[tuple[int, ...], Any]:
    """A shape and an index into it."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 3, 2, 0]), max_size=4)))
    parts: list[Any] = []
    dim = 0
    for _ in range(draw(st.integers(0, len(shape) + 1))):
        size = shape[dim] if dim < len(shape) else 1
        part, taken = draw(items(size, shape[dim + 1 :]))
        parts.append(part)
        dim += taken
    if draw(st.integers(0, 2)) == 0:
        parts.insert(draw(st.integers(0, len(parts))), Ellipsis)
    if len(parts) == 1 and draw(st.booleans()):
        return shape, parts[0]
    return shape, tuple(parts)


def values(shape: Any, dtype: str = "float64") -> np.ndarray:
    """Return different numbers that every dtype holds."""
    count = int(np.prod(shape))
    found = np.arange(1, count + 1) % 100
    return (found % 2 if dtype == "bool" else found).reshape(tuple(shape)).astype(dtype)


def base_of(module: Any, shape: tuple[int, ...], dtype: str, turned: bool) -> Any:
    """Return a tensor of a shape, if wanted one whose memory is in another order."""
    if not turned:
        return module.tensor(values(shape, dtype))
    x = module.tensor(values(shape[::-1], dtype))
    return x.permute(tuple(range(len(shape)))[::-1])


def picked(shape: tuple[int, ...], index: Any) -> Any:
    """Return the places that an index picks, or None where it is an error."""
    places = torch.arange(int(np.prod(shape))).reshape(shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return places[made(torch, index)]
    except Exception:
        return None


def agree(call: Any, places: Any) -> None:
    """Compare; but PyTorch lets arrays be out of range where there is nothing to pick."""
    if places is not None and not places.numel():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(outcome(call, ours)[1], IndexError):
                return
    compare(call, any_error=True)  # which of two mistakes is told differs


def has_bytes(index: Any) -> bool:
    """Return True for a mask of bytes, which PyTorch reads, but writes at not always."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, T) and part.array.dtype == np.uint8 for part in parts)


@given(expressions(), st.sampled_from(DTYPES), st.booleans())
@example(((2,), [[-1]]), "float64", False)
@example(((3, 2), [[0, 2], [1, 0]]), "float64", True)
@example(((3,), T(1, "int8")), "float32", False)
def test_get(case: Any, dtype: str, turned: bool) -> None:
    shape, index = case

    def call(module: Any) -> Any:
        x = base_of(module, shape, dtype, turned)
        out = x[made(module, index)]
        kept = out.clone()
        x.zero_()  # shows through a view
        return kept, out, out._base is not None if dtype.startswith("float") else None

    agree(call, picked(shape, index))


@given(expressions())
def test_gradient_of_get(case: Any) -> None:
    shape, index = case

    def call(module: Any) -> Any:
        x = module.tensor(values(shape)).requires_grad_()
        out = (x * x)[made(module, index)]
        start = module.tensor(values(out.shape))
        (g,) = module.autograd.grad(out, x, start, create_graph=True)
        (second,) = module.autograd.grad((g * g).sum(), x)
        return out, g, second

    agree(call, picked(shape, index))


@st.composite
def settings_of(draw: Any) -> Any:
    """A shape, an index, and a value that mostly broadcasts to what is indexed."""
    shape, index = draw(expressions())
    places = picked(shape, index)
    region = () if places is None else tuple(places.shape)
    kind = draw(st.sampled_from(["number", "same", "same", "fewer", "ones", "wrong", "leading"]))
    if kind == "number":
        return shape, index, draw(st.sampled_from([True, 2, -1, 2.5]))
    wanted = list(region)
    if kind == "fewer":
        wanted = wanted[draw(st.integers(0, len(wanted))) :]
    if kind == "ones":
        wanted = [draw(st.sampled_from([1, n])) for n in wanted]
    if kind == "leading":
        wanted = [1, *wanted]
    if kind == "wrong":
        wanted = [*wanted, 2]
    return shape, index, tuple(wanted)


def is_clear(places: Any) -> bool:
    """Return True unless elements are picked twice: which of two values stays is not defined."""
    return places is None or len(places.unique()) == places.numel()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("x[3]", IndexError),
        ("x[[3]]", IndexError),
        ("x[:, :, 0]", IndexError),
        ("x[::-1]", ValueError),
        ("x[1.0]", IndexError),
        ("x['a']", TypeError),
        ("x[i.float()]", IndexError),
        ("x[i == 0]", IndexError),
        ("x[i, i, i]", IndexError),
        ("x[(0, 1, 2), i]", IndexError),
        ("x[i.short()]", IndexError),
    ],
)
def test_mistakes_raise_what_pytorch_raises(line: str, error: type) -> None:
    for module in (torch, ours):
        names = {"x": module.ones(3, 3), "i": module.tensor([0, 1])}
        with pytest.raises(error):
            eval(line, names)


@given(settings_of(), st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.booleans())
@example(((2, 2), True, (1, 2)), "float64", "int64", False)
@example(((2, 2), False, (7,)), "float64", "int64", False)
@example(((3,), T([True, False, True], "bool"), ()), "float16", "float64", False)
@example(((3,), T([True, False, True], "bool"), (1,)), "int64", "float32", False)
def test_set(case: Any, dtype: str, other: str, turned: bool) -> None:
    shape, index, wanted = case
    places = picked(shape, index)
    if not is_clear(places) or has_bytes(index):
        return

    def call(module: Any) -> Any:
        x = base_of(module, shape, dtype, turned)
        before = x.clone()
        value = wanted if not isinstance(wanted, tuple) else module.tensor(values(wanted, other))
        try:
            x[made(module, index)] = value
        except Exception:
            assert bool((x == before).all()), "a refused write changed the tensor"
            raise
        return x

    agree(call, places)


@given(settings_of(), st.booleans(), st.booleans())
def test_gradient_of_set(case: Any, recorded: bool, through_view: bool) -> None:
    shape, index, wanted = case
    places = picked(shape, index)
    if not is_clear(places) or has_bytes(index) or not isinstance(wanted, tuple):
        return

    def call(module: Any) -> Any:
        x = module.tensor(values(shape)).requires_grad_()
        value = module.tensor(values(wanted)).requires_grad_(recorded)
        y = x * x
        target = y[...] if through_view else y
        target[made(module, index)] = value * value
        start = module.tensor(values(shape))
        found = module.autograd.grad(
            (y * y * start).sum(), [x, value] if recorded else [x], allow_unused=True
        )
        return y, *(g if g is not None else "unused" for g in found)

    agree(call, places)


@given(expressions(), st.sampled_from(["float64", "int64"]))
def test_write_in_place_through_an_index(case: Any, dtype: str) -> None:
    shape, index = case

    def call(module: Any) -> Any:
        x = module.tensor(values(shape, dtype))
        x[made(module, index)] += 2
        return x

    places = picked(shape, index)
    if is_clear(places) and not has_bytes(index):
        agree(call, places)
