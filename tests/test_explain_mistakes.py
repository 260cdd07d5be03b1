"""Mistakes that students make in a `Function` of their own are found and named; what is right is not blamed."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_like as torch
from tests.explained import leaf
from tinygrad_like import nn
from tinygrad_like.explanation import explain


def function(forward, backward, keep=None):
    """Return a `Function` made of ``forward(ctx, *args)`` and ``backward(ctx, g, *saved)``."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            out = forward(ctx, *args)
            tensors = [a for a in args if isinstance(a, torch.Tensor)]
            ctx.save_for_backward(*(tensors if keep is None else keep(out, *tensors)))
            return out

        @staticmethod
        def backward(ctx, g):
            return backward(ctx, g, *ctx.saved_tensors)

    return Own.apply


def plain(forward):
    return lambda ctx, *args: forward(*args)


def random(*shape):
    torch.manual_seed(0)
    return torch.rand(*shape, requires_grad=True)


def drop(ctx, x, p):
    ctx.mask = torch.rand(*x.shape) < p
    return x * ctx.mask / p


def changed(ctx, x):
    ctx.x = x.clone()
    out = ctx.x**3
    ctx.x.mul_(2)
    return out


square = plain(lambda x: x**2)
product = plain(lambda x, w: x @ w)
added = plain(lambda x, b: x + b)
error = plain(lambda x, y: ((x - y) ** 2).mean())

# forward, backward, operands, which operand's rule is wrong, what is most likely wrong
MISTAKES = {
    "chain rule forgotten": (
        *(square, lambda ctx, g, x: 2 * x, lambda: (leaf(1.0, 2.0),)),
        *(0, "it is the same whatever g arrives; by the chain rule"),
    ),
    "g twice": (
        *(square, lambda ctx, g, x: g * g * 2 * x, lambda: (leaf(1.0, 2.0),)),
        *(0, "it is multiplied by g twice"),
    ),
    "wrong sign": (
        *(plain(lambda x, y: x - y), lambda ctx, g, x, y: (g, g), lambda: (leaf(1.0), leaf(4.0))),
        *(1, "a sign is wrong"),
    ),
    "mean over a broadcast": (
        *(added, lambda ctx, g, x, b: (g, g.mean(0)), lambda: (random(4, 3), leaf(1.0, 2.0, 3.0))),
        *(1, "each element of input 1 was used 4 times (broadcasting)"),
    ),
    "order and transposes": (
        *(product, lambda ctx, g, x, w: (g @ w, x @ g), lambda: (random(3, 3), random(3, 3) + 1)),
        *(0, "g @ input 1.T would be right for input 0: mind order and transposes"),
    ),
    "gradients swapped": (
        *(plain(lambda x, y: x * y), lambda ctx, g, x, y: (g * x, g * y)),
        *(lambda: (leaf(1.0, 2.0), leaf(4.0, 5.0)), 0),
        "what it gives for input 1 would be right for input 0: backward returns gradients in the order",
    ),
    "1/n forgotten": (
        *(
            error,
            lambda ctx, g, x, y: (g * 2 * (x - y), None),
            lambda: (random(10), torch.rand(10)),
        ),
        *(0, "the 1/10 of a mean over 10 elements is missing"),
    ),
    "a factor forgotten": (
        *(
            error,
            lambda ctx, g, x, y: (g * (x - y) / 10, None),
            lambda: (random(10), torch.rand(10)),
        ),
        *(0, "the factor 2 is missing"),
    ),
    "operand kept, not result": (
        *(plain(lambda x: x.tanh()), lambda ctx, g, y: g * (1 - y * y), lambda: (leaf(0.5, 2.0),)),
        *(0, "with the result kept for backward in place of input 0 it would be right"),
    ),
    "changed in place": (
        *(changed, lambda ctx, g, x: 3 * g * ctx.x**2, lambda: (leaf(1.0, 2.0),)),
        *(0, "with input 0 kept for backward in place of ctx.x it would be right"),
    ),
    "None returned": (
        *(
            plain(lambda x, y: x * y),
            lambda ctx, g, x, y: (g * y, None),
            lambda: (leaf(1.0), leaf(4.0)),
        ),
        *(1, "its backward returns None for input 1, but the result changes with input 1"),
    ),
    "a term forgotten": (
        *(plain(lambda x: x * x + x), lambda ctx, g, x: g * 2 * x, lambda: (leaf(1.0, 3.0),)),
        *(0, "the term g is missing: the derivative of a lone input 0 is 1"),
    ),
    "nothing returned": (
        *(square, lambda ctx, g, x: None, lambda: (leaf(1.0, 2.0),)),
        *(0, "its backward returns None for input 0"),
    ),
    "right at 1 only": (
        *(square, lambda ctx, g, x: 2 * g * x**2, lambda: (leaf(1.0, 1.0),)),
        *(0, ""),
    ),
    "only the diagonal of a Jacobian": (
        *(
            plain(lambda x: x.softmax(-1)),
            lambda ctx, g, x: g * x.softmax(-1) * (1 - x.softmax(-1)),
        ),
        *(lambda: (random(2, 3),), 0, ""),
    ),
    "random, a factor forgotten": (
        *(drop, lambda ctx, g, x: (g * ctx.mask, None), lambda: (random(50) + 1, 0.25)),
        *(0, "the factor 4 is missing"),
    ),
    "rounding": (
        *(plain(lambda x: x.round()), lambda ctx, g, x: g, lambda: (leaf(1.2, 2.0),)),
        *(0, "if the gradient is meant to pass (a straight-through estimator), all is well"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake):
    forward, backward, operands, argument, likely = MISTAKES[mistake]
    lesson = explain(function(forward, backward)(*operands()).sum(), check=True, show=False)
    wrong = lesson.wrong
    assert (wrong.op, wrong.argument) == ("Own", f"input {argument}")
    assert likely in wrong.likely
    assert bool(wrong.likely) == bool(likely)
    assert re.search(r"test_explain_mistakes.py:\d+", wrong.place)
    text = " ".join(str(lesson).split())
    assert f"The first wrong rule is in step {wrong.step.number}: Own's rule for input" in text
    assert f"WRONG: Own's rule for input {argument}" in text
    for label, told in wrong.lines:
        assert f"{label} {told}" in text


def test_a_wrong_rule_for_a_gradient_that_happens_to_be_one():
    own = function(square, lambda ctx, g, x: 2 * x)
    wrong = explain(own(leaf(1.0, 2.0)).sum(), check=True, show=False).wrong
    g = np.array(re.findall(r"\d+", wrong.given), float)
    assert wrong.given.startswith("for g = [")
    assert wrong.got.tolist() == [2.0, 4.0]
    np.testing.assert_allclose(wrong.expected, g * [2.0, 4.0], rtol=1e-6)


def test_a_rule_that_is_right_for_the_numbers_it_met():
    own = function(square, lambda ctx, g, x: 2 * g * x**2)
    wrong = explain(own(leaf(1.0, 1.0)).sum(), check=True, show=False).wrong
    (x,) = [np.array(eval(wrong.given.removeprefix("at input 0 = ")))]
    np.testing.assert_allclose(wrong.got, 2 * x**2, rtol=1e-3)
    np.testing.assert_allclose(wrong.expected, 2 * x, rtol=1e-3)


# ----- Rules that raise ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backward", "told", "likely"),
    [
        (lambda ctx, g, x, w: (g @ w, x @ g), "matmul: input is float32 (2, 4)", ""),
        (lambda ctx, g, x, w: (w @ g.T, g.T @ x), "got [3, 2] but expected", "it is transposed"),
        (lambda ctx, g, x, w: (x.T @ g, g @ w.T), "got [3, 4]", "that is the shape of input 1"),
        (lambda ctx, g, x, w: (g.sum(), None), "got []", "expand g to the shape of input 0"),
        (
            lambda ctx, g, x, w: (g, None),
            "got [2, 4]",
            "what input 0 is sent has the shape of input 0",
        ),
        (lambda ctx, g, x, w: g @ w.T, "an incorrect number of gradients (expected 2, got 1)", ""),
    ],
)
def test_a_rule_that_raises_is_the_first_wrong_one(backward, told, likely):
    loss = function(product, backward)(random(2, 3), random(3, 4)).sum()
    lesson = explain(loss, check=True, show=False)
    assert [step.op for step in lesson] == ["sum", "Own"]
    assert told in lesson.wrong.reason
    assert likely in lesson.wrong.likely
    assert "step 2: Own's rule\n" in str(lesson)
    assert f"raised {lesson.wrong.reason}" in " ".join(str(lesson).split())
    with pytest.raises(RuntimeError):
        explain(loss, show=False)


# ----- What is right ------------------------------------------------------------------------------


def single(x):
    return x.numpy().astype(np.float32)


def relu_of_floats(dtype):
    return plain(lambda x: torch.tensor(np.maximum(single(x), 0).astype(dtype)))


def one_where(condition):
    return lambda ctx, g, x: g * condition(x)


positive = one_where(lambda x: x > 0)
RIGHT = {
    "float32 inside": (relu_of_floats(np.float32), positive, lambda: (torch.randn(50, 50),)),
    "float32 in between": (relu_of_floats(np.float64), positive, lambda: (torch.randn(60),)),
    "float32 at a kink": (relu_of_floats(np.float32), positive, lambda: (leaf(0.0, 0.0, 1.0),)),
    "a large sum of float32": (
        plain(lambda x: torch.tensor(np.float32((single(x) ** 2).sum()))),
        lambda ctx, g, x: 2 * g * x,
        lambda: (torch.randn(30) + 1000,),
    ),
    "float32 exponentials": (
        plain(lambda x: torch.tensor(np.exp(single(x)).astype(np.float64))),
        lambda ctx, g, x: g * x.exp(),
        lambda: (torch.randn(600, 10),),
    ),
    "float32 only": (
        plain(lambda x, w: torch.tensor(single(x) @ single(w))),
        lambda ctx, g, x, w: (g @ w.T, x.T @ g),
        lambda: (torch.randn(64, 100), torch.randn(100, 64)),
    ),
    "small slopes of large numbers": (
        plain(lambda x: x * 1e-3 + 1e6),
        lambda ctx, g, x: g * 1e-3,
        lambda: (torch.randn(100, 100),),
    ),
    "relu at 0, from above": (
        plain(lambda x: x.relu()),
        one_where(lambda x: x >= 0),
        lambda: (leaf(0.0, 1.0, -1.0),),
    ),
    "abs at 0": (
        plain(lambda x: x.abs()),
        lambda ctx, g, x: g * x.sign(),
        lambda: (leaf(0.0, 0.0, 1.0),),
    ),
    "the ends of clamp": (
        plain(lambda x: x.clamp(0, 1)),
        one_where(lambda x: (x >= 0) & (x <= 1)),
        lambda: (leaf(0.0, 1.0, 0.5),),
    ),
    "ties of max, all": (
        plain(lambda x: x.max()),
        one_where(lambda x: x == x.max()),
        lambda: (leaf(1.0, 1.0, -1.0),),
    ),
    "ties of max, shared": (
        plain(lambda x: x.max()),
        lambda ctx, g, x: g * (x == x.max()) / (x == x.max()).sum(),
        lambda: (leaf(1.0, 1.0, -1.0),),
    ),
    "very large and small": (
        plain(lambda x: x**3),
        lambda ctx, g, x: 3 * g * x * x,
        lambda: (leaf(1e5, 1e-5, -1e4, 1e-3),),
    ),
    "steps": (
        plain(lambda x: (x > 0).float()),
        lambda ctx, g, x: torch.zeros_like(x),
        lambda: (torch.randn(5),),
    ),
    "repeated indices": (
        plain(lambda x, i: x[i]),
        lambda ctx, g, x, i: (torch.zeros_like(x).index_add(0, i, g), None),
        lambda: (torch.randn(5), torch.tensor([1, 1, 2])),
    ),
    "summed by the engine": (added, lambda ctx, g, x, b: (g, g), lambda: (random(4, 3), leaf(1.0))),
    "random": (
        *(drop, lambda ctx, g, x: (g * ctx.mask / 0.25, None), lambda: (torch.randn(50), 0.25)),
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_is_not_blamed(case):
    forward, backward, operands = RIGHT[case]
    torch.manual_seed(1)
    given = operands()
    given[0].requires_grad_()
    out = function(forward, backward)(*given)
    state = torch.get_rng_state().tolist()
    for loss in (out.sum(), (out * torch.linspace(-1, 2, out.numel()).reshape(out.shape)).sum()):
        checks = explain(loss, check=True, show=False).checks
        assert [c.right for c in checks if c.op == "Own"] == [True] * sum(
            t.requires_grad for t in given if isinstance(t, torch.Tensor)
        )
    assert torch.get_rng_state().tolist()[-40:] == state[-40:]


def test_a_constant_that_only_the_function_keeps():
    own = function(error, lambda ctx, g, x, y: (g * 2 * (x - y), None))
    loss = own(random(4), torch.zeros(4))  # nobody else holds the zeros
    assert "1/4 of a mean" in explain(loss, check=True, show=False).wrong.likely


def test_places_where_there_is_no_derivative():
    for forward, backward, x in (
        (lambda x: x.acos(), lambda ctx, g, x: -g / (1 - x * x).sqrt(), leaf(1.0, 0.3)),
        (lambda x: x.sqrt(), lambda ctx, g, x: g / 2 / x.sqrt(), leaf(0.0, 0.3)),
        (lambda x: x.norm(), lambda ctx, g, x: g * x / x.norm(), leaf(0.0, 0.0)),
    ):
        lesson = explain(function(plain(forward), backward)(x).sum(), check=True, show=False)
        (check,) = [c for c in lesson.checks if c.op == "Own"]
        assert (check.right, check.reason) == (None, "it meets inf or nan")


def test_two_results_of_which_one_is_used():
    class Both(torch.autograd.Function):
        factor = 1

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin(), x.cos()

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return g * x.cos() - Both.factor * h * x.sin()

    def loss():
        sine, cosine = Both.apply(leaf(1.0, 2.0))
        return (sine * cosine).sum()

    assert explain(Both.apply(leaf(1.0))[0].sum(), check=True, show=False).wrong is None
    assert explain(loss(), check=True, show=False).wrong is None
    Both.factor = 2
    assert explain(loss(), check=True, show=False).wrong.op == "Both"


def losses(scores):
    target = torch.arange(len(scores)) % 10
    one_hot = nn.functional.one_hot(target, 10).float()
    yield nn.functional.cross_entropy(scores, target)
    yield nn.functional.multi_margin_loss(scores, target)
    yield (scores - one_hot).abs().sum()
    yield scores.topk(3)[0].sum() + scores.sort(1)[0][:, 3].sum()


def test_kinks_by_the_thousand_are_not_blamed():
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    last = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2), nn.Hardtanh(), nn.AdaptiveMaxPool2d(2))
    net = nn.Sequential(
        *(first, nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.LeakyReLU(), nn.AvgPool2d(2), last),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(32, 10)),
    )
    for loss in losses(net(torch.randn(16, 1, 20, 20))):
        checks = explain(loss, check=True, show=False).checks
        assert [str(check) for check in checks if not check.right] == []


def test_a_mistake_in_a_large_operand_with_kinks():
    def ties(x):
        return x.relu().reshape(-1, 4).max(1)[0]

    def backward(ctx, g, x):
        rows = x.reshape(-1, 4)
        largest = (rows == rows.max(1, keepdim=True)[0]) & (rows > 0)
        return (g[:, None] * largest).reshape(x.shape)

    torch.manual_seed(0)
    x = torch.randn(4000, requires_grad=True)
    assert explain(function(plain(ties), backward)(x).sum(), check=True, show=False).wrong is None
    twice = function(plain(ties), lambda ctx, g, x: 2 * backward(ctx, g, x))
    assert explain(twice(x).sum(), check=True, show=False).wrong.op == "Own"


def test_a_network_with_one_wrong_function():
    torch.manual_seed(0)
    own = function(plain(lambda x: x * x.sigmoid()), lambda ctx, g, x: g * x.sigmoid())
    net = nn.Sequential(nn.Linear(20, 30), nn.LayerNorm(30), nn.Linear(30, 1))
    loss = own(net(torch.randn(16, 20))).mean()
    lesson = explain(loss, check=True, show=False)
    assert [c.op for c in lesson.checks if c.right is False] == ["Own"]
