"""Corners of pooling: ties, nans, infinities, layouts and arguments that do not fit."""

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.graph import result_type
from tinygrad_like.nn import functional as F

torch = pytest.importorskip("torch")


def make(array, grad=False):
    return result_type.make(np.asarray(array)).requires_grad_(grad)


def both(name, x, *args, g=None, **options):
    """Return outputs and input gradients of both sides."""
    mine, theirs = make(x.copy(), True), torch.tensor(x, requires_grad=True)
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
