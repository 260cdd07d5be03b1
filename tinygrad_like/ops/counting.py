"""How often and where values occur: counts, histograms, membership, quantiles and differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like import dtypes, return_types
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import REGISTRY
from tinygrad_like.ops.arguments import require_tensor
from tinygrad_like.ops.comparison import choose, unsupported
from tinygrad_like.ops.elementwise import lerp
from tinygrad_like.ops.joining import cat, narrow
from tinygrad_like.ops.ranges import linspace
from tinygrad_like.ops.scattering import gather
from tinygrad_like.ops.shaping import axis_of, movedim, reshape
from tinygrad_like.ops.sorting import sort

__all__ = [
    "bincount",
    "diff",
    "histc",
    "histogram",
    "isin",
    "nanquantile",
    "quantile",
    "unravel_index",
]

NumpyArray = np.ndarray[Any, Any]


# ----- Differences --------------------------------------------------------------------------------


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return the differences of neighbours along `dim`, taken `n` times.

    Tensors to `prepend` and to `append` are joined to the input first.

    Raises:
        RuntimeError: if `n` is negative or the shapes do not fit.

    >>> import tinygrad_like as torch
    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    ndim = require_tensor("diff", "input", input).array.ndim
    if not ndim:
        raise told(
            RuntimeError, "diff expects input to be at least one-dimensional, got a 0-d tensor"
        )
    if n < 0:
        raise told(RuntimeError, f"diff: the order must be non-negative, got {n}")
    axis = axis_of(dim, ndim)
    parts = [part for part in (prepend, input, append) if part is not None]
    shape = input.array.shape
    for part in parts:
        given = require_tensor("diff", "prepend or append", part).array.shape
        if (
            len(given) != ndim
            or given[:axis] + given[axis + 1 :] != shape[:axis] + shape[axis + 1 :]
        ):
            raise told(
                RuntimeError,
                f"diff: prepend or append has shape {given}, expected that of input, {shape}, except "
                f"along dimension {axis}",
            )
    out = cat(parts, axis) if len(parts) > 1 else input
    if not n:
        return REGISTRY["clone"].call(out)
    for _ in range(min(n, out.array.shape[axis])):
        size = max(out.array.shape[axis] - 1, 0)
        after, before = (
            narrow(out, axis, min(1, out.array.shape[axis]), size),
            narrow(out, axis, 0, size),
        )
        out = after ^ before if out.array.dtype.kind == "b" else after - before
    return out


# ----- Membership and counts ----------------------------------------------------------------------


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Return which of the elements are among the test elements; one of the two may be a number.

    Raises:
        TypeError: if neither is a tensor.
        RuntimeError: if they are booleans.

    >>> import tinygrad_like as torch
    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([3, 1]))
    tensor([ True, False,  True])
    """
    del assume_unique  # repeated elements do no harm to either way
    both = (elements, test_elements)
    if not any(isinstance(v, Traced) for v in both) or not all(
        isinstance(v, Traced | int | float | np.generic) for v in both
    ):
        kinds = ", ".join(type(v).__name__ for v in both)
        raise told(
            TypeError, f"isin(): expected two tensors, or a tensor and a number, got {kinds}"
        )
    given, tests = (v.array if isinstance(v, Traced) else np.asarray(v) for v in both)
    if "b" in (given.dtype.kind, tests.dtype.kind):
        raise told(RuntimeError, "Unsupported input type encountered for isin(): Bool")
    return result_type.make(np.asarray(np.isin(given, tests, invert=invert)))


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Return how often each number from 0 on occurs in a vector ``(N,)``, or its sum of `weights`.

    Raises:
        RuntimeError: for negative numbers, or shapes that do not fit.
        NotImplementedError: for numbers that are not whole.

    >>> import tinygrad_like as torch
    >>> torch.bincount(torch.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    array = require_tensor("bincount", "input", input).array
    if minlength < 0:
        raise told(RuntimeError, f"bincount: minlength should be >= 0, got {minlength}")
    if array.dtype.kind not in "iu":
        raise unsupported("bincount_cpu", array.dtype)
    if array.ndim != 1 or (array.size and array.min() < 0):
        got = f"shape {array.shape}" if array.ndim != 1 else f"{array.min()} among them"
        raise told(
            RuntimeError, f"bincount only supports 1-d non-negative integral inputs, got {got}"
        )
    if weights is None or not array.size:
        return result_type.make(np.bincount(array.astype(np.int64, copy=False), None, minlength))
    given = require_tensor("bincount", "weights", weights).array
    if given.shape != array.shape:
        raise told(
            RuntimeError,
            f"bincount: weights should be 1-d and have the same length as input, got {given.shape} "
            f"for {array.shape}",
        )
    out = np.bincount(array, given, minlength)
    return result_type.make(out.astype(np.float32) if given.dtype is dtypes.F32 else out)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Return, one tensor per dimension, where places of the flat tensor are in one of `shape`.

    Raises:
        TypeError: if the indices are not whole numbers.
        ValueError: if a size is negative.

    >>> import tinygrad_like as torch
    >>> torch.unravel_index(torch.tensor([3, 5]), (2, 3))
    (tensor([1, 1]), tensor([0, 2]))
    """
    array = require_tensor("unravel_index", "indices", indices).array
    if array.dtype.kind not in "iu":
        raise told(
            TypeError,
            f"expected 'indices' to be integer dtype, but got {dtypes.named(array.dtype)}",
        )
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if min(sizes, default=0) < 0:
        raise told(ValueError, f"'shape' cannot have negative values, but got {sizes}")
    steps = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    # Places outside are counted round the tensor, as PyTorch does.
    return tuple(
        result_type.make(np.asarray(array // max(step, 1) % max(size, 1)))
        for step, size in zip(steps, sizes, strict=True)
    )


# ----- Histograms ---------------------------------------------------------------------------------


def _ends(name: str, x: NumpyArray, low: float, high: float, margin: float) -> tuple[float, float]:
    """Return the ends of a histogram: those of the data if none are given, and never the same."""
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise told(RuntimeError, f"{name}: range of [{low}, {high}] is not finite")
    return (low - margin, high + margin) if low == high else (low, high)


def _require_bins(name: str, x: NumpyArray, bins: int) -> None:
    if x.dtype.kind != "f":
        raise unsupported(name, x.dtype)
    if bins <= 0:
        raise told(RuntimeError, f"{name}: bins must be > 0, but got {bins}")


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """Return how many elements lie in each of `bins` equal parts from `min` to `max`.

    If these are the same, from the smallest element to the largest.

    Raises:
        RuntimeError: if `bins` is not positive, or the ends are not finite or out of order.
        NotImplementedError: for whole numbers.

    >>> import tinygrad_like as torch
    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    array = require_tensor("histc", "input", input).array.reshape(-1)
    _require_bins("histc", array, bins)
    if max < min:
        raise told(RuntimeError, f"histc: max must be larger than min, got {max} and {min}")
    low, high = _ends("torch.histc", array, min, max, 1.0)
    with np.errstate(invalid="ignore"):
        inside = array[(array >= low) & (array <= high)]
    places = ((inside - low) * bins / (high - low)).astype(np.int64)
    counts = np.bincount(np.minimum(places, bins - 1), minlength=bins)
    return result_type.make(counts.astype(array.dtype))


def histogram(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """Return how many elements lie in each bin, and the edges of the bins.

    Args:
        input: the elements.
        bins: the number of equal bins, or a vector with their edges.
        range: the ends of equal bins, if not the smallest and the largest element.
        weight: what each element counts, if not 1.
        density: divide by the sum and by the bins' widths.

    Raises:
        RuntimeError: if the number, the ends or the shapes do not fit.
        NotImplementedError: for whole numbers.

    >>> import tinygrad_like as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 3.0)).hist
    tensor([2., 1.])
    """
    array = require_tensor("histogram", "input", input).array.reshape(-1)
    count = bins if isinstance(bins, int) else require_tensor("histogram", "bins", bins).array.size
    _require_bins("histogramdd", array, count)
    if isinstance(bins, int):
        low, high = (0.0, 0.0) if range is None else range
        if low > high:
            raise told(
                RuntimeError, f"histogram: min should not exceed max, but got min {low} max {high}"
            )
        if range is None and not array.size:
            low, high = 0.0, 1.0
        low, high = _ends("torch.histogramdd", array, low, high, 0.5)
        edges = linspace(low, high, bins + 1, dtype=dtypes.named(array.dtype)).array
    else:
        edges = bins.array.copy()
    weights = None
    if weight is not None:
        if require_tensor("histogram", "weight", weight).array.shape != input.array.shape:
            raise told(
                RuntimeError,
                "histogram: if weight tensor is provided it should have the same shape as the input "
                f"tensor, got {weight.array.shape} for {input.array.shape}",
            )
        weights = weight.array.reshape(-1)
    inside = (array >= edges[0]) & (array <= edges[-1])
    places = np.searchsorted(edges, array[inside], side="right") - 1
    parts = len(edges) - 1
    hist = np.bincount(
        np.minimum(places, parts - 1),
        None if weights is None else weights[inside],
        minlength=parts,
    ).astype(array.dtype)
    if density:
        hist = hist / hist.sum() / np.diff(edges)
    return return_types.histogram(result_type.make(hist), result_type.make(edges))


# ----- Quantiles ----------------------------------------------------------------------------------

_ROUNDINGS = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}


def _quantile(
    name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str
) -> Any:
    array = require_tensor(name, "input", input).array
    d = array.dtype
    if not array.size:
        raise told(RuntimeError, f"{name}() input tensor must be non-empty")
    if d not in (dtypes.F32, dtypes.F64):
        raise told(
            RuntimeError,
            f"{name}() input tensor must be either float or double dtype, got {dtypes.named(d)}",
        )
    if interpolation not in (*_ROUNDINGS, "linear", "midpoint"):
        raise told(
            RuntimeError,
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}",
        )
    if isinstance(q, int | float):
        q = result_type.make(np.asarray(q, d))
    shares = require_tensor(name, "q", q).array
    if shares.ndim > 1:
        raise told(
            RuntimeError, f"{name}() q must be a scalar or 1D tensor, got shape {shares.shape}"
        )
    if shares.dtype is not d:
        raise told(
            RuntimeError,
            f"{name}() q tensor must be same dtype as the input tensor, got {dtypes.named(shares.dtype)} "
            f"for {dtypes.named(d)}",
        )
    inside = (shares >= 0) & (shares <= 1)
    if not inside.all():
        raise told(
            RuntimeError, f"{name}() q values must be in the range [0, 1], got {shares[~inside][0]}"
        )

    if dim is None:
        axis, rows = 0, reshape(input, (-1,))
        kept: tuple[int, ...] = (1,) * array.ndim
    else:
        axis = axis_of(dim, array.ndim)
        rows = movedim(input, axis, -1) if array.ndim else reshape(input, (1,))
        kept = array.shape[:axis] + (1,) * bool(array.ndim) + array.shape[axis + 1 :]
    ordered = sort(rows, -1)[0]
    counts = ~np.isnan(ordered.array)
    last = np.maximum(counts.sum(-1, keepdims=True) - 1, 0).astype(d)
    ranks = reshape(q, (-1,)) * result_type.make(last)
    if name == "quantile":
        # What sorts last is NaN if a row has one, and so is its quantile.
        size = ordered.array.shape[-1] - 1
        plain = reshape(q, (-1,)) * result_type.make(np.full_like(last, size))
        ranks = choose(result_type.make(counts.all(-1, keepdims=True)), plain, np.asarray(size, d))
    at = ranks.array

    def values(places: NumpyArray) -> Any:
        return gather(ordered, -1, result_type.make(places.astype(np.int64)))

    if interpolation in _ROUNDINGS:
        found = values(_ROUNDINGS[interpolation](at))
    else:
        below = np.floor(at)
        weight = ranks - result_type.make(below) if interpolation == "linear" else 0.5
        found = lerp(values(below), values(np.ceil(at)), weight)
    shape = kept if keepdim else (array.shape[:axis] + array.shape[axis + 1 :]) * (dim is not None)
    if not shares.ndim:
        return reshape(found, shape)
    return reshape(movedim(found, -1, 0), (shares.size, *shape))


def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """Return the values below which a share `q` of the elements lies, along `dim` or of all.

    A vector of shares gives as many results, along a new first dimension. Where a quantile lies
    between two elements, `interpolation` says what to return: "linear", "lower", "higher",
    "nearest" or "midpoint".

    Raises:
        RuntimeError: if the input is empty or neither float32 nor float64, or `q` does not fit.

    >>> import tinygrad_like as torch
    >>> torch.quantile(torch.tensor([0.0, 1.0, 2.0]), 0.25)
    tensor(0.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """Return the quantiles as `quantile` does, of the elements that are not NaN.

    Raises:
        RuntimeError: if the input is empty or neither float32 nor float64, or `q` does not fit.

    >>> import tinygrad_like as torch
    >>> torch.nanquantile(torch.tensor([0.0, float("nan"), 2.0]), 0.5)
    tensor(1.)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)


class CountingMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()

    bincount = bincount
    diff = diff
    histc = histc
    histogram = histogram
    nanquantile = nanquantile
    quantile = quantile
