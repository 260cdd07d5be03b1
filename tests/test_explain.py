"""`backward_steps`: the engine's own walk, one step at a time."""

from __future__ import annotations

import subprocess
import sys
import weakref

import numpy as np
import pytest

import tinygrad_like as torch
from tests.explained import GRAPHS, leaf
from tinygrad_like import nn
from tinygrad_like.explanation import explain
from tinygrad_like.graph import reachable
from tinygrad_like.nn.module import record_modules

backward_steps = torch.autograd.backward_steps

every_graph = pytest.mark.parametrize("make", GRAPHS)


def parts(value):
    return value if isinstance(value, tuple) else (value,)


def equal(a, b):
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and np.array_equal(a.detach().numpy(), b.detach().numpy())


def leaves_of(loss):
    """Return the leaves of a graph, made anew where their variables are gone."""
    found = []
    for node in reachable([loss.node]):
        if not node.tick:
            found.append(node.variable)
            node._tensor = weakref.ref(found[-1])
    return found


def watched(loss, gradient=None):
    """Return what a real backward shows each node, in its order."""
    seen = []
    handles = [
        node.register_prehook(
            lambda received, node=node: seen.append(
                (node, tuple(None if g is None else g.clone() for g in received))
            )
        )
        for node in reachable([loss.node])
    ]
    loss.backward(gradient, retain_graph=True)
    for handle in handles:
        handle.remove()
    return seen


@every_graph
def test_order_and_gradients_are_those_of_backward(make):
    loss = make()
    steps = list(backward_steps(loss))
    node_hooks = [node for node in reachable([loss.node]) if node.hooks and node.hooks.calls]
    seen = watched(loss)
    assert [step.node for step in steps] == [node for node, _ in seen]
    for step, (node, received) in zip(steps, seen, strict=True):
        if node in node_hooks:  # which see it after the prehook
            assert step.hooked
            continue
        for found, wanted in zip(parts(step.gradient), received, strict=True):
            assert equal(found, wanted), (step, found, wanted)


@every_graph
def test_what_is_sent_adds_up_to_what_arrives(make):
    steps = list(backward_steps(make()))
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    ticks = [step.tick for step in steps]
    assert ticks == sorted(ticks, reverse=True)
    for step in steps:
        total = None
        for user in step.users:
            assert user.number < step.number
            for sent in user.sent:
                if sent.parent is step.node and sent.gradient is not None:
                    g = sent.gradient
                    total = g if total is None else total + g
        if total is not None and not isinstance(step.gradient, tuple) and not step.hooked:
            np.testing.assert_allclose(total.numpy(), step.gradient.numpy(), rtol=1e-6)
        if step.users:
            sent = sum(
                s.parent is step.node and s.gradient is not None
                for user in step.users
                for s in user.sent
            )
            assert sent == len(step.contributions)


@every_graph
def test_nothing_is_changed(make):
    loss = make()
    leaves = leaves_of(loss)
    list(backward_steps(loss))
    str(explain(loss, show=False, check=True))
    assert all(tensor.grad is None for tensor in leaves)
    loss.backward()  # nothing was freed
    assert all(tensor.grad is not None for tensor in leaves)


@every_graph
def test_gradients_are_added_to_leaves_if_asked(make):
    loss = make()
    leaves = leaves_of(loss)
    for _ in backward_steps(loss, accumulate=True):
        pass
    found = [tensor.grad.clone() for tensor in leaves]
    for tensor in leaves:
        tensor.grad = None
    loss.backward()
    assert all(equal(g, tensor.grad) for g, tensor in zip(found, leaves, strict=True))


@every_graph
def test_lessons_are_80_columns_and_rules_are_right(make):
    lesson = explain(make(), show=False, check=True)
    assert max(map(len, str(lesson).splitlines())) <= 80
    assert lesson.wrong is None
    assert "WRONG" not in str(lesson)
    assert f"Step {len(lesson)}: " in str(lesson)


def test_gradients_are_pytorchs():
    theirs = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(4, 3))

    def run(t):
        w = t.tensor(x, requires_grad=True)
        b = t.tensor([1.0, 2.0, 3.0], dtype=t.float64, requires_grad=True)
        loss = (t.tanh(w + b) * w).sum() + w[1:].exp().mean()
        return w, b, loss

    w, b, loss = run(theirs)
    wanted = theirs.autograd.grad(loss, (w, b))
    w, b, loss = run(torch)
    found = {step.node: step.gradient for step in backward_steps(loss)}
    for tensor, g in zip((w, b), wanted, strict=True):
        np.testing.assert_allclose(found[tensor.node].numpy(), g.numpy(), rtol=1e-12)


# ----- What a step knows --------------------------------------------------------------------------


def test_a_sum_of_contributions():
    x = leaf(3.0, 4.0)
    *_, last = backward_steps((x * x + x).sum())
    assert last.kind == last.op == "leaf"
    assert [c.gradient.tolist() for c in last.contributions] == [[1.0, 1.0], [3.0, 4.0], [3.0, 4.0]]
    assert [(c.sender.op, c.argument) for c in last.contributions] == [
        ("add", "y"),
        ("multiply", "x"),
        ("multiply", "y"),
    ]
    assert last.gradient.tolist() == [7.0, 9.0]


def test_broadcasting_undone():
    w = torch.ones(3, 1, requires_grad=True)
    _, step, _ = backward_steps((w * torch.ones(2, 3, 4)).sum())
    sent = step.sent[0]
    assert sent.returned.shape == (2, 3, 4)
    assert sent.gradient.shape == (3, 1)
    assert sent.broadcast == (0, 2)
    assert sent.gradient.tolist() == [[8.0], [8.0], [8.0]]
    assert step.sent[1].gradient is None
    assert step.sent[1].broadcast == ()


def test_fields_of_a_step():
    x = leaf(1.0, 2.0)
    y = x.exp()
    steps = list(backward_steps(y.sum()))
    step = steps[1]
    assert (step.op, step.label, step.kind) == ("exp", "ExpBackward0", "operation")
    assert step.formulas == ("d(exp(x))/dx = g*exp(x)",)
    assert step.sent[0].source == "lambda g, out: g * out"
    assert step.tick == y.node.tick
    assert step.line[0] == __file__
    assert step.code == "y = x.exp()"
    assert step.module is None
    assert step.users == [steps[0]]
    np.testing.assert_allclose(step.sent[0].local.numpy(), np.exp([1.0, 2.0]), rtol=1e-6)
    assert repr(step) == "<BackwardStep 2: exp>"
    assert steps[2].line is None
    assert [step.sent[0].receiver for step in steps[:2]] == steps[1:]


def test_local_derivatives():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    w = torch.ones(3, 2, requires_grad=True)
    product, total = (x @ w), (x * 3).sum()
    steps = {step.op: step for step in backward_steps([product, total], [torch.ones(2, 2), None])}
    assert steps["matmul"].sent[0].local is None  # a Jacobian of four dimensions
    assert steps["sum"].sent[0].local.tolist() == [[1.0] * 3] * 2
    assert steps["multiply"].sent[0].local.tolist() == [[3.0] * 3] * 2
    assert steps["multiply"].sent[1].local is None


def test_why_now():
    x = leaf(1.0)
    y = x * 2
    steps = list(backward_steps((y + y.exp()).sum()))
    assert [step.op for step in steps] == ["sum", "add", "exp", "multiply", "leaf"]
    assert [step.why for step in steps] == [
        "The walk starts here: what a result gains by itself growing is 1.",
        "Step 1, which used its result, had its turn: its gradient is complete.",
        "Step 2, which used its result, had its turn: its gradient is complete. "
        "Of the 2 that wait it is the youngest.",
        "Steps 2 and 3, which used its result, had their turn: its gradient is complete.",
        "Leaves come last, when nothing is left that could send more; step 4 used it.",
    ]
    first = next(iter(backward_steps(y, torch.tensor([5.0]))))
    assert first.why == "The walk starts here, with the gradient that was given."
    picked = list(backward_steps(torch.stack([x, x]).unbind()[0].sum()))[1]
    assert picked.kind == "result"
    assert picked.why.startswith("Step 1, which used this result, had its turn: its gradient goes")


def test_modules_are_known():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    with record_modules() as scopes:
        y = net(torch.ones(1, 2))
    steps = list(backward_steps(y.sum(), modules=scopes))
    assert [step.module for step in steps[:3]] == [None, net[1], net[0]]
    text = str(explain(y.sum(), modules=scopes, show=False))
    assert "in net.1 (Tanh)" in text
    assert "in net.0 (Linear)" in text
    assert "in Tanh, at" in str(explain(y.sum(), modules=scopes, params={}, show=False))


def test_a_step_is_taken_when_it_is_asked_for():
    class Counted(torch.autograd.Function):
        calls = 0

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            Counted.calls += 1
            return g * 2

    steps = backward_steps(Counted.apply(leaf(1.0)).sum())
    next(steps)
    assert Counted.calls == 0
    next(steps)
    assert Counted.calls == 1


def test_retained_gradients_wait_for_backward():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    list(backward_steps(y.sum()))
    assert y.grad is None
    list(backward_steps(y.sum(), accumulate=True))
    assert y.grad.tolist() == [1.0]


# ----- Of one parameter ---------------------------------------------------------------------------


def test_only_what_leads_to_a_parameter():
    w, b, x = leaf(2.0), leaf(1.0), leaf(3.0)
    loss = ((w * x + b).exp() * x.cos()).sum()
    steps = list(backward_steps(loss, of=w))
    assert [step.op for step in steps] == ["sum", "multiply", "exp", "add", "multiply", "leaf"]
    (wanted,) = torch.autograd.grad(loss, w, retain_graph=True)
    assert equal(steps[-1].gradient, wanted)
    assert [sent.gradient is None for sent in steps[3].sent] == [False, True]
    text = str(explain(loss, of=w, show=False))
    assert "the leaf `w`" in text
    assert "the leaf `b`" not in text
    assert "y is `b`, which nothing is sent to" in text


def test_of_a_result():
    x = leaf(2.0)
    y = x.exp()
    steps = list(backward_steps((y * y).sum(), of=y))
    assert [step.op for step in steps] == ["sum", "multiply", "exp"]
    assert steps[-1].gradient.item() == pytest.approx(2 * np.exp(2.0))
    assert steps[-1].sent[0].gradient is None


def test_of_several():
    w, b, x = leaf(2.0), leaf(1.0), leaf(3.0)
    steps = list(backward_steps((w * x + b).sum(), of=[w, b]))
    assert {step.node for step in steps if step.kind == "leaf"} == {w.node, b.node}


# ----- What cannot be explained -------------------------------------------------------------------


def test_no_graph():
    for function in (explain, backward_steps):
        with pytest.raises(RuntimeError, match="does not require grad"):
            function(torch.tensor(1.0))


def test_not_a_scalar():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        backward_steps(x * 2)
    *_, last = backward_steps(x * 2, torch.tensor([1.0, 10.0]))
    assert last.gradient.tolist() == [2.0, 20.0]


def test_what_is_no_tensor():
    for function in (explain, backward_steps):
        with pytest.raises(
            TypeError, match="expected a tensor or several to go back from, got int"
        ):
            function(3)
        with pytest.raises(
            TypeError, match="got Linear; call the module, and explain what you make"
        ):
            function(nn.Linear(1, 1))
        with pytest.raises(TypeError, match="go back from, got str"):
            function([leaf(1.0), "x"])


def test_a_freed_graph():
    x = leaf(1.0)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward.*retain_graph=True"):
        explain(loss)
    assert list(backward_steps((x + x).sum()))


def test_freed_between_two_steps():
    x = leaf(1.0)
    loss = (x * x).sum()
    steps = backward_steps(loss)
    next(steps)
    loss.backward()
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        next(steps)


def test_an_overwritten_value():
    y = leaf(1.0, 2.0) * 1
    loss = (y * y).sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        explain(loss)


def test_of_what_is_not_there():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"does not depend on the given tensor of shape \(1,\)"):
        explain(x * 2, of=leaf(2.0))
    with pytest.raises(RuntimeError, match="does not depend on"):
        explain(x * 2, of=torch.tensor(2.0))
    with pytest.raises(TypeError, match="expected a tensor or several, got str"):
        explain(x * 2, of=["w"])


def test_wrong_names():
    x = leaf(1.0)
    with pytest.raises(TypeError, match="params must be a dict of names and tensors"):
        explain(x * 2, params=[x])


def test_it_is_imported_when_asked_for():
    code = (
        "import sys, tinygrad_like as torch\n"
        "assert not any(name.startswith('tinygrad_like.explanation') for name in sys.modules)\n"
        "torch.explain, torch.autograd.backward_steps\n"
        "assert 'tinygrad_like.explanation' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
