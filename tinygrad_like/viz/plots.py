"""Plots of a training with Matplotlib: the loss around its weights, what layers give, gradients, filters.

Each is one call that returns a figure: a notebook shows it, ``figure.savefig("name.png")`` writes it.
Given a `figure`, or a part of one (``plt.figure().subfigures(1, 2)``), it is drawn there. Matplotlib
(extra ``viz``) is imported when one of them is called; no window is opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.func.modules import functional_call
from tinygrad_like.graph import RemovableHandle, Traced, result_type
from tinygrad_like.nn.module import Module
from tinygrad_like.random import get_rng_state, set_rng_state
from tinygrad_like.viz.figures import ACCENT, FAINT, FLOWS, HEIGHTS, INK, array_of, new_figure
from tinygrad_like.viz.filters import weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["activations", "gradients", "landscape", "loss_surface", "weights"]

MOST = 4096  # values kept of a layer in a step: enough for a histogram

Array = np.ndarray[Any, Any]


# ----- The loss around the weights ----------------------------------------------------------------


def _random_direction(parameters: Sequence[Any], random: np.random.Generator) -> list[Array]:
    """Return a step for each parameter, each filter's as long as the filter itself.

    Biases, and the weights of norms, stay as they are (H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein,
    "Visualizing the Loss Landscape of Neural Nets", 2018), unless there is nothing else.
    """
    has_filters = any(parameter.array.ndim > 1 for parameter in parameters)
    steps = []
    for parameter in parameters:
        weight = parameter.array
        if weight.ndim < 2 and has_filters:
            steps.append(np.zeros_like(weight))
            continue
        drawn = random.standard_normal(weight.shape)
        inner = tuple(range(1, weight.ndim)) or tuple(range(weight.ndim))
        long = np.sqrt(np.square(weight, dtype=np.float64).sum(inner, keepdims=True))
        if not has_filters:  # a vector of zeros is moved too
            long = np.where(long == 0, 1, long)
        drawn = drawn * long / np.sqrt((drawn**2).sum(inner, keepdims=True))
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
    _must_be_module("landscape", model)
    if steps < 2:
        raise ValueError(f"landscape: steps is {steps}, expected at least 2")
    parameters = dict(model.named_parameters())
    if directions is None:
        random = np.random.default_rng(seed)
        directions = [_random_direction(list(parameters.values()), random) for _ in range(2)]
    if [len(direction) for direction in directions] != 2 * [len(parameters)]:
        raise ValueError(
            f"landscape: expected two directions of {len(parameters)} tensors, one for each parameter"
        )
    first, second = ([array_of(step) for step in direction] for direction in directions)
    # What the closure computes belongs to the model's parameters, which are replaced meanwhile.
    around = _Around(model, loss)
    buffers = {f"model.{name}": buffer for name, buffer in model.named_buffers()}
    modes = [(module, module.training) for module in model.modules()]
    offsets = np.linspace(-span, span, steps)
    values = np.empty((steps, steps))
    model.eval()
    random_state = get_rng_state()
    try:
        with no_grad():
            for i, j in np.ndindex(steps, steps):
                x, y = float(offsets[j]), float(offsets[i])
                moved = {
                    f"model.{name}": result_type.make(_moved(p.array, x, a, y, b))
                    for (name, p), a, b in zip(parameters.items(), first, second, strict=True)
                }
                copies = {name: buffer.clone() for name, buffer in buffers.items()}
                set_rng_state(random_state)  # the loss may draw: everywhere the same
                values[i, j] = float(functional_call(around, moved | copies))
    finally:
        set_rng_state(random_state)
        for module, mode in modes:
            module.training = mode
    return offsets, values


def _must_be_module(caller: str, model: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: model is {type(model).__name__}, expected a Module")


class _Around(Module):
    """Calls a function without arguments, as if it were the model's forward."""

    def __init__(self, model: Module, loss: Callable[[], Any]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self) -> Any:
        """Return what the function returns."""
        return self.loss()


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
    figure: Any = None,
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
        figure: a figure to draw in, or a part of one (default: a new figure).

    Returns:
        A Matplotlib figure.

    Raises:
        ImportError: if Matplotlib is not installed.
        TypeError: if `model` is not a module.
        ValueError: if `steps` is less than 2, `directions` don't fit the parameters, or the loss is
            nowhere finite.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> net = torch.nn.Linear(2, 1)
    >>> x, y = torch.randn(8, 2), torch.ones(8, 1)
    >>> figure = viz.landscape(net, lambda: torch.nn.functional.mse_loss(net(x), y), steps=7)
    """
    figure = new_figure("landscape", 9.5, 4.2, figure)
    offsets, values = loss_surface(
        model, loss, span=span, steps=steps, directions=directions, seed=seed
    )
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("landscape: the loss is finite nowhere around the weights")
    # Far away a loss grows by powers: heights are its logarithm if it spans many.
    logarithmic = bool(finite.min() > 0 and finite.max() > 30 * finite.min())
    heights = np.where(np.isfinite(values), values, np.nan)
    heights = np.log10(heights) if logarithmic else heights
    low, high = np.nanmin(heights), max(np.nanmax(heights), np.nanmin(heights) + 1e-9)

    def told(height: float, _: Any = None) -> str:
        return f"{10**height if logarithmic else height:.2g}"

    above = figure.add_subplot(1, 2, 1)
    side: Any = figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    levels = np.linspace(low, high, 25)
    painted = above.contourf(offsets, offsets, heights, levels, cmap=HEIGHTS)
    lines = {"colors": "white", "linewidths": 0.4, "linestyles": "solid", "alpha": 0.6}
    above.contour(offsets, offsets, heights, levels[::2], **lines)
    above.plot(0, 0, "o", color=ACCENT, markeredgecolor="white", markersize=8)
    here = f"here {told(heights[steps // 2, steps // 2])}" if steps % 2 else "here"
    above.annotate(here, (0, 0), (8, 6), textcoords="offset points", color="white", weight="bold")
    ticks = np.linspace(-span, span, 5)
    above.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    above.set(xticks=ticks, yticks=ticks)
    figure.colorbar(
        painted, ax=above, label="loss", shrink=0.85, ticks=levels[::4], format=told, pad=0.02
    )
    x, y = np.meshgrid(offsets, offsets)
    side.plot_surface(x, y, heights, cmap=HEIGHTS, linewidth=0, rstride=1, cstride=1)
    side.view_init(elev=38, azim=-60)
    side.set(xlabel="first", ylabel="second", xticks=ticks, yticks=ticks, zticks=levels[::6])
    side.zaxis.set_major_formatter(told)
    side.tick_params(labelsize=7, colors=FAINT)
    side.set_box_aspect(None, zoom=0.85)
    figure.suptitle("The loss around the weights", color=INK)
    return figure  # type: ignore[no-any-return]


# ----- Values of layers, and gradients, over steps ------------------------------------------------


class _Series:
    """Values by name and step: for each name an array for each step, None if there were none."""

    def __init__(self) -> None:
        self.values: dict[str, list[Array | None]] = {}
        self.step = 0
        self.dropped: set[str] = set()

    def note(self, name: str, array: Array) -> None:
        """Keep values of the present step, evenly chosen where there are many."""
        if name in self.dropped:
            return
        rows = self.values.setdefault(name, [])
        rows += [None] * (self.step + 1 - len(rows))
        flat = array.reshape(-1)
        stride = -(-flat.size // MOST) or 1
        while math.gcd(stride, flat.size) > 1:  # or it would see the same column of every image
            stride += 1
        kept = flat[::stride].astype(np.float32)
        former = rows[self.step]
        rows[self.step] = kept if former is None else np.concatenate([former, kept])

    def share(self, kind: str) -> str:
        """Return, where some were dropped, how many of how many there are."""
        many = len(self.values) + len(self.dropped)
        return f" ({len(self.values)} of {many} {kind})" if self.dropped else ""

    def keep(self, names: Sequence[str]) -> None:
        """Drop all other names, now and in later steps."""
        self.dropped |= set(self.values) - set(names)
        self.values = {name: self.values[name] for name in names}


def _evenly(names: Sequence[str], limit: int) -> list[str]:
    """Return names from all over the list, no more than `limit`."""
    if len(names) <= limit:
        return list(names)
    return [names[round(i)] for i in np.linspace(0, len(names) - 1, limit)]


def activations(
    model: Module,
    step: Callable[[], Any],
    steps: int = 50,
    *,
    limit: int = 10,
    figure: Any = None,
) -> Figure:
    """Train and draw a histogram of what each layer returned, for each step one column.

    A layer is a module that calls no other; of several results the first is shown. The darker, the more
    values; the line is their median. At the right stands which share of the last step's values is exactly
    0; how dark the others are is told without these.

    Args:
        model: the model.
        step: a function without arguments that takes one step of training.
        steps: how often to call it.
        limit: how many layers to draw, chosen from all over the model in the first step.
        figure: a figure to draw in, or a part of one (default: a new figure).

    Returns:
        A Matplotlib figure.

    Raises:
        ImportError: if Matplotlib is not installed.
        TypeError: if `model` is not a module.
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

    # For each call that runs, whether it called a module itself.
    running: list[bool] = []

    def watch(name: str, module: Module) -> None:
        def before(_: Module, args: Any) -> None:
            del args
            running.append(False)

        def after(_: Module, args: Any, output: Any) -> None:
            del args
            calls_others = running.pop()
            if running:
                running[-1] = True
            first = None if calls_others else _first(output)
            if first is not None:
                series.note(name, first)

        titles[name] = f"{name}\n{type(module).__name__}" if name else type(module).__name__
        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after, always_call=True))

    _must_be_module("activations", model)
    for name, module in model.named_modules():
        watch(name, module)

    def choose(names: Sequence[str]) -> list[str]:
        return _evenly([name for name in titles if name in names], limit)

    figure = _recorded("activations", figure, series, handles, step, steps, choose)
    rows = [(titles[name], values) for name, values in series.values.items()]
    _draw_rows(figure, rows, f"What layers return{series.share('layers')}", logarithmic=False)
    return figure  # type: ignore[no-any-return]


def _first(value: Any) -> Array | None:
    """Return the first floating-point array in what a module returned."""
    if isinstance(value, Traced):
        return value.array if value.array.dtype.kind == "f" else None
    inner = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return None
    return next((found for found in map(_first, inner) if found is not None), None)


def gradients(
    model: Module,
    step: Callable[[], Any],
    steps: int = 50,
    *,
    limit: int = 10,
    figure: Any = None,
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
    _must_be_module("gradients", model)
    series = _Series()
    handles: list[RemovableHandle] = []

    def watch(name: str, parameter: Any) -> None:
        def hook(tensor: Any) -> None:
            series.note(name, np.abs(tensor.grad.array))

        handles.append(parameter.register_post_accumulate_grad_hook(hook))

    matrices = set()
    order = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            watch(name, parameter)
            order.append(name)
            if parameter.array.ndim > 1:
                matrices.add(name)

    def choose(names: Sequence[str]) -> list[str]:
        there = [name for name in order if name in names]
        heavy = [name for name in there if name in matrices]
        return _evenly(there if len(there) <= limit else heavy or there, limit)

    figure = _recorded("gradients", figure, series, handles, step, steps, choose)
    title = f"Sizes of gradients{series.share('parameters')}"
    _draw_rows(figure, list(series.values.items()), title, logarithmic=True)
    return figure  # type: ignore[no-any-return]


def _recorded(
    caller: str,
    figure: Any,
    series: _Series,
    handles: Sequence[RemovableHandle],
    step: Callable[[], Any],
    steps: int,
    choose: Callable[[Sequence[str]], list[str]],
) -> Any:
    """Take steps, remove hooks, and return a figure of a height that suits."""
    try:
        new_figure(caller, 8, 1, figure)  # tells before the first step that Matplotlib is missing
        for series.step in range(steps):
            step()
            # In the first step one sees which there are: of many, only the chosen are kept.
            series.keep(choose(list(series.values)))
    finally:
        for handle in handles:
            handle.remove()
    if not series.values:
        raise ValueError(
            f"viz.{caller}: nothing of the model was recorded in {steps} steps; does step() use it?"
        )
    for rows in series.values.values():
        rows += [None] * (steps - len(rows))
    return new_figure(caller, 8, 1.0 + 1.05 * len(series.values), figure)


def _draw_rows(
    figure: Any, rows: Sequence[tuple[str, list[Array | None]]], title: str, *, logarithmic: bool
) -> None:
    columns = [[_finite(values, logarithmic) for values in series] for _, series in rows]
    ranges = [_range(np.concatenate(column)) for column in columns]
    if logarithmic:  # sizes of different parameters are to be compared
        top = max(high for _, high in ranges)
        ranges = len(rows) * [(max(min(low for low, _ in ranges), top - 16), top)]
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, series), column, ends in zip(axes, rows, columns, ranges, strict=True):
        _draw_histograms(axis, column, ends, logarithmic)
        look = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 9, "labelpad": 8}
        axis.set_ylabel(name, color=INK, **look)
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
    axes[-1].set_xlabel("step   (the darker, the more values; line: their median)", color=FAINT)
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
    zeros = np.histogram(np.zeros(1), edges)[0][:, None] * [np.sum(c == 0) for c in columns]
    others = (counts - zeros * (not logarithmic)).max(0, keepdims=True)
    shades = np.sqrt(np.minimum(counts / np.maximum(others, 1), 1))
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
