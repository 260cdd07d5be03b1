"""Ops that repeat a tensor along dimensions of size 1 without copying it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.graph import Array
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, op
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.shaping import sizes_of
from tinygrad_like.size import Size

__all__ = ["broadcast_shapes", "broadcast_tensors", "broadcast_to"]


@op(x=lambda g, x_shape: REGISTRY["sum_to"].call(g, x_shape), view=True, label="Expand")
def broadcast_to(x: Array, shape: Any) -> Array:
    """Return a view in which dimensions of size 1, and missing ones, are repeated to give `shape`.

    Raises:
        RuntimeError: if another size differs.

    >>> import tinygrad_like as torch
    >>> torch.broadcast_to(torch.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    if x.shape == tuple(shape):
        return x[...]
    extra = len(shape) - x.ndim
    if extra > 0 and tuple(shape) == (1,) * extra + x.shape:
        return x[(None,) * extra]  # nothing is repeated: it can be written to
    if x.size == 1 and min(shape, default=1) > 0:  # a fraction of what np.broadcast_to takes
        out = np.ndarray(shape, x.dtype, x.reshape(()), 0, (0,) * len(shape))
        out.flags.writeable = False
        return out
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise _refuse_expand(x.shape, shape) from None


def _refuse_expand(shape: tuple[int, ...], wanted: Sequence[int]) -> RuntimeError:
    if len(wanted) < len(shape):
        return told(
            RuntimeError,
            f"expand: the number of sizes provided ({len(wanted)}) must be greater or equal to the number "
            f"of dimensions in the tensor ({len(shape)})",
        )
    offset = len(wanted) - len(shape)
    for dim in range(len(wanted) - 1, -1, -1):
        existing = shape[dim - offset] if dim >= offset else 1
        if existing not in (1, wanted[dim]):
            return told(
                RuntimeError,
                f"The expanded size of the tensor ({wanted[dim]}) must match the existing size "
                f"({existing}) at non-singleton dimension {dim}.  Target sizes: {list(wanted)}.  "
                f"Tensor sizes: {list(shape)}",
            )
    return told(RuntimeError, f"expand: sizes must not be negative, got {list(wanted)}")


def expand(input: Any, *size: Any, implicit: bool = False) -> Any:
    """Return a view in which dimensions of size 1, and missing ones, are repeated; -1 keeps a size.

    Raises:
        RuntimeError: if another size differs.

    >>> import tinygrad_like as torch
    >>> torch.tensor([[1.0], [2.0]]).expand(-1, 3)
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    del implicit
    if not size:
        raise told(TypeError, 'expand() missing 1 required positional argument: "size"')
    wanted = list(sizes_of(size))
    offset = len(wanted) - input.ndim
    for dim, size_ in enumerate(wanted):
        if size_ == -1:
            if dim < offset:
                raise told(
                    RuntimeError,
                    "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing "
                    f"dimension {dim}",
                )
            if offset >= 0:
                wanted[dim] = input.shape[dim - offset]
    return broadcast_to(input, tuple(wanted))


def broadcast_shapes(*shapes: Any) -> Size:
    """Return the shape that tensors of these shapes are broadcast to.

    Raises:
        RuntimeError: if they do not broadcast.

    >>> import tinygrad_like as torch
    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        listed = ", ".join(str(list(s) if isinstance(s, tuple | list) else s) for s in shapes)
        raise told(
            RuntimeError,
            f"broadcast_shapes: the shapes {listed} do not broadcast: sizes must be equal or 1, counted "
            "from the right",
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Return views of the tensors broadcast against each other."""
    given = sizes_of(tensors)
    shape = tuple(broadcast_shapes(*(tuple(x.shape) for x in given)))
    return tuple(broadcast_to(x, shape) for x in given)


class ExpandingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    broadcast_to = expand
    expand = expand

    def expand_as(self, other: Any) -> Any:
        """Return a view expanded to the shape of another tensor."""
        return expand(self, tuple(require_tensor("expand_as", "other", other).shape))
