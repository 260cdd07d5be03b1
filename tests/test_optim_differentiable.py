"""Gradients through steps of optimizers, as learning to learn needs them, are PyTorch's."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.optimizers import BOTH, CONFIGURATIONS

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


@pytest.fixture(autouse=True)
def _in_double():
    """Keep step counts, with which PyTorch's differentiable steps compute, in double precision."""
    for package in BOTH:
        package.set_default_dtype(package.float64)
    yield
    for package in BOTH:
        package.set_default_dtype(package.float32)


# PyTorch can't go back through several steps of these.
ONCE = [
    (name, options)
    for name, options in CONFIGURATIONS
    if name in ("Adamax", "Rprop") or options.get("amsgrad") or options.get("centered")
]


def trained_through(package, name, options, hyper=(), recorded=2, start=None):
    """Return a loss after some steps, its gradients, and what it is made of.

    Args:
        package: which one.
        name: of the optimizer.
        options: its options.
        hyper: the names of options to take a gradient by, as tensors.
        recorded: how many of the steps depend on the start; PyTorch's SGD leaves its momentum out of
            the graph at the very first one.
        start: is added to the parameter before these.
    """
    rng = np.random.default_rng(0)
    values, scale = rng.standard_normal((2, 3, 4)) + 1.5
    start = package.tensor(np.zeros((3, 4)) if start is None else start, requires_grad=True)
    scale = package.tensor(scale)
    options = {"lr": 0.01} | options
    hypers = []
    for key in hyper:
        several = isinstance(options[key], tuple)
        made = [
            package.tensor(value, requires_grad=True)
            for value in (options[key] if several else [options[key]])
        ]
        hypers += made
        options[key] = tuple(made) if several else made[0]
    p = package.tensor(values)
    optimizer = getattr(package.optim, name)([p], differentiable=True, **options)
    for left in reversed(range(3 + recorded)):
        if left == recorded - 1:
            p.add_(start)
        q = p.clone()  # what a step overwrites is not to be needed
        if not q.requires_grad:
            q.requires_grad_()
        (g,) = package.autograd.grad((q**3 * scale).sum(), q, create_graph=left < recorded)
        p.grad = g
        optimizer.step()
    state = optimizer.state[p]
    outer = (p**2).sum() + sum((v * v).sum() for v in state.values() if v.requires_grad)
    gradients = package.autograd.grad(outer, [start, *hypers])
    return outer.item(), gradients, {"p": p, **state}


def check(mine, theirs):
    assert list(mine[2]) == list(theirs[2])
    pairs = zip([*mine[1], *mine[2].values()], [*theirs[1], *theirs[2].values()], strict=True)
    for got, wanted in pairs:
        np.testing.assert_allclose(
            got.detach().numpy(), wanted.detach().numpy(), rtol=1e-8, atol=1e-12
        )
    assert all(g.abs().min() > 1e-4 for g in theirs[1])


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_gradients_through_steps(name, options):
    recorded = 1 if (name, options) in ONCE else 2
    check(*(trained_through(p, name, options, recorded=recorded) for p in BOTH))


@pytest.mark.parametrize(("name", "options"), ONCE)
def test_gradients_through_several_steps(name, options):
    _, (gradient, *_), _ = trained_through(ours, name, options)
    direction = np.random.default_rng(1).standard_normal((3, 4))
    high, low = (
        trained_through(ours, name, options, start=sign * 1e-6 * direction)[0] for sign in (1, -1)
    )
    slope = float((gradient.numpy() * direction).sum())
    assert slope == pytest.approx((high - low) / 2e-6, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "hyper"),
    [  # others, or more steps, PyTorch refuses
        ("SGD", {"weight_decay": 0.1}, ("lr", "weight_decay")),
        ("Adam", {"weight_decay": 0.1, "betas": (0.9, 0.99)}, ("lr", "weight_decay", "betas")),
        ("AdamW", {"weight_decay": 0.1}, ("lr", "weight_decay")),
        ("RAdam", {}, ("lr",)),
    ],
)
def test_gradients_by_options(name, options, hyper):
    check(*(trained_through(p, name, options, hyper) for p in BOTH))


def test_a_leaf_is_refused():
    for package in BOTH:
        w = package.ones(2, requires_grad=True)
        optimizer = package.optim.SGD([w], differentiable=True)
        w.grad = package.ones(2)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            optimizer.step()


def test_parameters_without_gradient_are_left_out():
    w = ours.ones(2)
    optimizer = ours.optim.Adam([w], differentiable=True)
    optimizer.step()
    assert w.tolist() == [1.0, 1.0]
    assert not optimizer.state
