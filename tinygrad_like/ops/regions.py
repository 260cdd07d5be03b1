"""Writing to a part of a copy, cutting a tensor up along its first dimensions, and combining tensors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.arranging import meshgrid
from tinygrad_like.ops.diagonals import diagonal
from tinygrad_like.ops.joining import cat, region, select, stack, tensor_split, vstack
from tinygrad_like.ops.scattering import index_select
from tinygrad_like.ops.shaping import axis_of, reshape, sizes_of

__all__ = [
    "block_diag",
    "cartesian_prod",
    "combinations",
    "diagonal_scatter",
    "dsplit",
    "fill",
    "hsplit",
    "row_stack",
    "select_scatter",
    "slice_scatter",
    "vsplit",
]

row_stack = vstack


# ----- A copy with another part -------------------------------------------------------------------


def _replaced(name: str, input: Any, src: Any, view: Any, *arguments: Any) -> Any:
    """Return a copy of `input` with `src` written to the part that `view` shows."""
    require_tensor(name, "input", input)
    shape = require_tensor(name, "src", src).array.shape
    out = REGISTRY["clone"].call(input)
    part = view(out, *arguments)
    if part.array.shape != shape:
        raise told(
            RuntimeError,
            f"{name}: expected src to have a size equal to the slice of self. src size = {list(shape)}, "
            f"slice size = {list(part.array.shape)}",
        )
    part.copy_(src)
    return out


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """Return a copy of the tensor with `src` as its slice number `index` along `dim`.

    Raises:
        RuntimeError: if `src` has another shape than the slice.
        IndexError: if the dimension or the index is out of range.

    >>> import tinygrad_like as torch
    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    return _replaced("select_scatter", input, src, select, dim, index)


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """Return a copy of the tensor with `src` as its slices ``start:end:step`` along `dim`.

    Raises:
        RuntimeError: if `src` has another shape than the slices, or `step` is not positive.
        IndexError: if the dimension is out of range.

    >>> import tinygrad_like as torch
    >>> torch.slice_scatter(torch.zeros(4), torch.ones(2), start=1, end=3)
    tensor([0., 1., 1., 0.])
    """
    if not require_tensor("slice_scatter", "input", input).array.ndim:
        raise told(IndexError, "slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise told(RuntimeError, f"slice_scatter: slice step must be positive, got {step}")
    axis = axis_of(dim, input.array.ndim)
    index = (slice(None),) * axis + (slice(start, end, step), ...)
    return _replaced("slice_scatter", input, src, region, index)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Return a copy of the tensor with `src` as the diagonal of dimensions `dim1` and `dim2`.

    Raises:
        RuntimeError: if `src` has another shape than the diagonal.

    >>> import tinygrad_like as torch
    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _replaced("diagonal_scatter", input, src, diagonal, offset, dim1, dim2)


def fill(input: Any, value: Any) -> Any:
    """Return a tensor of the same shape and dtype, filled with a number.

    Raises:
        RuntimeError: if the value is a tensor with dimensions.

    >>> import tinygrad_like as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    return REGISTRY["clone"].call(require_tensor("fill", "input", input)).fill_(value)


# ----- Cutting up ---------------------------------------------------------------------------------


def _splits(name: str, least: int, dim: int) -> Any:
    """Return the function that cuts a tensor of at least so many dimensions up along one."""

    def function(
        input: Any, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
    ) -> tuple[Any, ...]:
        ndim = require_tensor(name, "input", input).array.ndim
        if ndim < least:
            raise told(
                RuntimeError,
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with "
                f"{ndim} dimensions!",
            )
        cuts = next((c for c in (indices_or_sections, indices, sections) if c is not None), None)
        if not isinstance(cuts, int | tuple | list | Traced):
            raise told(
                TypeError,
                f"{name}(): expected a number of sections or a list of indices, got {cuts!r}",
            )
        axis = 0 if ndim == 1 else dim
        size = input.array.shape[axis]
        if isinstance(cuts, int) and (cuts <= 0 or size % cuts):
            raise told(
                RuntimeError,
                f"torch.{name} attempted to split along dimension {axis}, but the size of the dimension "
                f"{size} is not divisible by the split_size {cuts}!",
            )
        return tensor_split(input, cuts, axis)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Return equal parts along dimension {dim}, or the parts between indices, as views.\n\n"
        f"    Raises:\n        RuntimeError: if there are fewer than {least} dimensions, or the parts "
        "are not equal.\n    "
    )
    return function


hsplit = _splits("hsplit", 1, 1)
vsplit = _splits("vsplit", 2, 0)
dsplit = _splits("dsplit", 3, 2)


# ----- Combining ----------------------------------------------------------------------------------


def block_diag(*tensors: Any) -> Any:
    """Return a matrix with the given matrices, vectors (as rows) and numbers along its diagonal.

    Raises:
        RuntimeError: if one has more than two dimensions.

    >>> import tinygrad_like as torch
    >>> torch.block_diag(torch.ones(1, 2), torch.tensor([[3.0]]))
    tensor([[1., 1., 0.],
            [0., 0., 3.]])
    """
    if not tensors:
        return result_type.make(np.zeros((1, 0), np.float32))
    blocks = []
    for number, tensor in enumerate(tensors):
        shape = require_tensor("block_diag", f"tensors[{number}]", tensor).array.shape
        if len(shape) > 2:
            raise told(
                RuntimeError,
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {number} has {len(shape)} dimensions",
            )
        blocks.append(reshape(tensor, (1,) * (2 - len(shape)) + shape))
    width = sum(block.array.shape[1] for block in blocks)
    rows, start = [], 0
    for block in blocks:
        height, count = block.array.shape
        columns = (slice(None), slice(start, start + count))
        rows.append(REGISTRY["place"].call(block, columns, (height, width)))
        start += count
    return cat(rows, 0)


def _require_vector(name: str, tensor: Any) -> None:
    if require_tensor(name, "tensors", tensor).array.ndim != 1:
        raise told(
            RuntimeError, f"{name}: Expect a 1D vector, but got shape {list(tensor.array.shape)}"
        )


def cartesian_prod(*tensors: Any) -> Any:
    """Return all combinations ``(M, N)`` of one element of each of N vectors; one comes back as it is.

    Raises:
        RuntimeError: if there is none, one is no vector, or the dtypes differ.

    >>> import tinygrad_like as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3]))
    tensor([[1, 3],
            [2, 3]])
    """
    for tensor in tensors:
        _require_vector("cartesian_prod", tensor)
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([reshape(grid, (-1,)) for grid in grids], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Return all combinations ``(M, r)`` of `r` elements of a vector ``(N,)``, in its order.

    Raises:
        RuntimeError: if it is no vector or `r` is negative.

    >>> import tinygrad_like as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    _require_vector("combinations", input)
    if r < 0:
        raise told(RuntimeError, f"combinations: Expect a non-negative number, but got {r}")
    if not r:
        return result_type.make(np.zeros(0, input.array.dtype))
    ways: Any = (
        itertools.combinations_with_replacement if with_replacement else itertools.combinations
    )
    places = np.array(list(ways(range(input.array.size), r)), np.int64).reshape(-1, r)
    return reshape(index_select(input, 0, result_type.make(places.reshape(-1))), places.shape)


# ----- Methods ------------------------------------------------------------------------------------


def _sum_to_size(self: Any, *size: Any) -> Any:
    """Return the tensor summed along dimensions until it has a size it could be expanded from.

    Raises:
        RuntimeError: if the tensor's shape can't be reached by expanding the size.

    >>> import tinygrad_like as torch
    >>> torch.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    if not size:
        raise told(TypeError, "sum_to_size() missing 1 required positional argument: 'size'")
    wanted = tuple(int(n) for n in sizes_of(size))
    shape = self.array.shape
    tail = shape[len(shape) - len(wanted) :] if len(wanted) <= len(shape) else None
    if tail is None or any(n not in (1, m) for n, m in zip(wanted, tail, strict=True)):
        raise told(
            RuntimeError,
            f"sum_to_size: size {list(wanted)} is not expandable to size {list(shape)}",
        )
    return self if wanted == shape else REGISTRY["sum_to"].call(self, wanted)


class RegionMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    diagonal_scatter = diagonal_scatter
    dsplit = dsplit
    hsplit = hsplit
    select_scatter = select_scatter
    slice_scatter = slice_scatter
    sum_to_size = _sum_to_size
    vsplit = vsplit
