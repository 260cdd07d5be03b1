"""Ops that copy elements to other places: repeating, turning, padding, triangles and diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Array, Traced, as_array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.shaping import axis_of, reshape, sizes_of, transpose, unsqueeze
from tinygrad_like.stamps import owner

__all__ = [
    "flip",
    "fliplr",
    "flipud",
    "meshgrid",
    "repeat_interleave",
    "roll",
    "rot90",
    "tile",
]
FUNCTIONAL = ["pad"]


# ----- Repeating ----------------------------------------------------------------------------------


@op(x=lambda g, sizes, x_shape: _sum_repeats(g, sizes, x_shape))
def repeat(x: Array, sizes: Sequence[int]) -> Array:
    """Return `x` repeated `sizes` times along each dimension.

    Raises:
        RuntimeError: if there are fewer sizes than dimensions, or negative ones.
    """
    if len(sizes) < x.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"got {list(sizes)}"
        )
    if min(sizes, default=0) < 0:
        raise RuntimeError(
            f"repeat: the numbers of repeats must not be negative, got {list(sizes)}"
        )
    shape = (1,) * (len(sizes) - x.ndim) + x.shape
    out = np.empty([n for pair in zip(sizes, shape, strict=True) for n in pair], x.dtype)
    out[...] = x.reshape([n for size in shape for n in (1, size)])
    return out.reshape([count * size for count, size in zip(sizes, shape, strict=True)])


def _sum_repeats(g: Array, sizes: Sequence[int], shape: tuple[int, ...]) -> Array:
    full = (1,) * (len(sizes) - len(shape)) + tuple(shape)
    parts = reshape(g, tuple(n for pair in zip(sizes, full, strict=True) for n in pair))
    target = tuple(n for size in full for n in (1, size))
    return reshape(REGISTRY["sum_to"].call(parts, target), shape)


def _repeat(input: Any, *repeats: Any) -> Any:
    """Return this tensor repeated so many times along each dimension; more may be put in front.

    Raises:
        RuntimeError: if there are fewer numbers than dimensions, or negative ones.

    >>> import tinygrad_like as torch
    >>> torch.tensor([1.0, 2.0]).repeat(2, 2)
    tensor([[1., 2., 1., 2.],
            [1., 2., 1., 2.]])
    """
    sizes = sizes_of(repeats)
    if any(isinstance(n, float) for n in sizes):
        raise told(
            TypeError, f"repeat(): argument 'repeats' must be tuple of ints, not float: got {sizes}"
        )
    return repeat(input, tuple(int(n) for n in sizes))


def tile(input: Any, dims: Any) -> Any:
    """Return the tensor repeated `dims` times, counted from the last dimension.

    >>> import tinygrad_like as torch
    >>> torch.tile(torch.tensor([[1.0], [2.0]]), (2,))
    tensor([[1., 1.],
            [2., 2.]])
    """
    require_tensors("tile", input=input)
    return repeat(input, (1,) * (input.ndim - len(dims)) + tuple(dims))


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Return each slice along `dim` (each element if None) `repeats` times in succession.

    `repeats` is a number, or a tensor with one for each slice; alone it gives the indices.

    Raises:
        RuntimeError: if a number is negative, or their count is not that of the slices.

    >>> import tinygrad_like as torch
    >>> torch.repeat_interleave(torch.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    del output_size
    counted = input if repeats is None else repeats
    if isinstance(counted, Traced) and counted.array.dtype not in (np.int32, np.int64):
        raise told(
            NotImplementedError,
            "repeat_interleave: repeats must be int32 or int64, got "
            f"{dtypes.named(counted.array.dtype)}; use .long()",
        )
    if repeats is None:
        counts = as_array(input)
        if counts.ndim != 1:
            raise told(
                RuntimeError, f"repeat_interleave: repeats must be 1-d, got shape {counts.shape}"
            )
        return REGISTRY["repeat_indices"].call(input, counts.size)
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    axis = axis_of(dim, input.ndim)
    size = input.shape[axis]
    if isinstance(repeats, Traced) and repeats.array.size == 1:
        repeats = int(repeats.array.item())
    if isinstance(repeats, int):
        if repeats < 0:
            raise told(RuntimeError, f"repeats must be non-negative, got {repeats}")
        shape = tuple(input.shape)
        wide = broadcast_to(
            unsqueeze(input, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :])
        )
        return reshape(wide, (*shape[:axis], size * repeats, *shape[axis + 1 :]))
    counts = as_array(repeats)
    if counts.ndim != 1 or counts.size != size:
        raise told(
            RuntimeError,
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{counts.size} and input.size({axis}) = {size}",
        )
    indices = as_array(repeat_indices(repeats, size))
    return REGISTRY["take_index"].call(input, (slice(None),) * axis + (indices,))


@op()
def repeat_indices(x: Array, size: int) -> Array:
    """Return each of the indices below `size` as many times as `x` says."""
    if x.dtype.kind not in "iu":
        raise NotImplementedError(
            f"repeat_interleave: repeats must be integers, got {dtypes.named(x.dtype)}"
        )
    if x.size and x.min() < 0:
        raise RuntimeError(f"repeats can not be negative, got {x.min()}")
    return np.repeat(np.arange(size), x)


# ----- Turning ------------------------------------------------------------------------------------


@op(x=lambda g, dims: _flip(g, dims), name="flip")
def _flip(x: Array, dims: tuple[int, ...]) -> Array:
    index = tuple(slice(None, None, -1) if axis in dims else slice(None) for axis in range(x.ndim))
    return x[(*index, ...)].copy("K")


def flip(input: Any, *dims: Any) -> Any:
    """Return the tensor with the order of the slices along `dims` reversed.

    Raises:
        IndexError: if a dimension is out of range.
        RuntimeError: if one is named twice.

    >>> import tinygrad_like as torch
    >>> torch.flip(torch.tensor([1.0, 2.0]), (0,))
    tensor([2., 1.])
    """
    if not dims:
        raise told(TypeError, 'flip() missing 1 required positional arguments: "dims"')
    axes = tuple(axis_of(dim, input.ndim) for dim in sizes_of(dims))
    for axis in axes:
        if axes.count(axis) > 1:
            raise told(RuntimeError, f"flip: dim {axis} appears multiple times in the list of dims")
    return _flip(input, axes)


def fliplr(input: Any) -> Any:
    """Return the tensor with the columns in reverse order.

    Raises:
        RuntimeError: if there are fewer than two dimensions.
    """
    if input.ndim < 2:
        raise told(RuntimeError, f"fliplr: Input must be >= 2-d, got {input.ndim}-d.")
    return _flip(input, (1,))


def flipud(input: Any) -> Any:
    """Return the tensor with the rows in reverse order.

    Raises:
        RuntimeError: if there is no dimension.
    """
    if input.ndim < 1:
        raise told(RuntimeError, "flipud: Input must be >= 1-d, got 0-d.")
    return _flip(input, (0,))


@op(
    x=lambda g, shifts, dims: _roll(g, tuple(-shift for shift in shifts), dims),
    name="roll",
)
def _roll(x: Array, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> Array:
    return np.roll(x, shifts[0] if dims is None else shifts, dims)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Return the tensor moved by `shifts` along `dims`, what leaves at the end entering in front.

    Raises:
        RuntimeError: if there are not as many shifts as dims.
        IndexError: if a dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.roll(torch.tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    require_tensors("roll", input=input)
    moves = tuple(shifts) if isinstance(shifts, tuple | list) else (shifts,)
    given = () if dims is None else tuple(dims) if isinstance(dims, tuple | list) else (dims,)
    if not moves:
        raise told(RuntimeError, "roll: `shifts` required, got none")
    if len(given) != len(moves) and (given or len(moves) != 1):
        raise told(
            RuntimeError,
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(given)}",
        )
    axes = tuple(axis_of(dim, input.ndim) for dim in given)
    return _roll(input, moves, axes if given and input.ndim else None)


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Return the tensor turned `k` times by 90 degrees from the first of two dims towards the second.

    Raises:
        RuntimeError: unless `dims` are two different dimensions.
    """
    require_tensors("rot90", input=input)
    if len(dims) != 2:
        raise told(RuntimeError, f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise told(
            RuntimeError, f"rot90 expects at least 2 dimensions, got shape {list(input.shape)}"
        )
    first, second = (axis_of(dim, input.ndim) for dim in dims)
    if first == second:
        raise told(
            RuntimeError,
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}",
        )
    k %= 4
    if k == 0:
        return REGISTRY["clone"].call(input)
    if k == 2:
        return _flip(input, (first, second))
    if k == 1:
        return transpose(_flip(input, (second,)), first, second)
    return _flip(transpose(input, first, second), (second,))


# ----- Grids and windows --------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return for vectors the coordinates of the grid they span, one tensor each, as views.

    ``indexing="xy"`` exchanges the first two dimensions of the grid.

    Raises:
        RuntimeError: if a tensor has more than one dimension, or dtypes differ.

    >>> import tinygrad_like as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="ij")[1]
    tensor([[3, 4],
            [3, 4]])
    """
    given = sizes_of(tensors)
    if indexing not in ("ij", "xy"):
        raise told(
            RuntimeError,
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}',
        )
    if not given:
        raise told(RuntimeError, "meshgrid expects a non-empty TensorList")
    for x in given:
        if x.ndim > 1:
            raise told(
                RuntimeError,
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got one of shape "
                f"{tuple(x.shape)}",
            )
        if x.dtype is not given[0].dtype:
            raise told(
                RuntimeError,
                f"meshgrid expects all tensors to have the same dtype, got {given[0].dtype} and {x.dtype}",
            )
    order = list(range(len(given)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    shape = tuple(int(prod(given[i].shape)) for i in order)
    grids = []
    for i, x in enumerate(given):
        column = tuple(shape[d] if order[d] == i else 1 for d in range(len(shape)))
        grids.append(broadcast_to(reshape(x, column), shape))
    return tuple(grids)


@op(
    x=lambda g, x_shape, dimension, size, step: fold_windows(g, x_shape, dimension, size, step),
    view=True,
)
def unfold(x: Array, dimension: int, size: int, step: int) -> Array:
    """Return a view of all windows of `size` slices, `step` apart, along a dimension, as last dimension.

    Raises:
        RuntimeError: if no window fits, or the step is not positive.
    """
    axis = axis_of(dimension, x.ndim)
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    length = x.shape[axis] if x.ndim else 1
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {axis} is {length} but size is {size}"
        )
    if x.ndim == 0:
        return x.reshape((1,))[:size]
    shape, strides = list(x.shape), list(x.strides)
    shape[axis] = (length - size) // step + 1
    strides[axis] *= step
    memory = owner(x)  # as_strided would hide it, and writes through the view with it
    offset = x.ctypes.data - memory.ctypes.data
    shape, strides = [*shape, size], [*strides, x.strides[axis]]
    if prod(shape) == 0:
        return np.empty(shape, x.dtype)
    if not memory.flags.forc:  # only axes in the order of memory make a buffer
        order = sorted(range(memory.ndim), key=lambda i: -memory.strides[i])
        memory = memory.transpose(order)
    out = np.ndarray(shape, x.dtype, memory, offset, strides)
    out.flags.writeable = x.flags.writeable and (step >= size or shape[axis] == 1)
    return out


@op(
    x=lambda g, dimension, size, step: unfold(g, dimension, size, step),
    label="UnfoldBackward",
)
def fold_windows(x: Array, shape: Any, dimension: int, size: int, step: int) -> Array:
    """Return zeros of `shape` with windows added where `unfold` found them: its adjoint."""
    out = np.zeros(shape, x.dtype)
    if not out.ndim:
        return out + np.add.reduce(x)
    axis = axis_of(dimension, out.ndim)
    before: tuple[Any, ...] = (slice(None),) * axis
    for i in range(size):
        stop = i + (x.shape[axis] - 1) * step + 1
        out[(*before, slice(i, stop, step), ...)] += x[..., i]
    return out


# ----- Padding ------------------------------------------------------------------------------------


def _borders(x: Array, pad: Sequence[int]) -> list[tuple[int, int]]:
    """Return ``(before, after)`` for each dimension from `pad`, which starts with the last one."""
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2)
    return pairs + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]


@op(
    x=lambda g, pad: constant_pad(g, tuple(-n for n in pad), 0.0),
    label="ConstantPadNd",
)
def constant_pad(x: Array, pad: tuple[int, ...], value: float) -> Array:
    """Return `x` with `value` around it; negative borders cut off."""
    shape, target, source = [], [], []
    for size, (before, after) in zip(x.shape, _borders(x, pad), strict=True):
        length = size + before + after
        if length < 0:
            raise RuntimeError(
                f"pad: borders {before} and {after} cut off more than the {size} elements there are"
            )
        shape.append(length)
        target.append(slice(max(before, 0), max(length - max(after, 0), 0)))
        source.append(slice(max(-before, 0), max(size - max(-after, 0), 0)))
    out = np.zeros(shape, x.dtype) if value == 0 else np.full(shape, value, x.dtype)
    out[tuple(target)] = x[tuple(source)]
    return out


def _sources(mode: str, size: int, before: int, after: int) -> Any:
    """Return for each place of a padded dimension the index its value comes from."""
    places = np.arange(-before, size + after)
    if mode == "replicate":
        return np.clip(places, 0, size - 1)
    if mode == "circular":  # around what is left if a border is negative
        low, high = max(-before, 0), size - max(-after, 0)
        return (places - low) % (high - low) + low
    return (size - 1) - np.abs((size - 1) - np.abs(places))


@op(x=lambda g, pad, mode, x_shape: fold_borders(g, pad, mode, x_shape), label="Pad")
def copying_pad(x: Array, pad: tuple[int, ...], mode: str) -> Array:
    """Return `x` with copies of its own elements around it, taken as `mode` says."""
    for axis, (before, after) in enumerate(_borders(x, pad)):
        if before or after:
            x = x.take(_sources(mode, x.shape[axis], before, after), axis)
    return x


@op(x=lambda g, pad, mode: copying_pad(g, pad, mode), label="PadBackward")
def fold_borders(x: Array, pad: tuple[int, ...], mode: str, shape: Any) -> Array:
    """Return `x` with its borders added to where `copying_pad` took them from: its adjoint."""
    for axis, (before, after) in enumerate(_borders(x, pad)):
        if not (before or after):
            continue
        size = shape[axis]
        first = (slice(None),) * axis
        out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
        sources = _sources(mode, size, before, after)
        low, high = max(before, 0), max(before, 0) + size - max(-before, 0) - max(-after, 0)
        inside = slice(max(-before, 0), max(-before, 0) + high - low)
        out[(*first, inside)] = x[(*first, slice(low, high))]
        for place in (*range(low), *range(high, x.shape[axis])):
            out[(*first, sources[place])] += x[(*first, place)]
        x = out
    return x


def _check_borders(input: Any, pad: Sequence[int], mode: str) -> None:
    count = len(pad) // 2
    if input.ndim not in (count + 1, count + 2) or not 1 <= count <= 3:
        raise told(
            NotImplementedError,
            f"Padding size {len(pad)} is not supported for {input.ndim}D input tensor: mode {mode!r} pads "
            "the last 1, 2 or 3 dimensions of an input that has one or two dimensions more",
        )
    if mode != "circular" and as_array(input).dtype.kind == "b":
        raise told(
            NotImplementedError, f"pad: mode {mode!r} is not implemented for bool; use .byte()"
        )
    if mode != "circular" and 0 in input.shape[input.ndim - count - 1 :]:
        raise told(
            RuntimeError,
            f"pad: mode {mode!r} expects no dimension but the batch to be 0, got {list(input.shape)}",
        )
    for axis in range(input.ndim - count, input.ndim):
        size = input.shape[axis]
        pair = tuple(pad[2 * (input.ndim - 1 - axis) :][:2])
        if mode == "reflect" and max(pair) >= size:
            raise told(
                RuntimeError,
                "Padding size should be less than the corresponding input dimension, but got: padding "
                f"{pair} at dimension {axis} of input {list(input.shape)}",
            )
        if mode == "circular" and max(pair) > size:
            raise told(
                RuntimeError,
                f"Padding value causes wrapping around more than once: padding {pair} at dimension "
                f"{axis} of input {list(input.shape)}",
            )
        if size + sum(pair) < 1:
            raise told(
                RuntimeError,
                f"pad: borders {pair} leave nothing of the {size} elements of dimension {axis}",
            )


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Return the tensor with borders: `pad` is (before, after) of the last dimension, then of the one before it, ...

    Mode "constant" fills them with `value` (negative borders cut off), "reflect" mirrors without the
    edge, "replicate" repeats the edge, "circular" starts again at the other side.

    Raises:
        RuntimeError: if the borders do not fit the tensor.
        NotImplementedError: for an unknown mode.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.pad(torch.tensor([[1.0, 2.0, 3.0]]), (2, 1), "reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    if not isinstance(input, Traced):
        require_tensors("pad", input=input)
    if not isinstance(pad, tuple | list):
        raise told(
            TypeError, f"pad(): argument 'pad' must be tuple of ints, not {type(pad).__name__}"
        )
    borders = tuple(int(n) for n in pad)
    if len(borders) % 2:
        raise told(RuntimeError, f"Padding length must be divisible by 2, got {list(borders)}")
    if len(borders) > 2 * input.ndim:
        raise told(
            RuntimeError,
            "Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(borders)} and input of dimension {input.ndim}",
        )
    if mode == "constant":
        return constant_pad(input, borders, 0.0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise told(NotImplementedError, f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise told(RuntimeError, f'Padding mode "{mode}" doesn\'t take in value argument')
    _check_borders(input, borders, mode)
    return copying_pad(input, borders, mode)


# ----- Methods ------------------------------------------------------------------------------------


class ArrangingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    def tile(self, *dims: Any) -> Any:
        """Return this tensor repeated: see `tile`."""
        return tile(self, sizes_of(dims))

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
        """Return this tensor turned: see `rot90`."""
        return rot90(self, k, dims)

    flip = flip
    fliplr = fliplr
    flipud = flipud
    repeat = _repeat
    repeat_interleave = repeat_interleave
    roll = roll
    unfold = unfold
