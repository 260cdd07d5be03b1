"""Rules against finite differences: wrong ones are named, right ones are not."""

from __future__ import annotations

import weakref
import zlib

import numpy as np
import pytest

import tinygrad_like as torch
from tests.explained import WrongCube, leaf
from tests.rows import collect
from tests.rows.base import Bools, Ints, Real
from tinygrad_like import nn
from tinygrad_like.explanation import explain
from tinygrad_like.graph import Array, result_type
from tinygrad_like.op import REGISTRY, op

F = nn.functional


# ----- Every op -----------------------------------------------------------------------------------


def first_samples():
    for name, row in collect():
        if row.order:
            yield pytest.param(name, row, id=name)


@pytest.mark.parametrize(("name", "row"), list(first_samples()))
def test_every_op_is_explained_and_no_rule_is_blamed(name, row):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    operands = []
    for spec in row.samples[0]:
        value = spec.draw(rng, "float64", None) if isinstance(spec, Real | Ints | Bools) else spec
        if isinstance(value, np.ndarray):
            value = result_type.make(value)
            value.requires_grad_(isinstance(spec, Real) and spec.grad)
        operands.append(value)
    torch.manual_seed(0)
    out = row.call(torch, *operands)
    outs = list(out) if isinstance(out, list | tuple) else [out]
    outs = [t for t in outs if isinstance(t, torch.Tensor) and t.requires_grad]
    gradients = [torch.tensor(rng.normal(size=t.shape), dtype=t.dtype) for t in outs]
    lesson = explain(outs, gradients, show=False, check=True)
    assert lesson.wrong is None, str(lesson.wrong)
    assert max(map(len, str(lesson).splitlines())) <= 80
    leaves = [t for t in operands if isinstance(t, torch.Tensor) and t.requires_grad]
    wanted = torch.autograd.grad(outs, leaves, gradients, allow_unused=True)
    found = {step.node: step.gradient for step in lesson}
    for tensor, g in zip(leaves, wanted, strict=True):
        got = found.get(tensor.node)
        assert (got is None) is (g is None)
        if g is not None:
            np.testing.assert_array_equal(got.numpy(), g.numpy())


# ----- Checking rules -----------------------------------------------------------------------------


def test_a_wrong_function_is_found():
    x = leaf(1.0, 2.0)
    lesson = explain((WrongCube.apply(x.exp().log()) * 2).sum(), check=True, show=False)
    wrong = lesson.wrong
    assert (wrong.op, wrong.argument, wrong.right) == ("WrongCube", "x", False)
    assert wrong.step.op == "WrongCube"
    np.testing.assert_allclose(wrong.got, [4.0, 16.0], rtol=1e-5)
    np.testing.assert_allclose(wrong.expected, [6.0, 24.0], rtol=1e-5)
    assert "explained.py:" in wrong.place
    assert str(wrong).splitlines()[:-1] == [
        "WrongCube's rule for x is wrong",
        "  it gives  [4, 16]",
        "  expected  [6, 24], by finite differences, which is 1.5 times that",
        "  likely    the factor 1.5 is missing",
    ]
    assert repr(wrong) == "<Check: WrongCube's rule for x is wrong>"
    assert [check.op for check in lesson.checks if check.right is False] == ["WrongCube"]
    text = " ".join(str(lesson).split())
    assert f"The first wrong rule is in step {wrong.step.number}: WrongCube's rule for x it" in text
    assert repr(lesson) == f"<Explanation of {len(lesson)} steps, wrong: WrongCube>"


def test_a_common_factor_is_named():
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return -g * x

    wrong = explain(Half.apply(leaf(1.0, 0.0, 2.0)).sum(), check=True, show=False).wrong
    assert "expected  [2, 0, 4], by finite differences, which is -2 times that\n" in str(wrong)


def test_a_wrong_function_of_one_number_is_found():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * g * x  # 3 x^2 was meant

    loss = Cube.apply(torch.tensor(2.0, requires_grad=True))
    assert "expected  12, by finite" in str(explain(loss, check=True, show=False).wrong)


def test_a_rule_that_is_right_by_chance_is_tried_elsewhere():
    lesson = explain(WrongCube.apply(leaf(0.0, 0.0)).sum(), check=True, show=False)
    assert lesson.wrong.op == "WrongCube"


def test_the_first_of_two_is_named():
    class AlsoWrong(WrongCube):
        pass

    lesson = explain(AlsoWrong.apply(WrongCube.apply(leaf(1.5))).sum(), check=True, show=False)
    assert lesson.wrong.op == "AlsoWrong"
    assert "\n  also      WrongCube's rule for x, in step 3\n" in str(lesson)
    assert [check.op for check in lesson.checks if check.right is False] == [
        "AlsoWrong",
        "WrongCube",
    ]


def test_one_wrong_argument_of_two():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, left, right, scale):
            ctx.save_for_backward(left, right)
            ctx.scale = scale
            return left * right * scale

        @staticmethod
        def backward(ctx, g):
            left, right = ctx.saved_tensors
            return g * right * ctx.scale, g * left, None  # forgot the scale

    lesson = explain(
        Product.apply(leaf(1.0, 2.0), leaf(3.0, 4.0), 5.0).sum(), check=True, show=False
    )
    assert [(c.argument, c.right) for c in lesson.checks if c.op == "Product"] == [
        ("left", True),
        ("right", False),
    ]


def test_a_large_operand_is_varied_along_directions():
    x = torch.rand(50, 60, requires_grad=True)
    wrong = explain(WrongCube.apply(x).mean(), check=True, show=False).wrong
    assert wrong.op == "WrongCube"
    assert wrong.got.shape == (3,)
    place, got, expected = wrong.worst
    value = x[place].item()
    assert got == pytest.approx(2 * value**2 / 3000)
    assert expected == pytest.approx(3 * value**2 / 3000, rel=1e-4)
    assert f"it gives  {got:.4g} at [{place[0]}, {place[1]}]\n" in str(wrong)
    right = explain((x**3).mean(), check=True, show=False)
    assert [check.right for check in right.checks] == [True, True]


def test_the_worst_element_of_many_is_named():
    class Off(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            g = g * 2
            g[1, 3] = 7.0
            return g

    lesson = explain(Off.apply(torch.ones(3, 5, requires_grad=True)).sum(), check=True, show=False)
    assert "it gives  7 at [1, 3]\n  expected  2, by finite differences\n" in str(lesson.wrong)


@pytest.fixture
def wrong_op():
    @op(
        x=lambda g, y: g * y,
        y=lambda g, x: g * x * 1.5,
        name="half_wrong",
    )
    def half_wrong(x: Array, y: Array) -> Array:
        return x * y

    yield half_wrong
    del REGISTRY["half_wrong"]


def test_a_wrong_op_is_found(wrong_op):
    lesson = explain(wrong_op(leaf(1.0, 2.0), leaf(3.0, 4.0)).sum(), check=True, show=False)
    assert (lesson.wrong.op, lesson.wrong.argument) == ("half_wrong", "y")
    rules = REGISTRY["half_wrong"].rules
    line = rules["y"].__code__.co_firstlineno
    assert line == rules["x"].__code__.co_firstlineno + 1
    assert lesson.wrong.place == f"{__file__}:{line}"


def test_operands_that_nothing_keeps(wrong_op):
    # What comes out of an addition is kept by nobody but the op below it.
    x = leaf(1.0, 2.0) + 1

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    lesson = explain((Doubled.apply(x + 1) + 1).sum(), check=True, show=False)
    assert lesson.wrong.op == "Doubled"
    np.testing.assert_allclose(lesson.wrong.expected, [2.0, 2.0])


def test_functions_that_write_into_their_argument():
    class Doubling(torch.autograd.Function):
        factor = 2

        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * Doubling.factor

    y = leaf(1.0, 2.0) * 3
    loss = Doubling.apply(y).sum()
    before = y.tolist()
    assert explain(loss, check=True, show=False).wrong is None
    Doubling.factor = 3
    assert explain(loss, check=True, show=False).wrong.op == "Doubling"
    assert y.tolist() == before


def test_what_cannot_be_repeated_is_not_blamed():
    class Noise(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + torch.tensor(np.random.default_rng().random(2))

        @staticmethod
        def backward(ctx, g):
            return g

    lesson = explain(Noise.apply(leaf(1.0, 2.0)).sum(), check=True, show=False)
    assert lesson.wrong is None
    (check,) = [check for check in lesson.checks if check.op == "Noise"]
    assert check.right is None
    assert check.reason == "its forward does not give the same twice"
    assert "Every rule agrees with finite differences; 1 could not be checked." in str(lesson)
    assert "x not checked: its forward does not give the same twice" in str(lesson)


def test_arguments_that_are_gone():
    class Applied(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, values):
            return x * values[0]

        @staticmethod
        def backward(ctx, g):
            return g * 2, None

    lesson = explain(Applied.apply(leaf(1.0), [2.0]).sum(), check=True, show=False)
    (check,) = [check for check in lesson.checks if check.op == "Applied"]
    assert str(check) == (
        "Applied's rule for x was not checked: an argument of its forward is gone"
    )


def test_arguments_are_not_kept_alive():
    class Shifted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g, None

    x, y = leaf(1.0), torch.tensor([2.0])
    gone = weakref.ref(y)
    z = Shifted.apply(x, y)
    del y
    assert gone() is None
    (check,) = [c for c in explain(z.sum(), check=True, show=False).checks if c.op == "Shifted"]
    assert check.reason == "a tensor that its forward was given is gone"


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: F.relu(x),
        lambda x: x.abs(),
        lambda x: torch.maximum(x, torch.zeros(3)),
        lambda x: x.max(),
        lambda x: F.hardtanh(x, 0.0, 1.0),
    ],
)
def test_a_kink_is_no_mistake(compute):
    x = leaf(0.0, 1.0, 1.0)
    assert explain(compute(x).sum(), check=True, show=False).wrong is None


def test_inf_is_not_blamed():
    lesson = explain(leaf(0.0, 1.0).sqrt().sum(), check=True, show=False)
    assert [check.reason for check in lesson.checks if check.right is None] == [
        "it meets inf or nan"
    ]


def test_checking_works_where_nothing_is_recorded():
    loss = WrongCube.apply(leaf(1.0)).sum()
    with torch.no_grad():
        assert explain(loss, check=True, show=False).wrong.op == "WrongCube"
