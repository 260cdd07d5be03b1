"""Corners of convolution: arguments that do not fit, layouts, blocks, empty batches."""

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.graph import result_type
from tinygrad_like.nn import functional as F
from tinygrad_like.ops import correlation as module

torch = pytest.importorskip("torch")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(array, grad=False):
    return result_type.make(np.asarray(array)).requires_grad_(grad)


def test_result_has_the_batch_innermost_in_memory():
    out = ours.conv2d(make(random(4, 2, 5, 6)), make(random(3, 2, 3, 3)))
    assert out.shape == (4, 3, 3, 4)
    assert out.array.transpose(1, 2, 3, 0).flags.c_contiguous
    assert ours.relu(out).array.transpose(1, 2, 3, 0).flags.c_contiguous


def test_float32_stays_float32():
    x, w, b = make(random(2, 2, 4, 4), True), make(random(3, 2, 3, 3), True), make(random(3), True)
    ours.conv2d(x, w, b).sum().backward()
    assert {t.grad.array.dtype for t in (x, w, b)} == {np.dtype("float32")}


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2}])
def test_blocks_change_nothing(options, monkeypatch):
    x, g = random(3, 4, 19, 5), None
    w = random(6, 4 // options.get("groups", 1), 3, 3, seed=1)
    results = []
    for block in (1 << 20, 1000):
        monkeypatch.setattr(module, "_SCRATCH", block)
        leaves = make(x, True), make(w, True)
        out = ours.conv2d(*leaves, **options)
        g = random(*out.shape, seed=2) if g is None else g
        out.backward(make(g))
        results.append([out.array, *(t.grad.array for t in leaves)])
    for whole, parts in zip(*results, strict=True):
        np.testing.assert_allclose(parts, whole, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("n", [0, 1])
def test_empty_and_single_batches(n):
    x, w = random(n, 2, 5, 5), random(3, 2, 3, 3)
    leaf, theirs = make(w, True), torch.tensor(w, requires_grad=True)
    ours.conv2d(make(x), leaf).sum().backward()
    torch.conv2d(torch.tensor(x), theirs).sum().backward()
    np.testing.assert_allclose(leaf.grad.array, theirs.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_no_gradient_for_an_input_that_wants_none():
    w = make(random(3, 2, 3, 3), True)
    out = ours.conv2d(make(random(2, 2, 5, 5)), w)
    assert out.grad_fn.name() == "ConvolutionBackward0"
    out.sum().backward()
    assert w.grad is not None


X, W = (2, 4, 8, 8), (6, 4, 3, 3)
WRONG = [
    (X, (6, 3, 3, 3), {}, "to have 3 channels, but got 4 channels instead"),
    (X, (6, 4, 9, 9), {}, "Kernel size can't be greater than actual input size"),
    ((8, 8), W, {}, r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d"),
    (X, W, {"stride": 0}, "non-positive stride is not supported"),
    (X, W, {"padding": -1}, "negative padding is not supported"),
    (X, W, {"dilation": 0}, "non-positive dilation is not supported"),
    (X, W, {"padding": "full"}, "Invalid padding string: 'full'"),
    (X, W, {"padding": "same", "stride": 2}, "not supported for strided convolutions"),
    (X, W, {"groups": 3}, "to have 12 channels, but got 4 channels instead"),
    (X, W, {"groups": 0}, "non-positive groups is not supported"),
    (X, (5, 2, 3, 3), {"groups": 2}, "expected weight to be divisible by 2 at dimension 0"),
    (X, W, {"stride": (1, 2, 3)}, "a list of 2 values to match the convolution dimensions"),
]


@pytest.mark.parametrize(("x", "w", "options", "words"), WRONG)
def test_wrong_arguments_raise_what_torch_raises(x, w, options, words):
    for side in (torch, ours):
        with pytest.raises(RuntimeError, match=words):
            side.conv2d(side.zeros(x), side.zeros(w), **options)


def test_wrong_dtypes_and_biases():
    x, w = ours.zeros(X), ours.zeros(W)
    with pytest.raises(RuntimeError, match=r"weight type .*float64.* should be the same"):
        ours.conv2d(x, w.double())
    with pytest.raises(RuntimeError, match="bias to be 1-dimensional with 6 elements"):
        ours.conv2d(x, w, ours.zeros(5))
    with pytest.raises(RuntimeError, match="bias type"):
        ours.conv2d(x, w, ours.zeros(6).double())
    with pytest.raises(TypeError, match=r"argument 'weight' .* must be Tensor, not int"):
        ours.conv2d(x, 3)


@pytest.mark.parametrize(
    ("w", "options", "words"),
    [
        ((3, 2, 3, 3), {}, "to have 3 channels, but got 4"),
        ((4, 2, 3, 3), {"output_padding": 1}, "output padding must be smaller"),
        ((4, 2, 3, 3), {"bias": ours.zeros(3)}, "1-dimensional with 2 elements"),
        ((4, 2, 3, 3), {"padding": 20}, "Output size is too small"),
    ],
)
def test_wrong_arguments_of_transposed_convolution(w, options, words):
    with pytest.raises(RuntimeError, match=words):
        ours.conv_transpose2d(ours.zeros(X), ours.zeros(w), **options)


def test_windows_that_do_not_fit():
    with pytest.raises(RuntimeError, match="must be at least one"):
        F.unfold(ours.zeros(X), 9)
    with pytest.raises(RuntimeError, match="number of sliding blocks 6 \\* 6 = 36, but got"):
        F.fold(ours.zeros(2, 36, 35), (8, 8), 3)
    with pytest.raises(RuntimeError, match="divisible by the product of kernel_size"):
        F.fold(ours.zeros(2, 35, 36), (8, 8), 3)
    with pytest.raises(RuntimeError, match="Expected 3D or 4D"):
        F.unfold(ours.zeros(8, 8), 3)


def test_fold_undoes_unfold_up_to_counting():
    x = random(2, 3, 6, 6)
    columns = F.unfold(make(x), 2, stride=2)
    np.testing.assert_array_equal(F.fold(columns, (6, 6), 2, stride=2).array, x)
