"""Corners of pooling: ties, nans, infinities, layouts and arguments that do not fit."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.watching import watch
from tinygrad_like import jit, threads
from tinygrad_like.graph import result_type
from tinygrad_like.nn import functional as F
from tinygrad_like.ops import pooling_ops

torch = pytest.importorskip("torch")


def make(array, grad=False):
    return result_type.make(np.asarray(array)).requires_grad_(grad)


def both(name, x, *args, g=None, **options):
    """Return outputs and input gradients of both sides."""
    mine, theirs = make(x.copy("K"), True), torch.tensor(x.copy("C"), requires_grad=True)
    out = getattr(F, name)(mine, *args, **options)
    expected = getattr(torch.nn.functional, name)(theirs, *args, **options)
    first, expected_first = (o[0] if isinstance(o, tuple) else o for o in (out, expected))
    g = np.random.default_rng(1).normal(size=tuple(first.shape)).astype(x.dtype) if g is None else g
    first.backward(make(g))
    expected_first.backward(torch.tensor(g))
    if isinstance(out, tuple):
        np.testing.assert_array_equal(out[1].array, expected[1].numpy())
        assert out[1].dtype is ours.int64
    np.testing.assert_array_equal(first.array, expected_first.detach().numpy())
    np.testing.assert_allclose(mine.grad.array, theirs.grad.numpy(), rtol=1e-6, atol=1e-6)
    return out, mine.grad.array


WAYS = [((2,), {}), ((3, 2, 1), {}), ((3, 1), {}), ((2, 2, 1), {"ceil_mode": True})]


@pytest.mark.parametrize(("args", "options"), WAYS)
@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_of_ties_wins(args, options, return_indices, dtype):
    x = np.random.default_rng(0).integers(0, 3, (2, 3, 7, 8)).astype(dtype)
    both("max_pool2d", x, *args, return_indices=return_indices, **options)


@pytest.mark.parametrize(("args", "options"), WAYS)
@pytest.mark.parametrize("return_indices", [False, True])
def test_the_last_nan_of_a_window_wins(args, options, return_indices):
    x = np.random.default_rng(0).integers(0, 3, (1, 2, 6, 6)).astype("float64")
    x[0, 0, 2, 2:4] = np.nan
    x[0, 1, 5, 5] = np.nan
    both("max_pool2d", x, *args, return_indices=return_indices, **options)


@pytest.mark.parametrize(("args", "options"), WAYS)
def test_infinities(args, options):
    x = np.full((1, 1, 6, 6), -np.inf)
    both("max_pool2d", x, *args, **options)
    x[0, 0, 1, 1], x[0, 0, 3, 3] = 1.0, np.inf
    both("max_pool2d", x, *args, **options)


# Name, shape of a plane, arguments and options.
WAYS_OF_ALL = [
    ("max_pool1d", (9,), (3, 2, 1), {}),
    ("max_pool2d", (7, 8), (2,), {}),
    ("max_pool2d", (7, 8), (3, 1, 1), {}),
    ("max_pool2d", (7, 8), (2, 3, 1), {"ceil_mode": True}),
    ("max_pool2d", (9, 8), (2, 1), {"dilation": (3, 2)}),
    ("max_pool2d", (21, 19), (17, 2), {}),  # more elements than a byte counts
    ("max_pool3d", (5, 4, 6), (2, 2), {}),
    ("adaptive_max_pool1d", (9,), (4,), {}),
    ("adaptive_max_pool2d", (7, 8), ((3, 5),), {}),
    ("adaptive_max_pool2d", (6, 8), ((3, 2),), {}),
    ("adaptive_max_pool3d", (5, 4, 6), (3,), {}),
    ("avg_pool1d", (9,), (3, 2, 1), {}),
    ("avg_pool2d", (7, 8), (2,), {}),
    ("avg_pool2d", (7, 8), (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}),
    ("avg_pool3d", (5, 4, 6), (2, 1), {"divisor_override": 3}),
    ("adaptive_avg_pool1d", (9,), (4,), {}),
    ("adaptive_avg_pool2d", (7, 20), ((3, 2),), {}),
    ("adaptive_avg_pool2d", (7, 8), (1,), {}),
    ("adaptive_avg_pool3d", (5, 4, 6), ((3, 2, 6),), {}),
]


@pytest.fixture(params=["numpy", "jit"])
def mode(request, monkeypatch):
    if request.param == "jit":
        pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", request.param == "jit")


def images(plane, content, layout):
    """Return images whose maxima are plain, tied, nans or infinite."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(11, 13, *plane))
    if content == "ties":
        x = np.round(x)
    if content == "specials":
        x[rng.random(x.shape) < 0.1] = np.nan
        x[rng.random(x.shape) < 0.5] = -np.inf
        x[rng.random(x.shape) < 0.1] = np.inf
    return x if layout == "batch first" else np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0)


@pytest.mark.parametrize(("name", "plane", "args", "options"), WAYS_OF_ALL)
@pytest.mark.parametrize("content", ["plain", "ties", "specials"])
@pytest.mark.parametrize("layout", ["batch first", "batch last"])
def test_every_way_gives_what_torch_gives(name, plane, args, options, content, layout, mode):
    if "max" in name:
        both(name, images(plane, content, layout), *args, return_indices=True, **options)
        both(name, images(plane, content, layout), *args, **options)
        return
    x = images(plane, "plain", layout)
    if content == "specials":
        x[0, 0, ..., 0], x[1, 1, ..., -1] = np.inf, np.nan
    mine, theirs = make(x, True), torch.tensor(x.copy("C"), requires_grad=True)
    out = getattr(F, name)(mine, *args, **options)
    expected = getattr(torch.nn.functional, name)(theirs, *args, **options)
    g = np.random.default_rng(1).normal(size=tuple(out.shape))
    out.backward(make(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(out.array, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mine.grad.array, theirs.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "plane", "args", "options"), WAYS_OF_ALL)
def test_threads_change_nothing(name, plane, args, options, mode, monkeypatch):
    monkeypatch.setattr(threads, "LEAST_BYTES", 1)
    results = []
    former = ours.get_num_threads()
    for count in (1, 3):
        ours.set_num_threads(count)
        try:
            x = make(images(plane, "ties", "batch last"), True)
            out = getattr(F, name)(x, *args, **options)
            (out * out).sum().backward()
        finally:
            ours.set_num_threads(former)
        results.append((out.array, x.grad.array))
    for alone, together in zip(*results, strict=True):
        np.testing.assert_array_equal(alone, together)


def test_kernels_are_taken(monkeypatch):
    taken = watch(monkeypatch, pooling_ops, "largest spread_out adaptive_largest")
    x = make(images((9, 9), "plain", "batch last").astype("float32"), True)
    F.max_pool2d(x, 2).sum().backward()
    assert taken() == {"largest", "spread_out"}
    F.adaptive_max_pool2d(x, 4)
    assert taken() == {"largest", "spread_out", "adaptive_largest"}


def test_few_neighbours_in_memory_are_left_to_numpy(monkeypatch):
    taken = watch(monkeypatch, pooling_ops, "largest spread_out adaptive_largest")
    x = make(images((9, 9), "plain", "batch first"), True)
    F.max_pool2d(x, 2).sum().backward()
    F.adaptive_max_pool2d(x, 4)
    assert not taken()


def test_an_infinite_gradient_does_not_spread():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    g = np.array([[[[np.inf, 1.0], [np.nan, 2.0]]]])
    _, grad = both("max_pool2d", x, 2, g=g)
    assert np.count_nonzero(grad) == 4


def test_pooling_keeps_the_layout_of_its_input():
    x = make(np.random.default_rng(0).normal(size=(2, 6, 6, 4)).transpose(3, 0, 1, 2), True)
    for out in (F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.max_pool2d(x, 3, 1, 1)):
        assert out.array.transpose(1, 2, 3, 0).flags.c_contiguous


def test_rest_at_the_border_has_no_gradient():
    _, grad = both("max_pool2d", np.random.default_rng(0).normal(size=(1, 1, 5, 5)), 2)
    assert not grad[..., 4].any()
    assert not grad[..., 4, :].any()


def test_adaptive_windows_of_nans_and_ties():
    x = np.random.default_rng(0).integers(0, 3, (1, 2, 7, 5)).astype("float64")
    x[0, 0, 2, 2] = x[0, 0, 3, 3] = np.nan
    both("adaptive_max_pool2d", x, (3, 2), return_indices=True)


def test_unpooling_undoes_pooling():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4))
    out, indices = F.max_pool2d(make(x), 2, return_indices=True)
    back = F.max_unpool2d(out, indices, 2)
    expected = torch.nn.functional.max_unpool2d(
        torch.tensor(out.array), torch.tensor(indices.array), 2
    )
    np.testing.assert_array_equal(back.array, expected.numpy())
    assert F.max_unpool2d(out, indices, 2, output_size=(5, 5)).shape == (2, 3, 5, 5)
    with pytest.raises(ValueError, match="invalid output_size"):
        F.max_unpool2d(out, indices, 2, output_size=(9, 9))
    with pytest.raises(RuntimeError, match="Found an invalid max index: 99"):
        F.max_unpool2d(out, indices * 0 + 99, 2)
    with pytest.raises(RuntimeError, match="expected shape of indices"):
        F.max_unpool2d(out, indices[:1], 2)


def test_empty_batch():
    assert F.max_pool2d(ours.zeros(0, 3, 4, 4), 2).shape == (0, 3, 2, 2)
    assert F.avg_pool2d(ours.zeros(0, 3, 4, 4), 2).shape == (0, 3, 2, 2)
    assert F.adaptive_avg_pool2d(ours.zeros(2, 3, 4, 4), 0).shape == (2, 3, 0, 0)


SHAPE = (2, 4, 8, 8)
SMALL, PAD = "Output size is too small", "pad should be at most half of effective kernel size"
WRONG = [
    ("max_pool2d", SHAPE, (9,), {}, SMALL),
    ("max_pool2d", SHAPE, (2,), {"padding": 2}, PAD),
    ("max_pool2d", SHAPE, (2,), {"padding": -1}, "pad must be non-negative"),
    ("max_pool2d", SHAPE, (2,), {"stride": 0}, "stride should not be zero"),
    ("max_pool2d", (8, 8), (2,), {}, "tensor"),
    ("max_pool2d", SHAPE, ((2, 2, 2),), {}, "kernel_size must either be a single int, or a tuple"),
    ("max_pool2d", SHAPE, (2,), {"dilation": 0}, "dilation should be greater than zero"),
    ("max_pool2d", (2, 0, 8, 8), (2,), {}, "Expected 3D or 4D"),
    ("avg_pool2d", SHAPE, (9,), {}, SMALL),
    ("avg_pool2d", SHAPE, (2,), {"padding": 2}, PAD),
    ("avg_pool2d", SHAPE, (2,), {"divisor_override": 0}, "divisor must be not zero"),
    ("avg_pool1d", SHAPE, (2,), {}, "Expected 2"),
    ("max_pool1d", SHAPE, (2,), {}, "Expected 2D or 3D"),
    ("adaptive_avg_pool2d", SHAPE, (-1,), {}, "must be greater than or equal to 0"),
    ("adaptive_max_pool2d", (8, 8), (1,), {}, "Expected 3D or 4D"),
]


@pytest.mark.parametrize(("name", "shape", "args", "options", "words"), WRONG)
def test_wrong_arguments_raise_what_torch_raises(name, shape, args, options, words):
    for side in (torch, ours):
        with pytest.raises(RuntimeError, match=words):
            getattr(side.nn.functional, name)(side.zeros(shape), *args, **options)


def test_not_a_tensor():
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        F.max_pool2d([1.0], 2)
