"""Corners of softmax and its logarithm: dimensions, special numbers, and the ways through memory."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.watching import watch
from tinygrad_like import jit, threads
from tinygrad_like.arrays import row_blocks
from tinygrad_like.ops import softmax as module

torch = pytest.importorskip("torch")

NAMES = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


def draw(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def run(side, name, x, dim):
    """Return the result and the gradient of one side as arrays."""
    leaf = side.tensor(x).requires_grad_()
    out = getattr(side, name)(leaf, dim)
    out.backward(side.tensor(draw(*x.shape, seed=1, dtype=x.dtype)))
    return [out.detach().numpy(), leaf.grad.numpy()]


@NAMES
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (3, 5), (60, 70), (6, 9, 40), (3, 5000)])
def test_every_dimension(name, shape, dtype):
    rtol = {"float16": 5e-3, "float32": 5e-6, "float64": 1e-13}[dtype]
    x = draw(*shape, dtype=dtype) * 3
    for dim in range(-1, len(shape)):
        exact = run(torch, name, x.astype("f8"), dim)
        for a, b in zip(run(ours, name, x, dim), exact, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


@NAMES
def test_kernels_are_taken_and_agree(name, monkeypatch):
    x = draw(60, 70) * 10
    with jit.disabled():
        plain = run(ours, name, x, 1)
    routines = f"_{name}_rows _{name}_rows_backward"
    asked = watch(monkeypatch, module, routines)
    for a, b in zip(run(ours, name, x, 1), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * np.abs(b).max())
    assert asked() == set(routines.split())


@NAMES
@pytest.mark.parametrize("compiled", [False, True])
def test_neither_blocks_nor_threads_change_anything(name, compiled, monkeypatch):
    monkeypatch.setattr(jit._switch, "on", compiled and jit.enabled())
    monkeypatch.setattr(row_blocks, "BLOCK", 1 << 11)
    x, pieces = draw(60, 70), []

    def one_by_one(count, work, bytes_):
        pieces.append(count)
        for i in reversed(range(count)):
            work(i, i + 1)

    whole = run(ours, name, x, 1)
    monkeypatch.setattr(threads, "split", one_by_one)
    for a, b in zip(run(ours, name, x, 1), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert pieces == [9, 9]


@NAMES
@pytest.mark.parametrize("times", [1, 300])
@pytest.mark.parametrize("compiled", [False, True])
def test_infinities_and_nans(name, times, compiled, monkeypatch):
    monkeypatch.setattr(jit._switch, "on", compiled and jit.enabled())
    rows = [[np.inf, 1, 2], [-np.inf, 1, 2], [-np.inf] * 3, [np.nan, 1, 2], [1e30, -1e30, 0]]
    x = np.tile(np.array(rows, np.float32), (times, 1))
    for a, b in zip(run(ours, name, x, 1), run(torch, name, x, 1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@NAMES
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 3), (2, 0, 3)])
def test_one_number_and_none(name, shape):
    for dim in range(-1, max(len(shape), 1)):
        for a, b in zip(
            run(ours, name, np.ones(shape, "f4"), dim),
            run(torch, name, np.ones(shape, "f4"), dim),
            strict=True,
        ):
            assert a.shape == b.shape
            np.testing.assert_array_equal(a, b)


@NAMES
def test_operands_in_any_order_of_memory(name):
    x = draw(50, 60)
    exact = run(ours, name, x, 1)
    leaf = ours.tensor(np.ascontiguousarray(x.T)).requires_grad_()
    out = getattr(ours, name)(leaf.T, 1)
    out.backward(ours.tensor(np.asfortranarray(draw(50, 60, seed=1))))
    np.testing.assert_array_equal(out.detach().numpy(), exact[0])
    np.testing.assert_array_equal(leaf.grad.numpy().T, exact[1])


@NAMES
def test_wrong_arguments_raise_what_torch_raises(name):
    for side in (torch, ours):
        with pytest.raises(IndexError, match="Dimension out of range"):
            getattr(side, name)(side.zeros(2, 3), 2)
        with pytest.raises(NotImplementedError, match="not implemented for"):
            getattr(side, name)(side.zeros(3).long(), 0)
