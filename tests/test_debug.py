"""What `debug` sees: lines, the first nan, traps, and how a model trains."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_like as torch
from tests.test_engine import line
from tinygrad_like import debug
from tinygrad_like.generate import CALLED_DIRECTLY
from tinygrad_like.lines import calls, describe
from tinygrad_like.modes import departed
from tinygrad_like.op import REGISTRY

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    debug.set_traps(True)  # forgets what was told
    yield
    debug.set_traps(True)


# ----- Lines --------------------------------------------------------------------------------------

OPS: list[Any] = [
    pytest.param(lambda x: x * 2, id="an operator"),
    pytest.param(lambda x: torch.relu(x), id="a function around an op"),
    pytest.param(lambda x: torch.cat([x, x]), id="an op of a list"),
    pytest.param(lambda x: x.unbind(0)[0], id="an op of several results"),
    pytest.param(lambda x: (x * 2).add_(1), id="an op in place"),
]


@pytest.mark.parametrize("call", OPS)
def test_lines_can_be_turned_off_and_on_again(call: Callable[[Any], Any]) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    with debug.set_trace_lines(False):
        off = call(x)
        assert off.grad_fn.line is None
    on = call(x)
    assert describe(on.grad_fn.line).startswith(__file__)
    off.sum().backward()
    first = x.grad.tolist()
    x.grad = None
    on.sum().backward()
    assert x.grad.tolist() == first


def test_without_lines_the_code_does_not_look_for_them() -> None:
    x = torch.ones(2, requires_grad=True)
    x.exp()
    call = REGISTRY["exp"].call
    assert "getframe" in call.__code__.co_names
    with debug.set_trace_lines(False):
        assert "getframe" not in call.__code__.co_names
    assert "getframe" in call.__code__.co_names


def test_lines_may_be_turned_off_at_once() -> None:
    x = torch.ones(2, requires_grad=True)
    debug.set_trace_lines(False)
    try:
        assert (x * 2).grad_fn.line is None
        with debug.set_trace_lines(True):
            made, y = line(), x * 2
            assert describe(y.grad_fn.line) == made
        assert (x * 2).grad_fn.line is None
    finally:
        debug.set_trace_lines(True)


class Within(nn.Module):
    """A module of the user's, to be called by those of the package."""

    def forward(self, x: Any) -> Any:
        self.made, y = line(), x.exp()
        return y


def test_lines_of_modules_are_those_that_call_them() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), Within(), nn.Tanh())
    made, y = line(), model(torch.ones(2, 3))
    tanh, exp = y.grad_fn, y.grad_fn.parents[0]
    relu = exp.parents[0]
    assert describe(exp.line) == model[1].made
    for node in (tanh, relu, relu.parents[0]):
        assert describe(node.line) == made
    after, z = line(), y * 2
    assert describe(z.grad_fn.line) == after


def test_hooks_of_modules_have_lines_of_their_own() -> None:
    inner = nn.Linear(3, 3)
    model = nn.Sequential(inner, nn.ReLU())
    found = []

    def hook(_: Any, __: Any, out: Any) -> Any:
        made, y = line(), out * 2
        found.append(made)
        return y

    inner.register_forward_hook(hook)
    y = model(torch.ones(2, 3))
    assert describe(y.grad_fn.parents[0].line) == found[0]


def test_an_error_in_a_module_leaves_no_line_behind() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(RuntimeError):
        model(torch.ones(2, 4))
    assert calls.now is None
    x = torch.ones(2, requires_grad=True)
    made, y = line(), x.relu()
    assert describe(y.grad_fn.line) == made


def test_lines_of_two_threads_do_not_mix() -> None:
    inside, done = threading.Event(), threading.Event()

    def distance(a: Any, b: Any) -> Any:  # which a module of the package calls
        inside.set()
        assert done.wait(30)
        return (a - b).norm(dim=1)

    def work() -> None:
        x = torch.ones(2, 3)
        nn.TripletMarginWithDistanceLoss(distance_function=distance)(x, x, x)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    assert calls.now is not None
    x = torch.ones(2, 3, requires_grad=True)
    made, y = line(), nn.Sequential(nn.Linear(3, 3), nn.ReLU())(x)
    after, z = line(), x.relu()
    done.set()
    thread.join(30)
    assert [describe(n.line) for n in (y.grad_fn, y.grad_fn.parents[0])] == [made, made]
    assert describe(z.grad_fn.line) == after
    assert calls.now is None


def test_only_ops_that_programs_call_themselves_look_at_their_caller() -> None:
    for module in pkgutil.walk_packages(torch.__path__, "tinygrad_like."):
        with contextlib.suppress(ImportError):  # what needs an extra
            importlib.import_module(module.name)
    homes = [
        torch,
        torch.Tensor,
        nn.functional,
        torch.linalg,
        torch.special,
        torch.autograd,
        nn.init,
    ]
    public = {id(getattr(home, name, None)) for home in homes for name in dir(home)}
    direct = {name for name, op in REGISTRY.items() if id(op.call) in public}
    own = {
        name for name, op in REGISTRY.items() if op.forward.__module__.startswith("tinygrad_like")
    }
    assert direct & own == CALLED_DIRECTLY


def test_errors_say_less_without_lines() -> None:
    with debug.set_trace_lines(False):
        y = torch.ones(2, 3, requires_grad=True) * 2
    with pytest.raises(RuntimeError) as caught:
        y @ y
    assert "  input is `y`, float32 (2, 3), made by Mul at an unknown line\n" in debug.text(
        caught.value
    )


# ----- The first nan ------------------------------------------------------------------------------


class Logarithm(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.log()


def test_the_first_infinity_stops_the_program() -> None:
    model = nn.Sequential(nn.ReLU(), Logarithm())
    with pytest.raises(RuntimeError) as caught, debug.detect_anomaly():
        model(torch.tensor([1.0, -1.0]))
    text = debug.text(caught.value)
    assert text.startswith("log made inf of finite operands: 1 of 2 elements of its result\n")
    assert "\n  in 1 (Logarithm) of Sequential\n" in text
    assert " in forward: return x.log()\n" in text
    assert "\n  input is `x`, float32 (2,)" in text
    values, remedy = text.splitlines()[-2:]
    assert values == "  input: values from 0 to 1"
    assert remedy.startswith("  try x.clamp(min=1e-8) before; or log_softmax")
    assert departed.count == 0


MAKERS: list[Any] = [
    pytest.param(lambda x: x.log(), "log", id="recorded"),
    pytest.param(lambda x: x.detach().log(), "log", id="not recorded"),
    pytest.param(lambda x: torch.stack([x, x / x]), "divide", id="two operands"),
    pytest.param(lambda x: torch.cat([x, x]).unbind(0)[0] / 0, "divide", id="after several"),
]


@pytest.mark.parametrize(("call", "name"), MAKERS)
@pytest.mark.parametrize("grad", [False, True])
def test_every_way_through_an_op_is_seen(call: Any, name: str, grad: bool) -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=grad)
    with pytest.raises(RuntimeError, match=f"{name} made (nan|inf)"), debug.detect_anomaly():
        call(x)
    with torch.no_grad(), pytest.raises(RuntimeError, match=name), debug.detect_anomaly():
        call(x)
    assert departed.count == 0


def test_infinities_that_were_meant_are_no_anomaly() -> None:
    scores = torch.ones(2, 2, requires_grad=True)
    mask = torch.tensor([[0.0, -np.inf], [0.0, 0.0]])
    with debug.detect_anomaly():
        (scores + mask).softmax(1).sum().backward()


def test_a_backward_tells_where_it_began_forwards() -> None:
    x = torch.tensor([1.0, 0.0], requires_grad=True)
    with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
        made, y = line(), x.log()
        with pytest.raises(RuntimeError, match="LogBackward0") as caught:
            (y * 0).sum().backward()
    text = debug.text(caught.value)
    assert "\n  the first nan or inf came forwards: log made inf of finite operands: " in text
    assert f"\n    at {made} in test_a_backward" in text


def test_other_threads_are_not_looked_at() -> None:
    with debug.detect_anomaly():
        thread = threading.Thread(target=lambda: torch.zeros(1).log())
        thread.start()
        thread.join()
    assert departed.count == 0


# ----- Traps --------------------------------------------------------------------------------------


def told(action: Callable[[], Any]) -> list[str]:
    """Return the traps warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    assert all(w.filename == __file__ for w in caught), [w.filename for w in caught]
    return [str(w.message) for w in caught if w.category is debug.TrapWarning]


class Setting:
    """A small model with everything in it, and what it is trained with."""

    def __init__(self, lr: float = 0.01) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr)
        self.x, self.y = torch.randn(16, 3), torch.randn(16, 1)

    def loss(self) -> Any:
        return F.mse_loss(self.model(self.x), self.y)

    def train(self, steps: int = 8, set_to_none: bool = True, parts: int = 1) -> list[float]:
        losses = []
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none)
            for _ in range(parts):
                loss = self.loss()
                loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses


@pytest.mark.parametrize("set_to_none", [False, True])
@pytest.mark.parametrize("parts", [1, 3])
def test_correct_training_is_not_warned_of(set_to_none: bool, parts: int) -> None:
    setting = Setting()
    with debug.watch(setting.model, setting.optimizer) as seen:
        assert told(lambda: setting.train(set_to_none=set_to_none, parts=parts)) == []
    assert seen.report() == []
    assert str(seen) == "nothing suspicious was seen"
    assert debug.check(setting.model, setting.optimizer) == []


def test_watching_changes_nothing_and_ends() -> None:
    plain, watched = Setting(), Setting()
    expected = plain.train()
    with debug.watch(watched.model, watched.optimizer) as seen:
        assert watched.train() == expected
    steps = len(seen._updates["0.weight"])
    watched.train()
    assert len(seen._updates["0.weight"]) == steps == 8


def test_a_batch_norm_left_in_eval_mode() -> None:
    setting = Setting()
    norm = setting.model[1].eval()
    with debug.watch(setting.model, setting.optimizer):
        (message,) = told(setting.train)
        assert message.startswith(
            "a batch norm is in eval mode while the model is trained\n  in 1 of Seq"
        )
        (found,) = debug.check(setting.model, setting.optimizer)
        assert found.startswith("1 is in eval mode")
        debug.set_traps(True)
        norm.requires_grad_(False)  # frozen on purpose
        assert told(setting.train) == []


def test_a_model_left_in_eval_mode() -> None:
    setting = Setting()
    setting.model.eval()
    with debug.watch(setting.model, setting.optimizer):
        (message,) = told(setting.train)
    assert message.startswith(
        "the model is trained in eval mode\n  in Sequential\n  because dropout"
    )
    assert [f[:26] for f in debug.check(setting.model, setting.optimizer)] == [
        "the model is in eval mode:"
    ]


# ----- Looking over -------------------------------------------------------------------------------


def test_check_finds_parameters_that_are_not_trained() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    (found,) = debug.check(model, optimizer)
    assert found.startswith(
        "1.weight and 1.bias are not in the optimizer, so they stay as they are;"
    )
    model[1].requires_grad_(False)
    assert debug.check(model, optimizer) == []
    model[0].weight = nn.Parameter(torch.ones(3, 2))
    lost, stranger = debug.check(model, optimizer)
    assert lost.startswith("0.weight is not in the optimizer")
    assert "a parameter of shape (3, 2) that is not the model's" in stranger


def test_check_finds_results_in_the_place_of_parameters() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.ones(3, requires_grad=True) * 0.1
            self.parts = [nn.Linear(2, 2)]
            self.named = {"a": nn.Linear(2, 2)}

    found = debug.check(nn.Sequential(Scaled()))
    assert found[0].startswith("0.scale is the result of an operation (MulBackward0)")
    assert found[1].startswith("0.parts is a plain list of modules")
    assert found[2].endswith("try nn.ModuleDict")
    assert len(found) == 3


def test_check_finds_parameters_without_a_gradient() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert debug.check(model) == []  # before a backward
    model[0](torch.ones(2)).sum().backward()
    (found,) = debug.check(model)
    assert found.startswith(
        "1.weight and 1.bias got no gradient from the last backward: the loss does "
    )
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    model[0](torch.ones(2)).sum().backward()
    assert debug.check(model)[0].startswith("1.weight, 1.bias, 2.weight and 3 more got no gradient")


# ----- Reports ------------------------------------------------------------------------------------


def kinds(seen: Any) -> dict[str, str]:
    return {finding.name: finding.kind for finding in seen.report()}


def test_dead_units_are_counted() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].bias[:3] = -100.0
        model[0].bias[3] = 100.0
    with debug.watch(model) as seen:
        model(torch.ones(8, 2))
        (finding,) = seen.report()
        assert (finding.kind, finding.name, finding.value) == ("dead units", "1", 0.75)
        what, because, advice = str(finding).split("\n  ")
        assert what == "dead units: 1 (75%)"
        assert because.startswith("because they are 0 for every sample")
        assert advice.startswith("try a smaller learning rate")
        model(torch.full((8, 2), 1e4) * model[0].weight.sign()[0])
        assert not seen.report() or seen.report()[0].value < 0.75  # one sample is enough to live


@pytest.mark.parametrize(
    ("factor", "kind", "names"),
    [
        (1e-9, "vanishing gradient", ["weight"]),
        (1e6, "exploding gradient", ["weight", "bias"]),
    ],
)
def test_gradients_of_a_wrong_scale(factor: float, kind: str, names: list[str]) -> None:
    model = nn.Linear(3, 1)
    with debug.watch(model) as seen:
        (model(torch.ones(4, 3)).mean() * factor).backward()
    assert kinds(seen) == dict.fromkeys(names, kind)


def test_a_gradient_that_is_nan_has_exploded() -> None:
    model = nn.Linear(3, 1)
    with debug.watch(model) as seen:
        (model(torch.ones(4, 3)).mean() * float("nan")).backward()
    assert set(kinds(seen).values()) == {"exploding gradient"}
    assert (
        "\n  because one step of that size undoes what was learned; it is nan or inf since backward 1"
        in str(seen)
    )


@pytest.mark.parametrize(("lr", "kind"), [(100.0, "large updates"), (1e-8, "small updates")])
def test_updates_of_a_wrong_scale(lr: float, kind: str) -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with debug.watch(model, optimizer) as seen:
        model(torch.ones(4, 3)).mean().backward()
        before = model.weight.detach().clone()
        optimizer.step()
    (finding,) = seen.report()
    assert (finding.kind, finding.name) == (kind, "weight")
    change = (model.weight.detach() - before).norm() / before.norm()
    assert finding.value == pytest.approx(change.item(), rel=1e-5)
