"""The engine: order, accumulation, ownership, hooks, memory, threads and overwritten values."""

from __future__ import annotations

import gc
import inspect
import threading
import tracemalloc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_like as ours
from tinygrad_like.op import REGISTRY
from tinygrad_like.testing import assert_close


def leaf(*values: float, dtype: Any = ours.float64) -> Any:
    return ours.tensor(list(values), dtype=dtype, requires_grad=True)


def line() -> str:
    """Return ``file:line`` of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{frame.f_back.f_code.co_filename}:{frame.f_back.f_lineno}"


# ----- Shapes of graphs ---------------------------------------------------------------------------


def test_hundred_thousand_chained_ops() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y  # freeing the graph must not recurse either


def test_hundred_thousand_chained_ops_kept_for_a_second_backward() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 2.0


@st.composite
def programs(draw: Any) -> list[tuple[str, int, int]]:
    """Random programs over a growing list of values, so that values are shared at every depth."""
    count = draw(st.integers(1, 12))
    return [
        (
            draw(st.sampled_from(["add", "mul", "sub", "tanh", "sum", "index", "stack", "neg"])),
            draw(st.integers(0, 3 + i)),
            draw(st.integers(0, 3 + i)),
        )
        for i in range(count)
    ]


def run_program(torch: Any, program: list[tuple[str, int, int]], leaves: list[Any]) -> Any:
    values = [*leaves, leaves[0] * leaves[1]]
    for name, i, j in program:
        a, b = values[i], values[j]
        made = {
            "add": lambda a=a, b=b: a + b,
            "mul": lambda a=a, b=b: a * b * 0.5,
            "sub": lambda a=a, b=b: a - b,
            "tanh": lambda a=a: a.tanh(),
            "sum": lambda a=a, b=b: a.sum() * b,
            "index": lambda a=a, b=b: a[0] + b,
            "stack": lambda a=a, b=b: torch.stack([a, b, a]).sum(0),
            "neg": lambda a=a: -a,
        }[name]()
        values.append(made)
    return sum(value.tanh().sum() for value in values[3:])


@given(programs(), st.integers(0, 2**16))
def test_random_graphs_are_torchs(program: Any, seed: int) -> None:
    torch = pytest.importorskip("torch")
    arrays = np.random.default_rng(seed).uniform(-1, 1, (3, 4))
    mine = [ours.tensor(a, dtype=ours.float64, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    grads = []
    for side, leaves in ((ours, mine), (torch, theirs)):
        out = run_program(side, program, leaves)
        first = side.autograd.grad(out, leaves, create_graph=True, materialize_grads=True)
        second = sum((g * g).sum() for g in first)
        out.backward(retain_graph=True)
        grads.append([*first, *[t.grad for t in leaves]])
        if second.requires_grad:
            grads[-1] += side.autograd.grad(second, leaves, materialize_grads=True)
    for a, e in zip(*grads, strict=True):
        expected = np.zeros(4) if e is None else e.detach().numpy()
        actual = np.zeros(4) if a is None else a.detach().numpy()
        np.testing.assert_allclose(actual, expected, 1e-9, 1e-9)


@given(programs(), st.integers(0, 2**16), st.floats(-3, 3), st.floats(-3, 3))
def test_backward_is_linear(program: Any, seed: int, a: float, b: float) -> None:
    rng = np.random.default_rng(seed)
    leaves = [
        ours.tensor(v, dtype=ours.float64, requires_grad=True) for v in rng.uniform(-1, 1, (3, 4))
    ]
    values = [*leaves, leaves[0] * leaves[1]]
    y = run_program(ours, program, leaves) * values[3]
    g, h = (ours.tensor(v, dtype=ours.float64) for v in rng.uniform(-1, 1, (2, 4)))

    def pull(start: Any) -> Any:
        return ours.autograd.grad(y, leaves, start, retain_graph=True, materialize_grads=True)

    for mixed, alone, other in zip(pull(g * a + h * b), pull(g), pull(h), strict=True):
        expected = a * alone.numpy() + b * other.numpy()
        scale = 1 + np.abs(expected).max()
        np.testing.assert_allclose(mixed.numpy(), expected, 1e-9, 1e-9 * scale)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 2**16))
def test_gather_and_scatter_are_adjoint(index: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = ours.tensor(rng.normal(size=6), requires_grad=True)
    where = ours.tensor(index)
    w = ours.tensor(rng.normal(size=len(index)))
    gathered = ours.gather(x, 0, where)
    (pulled,) = ours.autograd.grad(gathered, x, w)
    scattered = ours.scatter_add(ours.zeros(6, dtype=ours.float64), 0, where, w)
    assert_close(pulled, scattered)
    assert (gathered.detach() * w).sum().item() == pytest.approx((x.detach() * pulled).sum().item())


def test_fourth_order() -> None:
    x = leaf(1.5)
    y = x * x * x * x * x
    for _ in range(4):
        (y,) = ours.autograd.grad(y.sum(), x, create_graph=True)
    assert y.item() == pytest.approx(120 * 1.5)


def test_gradients_of_gradients_accumulate_in_grad() -> None:
    x = leaf(2.0)
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad.grad_fn is not None
    first = x.grad
    x.grad = None
    first.sum().backward()
    assert x.grad.item() == pytest.approx(12.0)


# ----- Every gradient has one owner ---------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"create_graph": True}, {"inputs": True}], ids=str)
def test_grads_of_a_sum_are_not_shared(options: dict[str, Any]) -> None:
    x, y, w = leaf(1.0, 2.0), leaf(3.0, 4.0), ours.tensor([2.0, 3.0], dtype=ours.float64)
    options = {"inputs": [x, y]} if "inputs" in options else options
    ((x + y) * w).sum().backward(**options)
    assert not np.shares_memory(x.grad.detach().numpy(), y.grad.detach().numpy())
    x.grad.detach().zero_()
    assert y.grad.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("options", [{}, {"create_graph": True}, {"inputs": True}], ids=str)
@pytest.mark.parametrize("of", [lambda x: x, lambda x: x + 0, lambda x: x.reshape(1, 2)[0]])
def test_the_users_gradient_stays_his(options: dict[str, Any], of: Any) -> None:
    x, g = leaf(1.0, 2.0), ours.tensor([5.0, 6.0], dtype=ours.float64)
    of(x).backward(g, **({"inputs": [x]} if "inputs" in options else options))
    assert not np.shares_memory(x.grad.detach().numpy(), g.numpy())
    of(x).backward(g)
    assert g.tolist() == [5.0, 6.0]
    assert x.grad.tolist() == [10.0, 12.0]


def test_what_grad_returns_belongs_to_the_caller() -> None:
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    g = ours.tensor([5.0, 6.0], dtype=ours.float64)
    a, b = ours.autograd.grad(x + y, [x, y], g)
    a.zero_()
    assert b.tolist() == g.tolist() == [5.0, 6.0]


def test_a_hooks_own_copy_is_not_the_grad() -> None:
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(seen.append)
    (x * 2).sum().backward()
    seen[0].zero_()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_gradient_nobody_else_holds_is_not_copied() -> None:
    made = []

    class Double(ours.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            found = g * 2
            made.append(found.array.ctypes.data)
            return found

    x = leaf(1.0, 2.0)
    Double.apply(x).sum().backward()
    assert made == [x.grad.array.ctypes.data]


def test_grad_accumulates_in_its_own_memory() -> None:
    x = leaf(1.0)
    (x * 2).backward()
    grad = x.grad
    (x * 3).backward()
    assert x.grad is grad
    assert grad.item() == 5.0


# ----- Graph state --------------------------------------------------------------------------------


def test_a_second_backward_needs_retain_graph() -> None:
    x = leaf(2.0)
    made, y = line(), x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0
    with pytest.raises(
        RuntimeError, match="Trying to backward through the graph a second time"
    ) as caught:
        y.backward()
    assert made in str(caught.value)


def test_a_graph_that_saves_nothing_can_be_walked_again() -> None:
    x = leaf(2.0)
    y = x + x
    y.backward()
    y.backward()
    assert x.grad.item() == 4.0


def test_inputs_restrict_backward() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = x * y
    (z * 2).backward(inputs=[x, z])
    assert (x.grad.item(), z.grad.item(), y.grad) == (4.0, 2.0, None)
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (x * 1).backward(inputs=[])


def test_unused_inputs_of_grad() -> None:
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        ours.autograd.grad(x * 2, [x, y])
    assert ours.autograd.grad(x * 2, [x, y], allow_unused=True)[1] is None
    (_, zero) = ours.autograd.grad(x * 2, [x, y], materialize_grads=True)
    assert zero.tolist() == [0.0]
    with pytest.raises(ValueError, match="allow_unused"):
        ours.autograd.grad(x * 2, [y], allow_unused=False, materialize_grads=True)
    assert x.grad is None
    assert y.grad is None


def test_the_same_output_and_input_twice() -> None:
    x = leaf(3.0)
    y = x * 2
    assert ours.autograd.grad([y, y], [x, x])[1].item() == 4.0


# ----- Hooks --------------------------------------------------------------------------------------


def test_hooks_run_in_order_and_replace() -> None:
    x, seen = leaf(1.0), []
    y = x * 2
    y.register_hook(lambda g: g * 10)
    removed = y.register_hook(lambda g: g * 1000)
    y.register_hook(lambda g: seen.append(g.item()))
    removed.remove()
    removed.remove()
    y.backward()
    assert seen == [10.0]
    assert x.grad.item() == 20.0


def test_a_handle_is_a_context_manager() -> None:
    x = leaf(1.0)
    with x.register_hook(lambda g: g * 0):
        (x * 2).backward()
    (x * 3).backward()
    assert x.grad.item() == 3.0


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda g: 3, TypeError),
        (lambda g: g.sum(), RuntimeError),
        (lambda g: g.to(ours.float32), RuntimeError),
    ],
)
def test_what_a_hook_may_not_return(bad: Any, error: Any) -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(bad)
    with pytest.raises(error, match="hook"):
        y.sum().backward()
    assert x.grad is None


def test_hooks_record_only_with_create_graph() -> None:
    x, modes = leaf(1.0), []
    x.register_hook(lambda g: modes.append(ours.is_grad_enabled()))
    x.register_post_accumulate_grad_hook(lambda t: modes.append(ours.is_grad_enabled()))
    (x * 2).backward()
    (x * 2).backward(create_graph=True)
    assert modes == [False, False, True, True]


def test_post_accumulate_hooks_see_the_leaf() -> None:
    x, seen = leaf(1.0), []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.item())))
    (x * 2).backward()
    (x * 2).backward(inputs=[x])
    handle.remove()
    (x * 2).backward()
    assert seen == [(True, 2.0), (True, 4.0)]
    with pytest.raises(RuntimeError, match="non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)


def test_a_leaf_may_be_written_by_its_post_accumulate_hook() -> None:
    x = leaf(1.0)

    def step(t: Any) -> None:
        with ours.no_grad():
            t -= 0.1 * t.grad
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (x * x).backward()
    assert x.item() == pytest.approx(0.8**3)
    assert x.grad is None


def test_retained_grads() -> None:
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * 3).backward()
    assert y.grad.item() == 3.0
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        ours.zeros(1).retain_grad()


def test_node_hooks() -> None:
    x, y, log = leaf(2.0), leaf(3.0), []
    z = x * y
    z.grad_fn.register_prehook(lambda outputs: (outputs[0] * 10,))
    handle = z.grad_fn.register_hook(
        lambda inputs, outputs: log.append([t.item() for t in (*inputs, *outputs)])
    )
    z.backward(retain_graph=True)
    assert log == [[30.0, 20.0, 10.0]]
    handle.remove()
    z.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 0, inputs[1]))
    x.grad = y.grad = None
    z.backward()
    assert (x.grad.item(), y.grad.item()) == (0.0, 20.0)
    assert len(log) == 1


def test_node_hooks_of_an_op_with_several_results() -> None:
    x, log = leaf(1.0, 2.0), []
    first, _ = ours.unbind(x)
    first.grad_fn.register_prehook(lambda outputs: log.append([o is None for o in outputs]))
    first.grad_fn.register_hook(lambda inputs, outputs: log.append(inputs[0].tolist()))
    (first * 5).backward()
    assert log == [[False, True], [5.0, 0.0]]


def test_the_graph_can_be_walked_as_tools_do() -> None:
    x = leaf(1.0)
    node = (x * 2 + 1).grad_fn
    assert node.name() == "AddBackward0"
    ((mul, index), *_) = node.next_functions
    assert (mul.name(), index) == ("MulBackward0", 0)
    ((end, _), *_) = mul.next_functions
    assert type(end).__name__ == "AccumulateGrad"
    assert end.variable is x


# ----- Overwritten values -------------------------------------------------------------------------


def test_an_overwritten_value_is_an_error_that_names_both_lines() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    made, z = line(), y * y
    written, _ = line(), y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        z.sum().backward()
    assert made in str(caught.value)
    assert written in str(caught.value)
    assert x.grad is None


def test_a_write_by_an_optimizer_is_noticed() -> None:
    w = leaf(1.0, 2.0)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    with ours.no_grad():
        written, _ = line(), w.sub_(w.grad)
    with pytest.raises(RuntimeError, match="inplace operation") as caught:
        loss.backward()
    assert written in str(caught.value)


def test_a_write_through_data_warns() -> None:
    w = leaf(1.0, 2.0)
    loss = (w * w).sum()
    written, _ = line(), w.data.mul_(3)
    with pytest.warns(UserWarning, match="through .data") as caught:
        loss.backward()
    assert written in str(caught[0].message)
    assert w.grad.tolist() == [6.0, 12.0]  # PyTorch's answer, for the new values


def test_a_write_before_the_op_or_to_what_is_not_saved_is_fine() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    y.add_(1)
    z = (y * y).sum() + y.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z.backward()
    assert x.grad.tolist() == [5.0, 7.0]
    y = x + 1
    z = y + 1  # saves nothing
    y.zero_()
    z.sum().backward()


def test_views_share_the_stamp_of_their_base() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x * 1
    z = y.reshape(2, 2)[1]
    out = (z * z).sum()
    with ours.no_grad():
        y[0] = 5.0  # another element: what counts is the memory, as in PyTorch
    with pytest.raises(RuntimeError, match="inplace operation"):
        out.backward()


def test_a_detached_write_counts() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    z = (y * y).sum()
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="inplace operation"):
        z.backward()


def test_a_write_between_first_and_second_order_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    (g,) = ours.autograd.grad((y * y * y).sum(), x, create_graph=True)
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="inplace operation"):
        g.sum().backward()


# ----- Memory -------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Any:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def network(x: Any, w: Any) -> Any:
    h = (x @ w).tanh()
    a, b = ours.unbind(h[:2])
    h = ours.stack([a, b, a * b]).reshape(-1)
    return (h * h).sum()


def test_graphs_die_without_the_collector(no_collector: None) -> None:
    x, w = ours.ones(4, 3), ours.ones(3, 3, requires_grad=True)
    loss = network(x, w)
    reference = weakref.ref(loss.array)
    node = weakref.ref(loss.grad_fn)
    loss.backward()
    del loss
    assert reference() is None
    assert node() is None
    loss = network(x, w)
    (g,) = ours.autograd.grad(loss, w, create_graph=True)
    node = weakref.ref(g.grad_fn)
    g.sum().backward()
    del g, loss
    w.grad = None
    assert node() is None
    assert gc.collect() == 0


def test_functions_die_without_the_collector(no_collector: None) -> None:
    class Square(ours.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            out = x * x
            ctx.save_for_backward(x, out)
            return out

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, _ = ctx.saved_tensors
            return 2 * x * g

    gc.collect()
    x = leaf(1.0)
    y = Square.apply(x)
    reference = weakref.ref(y.grad_fn)
    y.backward()
    del y
    assert reference() is None


def test_backward_frees_the_graph_as_it_goes(no_collector: None) -> None:
    x = leaf(1.0, 2.0)
    middle = (x * 1).tanh()
    reference = weakref.ref(middle.array)
    y = (middle * middle).sum()
    del middle
    freed = []
    x.register_hook(lambda g: freed.append(reference() is None))
    assert reference() is not None
    y.backward()
    assert freed == [True]


def test_an_unused_operand_is_not_kept(no_collector: None) -> None:
    x, constant = leaf(1.0, 2.0), ours.ones(2, dtype=ours.float64)
    y = x + constant
    reference = weakref.ref(constant.array)
    del constant
    assert reference() is None
    assert y.requires_grad


def test_forward_passes_do_not_pile_up(no_collector: None) -> None:
    x, w = ours.ones(4, 3), ours.ones(3, 3, requires_grad=True)

    def passes(count: int) -> None:
        for _ in range(count):
            (x @ w).tanh().reshape(-1).sum()

    passes(2100)  # fills Python's own lists of freed tuples
    tracemalloc.start()
    try:
        passes(3000)
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


# ----- Threads ------------------------------------------------------------------------------------


def in_thread(function: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(60)
    return found[0]


def test_modes_belong_to_a_thread() -> None:
    x = leaf(1.0)
    with ours.no_grad():
        assert in_thread(lambda: (x * 2).requires_grad)
        assert not (x * 2).requires_grad
    inside, leave = threading.Event(), threading.Event()

    def other() -> bool:
        with ours.no_grad():
            inside.set()
            leave.wait(60)
            return (x * 2).requires_grad

    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(other()))
    thread.start()
    inside.wait(60)
    assert (x * 2).requires_grad
    leave.set()
    thread.join(60)
    assert found == [False]


def test_two_threads_add_to_one_grad() -> None:
    w, g = ours.ones(1000, 1000, requires_grad=True), ours.ones(1000, 1000)

    def work() -> None:
        for _ in range(10):
            w.backward(g)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert np.all(w.grad.numpy() == 40.0)


# ----- The two ways through an op -----------------------------------------------------------------


def both_ways(name: str, operands: list[Any], options: tuple[Any, ...] = ()) -> list[Any]:
    op = REGISTRY[name]
    return [op.call(*operands, *options), op.apply(operands, options)]


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "subtract", "greater", "matmul"])
@pytest.mark.parametrize("wants", [(True, False), (False, True), (True, True), (False, False)])
def test_generated_code_does_what_apply_does(name: str, wants: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(0)
    operands = [ours.tensor(rng.normal(size=(3, 3))).requires_grad_(w) for w in wants]
    fast, slow = both_ways(name, operands)
    assert_close(fast.detach(), slow.detach(), rtol=0, atol=0)
    assert (fast.node is None) == (slow.node is None)
    if fast.node is not None:
        assert type(fast.node) is type(slow.node)
        assert fast.node.parents == slow.node.parents
        assert fast.node.shape == slow.node.shape
        assert fast.node.line[0].co_filename == slow.node.line[0].co_filename == __file__
        assert len(fast.node.saved) == len(slow.node.saved)
        for a, b in zip(fast.node.saved, slow.node.saved, strict=True):
            assert (a is None) == (b is None)
            if isinstance(a, np.ndarray):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["tanh", "exp", "log", "relu", "negative"])
def test_generated_code_of_one_operand_does_what_apply_does(name: str) -> None:
    for dtype in (ours.float32, ours.float64, ours.int64):
        x = ours.tensor([1, 2, 3]).to(dtype)
        if dtype is not ours.int64:
            x.requires_grad_()
        fast, slow = both_ways(name, [x])
        assert_close(fast.detach(), slow.detach(), rtol=0, atol=0)
        assert (fast.node is None) == (slow.node is None)


def test_a_backward_of_no_tensors_does_nothing() -> None:
    assert ours.autograd.backward([]) is None
