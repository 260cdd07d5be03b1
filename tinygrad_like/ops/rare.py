"""Spellings that few programs use: views as copies, in-place forms of functions, old names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_like import return_types
from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.keywords import Parameters
from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops import arranging, diagonals, expanding, joining, shaping
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.dropout import _channels, _drop, _drop_alpha

# ----- Views, copied ------------------------------------------------------------------------------


def _slice(input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    axis = shaping.axis_of(dim, input.ndim)
    return input[(slice(None),) * axis + (slice(start, end, step),)]


def _view(input: Any, size: Any) -> Any:
    return input.view(size)


def _squeeze(input: Any, *dim: Any) -> Any:
    return input.squeeze(*dim)


def _copy(tensor: Any) -> Any:
    return REGISTRY["clone"].call(tensor, "C")


def _copied(name: str, view: Callable[..., Any]) -> Any:
    """Return the function that does what `view` does and copies each result."""

    def copied(*args: Any, **kwargs: Any) -> Any:
        found = view(*args, **kwargs)
        if isinstance(found, Traced):
            return _copy(found)
        return tuple(_copy(part) for part in found)

    copied.__name__ = copied.__qualname__ = name
    copied.__doc__ = f"Return a copy of what `{name.removesuffix('_copy')}` returns."
    copied.__wrapped__ = view  # type: ignore[attr-defined]  # whose parameters it has
    return copied


_VIEWS: dict[str, Callable[..., Any]] = {
    "alias": lambda input: input,
    "detach": lambda input: input,
    "diagonal": diagonals.diagonal,
    "expand": expanding.expand,
    "narrow": joining.narrow,
    "permute": shaping.permute,
    "select": joining.select,
    "slice": _slice,
    "split": lambda input, split_size, dim=0: joining.split(input, split_size, dim),
    "split_with_sizes": joining.split_with_sizes,
    "squeeze": _squeeze,
    "t": shaping.t,
    "transpose": shaping.transpose,
    "unbind": joining.unbind,
    "unfold": arranging.unfold,
    "unsqueeze": shaping.unsqueeze,
    "view": _view,
}


# ----- In place, at the package's top -------------------------------------------------------------


def _method_of(name: str) -> Any:
    """Return the function that calls the method of that name."""

    def function(input: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Traced):
            raise told(
                TypeError,
                f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
            )
        return getattr(input, name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return what the tensor's method `{name}` does."
    function.__wrapped__ = Parameters(  # type: ignore[attr-defined]
        lambda: inspect.signature(getattr(result_type.cls, name))
    )
    return function


METHODS = ["gcd_", "i0_", "lcm_", "ldexp_"]


def _dropping(name: str, drop: Callable[..., Any], whole: bool, inplace: bool) -> Any:
    """Return one of the functions that drop elements, or `whole` channels, if asked to train."""

    def function(input: Any, p: float, train: bool) -> Any:
        if not isinstance(input, Traced):
            raise told(
                TypeError,
                f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
            )
        if not 0 <= p <= 1:
            raise told(RuntimeError, f"dropout probability has to be between 0 and 1, but got {p}")
        return drop(input, p, inplace, _channels(input) if whole else None) if train else input

    function.__name__ = function.__qualname__ = name
    what = "whole channels" if whole else "elements"
    function.__doc__ = f"Drop {what}{' in place' if inplace else ''}: see `nn.functional`."
    return function


# ----- Other arguments than those of nn.functional ------------------------------------------------

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
_BAGS = ("sum", "mean", "max")


def constant_pad_nd(input: Any, pad: Any, value: Any = 0) -> Any:
    """Return `input` with `value` around it: see `nn.functional.pad`.

    >>> import tinygrad_like as torch
    >>> torch.constant_pad_nd(torch.ones(2), (1, 0), 3)
    tensor([3., 1., 1.])
    """
    return F.pad(input, pad, "constant", value)


def affine_grid_generator(theta: Any, size: Any, align_corners: bool) -> Any:
    """Return the grid of an affine map: see `nn.functional.affine_grid`."""
    return F.affine_grid(theta, size, align_corners)


def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """Return `input` sampled at a grid: see `nn.functional.grid_sample`; modes are numbers here.

    Raises:
        RuntimeError: for a number that is no mode.
    """
    for what, number in (("interpolation", interpolation_mode), ("padding", padding_mode)):
        if number not in (0, 1, 2):
            raise told(
                RuntimeError, f"grid_sampler(): no {what} mode has the number {number}: 0, 1 or 2"
            )
    mode, padding = _MODES[interpolation_mode], _PADDINGS[padding_mode]
    return F.grid_sample(input, grid, mode, padding, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the largest elements of windows of ``(N, C, L)`` and where they are."""
    stride = None if stride in ((), []) else stride
    return F.max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Return the bags' sums, means or largest rows, which bag each index is in, and the bags' sizes.

    See `nn.functional.embedding_bag`; modes are numbers here. The last of the four are, for the mode
    "max", the indices of the rows that the elements come from, else the sizes again.

    Raises:
        RuntimeError: for a number that is no mode.
    """
    if mode not in (0, 1, 2):
        raise told(RuntimeError, f"embedding_bag(): no mode has the number {mode}: 0, 1 or 2")
    out = F.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=_BAGS[mode],
        sparse=sparse,
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )
    index, starts = indices.array, offsets.array
    ends = np.append(starts[1:], [] if include_last_offset else [index.size]).astype(np.int64)
    starts = starts[: ends.size]
    bag = np.repeat(np.arange(ends.size), ends - starts)
    counted = np.ones(index.shape, bool) if padding_idx is None else index != padding_idx
    sizes = np.bincount(bag[counted], minlength=ends.size)
    rows = sizes
    if mode == 2:
        rows = np.zeros(out.shape, np.int64)
        for b, (start, end) in enumerate(zip(starts, ends, strict=True)):
            members = index[start:end][counted[start:end]]
            if members.size:
                rows[b] = members[weight.array[members].argmax(0)]
    return out, *(result_type.make(array) for array in (bag, sizes, rows))


def norm_except_dim(v: Any, pow: float = 2, dim: int = 0) -> Any:
    """Return the norms of the slices along `dim`, in a shape that broadcasts with `v`."""
    if dim == -1:
        return v.norm(pow)
    axes = [axis for axis in range(v.ndim) if axis != dim % v.ndim]
    return v.norm(pow, axes, True) if axes else v.abs()


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """Return the indices of the first `size` elements that are not 0, and `fill_value` after the last.

    >>> import tinygrad_like as torch
    >>> torch.nonzero_static(torch.tensor([0, 5]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise told(
            RuntimeError, f"nonzero_static: 'size' must be an non-negative integer, got {size}"
        )
    found = np.argwhere(input.array)[:size]
    room = np.full((size, input.array.ndim), fill_value, np.int64)
    room[: len(found)] = found
    return result_type.make(room)


def convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """Return a convolution, or a transposed one, over as many dimensions as `weight` says."""
    axes = weight.ndim - 2
    if not 1 <= axes <= 3:
        raise told(
            RuntimeError,
            f"convolution: weight should have three to five dimensions, got shape {tuple(weight.shape)}",
        )
    if transposed:
        turned = getattr(F, f"conv_transpose{axes}d")
        return turned(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return getattr(F, f"conv{axes}d")(input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Return a convolution of ``(T, N, C)`` by ``(K, C, D)`` along the first dimension."""
    out = F.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)


def histogramdd(
    input: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """Return how many points lie in each box of a grid, and the edges along each axis.

    Args:
        input: points ``(..., D)``.
        bins: how many boxes there are along each axis, or the edges, one vector an axis.
        range: the ends along each axis, one after the other; else those of the points.
        weight: what each point counts, if not 1.
        density: divide by the sum and by the boxes' sizes.

    Raises:
        RuntimeError: if there are not as many numbers or vectors as axes, or types don't fit.

    >>> import tinygrad_like as torch
    >>> torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), bins=2).hist
    tensor([[0., 1.],
            [0., 1.]])
    """
    points = input.array.reshape(-1, input.array.shape[-1])
    axes, d = points.shape[1], points.dtype
    if d.kind != "f":
        raise unsupported("histogramdd", d)
    counts = [bins] * axes if isinstance(bins, int) else list(bins)
    if len(counts) != axes or (range is not None and len(range) != 2 * axes):
        raise told(
            RuntimeError,
            f"histogramdd: for points of {axes} coordinates there must be {axes} numbers of bins, or vectors "
            f"of edges, and twice as many ends in a range; got {len(counts)} and {range}",
        )
    edges = []
    for axis, count in enumerate(counts):
        if isinstance(count, Traced):
            edges.append(count.array)
            continue
        if range is not None:
            low, high = range[2 * axis : 2 * axis + 2]
        elif len(points):
            low, high = points[:, axis].min(), points[:, axis].max()
        else:
            low, high = 0.0, 1.0
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(np.linspace(low, high, count + 1, dtype=d))
    weights = None if weight is None else weight.array.reshape(-1)
    hist = np.histogramdd(points, edges, weights=weights)[0].astype(d)
    if density:
        hist = hist / hist.sum()
        for axis, ends in enumerate(edges):
            hist = hist / np.diff(ends).reshape([-1 if i == axis else 1 for i in np.arange(axes)])
    made = tuple(map(result_type.make, edges))
    return return_types.histogramdd(result_type.make(hist.astype(d)), made)


def resolve_neg(input: Any) -> Any:
    """Return `input`: no tensor here waits for its sign to be changed."""
    return input


@op(x=lambda g: np.zeros_like(g), name="poisson")
def _poisson(x: Array, generator: Any) -> Array:
    """Return a number of events for each rate; no gradient goes through."""
    from tinygrad_like.arrays.counts import poisson_counts

    return np.asarray(poisson_counts(x, generator))


def poisson(input: Any, generator: Any = None) -> Any:
    """Return a whole number for each rate in `input`, drawn from the Poisson distribution.

    Raises:
        NotImplementedError: if rates are no floating-point numbers.
        RuntimeError: if one is negative.

    >>> import tinygrad_like as torch
    >>> torch.poisson(torch.zeros(2))
    tensor([0., 0.])
    """
    array = input.array
    if array.dtype.kind != "f":
        raise unsupported("poisson_cpu", array.dtype)
    if not np.all(array >= 0):
        raise told(RuntimeError, "invalid Poisson rate, expected rate to be non-negative")
    return _poisson(input, generator)


def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Return how many of `count` coins fall so, each with probability `prob`; both broadcast.

    Raises:
        ValueError: if `count` does not hold floating-point numbers.
        RuntimeError: if `prob` has another dtype.

    >>> import tinygrad_like as torch
    >>> torch.binomial(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor([3.])
    """
    from tinygrad_like.arrays.counts import binomial_counts

    a, b = count.array, prob.array
    if a.dtype.kind != "f":
        raise told(
            ValueError,
            f"binomial only supports floating-point dtypes for count, got: {count.dtype}",
        )
    if a.dtype is not b.dtype:
        raise told(RuntimeError, f"binomial: Found dtype {prob.dtype} but expected {count.dtype}")
    try:
        return result_type.make(binomial_counts(a, b, generator))
    except ValueError:
        raise told(
            RuntimeError,
            f"binomial: shapes of count, {a.shape}, and prob, {b.shape}, do not broadcast",
        ) from None


# ----- By name ------------------------------------------------------------------------------------

_MADE: dict[str, Callable[[], Any]] = {
    **{f"{name}_copy": partial(_copied, f"{name}_copy", view) for name, view in _VIEWS.items()},
    **{name: partial(_method_of, name) for name in METHODS},
    "alpha_dropout_": lambda: _dropping("alpha_dropout_", _drop_alpha, False, True),
    "dropout_": lambda: _dropping("dropout_", _drop, False, True),
    "feature_alpha_dropout_": lambda: _dropping("feature_alpha_dropout_", _drop_alpha, True, True),
    "feature_dropout": lambda: _dropping("feature_dropout", _drop, True, False),
    "feature_dropout_": lambda: _dropping("feature_dropout_", _drop, True, True),
    "unsafe_chunk": lambda: joining.chunk,
    "unsafe_split": lambda: joining.split,
    "unsafe_split_with_sizes": lambda: joining.split_with_sizes,
}


def __getattr__(name: str) -> Any:
    if name not in _MADE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _MADE[name]()
    return made
