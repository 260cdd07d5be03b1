"""Corners of `interpolate`, `grid_sample`, `affine_grid` and of shuffled channels."""

import numpy as np
import pytest

import tinygrad_like as tg

torch = pytest.importorskip("torch")

IMAGE = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype("float32")

WRONG = [
    lambda t, x: t.nn.functional.interpolate(x),
    lambda t, x: t.nn.functional.interpolate(x, size=2, scale_factor=2),
    lambda t, x: t.nn.functional.interpolate(x, size=(2, 2, 2)),
    lambda t, x: t.nn.functional.interpolate(x, scale_factor=(2.0,)),
    lambda t, x: t.nn.functional.interpolate(x, size=2, mode="linear"),
    lambda t, x: t.nn.functional.interpolate(x, size=2, mode="cubic"),
    lambda t, x: t.nn.functional.interpolate(x[0, 0], size=2),
    lambda t, x: t.nn.functional.interpolate(x, size=2, align_corners=True),
    lambda t, x: t.nn.functional.interpolate(x, size=2, recompute_scale_factor=True),
    lambda t, x: t.nn.functional.interpolate(x, size=0),
    lambda t, x: t.nn.functional.interpolate(x[:, :, :0], size=2),
    lambda t, x: t.nn.functional.grid_sample(x, t.zeros(2, 1, 1, 2), "linear"),
    lambda t, x: t.nn.functional.grid_sample(x, t.zeros(2, 1, 1, 2), padding_mode="edge"),
    lambda t, x: t.nn.functional.grid_sample(x, t.zeros(1, 1, 1, 2), align_corners=True),
    lambda t, x: t.nn.functional.grid_sample(x, t.zeros(2, 1, 1, 3), align_corners=True),
    lambda t, x: t.nn.functional.grid_sample(x, t.zeros(2, 1, 2), align_corners=True),
    lambda t, x: t.nn.functional.grid_sample(x, t.zeros(2, 1, 1, 2).double(), align_corners=True),
    lambda t, x: t.nn.functional.affine_grid(t.zeros(1, 2, 2), (1, 1, 2, 2), True),
    lambda t, x: t.nn.functional.affine_grid(t.zeros(1, 2, 3), (1, 1, 2, 0), True),
    lambda t, x: t.nn.functional.affine_grid(t.zeros(1, 2, 3).long(), (1, 1, 2, 2), True),
    lambda t, x: t.pixel_shuffle(x, 3),
    lambda t, x: t.pixel_shuffle(x[0, 0], 2),
    lambda t, x: t.pixel_shuffle(x, 0),
    lambda t, x: t.pixel_unshuffle(x, 2),
    lambda t, x: t.pixel_unshuffle(x[:, :, :2], 2),
    lambda t, x: t.pixel_unshuffle(x, -1),
    lambda t, x: t.channel_shuffle(x, 3),
    lambda t, x: t.channel_shuffle(x, 0),
    lambda t, x: t.channel_shuffle(x[:, :, 0, 0], 2),
]


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.filterwarnings("ignore:Default grid_sample")
def test_wrong_calls_raise_what_pytorch_raises(call):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        call(torch, torch.tensor(IMAGE))
    with pytest.raises(theirs.type):
        call(tg, tg.tensor(IMAGE))


def test_the_same_size_is_a_copy():
    x = tg.tensor(IMAGE)
    for mode in ("nearest", "bilinear", "bicubic"):
        out = tg.nn.functional.interpolate(x, size=(3, 5), mode=mode)
        np.testing.assert_allclose(out.numpy(), IMAGE, rtol=1e-6)
        assert not np.shares_memory(out.numpy(), x.numpy())


def test_old_names_warn():
    x = tg.tensor(IMAGE)
    f = tg.nn.functional
    with pytest.warns(UserWarning, match="deprecated"):
        assert f.upsample(x, scale_factor=2).shape == (2, 4, 6, 10)
    with pytest.warns(UserWarning, match="deprecated"):
        assert f.upsample_nearest(x, 4).shape == (2, 4, 4, 4)
    with pytest.warns(UserWarning, match="deprecated"):
        assert f.upsample_bilinear(x, 4).shape == (2, 4, 4, 4)
    with pytest.warns(UserWarning, match="align_corners"):
        f.grid_sample(x, tg.zeros(2, 1, 1, 2))
    with pytest.warns(UserWarning, match="align_corners"):
        f.affine_grid(tg.zeros(1, 2, 3), (1, 1, 2, 2))


def test_an_identity_map_reads_the_image_itself():
    x = tg.tensor(IMAGE)
    theta = tg.eye(2, 3).repeat(2, 1, 1)
    for align_corners in (True, False):
        grid = tg.nn.functional.affine_grid(theta, x.shape, align_corners)
        out = tg.nn.functional.grid_sample(x, grid, align_corners=align_corners)
        np.testing.assert_allclose(out.numpy(), IMAGE, atol=1e-5)


def test_shuffles_undo_each_other():
    x = tg.tensor(IMAGE)
    up = tg.pixel_shuffle(x, 2)
    assert up.shape == (2, 1, 6, 10)
    assert tg.equal(tg.pixel_unshuffle(up, 2), x)
    assert tg.equal(tg.channel_shuffle(tg.channel_shuffle(x, 2), 2), x)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_an_infinite_pixel_reaches_its_neighbours_only(mode):
    x = np.zeros((1, 1, 20, 20), np.float32)
    x[0, 0, 10, 10] = np.inf
    found, wanted = (
        t.nn.functional.interpolate(t.tensor(x), scale_factor=2, mode=mode).numpy()
        for t in (tg, torch)
    )
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("size", [3, 70, 300])
@pytest.mark.parametrize("scale", [0.5, 1 / 3, 0.7, 1, 1.5, 2, 3, 9])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_sizes_and_scales(mode, scale, size):
    x = np.random.default_rng(0).normal(size=(2, 3, size))
    results = []
    for t in (tg, torch):
        leaf = t.tensor(x, requires_grad=True)
        out = t.nn.functional.interpolate(leaf, scale_factor=scale, mode=mode)
        (out * t.arange(out.shape[2]) ** 2).sum().backward()
        results.append((out.detach().numpy(), leaf.grad.numpy()))
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-9)


def test_the_input_stays_what_it_is():
    x = tg.randn(1, 1, 300)
    x[..., 1] = np.inf
    before = x.clone()
    for options in ({}, {"mode": "linear", "align_corners": True}):
        tg.nn.functional.interpolate(x, size=2, **options).fill_(7)
        np.testing.assert_array_equal(x, before)
