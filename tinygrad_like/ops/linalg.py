"""Matrix products and what is built of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.products import affine, matrix_product, product
from tinygrad_like.arrays.sums import ones_vector
from tinygrad_like.dtypes import F16, F32, F64
from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY, UFUNCS, op
from tinygrad_like.ops.arguments import require_tensors
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.reduction import sum_to
from tinygrad_like.ops.shaping import (
    permute,
    reshape,
    transpose,
    unsqueeze,
)

__all__ = [
    "bmm",
    "dot",
    "ger",
    "inner",
    "matmul",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "vdot",
]
FUNCTIONAL = ["bilinear", "linear"]


# ----- The product --------------------------------------------------------------------------------


def _refuse_product(x: Array, y: Array, name: str = "matmul") -> None:
    """Raise if ``x @ y`` is not defined."""
    if x.dtype is not y.dtype:
        raise told(
            RuntimeError,
            f"expected m1 and m2 to have the same dtype, but got: {dtypes.named(x.dtype).name} != "
            f"{dtypes.named(y.dtype).name}; convert one with .to(dtype)",
        )
    if x.dtype.kind == "b":
        raise told(
            NotImplementedError, f"\"{name}\" not implemented for 'Bool'; use .int() or .float()"
        )
    if not x.ndim or not y.ndim:
        raise told(
            RuntimeError,
            f"both arguments to {name} need to be at least 1D, but they are {x.ndim}D and {y.ndim}D",
        )
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != inner:
        hint = ""
        if y.ndim > 1 and y.shape[-1] == x.shape[-1]:
            hint = "; did you mean other.mT?"
        elif x.ndim > 1 and x.shape[-2] == inner:
            hint = "; did you mean input.mT?"
        raise told(RuntimeError, f"inner sizes {x.shape[-1]} and {inner} differ{hint}")
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise told(
            RuntimeError,
            f"the batch dimensions {tuple(x.shape[:-2])} and {tuple(y.shape[:-2])} do not broadcast",
        ) from None


def _left_rule(g: Array, y: Array, shape: tuple[int, ...]) -> Array:
    """Return what the gradient of ``x @ y`` means for `x` of `shape`."""
    if len(shape) == 1:
        if y.ndim == 1:
            return g * y
        # A vector times matrices: as one row for each of them.
        rows = matmul(unsqueeze(g, g.ndim - 1), transpose(y, -1, -2))
        return sum_to(reshape(rows, (*g.shape[:-1], shape[0])), shape)
    if y.ndim == 1:
        return sum_to(unsqueeze(g, g.ndim) * y, shape)
    out = matmul(g, transpose(y, -1, -2))
    return out if out.shape == shape else sum_to(out, shape)


def _right_rule(g: Array, x: Array, shape: tuple[int, ...]) -> Array:
    """Return what the gradient of ``x @ y`` means for `y` of `shape`."""
    if len(shape) == 1:
        if x.ndim == 1:
            return g * x
        if x.ndim == 2:
            return matmul(transpose(x, 0, 1), g)
        rows = reshape(x, (-1, x.shape[-1]))
        return matmul(transpose(rows, 0, 1), reshape(g, (-1,)))
    if x.ndim == 1:
        return sum_to(unsqueeze(x, 1) * unsqueeze(g, g.ndim - 1), shape)
    if len(shape) == 2 and x.ndim > 2:
        # One matrix for a whole batch: a single product sums over the batch on its way.
        rows = reshape(x, (-1, x.shape[-1]))
        return matmul(transpose(rows, 0, 1), reshape(g, (-1, g.shape[-1])))
    out = matmul(transpose(x, -1, -2), g)
    return out if out.shape == shape else sum_to(out, shape)


@op(
    x=lambda g, y, x_shape: _left_rule(g, y, x_shape),
    y=lambda g, x, y_shape: _right_rule(g, x, y_shape),
    label="Mm",
)
def matmul(x: Array, y: Array) -> Array:
    """Return the matrix product: of vectors a number, of matrices ``(..., M, K) (..., K, N)`` ``(..., M, N)``.

    Batch dimensions are broadcast; a vector is a row on the left and a column on the right.

    Raises:
        RuntimeError: if inner sizes or dtypes differ.

    >>> import tinygrad_like as torch
    >>> torch.matmul(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if x.dtype is not y.dtype or x.dtype.kind == "b":
        _refuse_product(x, y)
    try:
        if x.ndim == 2 and y.ndim == 2 and x.dtype is not F16:
            return matrix_product(x, y) if x.dtype is F32 or x.dtype is F64 else np.matmul(x, y)
        return product(x, y)
    except ValueError:
        _refuse_product(x, y)
        raise


UFUNCS[np.matmul] = matmul


# ----- By the number of dimensions ----------------------------------------------------------------


def needs_dimensions(name: str, **wanted: tuple[Any, int]) -> None:
    for argument, (x, ndim) in wanted.items():
        if not hasattr(x, "ndim"):
            raise told(
                TypeError, f"{name}(): argument '{argument}' must be Tensor, not {type(x).__name__}"
            )
        if x.ndim != ndim:
            raise told(
                RuntimeError,
                f"{name}: {argument} must be {ndim}D, got {x.ndim}D of shape {tuple(x.shape)}",
            )


def mm(input: Any, mat2: Any) -> Any:
    """Return the product of two matrices.

    Raises:
        RuntimeError: if one is not a matrix, or sizes or dtypes do not fit.
    """
    needs_dimensions("mm", input=(input, 2), mat2=(mat2, 2))
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Return the products of two batches of matrices ``(B, M, K) (B, K, N)``.

    Raises:
        RuntimeError: if one is no batch, or sizes or dtypes do not fit.
    """
    needs_dimensions("bmm", input=(input, 3), mat2=(mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise told(
            RuntimeError,
            "bmm: expected equal numbers of matrices, got batches of shapes "
            f"{tuple(input.shape)} and {tuple(mat2.shape)}",
        )
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """Return the product of a matrix and a vector.

    Raises:
        RuntimeError: if they are not that, or sizes or dtypes do not fit.
    """
    needs_dimensions("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec)


@op(x=lambda g, y: g * y, y=lambda g, x: g * x)
def dot(x: Array, y: Array) -> Array:
    """Return the sum of the products of two vectors' elements.

    Raises:
        RuntimeError: if they are not vectors of equal size and dtype.

    >>> import tinygrad_like as torch
    >>> torch.dot(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {dtypes.named(x.dtype).name} and "
            f"{dtypes.named(y.dtype).name}"
        )
    if x.size != y.size:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.size}] and src [{y.size}] to have the same "
            f"number of elements, but got {x.size} and {y.size} elements respectively"
        )
    if x.dtype.kind == "b":
        raise unsupported("dot", x.dtype)
    if x.dtype is F16:
        return np.dot(x.astype(F32), y.astype(F32)).astype(F16)
    return np.dot(x, y)


def vdot(input: Any, other: Any) -> Any:
    """Return what `dot` returns."""
    return dot(input, other)


def inner(input: Any, other: Any) -> Any:
    """Return sums of products along the last dimension of both: ``(..., K) (---, K)`` gives ``(..., ---)``.

    Raises:
        RuntimeError: if the last sizes differ.
    """
    require_tensors("inner", input=input, other=other)
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise told(
            RuntimeError,
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}",
        )
    return tensordot(input, other, ([input.ndim - 1], [other.ndim - 1]))


def outer(input: Any, vec2: Any) -> Any:
    """Return all products of an element of one vector and one of another.

    Raises:
        RuntimeError: if they are not vectors.

    >>> import tinygrad_like as torch
    >>> torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    needs_dimensions("outer", input=(input, 1), vec2=(vec2, 1))
    return unsqueeze(input, 1) * vec2


def ger(input: Any, vec2: Any) -> Any:
    """Return what `outer` returns."""
    return outer(input, vec2)


# ----- Layers -------------------------------------------------------------------------------------


def _as_rows(x: Array) -> Array:
    """Return `x` as a matrix of its rows."""
    if x.ndim == 2:
        return x
    shape = (prod(x.shape[:-1]), x.shape[-1])
    return x.reshape(shape) if type(x) is np.ndarray else reshape(x, shape)


def _plain(g: Array) -> bool:
    """Return True for the gradient met in nearly every step: rows that nothing records."""
    return type(g) is np.ndarray and g.ndim > 1 and (g.dtype is F32 or g.dtype is F64)


def _linear_input_rule(g: Array, weight: Array, shape: tuple[int, ...]) -> Array:
    if _plain(g) and weight.ndim == 2:
        return matrix_product(_as_rows(g), weight).reshape(shape)
    if g.ndim == 2 and weight.ndim == 2:
        return matmul(g, weight)
    if weight.ndim == 1:
        return unsqueeze(g, g.ndim) * weight
    return reshape(matmul(_as_rows(unsqueeze(g, 0)), weight), shape)


@op(x=lambda g, y: matmul(y, transpose(g, 0, 1)), y=lambda g, x: matmul(x, g))
def transposed_product(x: Array, y: Array) -> Array:
    """Return ``x.T @ y`` for matrices with equally many rows: the gradient of a weight."""
    return matrix_product(x.T, y) if x.dtype is F32 or x.dtype is F64 else product(x.T, y)


def _linear_weight_rule(g: Array, x: Array, weight_shape: tuple[int, ...]) -> Array:
    if _plain(g) and len(weight_shape) == 2:
        return matrix_product(_as_rows(g).T, _as_rows(x))
    if g.ndim == 2 and x.ndim == 2:
        return transposed_product(g, x)
    rows = _as_rows(unsqueeze(x, 0)) if x.ndim == 1 else _as_rows(x)
    if len(weight_shape) == 1:
        return matmul(transpose(rows, 0, 1), reshape(g, (-1,)))
    return transposed_product(reshape(g, (rows.shape[0], weight_shape[0])), rows)


def _linear_bias_rule(g: Array, shape: tuple[int, ...]) -> Array:
    if _plain(g) and len(shape) == 1 and shape[0] == g.shape[-1]:
        rows = _as_rows(g)
        return ones_vector(len(rows), g.dtype).dot(rows)
    return sum_to(g, shape)


@op(
    x=lambda g, weight, x_shape: _linear_input_rule(g, weight, x_shape),
    weight=lambda g, x, weight_shape: _linear_weight_rule(g, x, weight_shape),
    bias=lambda g, bias_shape: _linear_bias_rule(g, bias_shape),
    label="Addmm",
)
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return ``input @ weight.T + bias`` for ``(..., in)``, ``(out, in)`` and ``(out,)``.

    Raises:
        RuntimeError: if sizes or dtypes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.ones(1))
    tensor([[4.]])
    """
    if (
        x.dtype is not weight.dtype
        or (bias is not None and bias.dtype is not x.dtype)
        or not x.ndim
        or not 1 <= weight.ndim <= 2
        or x.shape[-1] != weight.shape[-1]
        or (bias is not None and weight.ndim == 1 and (bias.ndim or x.ndim == 2))
    ):
        _refuse_linear(x, weight, bias)
    if weight.ndim == 2 and x.ndim > 1 and (x.dtype is F32 or x.dtype is F64):
        rows = _as_rows(x)
        if bias is not None and bias.shape == weight.shape[:1]:
            out = affine(rows, weight, bias)
            return out if x.ndim == 2 else out.reshape(*x.shape[:-1], len(weight))
        out = matrix_product(rows, weight.T)
        if x.ndim > 2:
            out = out.reshape(*x.shape[:-1], len(weight))
    else:
        out = np.asarray(product(x, weight.T))
    if bias is not None:
        if out.ndim == 0:
            return out + bias
        try:
            np.add(out, bias, out)
        except ValueError:
            raise RuntimeError(
                f"bias has shape {tuple(bias.shape)}, expected ({weight.shape[0]},) or what broadcasts to "
                f"the result's shape {tuple(out.shape)}"
            ) from None
    return out


def _refuse_linear(x: Array, weight: Array, bias: Array | None) -> None:
    if not x.ndim or not weight.ndim:
        raise told(
            RuntimeError,
            f"both arguments to linear need to be at least 1D, but they are {x.ndim}D and {weight.ndim}D",
        )
    if weight.ndim > 2:
        raise told(
            RuntimeError, f"weight must be a matrix (out, in) or a vector (in,), got {weight.ndim}D"
        )
    kinds = [a.dtype for a in (x, weight, bias) if a is not None]
    if any(d is not kinds[0] for d in kinds):
        names = ", ".join(dtypes.named(d).name for d in kinds)
        raise told(
            RuntimeError,
            f"expected input, weight and bias to have the same dtype, but got: {names}; convert with "
            ".to(dtype)",
        )
    if x.shape[-1] != weight.shape[-1]:
        hint = ""
        if weight.ndim == 2 and weight.shape[0] == x.shape[-1]:
            hint = "; linear takes the weight as (out, in): did you mean weight.mT?"
        raise told(
            RuntimeError,
            f"the last size of input is {x.shape[-1]} and that of weight (out, in) is {weight.shape[-1]}, "
            f"expected equal ones{hint}",
        )
    raise told(RuntimeError, "a bias needs a weight with two dimensions (out, in)")


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``input1 weight[o] input2 + bias[o]`` for ``(..., in1)``, ``(..., in2)`` and ``(out, in1, in2)``.

    Raises:
        RuntimeError: if sizes do not fit.
    """
    require_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    if input1.ndim != input2.ndim or tuple(input1.shape[:-1]) != tuple(input2.shape[:-1]):
        raise told(
            RuntimeError,
            f"bilinear(): input dimensions do not match: got {tuple(input1.shape)} and "
            f"{tuple(input2.shape)}, expected equal sizes but for the last",
        )
    needs_dimensions("bilinear", weight=(weight, 3))
    for position, x in ((1, input1), (2, input2)):
        if x.shape[-1] != weight.shape[position]:
            raise told(
                RuntimeError,
                f"bilinear(): input{position} size does not match weight size: got {x.shape[-1]} but "
                f"expected {weight.shape[position]}",
            )
    features, first, second = weight.shape
    lead = tuple(input1.shape[:-1])
    x1, x2 = reshape(input1, (-1, first)), reshape(input2, (-1, second))
    # (N, in1) (in1, out * in2), then the inner product with input2 for each output.
    wide = matmul(x1, reshape(permute(weight, (1, 0, 2)), (first, features * second)))
    out = matmul(reshape(wide, (-1, features, second)), unsqueeze(x2, 2))
    out = reshape(out, (*lead, features))
    return out if bias is None else out + bias


# ----- Contractions of any dimensions -------------------------------------------------------------


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Return sums of products over dimensions of both: the last and first `dims`, or those two lists name.

    Raises:
        RuntimeError: if their sizes differ.

    >>> import tinygrad_like as torch
    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), 1).shape
    torch.Size([2, 4])
    """
    if isinstance(dims, Traced):
        dims = dims.array.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise told(RuntimeError, f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise told(
                RuntimeError, f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}"
            )
        first, second = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise told(
            RuntimeError,
            f"tensordot: both lists of dims should have same length, got {first} and {second}",
        )
    first = [d % (a.ndim or 1) for d in first]
    second = [d % (b.ndim or 1) for d in second]
    for d, e in zip(first, second, strict=True):
        if a.shape[d] != b.shape[e]:
            raise told(
                RuntimeError,
                f"contracted dimensions need to match, but first has size {a.shape[d]} in dim {d} and "
                f"second has size {b.shape[e]} in dim {e}",
            )
    rest_a = [d for d in range(a.ndim) if d not in first]
    rest_b = [d for d in range(b.ndim) if d not in second]
    shape = (*(a.shape[d] for d in rest_a), *(b.shape[d] for d in rest_b))
    count = int(np.prod([a.shape[d] for d in first], dtype=int))
    rows = int(np.prod([a.shape[d] for d in rest_a], dtype=int))
    columns = int(np.prod([b.shape[d] for d in rest_b], dtype=int))
    # What is summed altogether is a vector, whose products take half the time of a matrix's.
    left = reshape(permute(a, (*rest_a, *first)), (rows, count) if rest_a else (count,))
    right = reshape(permute(b, (*second, *rest_b)), (count, columns) if rest_b else (count,))
    return reshape(matmul(left, right), shape)


# ----- Methods ------------------------------------------------------------------------------------


class LinalgMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    __matmul__ = REGISTRY["matmul"].operator()

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul_operator(other, self)

    bmm = bmm
    dot = dot
    ger = ger
    inner = inner
    matmul = matmul
    mm = mm
    mv = mv
    outer = outer
    vdot = vdot


_matmul_operator = REGISTRY["matmul"].operator()
