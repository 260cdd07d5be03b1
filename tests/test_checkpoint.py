"""`utils.checkpoint`: values computed again in backward instead of kept."""

from __future__ import annotations

import contextlib
import gc
import importlib
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tinygrad_like as ours
from tests.both import compare
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.testing import assert_close
from tinygrad_like.utils import checkpoint as module
from tinygrad_like.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

BOTH_WAYS = pytest.mark.parametrize("reentrant", [True, False])


def api(m: Any) -> Any:
    return importlib.import_module(f"{m.__name__}.utils.checkpoint")


def leaf(m: Any, *values: float) -> Any:
    return m.tensor(list(values), requires_grad=True)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    assert not departed.count
    assert not thread_mode.saving
    assert not thread_mode.targeted


# ----- Values and gradients -----------------------------------------------------------------------


def block(x: Any, y: Any, weight: Any) -> Any:
    z = (x @ weight).tanh() * y
    return z.exp() + z.sigmoid() * x


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "block": block,
    "a view": lambda x, y, w: (x @ w)[:, 0].exp() * y[:2, 1],
    "in place": lambda x, y, w: (x @ w).mul_(y).exp_() * 2,
    "the argument itself": lambda x, y, w: x,
    "no gradient inside": lambda x, y, w: (x @ w).detach() * y.exp(),
    "several results": lambda x, y, w: ((x @ w).tanh(), y.exp(), x * 2),
    "a result without gradient": lambda x, y, w: ((x @ w).tanh(), x.argmax()),
}


@BOTH_WAYS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name: str, reentrant: bool) -> None:
    def run(m: Any, again: bool) -> Any:
        def function(*args: Any) -> Any:
            calls.append(1)
            return FUNCTIONS[name](*args)

        calls: list[int] = []
        m.manual_seed(0)
        x, y = m.rand(2, 2, requires_grad=True), m.rand(2, 2, requires_grad=True)
        weight = m.rand(2, 2, requires_grad=True)
        a = x * 2
        if again:
            out = api(m).checkpoint(function, a, y, weight, use_reentrant=reentrant)
        else:
            out = function(a, y, weight)
        outs = out if isinstance(out, tuple) else (out,)
        sum((i + 1) * o.sum() for i, o in enumerate(outs) if o.requires_grad).backward()
        return outs, [o.requires_grad for o in outs], len(calls), x.grad, y.grad, weight.grad

    compare(lambda m: run(m, True))
    for plain, again in zip(run(ours, False)[3:], run(ours, True)[3:], strict=True):
        assert_close(plain, again, rtol=0, atol=0) if plain is not None else None


@BOTH_WAYS
def test_some_results_are_not_used(reentrant: bool) -> None:
    def run(m: Any, used: int) -> Any:
        x = leaf(m, 0.5, 1.5)
        outs = api(m).checkpoint(lambda x: (x.exp(), x.tanh(), x.sin()), x, use_reentrant=reentrant)
        outs[used].sum().backward()
        return x.grad

    for used in range(3):
        compare(lambda m, used=used: run(m, used))


@BOTH_WAYS
def test_other_arguments(reentrant: bool) -> None:
    def run(m: Any) -> Any:
        def function(x: Any, power: int, nothing: None, names: list[str], fixed: Any) -> Any:
            assert nothing is None
            assert names == ["a"]
            return x**power * fixed

        x = leaf(m, 0.5, 1.5)
        fixed = m.tensor([1.0, 2.0])
        out = api(m).checkpoint(function, x, 3, None, ["a"], fixed, use_reentrant=reentrant)
        out.sum().backward()
        return out, x.grad, fixed.grad

    compare(run)


def test_keywords_and_tensors_in_structures() -> None:
    def run(m: Any) -> Any:
        def function(pair: Any, *, scale: Any, more: dict[str, Any]) -> Any:
            return {"out": [(pair[0] * scale).exp(), pair[1] * more["z"]]}

        x, y, z, scale = (leaf(m, v, v + 1) for v in (0.5, 1.0, 1.5, 2.0))
        out = api(m).checkpoint(function, (x, y), scale=scale, more={"z": z}, use_reentrant=False)[
            "out"
        ]
        (out[0] * out[1]).sum().backward()
        return out, x.grad, y.grad, z.grad, scale.grad

    compare(run)


@BOTH_WAYS
def test_a_module(reentrant: bool) -> None:
    def run(m: Any) -> Any:
        m.manual_seed(0)
        net = m.nn.Sequential(
            m.nn.Linear(3, 4, False), m.nn.BatchNorm1d(4), m.nn.ReLU(), m.nn.Linear(4, 2)
        )
        x = m.rand(5, 3, requires_grad=True)
        out = api(m).checkpoint(net, x, use_reentrant=reentrant)
        out.square().sum().backward()
        return out, x.grad, [p.grad for p in net.parameters()], list(net.buffers())

    compare(run, rtol=1e-4)


@BOTH_WAYS
def test_two_backwards(reentrant: bool) -> None:
    def run(m: Any, retain: bool) -> Any:
        calls: list[int] = []
        x = leaf(m, 0.5, 1.5)
        out = api(m).checkpoint(
            lambda x: (calls.append(1), x.exp().sin())[1], x, use_reentrant=reentrant
        )
        out.sum().backward(retain_graph=retain)
        out.sum().backward()
        return x.grad, len(calls)

    compare(lambda m: run(m, True))
    compare(lambda m: run(m, False))


@BOTH_WAYS
def test_grad_and_chosen_inputs(reentrant: bool) -> None:
    def run(m: Any, how: str) -> Any:
        x, y = leaf(m, 0.5, 1.5), leaf(m, 2.0, 3.0)
        out = api(m).checkpoint(lambda x: (x * y).exp(), x * 2, use_reentrant=reentrant).sum()
        if how == "grad":
            return m.autograd.grad(out, (x, y))
        out.backward(inputs=[x])
        return x.grad, y.grad

    for how in ("grad", "inputs"):
        compare(lambda m, how=how: run(m, how))
    if reentrant:
        with pytest.raises(RuntimeError, match=r"incompatible with \.grad\(\)"):
            run(ours, "grad")


def test_second_derivatives() -> None:
    def run(m: Any) -> Any:
        x, y = leaf(m, 0.5, 1.5), leaf(m, 0.2, 0.3)
        out = api(m).checkpoint(lambda x: (x * y).exp().tanh(), x, use_reentrant=False)
        (first,) = m.autograd.grad(out.sum(), x, create_graph=True)
        return first, m.autograd.grad(first.square().sum(), (x, y))

    compare(run)


@BOTH_WAYS
def test_without_gradients(reentrant: bool) -> None:
    def run(m: Any) -> Any:
        x = leaf(m, 0.5, 1.5)
        with m.no_grad():
            out = api(m).checkpoint(lambda x: x.exp(), x, use_reentrant=reentrant)
        return out, out.requires_grad

    compare(run)


@BOTH_WAYS
def test_inputs_without_gradient(reentrant: bool) -> None:
    def run(m: Any) -> Any:
        weight = leaf(m, 0.5, 1.5)
        out = api(m).checkpoint(lambda x: (x * weight).exp(), m.ones(2), use_reentrant=reentrant)
        if out.requires_grad:
            out.sum().backward()
        return out, weight.grad

    compare(run)
    if reentrant:
        with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
            run(ours)


# ----- Nested -------------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_nested(outer: bool, inner: bool) -> None:
    def run(m: Any) -> Any:
        again = api(m).checkpoint
        calls = {"first": 0, "second": 0, "outer": 0}

        def first(x: Any) -> Any:
            calls["first"] += 1
            return x.exp().sin()

        def second(x: Any) -> Any:
            calls["second"] += 1
            return (x * x).tanh()

        def both(x: Any) -> Any:
            calls["outer"] += 1
            x = again(first, x.cos(), use_reentrant=inner)
            return again(second, x * 2, use_reentrant=inner).sigmoid()

        x = leaf(m, 0.5, 1.5)
        out = again(both, x * 1, use_reentrant=outer)
        out.sum().backward()
        return out, x.grad, sorted(calls.items())

    compare(run)


def test_arguments_of_inner_calls_are_not_kept_either() -> None:
    arrays: list[weakref.ref[Any]] = []

    def inner(x: Any) -> Any:
        arrays.append(weakref.ref(x.array))
        return x.sin()

    def outer(x: Any) -> Any:
        return checkpoint(inner, x.exp(), use_reentrant=False).tanh()

    x = leaf(ours, 0.5, 1.5)
    gc.disable()
    try:
        out = checkpoint(outer, x, use_reentrant=False)
        assert [array() for array in arrays] == [None]
        out.sum().backward()
    finally:
        gc.enable()
    assert_close(x.grad, ours.autograd.grad(x.exp().sin().tanh().sum(), x)[0])


def test_backward_inside() -> None:
    """A gradient that the function itself asks for."""

    def run(m: Any, early: bool) -> Any:
        def function(x: Any) -> Any:
            z = x.sin().cos()
            (g,) = m.autograd.grad(z.sum(), x, create_graph=True)
            return x.cos() * g

        x = leaf(m, 0.5, 1.5)
        out = api(m).checkpoint(function, x, use_reentrant=False, early_stop=early)
        out.sum().backward()
        return out, x.grad

    compare(lambda m: run(m, True))
    compare(lambda m: run(m, False))


# ----- Random numbers -----------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("preserve", [True, False, None])
def test_random_numbers(reentrant: bool, preserve: bool | None) -> None:
    def run(m: Any) -> Any:
        def function(x: Any) -> Any:
            return m.nn.functional.dropout(x.exp(), 0.5) * m.rand_like(x) * m.randn(8)

        m.manual_seed(3)
        x = m.linspace(0, 1, 8).requires_grad_()
        kwargs = {} if preserve is None else {"preserve_rng_state": preserve}
        first = api(m).checkpoint(function, x, use_reentrant=reentrant, **kwargs)
        between = m.rand(2)
        second = api(m).checkpoint(function, x, use_reentrant=reentrant, **kwargs)
        (first * second).sum().backward()
        return first, between, second, x.grad, m.rand(2)

    compare(run)


# ----- Memory -------------------------------------------------------------------------------------

SIZE = 100_000


def peak(run: Callable[[], Any]) -> float:
    """Return how many float32 arrays of SIZE elements were alive at once, at most."""
    run()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        run()
        return (tracemalloc.get_traced_memory()[1] - before) / (4 * SIZE)
    finally:
        tracemalloc.stop()


@BOTH_WAYS
def test_memory(reentrant: bool) -> None:
    def layers(x: Any) -> Any:
        for _ in range(5):
            x = x.sin().cos()
        return x

    def step(again: bool) -> None:
        x = ours.ones(SIZE, requires_grad=True) * 1
        for _ in range(6):
            x = checkpoint(layers, x, use_reentrant=reentrant) if again else layers(x)
        x.sum().backward()

    kept, again = peak(lambda: step(False)), peak(lambda: step(True))
    assert 60 < kept < 70
    assert again < 22  # six arguments, ten values of one segment, and what is under way


@BOTH_WAYS
def test_nothing_is_kept(reentrant: bool) -> None:
    arrays: list[weakref.ref[Any]] = []

    def function(x: Any) -> Any:
        y = x.exp()
        arrays.append(weakref.ref(y.array))
        return y.sin() * 2

    gc.disable()
    try:
        x = leaf(ours, 0.5, 1.5)
        out = checkpoint(function, x, use_reentrant=reentrant)
        assert arrays[0]() is None
        out.sum().backward()
        assert len(arrays) == 2
        assert arrays[1]() is None
        again = weakref.ref(out.grad_fn)
        del out
        assert again() is None
    finally:
        gc.enable()


# ----- How far the second call goes ---------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("setting", [True, False, None])
def test_early_stop(early: bool, setting: bool | None) -> None:
    def run(m: Any) -> Any:
        def function(x: Any) -> Any:
            out = x.exp().sin()
            reached.append("saved")
            out = out + 1
            reached.append("end")
            return out

        reached: list[str] = []
        x = leaf(m, 0.5, 1.5)
        forced = contextlib.nullcontext()
        if setting is not None:
            forced = api(m).set_checkpoint_early_stop(setting)
        with forced:
            out = api(m).checkpoint(function, x, use_reentrant=False, early_stop=early)
        out.sum().backward()
        return x.grad, reached

    compare(run)


def test_contexts() -> None:
    def run(m: Any) -> Any:
        @contextlib.contextmanager
        def noted(name: str) -> Iterator[None]:
            seen.append(f"enter {name}")
            yield
            seen.append(f"leave {name}")

        seen: list[str] = []
        x = leaf(m, 0.5, 1.5)
        out = api(m).checkpoint(
            lambda x: (seen.append("call"), x.exp())[1],
            x,
            use_reentrant=False,
            early_stop=False,
            context_fn=lambda: (noted("first"), noted("again")),
        )
        out.sum().backward()
        return x.grad, seen

    compare(run)


# ----- Errors -------------------------------------------------------------------------------------


def changing(m: Any, first: Callable[[Any], Any], later: Callable[[Any], Any], **more: Any) -> Any:
    """Checkpoint a function that does one thing first and another the second time."""
    turns = [first, later]
    x = leaf(m, 0.5, 1.5)
    out = api(m).checkpoint(lambda x: turns.pop(0)(x), x, use_reentrant=False, **more)
    out.sum().backward()
    return x.grad


CHANGES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "fewer": (lambda x: x.exp().sin(), lambda x: x * 1),
    "more": (lambda x: x.exp(), lambda x: x.exp().sin()),
    "another shape": (lambda x: x.exp(), lambda x: x[:1].exp()),
    "another dtype": (lambda x: x.exp(), lambda x: x.double().exp()),
}


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("check", ["default", "none"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_second_call_unlike_the_first(name: str, check: str, early: bool) -> None:
    def error(m: Any) -> str:
        try:
            changing(m, *CHANGES[name], determinism_check=check, early_stop=early)
        except RuntimeError as raised:
            return type(raised).__name__
        return "none"

    found = error(ours)
    if (name, check) == ("another shape", "none"):  # PyTorch goes on with values that do not fit
        assert found == "RuntimeError"
    else:
        assert found == error(pytest.importorskip("torch"))


def test_what_errors_say() -> None:
    with pytest.raises(CheckpointError, match=r"forward: 2\n.*recomputation: 0\n.*debug=True"):
        changing(ours, *CHANGES["fewer"])
    with pytest.raises(CheckpointError, match=r"position 0:\n.*shape \(2,\), .*\n.*shape \(1,\)"):
        changing(ours, *CHANGES["another shape"])
    with pytest.raises(CheckpointError, match=r"float32\n.*float64"):
        changing(ours, *CHANGES["another dtype"])
    told = r"during forward:\n.* at .*test_checkpoint.py:\d+\n(.*\n)*Saved during recomputation"
    with pytest.raises(CheckpointError, match=told):
        changing(ours, *CHANGES["another dtype"], debug=True)
    with (
        pytest.raises(CheckpointError, match=told),
        module.set_checkpoint_debug_enabled(True),
    ):
        changing(ours, *CHANGES["fewer"])
    with (
        pytest.raises(CheckpointError, match="Pass debug=True"),
        module.set_checkpoint_debug_enabled(False),
    ):
        changing(ours, *CHANGES["fewer"], debug=True)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "keyword": {"use_reentrant": True, "scale": 2},
    "context": {"use_reentrant": True, "context_fn": lambda: (None, None)},
    "debug": {"use_reentrant": True, "debug": True},
    "check": {"use_reentrant": False, "determinism_check": "all"},
    "debug and context": {
        "use_reentrant": False,
        "debug": True,
        "context_fn": lambda: (contextlib.nullcontext(), contextlib.nullcontext()),
    },
    "not the function's": {"use_reentrant": False, "scale": 2},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_do_not_go_together(name: str) -> None:
    def run(m: Any) -> Any:
        return api(m).checkpoint(lambda x: x.exp(), leaf(m, 0.5), **ARGUMENTS[name])

    compare(run)
    with pytest.raises((ValueError, TypeError)):
        run(ours)


@BOTH_WAYS
@pytest.mark.parametrize("turn", [0, 1])
def test_a_function_that_fails(reentrant: bool, turn: int) -> None:
    def run(m: Any) -> Any:
        def function(x: Any) -> Any:
            turns.append(1)
            if len(turns) > turn:
                raise KeyError("the function's own")
            return x.exp()

        turns: list[int] = []
        x = leaf(m, 0.5, 1.5)
        api(m).checkpoint(function, x, use_reentrant=reentrant).sum().backward()

    compare(run)
    with pytest.raises(KeyError, match="own"):
        run(ours)


def test_a_context_that_swallows_an_error() -> None:
    def run(m: Any) -> Any:
        return api(m).checkpoint(
            lambda x: x.no_such_method(),
            leaf(m, 0.5),
            use_reentrant=False,
            context_fn=lambda: (contextlib.suppress(AttributeError), contextlib.nullcontext()),
        )

    compare(run)
    with pytest.raises(RuntimeError, match="suppressed an exception"):
        run(ours)


@BOTH_WAYS
def test_arguments_that_were_overwritten(reentrant: bool) -> None:
    def run(m: Any) -> Any:
        x = leaf(m, 0.5, 1.5)
        a = x * 1
        out = api(m).checkpoint(lambda x: x.exp(), a, use_reentrant=reentrant)
        with m.no_grad():
            a.mul_(2)
        out.sum().backward()

    compare(run)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        run(ours)


def test_values_that_were_overwritten_inside() -> None:
    def function(x: Any) -> Any:
        y = x.exp()
        z = y * 1
        y.detach().mul_(2)
        return z.sin()

    x = leaf(ours, 0.5, 1.5)
    out = checkpoint(function, x, use_reentrant=False)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_results_that_need_no_gradient_the_second_time() -> None:
    def run(m: Any) -> Any:
        x = leaf(m, 0.5, 1.5)
        api(m).checkpoint(lambda x: x.detach() * 2, x, use_reentrant=True).sum().backward()

    compare(run)
    with pytest.raises(RuntimeError, match="none of output has requires_grad"):
        run(ours)


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint_sequential"])
def test_the_way_had_better_be_said(name: str) -> None:
    def run(m: Any) -> Any:
        x = leaf(m, 0.5, 1.5)
        if name == "checkpoint":
            out = api(m).checkpoint(lambda x: x.exp(), x)
        else:
            out = api(m).checkpoint_sequential([m.exp, m.sin], 1, x)
        out.sum().backward()
        return out, x.grad

    compare(run)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        run(ours)


# ----- Chains -------------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("segments", [1, 2, 3, 5, 6])
def test_chains(reentrant: bool, segments: int) -> None:
    def run(m: Any, whole: bool) -> Any:
        m.manual_seed(0)
        layers = [m.nn.Linear(3, 3), m.nn.Tanh(), m.nn.Dropout(0.3), m.nn.Linear(3, 3), m.nn.GELU()]
        x = m.rand(4, 3, requires_grad=True)
        chain = m.nn.Sequential(*layers)
        out = api(m).checkpoint_sequential(
            chain if whole else layers, segments, x, use_reentrant=reentrant
        )
        out.sum().backward()
        return out, x.grad, [p.grad for p in chain.parameters()], m.rand(1)

    compare(lambda m: run(m, True))
    compare(lambda m: run(m, False))


def test_chains_take_no_other_keywords() -> None:
    compare(lambda m: api(m).checkpoint_sequential([m.exp], 1, m.ones(1), True, debug=True))
    with pytest.raises(ValueError, match="Unexpected keyword arguments: debug"):
        checkpoint_sequential([ours.exp], 1, ours.ones(1), True, debug=True)
    with pytest.raises(ValueError, match="1 functions can't be cut into 2 segments"):
        checkpoint_sequential([ours.exp], 2, ours.ones(1), True)


# ----- The rest -----------------------------------------------------------------------------------


def test_helpers() -> None:
    def run(m: Any) -> Any:
        x, fixed = leaf(m, 0.5), m.ones(1)
        first, second, third = api(m).detach_variable((x * 2, fixed, "other"))
        contexts = api(m).noop_context_fn()
        return first, first.is_leaf, second, third, len(contexts)

    compare(run)
    compare(lambda m: api(m).detach_variable([m.ones(1)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.check_backward_validity([None, leaf(ours, 1.0)])
        with pytest.raises(UserWarning, match="None of the inputs"):
            module.check_backward_validity([ours.ones(1)])


def test_hooks_around_see_the_arguments_only() -> None:
    def run(m: Any) -> Any:
        packed: list[Any] = []

        def pack(x: Any) -> Any:
            packed.append(tuple(x.shape))
            return x.detach()

        x = leaf(m, 0.5, 1.5)
        with m.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            out = api(m).checkpoint(lambda x: x.exp().sin().sum(), x, use_reentrant=False)
        out.backward()
        return packed, x.grad

    compare(run)
