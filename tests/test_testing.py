"""`tinygrad_like.testing`: users test their gradients with it, and so do we."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_like as ours
from tinygrad_like.testing import (
    Domain,
    assert_close,
    broadcastable_tensors,
    compare_with_torch,
    einsum_equations,
    gradient_property,
    index_expressions,
    tensors,
)

# ----- assert_close -------------------------------------------------------------------------------


def pairs(torch: Any) -> list[tuple[Any, Any, dict[str, Any]]]:
    t = torch.tensor
    return [
        (t([1.0, 2.0, 3.0]), t([1.0, 2.5, 3.0]), {}),
        (t([1.0, 2.0]), t([1.0, 2.0 + 1e-6]), {}),
        (t([1.0, 2.0]), t([1.0]), {}),
        (t([1.0]), t([1.0], dtype=torch.float64), {}),
        (t([1.0]), t([1.0], dtype=torch.float64), {"check_dtype": False}),
        (t([1, 2]), t([1, 3]), {}),
        (t([1, 2]), t([1, 3]), {"rtol": 0.5, "atol": 0.0}),
        (t([True]), t([False]), {}),
        (t(1.0), t(2.0), {}),
        (t(float("nan")), t(float("nan")), {}),
        (t(float("nan")), t(float("nan")), {"equal_nan": True}),
        (t([float("inf")]), t([float("inf")]), {}),
        (t([float("inf")]), t([-float("inf")]), {}),
        (t([float("inf")]), t([1.0]), {}),
        (t([1.0]), t([float("inf")]), {}),
        (t([]), t([]), {}),
        (t([1.0]), t([2.0]), {"rtol": 1.0}),
        (t([1.0]), t([2.0]), {"msg": "words"}),
        (t([1.0]), t([2.0]), {"msg": lambda m: "before " + m}),
        (t([1.0]), 1.0, {}),
        (1.0, 1.5, {}),
        (1, 1.0, {}),
        (1, 1.0, {"check_dtype": False}),
        (True, False, {}),
        ("a", "a", {}),
        (None, None, {}),
        ([1.0, 2.0], [1.0], {}),
        ([t([1.0]), t([1.0])], (t([1.0]), t([2.0])), {}),
        ({"a": t([1.0])}, {"a": t([3.0])}, {}),
        ({"a": 1}, {"b": 1}, {}),
        ({"a": [1, 2]}, {"a": [1, 2]}, {}),
        (t([[1.0, 2.0]]).T, t([[1.0], [2.0]]), {"check_stride": True}),
    ]


def verdict(torch: Any, a: Any, e: Any, options: dict[str, Any]) -> tuple[Any, str]:
    try:
        torch.testing.assert_close(a, e, **options)
    except Exception as error:
        return type(error), str(error)
    return None, ""


@pytest.mark.parametrize("number", range(len(pairs(ours))))
def test_assert_close_judges_as_torch_does(number: int) -> None:
    torch = pytest.importorskip("torch")
    kind, message = verdict(ours, *pairs(ours)[number])
    expected_kind, expected = verdict(torch, *pairs(torch)[number])
    assert kind is expected_kind
    first = expected.splitlines()[:1]
    if kind is not TypeError:  # which names the class of tensors
        assert message.splitlines()[:1] == first
    for part in ("Mismatched elements", "The failure occurred"):
        assert [m for m in message.splitlines() if part in m] == [
            m for m in expected.splitlines() if part in m
        ]


def test_assert_close_says_where_and_how_much() -> None:
    a, e = np.zeros((3, 4)), np.zeros((3, 4))
    a[1, 2], a[0, 0], e[0, 0] = 0.25, 100.001, 100.0
    with pytest.raises(AssertionError) as caught:
        assert_close({"x": [a]}, {"x": [e]})
    message = str(caught.value)
    assert "Mismatched elements: 2 / 12 (16.7%)" in message
    assert "Greatest absolute difference: 0.25 at index (1, 2) (up to 1e-07 allowed)" in message
    assert "Greatest relative difference: inf at index (1, 2)" in message
    assert "There got 0.25, expected 0.0" in message
    assert message.endswith("The failure occurred for item ['x'][0]")


def test_assert_close_takes_what_there_is() -> None:
    torch = pytest.importorskip("torch")
    for a in (ours.tensor([1.0, 2.0]), np.array([1, 2], "float32"), torch.tensor([1.0, 2.0])):
        for e in (ours.tensor([1.0, 2.0]), np.array([1, 2], "float32"), torch.tensor([1.0, 2.0])):
            assert_close(a, e)
            with pytest.raises(AssertionError, match="not close"):
                assert_close(a, e * 2)
    with pytest.raises(TypeError):
        assert_close(ours.ones(1), np.ones(1, "float32"), allow_subclasses=False)


# ----- Strategies ---------------------------------------------------------------------------------


@given(tensors((2, 3), domain=Domain(-1, 1, apart=(0.0,), margin=0.2, distinct=True)))
def test_domains(x: Any) -> None:
    assert x.shape == (2, 3)
    assert x.requires_grad
    values = x.detach().numpy()
    assert np.abs(values).min() >= 0.2
    assert np.abs(values).max() <= 1
    assert len(np.unique(values)) == 6


@given(tensors(dtype=st.sampled_from([ours.float32, ours.int64, ours.bool, ours.uint8])))
def test_tensors_of_any_type(x: Any) -> None:
    assert x.requires_grad == (x.dtype is ours.float32)
    assert x.ndim <= 3


def test_an_empty_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="values to choose from"):
        Domain(0.0, 1.0, apart=(0.5,), margin=1.0).sample(np.random.default_rng(0), (2,))


@given(broadcastable_tensors(3))
def test_shapes_broadcast(xs: Any) -> None:
    np.broadcast_shapes(*[tuple(x.shape) for x in xs])


@given(st.data(), st.sampled_from([(), (3,), (3, 0, 4), (2, 1, 3, 4)]))
def test_index_expressions_fit_their_shape(data: Any, shape: Any) -> None:
    np.zeros(shape)[data.draw(index_expressions(shape))]


@given(index_expressions((2, 3, 4)), st.integers(0, 2**16))
def test_indexing_is_torchs(index: Any, seed: int) -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(seed).normal(size=(2, 3, 4))

    def converted(module: Any) -> Any:
        make = module.from_numpy
        return tuple(make(i.copy()) if isinstance(i, np.ndarray) else i for i in index)

    report = compare_with_torch(
        lambda x: x[converted(ours)], lambda x: x[converted(torch)], [array], rtol=0, atol=0
    )
    assert report.ok, report


@given(index_expressions((2, 3, 4)), st.integers(0, 2**16))
def test_assigning_to_an_index_is_torchs(index: Any, seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)

    def assigned(module: Any) -> Any:
        make = module.from_numpy

        def run(x: Any, value: Any) -> Any:
            y = x * 2
            y[tuple(make(i.copy()) if isinstance(i, np.ndarray) else i for i in index)] = value
            return y

        return run

    arrays = [rng.normal(size=(2, 3, 4)), np.asarray(rng.normal())]
    report = compare_with_torch(assigned(ours), assigned(torch), arrays)
    assert report.ok, report


@given(einsum_equations(), st.integers(0, 2**16))
def test_einsum_is_torchs(case: Any, seed: int) -> None:
    torch = pytest.importorskip("torch")
    equation, shapes = case
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.normal(size=shape)) for shape in shapes]
    report = compare_with_torch(
        lambda *xs: ours.einsum(equation, *xs), lambda *xs: torch.einsum(equation, *xs), arrays
    )
    assert report.ok, f"{equation}\n{report}"


# ----- compare_with_torch -------------------------------------------------------------------------


def test_a_report_of_what_agrees() -> None:
    torch = pytest.importorskip("torch")
    report = compare_with_torch(
        lambda x, n: (x * n, x.sum()), lambda x, n: (x * n, x.sum()), [np.ones(2), 3]
    )
    assert report.ok
    assert [entry.name for entry in report.entries] == [
        "output 0",
        "output 1",
        "gradient of input 0",
    ]
    assert "same" in str(report)
    assert repr(report) == str(report)
    assert compare_with_torch(ours.argsort, torch.argsort, [np.array([2.0, 1.0])]).ok


def test_a_report_of_what_differs() -> None:
    pytest.importorskip("torch")
    report = compare_with_torch(
        lambda x, y: x * y, lambda x, y: x * y.detach(), [ours.ones(2), ours.ones(2)]
    )
    assert not report.ok
    assert [entry.error is None for entry in report.entries] == [True, True, False]
    assert "gradient of input 1  DIFFERENT  float32 (2,)" in str(report)
    assert "PyTorch    none" in str(report)
    shapes = compare_with_torch(lambda x: x, lambda x: x[None], [ours.ones(2)])
    assert "'shape' do not match" in str(shapes)
    fewer = compare_with_torch(lambda x: x * 1, lambda x: (x * 1, x * 2), [ours.ones(2)])
    assert not fewer.ok


# ----- gradient_property --------------------------------------------------------------------------


@gradient_property
def test_a_function_of_tensors(x, y):
    return x * y.sin() + (x * x).sum()


@gradient_property(domain=Domain(0.5, 2.0), broadcast=True, max_examples=5)
def test_a_function_that_takes_torch(torch, x, y):
    return torch.log(x) * y, torch.exp(x - y)


@gradient_property(inputs=tensors((3,)), order=1, max_examples=5)
def test_own_inputs(x):
    return x.abs()


def test_a_wrong_gradient_fails() -> None:
    class Wrong(ours.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradient_property(lambda x: Wrong.apply(x), max_examples=3)()


def test_a_wrong_second_order_fails_unless_it_is_not_asked_for() -> None:
    class Wrong(ours.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.x = x.detach().clone()
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2 * ctx.x

    gradient_property(lambda x: Wrong.apply(x), order=1, max_examples=3)()
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradient_property(lambda x: Wrong.apply(x), max_examples=3)()


def test_another_function_than_torchs_fails() -> None:
    pytest.importorskip("torch")
    with pytest.raises(AssertionError, match="not what PyTorch gives"):
        gradient_property(lambda x: x * 2, theirs=lambda x: x * 3, max_examples=3)()


def test_the_extra_is_named_where_hypothesis_is_missing(monkeypatch: Any) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("hypothesis"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"tinygrad-like\[testing\]"):
        tensors()
