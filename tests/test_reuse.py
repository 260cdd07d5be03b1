"""Gradients that are added up in place, where nobody else could see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like import reuse
from tinygrad_like.testing import assert_close

SIZE = reuse.LEAST


def leaf(size: int = SIZE) -> Any:
    return ours.linspace(0.5, 1.5, size, dtype=ours.float64).requires_grad_()


@pytest.fixture
def in_place(monkeypatch: Any) -> list[int]:
    """Note to which arrays something is added in place."""
    places: list[int] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def add(self, former: Any, g: Any, out: Any) -> None:
            assert out is former
            places.append(id(out))
            np.add(former, g, out=out)

    monkeypatch.setattr(reuse, "np", Noting())
    return places


def three_uses(x: Any) -> Any:
    return (x.exp() + x.sin() + x.tanh()).sum()


def test_gradients_are_added_up_in_place(in_place: list[int]) -> None:
    x = leaf()
    three_uses(x).backward()
    assert len(in_place) == 2
    assert in_place == [id(x.grad.array)] * 2
    v = x.detach()
    assert_close(x.grad, v.exp() + v.cos() + 1 - v.tanh() ** 2)


@pytest.mark.parametrize("size", [1, SIZE - 1, SIZE, 3 * SIZE])
def test_the_same_as_before(size: int, monkeypatch: Any) -> None:
    x = leaf(size)
    three_uses(x * 2).backward()
    monkeypatch.setattr(reuse, "LEAST", 10**9)
    y = leaf(size)
    three_uses(y * 2).backward()
    assert_close(x.grad, y.grad, rtol=0, atol=0)


def held_by_a_hook(x: Any, kept: list[Any]) -> Any:
    y = x.exp()
    y.register_hook(lambda g: kept.append((g, g.clone())))
    return (y + x.sin()).sum(), y


def held_by_its_view(x: Any, kept: list[Any]) -> Any:
    y = x.exp()
    y.register_hook(lambda g: kept.append((g[3:], g[3:].clone())))
    return (y + y * 3).sum(), y


def held_as_an_array(x: Any, kept: list[Any]) -> Any:
    y = x.exp()
    z = y * 3

    def keep(g: Any) -> None:
        array = g.numpy()
        kept.append((ours.from_numpy(array), g.clone()))

    y.register_hook(keep)
    return (z + y).sum(), y


def kept_as_grad(x: Any, kept: list[Any]) -> Any:
    y = x.exp()
    z = y * 1
    z.retain_grad()
    kept.append((z, None))
    return (z * 2 + y.sin()).sum(), y


@pytest.mark.parametrize(
    "build", [held_by_a_hook, held_by_its_view, held_as_an_array, kept_as_grad]
)
def test_what_somebody_holds_stays_as_it_is(build: Callable[..., Any]) -> None:
    kept: list[Any] = []
    x = leaf()
    out, _ = build(x, kept)
    out.backward()
    assert kept
    for held, copy in kept:
        if copy is None:
            held, copy = held.grad, ours.full((SIZE,), 2.0, dtype=ours.float64)
        assert_close(held, copy, rtol=0, atol=0)


def test_a_gradient_that_goes_two_ways_stays_as_it_is(in_place: list[int]) -> None:
    """A sum passes the same array to both of its operands."""
    x, y = leaf(), leaf()
    a, b = x * 1, y * 1
    ((a + b) * 2 + a.exp()).sum().backward()
    assert_close(y.grad, ours.full((SIZE,), 2.0, dtype=ours.float64))
    assert_close(x.grad, 2 + x.detach().exp())


def test_the_gradient_one_starts_from_stays_as_it_is() -> None:
    x = leaf()
    y = x * 1
    start = ours.ones(SIZE, dtype=ours.float64)
    ours.autograd.backward([y, y + x.exp()], [start, start])
    assert_close(start, ours.ones(SIZE, dtype=ours.float64))
    assert_close(x.grad, 2 + x.detach().exp())


def test_wanted_gradients_on_the_way_stay_as_they_are() -> None:
    x = leaf()
    y = x * 1
    z = y.exp()
    found = ours.autograd.grad((z + y.sin() + y).sum(), (z, y, x))
    v = x.detach()
    assert_close(found[0], ours.ones(SIZE, dtype=ours.float64))
    for g in found[1:]:
        assert_close(g, v.exp() + v.cos() + 1)


def test_recorded_gradients_are_not_touched(in_place: list[int]) -> None:
    x = leaf()
    (first,) = ours.autograd.grad(three_uses(x), x, create_graph=True)
    assert not in_place
    (second,) = ours.autograd.grad(first.sum(), x)
    v = x.detach()
    assert_close(second, v.exp() - v.sin() - 2 * v.tanh() * (1 - v.tanh() ** 2))


def test_users_own_functions(in_place: list[int]) -> None:
    class Twice(ours.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            kept.append(g * 2)
            return kept[-1]

    kept: list[Any] = []
    x = leaf()
    (Twice.apply(x) + Twice.apply(x)).sum().backward()
    assert not in_place
    assert [k.tolist() == [2.0] * SIZE for k in kept] == [True, True]
    assert_close(x.grad, ours.full((SIZE,), 4.0, dtype=ours.float64))


@pytest.mark.parametrize("kind", ["view", "read only", "dtype", "held"])
def test_arrays_that_must_not_be_written(kind: str) -> None:
    whole = np.ones(2 * SIZE)
    former: Any = {
        "view": whole[:SIZE],
        "read only": np.ones(SIZE),
        "dtype": np.ones(SIZE, np.float32),
        "held": np.ones(SIZE),
    }[kind]
    if kind == "read only":
        former.flags.writeable = False
    grads = {"a": former}
    if kind != "held":
        del former
    before = id(grads["a"])
    reuse.add_up(grads, "a", np.ones(SIZE))
    assert id(grads["a"]) != before
    assert grads["a"].tolist() == [2.0] * SIZE
    assert whole.tolist() == [1.0] * (2 * SIZE)
    if kind == "held":
        assert former.tolist() == [1.0] * SIZE


def test_an_array_of_the_walks_own_is_written() -> None:
    grads = {"a": np.ones(SIZE)}
    before = id(grads["a"])
    reuse.add_up(grads, "a", np.ones(SIZE))
    assert id(grads["a"]) == before
    assert grads["a"].tolist() == [2.0] * SIZE
