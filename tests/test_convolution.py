"""Corners of convolution: arguments that do not fit, layouts, blocks, empty batches."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.watching import watch
from tinygrad_like import jit, threads
from tinygrad_like.arrays import correlation, windows
from tinygrad_like.arrays.windows import Axis
from tinygrad_like.graph import result_type
from tinygrad_like.nn import functional as F

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
        monkeypatch.setattr(correlation, "_SCRATCH", block)
        leaves = make(x, True), make(w, True)
        out = ours.conv2d(*leaves, **options)
        g = random(*out.shape, seed=2) if g is None else g
        out.backward(make(g))
        results.append([out.array, *(t.grad.array for t in leaves)])
    for whole, parts in zip(*results, strict=True):
        np.testing.assert_allclose(parts, whole, rtol=2e-5, atol=2e-5)


# Shapes of input and weight, and options: each takes another way through `correlation`.
WAYS = {
    "by rows": ((9, 3, 6, 7), (5, 3, 3, 3), {"padding": 1}),
    "by rows, strided": ((9, 3, 8, 7), (5, 3, 3, 2), {"stride": (3, 2), "padding": 2}),
    "by rows, dilated": ((9, 3, 9, 8), (4, 3, 3, 2), {"dilation": (3, 2), "stride": (2, 1)}),
    "short rows": ((1, 3, 5, 6), (9, 3, 3, 3), {"padding": 1}),
    "short rows, dilated": ((1, 3, 9, 8), (9, 3, 3, 2), {"dilation": 3, "stride": 2, "padding": 4}),
    "few outputs": ((9, 8, 6, 7), (2, 8, 3, 3), {"padding": 2}),
    "few outputs, dilated": ((3, 8, 9, 7), (3, 8, 2, 3), {"dilation": 2, "padding": 1}),
    "pointwise": ((5, 3, 6, 7), (4, 3, 1, 1), {}),
    "pointwise, strided": ((5, 3, 6, 7), (4, 3, 1, 1), {"stride": 2}),
    "one channel": ((9, 1, 6, 7), (5, 1, 3, 3), {"padding": 1}),
    "one channel each": ((9, 3, 6, 7), (6, 1, 3, 3), {"groups": 3, "padding": 1}),
    "one channel each, strided": ((9, 3, 9, 8), (3, 1, 3, 2), {"groups": 3, "stride": 2}),
    "groups": ((9, 4, 6, 7), (6, 2, 3, 3), {"groups": 2, "stride": (1, 2)}),
    "window of all": ((5, 3, 4, 4), (6, 3, 4, 4), {}),
    "gaps between windows": ((5, 3, 9, 9), (4, 3, 2, 2), {"stride": 4}),
    "one dimension": ((9, 3, 40), (5, 3, 3), {"padding": 2, "stride": 2}),
    "three dimensions": ((4, 2, 5, 4, 6), (3, 2, 2, 3, 3), {"stride": (1, 2, 1), "padding": 1}),
    "three dimensions, one channel": ((4, 2, 5, 4, 6), (2, 1, 2, 3, 3), {"groups": 2}),
}


def run(t, x, w, b, g, options):
    """Return a convolution and its gradients."""
    leaves = [t.tensor(a, requires_grad=True) for a in (x, w, b)]
    out = getattr(t, f"conv{x.ndim - 2}d")(*leaves, **options)
    if g is None:
        g = random(*out.shape, seed=3).astype(x.dtype)
    out.backward(t.tensor(g))
    return g, [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


@pytest.fixture(params=["numpy", "jit"])
def mode(request, monkeypatch):
    if request.param == "jit":
        pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", request.param == "jit")
    return request.param


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layout", ["batch first", "batch last"])
def test_every_way_gives_what_torch_gives(way, layout, mode):
    shape, weight, options = WAYS[way]
    x, w, b = random(*shape).astype("f8"), random(*weight, seed=1), random(weight[0], seed=2)
    g, theirs = run(torch, x, w.astype("f8"), b.astype("f8"), None, options)
    if layout == "batch last":
        x, g = (np.ascontiguousarray(a.T).T for a in (x, g))
    _, mine = run(ours, x, w.astype("f8"), b.astype("f8"), g, options)
    for a, b_ in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b_, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_threads_change_nothing(way, mode, monkeypatch):
    shape, weight, options = WAYS[way]
    x, w, b = random(*shape), random(*weight, seed=1), random(weight[0], seed=2)
    g, alone = run(ours, x, w, b, None, options)
    monkeypatch.setattr(threads, "LEAST_BYTES", 1)
    monkeypatch.setattr(correlation, "_SCRATCH", 1000)
    former = ours.get_num_threads()
    ours.set_num_threads(3)
    try:
        _, together = run(ours, x, w, b, g, options)
    finally:
        ours.set_num_threads(former)
    for a, b_ in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b_, rtol=2e-5, atol=2e-5)


def test_infinities_stay_in_their_windows():
    x, w = random(2, 16, 6, 6), random(2, 16, 3, 3)
    x[0, 3, 2, 2], x[1, 5, 0, 5] = np.inf, np.nan
    for weight, groups in ((w, 1), (random(16, 1, 3, 3), 16), (random(16, 4, 3, 3), 4)):
        out = ours.conv2d(make(x), make(weight), padding=1, groups=groups).array
        theirs = torch.conv2d(torch.tensor(x), torch.tensor(weight), padding=1, groups=groups)
        np.testing.assert_array_equal(np.isfinite(out), np.isfinite(theirs.numpy()))


def test_rows_of_windows_overlap_in_memory():
    x = random(1, 2, 7, 6, 5)
    axes = Axis(3, -1, 1, 1, 7), Axis(3, -1, 1, 1, 6)
    matrices = correlation._matrices(x, axes)
    assert matrices.shape == (1, 7, 3 * 3 * 2, 6 * 5)
    assert matrices.base.nbytes == (7 + 2) * 3 * 2 * 6 * 5 * x.itemsize
    assert np.shares_memory(matrices[0, 0], matrices[0, 1])


@pytest.mark.parametrize("shape", [(16, 3, 32, 32), (11, 2, 16, 16), (3, 2, 4, 4), (0, 2, 4, 4)])
def test_images_are_transposed_rightly(shape, mode):
    x = random(*shape)
    out = windows.images(x)
    np.testing.assert_array_equal(out, x.transpose(1, 2, 3, 0))
    assert out.flags.c_contiguous
    assert windows.images(out.transpose(3, 0, 1, 2)).base is not None  # no copy


def test_kernels_are_taken(monkeypatch):
    taken = watch(monkeypatch, correlation, "_single _single_weight")
    transposed = watch(monkeypatch, windows, "_transpose")
    x, w = random(16, 8, 10, 10), random(8, 1, 3, 3)
    run(ours, x, w, random(8), None, {"groups": 8})
    assert taken() == {"_single", "_single_weight"}
    assert transposed() == {"_transpose"}


def test_no_kernel_where_outputs_see_several_channels(monkeypatch):
    taken = watch(monkeypatch, correlation, "_single _single_weight")
    run(ours, random(16, 4, 10, 10), random(8, 2, 3, 3), random(8), None, {"groups": 2})
    assert not taken()


def test_gradient_for_the_bias_of_many():
    g = random(64, 3, 40, 40)
    out = make(np.zeros_like(g)), make(np.zeros((3, 3, 1, 1), np.float32)), make(random(3), True)
    ours.conv2d(*out).backward(make(np.ascontiguousarray(g.T).T))
    np.testing.assert_allclose(out[2].grad.array, g.sum((0, 2, 3), dtype="f8"), rtol=1e-4)


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
