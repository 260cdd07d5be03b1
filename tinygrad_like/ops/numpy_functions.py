"""What NumPy's functions do when they are given tensors: NumPy's meaning, recorded like any op."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.graph import as_array, as_tensor
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, implements
from tinygrad_like.ops import (
    arranging,
    diagonals,
    einsum,
    expanding,
    joining,
    linalg,
    products,
    shaping,
    sorting,
)

# ----- Shapes -------------------------------------------------------------------------------------


@implements(np.reshape)
def _reshape(a: Any, shape: Any, order: str = "C") -> Any:
    if order != "C":
        raise told(TypeError, f"np.reshape: order={order!r} is not supported for tensors; use 'C'")
    return shaping.reshape(a, shape)


@implements(np.ravel)
def _ravel(a: Any) -> Any:
    return shaping.reshape(a, -1)


@implements(np.transpose, np.permute_dims)
def _transpose(a: Any, axes: Any = None) -> Any:
    return shaping.permute(a, tuple(range(a.ndim - 1, -1, -1)) if axes is None else tuple(axes))


@implements(np.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return shaping.transpose(x, -1, -2)


@implements(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return shaping.transpose(a, axis1, axis2)


@implements(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return shaping.movedim(a, source, destination)


@implements(np.squeeze)
def _squeeze(a: Any, axis: Any = None) -> Any:
    for d in () if axis is None else axis if isinstance(axis, tuple) else (axis,):
        if a.shape[d] != 1:
            raise told(
                ValueError,
                f"np.squeeze: axis {d} has size {a.shape[d]}, and only axes of size 1 can go",
            )
    return shaping.squeeze(a, axis)


@implements(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    ndim = a.ndim + (len(axis) if isinstance(axis, tuple | list) else 1)
    for d in sorted(d % ndim for d in (axis if isinstance(axis, tuple | list) else (axis,))):
        a = shaping.unsqueeze(a, d)
    return a


@implements(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any) -> Any:
    return expanding.broadcast_to(array, (shape,) if isinstance(shape, int) else tuple(shape))


@implements(np.concatenate)
def _concatenate(arrays: Any, axis: int | None = 0) -> Any:
    tensors = [as_tensor(a) for a in arrays]
    if axis is None:
        return joining.concatenate([shaping.reshape(t, -1) for t in tensors], 0)
    return joining.concatenate(tensors, axis)


@implements(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    return joining.stack([as_tensor(a) for a in arrays], axis)


@implements(np.split, np.array_split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return list(joining.tensor_split(ary, indices_or_sections, axis))


@implements(np.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return diagonals.tril(m, k)


@implements(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return diagonals.triu(m, k)


@implements(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonals.diagonal(a, offset, axis1, axis2)


@implements(np.flip)
def _flip(m: Any, axis: Any = None) -> Any:
    dims = tuple(range(m.ndim)) if axis is None else axis
    return arranging.flip(m, dims if isinstance(dims, tuple | list) else (dims,))


@implements(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return arranging.roll(a, shift, axis)


@implements(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    return arranging.tile(A, (reps,) if isinstance(reps, int) else tuple(reps))


@implements(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    counts = repeats if isinstance(repeats, int) else as_tensor(np.asarray(repeats))
    return arranging.repeat_interleave(a, counts, axis)


# ----- Questions ----------------------------------------------------------------------------------


@implements(np.shape)
def _shape(a: Any) -> Any:
    return a.array.shape


@implements(np.ndim)
def _ndim(a: Any) -> int:
    return a.array.ndim  # type: ignore[no-any-return]


@implements(np.size)
def _size(a: Any, axis: int | None = None) -> int:
    return np.size(a.array, axis)


@implements(np.shares_memory, np.may_share_memory)
def _shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    return np.shares_memory(as_array(a), as_array(b), max_work)


@implements(np.array_equal)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    return np.array_equal(as_array(a1), as_array(a2), equal_nan)


@implements(np.allclose)
def _allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    return np.allclose(as_array(a), as_array(b), rtol, atol, equal_nan)


# ----- Reductions, with NumPy's defaults ----------------------------------------------------------


@implements(np.sum)
def _sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["sum"].call(a, axis, keepdims)


@implements(np.mean)
def _mean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["mean"].call(a, axis, keepdims)


@implements(np.prod)
def _prod(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["prod"].call(a, axis, keepdims)


@implements(np.var)
def _var(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return REGISTRY["var"].call(a, axis, ddof, keepdims)


@implements(np.std)
def _std(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return REGISTRY["std"].call(a, axis, ddof, keepdims)


@implements(np.max, np.amax)
def _max(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["amax"].call(a, axis, keepdims)


@implements(np.min, np.amin)
def _min(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["amin"].call(a, axis, keepdims)


@implements(np.argmax)
def _argmax(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["argmax"].call(a, axis, keepdims)


@implements(np.argmin)
def _argmin(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["argmin"].call(a, axis, keepdims)


@implements(np.any)
def _any(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["any"].call(a, axis, keepdims)


@implements(np.all)
def _all(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return REGISTRY["all"].call(a, axis, keepdims)


@implements(np.cumsum)
def _cumsum(a: Any, axis: int | None = None) -> Any:
    return _flat_if_none(REGISTRY["cumsum"].call, a, axis)


@implements(np.cumprod)
def _cumprod(a: Any, axis: int | None = None) -> Any:
    return _flat_if_none(REGISTRY["cumprod"].call, a, axis)


def _flat_if_none(function: Any, a: Any, axis: int | None) -> Any:
    return function(shaping.reshape(a, (-1,)), 0) if axis is None else function(a, axis)


@implements(np.sort)
def _sort(a: Any, axis: int | None = -1) -> Any:
    return _flat_if_none(lambda x, dim: sorting.sort(x, dim)[0], a, axis)


@implements(np.argsort)
def _argsort(a: Any, axis: int | None = -1) -> Any:
    return _flat_if_none(lambda x, dim: sorting.argsort(x, dim), a, axis)


# ----- Products -----------------------------------------------------------------------------------


@implements(np.dot)
def _dot(a: Any, b: Any) -> Any:
    x, y = as_tensor(a), as_tensor(b)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    if x.ndim <= 2 and y.ndim <= 2:
        return linalg.matmul(x, y)
    return linalg.tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)]))


@implements(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if not isinstance(axes, int):
        axes = [list(part) if isinstance(part, tuple | list) else [part] for part in axes]
    return linalg.tensordot(as_tensor(a), as_tensor(b), axes)


@implements(np.einsum)
def _einsum(subscripts: str, *operands: Any) -> Any:
    return einsum.einsum(subscripts, *(as_tensor(x) for x in operands))


@implements(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return linalg.outer(shaping.reshape(as_tensor(a), (-1,)), shaping.reshape(as_tensor(b), (-1,)))


@implements(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return linalg.inner(as_tensor(a), as_tensor(b))


@implements(np.trace)
def _trace(a: Any) -> Any:
    return products.trace(a)


@implements(np.kron)
def _kron(a: Any, b: Any) -> Any:
    return products.kron(as_tensor(a), as_tensor(b))
