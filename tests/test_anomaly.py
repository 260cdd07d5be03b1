"""Which operation made the first nan or infinity, forwards and backwards."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_like as torch
from tests.test_engine import line
from tinygrad_like import debug
from tinygrad_like.autograd import no_grad
from tinygrad_like.debug import anomaly
from tinygrad_like.modes import departed

nn, F = torch.nn, torch.nn.functional


def found(action: Callable[[], Any]) -> list[str]:
    """Return the lines of the error that stops an action."""
    before = departed.count
    with pytest.raises(RuntimeError) as caught, debug.detect_anomaly():
        action()
    assert departed.count == before
    assert not anomaly._scopes
    return debug.text(caught.value).split("\n")


class Root(nn.Module):
    """Divides by the length of each row, whose slope at 0 is infinite."""

    def forward(self, x: Any) -> Any:
        self.made, length = line(), (x * x).sum(1, keepdim=True).sqrt()
        return x / length.clamp(min=1e-3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Root())])

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


class ByNumPy(torch.autograd.Function):
    """A logarithm that no operation computes."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return torch.from_numpy(np.log(x.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return torch.from_numpy(g.numpy() * np.float32("nan"))


# ----- Forwards -----------------------------------------------------------------------------------


def test_nan_may_be_made_of_infinities() -> None:
    mask = torch.tensor([[-np.inf, -np.inf], [0.0, -np.inf]])
    sentence, *lines = found(lambda: (torch.zeros(2, 2, requires_grad=True) + mask).softmax(1))
    assert sentence == "softmax made nan: 2 of 4 elements of its result"
    assert lines[-2:] == [
        "  input: values from 0 to 0, 3 inf",
        "  try a mask that leaves something in each row",
    ]


@pytest.mark.parametrize("recorded", [False, True])
def test_nan_in_data_is_told_of_where_it_is_computed_with(recorded: bool) -> None:
    data = torch.tensor([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]])

    def action() -> None:
        batch = torch.stack([data[0], data[1]]).reshape(2, 3).clone()
        Net()(batch) if recorded else no_grad()(Net())(batch)

    sentence, *lines = found(action)
    assert sentence == "linear was given nan: 1 of 6 elements of input"
    assert lines[0] == "  in blocks.0 (Linear) of Net"
    assert "  input: values from 1 to 3, 1 nan" in lines
    assert lines[-1].startswith("  try torch.isnan(x).any() where the data comes from")


def test_parameters_that_a_step_made_infinite() -> None:
    model = nn.Linear(2, 2)

    def action() -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=float("inf"))
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        model(torch.ones(1, 2))

    sentence, *lines = found(action)
    assert sentence == "linear was given inf: 4 of 4 elements of weight"
    assert any(text.endswith(", the parameter weight") for text in lines)
    assert lines[-1].startswith("  try a smaller learning rate, or clip_grad_norm_")


@pytest.mark.parametrize(("value", "kind"), [(0.0, "inf"), (-1.0, "nan")])
def test_a_function_that_is_not_made_of_ops(value: float, kind: str) -> None:
    x = torch.full((2,), value, requires_grad=True)
    sentence, *lines = found(lambda: ByNumPy.apply(x).sum())
    assert sentence == f"sum was given {kind}: 2 of 2 elements of input"
    assert lines[-1] == "  try looking into ByNumPy.forward, which is not made of ops"


@pytest.mark.parametrize("write", [lambda y: y.log_(), lambda y: y.div_(y), lambda y: y.pow_(-1)])
def test_in_place_operations_are_looked_at(write: Any) -> None:
    y = torch.zeros(2, requires_grad=True) * 1
    sentence, *lines = found(lambda: write(y))
    assert re.match(r"(log|divide|pow\w*) made (inf|nan)", sentence)
    assert "  input: values from 0 to 0" in lines
    with no_grad():
        assert found(lambda: write(torch.zeros(2)))[0] == sentence
    assert found(lambda: write(torch.zeros(2)))[0] == sentence


def meant() -> None:
    x, hidden = torch.zeros(2, 2, requires_grad=True), torch.tensor([[False, True], [False, False]])
    low = float("-inf")
    for scores in (
        x.masked_fill(hidden, low),
        torch.where(hidden, low, x),
        x + torch.triu(torch.full((2, 2), low), 1),
        (x * 1).masked_fill_(hidden, low),
        (x * 1).index_fill(1, torch.tensor([1]), low),
        F.pad(x, (0, 1), value=low),
    ):
        scores.softmax(1).sum().backward()
    y = x * 1
    y[hidden] = low
    y.amax(1).sum().backward()
    torch.nan_to_num(torch.tensor([np.nan, 1.0])).sum()
    torch.tensor([np.nan, 1.0]).isnan().any()
    torch.where(torch.tensor([True, False]), 0.0, torch.tensor([np.nan, 1.0])).sum()
    torch.tensor([np.nan, 1.0])[1:].sum()
    F.max_pool2d(torch.randn(1, 1, 4, 4, requires_grad=True), 3, padding=1).sum().backward()
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    batch = torch.randn(2, 5, 8)
    layer(batch, nn.Transformer.generate_square_subsequent_mask(5)).sum().backward()
    layer(batch, src_key_padding_mask=torch.arange(5).expand(2, 5) > 3).sum().backward()


def test_what_is_meant_is_no_anomaly() -> None:
    with debug.detect_anomaly():
        meant()


# ----- Backwards ----------------------------------------------------------------------------------


def test_a_backward_tells_module_gradient_and_values() -> None:
    model = Net()
    for p in model.parameters():
        p.data.zero_()
    sentence, *lines = found(lambda: model(torch.ones(4, 3)).sum().backward())
    made = model.blocks[1][1].made
    assert sentence.startswith("Function 'SqrtBackward0' returned nan values in its 0th output")
    assert lines[1] == "  in blocks.1.1 (Root) of Net"
    assert lines[2].startswith(f"  SqrtBackward0 at {made}: self.made, length = ")
    assert lines[3:] == [
        "  the gradient that arrived there: values from 0 to 0",
        "  its result: values from 0 to 0",
        "  try a small number added inside: its slope at 0 is infinite",
    ]


def test_the_first_infinite_gradient_stops_the_program() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    sentence, *lines = found(lambda: x.sqrt().sum().backward())
    assert sentence.startswith("Function 'SqrtBackward0' returned inf values in its 0th output")
    assert lines[-1].startswith("  try a small number added inside")
    with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
        x.sqrt().sum().backward()  # as in PyTorch, which looks for nan alone
    assert x.grad is not None
    assert x.grad.isinf().any()


def test_a_function_of_the_users_that_returns_nan() -> None:
    x = torch.ones(2, requires_grad=True)
    sentence, *lines = found(lambda: ByNumPy.apply(x).sum().backward())
    assert sentence.startswith("Function 'ByNumPyBackward' returned nan values in its 0th output")
    assert lines[-2:] == [
        "  the gradient that arrived there: values from 1 to 1",
        "  try looking into ByNumPy.backward",
    ]


def test_nan_that_arrives() -> None:
    x = torch.ones(2, requires_grad=True)
    _, *lines = found(lambda: (x * 2).backward(torch.tensor([1.0, np.nan])))
    assert lines[-1] == "  try looking where backward began, or at hooks: nan had arrived already"


def test_calls_of_modules_are_forgotten() -> None:
    model = nn.Sequential(nn.ReLU())
    with debug.detect_anomaly():
        (scopes,) = anomaly._scopes.values()
        for _ in range(10):
            model(torch.ones(2)).sum()
        assert len(scopes) == 20
        scopes *= anomaly._MANY // len(scopes) + 1
        x = torch.ones(2, requires_grad=True)
        x.sum().backward()
        assert len(scopes) <= anomaly._MANY
        with debug.detect_anomaly():
            pass
        assert list(anomaly._scopes.values()) == [scopes]
