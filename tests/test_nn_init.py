"""Initial weights: PyTorch's numbers for PyTorch's seeds, and PyTorch's refusals."""

import math
import warnings

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import alike, close, kind, outcome, pytorch

FILLINGS = [
    (lambda init, w: init.uniform_(w, -2.0, 3.0), (4, 5)),
    (lambda init, w: init.normal_(w, 1.0, 2.0), (4, 5)),
    (lambda init, w: init.normal_(w), (3,)),
    (lambda init, w: init.constant_(w, 0.3), (4, 5)),
    (lambda init, w: init.ones_(w), (4, 5)),
    (lambda init, w: init.zeros_(w), (4, 5)),
    (lambda init, w: init.eye_(w), (4, 6)),
    (lambda init, w: init.dirac_(w), (4, 3, 3)),
    (lambda init, w: init.dirac_(w, 2), (4, 3, 3, 5)),
    (lambda init, w: init.dirac_(w), (2, 3, 1, 3, 3)),
    (lambda init, w: init.trunc_normal_(w), (20, 20)),
    (lambda init, w: init.trunc_normal_(w, 1.0, 2.0, 0.0, 5.0), (20, 20)),
    (lambda init, w: init.trunc_normal_(w, 0.0, 1.0, 1.0, 2.0), (20, 20)),
    (lambda init, w: init.trunc_normal_(w, std=0.02), (7, 3)),
    (lambda init, w: init.xavier_uniform_(w, 2.0), (4, 5)),
    (lambda init, w: init.xavier_normal_(w), (4, 5, 3)),
    (lambda init, w: init.kaiming_uniform_(w, math.sqrt(5)), (4, 5, 3, 3)),
    (lambda init, w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), (4, 5)),
    (lambda init, w: init.kaiming_normal_(w, 0.2, "FAN_IN"), (4, 5)),
    (lambda init, w: init.orthogonal_(w), (4, 4)),
    (lambda init, w: init.orthogonal_(w, 2.0), (6, 4)),
    (lambda init, w: init.orthogonal_(w), (4, 2, 5)),
    (lambda init, w: init.orthogonal_(w), (0, 5)),
    (lambda init, w: init.sparse_(w, 0.4, std=0.5), (10, 6)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("fill", "shape"), FILLINGS)
def test_fillings_give_pytorchs_numbers(fill, shape, dtype):
    pytorch.manual_seed(11)
    wanted = pytorch.empty(shape, dtype=getattr(pytorch, dtype)).requires_grad_()
    fill(pytorch.nn.init, wanted)
    tg.manual_seed(11)
    w = tg.nn.Parameter(tg.empty(shape, dtype=getattr(tg, dtype)))
    assert fill(tg.nn.init, w) is w
    assert w.requires_grad
    assert w.is_leaf
    close(w, wanted, 1e-5 if dtype == "float32" else 1e-12)
    # Just as many numbers were drawn.
    close(tg.rand(3), pytorch.rand(3), 1e-7)


@pytest.mark.parametrize("size", [5, 16, 24, 600])
@pytest.mark.parametrize("name", ["uniform_", "normal_"])
def test_half_precision_is_filled_with_pytorchs_numbers(name, size):
    def run(torch):
        torch.manual_seed(0)
        return getattr(torch.nn.init, name)(torch.empty(size, dtype=torch.float16)), torch.rand(2)

    for found, wanted in zip(run(tg), run(pytorch), strict=True):
        assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    "name",
    ["uniform_", "normal_", "trunc_normal_", "xavier_normal_", "orthogonal_", "sparse_", "eye_"],
)
def test_transposed_memory_is_filled_in_the_order_of_pytorch(name):
    options = (0.5,) if name == "sparse_" else ()

    def run(torch):
        torch.manual_seed(0)
        w = torch.ones(4, 6).t()
        assert getattr(torch.nn.init, name)(w, *options) is w
        return w, torch.rand(2)

    for found, wanted in zip(run(tg), run(pytorch), strict=True):
        close(found, wanted)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_"])
@pytest.mark.parametrize("name2", ["kaiming_normal_", "orthogonal_"])
def test_a_generator_of_its_own_leaves_the_default_one_alone(name, name2):
    tg.manual_seed(0)
    untouched = tg.rand(3).tolist()
    tg.manual_seed(0)
    for each in (name, name2):
        first, second = (tg.Generator().manual_seed(5) for _ in range(2))
        a = getattr(tg.nn.init, each)(tg.empty(5, 5), generator=first)
        b = getattr(tg.nn.init, each)(tg.empty(5, 5), generator=second)
        assert a.tolist() == b.tolist()
    assert tg.rand(3).tolist() == untouched


def test_orthogonal_rows_or_columns():
    tall, wide = tg.nn.init.orthogonal_(tg.empty(6, 3)), tg.nn.init.orthogonal_(tg.empty(3, 6))
    assert np.allclose(tall.numpy().T @ tall.numpy(), np.eye(3), atol=1e-5)
    assert np.allclose(wide.numpy() @ wide.numpy().T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (0.5, 1.0), (2.5, 3.0)])
def test_truncated_normals_stay_inside(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        values = tg.nn.init.trunc_normal_(tg.empty(1000), a=a, b=b).numpy()
    assert values.min() >= a
    assert values.max() <= b


def test_gains():
    names = (
        "linear",
        "conv2d",
        "conv_transpose3d",
        "sigmoid",
        "tanh",
        "relu",
        "selu",
        "leaky_relu",
    )

    def run(torch):
        gain = torch.nn.init.calculate_gain
        return [
            *(float(gain(name)) for name in names),
            gain("leaky_relu", 0.3),
            gain("leaky_relu", 2),
            outcome(lambda: gain("leaky_relu", True)),
            outcome(lambda: gain("leaky_relu", "x")),
            outcome(lambda: gain("gelu")),
        ]

    alike(run)


@pytest.mark.parametrize(
    "fill",
    [
        lambda init, torch: init.eye_(torch.empty(3)),
        lambda init, torch: init.dirac_(torch.empty(3, 3)),
        lambda init, torch: init.dirac_(torch.empty(3, 3, 3), 2),
        lambda init, torch: init.xavier_uniform_(torch.empty(3)),
        lambda init, torch: init.kaiming_normal_(torch.empty(3)),
        lambda init, torch: init.kaiming_uniform_(torch.empty(3, 3), mode="fan"),
        lambda init, torch: init.kaiming_uniform_(torch.empty(3, 3), nonlinearity="x"),
        lambda init, torch: init.orthogonal_(torch.empty(3)),
        lambda init, torch: init.sparse_(torch.empty(3), 0.1),
        lambda init, torch: init.sparse_(torch.empty(3, 3, 3), 0.1),
    ],
)
def test_refusals_begin_with_pytorchs_words(fill):
    found, wanted = (outcome(lambda t=torch: fill(t.nn.init, t)) for torch in (tg, pytorch))
    assert found[0] == wanted[0]
    assert found[1].startswith(wanted[1])


def test_empty_weights_are_left_alone_with_a_warning():
    for fill in (tg.nn.init.kaiming_uniform_, tg.nn.init.kaiming_normal_):
        with pytest.warns(UserWarning, match="no-op"):
            assert fill(tg.empty(0, 3)).shape == (0, 3)


def test_a_mean_far_outside_is_warned_about():
    with pytest.warns(UserWarning, match="more than 2 std"):
        tg.nn.init.trunc_normal_(tg.empty(3), mean=5.0)


@pytest.mark.parametrize(
    ("old", "arguments"),
    [
        ("uniform", ()),
        ("normal", ()),
        ("constant", (1.0,)),
        ("eye", ()),
        ("xavier_uniform", ()),
        ("xavier_normal", ()),
        ("kaiming_uniform", ()),
        ("kaiming_normal", ()),
        ("orthogonal", ()),
        ("sparse", (0.1,)),
        ("dirac", ()),
    ],
)
def test_old_names_still_work(old, arguments):
    shape = (3, 3, 3) if old == "dirac" else (3, 3)
    tg.manual_seed(0)
    expected = getattr(tg.nn.init, f"{old}_")(tg.empty(shape), *arguments)
    tg.manual_seed(0)
    with pytest.warns(FutureWarning, match=f"nn.init.{old}_"):
        found = getattr(tg.nn.init, old)(tg.empty(shape), *arguments)
    assert np.array_equal(found, expected)


def test_fillings_are_not_recorded_but_are_noticed():
    w = tg.ones(3, requires_grad=True)
    loss = (w * w).sum()
    tg.nn.init.zeros_(w)
    assert w.is_leaf
    assert kind(loss.backward) == "RuntimeError"
