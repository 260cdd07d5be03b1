"""``out=``: tensors that a function fills with its results and returns.

The functions themselves know nothing of it: `keywords` gives the public ones the argument, from the
table here, and `fill` does what it means.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_like import dtypes, return_types
from tinygrad_like.graph import Traced
from tinygrad_like.keywords import PLAIN
from tinygrad_like.lines import internal, told
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.stamps import owner, stamp
from tinygrad_like.views import refuse_inference, refuse_overlap, title

# ----- Who takes it -------------------------------------------------------------------------------

_CASTS = """
acos acosh add addcdiv addcmul addr arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh
atan atan2 atanh bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor cat
cholesky cholesky_inverse cholesky_solve column_stack concat concatenate copysign cos cosh deg2rad
diff digamma div divide dstack eq erf erfc erfinv exp exp2 expm1 floor_divide fmax fmin fmod gcd ge
geqrf ger greater greater_equal gt hstack hypot i0 igamma igammac kron lcm le lerp less less_equal lgamma
log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit
logsumexp lt max maximum mean min minimum mul multiply mvlgamma nanmean nansum ne nextafter normal
not_equal orgqr outer polygamma pow rad2deg reciprocal remainder row_stack rsqrt
sigmoid sin sinc sinh sqrt square stack std sub subtract tan tanh threshold true_divide var vstack
xlogy
"""
_SAME = """
abs absolute addbmm addmm addmv alias_copy all amax amin aminmax any argmax argmin argsort baddbmm
bitwise_not bmm detach_copy diagonal_copy expand_copy hardshrink narrow_copy permute_copy select_copy
slice_copy slice_scatter squeeze_copy t_copy transpose_copy unfold_copy unsqueeze_copy
bucketize ceil chain_matmul clamp clamp_max clamp_min clip cross cummax cummin diag dot fix
float_power floor frac frexp frobenius_norm gather heaviside histc histogram index_add index_copy
index_reduce index_select inner inverse isin isneginf isposinf kthvalue ldexp log_softmax
logcumsumexp lu_solve lu_unpack masked_select matmul matrix_power median mm mode msort multinomial mv
nan_to_num nanmedian nanquantile neg negative nonzero norm nuclear_norm ormqr qr quantile renorm
round scatter scatter_add scatter_reduce searchsorted sgn sign signbit slogdet softmax sort svd take
take_along_dim tensordot topk triangular_solve tril triu trunc vdot where
"""
# Their `dtype` is that of `out` unless it is given.
_TYPED = """
arange cumprod cumsum empty eye full linspace logspace ones prod rand randint randn randperm range sum zeros
"""
_LINALG_CASTS = """
cond householder_product lstsq matrix_rank pinv tensorinv tensorsolve
"""
_LINALG_SAME = """
cholesky cholesky_ex cross det eigh eigvalsh inv inv_ex lu lu_factor lu_factor_ex lu_solve matmul
matrix_norm matrix_power multi_dot norm qr slogdet solve solve_ex solve_triangular svd svdvals vecdot
vector_norm
"""
_SPECIAL_CASTS = """
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u
chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx erfinv exp2 expit expm1
gammainc gammaincc gammaln hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e
laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr logit logsumexp modified_bessel_i0
modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri polygamma psi
scaled_modified_bessel_k0 scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t
shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w sinc
spherical_bessel_j0 xlog1py xlogy zeta
"""
# What a function makes of an `out` of another dtype: "cast" to it where that can be, refuse all but
# the "same", or compute in it ("dtype"); "any" it casts to whatever it is.
HOW = {
    "torch": {
        **dict.fromkeys(_CASTS.split(), "cast"),
        **dict.fromkeys(_SAME.split(), "same"),
        **dict.fromkeys(_TYPED.split(), "dtype"),
        "bernoulli": "any",
    },
    "linalg": {
        **dict.fromkeys(_LINALG_CASTS.split(), "cast"),
        **dict.fromkeys(_LINALG_SAME.split(), "same"),
    },
    "special": {**dict.fromkeys(_SPECIAL_CASTS.split(), "cast"), "round": "same"},
    "functional": {
        **dict.fromkeys(
            ("avg_pool2d", "avg_pool3d", "gelu", "hardshrink", "linear", "logsigmoid"), "same"
        ),
        **dict.fromkeys(("softplus", "softshrink"), "same"),
    },
}

# Those that PyTorch's say nothing about when they resize what they fill.
_SILENT = frozenset(
    [
        "bernoulli",
        "empty",
        "eye",
        "full",
        "linspace",
        "logsigmoid",
        "logspace",
        "multinomial",
        "narrow_copy",
        "normal",
        "ones",
        "rand",
        "randint",
        "randn",
        "randperm",
        "range",
        "zeros",
    ]
)

# Those that have no bools.
_SPACED = frozenset(["arange", "linspace", "logspace", "randperm", "range"])

_JOINING = frozenset(
    [
        "cat",
        "column_stack",
        "concat",
        "concatenate",
        "dstack",
        "hstack",
        "row_stack",
        "stack",
        "vstack",
    ]
)

# ----- What it means ------------------------------------------------------------------------------


def fill(home: str, name: str, out: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function, write what it returns into `out` and return that; raises as `written` does."""
    how = HOW[home][name]
    full = f"{home}_{name}" if home in ("linalg", "special") else name
    outs = _checked(full, out)
    if name in _SPACED and outs[0].array.dtype.kind == "b":
        raise told(
            NotImplementedError, f"\"{name}_cpu\" not implemented for 'Bool'; give another out"
        )
    if how == "dtype" and kwargs.get("dtype") is None:
        kwargs["dtype"] = dtypes.named(outs[0].array.dtype)
    results = PLAIN[home, name](*args, **kwargs)
    operands = [o for o in (*args, *kwargs.values()) if isinstance(o, Traced)]
    return written(full, how, out, results, operands)


def written(name: str, how: str, out: Any, results: Any, operands: Iterable[Any] = ()) -> Any:
    """Write results into `out`, a tensor or a tuple of them, and return it.

    Args:
        name: the function that the results are of.
        how: what is made of another dtype; see `HOW`.
        out: what is written.
        results: a tensor, or a tuple of them.
        operands: the tensors that the results were computed from.

    Raises:
        RuntimeError: if a gradient is wanted, or the result's dtype doesn't fit; nothing is written.
        TypeError: if `out` is no tensor, or not as many of them as there are results.
    """
    several = not isinstance(results, Traced)
    wanted = list(results) if several else [results]
    is_list = isinstance(out, tuple | list)
    if is_list != several or (is_list and len(out) != len(wanted)):
        expected = f"a tuple of {len(wanted)} Tensors" if several else "Tensor"
        got = f"{type(out).__name__} of {len(out)}" if is_list else type(out).__name__
        raise told(TypeError, f"{name}(): argument 'out' must be {expected}, not {got}")
    outs = _checked(name, out)
    for each, result in zip(outs, wanted, strict=True):
        if result.node is not None:
            raise _differentiated(name)
        if each.array.dtype is not result.array.dtype and how != "any":
            _refuse_dtype(
                name, how if not (several and name in ("max", "min")) else "same", result, each
            )
        if each.array.shape == result.array.shape and name != "empty":
            refuse_overlap(each.array, name)
            if how == "cast":
                _refuse_partial_overlap(each.array, operands)
    for each, result in zip(outs, wanted, strict=True):
        _put(each, result.array, name)
    if not several:
        return out
    kind = type(results).__name__ if hasattr(results, "_fields") else None
    return tuple(outs) if kind is None else getattr(return_types, f"{kind}_out")(*outs)


def _checked(name: str, out: Any) -> list[Any]:
    """Return the tensors to be written, if they may be."""
    outs = list(out) if isinstance(out, tuple | list) else [out]
    for each in outs:
        if not isinstance(each, Traced):
            got = f"{type(out).__name__} of " * (each is not out) + type(each).__name__
            raise told(TypeError, f"{name}(): argument 'out' must be Tensor, not {got}")
        if thread_mode.grad and each.node is not None:
            raise _differentiated(name)
        if departed.count:
            refuse_inference(each)
    return outs


def _differentiated(name: str) -> RuntimeError:
    return told(
        RuntimeError,
        f"{name}(): functions with out=... arguments don't support automatic differentiation, but one "
        "of the arguments requires grad; leave out= away, or use no_grad()",
    )


def _refuse_dtype(name: str, how: str, result: Any, out: Any) -> None:
    """Raise if a result can't be written to `out`, going by its dtype."""
    got, wanted = out.array.dtype, result.array.dtype
    if how == "cast":
        if not dtypes.can_cast(wanted, got):
            raise (TypeError if name in _JOINING else RuntimeError)(
                f"{name}: result type {title(wanted)} can't be cast to the desired output type "
                f"{title(got)}; give an out of another dtype, or none"
            )
        return
    if name in ("all", "any") and got == np.uint8:  # as before there were bools
        return
    raise told(
        RuntimeError,
        f"{name}: Expected out tensor to have dtype {dtypes.named(wanted)}, but got "
        f"{dtypes.named(got)} instead",
    )


def _refuse_partial_overlap(memory: np.ndarray[Any, Any], operands: Iterable[Any]) -> None:
    """Raise if an operand shares some of the memory that is to be written, but is not all of it."""
    for operand in operands:
        array = operand.array
        if owner(array) is not owner(memory) or not (array.flags.forc and memory.flags.forc):
            continue  # PyTorch's only looks at tensors without gaps
        same = array.ctypes.data == memory.ctypes.data and array.strides == memory.strides
        if not (same and array.shape == memory.shape) and np.shares_memory(array, memory):
            raise told(
                RuntimeError,
                "unsupported operation: some elements of the input tensor and the written-to tensor refer "
                "to a single memory location. Please clone() the tensor before performing the operation.",
            )


def _put(out: Any, value: np.ndarray[Any, Any], name: str) -> None:
    """Write a result into `out`, resized if need be."""
    memory = out.array
    if memory.shape != value.shape:
        if memory.size and name not in _SILENT:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(memory.shape)}, which does not match the required output shape "
                f"{list(value.shape)}. Reuse it only where shapes agree, or resize it to zero elements "
                "with t.resize_(0) first.",
                UserWarning,
                stacklevel=_depth(),
            )
        memory = resized(memory, value.shape)
        out.rebind(memory)
        out._view = None
    if name != "empty":
        np.copyto(memory, value, casting="unsafe")
        stamp(memory, silent=out.__dict__.get("_silent", False))


def _depth() -> int:
    """Return how many frames above the caller the user's program is."""
    depth, frame = 0, sys._getframe(1)
    while frame.f_back is not None and internal[frame.f_code.co_filename]:
        depth, frame = depth + 1, frame.f_back
    return depth + 1


# ----- Memory -------------------------------------------------------------------------------------


def storage(array: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """Return all elements of the memory an array looks at, in order, and which of them is its first."""
    memory = owner(array)
    flat = memory.ravel("K")
    if not np.may_share_memory(flat, memory) or memory.dtype.itemsize % array.itemsize:
        flat = array.ravel("K")  # memory that somebody else holds, with gaps
    start = array.ctypes.data - flat.ctypes.data
    return flat.view(array.dtype), start // array.itemsize if array.size else 0


def resized(array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return the memory of `array`, from its first element on, in another shape.

    Where there is too little, new memory with the same elements in front.
    """
    flat, start = storage(array)
    size = math.prod(shape)
    if start + size <= flat.size:
        return flat[start : start + size].reshape(shape)
    grown = np.empty(size, array.dtype)
    grown[: flat.size - start] = flat[start:]
    return grown.reshape(shape)
