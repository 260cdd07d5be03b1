"""What `debug.watch` says of trainings that go wrong, and that it is quiet about those that don't."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like import debug

nn, F = torch.nn, torch.nn.functional


def batches(count: int) -> Iterator[tuple[Any, Any]]:
    """Yield pictures (64, 64) in ten classes, noisy copies of ten patterns."""
    rng = np.random.default_rng(0)
    patterns = rng.random((10, 64))
    for _ in range(count):
        y = rng.integers(0, 10, 64)
        x = (patterns[y] + 0.2 * rng.normal(size=(64, 64))).astype(np.float32)
        yield torch.tensor(x), torch.tensor(y)


def watched(model: Any, optimizer: Any, steps: int = 70) -> Any:
    with debug.watch(model, optimizer) as seen:
        for x, y in batches(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return seen


def mlp(depth: int = 4, activation: Any = nn.ReLU) -> Any:
    torch.manual_seed(0)
    layers: list[Any] = [nn.Linear(64, 32), activation()]
    for _ in range(depth - 2):
        layers += [nn.Linear(32, 32), activation()]
    return nn.Sequential(*layers, nn.Linear(32, 10))


def sgd(model: Any, lr: float) -> Any:
    return torch.optim.SGD(model.parameters(), lr=lr)


def adam(model: Any, lr: float) -> Any:
    return torch.optim.Adam(model.parameters(), lr=lr)


def kinds(seen: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in seen.report():
        found.setdefault(finding.kind, []).append(finding.name)
    return found


class Functional(nn.Module):
    """Rectifiers that are no modules, one of them inside a part."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.part = Part()
        self.last = nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        return self.last(F.relu(self.part(x)))


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(64, 32), nn.Linear(32, 32)

    def forward(self, x: Any) -> Any:
        return self.two(F.relu6(self.one(x)))


class Recurrent(nn.Module):
    """A recurrent network whose states grow by a factor at each step."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.RNN(8, 32, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(32, 10)
        nn.init.eye_(self.rnn.weight_hh_l0)
        self.rnn.weight_hh_l0.data.mul_(factor)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x.reshape(-1, 8, 8))[0][:, -1])


class Convolving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x.reshape(-1, 1, 8, 8)).flatten(1))


HEALTHY: list[Any] = [
    pytest.param(lambda: mlp(), lambda m: sgd(m, 0.1), id="sgd"),
    pytest.param(lambda: mlp(), lambda m: adam(m, 1e-3), id="adam"),
    pytest.param(lambda: mlp(activation=nn.Tanh), lambda m: sgd(m, 0.1), id="tanh"),
    pytest.param(Functional, lambda m: adam(m, 1e-3), id="functional"),
    pytest.param(lambda: Recurrent(1.0), lambda m: adam(m, 1e-3), id="recurrent"),
    pytest.param(Convolving, lambda m: adam(m, 3e-3), id="convolutional"),
]


@pytest.mark.parametrize(("make", "optimizer"), HEALTHY)
def test_healthy_trainings_are_not_told_of(make: Any, optimizer: Any) -> None:
    model = make()
    seen = watched(model, optimizer(model))
    assert seen.report() == []
    assert str(seen) == "nothing suspicious was seen"


def test_weights_that_begin_at_0_are_healthy() -> None:
    model = mlp()
    nn.init.zeros_(model[-1].weight)
    assert watched(model, adam(model, 1e-3)).report() == []


def test_a_schedule_that_ends_at_0_is_healthy() -> None:
    model = mlp()
    optimizer = sgd(model, 0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 70)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    assert watched(model, optimizer).report() == []


def test_steps_that_are_too_large_kill_units() -> None:
    model = mlp()
    found = kinds(watched(model, sgd(model, 10.0)))
    assert found["large updates"] == ["0.weight", "2.weight", "4.weight", "6.weight"]
    assert {"3", "5"} <= set(found.pop("dead units")) <= {"1", "3", "5"}
    assert set(found) == {"large updates"}


@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_steps_that_are_too_small(optimizer: Any) -> None:
    model = mlp()
    seen = watched(model, optimizer(model, 1e-6))
    assert kinds(seen) == {"small updates": ["0.weight", "2.weight", "4.weight", "6.weight"]}
    factor = "100000" if optimizer is sgd else "100"
    assert f"try a learning rate {factor} times as large" in str(seen)


@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_sigmoids_let_gradients_vanish(optimizer: Any) -> None:
    model = mlp(20, nn.Sigmoid)
    seen = watched(model, optimizer(model, 0.1 if optimizer is sgd else 1e-3))
    (kind,) = found = kinds(seen)
    assert kind == "vanishing gradient"
    names = found[kind]
    assert names[:3] == ["0.weight", "2.weight", "4.weight"]
    assert not {"34.weight", "36.weight", "38.weight"} & set(names)
    first, because, advice = str(seen).split("\n  ")
    assert f"0.weight ({seen.report()[0].value:.2g}), 2.weight (" in first
    assert f", ... {len(names) - 3} more ..., {names[-1]} (" in first
    assert because.startswith("because what is learned there is next to nothing")
    assert advice.startswith("try ReLU instead of sigmoid")


def test_a_recurrent_network_explodes() -> None:
    model = Recurrent(6.0)
    seen = watched(model, sgd(model, 0.01))
    (kind,) = found = kinds(seen)
    assert kind == "exploding gradient"
    assert "rnn.weight_hh_l0" in found[kind]
    assert "\n  because one step of that size undoes what was learned\n" in str(seen)
    assert "clip_grad_norm_" in str(seen)
    model = Recurrent(6.0)
    assert "rnn.weight_hh_l0" in kinds(watched(model, adam(model, 1e-3)))["exploding gradient"]


def test_numbers_that_overflow() -> None:
    model = mlp()
    seen = watched(model, sgd(model, 1e30), 5)
    assert "exploding gradient" in kinds(seen)
    assert "nan" in str(seen)
    model = nn.Linear(64, 10)
    seen = watched(model, torch.optim.SGD(model.parameters(), lr=float("inf")), 1)
    assert kinds(seen) == {"large updates": ["weight"]}
    assert "try a learning rate much smaller" in str(seen)


def test_units_that_are_no_modules_are_seen() -> None:
    model: Any = Functional()
    model.part.one.bias.data[:] = -100.0
    model.part.two.bias.data[:24] = -100.0
    model.part.two.bias.data[24:] = 100.0
    seen = watched(model, sgd(model, 0.01), 3)
    one, two = (finding for finding in seen.report() if finding.kind == "dead units")
    assert (one.value, two.value) == (1.0, 0.75)
    lines = {part: part.forward.__code__.co_firstlineno + 1 for part in (Part, Functional)}
    assert one.name == f"part at test_watch.py:{lines[Part]}"
    assert two.name == f"test_watch.py:{lines[Functional]}"


@pytest.mark.parametrize("channels_last", [False, True])
def test_units_are_channels(channels_last: bool) -> None:
    layer: Any = nn.Linear(3, 8) if channels_last else nn.Conv1d(3, 8, 1)
    x = torch.randn(4, 5, 3) if channels_last else torch.randn(4, 3, 5)
    model = nn.Sequential(layer, nn.ReLU())
    layer.bias.data[:6] = -100.0
    layer.bias.data[6:] = 100.0
    with debug.watch(model) as seen:
        model(x)
    assert [(f.name, f.value) for f in seen.report()] == [("1", 0.75)]


def test_what_was_not_seen_is_not_called_healthy() -> None:
    model = mlp()
    with debug.watch(model) as seen:
        mlp()(torch.ones(2, 64)).sum().backward()
    assert str(seen).startswith("nothing was seen: no gradient arrived")


def test_a_call_that_fails_is_forgotten() -> None:
    model = mlp()
    with debug.watch(model) as seen:
        with pytest.raises(RuntimeError, match="linear"):
            model(torch.ones(2, 3))
        model.eval()
        model(torch.ones(2, 64))
        assert str(seen).startswith("nothing was seen")
        model.train()
        model(torch.ones(2, 64))
    assert list(map(str, seen._units)) == ["1", "3", "5"]
    assert not seen._calls


def test_gradients_that_are_0_have_a_reason_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 10))
    nn.init.zeros_(model[1].weight)
    with debug.watch(model) as seen:
        for x, y in batches(3):
            F.cross_entropy(model(x), y).backward()
    (finding,) = seen.report()
    assert (finding.kind, finding.name, finding.value) == ("vanishing gradient", "0.weight", 0.0)
    assert "looking for what the loss doesn't depend on, or is multiplied by 0" in finding.advice
