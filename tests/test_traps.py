"""Warnings of what is most likely not meant: the mistakes are told of, and the intentions are not."""

from __future__ import annotations

import copy
import gc
import re
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tinygrad_like as torch
from tinygrad_like import debug, noticed
from tinygrad_like.autograd import no_grad
from tinygrad_like.debug.steps import next_look

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    debug.set_traps(True)  # forgets what was told
    yield
    debug.set_traps(True)


def told(action: Callable[[], Any]) -> list[str]:
    """Return the traps warned of, all of them at lines of this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    assert all(w.filename == __file__ for w in caught), [w.filename for w in caught]
    return [str(w.message) for w in caught if w.category is debug.TrapWarning]


class Net(nn.Module):
    """A network with a norm, some of its layers in a list."""

    def __init__(self, container: Any = nn.ModuleList, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = container([nn.Linear(3, 8), nn.Linear(8, 8)])
        self.norm = nn.BatchNorm1d(8) if norm else nn.Identity()
        self.head = nn.Linear(8, 1)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x).tanh()
        return self.head(self.norm(x))


X, Y = torch.randn(16, 3), torch.randn(16, 1)


class Training:
    """Training steps of a network, as they should be."""

    def __init__(self, model: Any = None, parameters: Any = None) -> None:
        self.model = Net() if model is None else model
        self.optimizer: Any = torch.optim.SGD(parameters or self.model.parameters(), lr=0.01)

    def loss(self) -> Any:
        return F.mse_loss(self.model(X), Y)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def steps(self, count: int = 70) -> None:
        for _ in range(count):
            self.step()


# ----- Mistakes -----------------------------------------------------------------------------------


def forgotten_zero_grad() -> None:
    it = Training()
    for _ in range(70):
        it.loss().backward()
        it.optimizer.step()


def forgotten_zero_grad_and_clipped() -> None:
    it = Training()
    for _ in range(70):
        it.loss().backward()
        nn.utils.clip_grad_norm_(it.model.parameters(), 0.1)
        it.optimizer.step()


def zeroed_after_the_backward() -> None:
    it = Training()
    it.optimizer.zero_grad()
    for _ in range(70):
        it.loss().backward()
        it.model.head.zero_grad()  # and not the whole model
        it.optimizer.step()


@contextmanager
def without_optimizers() -> Iterator[None]:
    """Have nobody know of optimizers that something keeps alive."""
    former, noticed.optimizers = noticed.optimizers, weakref.WeakSet()
    try:
        yield
    finally:
        noticed.optimizers = former


@without_optimizers()
def stepping_by_hand() -> None:
    model: Any = Net()
    for _ in range(10):
        F.mse_loss(model(X), Y).backward()
        for p in model.parameters():
            p.data -= 0.01 * p.grad


@without_optimizers()
def stepping_by_hand_without_a_model() -> None:
    w: Any = torch.ones(3, requires_grad=True)
    for _ in range(10):
        (X @ w).square().mean().backward()
        with no_grad():
            w -= 0.01 * w.grad


def sum_of_losses() -> None:
    it, total = Training(), torch.tensor(0.0)
    for _ in range(70):
        it.optimizer.zero_grad()
        loss = it.loss()
        loss.backward()
        it.optimizer.step()
        total = total + loss


def list_of_losses() -> None:
    it, losses = Training(), []
    for _ in range(70):
        it.optimizer.zero_grad()
        losses.append(it.loss() + 0.01 * it.model.head.weight.sum())
        losses[-1].backward()
        it.optimizer.step()


def eval_and_no_train() -> None:
    it = Training(nn.Sequential(nn.BatchNorm1d(3), Net(norm=True)))
    for _ in range(10):
        it.steps(10)
        it.model.eval()
        with no_grad():
            it.loss()


def plain_list() -> None:
    Training(Net(list)).steps()


def another_head() -> None:
    it = Training()
    it.model.head = nn.Linear(8, 1)
    it.steps()


def half_of_the_parameters() -> None:
    it = Training(parameters=Net().layers.parameters())
    it.model = nn.Sequential(it.model, nn.Linear(1, 1))
    it.optimizer.add_param_group({"params": list(it.model[0].parameters())})
    it.steps()


def softmax_twice() -> None:
    scores = torch.ones(2, 3, requires_grad=True)
    for _ in range(3):
        F.cross_entropy(scores.softmax(1), torch.tensor([0, 2]))


def softmax_and_view_twice() -> None:
    scores = torch.ones(2, 5, 3, requires_grad=True)
    for _ in range(3):
        F.cross_entropy(scores.softmax(-1).flatten(0, 1), torch.zeros(10).long())


def sigmoid_twice() -> None:
    for _ in range(3):
        F.binary_cross_entropy_with_logits(
            Net()(X).sigmoid().squeeze(1), Y.squeeze(1).sign().relu()
        )


def column_against_row() -> None:
    for _ in range(3):
        ((Net()(X) - Y.squeeze(1)) ** 2).mean().backward()


def row_against_column() -> None:
    for _ in range(3):
        (Y - Net()(X).squeeze(1)).abs().sum().backward()


def column_against_row_in_logarithms() -> None:
    p, y = Net()(X).sigmoid(), (Y > 0).float().squeeze(1)
    (-(y * p.log() + (1 - y) * (1 - p).log()).mean()).backward()


def column_against_row_and_more() -> None:
    it = Training()
    for _ in range(70):
        it.optimizer.zero_grad()
        loss = (it.model(X) - Y.squeeze(1)).square().mean() + 0.1 * it.model.head.weight.norm()
        loss.backward()
        it.optimizer.step()


def another_leaf() -> None:
    w = torch.ones(3, requires_grad=True)
    loss = (w * w).sum()
    w = torch.zeros(3, requires_grad=True)
    loss.backward()
    assert w.grad is None


MISTAKES: list[tuple[Callable[[], None], str]] = [
    (forgotten_zero_grad, "the gradient of layers.0.weight of Net is added to that of the last"),
    (forgotten_zero_grad_and_clipped, "the gradient of layers.0.weight of Net is added to"),
    (zeroed_after_the_backward, "the gradient of layers.0.weight of Net is added to"),
    (stepping_by_hand, "the gradient of .* of Net is added to that of the last step\n"),
    (
        stepping_by_hand_without_a_model,
        r"the gradient of a parameter of shape \(3,\) is added to",
    ),
    (sum_of_losses, "the graphs of former steps are still alive"),
    (list_of_losses, "the graphs of former steps are still alive"),
    (
        eval_and_no_train,
        "the model was trained in training mode and now is in eval mode\n  in (0|1.norm) of Seq",
    ),
    (
        plain_list,
        r".* that no optimizer has: layers\[0\].weight of Net, .*, 1 more\n.*\n  try nn.ModuleList",
    ),
    (another_head, r".* that no optimizer has: head.weight of Net, head.bias of Net\n"),
    (half_of_the_parameters, r".* that no optimizer has: 1.weight of Seq\w*, 1.bias of Seq\w*\n"),
    (
        softmax_and_view_twice,
        "cross_entropy is given the result of a softmax, and applies one itself",
    ),
    (
        sigmoid_twice,
        "binary_cross_entropy_with_logits is given the result of a sigmoid, and applies",
    ),
    (softmax_twice, "cross_entropy is given the result of a softmax, and applies one itself"),
    (
        column_against_row,
        r"a loss compares predictions \(16, 1\) with targets \(16,\): all 16 with",
    ),
    (
        row_against_column,
        r"a loss compares predictions \(16,\) with targets \(16, 1\): all 16 with",
    ),
    (column_against_row_in_logarithms, r"a loss compares predictions \(16, 1\) with"),
    (column_against_row_and_more, r"a loss compares predictions \(16, 1\) with"),
    (another_leaf, r"this leaf of shape \(3,\) has no gradient: the last backward sent one to"),
]


@pytest.mark.parametrize(
    ("mistake", "beginning"), MISTAKES, ids=lambda m: getattr(m, "__name__", "")
)
def test_a_mistake_is_told_of_once(mistake: Callable[[], None], beginning: str) -> None:
    (message,) = told(mistake)
    assert re.match(beginning, message), message
    what, *lines = message.split("\n  ")
    kinds = [line.split()[0] for line in lines]
    assert [kind for kind in kinds if kind not in ("in", "at")] == ["because", "try"]
    assert all("\n" not in line and len(line) < 260 for line in (what, *lines))
    assert told(mistake) == []


@pytest.mark.parametrize("mistake", [m for m, _ in MISTAKES], ids=lambda m: m.__name__)
def test_traps_can_be_turned_off(mistake: Callable[[], None]) -> None:
    debug.set_traps(False)
    assert told(mistake) == []
    debug.set_traps(True)
    with warnings.catch_warnings(action="error"):
        warnings.filterwarnings("ignore", category=debug.TrapWarning)
        mistake()


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_a_column_against_a_row_in_a_loss(name: str) -> None:
    loss = getattr(F, name)
    (message,) = told(lambda: loss(torch.ones(4, 1), torch.ones(4)))
    first, because, remedy = message.split("\n  ")
    assert first.endswith(
        "incorrect results due to broadcasting. Please ensure they have the same size."
    )
    assert because == "because each prediction is compared with other samples' targets too"
    assert remedy == "try input.squeeze(-1)"
    assert told(lambda: loss(torch.ones(4, 1), torch.ones(4, 1))) == []


PAGE = Path(__file__).parent.parent / "docs" / "debugging.md"


@pytest.mark.skipif(not PAGE.exists(), reason="runs beside the sources only")
def test_the_page_shows_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    warned: dict[str, list[str]] = {}
    heading = ""
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M):
        heading = part.partition("\n")[0]
        for cell in re.findall(
            r"^```\{code-cell\} python\n(?::[^\n]*\n)*(.*?)^```$", part, re.M | re.S
        ):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                exec(compile(cell, str(PAGE), "exec"), namespace)
            traps = [str(w.message)[:30] for w in caught if w.category is debug.TrapWarning]
            warned.setdefault(heading, []).extend(traps)
    assert {heading: messages for heading, messages in warned.items() if messages} == {
        "The loss goes down too slowly": ["cross_entropy is given the res"],
        "The loss goes down, then up": ["the gradient of 0.weight of Se"],
        "All predictions are the same": ["a loss compares predictions (1"],
        "A part stays as it was": ["gradients are computed for par"],
        "It gets worse after the first epoch": ["the model was trained in train"],
        "Memory grows": ["the graphs of former steps are"],
        "A gradient that is None": ["this leaf of shape (3,) has no"],
    }
    printed = capsys.readouterr().out
    for finding in ("vanishing gradient", "small updates", "dead units", "large updates"):
        assert f"\n{finding}: " in printed
    for anomaly in (
        "log made inf of",
        "Function 'SqrtBackward0' returned nan",
        "linear was given nan",
    ):
        assert f"\n{anomaly}" in printed
    assert "\nnothing suspicious was seen\n" in printed
    assert "\nexperts is a plain list of modules" in printed


# ----- Intentions ---------------------------------------------------------------------------------


def as_it_should_be() -> None:
    Training(Net(norm=True)).steps(140)


def gradients_of_several_backwards() -> None:
    it = Training(Net(norm=True))
    for _ in range(70):
        it.optimizer.zero_grad(set_to_none=False)
        for _ in range(4):
            it.loss().backward()
        it.optimizer.step()


def one_loss_of_several_parts() -> None:
    it = Training()
    shown = 0.0
    for _ in range(70):
        it.optimizer.zero_grad()
        loss: Any = 0
        for _ in range(4):
            loss = loss + it.loss()
        loss.backward()
        it.optimizer.step()
        shown += loss.item()


def _zero_in_numpy(p: Any) -> None:
    p.grad.numpy()[...] = 0


def _set_to_none(p: Any) -> None:
    p.grad = None


ZEROING: list[Callable[[Any], Any]] = [
    lambda p: p.grad.zero_(),
    lambda p: p.grad.data.zero_(),
    lambda p: p.grad.mul_(0.9),  # not zeroed, but meant
    _set_to_none,
    _zero_in_numpy,
]


def zeroed_by_hand() -> None:
    for zero in ZEROING:
        for early in (False, True):
            it = Training()
            for _ in range(20):
                if early:
                    for p in it.model.parameters():
                        if p.grad is not None:
                            zero(p)
                it.loss().backward()
                it.optimizer.step()
                if not early:
                    for p in it.model.parameters():
                        zero(p)


def zeroed_by_the_model() -> None:
    it = Training()
    for set_to_none in (False, True):
        for _ in range(70):
            it.model.zero_grad(set_to_none)
            it.loss().backward()
            it.optimizer.step()


def fixed_gradients() -> None:
    it = Training()
    it.loss().backward()
    for _ in range(70):
        it.optimizer.step()


def a_game_of_two() -> None:
    for at_once in (False, True):
        maker = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        judge = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
        one = torch.optim.Adam(maker.parameters(), lr=0.01)
        other = torch.optim.Adam(judge.parameters(), lr=0.01)
        ones, zeros = torch.ones(16, 1), torch.zeros(16, 1)
        loss = F.binary_cross_entropy_with_logits
        for _ in range(70):
            made = maker(torch.randn(16, 3))
            if at_once:
                one.zero_grad()
            other.zero_grad(set_to_none=at_once)
            loss(judge(X), ones).backward()
            loss(judge(made.detach()), zeros).backward()
            other.step()
            if not at_once:
                one.zero_grad(set_to_none=False)
            loss(judge(made), ones).backward()  # leaves gradients in the judge
            one.step()


def fine_tuning_in_eval_mode() -> None:
    pretrained = Training(Net(norm=True))
    pretrained.steps(10)
    it = Training(pretrained.model.eval())
    it.steps()


def norms_frozen_in_between() -> None:
    it = Training(Net(norm=True))
    it.steps(20)
    it.model.norm.eval()
    it.steps()


def validation_in_between() -> None:
    it = Training(Net(norm=True))
    for _ in range(70):
        it.model.eval()
        it.loss()  # without no_grad
        it.model.train()
        it.step()


def attacked_in_between() -> None:
    it = Training(Net(norm=True))
    for _ in range(70):
        it.model.eval()
        x = X.clone().requires_grad_()
        F.mse_loss(it.model(x), Y).backward()
        it.model.train()
        it.optimizer.zero_grad()
        F.mse_loss(it.model(X + 0.01 * x.grad.sign()), Y).backward()
        it.optimizer.step()


def frozen_backbone() -> None:
    it = Training(Net(norm=True))
    it.model.layers.requires_grad_(False)
    it.optimizer = torch.optim.SGD(it.model.head.parameters(), lr=0.01)
    it.model.norm.requires_grad_(False).eval()
    it.steps()


def teacher_and_student() -> None:
    it = Training()
    teacher = copy.deepcopy(it.model)
    for _ in range(70):
        it.optimizer.zero_grad()
        with no_grad():
            wanted = teacher(X)
        F.mse_loss(it.model(X), wanted).backward()
        it.optimizer.step()
        with no_grad():
            for p, q in zip(teacher.parameters(), it.model.parameters(), strict=True):
                p.lerp_(q, 0.1)


def learning_to_learn() -> None:
    it = Training()
    names = [name for name, _ in it.model.named_parameters()]
    for _ in range(70):
        fast = dict(it.model.named_parameters())
        it.optimizer.zero_grad()
        for _ in range(2):
            loss = F.mse_loss(torch.func.functional_call(it.model, fast, (X,)), Y)
            grads = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {n: p - 0.01 * g for n, p, g in zip(names, fast.values(), grads, strict=True)}
        F.mse_loss(torch.func.functional_call(it.model, fast, (X,)), Y).backward()
        it.optimizer.step()


def slopes_penalised() -> None:
    it = Training()
    for _ in range(70):
        it.optimizer.zero_grad()
        x = X.clone().requires_grad_()
        (slope,) = torch.autograd.grad(it.model(x).sum(), x, create_graph=True)
        (it.loss() + (slope.norm(dim=1) - 1).square().mean()).backward()
        it.optimizer.step()


def one_chunk_after_the_other() -> None:
    for leaf in (False, True):
        cell, head = nn.GRUCell(3, 8), nn.Linear(8, 1)
        optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
        h = torch.zeros(16, 8)
        kept = []
        for _ in range(70):
            h = h.detach().requires_grad_(leaf)
            optimizer.zero_grad()
            loss: Any = 0
            for _ in range(3):
                h = cell(X, h)
                loss = loss + F.mse_loss(head(h), Y)
            loss.backward()
            optimizer.step()
            kept.append(loss.detach())


def kept_by_name() -> None:
    it = Training()
    best: Any = None
    for _ in range(140):
        it.optimizer.zero_grad()
        loss = it.loss()
        loss.backward()
        it.optimizer.step()
        if best is None or loss < best:
            best = loss


def all_pairs() -> None:
    centres = torch.randn(16)
    h = Net()(X)
    x = h.squeeze(1)
    (x[:, None] - centres).square().mean().backward(retain_graph=True)
    (x.unsqueeze(1) - x).abs().mean().backward(retain_graph=True)
    (x.reshape(16, 1) * centres).exp().sum().backward(retain_graph=True)
    (h - h.T).square().mean().backward(retain_graph=True)
    (nn.Linear(3, 3)(X[:3]) - X[:3]).square().mean().backward()


def temperature_by_hand() -> None:
    it = Training()
    temperature: Any = nn.Parameter(torch.ones(1))
    for _ in range(70):
        it.optimizer.zero_grad()
        (it.loss() / temperature + temperature.square()).sum().backward()
        it.optimizer.step()
        with no_grad():
            temperature -= 0.01 * temperature.grad
        temperature.grad = None


def now_and_then_by_hand() -> None:
    it = Training()
    average: Any = nn.Parameter(torch.zeros(1))
    for step in range(140):
        it.optimizer.zero_grad()
        (it.loss() + average.square().sum()).backward()
        it.optimizer.step()
        if step % 10 == 0:
            average.data += 0.1


def optimizers_that_were_copied() -> None:
    one, other = copy.deepcopy((Training(), Training()))
    for _ in range(70):
        one.optimizer.zero_grad()
        other.optimizer.zero_grad()
        (one.loss() + other.loss()).backward()
        one.optimizer.step()
        other.optimizer.step()


def scores_that_were_rearranged() -> None:
    scores = torch.randn(2, 5, 3, requires_grad=True)
    F.cross_entropy(scores.flatten(0, 1), torch.zeros(10).long())
    F.cross_entropy(scores.transpose(1, 2), torch.zeros(2, 5).long())
    F.binary_cross_entropy_with_logits(scores[:, 0].squeeze(), torch.zeros(2, 3))
    F.nll_loss(scores.softmax(2).log().flatten(0, 1), torch.zeros(10).long())


@without_optimizers()
def steps_by_hand_and_zeroed() -> None:
    for zero in ZEROING:
        w: Any = torch.ones(3, requires_grad=True)
        for _ in range(10):
            (X @ w).square().mean().backward()
            (X @ w).square().mean().backward()
            with no_grad():
                w -= 0.01 * w.grad
            zero(w)


@without_optimizers()
def gradients_along_a_path() -> None:
    start, end = torch.zeros(3), torch.tensor([1.0, 2.0, -1.0])
    x: Any = torch.zeros(3, requires_grad=True)
    for step in range(10):
        x.data = start + step / 10 * (end - start)
        (x**3).sum().backward()
        x.data.copy_(start + step / 10 * (end - start))
        x.exp().sum().backward()


def with_closures() -> None:
    it = Training()
    it.optimizer = torch.optim.LBFGS(it.model.parameters(), max_iter=3)

    def closure() -> Any:
        it.optimizer.zero_grad()
        loss = it.loss()
        loss.backward()
        return loss

    for _ in range(10):
        it.optimizer.step(closure)


def same_graph_again() -> None:
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=0.01)
    total: Any = 0
    for _ in range(70):
        total = total + (3 * w).sum()
        optimizer.zero_grad()
        total.backward(retain_graph=True)
        optimizer.step()


def a_leaf_for_the_moment() -> None:
    w = torch.ones(3, requires_grad=True)
    (torch.ones(3, 2, requires_grad=True).sum() + w.sum()).backward()
    assert w.grad is not None
    assert torch.ones(3, 1, requires_grad=True).grad is None


INTENTIONS = [
    as_it_should_be, gradients_of_several_backwards, one_loss_of_several_parts, zeroed_by_hand,
    zeroed_by_the_model, fixed_gradients, a_game_of_two, fine_tuning_in_eval_mode,
    norms_frozen_in_between, validation_in_between, attacked_in_between, frozen_backbone,
    teacher_and_student, learning_to_learn, slopes_penalised, one_chunk_after_the_other,
    steps_by_hand_and_zeroed, gradients_along_a_path,
    now_and_then_by_hand, optimizers_that_were_copied, scores_that_were_rearranged,
    kept_by_name, all_pairs, temperature_by_hand, with_closures, same_graph_again,
    a_leaf_for_the_moment,
]  # fmt: skip


@pytest.mark.parametrize("intention", INTENTIONS, ids=lambda f: f.__name__)
def test_an_intention_is_not_told_of(intention: Callable[[], None]) -> None:
    assert told(intention) == []


# ----- Looking ------------------------------------------------------------------------------------


def test_few_steps_are_looked_at() -> None:
    looks, taken = [], 0
    while taken < 3000:
        taken = next_look(taken)
        looks.append(taken)
    assert looks == [1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3072]


def test_looks_end_with_their_step_and_keep_nothing_alive() -> None:
    gc.collect()
    others = list(noticed.looks)
    it = Training()
    it.steps(1)
    (look,) = (look for look in noticed.looks if look not in others)
    it.step()
    assert look not in noticed.looks
    it.steps(14)
    assert it.optimizer._taken == 16
    (look,) = (look for look in noticed.looks if look not in others)
    it.loss().backward()
    it = Training()
    gc.collect()
    assert look() is None
    assert look not in noticed.looks


def test_a_training_that_is_over_is_no_longer_looked_at() -> None:
    it = Training()
    it.step()
    look = noticed.looks[-1]
    for _ in range(70):
        it.loss().backward()
    assert look() is not None
    assert look not in noticed.looks


def test_other_threads_are_not_looked_at() -> None:
    it = Training()

    def elsewhere() -> None:
        thread = threading.Thread(target=lambda: it.loss().backward())
        thread.start()
        thread.join()

    def steps() -> None:
        for _ in range(70):
            it.step()
            elsewhere()
            it.optimizer.zero_grad()

    assert told(steps) == []
