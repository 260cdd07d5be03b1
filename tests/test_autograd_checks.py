"""`gradcheck`, `gradgradcheck`, anomaly detection, `Variable` and the graph's edges."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_like as ours
from tests.test_engine import line
from tinygrad_like.autograd import Function, Variable, gradcheck, gradgradcheck
from tinygrad_like.autograd.gradcheck import GradcheckError
from tinygrad_like.autograd.graph import get_gradient_edge


def leaf(*values: float) -> Any:
    return ours.tensor(list(values), dtype=ours.float64, requires_grad=True)


class Wrong(Function):
    """Squares, with a gradient that is wrong for one element, and in its own second order."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x * ours.tensor([2.0, 2.5], dtype=ours.float64)


class WrongSecond(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.x = x.detach().clone()
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2 * ctx.x  # a constant to the second order


def test_right_gradients_pass() -> None:
    x, y = leaf(0.5, 2.0), leaf(1.0, -1.0)
    both = lambda x, y: (x * y.sin(), x.sum() + y)
    for options in ({}, {"fast_mode": True}, {"check_grad_dtypes": True}, {"masked": False}):
        assert gradcheck(both, (x, y), **options)
    assert gradgradcheck(both, (x, y))
    assert gradgradcheck(both, (x, y), fast_mode=True, gen_non_contig_grad_outputs=True)
    assert gradgradcheck(lambda x: x * x, x, leaf(1.0, 2.0))
    assert gradcheck(lambda x, k: x * k, (x, 3))
    assert gradcheck(
        lambda x: x * x.detach() * 0 + x.sum(), ours.ones(2, 3).double().requires_grad_()
    )
    assert x.grad is None


def test_a_wrong_gradient_is_named() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(GradcheckError, match="Jacobian mismatch") as caught:
        gradcheck(lambda x: (x + 1, Wrong.apply(x)), x)
    message = str(caught.value)
    assert "for output 1 with respect to input 0" in message
    assert "element 1 of the input and element 1 of the output" in message
    assert "numerical 4, analytical 5" in message.replace("4.00000000", "4")
    with pytest.raises(RuntimeError, match="random direction"):
        gradcheck(Wrong.apply, x, fast_mode=True)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)


def test_a_wrong_second_order_is_found() -> None:
    x = leaf(1.0, 2.0)
    assert gradcheck(WrongSecond.apply, x)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradgradcheck(WrongSecond.apply, x)


def test_a_lost_gradient_is_found() -> None:
    with pytest.raises(GradcheckError, match="expected to be zero: output 0"):
        gradcheck(lambda x: x.detach() * 2, leaf(1.0))
    assert gradcheck(lambda x: ours.ones(2), leaf(1.0))


def test_a_gradient_that_changes_is_found() -> None:
    calls = []

    class Unsteady(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            calls.append(0)
            return g * (2 + 1e-7 * len(calls))

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Unsteady.apply, leaf(1.0))
    assert gradcheck(Unsteady.apply, leaf(1.0), nondet_tol=1e-3)


def test_results_that_were_not_used_count_as_zeros() -> None:
    class Careless(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return (3 * h if g is None else 2 * g + 3 * h) if h is not None else 5 * g

    with pytest.raises(GradcheckError):
        gradcheck(Careless.apply, leaf(1.0))


def test_what_gradcheck_refuses() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, ours.ones(1))
    with pytest.raises(NotImplementedError, match="check_forward_ad"):
        gradcheck(lambda x: x, leaf(1.0), check_forward_ad=True)
    with pytest.raises(TypeError):
        gradcheck(lambda x: x, leaf(1.0), epsilon=1)
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double"):
        gradcheck(lambda x: x * 1, ours.ones(1, requires_grad=True), eps=1e-2, atol=1e-2)


# ----- Anomaly detection --------------------------------------------------------------------------


def test_anomaly_detection_names_the_line_of_the_forward() -> None:
    x = leaf(0.0)
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        mode = ours.autograd.detect_anomaly()
    with mode:
        made, y = line(), x.log()
        with pytest.raises(RuntimeError, match="Function 'LogBackward0' returned nan") as caught:
            (y * 0).backward()
    assert made in str(caught.value)
    (x.log() * 0).backward()  # outside nobody looks
    assert x.grad.isnan().item()


def test_anomaly_detection_in_other_ways() -> None:
    x = leaf(0.0)
    with ours.autograd.set_detect_anomaly(True):
        with ours.autograd.set_detect_anomaly(False):
            (x.log() * 0).backward()
        with pytest.raises(RuntimeError, match="nan"):
            (x.log() * 0).backward(create_graph=True)
    ours.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="nan"):
            (x.log() * 0).backward()
    finally:
        ours.autograd.set_detect_anomaly(False)
    with ours.autograd.set_detect_anomaly(True, check_nan=False):
        (x.log() * 0).backward()
    with ours.autograd.set_detect_anomaly(True):
        (x * 2).backward()


# ----- Names from PyTorch -------------------------------------------------------------------------


def test_variable() -> None:
    x = Variable(ours.ones(2), requires_grad=True)
    assert isinstance(x, ours.Tensor)
    assert isinstance(x, Variable)
    assert not isinstance(3, Variable)
    assert x.requires_grad


def test_gradient_edges() -> None:
    x = leaf(1.0, 2.0)
    assert get_gradient_edge(x * 2).node.name() == "MulBackward0"
    assert get_gradient_edge(ours.unbind(x)[1]).output_nr == 1
    with pytest.raises(RuntimeError, match="does not require grad"):
        get_gradient_edge(ours.ones(1))
