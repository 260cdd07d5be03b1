"""Optimizers refuse what makes no sense in PyTorch's words, and accept what has no meaning here."""

import inspect

import pytest

import tinygrad_like as ours
from tests.optimizers import BOTH, EVERY, torch


def tensor(package):
    return package.zeros(2, requires_grad=True)


REFUSED = [
    (TypeError, lambda p: p.optim.SGD(tensor(p))),
    (TypeError, lambda p: p.optim.SGD([1])),
    (TypeError, lambda p: p.optim.SGD([{"params": {tensor(p)}}])),
    (TypeError, lambda p: p.optim.SGD([{"params": [tensor(p)]}, tensor(p)])),
    (ValueError, lambda p: p.optim.SGD([])),
    (ValueError, lambda p: p.optim.SGD([tensor(p) * 2])),
    (ValueError, lambda p: p.optim.SGD([("a", tensor(p)), tensor(p)])),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], lr=p.zeros(2))),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], momentum=-1)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], nesterov=True)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], 1, 0.9, 0.1, nesterov=True)),
    (RuntimeError, lambda p: p.optim.SGD([tensor(p)], fused=True, foreach=True)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], betas=(1.0, 0.9))),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], betas=(0.9, -1.0))),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], betas=(0.9, p.tensor(0.9)))),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], lr=p.tensor(0.1), foreach=True)),
    (RuntimeError, lambda p: p.optim.Adam([tensor(p)], fused=True, foreach=True)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], alpha=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], momentum=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], lr_decay=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], initial_accumulator_value=-1)),
    (ValueError, lambda p: p.optim.Adadelta([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Adadelta([tensor(p)], lr=p.zeros(2))),
    (ValueError, lambda p: p.optim.Adadelta([tensor(p)], rho=1.5)),
    (ValueError, lambda p: p.optim.Adadelta([tensor(p)], rho=-0.5)),
    (ValueError, lambda p: p.optim.Adadelta([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.Adadelta([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], lr=p.zeros(2))),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], beta2_decay=1)),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], eps=(-1, 1))),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], eps=(None, -1))),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], d=0.5)),
    (ValueError, lambda p: p.optim.Adafactor([tensor(p)], weight_decay=-1)),
    *(
        (
            ValueError,
            lambda p, name=name, option=option: getattr(p.optim, name)([tensor(p)], **option),
        )
        for name in ("Adamax", "NAdam", "RAdam", "AdamW")
        for option in (
            {"lr": -1},
            {"eps": -1},
            {"betas": (1.0, 0.9)},
            {"betas": (0.9, -1.0)},
            {"weight_decay": -1},
        )
    ),
    (ValueError, lambda p: p.optim.NAdam([tensor(p)], momentum_decay=-1)),
    (ValueError, lambda p: p.optim.ASGD([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.ASGD([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Rprop([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Rprop([tensor(p)], etas=(1.5, 1.2))),
    (ValueError, lambda p: p.optim.Rprop([tensor(p)], etas=(0.0, 1.2))),
    (ValueError, lambda p: p.optim.Rprop([tensor(p)], etas=(0.5, 1.0))),
    (ValueError, lambda p: p.optim.LBFGS([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.LBFGS([{"params": [tensor(p)]}, {"params": [tensor(p)]}])),
    (ValueError, lambda p: p.optim.Muon([tensor(p)])),
    (ValueError, lambda p: p.optim.Muon([p.zeros(2, 2)], lr=-1)),
    (ValueError, lambda p: p.optim.Muon([p.zeros(2, 2)], lr=p.zeros(2))),
    (ValueError, lambda p: p.optim.Muon([p.zeros(2, 2)], momentum=-1)),
    (ValueError, lambda p: p.optim.Muon([p.zeros(2, 2)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Muon([p.zeros(2, 2)], adjust_lr_fn="none")),
    (RuntimeError, lambda p: p.optim.SGD([tensor(p)], fused=True, differentiable=True)),
    (RuntimeError, lambda p: p.optim.Adagrad([tensor(p)], fused=True, differentiable=True)),
    (RuntimeError, lambda p: p.optim.Adagrad([tensor(p)], fused=True, foreach=True)),
    (TypeError, lambda p: p.optim.Muon([tensor(p)], maximize=True)),
]


@pytest.mark.parametrize(("error", "make"), REFUSED)
def test_refusals_are_pytorchs(error, make):
    messages = []
    for package in BOTH:
        with pytest.raises(error) as caught:
            make(package)
        messages.append(str(caught.value).replace("tinygrad_like.tensor.", "torch."))
    assert messages[0] == messages[1]


def test_groups_are_checked():
    for package in BOTH:
        w = tensor(package)
        optimizer = package.optim.SGD([w])
        with pytest.raises(ValueError, match="some parameters appear in more than one"):
            optimizer.add_param_group({"params": w})
        with pytest.raises(ValueError, match="cannot add param group with names to the optimizer"):
            optimizer.add_param_group({"params": [("a", tensor(package))]})
        with pytest.raises(TypeError, match="param_group must be a dict"):
            optimizer.add_param_group([w])
        assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("name", dict(EVERY))
def test_options_without_meaning_here_are_accepted(name):
    made = getattr(ours.optim, name)
    known = {"foreach", "fused", "capturable"} & set(inspect.signature(made).parameters)
    assert known
    for option in known:
        w = tensor(ours)
        optimizer = made([w], **{option: True})
        assert optimizer.param_groups[0][option] is True
        w.grad = ours.ones(2)
        optimizer.step()
        assert w.any()


@pytest.mark.parametrize("name", [*dict(EVERY), "Muon", "LBFGS"])
def test_signatures_are_pytorchs(name):
    mine, theirs = (inspect.signature(getattr(p.optim, name)).parameters for p in BOTH)
    for given, wanted in zip(mine.values(), theirs.values(), strict=True):
        assert (given.name, given.kind) == (wanted.name, wanted.kind)
        assert given.default == wanted.default
        assert type(given.default) is type(wanted.default)


def test_sparse_gradients_are_refused():
    w = tensor(ours)
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor"):
        w.grad = torch.ones(2).to_sparse()
