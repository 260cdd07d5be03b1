"""Plots show the numbers of the model they are given, and leave it as it was."""

import io
import sys

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like import nn, viz
from tinygrad_like.viz import plots

F = nn.functional


def small():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    net.append(nn.Dropout(0.5))
    net.append(nn.Linear(12, 2))
    x, y = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 0, 1, 1, 0])
    return net, lambda: F.cross_entropy(net(x), y)


def trained(net, loss, lr=0.1):
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)

    def step():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def pixels(figure):
    image = pytest.importorskip("PIL.Image")
    content = figure._repr_png_()
    assert content.startswith(b"\x89PNG")
    return np.asarray(image.open(io.BytesIO(content)).convert("RGB"))


# ----- The loss around the weights ----------------------------------------------------------------


def test_directions_are_as_long_as_the_filters():
    net, _ = small()
    steps = plots._random_direction(list(net.parameters()), np.random.default_rng(0))
    for step, parameter in zip(steps, net.parameters(), strict=True):
        assert step.dtype == parameter.array.dtype
        if parameter.ndim < 2:
            assert not step.any()
        else:
            along = tuple(range(1, step.ndim))
            long = np.linalg.norm(parameter.array.reshape(len(step), -1), axis=1)
            assert np.sqrt((step**2).sum(along)) == pytest.approx(long, rel=1e-5)


@pytest.mark.parametrize("values", [[3.0, 4.0], [0.0, 0.0], 2.0])
def test_directions_where_there_are_only_vectors(values):
    net = nn.Module()
    net.w = nn.Parameter(torch.tensor(values))
    first, second = (
        plots._random_direction([net.w], np.random.default_rng(seed))[0] for seed in range(2)
    )
    long = np.linalg.norm(values) or 1.0
    assert np.linalg.norm(first) == pytest.approx(long)
    assert np.linalg.norm(second) == pytest.approx(long)
    _, surface = viz.loss_surface(net, lambda: net.w.square().sum(), steps=3)
    assert len(np.unique(surface)) > 1


def test_the_surface_holds_the_loss_of_the_moved_model():
    net, loss = small()
    random = np.random.default_rng(3)
    directions = [[random.normal(size=p.shape) for p in net.parameters()] for _ in range(2)]
    tensors = [[torch.tensor(step) for step in direction] for direction in directions]
    offsets, values = viz.loss_surface(net, loss, span=0.5, steps=5, directions=tensors)
    assert offsets.tolist() == [-0.5, -0.25, 0, 0.25, 0.5]
    net.eval()
    assert values[2, 2] == pytest.approx(loss().item(), rel=1e-6)
    for i, j in ((0, 4), (3, 1)):
        moved, _ = small()
        moved.load_state_dict(net.state_dict())
        with torch.no_grad():
            for p, a, b in zip(moved.parameters(), *tensors, strict=True):
                p += offsets[j] * a + offsets[i] * b
        net_loss, kept = loss, [p.array for p in net.parameters()]
        for p, q in zip(net.parameters(), moved.parameters(), strict=True):
            p.array = q.array
        assert values[i, j] == pytest.approx(net_loss().item(), rel=1e-5)
        for p, array in zip(net.parameters(), kept, strict=True):
            p.array = array


def test_the_surface_leaves_the_model_as_it_was():
    net, loss = small()
    net[2].eval()
    waiting = loss()
    before = {name: (value, value.clone()) for name, value in net.state_dict().items()}
    tensors = [*net.parameters(), *net.buffers()]
    viz.loss_surface(net, loss, steps=3)

    def broken():
        raise KeyError("no")

    with pytest.raises(KeyError):
        viz.loss_surface(net, broken, steps=3)
    assert all(a is b for a, b in zip(tensors, [*net.parameters(), *net.buffers()], strict=True))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name][1])
    assert [m.training for m in net.modules()] == [m is not net[2] for m in net.modules()]
    waiting.backward()  # nothing it saved was written


def test_directions_depend_on_the_seed_alone():
    net, loss = small()
    state = torch.get_rng_state()
    first, again, other = (viz.loss_surface(net, loss, steps=3, seed=s)[1] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_arguments_of_the_landscape():
    pytest.importorskip("matplotlib")
    net, loss = small()
    with pytest.raises(TypeError, match="expected a Module"):
        viz.landscape(net.parameters(), loss)
    with pytest.raises(ValueError, match="steps is 1"):
        viz.landscape(net, loss, steps=1)
    with pytest.raises(ValueError, match="two directions of 6 tensors"):
        viz.landscape(net, loss, directions=[[], []])


def test_the_landscape_is_drawn():
    pytest.importorskip("matplotlib")
    net, loss = small()
    figure = viz.landscape(net, loss, steps=7)
    above, side, bar = figure.axes
    assert side.name == "3d"
    assert bar.get_ylabel() == "loss"
    (here,) = above.get_lines()
    assert here.get_xydata().tolist() == [[0, 0]]
    assert len(np.unique(pixels(figure).reshape(-1, 3), axis=0)) > 200


def test_the_landscape_shows_powers_where_the_loss_spans_many():
    pytest.importorskip("matplotlib")
    net = nn.Linear(1, 1, bias=False)
    figure = viz.landscape(net, lambda: 1e-3 + net(torch.ones(1, 1)).square().sum(), steps=5)
    bar = figure.axes[2]
    assert bar.get_ylabel() == "loss"
    assert bar.get_ylim()[0] == pytest.approx(-3, abs=0.2)  # heights are powers of 10,
    figure.draw_without_rendering()
    words = [label.get_text() for label in bar.get_yticklabels()]
    assert words[0] == "0.001"  # but are told as losses


def test_a_loss_that_explodes():
    pytest.importorskip("matplotlib")
    net = nn.Linear(1, 1, bias=False)

    def loss(limit):
        weight = net.weight.detach().item()
        return torch.tensor(weight if abs(weight) < limit else float("inf"))

    figure = viz.landscape(net, lambda: loss(abs(net.weight.item()) * 1.2), steps=3)
    assert pixels(figure).std() > 10
    with pytest.raises(ValueError, match="finite nowhere"):
        viz.landscape(net, lambda: loss(0.0), steps=3)


def test_a_loss_that_draws_is_given_the_same_numbers_everywhere():
    net = nn.Linear(1, 1)
    state = torch.get_rng_state()
    _, values = viz.loss_surface(net, lambda: torch.rand(()), steps=3)
    assert len(np.unique(values)) == 1
    assert torch.equal(torch.get_rng_state(), state)


# ----- Layers and gradients over steps ------------------------------------------------------------


def line(axis):
    (median,) = axis.get_lines()
    return np.asarray(median.get_ydata())


def test_activations_are_those_of_each_step():
    pytest.importorskip("matplotlib")
    net = nn.Sequential(nn.Identity(), nn.ReLU())
    given = np.arange(-7, 8, dtype=np.float32).reshape(3, 5).T
    inputs = iter(torch.tensor(given))
    figure = viz.activations(net, lambda: net(next(inputs)), steps=5)
    first, second = figure.axes
    assert line(first).tolist() == np.median(given, 1).tolist()
    assert line(second).tolist() == np.median(np.maximum(given, 0), 1).tolist()
    assert [axis.get_ylabel() for axis in figure.axes] == ["0\nIdentity", "1\nReLU"]
    (mesh,) = first.collections
    shades = np.asarray(mesh.get_array())
    assert shades.shape[1] == 5
    assert np.array_equal((shades > 0).sum(0), [3] * 5)  # three different values in each step
    assert not first.texts  # no zeros in the last step
    assert pixels(figure).std() > 10


def test_zeros_do_not_hide_the_other_values():
    pytest.importorskip("matplotlib")
    net = nn.Sequential(nn.Identity())
    values = torch.tensor([0.0] * 96 + [1.0, 1.0, 2.0, 3.0])
    figure = viz.activations(net, lambda: net(values), steps=2)
    (mesh,) = figure.axes[0].collections
    shades = np.asarray(mesh.get_array())[:, 0]
    assert sorted(shades[shades > 0]) == pytest.approx([0.5**0.5, 0.5**0.5, 1, 1])


def test_the_share_of_zeros_is_told():
    pytest.importorskip("matplotlib")
    net = nn.Sequential(nn.ReLU())
    figure = viz.activations(net, lambda: net(torch.tensor([-1.0, -2.0, 3.0, -4.0])), steps=2)
    assert [text.get_text() for text in figure.axes[0].texts] == ["75% zeros"]


def test_gradients_are_those_of_each_step():
    pytest.importorskip("matplotlib")
    net, loss = small()
    seen = {name: [] for name, _ in net.named_parameters()}
    step = trained(net, loss)

    def noting():
        step()
        for name, p in net.named_parameters():
            seen[name].append(np.abs(p.grad.numpy()))

    figure = viz.gradients(net, noting, steps=4)
    shown = {axis.get_ylabel(): axis for axis in figure.axes}
    assert list(shown) == list(seen)
    for name in ("0.weight", "5.weight", "5.bias"):
        medians = [np.median(np.log10(values[values > 0])) for values in seen[name]]
        assert np.log10(line(shown[name])) == pytest.approx(np.array(medians), abs=1e-5)
    assert len({axis.get_ylim() for axis in figure.axes}) == 1  # to be compared
    assert figure.axes[0].get_yscale() == "log"


def test_a_parameter_without_gradient_has_gaps():
    pytest.importorskip("matplotlib")
    net = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(3)])
    count = iter(range(3))

    def step():
        net.zero_grad()
        number = next(count)
        (net[0](torch.ones(1, 1)) + (net[1](torch.ones(1, 1)) if number == 1 else 0)).backward()

    figure = viz.gradients(net, step, steps=3)
    assert [axis.get_ylabel() for axis in figure.axes] == ["0.weight", "1.weight"]
    assert np.isnan(line(figure.axes[1])).tolist() == [True, False, True]


def test_many_layers_are_chosen_from():
    pytest.importorskip("matplotlib")
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(9)])
    step = trained(net, lambda: net(torch.ones(1, 2)).sum())
    figure = viz.activations(net, step, steps=2, limit=3)
    assert [axis.get_ylabel() for axis in figure.axes] == ["0\nLinear", "4\nLinear", "8\nLinear"]
    assert figure.get_suptitle() == "What layers return (3 of 9 layers)"
    figure = viz.gradients(net, step, steps=2, limit=4)
    assert all(axis.get_ylabel().endswith("weight") for axis in figure.axes)
    assert figure.get_suptitle() == "Sizes of gradients (4 of 18 parameters)"


def test_of_many_layers_only_the_chosen_are_kept(monkeypatch):
    pytest.importorskip("matplotlib")
    kept = []
    keep = plots._Series.keep

    def counting(series, names):
        keep(series, names)
        kept.append(len(series.values))

    monkeypatch.setattr(plots._Series, "keep", counting)
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(30)])
    viz.activations(net, trained(net, lambda: net(torch.ones(1, 2)).sum()), steps=3, limit=4)
    assert kept == [4, 4, 4]


def test_what_is_kept_of_many_values_is_from_everywhere():
    series = plots._Series()
    places = np.indices((64, 16, 8, 8)).reshape(4, -1)
    for axis, name in enumerate("NCHW"):
        series.note(name, places[axis].astype(np.float32))
        (kept,) = series.values[name]
        assert 3000 < kept.size <= 4096
        counts = np.bincount(kept.astype(int))
        assert counts.min() > 0.8 * counts.max()
    series.note("few", np.zeros(0, np.float32))
    series.note("few", np.ones(3, np.float32))
    assert series.values["few"][0].tolist() == [1, 1, 1]


def test_plots_are_drawn_in_a_figure_that_is_given():
    library = pytest.importorskip("matplotlib.figure")
    net, loss = small()
    figure = library.Figure(figsize=(12, 9))
    parts = figure.subfigures(2, 2).flat
    step = trained(net, loss)
    calls = (
        lambda part: viz.landscape(net, loss, steps=3, figure=part),
        lambda part: viz.activations(net, step, steps=2, figure=part),
        lambda part: viz.gradients(net, step, steps=2, figure=part),
        lambda part: viz.weights(net, figure=part),
    )
    for part, call in zip(parts, calls, strict=True):
        assert call(part) is part
        assert part.axes
        assert part.get_suptitle()
    assert figure.get_size_inches().tolist() == [12, 9]
    figure.savefig(io.BytesIO())


def test_no_window_and_no_figure_of_pyplot():
    pytest.importorskip("matplotlib")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    former = pyplot.get_fignums()
    net, loss = small()
    viz.landscape(net, loss, steps=3)
    viz.weights(net)
    assert pyplot.get_fignums() == former


@pytest.mark.parametrize("plot", [viz.activations, viz.gradients])
def test_hooks_are_removed(plot):
    pytest.importorskip("matplotlib")
    net, loss = small()

    def broken():
        loss().backward()
        raise KeyError("no")

    with pytest.raises(KeyError):
        plot(net, broken)
    plot(net, trained(net, loss), steps=2)
    assert not any(module._forward_hooks for module in net.modules())
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert not any(parameter.node.post_hooks for parameter in net.parameters())


class Inner(nn.Module):
    """Returns a dict, and uses a module's weight without calling it."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return {"index": torch.tensor([1]), "y": ([x @ self.unused.weight], x)}


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner = nn.ReLU(), Inner()

    def forward(self, x):
        return self.inner(self.first(x))["y"][0][0]


def test_a_layer_is_what_calls_no_other():
    pytest.importorskip("matplotlib")
    net = Outer()
    x = torch.tensor([[1.0, 2.0]])
    figure = viz.activations(net, lambda: net(x), steps=2)
    assert [axis.get_ylabel() for axis in figure.axes] == ["first\nReLU", "inner\nInner"]
    expected = np.median((x @ net.inner.unused.weight).detach().numpy())
    assert line(figure.axes[1]) == pytest.approx([expected] * 2)


def test_a_forward_that_fails_and_is_caught():
    pytest.importorskip("matplotlib")
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    def step():
        with pytest.raises(RuntimeError):
            net(torch.ones(1, 5))
        net(torch.ones(1, 2))

    figure = viz.activations(net, step, steps=2)
    assert [axis.get_ylabel() for axis in figure.axes] == ["0\nLinear", "1\nReLU"]


@pytest.mark.parametrize("plot", [viz.activations, viz.gradients])
def test_a_model_that_is_none(plot):
    with pytest.raises(TypeError, match="model is str, expected a Module"):
        plot("net", lambda: None)


@pytest.mark.parametrize("plot", [viz.activations, viz.gradients])
def test_a_step_that_does_not_use_the_model(plot):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="nothing of the model was recorded in 3 steps"):
        plot(nn.Linear(1, 1), lambda: None, steps=3)


# ----- Filters ------------------------------------------------------------------------------------


def mosaic(figure):
    (image,) = figure.axes[0].images
    return np.ma.filled(image.get_array().astype(float), np.nan)


def test_filters_stand_side_by_side():
    pytest.importorskip("matplotlib")
    conv = nn.Conv2d(1, 10, 3)
    figure = viz.weights(nn.Sequential(nn.ReLU(), conv))
    whole = mosaic(figure)
    assert figure.get_suptitle() == "1.weight 10 x 1 x 3 x 3"
    assert whole.shape == (7, 31)
    assert np.array_equal(whole[0:3, 4:7], conv.weight.detach().numpy()[1, 0])
    assert np.array_equal(whole[4:7, 0:3], conv.weight.detach().numpy()[8, 0])
    assert np.isnan(whole[4:7, 8:]).all()
    bound = np.abs(conv.weight.detach().numpy()).max()
    assert figure.axes[0].images[0].get_clim() == pytest.approx((-bound, bound))
    assert pixels(figure).std() > 10


def test_filters_of_several_channels():
    pytest.importorskip("matplotlib")
    weight = torch.randn(5, 4, 2, 2)
    figure = viz.weights(weight, limit=12)
    assert figure.get_suptitle() == "5 x 4 x 2 x 2, 12 of 20 images"
    assert np.allclose(mosaic(figure)[3:5, 6:8], weight.numpy()[1, 2])


def test_filters_of_colours():
    pytest.importorskip("matplotlib")
    weight = torch.randn(4, 3, 5, 5)
    whole = mosaic(viz.weights(weight))
    scaled = (weight - weight.min()) / (weight.max() - weight.min())
    assert np.allclose(whole[:, 6:11], scaled[1].permute(1, 2, 0).numpy())
    assert len(viz.weights(weight).axes) == 1  # no scale: colours are no numbers


def test_weights_of_linear_layers():
    pytest.importorskip("matplotlib")
    layer = nn.Linear(6, 4)
    weight = layer.weight.detach().numpy()
    assert np.array_equal(mosaic(viz.weights(layer)), weight)
    whole = mosaic(viz.weights(layer, shape=(2, 3)))
    assert np.array_equal(whole[:, 4:7], weight[1].reshape(2, 3))
    with pytest.raises(ValueError, match=r"shape is \(2, 2\), but a row .* has 6 numbers"):
        viz.weights(layer, shape=(2, 2))
    with pytest.raises(ValueError, match="ReLU has no weight"):
        viz.weights(nn.ReLU())
    for shape in ((3,), (0, 3), (0, 1, 3, 3)):
        with pytest.raises(ValueError, match="two dimensions or more, got shape"):
            viz.weights(torch.ones(shape))


def test_one_sentence_where_matplotlib_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    net, loss = small()
    for call in (
        lambda: viz.landscape(net, loss),
        lambda: viz.activations(net, loss),
        lambda: viz.gradients(net, loss),
        lambda: viz.weights(net),
    ):
        with pytest.raises(ImportError, match=r"needs Matplotlib.*\[viz\]'$"):
            call()
    assert not any(module._forward_hooks for module in net.modules())
