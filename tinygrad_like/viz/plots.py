"""Plots of a training with Matplotlib: the loss around its weights, what layers give, gradients, filters.

Each is one call that returns a figure: a notebook shows it, ``figure.savefig("name.png")`` writes it.
Matplotlib (extra ``viz``) is imported when one of them is called.
"""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.func.modules import functional_call
from tinygrad_like.graph import RemovableHandle, Traced, result_type
from tinygrad_like.nn.module import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["activations", "gradients", "landscape", "loss_surface", "weights"]

INK, FAINT, ACCENT = "#1f2933", "#616e7c", "#c2410c"
FLOWS = "Blues"  # of how many values there are
SIGNED = "RdBu_r"  # of values below and above 0
HEIGHTS = "viridis"  # of the loss
MOST = 4096  # values kept of a layer in a step: enough for a histogram

Array = np.ndarray[Any, Any]


def _figure(caller: str, width: float, height: float) -> Figure:
    """Return an empty figure that a notebook shows as a picture, whatever backend is chosen.

    Raises:
        ImportError: if Matplotlib is not installed.
    """
    try:
        figure: Any = importlib.import_module("matplotlib.figure").Figure(
            figsize=(width, height), layout="constrained"
        )
    except ImportError as error:
        raise ImportError(
            f"viz.{caller} needs Matplotlib, which is not installed: pip install 'tinygrad-like[viz]'"
        ) from error
    # Made without pyplot, so that nothing needs to be closed; then IPython would show its name only.
    figure._repr_png_ = functools.partial(_png, figure)
    return figure  # type: ignore[no-any-return]


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


# ----- The loss around the weights ----------------------------------------------------------------


def _random_direction(parameters: Iterable[Any], random: np.random.Generator) -> list[Array]:
    """Return a step for each parameter, each filter's as long as the filter itself.

    Biases, and the weights of norms, stay as they are (H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein,
    "Visualizing the Loss Landscape of Neural Nets", 2018).
    """
    steps = []
    for parameter in parameters:
        weight = parameter.array
        if weight.ndim < 2:
            steps.append(np.zeros_like(weight))
            continue
        drawn = random.standard_normal(weight.shape)
        inner = tuple(range(1, weight.ndim))
        long = np.sqrt(np.square(weight, dtype=np.float64).sum(inner, keepdims=True))
        drawn *= long / np.sqrt((drawn**2).sum(inner, keepdims=True))
        steps.append(drawn.astype(weight.dtype))
    return steps


def loss_surface(
    model: Module,
    loss: Callable[[], Any],
    *,
    span: float = 1.0,
    steps: int = 21,
    directions: Sequence[Sequence[Any]] | None = None,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Return places along two directions ``(steps,)``, and the loss at all pairs ``(steps, steps)``.

    ``values[i, j]`` is the loss at ``offsets[j]`` along the first, ``offsets[i]`` along the second
    direction. The arguments are those of `landscape`.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.Linear(2, 1)
    >>> offsets, values = loss_surface(net, lambda: net(torch.ones(1, 2)).square().mean(), steps=5)
    >>> offsets.tolist(), values.shape
    ([-1.0, -0.5, 0.0, 0.5, 1.0], (5, 5))
    """
    if not isinstance(model, Module):
        raise TypeError(f"landscape: model is {type(model).__name__}, expected a Module")
    if steps < 2:
        raise ValueError(f"landscape: steps is {steps}, expected at least 2")
    parameters = dict(model.named_parameters())
    if directions is None:
        random = np.random.default_rng(seed)
        directions = [_random_direction(parameters.values(), random) for _ in range(2)]
    if [len(direction) for direction in directions] != 2 * [len(parameters)]:
        raise ValueError(
            f"landscape: expected two directions of {len(parameters)} tensors, one for each parameter"
        )
    first, second = ([_array(step) for step in direction] for direction in directions)
    # What the closure computes belongs to the model's parameters, which are replaced meanwhile.
    around = _Around(model, loss)
    buffers = {f"model.{name}": buffer for name, buffer in model.named_buffers()}
    modes = [(module, module.training) for module in model.modules()]
    offsets = np.linspace(-span, span, steps)
    values = np.empty((steps, steps))
    model.eval()
    try:
        with no_grad():
            for i, j in np.ndindex(steps, steps):
                x, y = float(offsets[j]), float(offsets[i])
                moved = {
                    f"model.{name}": result_type.make(_moved(p.array, x, a, y, b))
                    for (name, p), a, b in zip(parameters.items(), first, second, strict=True)
                }
                copies = {name: buffer.clone() for name, buffer in buffers.items()}
                values[i, j] = float(functional_call(around, moved | copies))
    finally:
        for module, mode in modes:
            module.training = mode
    return offsets, values


class _Around(Module):
    """Calls a function without arguments, as if it were the model's forward."""

    def __init__(self, model: Module, loss: Callable[[], Any]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self) -> Any:
        """Return what the function returns."""
        return self.loss()


def _array(value: Any) -> Array:
    return value.array if isinstance(value, Traced) else np.asarray(value)


def _moved(weight: Array, along: float, a: Array, across: float, b: Array) -> Array:
    return (weight + along * a + across * b).astype(weight.dtype)


def landscape(
    model: Module,
    loss: Callable[[], Any],
    *,
    span: float = 1.0,
    steps: int = 21,
    directions: Sequence[Sequence[Any]] | None = None,
    seed: int = 0,
) -> Figure:
    """Draw the loss around a model's weights, from above and as a surface.

    The two directions are random, each filter's part of them as long as the filter, so that pictures of
    different models can be compared (H. Li et al., "Visualizing the Loss Landscape of Neural Nets", 2018).
    The loss is computed `steps` x `steps` times, in evaluation. The model stays as it is.

    Args:
        model: the model.
        loss: a function without arguments that calls the model and returns the loss.
        span: how far to go either way; 1 is as far as the weights are long.
        steps: how many places along each direction.
        directions: two directions instead, each a step for every parameter.
        seed: of the random directions.

    Returns:
        A Matplotlib figure.

    Raises:
        ImportError: if Matplotlib is not installed.
        TypeError: if `model` is not a module.
        ValueError: if `steps` is less than 2, or `directions` don't fit the parameters.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> net = torch.nn.Linear(2, 1)
    >>> x, y = torch.randn(8, 2), torch.ones(8, 1)
    >>> figure = viz.landscape(net, lambda: torch.nn.functional.mse_loss(net(x), y), steps=7)
    """
    figure = _figure("landscape", 9.5, 4.2)
    offsets, values = loss_surface(
        model, loss, span=span, steps=steps, directions=directions, seed=seed
    )
    # Far away a loss grows by powers: the picture shows its logarithm if it spans many.
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    logarithmic = low > 0 and high > 30 * low
    heights, title = (np.log10(values), "log10 loss") if logarithmic else (values, "loss")
    above, side = (
        figure.add_subplot(1, 2, 1),
        figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False),
    )
    painted = above.contourf(offsets, offsets, heights, levels=24, cmap=HEIGHTS)
    above.contour(offsets, offsets, heights, levels=12, colors="white", linewidths=0.4, alpha=0.6)
    above.plot(0, 0, "o", color=ACCENT, markeredgecolor="white", markersize=8)
    above.annotate("here", (0, 0), (8, 6), textcoords="offset points", color="white", weight="bold")
    ticks = np.linspace(-span, span, 5)
    above.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    above.set(xticks=ticks, yticks=ticks)
    figure.colorbar(painted, ax=above, label=title, shrink=0.85)
    x, y = np.meshgrid(offsets, offsets)
    side.plot_surface(x, y, heights, cmap=HEIGHTS, linewidth=0, rstride=1, cstride=1)
    side.view_init(elev=38, azim=-60)
    side.set(xlabel="first", ylabel="second", xticks=ticks, yticks=ticks)
    side.tick_params(labelsize=7, colors=FAINT)
    side.set_box_aspect(None, zoom=0.85)
    figure.suptitle("The loss around the weights", color=INK)
    return figure


# ----- Values of layers, and gradients, over steps ------------------------------------------------


class _Series:
    """Values by name and step: for each name a list with an array for each step, None if there were none."""

    def __init__(self) -> None:
        self.values: dict[str, list[Array | None]] = {}
        self.step = 0

    def note(self, name: str, array: Array) -> None:
        """Keep values of the present step, evenly chosen where there are many."""
        rows = self.values.setdefault(name, [])
        rows += [None] * (self.step + 1 - len(rows))
        flat = array.reshape(-1)
        kept = (
            flat[:: -(-flat.size // MOST)].astype(np.float32) if flat.size > MOST else flat.copy()
        )
        former = rows[self.step]
        rows[self.step] = kept if former is None else np.concatenate([former, kept])

    def record(self, step: Callable[[], Any], steps: int) -> None:
        """Take steps."""
        for self.step in range(steps):
            step()
        for rows in self.values.values():
            rows += [None] * (steps - len(rows))


def _chosen(names: Sequence[str], limit: int) -> list[str]:
    """Return names from all over the list, no more than `limit`."""
    if len(names) <= limit:
        return list(names)
    return [names[round(i)] for i in np.linspace(0, len(names) - 1, limit)]


def activations(
    model: Module, step: Callable[[], Any], steps: int = 50, *, limit: int = 10
) -> Figure:
    """Train and draw a histogram of what each layer returned, for each step one column.

    A layer is a module that has no modules inside. The darker, the more values; the line is their median.
    At the right stands which share of the last step's values is exactly 0.

    Args:
        model: the model.
        step: a function without arguments that takes one step of training.
        steps: how often to call it.
        limit: how many layers to draw, chosen from all over the model.

    Returns:
        A Matplotlib figure.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if no layer was called.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> def step():
    ...     optimizer.zero_grad()
    ...     net(torch.randn(16, 2)).square().mean().backward()
    ...     optimizer.step()
    >>> figure = viz.activations(net, step, steps=20)
    """
    series = _Series()
    titles: dict[str, str] = {}
    handles: list[RemovableHandle] = []

    def watch(name: str, module: Module) -> None:
        def hook(_: Module, args: Any, output: Any) -> None:
            del args
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Traced) and first.array.dtype.kind == "f":
                series.note(name, first.array)

        titles[name] = f"{name}\n{type(module).__name__}" if name else type(module).__name__
        handles.append(module.register_forward_hook(hook))

    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            watch(name, module)
    figure = _recorded("activations", series, handles, step, steps)
    names = [name for name in titles if name in series.values]
    chosen = _chosen(names, limit)
    rows = [(titles[name], series.values[name]) for name in chosen]
    _draw_rows(figure, rows, f"What layers return{_of(chosen, names, 'layers')}", logarithmic=False)
    return figure


def gradients(
    model: Module, step: Callable[[], Any], steps: int = 50, *, limit: int = 10
) -> Figure:
    """Train and draw a histogram of the size of each parameter's gradient, for each step one column.

    Sizes are on a scale of powers of 10: layers whose gradients vanish lie low, those that explode rise.
    The darker, the more elements; the line is their median. At the right stands which share of the last
    step's gradient is exactly 0. The arguments and errors are those of `activations`.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> def step():
    ...     optimizer.zero_grad()
    ...     net(torch.randn(16, 2)).square().mean().backward()
    ...     optimizer.step()
    >>> figure = viz.gradients(net, step, steps=20)
    """
    series = _Series()
    handles: list[RemovableHandle] = []

    def watch(name: str, parameter: Any) -> None:
        def hook(tensor: Any) -> None:
            series.note(name, np.abs(tensor.grad.array))

        handles.append(parameter.register_post_accumulate_grad_hook(hook))

    names = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            watch(name, parameter)
            names.append(name)
    figure = _recorded("gradients", series, handles, step, steps)
    names = [name for name in names if name in series.values]
    heavy = [name for name in names if model.get_parameter(name).array.ndim > 1]
    chosen = _chosen(names if len(names) <= limit else heavy or names, limit)
    rows = [(name, series.values[name]) for name in chosen]
    title = f"Sizes of gradients{_of(chosen, names, 'parameters')}"
    _draw_rows(figure, rows, title, logarithmic=True)
    return figure


def _of(chosen: Sequence[str], names: Sequence[str], kind: str) -> str:
    return f" ({len(chosen)} of {len(names)} {kind})" if len(chosen) < len(names) else ""


def _recorded(
    caller: str,
    series: _Series,
    handles: Sequence[RemovableHandle],
    step: Callable[[], Any],
    steps: int,
) -> Figure:
    """Take steps, remove hooks, and return a figure of a height that suits."""
    try:
        figure = _figure(caller, 8, 1)
        series.record(step, steps)
    finally:
        for handle in handles:
            handle.remove()
    if not series.values:
        raise ValueError(
            f"viz.{caller}: nothing of the model was recorded in {steps} steps; does step() use it?"
        )
    return figure


def _draw_rows(
    figure: Any, rows: Sequence[tuple[str, list[Array | None]]], title: str, *, logarithmic: bool
) -> None:
    figure.set_size_inches(8, 1.0 + 1.05 * len(rows))
    columns = [[_finite(values, logarithmic) for values in series] for _, series in rows]
    ranges = [_range(np.concatenate(column)) for column in columns]
    if logarithmic:  # sizes of different parameters are to be compared
        top = max(high for _, high in ranges)
        ranges = len(rows) * [(max(min(low for low, _ in ranges), top - 12), top)]
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, series), column, ends in zip(axes, rows, columns, ranges, strict=True):
        _draw_histograms(axis, column, ends, logarithmic)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", color=INK, fontsize=9)
        last = next(values for values in reversed(series) if values is not None)
        share = np.mean(last == 0) if last.size else 0
        if share:
            axis.text(
                *(1.01, 0.5, f"{share:.0%} zeros"),
                transform=axis.transAxes,
                **{"va": "center", "fontsize": 8, "color": ACCENT if share > 0.9 else FAINT},
            )
        axis.tick_params(labelsize=7, colors=FAINT)
        for side in axis.spines.values():
            side.set_visible(False)
    axes[-1].set_xlabel("step", color=FAINT)
    figure.suptitle(title, color=INK)


def _range(values: Array) -> tuple[float, float]:
    """Return ends between which nearly all values lie."""
    low, high = np.quantile(values, [0.002, 0.998]) if values.size else (0.0, 1.0)
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)


def _draw_histograms(
    axis: Any, columns: Sequence[Array], ends: tuple[float, float], logarithmic: bool
) -> None:
    """Draw the histogram of each step as a column, dark where there are many values."""
    most = max(column.size for column in columns)
    edges = np.linspace(*ends, min(max(round(2 * most**0.5), 12), 48) + 1)
    counts = np.array([np.histogram(np.clip(column, *ends), edges)[0] for column in columns]).T
    # A column's fullest bin is often that of the zeros, beside which nothing else would be seen.
    shades = np.sqrt(counts / np.maximum(counts.max(0, keepdims=True), 1))
    medians = np.array([np.median(column) if column.size else np.nan for column in columns])
    places = np.arange(len(columns) + 1) - 0.5
    if logarithmic:
        edges, medians = 10**edges, 10**medians
        axis.set_yscale("log")
    axis.pcolormesh(places, edges, shades, cmap=FLOWS, vmin=0, vmax=1, rasterized=True)
    axis.plot(range(len(columns)), medians, color=ACCENT, linewidth=1.2)
    axis.set_xlim(places[0], places[-1])


def _finite(values: Array | None, logarithmic: bool) -> Array:
    """Return the values that can be drawn: finite ones, or the logarithms of positive ones."""
    if values is None:
        return np.empty(0)
    if logarithmic:
        return np.log10(values[(values > 0) & np.isfinite(values)].astype(np.float64))
    return values[np.isfinite(values)].astype(np.float64)


# ----- Filters ------------------------------------------------------------------------------------


def weights(
    source: Any, *, shape: tuple[int, int] | None = None, limit: int = 64, title: str = ""
) -> Figure:
    """Draw the filters of a layer as images, blue below 0 and red above.

    A convolution's weight ``(O, C, H, W)`` gives `O` images if it sees one channel, or three, which are
    taken for colours; otherwise a row of `C` images for each of the `O`. The weight of a linear layer ``(O, I)``
    is drawn as one table, or with `shape` as `O` images.

    Args:
        source: a module, of which the first weight with two dimensions or more is drawn; or a tensor.
        shape: height and width of the images a linear layer sees.
        limit: how many images to draw at most.
        title: the title (default: the name and shape of the weight).

    Returns:
        A Matplotlib figure.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if there is no such weight, or `shape` doesn't fit it.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> figure = viz.weights(torch.nn.Conv2d(1, 8, 3))
    """
    name, weight = _weight_of(source)
    if shape is not None:
        if weight[0].size != shape[0] * shape[1]:
            raise ValueError(
                f"viz.weights: shape is {shape}, but a row of the weight {weight.shape} has "
                f"{weight[0].size} numbers"
            )
        weight = weight.reshape(len(weight), *shape)
    images, rows, columns = _images(weight, limit)
    mosaic = _mosaic(images, columns)
    tall, wide = mosaic.shape[:2]
    width = min(max(0.25 * wide, 3.0), 7.0) if len(images) == 1 else min(0.7 * columns, 9.0)
    height = min(width * tall / wide, 9.0)
    figure: Any = _figure("weights", max(width, 3.0) + 1.2, max(height, 1.2) + 0.7)
    axis = figure.add_subplot()
    bound = max(float(np.abs(weight).max(initial=0)), 1e-12)
    painted = axis.imshow(mosaic, cmap=SIGNED, vmin=-bound, vmax=bound, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_frame_on(False)
    if rows * columns == 1:
        axis.set_aspect("auto")
    if not _is_list(weight):
        axis.set(xlabel="inputs", ylabel="outputs")
    if mosaic.ndim == 2:
        figure.colorbar(painted, ax=axis, shrink=0.85)
    heading = title or f"{name} {' x '.join(map(str, weight.shape))}".strip()
    count = len(weight) * (1 if _is_list(weight) else int(np.prod(weight.shape[1:-2])))
    if weight.ndim > 2 and len(images) < count:
        heading += f", {len(images)} of {count} images"
    figure.suptitle(heading, color=INK)
    return figure  # type: ignore[no-any-return]


def _weight_of(source: Any) -> tuple[str, Array]:
    """Return a name and an array of two dimensions or more."""
    if isinstance(source, Module):
        for name, parameter in source.named_parameters():
            if parameter.array.ndim > 1:
                return name, parameter.array
        raise ValueError(f"viz.weights: {type(source).__name__} has no weight with two dimensions")
    array = _array(source)
    if array.ndim < 2:
        raise ValueError(f"viz.weights: expected two dimensions or more, got shape {array.shape}")
    return "", array


def _is_list(weight: Array) -> bool:
    """Tell whether a weight is one image after the other, not a table of outputs and inputs."""
    return weight.ndim == 3 or (weight.ndim > 3 and weight.shape[1] in (1, 3))


def _images(weight: Array, limit: int) -> tuple[list[Array], int, int]:
    """Return what to draw row by row, images ``(H, W)`` or ``(H, W, 3)``, and how many each way."""
    if weight.ndim > 4:  # one depth below the other
        weight = weight.reshape(*weight.shape[:2], -1, weight.shape[-1])
    if weight.ndim == 2:
        return [weight], 1, 1
    if not _is_list(weight):
        columns = min(weight.shape[1], max(limit, 1), 16)
        rows = min(len(weight), max(limit // columns, 1))
        return list(weight[:rows, :columns].reshape(-1, *weight.shape[2:])), rows, columns
    if weight.ndim == 4 and weight.shape[1] == 3:
        low, high = weight.min(), weight.max()
        weight = ((weight - low) / ((high - low) or 1)).transpose(0, 2, 3, 1)
    elif weight.ndim == 4:
        weight = weight[:, 0]
    count = min(len(weight), max(limit, 1))
    columns = min(count, max(8, round(count**0.5)))
    return list(weight[:count]), -(-count // columns), columns


def _mosaic(images: Sequence[Array], columns: int) -> Array:
    """Return the images as one, a gap between them."""
    tall, wide = images[0].shape[:2]
    down, across = tall + 1 + tall // 8, wide + 1 + wide // 8
    rows = -(-len(images) // columns)
    empty = np.nan if images[0].ndim == 2 else 1.0
    size = (rows * down - (down - tall), columns * across - (across - wide), *images[0].shape[2:])
    whole = np.full(size, empty)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = row * down, column * across
        whole[top : top + tall, left : left + wide] = image
    return whole
