"""Images in other sizes, and read at other places.

Every mode of `interpolate` is a weighted sum of a few neighbours along one dimension after the other,
so all of them are one linear op, `resample`, given a table of neighbours and weights.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.graph import Array, Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.elementwise import clamp
from tinygrad_like.ops.linalg import matmul
from tinygrad_like.ops.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from tinygrad_like.ops.scattering import gather

__all__: list[str] = []
FUNCTIONAL = [
    "affine_grid",
    "grid_sample",
    "interpolate",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

_DENSE = 256  # up to this size a product with the whole table is faster than picking neighbours


# ----- Weighted sums of neighbours along one dimension ----------------------------------------------


def _table(size: int, places: Any, weights: Any, d: Any) -> Any:
    """Return the weights as a matrix ``(places, size)``."""
    dense = np.zeros((len(places), size), d)
    np.add.at(dense, (np.arange(len(places))[:, None], places), weights)
    return dense


@op(
    x=lambda g, x_shape, dim, places, weights: resample_back(g, dim, x_shape[dim], places, weights),
    label="Upsample",
)
def resample(x: Array, dim: int, places: Any, weights: Any) -> Array:
    """Return sums of neighbours along a dimension: ``out[i] = sum_k weights[i, k] * x[places[i, k]]``."""
    before = (slice(None),) * dim
    if each := _repeats(places, x.shape[dim]):
        out = np.empty((*x.shape[:dim], len(places), *x.shape[dim + 1 :]), x.dtype)
        for i in range(each):
            out[(*before, slice(i, None, each))] = x
        return out
    if _prefers_product(x, x.shape[dim], places):
        last = np.moveaxis(x, dim, -1)
        out = np.matmul(last, _table(x.shape[dim], places, weights, x.dtype).T)
        return np.ascontiguousarray(np.moveaxis(out, -1, dim))
    shape = [1] * x.ndim
    shape[dim] = len(places)
    total: Any = None
    for column, weight in zip(places.T, weights.T, strict=True):
        chosen = _slice(column)
        part = x[(*before, chosen)] if isinstance(chosen, slice) else np.take(x, column, dim)
        if places.shape[1] > 1 or not (weight == 1).all():  # else it may look at the input
            part = part * weight.astype(x.dtype).reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    return np.array(total, order="C", copy=None if total.base is None else True)


def _prefers_product(x: Any, size: int, places: Any) -> bool:
    """Return whether to multiply with the whole table, whose zeros an infinite element would spoil."""
    return places.shape[1] > 1 and size <= _DENSE and bool(np.isfinite(x).all())


def _repeats(places: Any, size: int) -> int:
    """Return how often each of `size` elements is taken, if all are, equally often; else 0."""
    count, width = places.shape
    each = count // size
    same = width == 1 and each * size == count
    return each if same and bool((places[:, 0] == np.arange(count) // each).all()) else 0


def _slice(places: Any) -> Any:
    """Return a slice instead of places that are evenly spaced: it reads and writes in half the time."""
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    if step > 0 and places[-1] - places[0] == step * (len(places) - 1) and _even_by(places, step):
        return slice(int(places[0]), int(places[-1]) + 1, step)
    return places


def _even_by(places: Any, step: int) -> bool:
    return bool((places[1:] - places[:-1] == step).all())


def _summed(x: Any, starts: Any, dim: int) -> Any:
    """Return the sums along a dimension of the parts that begin at `starts`."""
    count = x.shape[dim]
    if len(starts) == count:
        return x
    each, rest = divmod(count, len(starts))
    if rest or each > 8 or not _even_by(starts, each):
        return np.add.reduceat(x, starts, axis=dim)
    before = (slice(None),) * dim
    out = np.add(x[(*before, slice(0, None, each))], x[(*before, slice(1, None, each))])
    for i in range(2, each):
        out += x[(*before, slice(i, None, each))]
    return out


@op(x=lambda g, dim, places, weights: resample(g, dim, places, weights), label="UpsampleBackward")
def resample_back(x: Array, dim: int, size: int, places: Any, weights: Any) -> Array:
    """Return the adjoint of `resample`: each element added up where it came from."""
    if each := _repeats(places, size):
        return _summed(x, np.arange(0, len(places), each), dim) if each > 1 else x.copy()
    if _prefers_product(x, size, places):
        last = np.moveaxis(x, dim, -1)
        out = np.matmul(last, _table(size, places, weights, x.dtype))
        return np.ascontiguousarray(np.moveaxis(out, -1, dim))
    out = np.zeros((*x.shape[:dim], size, *x.shape[dim + 1 :]), x.dtype)
    before, shape = (slice(None),) * dim, [1] * x.ndim
    shape[dim] = len(places)
    for k, (column, weight) in enumerate(zip(places.T, weights.T, strict=True)):
        # Neighbours come in order, so each one's parts lie side by side.
        starts = np.flatnonzero(column[1:] != column[:-1])
        starts = np.concatenate([[0], starts + 1])
        part = x if (weight == 1).all() else x * weight.astype(x.dtype).reshape(shape)
        target = (*before, _slice(column[starts]))
        if k:
            out[target] += _summed(part, starts, dim)
        else:
            out[target] = _summed(part, starts, dim)
    return out


# ----- Tables of the modes -------------------------------------------------------------------------


def _source(size: int, count: int, scale: float | None, align_corners: bool) -> Any:
    """Return where in the input each output lies (pixel centres, or corners on corners)."""
    i = np.arange(count, dtype=np.float64)
    if align_corners:
        return i * ((size - 1) / (count - 1) if count > 1 else 0.0)
    return (i + 0.5) * (size / count if scale is None else 1 / scale) - 0.5


def _nearest(size: int, count: int, scale: float | None, exact: bool, real: Any) -> tuple[Any, Any]:
    ratio = real(size / count if scale is None else 1 / scale)
    i = np.arange(count, dtype=real)
    half = real(0.5)
    at = ratio * (i + half) - half + half if exact else ratio * i
    # PyTorch rounds to float32 before it rounds down, which decides between neighbours.
    places = np.minimum(at.astype(np.float32).astype(np.int64), size - 1)
    return places[:, None], np.ones((count, 1))


def _linear(size: int, count: int, scale: float | None, align_corners: bool) -> tuple[Any, Any]:
    at = np.maximum(_source(size, count, scale, align_corners), 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    part = np.clip(at - low, 0, 1)
    return np.stack([low, high], 1), np.stack([1 - part, part], 1)


def _cubic_weights(t: Any) -> list[Any]:
    """Return the four weights of cubic convolution with a = -0.75 (Keys, 1981)."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic(size: int, count: int, scale: float | None, align_corners: bool) -> tuple[Any, Any]:
    at = _source(size, count, scale, align_corners)
    low = np.floor(at).astype(np.int64)
    places = np.clip(low[:, None] + np.arange(-1, 3), 0, size - 1)
    return places, np.stack(_cubic_weights(at - low), 1)


_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}
_AREA = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)


def _target(
    input: Any, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """Return the output's sizes, and the scales to compute places by where the user gave them."""
    dims = input.ndim - 2
    if (size is None) == (scale_factor is None):
        which = "only one of" if size is not None else "either"
        raise told(ValueError, f"interpolate: {which} size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    values = list(given) if isinstance(given, list | tuple) else [given] * dims
    if len(values) != dims:
        name = "output size" if size is not None else "scale_factor"
        raise told(
            ValueError,
            f"Input and {name} must have the same number of spatial dimensions: got input of shape "
            f"{list(input.shape)} and {name} {values}",
        )
    if size is not None:
        if recompute:
            raise told(
                ValueError,
                "recompute_scale_factor is not meaningful with an explicit size: leave it out",
            )
        return [int(v) for v in values], [None] * dims
    sizes = [math.floor(n * v) for n, v in zip(input.shape[2:], values, strict=True)]
    return sizes, [None] * dims if recompute else [float(v) for v in values]


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Return ``(N, C, ...)`` with one to three spatial dimensions in another size.

    Args:
        input: the images.
        size: the new size, one number or one for each spatial dimension.
        scale_factor: how many times larger; instead of `size`.
        mode: "nearest", "nearest-exact", "linear" (3-D), "bilinear", "bicubic" (4-D), "trilinear"
            (5-D) or "area".
        align_corners: let corner pixels lie on corner pixels; for linear and cubic modes.
        recompute_scale_factor: compute places from the sizes, not from `scale_factor`.
        antialias: not supported.

    Raises:
        ValueError: if neither or both of `size` and `scale_factor` are given, or do not fit.
        NotImplementedError: for a mode that does not fit the number of dimensions, and `antialias`.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([[[1.0, 2.0]]])
    >>> torch.nn.functional.interpolate(x, scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> torch.nn.functional.interpolate(x, size=3, mode="linear", align_corners=True)
    tensor([[[1.0000, 1.5000, 2.0000]]])
    """
    if align_corners is not None and mode in ("nearest", "area", "nearest-exact"):
        raise told(
            ValueError,
            "align_corners option can only be set with the interpolating modes: linear | bilinear | "
            f"bicubic | trilinear, got mode {mode!r}",
        )
    dims = input.ndim - 2
    fits = _LINEAR.get(mode) == dims or (mode == "bicubic" and dims == 2)
    if not (1 <= dims <= 3 and (fits or mode in ("nearest", "area", "nearest-exact"))):
        raise told(
            NotImplementedError,
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | "
            f"nearest-exact (got {mode})",
        )
    if antialias:
        raise told(NotImplementedError, "interpolate: antialias=True is not supported; blur first")
    sizes, scales = _target(input, size, scale_factor, recompute_scale_factor)
    if min(sizes) <= 0 or min(input.shape[1:]) <= 0:
        raise told(
            RuntimeError,
            f"Input and output sizes should be greater than 0, but got input {list(input.shape[2:])} and "
            f"output {sizes}",
        )
    bytes_fit = input.array.dtype == np.uint8 and mode.startswith("nearest")
    if input.array.dtype.kind != "f" and not bytes_fit:
        raise unsupported("interpolate", input.array.dtype)
    if mode == "area":
        return _AREA[dims - 1](input, sizes)
    out = input
    for dim, (count, scale) in enumerate(zip(sizes, scales, strict=True), start=2):
        length = input.shape[dim]
        if mode.startswith("nearest"):
            # Places are rounded in the input's precision, which decides between neighbours.
            real = np.float64 if input.element_size() == 8 else np.float32
            table = _nearest(length, count, scale, mode == "nearest-exact", real)
        elif mode == "bicubic":
            table = _cubic(length, count, scale, bool(align_corners))
        elif count == length and (align_corners or scale is None or scale == 1):
            continue
        else:
            table = _linear(length, count, scale, bool(align_corners))
        out = resample(out, dim, *table)
    return out if out is not input else input.clone()


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Do what `interpolate` does: an old name."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Do what `interpolate` does with mode "nearest": an old name."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Do what `interpolate` does with mode "bilinear" and aligned corners: an old name."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, "bilinear", True)


# ----- Reading at given places -----------------------------------------------------------------------


def _even(count: int, align_corners: bool, d: Any) -> Any:
    steps = np.linspace(-1, 1, count, dtype=d) if count > 1 else np.zeros(1, d)
    return steps if align_corners else steps * ((count - 1) / count)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Return where an affine map sends each pixel, for `grid_sample`: ``(N, H, W, 2)``.

    Args:
        theta: the maps, ``(N, 2, 3)``, or ``(N, 3, 4)`` for volumes.
        size: of the output image, ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        align_corners: let -1 and 1 be the centres of the corner pixels, not their outer edges.

    Raises:
        ValueError: if `theta` or `size` has another form.

    >>> import tinygrad_like as torch
    >>> turn = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(turn, (1, 1, 2, 1), align_corners=True)
    tensor([[[[-1.,  0.]],
    <BLANKLINE>
             [[ 1.,  0.]]]])
    """
    require_tensors("affine_grid", theta=theta)
    sizes = [int(n) for n in size]
    dims = len(sizes) - 2
    if not theta.is_floating_point():
        raise told(ValueError, f"Expected theta to have floating point type, but got {theta.dtype}")
    if dims not in (2, 3):
        raise told(
            NotImplementedError,
            f"affine_grid only supports 4D and 5D sizes, for images and volumes, got size {sizes}",
        )
    if tuple(theta.shape[1:]) != (dims, dims + 1) or len(theta.shape) != 3:
        raise told(
            ValueError,
            f"affine_grid: expected theta of shape (N, 2, 3) for a size of 4 numbers or (N, 3, 4) for 5, "
            f"got theta of shape {tuple(theta.shape)} for size {sizes}",
        )
    if min(sizes) <= 0:
        raise told(ValueError, f"Expected non-zero, positive output size. Got {sizes}")
    if align_corners is None:
        _warn_of_corners("affine_grid")
    d = theta.array.dtype if isinstance(theta, Traced) else theta.dtype
    axes = [_even(n, bool(align_corners), d) for n in sizes[2:]]
    mesh = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes[2:], d)], -1)
    places = result_type.make(mesh.reshape(1, -1, dims + 1).repeat(sizes[0], 0))
    return matmul(places, theta.transpose(1, 2)).reshape(sizes[0], *sizes[2:], dims)


def _warn_of_corners(name: str) -> None:
    warnings.warn(
        f"Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
        f"Please specify align_corners=True if the old behavior is desired. See the documentation of "
        f"{name} for details.",
        stacklevel=3,
    )


def _reflected(x: Any, low: float, span: float) -> Any:
    """Return places thrown back at ``low`` and ``low + span`` as often as it takes."""
    if span == 0:
        return x * 0
    far = (x - low).abs()
    times = np.floor(far.array / span)
    rest = far - result_type.make((times * span).astype(far.array.dtype))
    odd = result_type.make((times % 2).astype(far.array.dtype))
    return low + odd * (span - rest) + (1 - odd) * rest


def _pixels(place: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    """Return pixel coordinates for places from -1 to 1."""
    x = (place + 1) * ((size - 1) / 2) if align_corners else ((place + 1) * size - 1) / 2
    return _padded(x, size, padding_mode, align_corners)


def _padded(x: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    if padding_mode == "reflection":
        x = _reflected(x, 0.0, size - 1.0) if align_corners else _reflected(x, -0.5, float(size))
    return x if padding_mode == "zeros" else clamp(x, 0, size - 1)


def _read(flat: Any, sizes: Sequence[int], indices: Sequence[Any], zeros: bool) -> Any:
    """Return the pixels ``(N, C, P)`` at whole coordinates, 0 outside."""
    n, c = flat.shape[:2]
    inside: Any = True
    position: Any = 0
    for index, size in zip(indices, sizes, strict=True):
        inside = inside & (index >= 0) & (index < size)
        position = position * size + np.clip(index, 0, size - 1)
    chosen = np.broadcast_to(position[:, None, :], (n, c, position.shape[-1]))
    values = gather(flat, 2, result_type.make(np.ascontiguousarray(chosen)))
    if not zeros:
        return values
    return values * result_type.make(inside[:, None, :].astype(values.array.dtype))


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Return the images read at the places of a grid: ``(N, C, H_out, W_out)``.

    Args:
        input: images ``(N, C, H, W)`` or volumes ``(N, C, D, H, W)``.
        grid: places ``(N, H_out, W_out, 2)`` as (x, y), or ``(N, D_out, H_out, W_out, 3)`` as
            (x, y, z), from -1 to 1.
        mode: "bilinear" (trilinear for volumes), "nearest", or "bicubic" for images.
        padding_mode: "zeros", "border" or "reflection": what lies outside.
        align_corners: let -1 and 1 be the centres of the corner pixels, not their outer edges.

    Raises:
        ValueError: for another `mode` or `padding_mode`.
        RuntimeError: if shapes do not fit.

    >>> import tinygrad_like as torch
    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> middle = torch.zeros(1, 1, 1, 2)
    >>> torch.nn.functional.grid_sample(image, middle, align_corners=False)
    tensor([[[[2.5000]]]])
    """
    require_tensors("grid_sampler", input=input, grid=grid)
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise told(
            ValueError,
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'",
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise told(
            ValueError,
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'",
        )
    if align_corners is None:
        _warn_of_corners("grid_sample")
    dims = input.ndim - 2
    if (
        dims not in (2, 3)
        or grid.ndim != input.ndim
        or grid.shape[0] != input.shape[0]
        or grid.shape[-1] != dims
        or (mode == "bicubic" and dims != 2)
        or min(input.shape[2:]) == 0
    ):
        raise told(
            RuntimeError,
            "grid_sampler(): expected input (N, C, H, W) and grid (N, H, W, 2), or input (N, C, D, H, W) "
            f"and grid (N, D, H, W, 3), not bicubic, with equal batch sizes and no empty image; got input of shape "
            f"{tuple(input.shape)}, grid of shape {tuple(grid.shape)} and mode {mode!r}",
        )
    if input.dtype != grid.dtype:
        raise told(
            RuntimeError,
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{input.dtype} and grid has {grid.dtype}",
        )
    aligned = bool(align_corners)
    n, c, *sizes = input.shape
    flat = input.reshape(n, c, math.prod(sizes))
    places = grid.reshape(n, math.prod(grid.shape[1:-1]), dims)
    # The last coordinate of a place belongs to the first spatial dimension.
    at = [places[:, :, dims - 1 - i] for i in range(dims)]
    zeros = padding_mode == "zeros"
    if mode == "bicubic":
        out = _bicubic(flat, sizes, at, padding_mode, aligned)
    else:
        pixels = [_pixels(x, s, padding_mode, aligned) for x, s in zip(at, sizes, strict=True)]
        if mode == "nearest":
            out = _read(flat, sizes, [np.rint(p.array).astype(np.int64) for p in pixels], zeros)
        else:
            out = _multilinear(flat, sizes, pixels, zeros)
    return out.reshape(n, c, *grid.shape[1:-1])


def _multilinear(flat: Any, sizes: Sequence[int], pixels: Sequence[Any], zeros: bool) -> Any:
    lows = [np.floor(p.array) for p in pixels]
    parts = [p - result_type.make(low) for p, low in zip(pixels, lows, strict=True)]
    whole = [low.astype(np.int64) for low in lows]
    total = None
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        weight: Any = 1
        for up, part in zip(corner, parts, strict=True):
            weight = weight * (part if up else 1 - part)
        values = _read(flat, sizes, [w + up for w, up in zip(whole, corner, strict=True)], zeros)
        term = values * weight.unsqueeze(1)
        total = term if total is None else total + term
    return total


def _bicubic(
    flat: Any, sizes: Sequence[int], at: Sequence[Any], padding_mode: str, aligned: bool
) -> Any:
    # Padding applies to each neighbour, not to the place itself.
    pixels = [_pixels(x, s, "zeros", aligned) for x, s in zip(at, sizes, strict=True)]
    lows = [np.floor(p.array) for p in pixels]
    weights = [
        _cubic_weights(p - result_type.make(low)) for p, low in zip(pixels, lows, strict=True)
    ]
    total = None
    for i, j in itertools.product(range(4), repeat=2):
        indices = []
        for low, step, size in zip(lows, (i - 1, j - 1), sizes, strict=True):
            neighbour = result_type.make(low + low.dtype.type(step))
            padded = _padded(neighbour, size, padding_mode, aligned)
            indices.append(padded.array.astype(np.int64))
        values = _read(flat, sizes, indices, padding_mode == "zeros")
        term = values * (weights[0][i] * weights[1][j]).unsqueeze(1)
        total = term if total is None else total + term
    return total
