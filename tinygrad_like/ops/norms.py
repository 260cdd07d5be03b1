"""Lengths of vectors in one sense or another, and the logarithm of a sum of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.sums import total
from tinygrad_like.dtypes import F16, F32
from tinygrad_like.graph import Array, Traced
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.reduction import axes_of, expand_reduced, keep_reduced, tie_share
from tinygrad_like.ops.unary import exp, sign

__all__ = ["dist", "logsumexp", "norm"]


# ----- Norms --------------------------------------------------------------------------------------


def _norm_rule(g: Array, x: Array, out: Array, p: float, dim: Any, keepdim: bool) -> Array:
    """Return the gradient of a norm, 0 where it has none (PyTorch, FunctionsManual.cpp, norm_backward)."""
    if p == 0:
        return np.zeros_like(x)
    shape = x.shape
    if p == 1:
        return expand_reduced(g, shape, dim, keepdim) * sign(x)
    if p == 2:
        return x * expand_reduced(g * (out != 0) / (out + (out == 0)), shape, dim, keepdim)
    size = np.abs(x)
    if math.isinf(p):
        share = tie_share(size, keep_reduced(out, shape, dim, keepdim), dim)
        return expand_reduced(g, shape, dim, keepdim) * sign(x) * share
    # |x|^(p-1) sign(x) g out^(1-p), with the factors that would be 0^negative left out.
    nonzero = size != 0
    power = (size + (size == 0)) ** (p - 1) * nonzero
    scale = g * (out + (out == 0)) ** (1 - p) * (out != 0)
    return sign(x) * power * expand_reduced(scale, shape, dim, keepdim)


@op(x=lambda g, x, out, p, dim, keepdim: _norm_rule(g, x, out, p, dim, keepdim), name="norm")
def _norm(x: Array, p: float, dim: Any, keepdim: bool) -> Array:
    if x.dtype is F16:
        return np.asarray(_norm_of(x.astype(F32), p, dim, keepdim)).astype(F16)
    return _norm_of(x, p, dim, keepdim)


def _norm_of(x: Array, p: float, dim: Any, keepdim: bool) -> Array:
    if x.dtype.kind != "f":
        raise told(
            RuntimeError,
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{dtypes.named(x.dtype)}; use .float()",
        )
    axes = tuple(range(x.ndim)) if dim is None else axes_of(dim, x.ndim)
    if p == 2:
        if len(axes) == x.ndim and not keepdim and x.flags.c_contiguous:
            flat = x.reshape(-1)
            return np.sqrt(np.dot(flat, flat))
        return np.sqrt(total(x * x, axes, keepdim))
    if p == 0:
        return np.asarray(total(x != 0, axes, keepdim)).astype(x.dtype)
    size = np.abs(x)
    if p == 1:
        return total(size, axes, keepdim)
    if (math.isinf(p) or p < 0) and math.prod(x.shape[axis] for axis in axes) == 0:
        raise told(
            RuntimeError,
            f"linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation "
            "does not have an identity",
        )
    if math.isinf(p):
        reduce: Any = np.maximum.reduce if p > 0 else np.minimum.reduce
        return reduce(size, axes, keepdims=keepdim)
    return total(size**p, axes, keepdim) ** (1 / p)


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """Return the p-norm over dimensions `dim`, all if None, of the elements seen as one vector.

    `p` may be any number, infinities included; "fro" means 2, and "nuc" the sum of a matrix's singular
    values. The gradient at 0 is 0.

    Raises:
        RuntimeError: if the elements are not floating-point, or `p` is a name it does not know.

    >>> import tinygrad_like as torch
    >>> torch.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if dtype is not None:
        input = convert(input, dtypes.of(dtype))
    if p is None or p == "fro":
        p = 2
    if p == "nuc":
        from tinygrad_like.linalg import matrix_norm  # imported when it is first wanted

        dims = tuple(range(input.ndim)) if dim is None and input.ndim > 2 else dim
        return matrix_norm(
            input, "nuc", (-2, -1) if dims is None else axes_of(dims, input.ndim), keepdim
        )
    if isinstance(p, str):
        raise told(RuntimeError, f"norm: p is {p!r}, expected a number, 'fro' or 'nuc'")
    return _norm(input, float(p), dim, keepdim)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """Return the p-norm of ``input - other``."""
    for operand in (input, other):
        if not isinstance(operand, Traced):
            raise told(TypeError, f"dist(): expected two Tensors, got a {type(operand).__name__}")
    return _norm(input - other, float(p), None, False)


def _logsumexp_rule(g: Any, x: Any, out: Any, dim: Any, keepdim: bool) -> Any:
    share = exp(x - keep_reduced(out, x.shape, dim, keepdim))
    if isinstance(share, np.ndarray) and share.ndim and not isinstance(g, Traced):
        share *= keep_reduced(g, x.shape, dim, keepdim)
        return share
    return expand_reduced(g, x.shape, dim, keepdim) * share


@op(x=_logsumexp_rule, dtype="float")
def logsumexp(x: Array, dim: Any, keepdim: bool = False) -> Array:
    """Return ``log(sum(exp(input)))`` over dimensions `dim`, without overflow.

    >>> import tinygrad_like as torch
    >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    axes = axes_of(dim, x.ndim)
    if math.prod(x.shape[axis] for axis in axes) == 0:
        kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
        return np.full(
            kept if keepdim else [x.shape[i] for i in range(x.ndim) if i not in axes],
            -np.inf,
            x.dtype,
        )
    wide = x.astype(F32) if x.dtype is F16 else x
    top = np.maximum.reduce(wide, axes, keepdims=True)
    # An infinite maximum must not be subtracted: inf - inf is nan.
    top = np.where(np.isinf(top), top.dtype.type(0), top)
    shifted = np.asarray(wide - top)
    out = np.asarray(np.log(total(exp(shifted), axes, True)))
    out += top
    out = out if keepdim else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])
    return out.astype(x.dtype, copy=False)


# ----- Methods ------------------------------------------------------------------------------------


class NormMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    dist = dist
    logsumexp = logsumexp
    norm = norm
