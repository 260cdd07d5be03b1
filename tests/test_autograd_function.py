"""`autograd.Function`: users' own operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.autograd import Function
from tinygrad_like.autograd.function import once_differentiable
from tinygrad_like.testing import assert_close


def leaf(*values: float) -> Any:
    return ours.tensor(list(values), dtype=ours.float64, requires_grad=True)


def made(forward: Any, backward: Any, **more: Any) -> type[Function]:
    namespace = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Own", (Function,), namespace | {k: staticmethod(v) for k, v in more.items()})


class Power(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, exponent: int, scale: Any = None) -> Any:
        ctx.exponent, ctx.shape = exponent, "the user's own"
        out = x**exponent
        ctx.save_for_backward(x, None, out)
        return out

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, nothing, out = ctx.saved_tensors
        assert nothing is None
        assert ctx.shape == "the user's own"
        assert ctx.needs_input_grad == (True, False, False)
        assert_close(out.detach(), x.detach() ** ctx.exponent)
        return g * ctx.exponent * x ** (ctx.exponent - 1), None, None


def test_any_order() -> None:
    x = leaf(2.0, 3.0)
    y = Power.apply(x, 3)
    assert y.grad_fn.name() == "PowerBackward"
    assert type(y.grad_fn).__name__ == "PowerBackward"
    assert "grad_fn=<PowerBackward>" in repr(y)
    assert ours.autograd.gradcheck(lambda x: Power.apply(x, 3), x)
    assert ours.autograd.gradgradcheck(lambda x: Power.apply(x, 3), x)
    (first,) = ours.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = ours.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = ours.autograd.grad(second.sum(), x)
    assert third.tolist() == [6.0, 6.0]


def test_keyword_arguments_and_defaults() -> None:
    x = leaf(2.0)
    assert Power.apply(x, exponent=2).item() == 4.0
    with pytest.raises(TypeError):
        Power.apply(x, 2, power=3)


def test_setup_context() -> None:
    seen = []

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        seen.append((len(inputs), ctx.needs_input_grad))
        ctx.save_for_backward(inputs[0], output)

    def backward(ctx: Any, g: Any) -> Any:
        x, out = ctx.saved_tensors
        return g * out, g * x.exp() * 0

    own = made(lambda x, k=2: x.exp(), backward, setup_context=setup_context)
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="returned a gradient different than None at position 2"):
        own.apply(x).backward()
    assert seen == [(2, (True, False))]
    own = made(lambda x: x.exp(), lambda c, g: g * c.saved_tensors[1], setup_context=setup_context)
    assert ours.autograd.gradgradcheck(own.apply, leaf(0.3, -1.0))


def test_nothing_is_recorded_inside_nor_without_need() -> None:
    modes = []
    own = made(lambda c, x: [modes.append(ours.is_grad_enabled()), x * 2][1], lambda c, g: g * 2)
    assert own.apply(leaf(1.0)).requires_grad
    assert not own.apply(ours.ones(1)).requires_grad
    with ours.no_grad():
        assert not own.apply(leaf(1.0)).requires_grad
    assert modes == [False] * 3


def test_backward_records_only_with_create_graph() -> None:
    modes = []
    own = made(lambda c, x: x * 2, lambda c, g: [modes.append(ours.is_grad_enabled()), g * 2][1])
    own.apply(leaf(1.0)).backward()
    own.apply(leaf(1.0)).backward(create_graph=True)
    assert modes == [False, True]


def test_several_results_of_any_kind() -> None:
    seen = []

    def forward(ctx: Any, x: Any, y: Any) -> Any:
        low = x < y
        ctx.mark_non_differentiable(low)
        return x * 2, "text", low, y * 3, None

    def backward(ctx: Any, *grads: Any) -> Any:
        seen.append([None if g is None else g.tolist() for g in grads])
        return grads[0] * 2, grads[3] * 3

    x, y = leaf(1.0, 5.0), leaf(2.0, 3.0)
    a, text, low, b, none = made(forward, backward).apply(x, y)
    assert (text, none) == ("text", None)
    assert low.tolist() == [True, False]
    assert (a.requires_grad, low.requires_grad, b.output_nr) == (True, False, 3)
    a.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    assert y.grad.tolist() == [0.0, 0.0]
    assert seen[0][0] == [1.0, 1.0]
    assert seen[0][1] is None
    assert seen[0][3] == [0.0, 0.0]


def test_gradients_are_not_materialised_if_not_wanted() -> None:
    seen = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    own = made(forward, lambda c, a, b: [seen.append((a is None, b is None)), (b * 3)][1])
    x = leaf(1.0)
    own.apply(x)[1].backward()
    assert seen == [(True, False)]
    assert x.grad.item() == 3.0


def test_non_differentiable_floats() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        out = x.floor()
        ctx.mark_non_differentiable(out)
        return x * 1, out

    a, b = made(forward, lambda c, g, h: g + h).apply(leaf(1.5))
    assert (a.requires_grad, b.requires_grad) == (True, False)
    a.backward()


def test_an_argument_written_and_returned() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    own = made(forward, lambda c, g: g * 2)
    x = leaf(1.0, 2.0)
    y = x * 1
    z = own.apply(y)
    assert z is y
    assert z.grad_fn.name() == "OwnBackward"
    (z * 3).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        own.apply(leaf(1.0))
    lost = made(lambda c, x: [c.mark_dirty(x), x.mul_(2) + 1][1], lambda c, g: g)
    with pytest.raises(RuntimeError, match="marked as dirty during the forward method"):
        lost.apply(x * 1)


def test_an_argument_returned_as_it_is() -> None:
    own = made(lambda c, x: x, lambda c, g: g * 10)
    x = leaf(1.0)
    y = own.apply(x)
    assert y is not x
    assert x.is_leaf
    assert np.shares_memory(x.detach().numpy(), y.detach().numpy())
    y.backward()
    assert x.grad.item() == 10.0
    with pytest.raises(RuntimeError):
        y.mul_(2)


def test_a_view_returned() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = made(lambda c, x: x.view(2, 2), lambda c, g: g.reshape(4) * 10).apply(x)
    assert y.shape == (2, 2)
    y.sum().backward()
    assert x.grad.tolist() == [10.0] * 4


@pytest.mark.parametrize(
    ("backward", "error", "words"),
    [
        (lambda c, g: (g,), RuntimeError, "incorrect number of gradients .expected 2, got 1"),
        (lambda c, g: (g, g, g), RuntimeError, "incorrect number of gradients .expected 2, got 3"),
        (lambda c, g: (3.0, g), RuntimeError, "expected Variable or None .got float"),
        (lambda c, g: (ours.ones(7), None), RuntimeError, "invalid gradient at index 0 - got"),
    ],
)
def test_what_backward_may_not_return(backward: Any, error: Any, words: str) -> None:
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    with pytest.raises(error, match=words):
        made(lambda c, x, y: x * y, backward).apply(x, y).sum().backward()
    assert x.grad is None


def test_what_backward_may_return() -> None:
    x = leaf(1.0, 2.0)
    made(lambda c, x: x * 1, lambda c, g: (g, None, None)).apply(x).sum().backward()
    made(lambda c, x: x * 1, lambda c, g: None).apply(x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    made(lambda c, x: x * 1, lambda c, g: ours.ones(3, 2)).apply(x).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]  # summed down
    assert x.grad.dtype is ours.float64


def test_saved_tensors() -> None:
    own = made(
        lambda c, x: [c.save_for_backward(x), x * x][1], lambda c, g: g * c.saved_tensors[0] * 2
    )
    x = leaf(3.0)
    y = own.apply(x)
    assert y.grad_fn.saved_tensors[0].tolist() == [3.0]
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.grad_fn.saved_tensors  # noqa: B018
    with pytest.raises(TypeError, match="argument 0 is of type int"):
        made(lambda c, x: c.save_for_backward(3), lambda c, g: g).apply(x)
    z = x * 1
    y = own.apply(z)
    z.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation: OwnBackward"):
        y.backward()


def test_once_differentiable() -> None:
    own = made(lambda c, x: x * x, once_differentiable(lambda c, g: g * 2))
    x, g = leaf(3.0), leaf(1.0)
    own.apply(x).backward()
    assert x.grad.item() == 2.0
    (first,) = ours.autograd.grad(own.apply(x), x, g, create_graph=True)
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        first.backward()
    assert g.grad is None


def test_misuse() -> None:
    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        Power()(leaf(1.0), 2)
    with pytest.raises(NotImplementedError, match="implement the forward"):
        type("Own", (Function,), {}).apply(leaf(1.0))
    own = type("Own", (Function,), {"forward": staticmethod(lambda c, x: x * 2)})
    with pytest.raises(NotImplementedError, match="either the backward or vjp"):
        own.apply(leaf(1.0)).backward()


def test_vjp_is_another_name() -> None:
    namespace = {
        "forward": staticmethod(lambda c, x: x * 2),
        "vjp": staticmethod(lambda c, g: g * 2),
    }
    x = leaf(1.0)
    type("Own", (Function,), namespace).apply(x).backward()
    assert x.grad.item() == 2.0


def test_the_same_operation_beside_torchs() -> None:
    torch = pytest.importorskip("torch")

    def run(torch: Any) -> list[Any]:
        class Own(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                ctx.save_for_backward(x, y)
                return x * y.sin(), x + y

            @staticmethod
            def backward(ctx: Any, g: Any, h: Any) -> Any:
                x, y = ctx.saved_tensors
                return g * y.sin() + h, g * x * y.cos() + h

        x = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
        y = torch.tensor([1.2, 0.1], dtype=torch.float64, requires_grad=True)
        a, b = Own.apply(x, y)
        first = torch.autograd.grad((a * b).sum(), [x, y], create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), [x, y])
        return [t.detach().numpy() for t in (a, b, *first, *second)]

    assert_close(run(ours), run(torch))
