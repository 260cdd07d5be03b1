"""Tests of functions that are methods spelt differently, and of what they refuse, beside PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_like as torch
from tests.both import compare
from tinygrad_like import functions

pytest.importorskip("torch")

WITHOUT_ARGUMENTS = [
    name
    for name in functions.__all__
    if name.endswith("_") and name not in {"clamp_", "fill_", "index_put_", "xlogy_", "logit_"}
    if not name.startswith(("clip", "clamp"))
]


@pytest.mark.parametrize("name", WITHOUT_ARGUMENTS)
def test_in_place_function_writes_and_returns_its_argument(name: str) -> None:
    def call(module: Any) -> Any:
        x = module.tensor([0.25, 0.5])
        returned = getattr(module, name)(x)
        return returned is x, x

    compare(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.clamp_(m.ones(2), max=0.5),
        lambda m: m.fill_(m.ones(2), 3),
        lambda m: m.detach(m.ones(2, requires_grad=True) * 2),
        lambda m: (m.is_inference(m.ones(1)), m.is_signed(m.ones(1)), m.is_anomaly_enabled()),
        lambda m: m.put(m.zeros(3), m.tensor([1]), m.ones(1)),
        lambda m: (m.is_nonzero(m.tensor([2.0])), m.tensor([0]).is_nonzero()),
        lambda m: m.is_nonzero(m.ones(2)),
        lambda m: (m.pi, m.e, m.inf, m.ones(2)[:, m.newaxis].shape == (2, 1)),
        lambda m: (m.ones(1).is_cpu, m.ones(1).get_device()),
        lambda m: m.ones(2).type(m.DoubleTensor),
    ],
)
def test_function_answers_as_in_pytorch(call: Any) -> None:
    compare(call)


@pytest.mark.parametrize(
    "name",
    [
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "atan2",
        "hypot",
        "logaddexp",
        "logaddexp2",
        "logical_and",
        "logical_or",
        "logical_xor",
        "isclose",
    ],
)
def test_function_of_two_tensors_refuses_a_number(name: str) -> None:
    compare(lambda m: getattr(m, name)(m.ones(2), 1))
    compare(lambda m: getattr(m.ones(2), name)(0.5))
    with pytest.raises(
        TypeError, match=rf"{name}\(\): argument 'other' \(position 2\) must be Tensor"
    ):
        getattr(torch, name)(torch.ones(2), 1)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("numbers", [(2, 3), (2, 0.5), (3.5, 2)])
def test_arithmetic_of_two_numbers_is_a_tensor(name: str, numbers: tuple[Any, Any]) -> None:
    compare(lambda m: getattr(m, name)(*numbers))


def test_in_place_function_wants_a_tensor() -> None:
    with pytest.raises(
        TypeError, match=r"exp_\(\): argument 'input' \(position 1\) must be Tensor"
    ):
        torch.exp_(3)


def test_unsupported_layout_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="the only layout there is, not torch"):
        torch.zeros(2, layout=torch.sparse_coo)


def test_gradient_of_a_tensor_that_keeps_none_is_warned_of() -> None:
    y = torch.ones(2, requires_grad=True) * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert y.grad is None
    y.retain_grad()
    assert y.grad is None
    assert torch.ones(2, requires_grad=True).grad is None


def test_whole_numbers_cannot_become_the_data_of_a_leaf() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="must be floating point, but got torch"):
        x.data = torch.ones(2, dtype=torch.int64)
    assert x.dtype is torch.float32
    compare(lambda m: setattr(m.ones(2, requires_grad=True), "data", m.arange(2)))


def _in_place_products(m: Any) -> Any:
    a = m.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    b = a * 1
    b.addmm_(a, a, beta=2).addr_(a[0], a[1]).addmv_(a, a[0], alpha=0.5)
    c = (a * 2)[None]
    c.baddbmm_(b[None], b[None])
    ((b * b).sum() + c.sum()).backward()
    return a.grad, b, c


def _in_place_triangles(m: Any) -> Any:
    a = m.arange(9.0).reshape(3, 3).requires_grad_()
    b = a * 1
    b.tril_().cumsum_(0).fill_diagonal_(7).triu_(-1).cumprod_(1)
    (b * b).sum().backward()
    return a.grad, b


@pytest.mark.parametrize(
    "call",
    [
        _in_place_products,
        _in_place_triangles,
        lambda m: m.ones(2, 2).addbmm_(m.ones(3, 2, 2), m.ones(3, 2, 2), alpha=2),
        lambda m: m.zeros(7, 3, dtype=m.int64).fill_diagonal_(2, wrap=True),
        lambda m: m.zeros(3, 3, 3).fill_diagonal_(2),
        lambda m: m.zeros(2, 3, 3).fill_diagonal_(2),
        lambda m: m.zeros(3).fill_diagonal_(2),
        lambda m: m.zeros(2, 2).fill_diagonal_(m.ones(2)),
        lambda m: m.ones(2, dtype=m.int64).cumsum_(0),
    ],
)
def test_in_place_forms_of_matrix_functions(call: Any) -> None:
    compare(call)


@pytest.mark.parametrize("name", ["addmm", "addmv", "addr", "baddbmm", "addbmm"])
def test_what_is_multiplied_by_zero_has_a_gradient_of_zeros(name: str) -> None:
    shapes = {"addmm": (2, 2), "addmv": (2, 1), "addr": (1, 1), "baddbmm": (3, 3), "addbmm": (3, 3)}

    def call(m: Any) -> Any:
        x = m.tensor(float("nan")).expand(2, 2).clone() if name != "addmv" else m.ones(2)
        x = (x.expand(2, 2, 2).clone() if name == "baddbmm" else x).requires_grad_()
        operands = [m.ones((2,) * n) for n in shapes[name]]
        out = getattr(m, name)(x, *operands, beta=0)
        out.sum().backward()
        return out, x.grad

    compare(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.ones(2) - m.ones(2, dtype=m.bool),
        lambda m: m.ones(2, dtype=m.bool) - m.ones(2),
        lambda m: m.ones(2, dtype=m.bool) - m.ones(2, dtype=m.bool),
        lambda m: m.ones(2).sub_(m.ones(2, dtype=m.bool)),
        lambda m: m.ones(2).sub(m.tensor(True)),
        lambda m: m.ones(2) - m.ones(2, dtype=m.int64),
    ],
)
def test_difference_with_bools_is_refused(call: Any) -> None:
    compare(call)
