"""Hooks on what is saved for backward."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare
from tinygrad_like import generate, modes
from tinygrad_like.autograd import Function
from tinygrad_like.autograd.graph import (
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from tinygrad_like.op import REGISTRY
from tinygrad_like.testing import assert_close


def keep(x: Any) -> Any:
    return x


class Log:
    """Hooks that note what is packed and how often it is unpacked."""

    def __init__(self, m: Any) -> None:
        self.m = m
        self.packed: list[Any] = []
        self.unpacked = 0

    def pack(self, x: Any) -> Any:
        assert type(x) is self.m.Tensor
        assert not self.m.is_grad_enabled()
        self.packed.append((x.requires_grad, tuple(x.shape), x.is_leaf, x.detach().clone()))
        return x.detach().clone()

    def unpack(self, x: Any) -> Any:
        self.unpacked += 1
        return x

    def hooks(self) -> Any:
        return self.m.autograd.graph.saved_tensors_hooks(self.pack, self.unpack)

    def told(self) -> list[Any]:
        """Return what was packed, in an order that doesn't depend on the operations' own."""
        return [self.unpacked, *sorted(self.packed, key=str)]


def leaf(m: Any, *values: float) -> Any:
    return m.tensor(list(values), requires_grad=True)


def spread(m: Any, x: Any, y: Any) -> Any:
    """Save and compute in many ways: operands, results, views, lists, several results, masks."""
    z = (x * y).exp() + (x - y) ** 2 / y
    z = m.cat([z[:2].tanh(), z[2:].sigmoid() * y[2:]])
    first, second = z.reshape(2, 2).unbind(0)
    top = m.stack([first * second, first]).max(0).values
    return m.where(top > 0, top.sqrt(), top).sum() + (z @ z) * y.log().mean()


# ----- What is packed -----------------------------------------------------------------------------

CALLS: dict[str, Callable[..., Any]] = {
    "operands": lambda m, x, y: x * y,
    "one operand": lambda m, x, y: x * y.detach(),
    "number": lambda m, x, y: x * 2.0 + 1.0,
    "nothing": lambda m, x, y: (x + y).reshape(2, 2).t(),
    "result": lambda m, x, y: x.exp() + y.tanh() + x.sigmoid(),
    "twice the same": lambda m, x, y: x * x,
    "power": lambda m, x, y: x**2,
    "matrices": lambda m, x, y: x.reshape(2, 2) @ y.reshape(2, 2),
    "views": lambda m, x, y: x[1:] * y[:3],
    "broadcast": lambda m, x, y: x[:, None] * y,
    "mask": lambda m, x, y: m.where(x > 1, x * y, y),
    "softmax": lambda m, x, y: x.softmax(0) + y.log_softmax(0),
    "no gradient": lambda m, x, y: x.detach() * y.detach() + x * 1,
    "not recorded": lambda m, x, y: (m.no_grad()(lambda: x * y)(), x + y)[1],
}


@pytest.mark.parametrize("name", CALLS)
def test_the_same_is_packed_and_unpacked(name: str) -> None:
    def run(m: Any) -> Any:
        x, y, log = leaf(m, 1.0, 2.0, 3.0, 4.0), leaf(m, 0.5, 1.5, 2.5, 3.5), Log(m)
        with log.hooks():
            z = CALLS[name](m, x, y)
        early = log.told()
        z.sum().backward(retain_graph=True)
        z.sum().backward()
        return early, log.told(), x.grad, y.grad

    compare(run)


IN_PLACE: dict[str, Callable[..., Any]] = {
    "multiply": lambda m, b, x: b.mul_(x),
    "result": lambda m, b, x: b.exp_(),
    "through a view": lambda m, b, x: b[1:].mul_(x[1:]),
    "through a view, result": lambda m, b, x: b[1:].tanh_(),
    "by an index": lambda m, b, x: b.__setitem__(slice(0, 2), x[1:3] * x[:2]),
    "not saved": lambda m, b, x: b.add_(x),
}


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("packs", ["keep", "detach", "clone"])
def test_writes(name: str, packs: str) -> None:
    pack = {"keep": keep, "detach": lambda x: x.detach(), "clone": lambda x: x.detach().clone()}

    def run(m: Any) -> Any:
        x = leaf(m, 1.0, 2.0, 3.0, 4.0)
        with m.autograd.graph.saved_tensors_hooks(pack[packs], keep):
            b = x * 1.5
            IN_PLACE[name](m, b, x)
            c = b * 1
        c.sum().backward()
        return b, x.grad

    compare(run)


def test_a_hook_answers_for_what_it_kept() -> None:
    """As in PyTorch nobody looks whether what a hook kept was overwritten."""

    def run(m: Any, hooked: bool) -> Any:
        x = leaf(m, 1.0, 2.0)
        b = x * 1.0
        if hooked:
            with m.autograd.graph.saved_tensors_hooks(keep, keep):
                y = b * b
        else:
            y = b * b
        b.mul_(3)
        (y.sum() + b.sum()).backward()
        return x.grad

    compare(lambda m: run(m, True))
    compare(lambda m: run(m, False))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        run(ours, False)


# ----- What backward makes of it ------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_are_the_same_with_and_without(order: int) -> None:
    def gradients(hooked: bool, m: Any = ours) -> Any:
        x = m.tensor([0.3, 0.7, 1.1, 1.9], dtype=m.float64, requires_grad=True)
        y = m.tensor([0.8, 1.2, 0.4, 0.9], dtype=m.float64, requires_grad=True)
        log = Log(m)
        if hooked:
            with log.hooks():
                z = spread(m, x, y)
        else:
            z = spread(m, x, y)
        found = m.autograd.grad(z, (x, y), create_graph=order == 2)
        if order == 2:
            found = m.autograd.grad(sum((g**2).sum() for g in found), (x, y))
        assert bool(log.unpacked) == hooked
        return found

    for plain, hooked in zip(gradients(False), gradients(True), strict=True):
        assert_close(plain, hooked, rtol=0, atol=0)
    compare(lambda m: gradients(True, m))


def test_what_is_unpacked_counts() -> None:
    def run(m: Any) -> Any:
        x = leaf(m, 1.0, 2.0)
        with m.autograd.graph.saved_tensors_hooks(lambda x: x.detach() * 10, lambda x: x + 1):
            y = x * x
        return m.autograd.grad(y.sum(), x)

    compare(run)
    assert run(ours)[0].tolist() == [22.0, 42.0]


def test_hooks_stay_with_the_node_when_they_are_left() -> None:
    x = leaf(ours, 1.0, 2.0)
    with saved_tensors_hooks(lambda x: 3, lambda three: ours.full((2,), float(three))):
        y = x * x
    with saved_tensors_hooks(lambda x: 5, lambda five: ours.full((2,), float(five))):
        (grad,) = ours.autograd.grad(y.sum(), x)
    assert grad.tolist() == [6.0, 6.0]


def test_only_the_innermost_pair_is_used() -> None:
    def run(m: Any) -> Any:
        x, outer, inner = leaf(m, 1.0, 2.0), Log(m), Log(m)
        with outer.hooks():
            with inner.hooks():
                y = x * x
            z = y.exp()
        z.sum().backward()
        return outer.told(), inner.told(), x.grad

    compare(run)


def test_packed_things_are_freed() -> None:
    class Content:
        pass

    x = leaf(ours, 1.0, 2.0)
    contents: list[weakref.ref[Any]] = []

    def pack(tensor: Any) -> Any:
        content = Content()
        content.tensor = tensor.detach()  # type: ignore[attr-defined]
        contents.append(weakref.ref(content))
        return content

    gc.disable()
    try:
        with saved_tensors_hooks(pack, lambda content: content.tensor):
            y = (x * x).exp().sum()
            z = (x * x).exp().sum()
        y.backward()
        del z
        assert len(contents) == 6
        assert all(content() is None for content in contents)
    finally:
        gc.enable()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def test_nothing_large_is_kept_beside_what_was_packed() -> None:
    gc.disable()
    try:
        x = leaf(ours, 1.0, 2.0)
        with saved_tensors_hooks(lambda x: None, keep):
            middle = x * x
            y = middle.exp()
            array = weakref.ref(middle.array)
            del middle
            z = y * 2
            del y
        assert array() is None
        del z
    finally:
        gc.enable()


# ----- Users' own functions -----------------------------------------------------------------------


def test_functions() -> None:
    def run(m: Any, several: bool) -> Any:
        class Own(m.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                out = x * y
                ctx.save_for_backward(x, None, y, out)
                return (out, x + y) if several else out

            @staticmethod
            def backward(ctx: Any, g: Any, *more: Any) -> Any:
                x, nothing, y, out = ctx.saved_tensors
                x, nothing, y, out = ctx.saved_tensors
                assert nothing is None
                seen.append((x.requires_grad, y.requires_grad, out.requires_grad))
                return g * y + 0 * out, g * x

        seen: list[Any] = []
        x, y, log = leaf(m, 1.0, 2.0), m.tensor([3.0, 4.0]), Log(m)
        with log.hooks():
            z = Own.apply(x, y)
        z = z[0] if several else z
        z.sum().backward()
        return seen, log.told(), x.grad

    compare(lambda m: run(m, False))
    compare(lambda m: run(m, True))


def test_functions_free_what_was_packed() -> None:
    class Own(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * x

    x = leaf(ours, 1.0, 2.0)
    with saved_tensors_hooks(lambda x: 7, lambda seven: ours.full((2,), float(seven))):
        y = Own.apply(x)
    y.sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]
    with pytest.raises(RuntimeError, match="a second time"):
        y.sum().backward()


# ----- Errors -------------------------------------------------------------------------------------


def hooked(m: Any, pack: Any, unpack: Any) -> Any:
    x = leaf(m, 1.0, 2.0)
    with m.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x.exp()
    y.sum().backward()
    return x.grad


def fail(x: Any) -> Any:
    raise ValueError("the hook's own")


FAULTS: dict[str, tuple[Any, Any]] = {
    "pack fails": (fail, keep),
    "unpack fails": (keep, fail),
    "unpack gives no tensor": (lambda x: 3, keep),
    "unpack gives another shape": (keep, lambda x: x[:1].repeat(3)),
    "pack writes": (lambda x: x.mul_(2), keep),
    "pack can't be called": (1, keep),
    "unpack can't be called": (keep, None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_hooks(name: str) -> None:
    compare(lambda m: hooked(m, *FAULTS[name]))
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        hooked(ours, *FAULTS[name])
    assert not modes.departed.count
    assert not modes.thread_mode.saving


def test_messages() -> None:
    with pytest.raises(ValueError, match="the hook's own"):
        hooked(ours, fail, keep)
    with pytest.raises(TypeError, match=r"unpack_hook expected to be a Tensor but got .* int"):
        hooked(ours, lambda x: 3, keep)
    with pytest.raises(RuntimeError, match=r"unpack_hook has shape \(3,\).* shape \(2,\)"):
        hooked(ours, keep, lambda x: ours.ones(3))
    with pytest.raises(RuntimeError, match="modifying its input in place"):
        hooked(ours, lambda x: x.mul_(2), keep)


def test_a_failing_hook_leaves_the_write_undone() -> None:
    b = leaf(ours, 1.0, 2.0) * 1
    with pytest.raises(ValueError, match="own"), saved_tensors_hooks(fail, keep):
        b.mul_(b)
    assert b.tolist() == [1.0, 2.0]
    assert b.grad_fn.name() == "MulBackward0"
    (grad,) = ours.autograd.grad(b.sum(), b)
    assert grad.tolist() == [1.0, 1.0]


def test_forbidden() -> None:
    def enter(m: Any, first: str, second: str) -> None:
        managers = {
            "hooks": lambda: m.autograd.graph.saved_tensors_hooks(keep, keep),
            "save": lambda: m.autograd.graph.save_on_cpu(),
            "one": lambda: m.autograd.graph.disable_saved_tensors_hooks("refused by one"),
            "two": lambda: m.autograd.graph.disable_saved_tensors_hooks("refused by two"),
        }
        with managers[first](), managers[second]():
            pass

    for first in ("one", "hooks"):
        for second in ("hooks", "save", "two"):
            compare(lambda m, pair=(first, second): enter(m, *pair))
    with pytest.raises(RuntimeError, match="refused by one"):
        enter(ours, "one", "hooks")
    with pytest.raises(RuntimeError, match="refused by two"):
        enter(ours, "hooks", "two")
    with disable_saved_tensors_hooks("outer"):
        with disable_saved_tensors_hooks("inner"):
            pass
        with pytest.raises(RuntimeError, match="outer"), save_on_cpu():
            pass
    with save_on_cpu():
        pass


# ----- Where they hold ----------------------------------------------------------------------------


@pytest.mark.parametrize("pin_memory", [False, True])
def test_save_on_cpu(pin_memory: bool) -> None:
    def run(m: Any) -> Any:
        x = leaf(m, 1.0, 2.0)
        with m.autograd.graph.save_on_cpu(pin_memory=pin_memory):
            y = (x * x).exp()
        y.sum().backward()
        return y, x.grad

    compare(run)


def test_hooks_belong_to_a_thread() -> None:
    log, x = Log(ours), leaf(ours, 1.0, 2.0)
    with log.hooks():
        other = threading.Thread(target=lambda: (x * x).sum().backward())
        other.start()
        other.join()
        assert not log.packed
        x * x
    assert len(log.packed) == 2


def test_nothing_is_asked_of_operations_outside() -> None:
    """Outside, generated code makes the plain nodes, without a look at the thread's modes."""
    x = leaf(ours, 1.0, 2.0)
    with save_on_cpu():
        inside = x * x
    outside = x * x
    node = REGISTRY["multiply"].node
    assert type(outside.grad_fn) is node
    assert type(inside.grad_fn) is not node
    assert isinstance(inside.grad_fn, node)
    assert inside.grad_fn.name() == outside.grad_fn.name() == "MulBackward0"
    assert "recording(" in generate.source(REGISTRY["multiply"])
    assert not modes.departed.count


def test_arrays_among_the_operands() -> None:
    log, x = Log(ours), leaf(ours, 1.0, 2.0)
    with log.hooks():
        y = ours.matmul(x, np.array([3.0, 4.0], np.float32))
    y.backward()
    assert [entry[0] for entry in log.packed] == [False]
    assert x.grad.tolist() == [3.0, 4.0]
