"""Layers over windows, borders and channels, mostly of three dimensions, against PyTorch's."""

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import (
    DTYPES,
    alike,
    check_layer,
    close,
    kind,
    names,
    ours,
    pytorch,
    real,
    theirs,
    whole,
)

VOLUME = [real(2, 3, 5, 6, 4)]

LAYERS = [
    # ----- Pooling
    (lambda nn, **k: nn.MaxPool3d(2), VOLUME),
    (lambda nn, **k: nn.MaxPool3d((2, 3, 1), (1, 2, 1), (1, 1, 0), 1, ceil_mode=True), VOLUME),
    (lambda nn, **k: nn.MaxPool3d(2, dilation=2, return_indices=True), VOLUME),
    (lambda nn, **k: nn.AvgPool3d(2), VOLUME),
    (lambda nn, **k: nn.AvgPool3d((2, 3, 2), 1, (1, 1, 0), True, False), VOLUME),
    (lambda nn, **k: nn.AvgPool3d(2, divisor_override=3), VOLUME),
    (lambda nn, **k: nn.AdaptiveAvgPool3d(2), VOLUME),
    (lambda nn, **k: nn.AdaptiveAvgPool3d((3, None, 2)), VOLUME),
    (lambda nn, **k: nn.AdaptiveMaxPool3d((3, 2, 2)), VOLUME),
    (lambda nn, **k: nn.AdaptiveMaxPool3d(2, return_indices=True), VOLUME),
    (lambda nn, **k: nn.LPPool1d(2, 3, stride=2), [real(2, 3, 9)]),
    (lambda nn, **k: nn.LPPool2d(4, (2, 3), ceil_mode=True), [real(2, 3, 5, 7)]),
    (lambda nn, **k: nn.LPPool3d(2, 2), VOLUME),
    (lambda nn, **k: nn.MaxUnpool1d(2), [real(2, 3, 2), np.tile(np.array([1, 2]), (2, 3, 1))]),
    (
        lambda nn, **k: nn.MaxUnpool2d((2, 3), stride=2, padding=(1, 0)),
        [real(1, 1, 2, 1), np.array([[[[0], [5]]]])],
    ),
    (lambda nn, **k: nn.MaxUnpool3d(2), [real(1, 1, 1, 1, 2), np.array([[[[[3, 5]]]]])]),
    (lambda nn, **k: nn.FractionalMaxPool2d(2, (3, 2)), [real(2, 3, 7, 6)]),
    (lambda nn, **k: nn.FractionalMaxPool2d((2, 3), output_ratio=0.6), [real(3, 7, 6)]),
    (
        lambda nn, **k: nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7), return_indices=True),
        [real(2, 3, 7, 6)],
    ),
    (lambda nn, **k: nn.FractionalMaxPool3d(2, (3, 4, 2)), VOLUME),
    (
        lambda nn, **k: nn.FractionalMaxPool3d((1, 2, 2), None, 0.6, return_indices=True),
        VOLUME,
    ),
    (lambda nn, **k: nn.FractionalMaxPool2d(2, 3), [real(0, 3, 4, 4)]),
    # ----- Borders
    (lambda nn, **k: nn.ConstantPad3d((1, 0, 2, 1, 0, 1), -2.5), VOLUME),
    (lambda nn, **k: nn.ConstantPad3d(1, 0.5), VOLUME),
    (lambda nn, **k: nn.ZeroPad3d((1, 2, 0, 1, -1, 0)), VOLUME),
    (lambda nn, **k: nn.ReflectionPad3d((1, 2, 0, 1, 2, 3)), VOLUME),
    (lambda nn, **k: nn.ReplicationPad3d(2), VOLUME),
    (lambda nn, **k: nn.CircularPad3d((1, 2, 0, 1, 2, 0)), VOLUME),
    # ----- Normalization
    (lambda nn, **k: nn.BatchNorm3d(3, **k), VOLUME),
    (lambda nn, **k: nn.BatchNorm3d(3, 1e-3, None, bias=False, **k), VOLUME),
    (lambda nn, **k: nn.InstanceNorm3d(3, affine=True, track_running_stats=True, **k), VOLUME),
    (lambda nn, **k: nn.InstanceNorm3d(3, **k), [real(3, 2, 3, 4)]),
    (lambda nn, **k: nn.SyncBatchNorm(3, momentum=0.3, **k), [real(5, 3)]),
    (lambda nn, **k: nn.SyncBatchNorm(3, track_running_stats=False, **k), VOLUME),
    # ----- Elements moved about
    (lambda nn, **k: nn.PixelShuffle(2), [real(2, 8, 3, 4)]),
    (lambda nn, **k: nn.PixelUnshuffle(2), [real(2, 3, 4, 6)]),
    (lambda nn, **k: nn.ChannelShuffle(3), [real(2, 6, 3, 4)]),
    (lambda nn, **k: nn.Unfold((2, 3), dilation=2, padding=1, stride=(1, 2)), [real(2, 3, 5, 7)]),
    (lambda nn, **k: nn.Fold((4, 5), (2, 3), padding=(0, 1)), [real(2, 12, 15)]),
    (lambda nn, **k: nn.Upsample(7), [real(2, 3, 4)]),
    (lambda nn, **k: nn.Upsample((3, 9), mode="bilinear"), [real(2, 3, 4, 5)]),
    (lambda nn, **k: nn.Upsample(scale_factor=(1.5, 2.0), mode="bicubic"), [real(2, 3, 4, 5)]),
    (
        lambda nn, **k: nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
        [real(1, 2, 3, 2, 3)],
    ),
    (
        lambda nn, **k: nn.Upsample(scale_factor=1.7, mode="linear", recompute_scale_factor=True),
        [real(2, 3, 5)],
    ),
    (lambda nn, **k: nn.UpsamplingNearest2d(scale_factor=2), [real(2, 3, 4, 5)]),
    (lambda nn, **k: nn.UpsamplingBilinear2d((6, 7)), [real(2, 3, 4, 5)]),
    # ----- Tables
    (lambda nn, **k: nn.EmbeddingBag(7, 3, **k), [whole(7, 4, 5)]),
    (lambda nn, **k: nn.EmbeddingBag(7, 3, mode="max", **k), [whole(7, 4, 5)]),
    (
        lambda nn, **k: nn.EmbeddingBag(7, 3, mode="sum", padding_idx=-2, **k),
        [whole(7, 9), np.array([0, 3, 3, 5])],
    ),
    (
        lambda nn, **k: nn.EmbeddingBag(7, 3, 0.5, padding_idx=1, **k),
        [np.array([[0, 1, 2], [1, 1, 3]])],
    ),
    (
        lambda nn, **k: nn.EmbeddingBag(7, 3, 0.5, 1.0, include_last_offset=True, **k),
        [whole(7, 9), np.array([0, 4, 9])],
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "kinds"), LAYERS, ids=names(LAYERS))
def test_layer(make, kinds, dtype):
    check_layer(make, kinds, dtype)


def test_places_of_fractional_pooling_can_be_given():
    generator = np.random.default_rng(0)
    where, values = generator.uniform(size=(2, 3, 2)), generator.normal(size=(2, 3, 7, 6))

    def run(torch, tensor):
        layer = torch.nn.FractionalMaxPool2d(2, 3, _random_samples=tensor(where))
        return [list(layer.state_dict()), layer(tensor(values))]

    (names_found, found), (names_wanted, wanted) = run(tg, ours), run(pytorch, theirs)
    assert names_found == names_wanted == ["_random_samples"]
    close(found, wanted)


def test_fractional_pooling_passes_nan_on():
    values = np.random.default_rng(0).normal(size=(2, 2, 8, 8))
    values[0, 0, 2:4, 2:5] = values[1, 1, 5, 6] = np.nan

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = torch.nn.FractionalMaxPool2d(3, 4, return_indices=True)
        return layer(tensor(values))

    for found, wanted in zip(run(tg, ours), run(pytorch, theirs), strict=True):
        close(found, wanted)


def test_a_convolution_with_a_weight_of_ones_own():
    def run(torch):
        class Standardized(torch.nn.Conv2d):
            def forward(self, x):
                centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
                return self._conv_forward(x, centred, self.bias)

        torch.manual_seed(0)
        layer = Standardized(2, 3, 3, padding=1, padding_mode="circular", dtype=torch.float64)
        out = layer(torch.randn(2, 2, 4, 5, dtype=torch.float64))
        out.sin().sum().backward()
        return out, layer.weight.grad, layer.bias.grad

    for found, wanted in zip(run(tg), run(pytorch), strict=True):
        close(found, wanted, 1e-6)


def test_weights_of_a_bag():
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(4, 5)).astype("float32")
    rows = generator.integers(0, 7, (4, 5))

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = torch.nn.EmbeddingBag(7, 3, mode="sum")
        given = tensor(factors, True)
        out = layer(tensor(rows), per_sample_weights=given)
        out.sum().backward()
        return out, layer.weight.grad, given.grad

    for found, wanted in zip(run(tg, ours), run(pytorch, theirs), strict=True):
        close(found, wanted)


def test_bags_from_a_table():
    def run(torch):
        table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        bags = torch.nn.EmbeddingBag.from_pretrained(table, mode="sum", padding_idx=0)
        free = torch.nn.EmbeddingBag.from_pretrained(table, freeze=False)
        return [
            repr(bags),
            bags.weight.requires_grad,
            free.weight.requires_grad,
            bags(torch.tensor([[0, 1, 1]])),
            kind(lambda: torch.nn.EmbeddingBag.from_pretrained(table[0])),
        ]

    alike(run)


def test_max_pooling_taken_back_to_the_size_it_had():
    def run(torch):
        x = torch.arange(1.0, 8.0).reshape(1, 1, 7)
        pooled, places = torch.nn.MaxPool1d(2, return_indices=True)(x)
        layer = torch.nn.MaxUnpool1d(2)
        return [layer(pooled, places), layer(pooled, places, output_size=x.size())]

    alike(run)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 20])
def test_local_normalization_across_maps_has_pytorchs_values_and_their_gradient(size):
    values = np.random.default_rng(0).normal(size=(2, 9, 2, 3))
    layer = tg.nn.CrossMapLRN2d(size, 0.5, 0.6, 1.5)
    x = ours(values, True)
    expected = pytorch.nn.CrossMapLRN2d(size, 0.5, 0.6, 1.5)
    assert repr(layer) == repr(expected)
    assert repr(tg.nn.CrossMapLRN2d(3)) == repr(pytorch.nn.CrossMapLRN2d(3))
    close(layer(x), expected(theirs(values)))
    # PyTorch's own gradient is not the derivative of these values.
    assert tg.autograd.gradcheck(layer, x)


def test_every_batch_normalization_in_a_network_is_replaced():
    def run(torch):
        nn = torch.nn
        inner = nn.Sequential(nn.BatchNorm2d(2, 1e-3, None), nn.BatchNorm1d(3, affine=False))
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, bias=False), inner)
        kept = [net[1].weight, net[1].running_var, inner[0].num_batches_tracked]
        inner[1].eval()
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        first, second = converted[1], converted[2]
        found = [first.weight, first.running_var, second[0].num_batches_tracked]
        return [
            converted is net,
            repr(converted),
            [a is b for a, b in zip(kept, found, strict=True)],
            [m.training for m in converted.modules()],
            type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm3d(2))).__name__,
            kind(lambda: first(torch.ones(3))),
            kind(lambda: nn.SyncBatchNorm(0)(torch.ones(3, 0))),
        ]

    alike(run)


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.FractionalMaxPool2d(2),
        lambda nn: nn.FractionalMaxPool2d(2, 3, 0.5),
        lambda nn: nn.FractionalMaxPool3d(2, output_ratio=1.5),
        lambda nn: nn.FractionalMaxPool3d(0, output_ratio=0.5),
        lambda nn: nn.FractionalMaxPool3d((1, 2, 0), 3),
        lambda nn: nn.EmbeddingBag(3, 2, padding_idx=3),
        lambda nn: nn.EmbeddingBag(3, 2, padding_idx=-4),
        lambda nn: nn.MaxPool3d(),
    ],
)
def test_wrong_constructors_are_refused_as_by_pytorch(make):
    alike(lambda torch: kind(lambda: make(torch.nn)))


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda nn: nn.MaxPool3d(2), [(2, 3)]),
        (lambda nn: nn.MaxPool3d(9), [(1, 2, 3, 4, 5)]),
        (lambda nn: nn.AvgPool3d(2, padding=2), [(1, 2, 3, 4, 5)]),
        (lambda nn: nn.AdaptiveAvgPool3d(2), [(2, 3)]),
        (lambda nn: nn.BatchNorm3d(3), [(2, 3, 4, 5)]),
        (lambda nn: nn.InstanceNorm3d(3), [(2, 3)]),
        (lambda nn: nn.CrossMapLRN2d(3), [(2, 3, 4)]),
        (lambda nn: nn.CircularPad3d(1), [(2, 3, 4)]),
        (lambda nn: nn.CircularPad3d(9), [(1, 2, 3, 4, 5)]),
        (lambda nn: nn.ReflectionPad3d(5), [(1, 2, 3, 4, 5)]),
        (lambda nn: nn.PixelShuffle(2), [(1, 6, 3, 4)]),
        (lambda nn: nn.PixelUnshuffle(2), [(1, 6, 3, 4)]),
        (lambda nn: nn.ChannelShuffle(4), [(1, 6, 3, 4)]),
        (lambda nn: nn.Unfold(5), [(1, 6, 3, 4)]),
        (lambda nn: nn.Fold(4, 3), [(1, 6, 3)]),
        (lambda nn: nn.Upsample(), [(1, 6, 3)]),
        (lambda nn: nn.Upsample(4, mode="bilinear"), [(1, 6, 3)]),
        (lambda nn: nn.Upsample(4, mode="some"), [(1, 6, 3)]),
        (lambda nn: nn.EmbeddingBag(3, 2), [(2, 3)]),
        (lambda nn: nn.MaxUnpool1d(2), [(1, 6, 3), (1, 6, 3)]),
    ],
)
def test_wrong_inputs_are_refused_as_by_pytorch(make, shapes):
    def run(torch):
        layer = make(torch.nn)
        return kind(lambda: layer(*(torch.ones(*shape) for shape in shapes)))

    alike(run)
