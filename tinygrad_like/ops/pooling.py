"""Pooling in any number of dimensions: the largest or the mean element of each window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_like.arrays.pooling import Mean, Pool
from tinygrad_like.arrays.windows import Axis
from tinygrad_like.graph import as_array
from tinygrad_like.lines import told
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.cross_entropy import title
from tinygrad_like.ops.pooling_ops import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    max_pool,
    max_pool_with_indices,
    scatter_planes,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_max_pool1d",
    "avg_pool1d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]
FUNCTIONAL = [
    *__all__,
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d_with_indices",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


# ----- Arguments ----------------------------------------------------------------------------------


def _per_dimension(value: Any, count: int, name: str, argument: str) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int | np.integer) else tuple(value)
    if len(values) not in (1, count):
        words = {1: "one int", 2: "two ints", 3: "three ints"}[count]
        raise told(
            RuntimeError,
            f"{name}: {argument} must either be a single int, or a tuple of {words}; got {values}",
        )
    return tuple(int(v) for v in values) * (count if len(values) == 1 else 1)


def _check_input(name: str, count: int, input: Any) -> None:
    if not hasattr(input, "ndim"):
        raise told(
            TypeError,
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    shape = list(input.shape)
    if input.ndim not in (count + 1, count + 2) or 0 in shape[input.ndim - count - 1 :]:
        raise told(
            RuntimeError,
            f"{name}: Expected {count + 1}D or {count + 2}D (batch mode) tensor with optional 0 dim "
            f"batch size for input, but got:{shape}",
        )


def _pool_of(
    name: str,
    count: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Pool:
    """Return the windows that PyTorch's arguments describe.

    Raises:
        RuntimeError: if one is out of range or there is no window.
    """
    _check_input(name, count, input)
    if as_array(input).dtype.kind == "b":
        raise unsupported(name, as_array(input).dtype)
    kernel = _per_dimension(kernel_size, count, name, "kernel_size")
    steps = kernel
    if stride is not None and stride != () and stride != []:
        steps = _per_dimension(stride, count, name, "stride")
    before = _per_dimension(padding, count, name, "padding")
    spread = _per_dimension(dilation, count, name, "dilation")
    if min(kernel) <= 0:
        raise told(
            RuntimeError, f"{name}: kernel size should be greater than zero, but got {kernel}"
        )
    if min(steps) <= 0:
        raise told(RuntimeError, f"{name}: stride should not be zero, got {steps}")
    if min(spread) <= 0:
        raise told(RuntimeError, f"{name}: dilation should be greater than zero, but got {spread}")
    if min(before) < 0:
        raise told(RuntimeError, f"{name}: pad must be non-negative, but got pad: {min(before)}")
    for p, k, d in zip(before, kernel, spread, strict=True):
        if p > (d * (k - 1) + 1) // 2:
            raise told(
                RuntimeError,
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}",
            )
    sizes = []
    inputs = tuple(input.shape[input.ndim - count :])
    for n, k, s, p, d in zip(inputs, kernel, steps, before, spread, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        size = (-(-room // s) if ceil_mode else room // s) + 1
        # The last window must begin inside the input or the padding before it.
        if ceil_mode and (size - 1) * s >= n + p:
            size -= 1
        sizes.append(size)
    if min(sizes) < 1:
        channels = input.shape[input.ndim - count - 1]
        raise told(
            RuntimeError,
            f"{name}: Given input size: ({'x'.join(map(str, (channels, *inputs)))}). Calculated output "
            f"size: ({'x'.join(map(str, (channels, *sizes)))}). Output size is too small for a "
            f"kernel_size of {tuple(kernel)}",
        )
    starts = (-p for p in before)
    return tuple(map(Axis, kernel, starts, steps, spread, sizes))


def _batched(count: int, input: Any) -> tuple[Any, bool]:
    """Return the input as a batch, and whether it was none."""
    unbatched = input.ndim == count + 1
    return (input[None] if unbatched else input), unbatched


def _max_pool(
    name: str,
    count: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    pool = _pool_of(name, count, input, kernel_size, stride, padding, dilation, ceil_mode)
    x, unbatched = _batched(count, input)
    if return_indices:
        out, indices = max_pool_with_indices(x, pool)
        return (out[0], indices[0]) if unbatched else (out, indices)
    out = max_pool(x, pool)
    return out[0] if unbatched else out


def _avg_pool(
    name: str,
    count: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    if divisor_override == 0:
        raise told(RuntimeError, f"{name}: divisor must be not zero, got {divisor_override}")
    pool = _pool_of(name, count, input, kernel_size, stride, padding, 1, ceil_mode)
    x, unbatched = _batched(count, input)
    out = avg_pool(x, pool, Mean(count_include_pad, divisor_override))
    return out[0] if unbatched else out


def _adaptive_sizes(name: str, count: int, input: Any, output_size: Any) -> tuple[int, ...]:
    _check_input(name, count, input)
    wanted = (output_size,) * count if isinstance(output_size, int) else tuple(output_size)
    if len(wanted) == 1:
        wanted *= count
    if len(wanted) != count:
        raise told(
            RuntimeError, f"{name}: output_size must have {count} elements, but got {wanted}"
        )
    inputs = input.shape[input.ndim - count :]
    sizes = tuple(int(n if w is None else w) for n, w in zip(inputs, wanted, strict=True))
    if min(sizes) < 0:
        raise told(
            RuntimeError,
            f"{name}: elements of output_size must be greater than or equal to 0 but received {sizes}",
        )
    return sizes


def _adaptive_avg(name: str, count: int, input: Any, output_size: Any) -> Any:
    sizes = _adaptive_sizes(name, count, input, output_size)
    if input.array.dtype.kind != "f":
        raise unsupported(name, input.array.dtype)
    x, unbatched = _batched(count, input)
    pool = _evenly(tuple(x.shape[2:]), sizes)
    out = avg_pool(x, pool, Mean(True, None)) if pool else adaptive_avg_pool(x, sizes)
    return out[0] if unbatched else out


def _evenly(inputs: tuple[int, ...], sizes: tuple[int, ...]) -> Pool | None:
    """Return the windows of adaptive pooling if they are as large as each other and apart."""
    if max(sizes) == 1 or any(not size or n % size for n, size in zip(inputs, sizes, strict=True)):
        return None
    return tuple(
        Axis(n // size, 0, n // size, 1, size) for n, size in zip(inputs, sizes, strict=True)
    )


def _adaptive_max(name: str, count: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    sizes = _adaptive_sizes(name, count, input, output_size)
    if as_array(input).dtype.kind != "f":
        raise unsupported(name, as_array(input).dtype)
    x, unbatched = _batched(count, input)
    pool = _evenly(tuple(x.shape[2:]), sizes)
    out, indices = max_pool_with_indices(x, pool) if pool else adaptive_max_pool(x, sizes)
    if unbatched:
        out, indices = out[0], indices[0]
    return (out, indices) if return_indices else out


# ----- PyTorch's spelling -------------------------------------------------------------------------

_SHAPES = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


def _named(function: Any, name: str, count: int) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = function.__doc__.replace("(N, C, ...)", _SHAPES[count])
    return function


def _make_max_pool(count: int) -> tuple[Any, Any]:
    name = f"max_pool{count}d"

    def with_indices(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """Return the largest element of each window of ``(N, C, ...)`` and its index in its plane.

        The arguments and errors are those of max pooling without indices.
        """
        del return_indices
        return _max_pool(
            name, count, input, kernel_size, stride, padding, dilation, ceil_mode, True
        )

    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """Return the largest element of each window of ``(N, C, ...)``; the batch may be missing.

        Of equal elements the first receives the gradient; a nan in a window is its result.

        Args:
            input: what to pool.
            kernel_size: the size of a window, an int or one per dimension.
            stride: steps between windows, by default the size of a window.
            padding: how far windows reach beyond the input, where they see nothing.
            dilation: steps between the elements of a window.
            ceil_mode: also count a last window that is only partly inside.
            return_indices: also return where in its flattened plane each element was.

        Raises:
            RuntimeError: if shapes or options do not fit.
        """
        return _max_pool(
            name, count, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    return _named(pool, name, count), _named(with_indices, f"{name}_with_indices", count)


max_pool1d, max_pool1d_with_indices = _make_max_pool(1)
max_pool2d, max_pool2d_with_indices = _make_max_pool(2)
max_pool3d, max_pool3d_with_indices = _make_max_pool(3)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean of each window of ``(N, C, L)``; the batch may be missing.

    The arguments and errors are those of `avg_pool2d`.

    >>> import tinygrad_like as torch
    >>> torch.avg_pool1d(torch.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)
    tensor([[2., 6.]])
    """
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def _make_avg_pool(count: int) -> Any:
    name = f"avg_pool{count}d"

    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        """Return the mean of each window of ``(N, C, ...)``; the batch may be missing.

        Args:
            input: what to pool.
            kernel_size: the size of a window, an int or one per dimension.
            stride: steps between windows, by default the size of a window.
            padding: zeros on either side.
            ceil_mode: also count a last window that is only partly inside.
            count_include_pad: whether the zeros count in the mean.
            divisor_override: what to divide by instead of the number of elements.

        Raises:
            RuntimeError: if shapes or options do not fit.
        """
        return _avg_pool(
            name,
            count,
            input,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    return _named(pool, name, count)


avg_pool2d, avg_pool3d = _make_avg_pool(2), _make_avg_pool(3)


def _make_adaptive_avg_pool(count: int) -> Any:
    name = f"adaptive_avg_pool{count}d"

    def pool(input: Any, output_size: Any) -> Any:
        """Return the means of as many windows of ``(N, C, ...)`` as `output_size` says.

        Window i of n over m elements reaches from ``floor(i * m / n)`` to ``ceil((i + 1) * m / n)``.
        None as a size keeps the dimension.

        Raises:
            RuntimeError: if shapes or sizes do not fit.
        """
        return _adaptive_avg(name, count, input, output_size)

    return _named(pool, name, count)


adaptive_avg_pool1d = _make_adaptive_avg_pool(1)
adaptive_avg_pool2d = _make_adaptive_avg_pool(2)
adaptive_avg_pool3d = _make_adaptive_avg_pool(3)


def _make_adaptive_max_pool(count: int) -> tuple[Any, Any]:
    name = f"adaptive_max_pool{count}d"

    def with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        """Return the largest element of each of `output_size` windows of ``(N, C, ...)`` and its index.

        The index counts in the flattened plane. Windows and errors are those of adaptive average
        pooling.
        """
        del return_indices
        return _adaptive_max(name, count, input, output_size, True)

    def pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        """Return the largest element of each of `output_size` windows of ``(N, C, ...)``.

        Windows and errors are those of adaptive average pooling. With `return_indices`, also return
        where in its flattened plane each element was.
        """
        return _adaptive_max(name, count, input, output_size, return_indices)

    return _named(pool, name, count), _named(with_indices, f"{name}_with_indices", count)


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _make_adaptive_max_pool(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _make_adaptive_max_pool(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _make_adaptive_max_pool(3)


def _make_lp_pool(count: int) -> Any:
    name = f"lp_pool{count}d"
    maximum = (max_pool1d, max_pool2d, max_pool3d)[count - 1]

    def pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Any:
        """Return ``sum(x ** p) ** (1 / p)`` over each window of ``(N, C, ...)``, p being `norm_type`.

        Raises:
            RuntimeError: if shapes or options do not fit.
        """
        if abs(norm_type) == math.inf:
            sign = int(math.copysign(1, norm_type))
            return sign * maximum(sign * np.abs(input), kernel_size, stride, 0, 1, ceil_mode)
        means = _avg_pool(
            name, count, input**norm_type, kernel_size, stride, 0, ceil_mode, True, None
        )
        elements = math.prod(_per_dimension(kernel_size, count, name, "kernel_size"))
        return (np.sign(means) * np.maximum(np.abs(means), 0) * elements) ** (1.0 / norm_type)

    return _named(pool, name, count)


lp_pool1d, lp_pool2d, lp_pool3d = _make_lp_pool(1), _make_lp_pool(2), _make_lp_pool(3)


def _make_max_unpool(count: int) -> Any:
    name = f"max_unpool{count}d"

    def unpool(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        """Return zeros with each element of ``(N, C, ...)`` where `indices` of max pooling say.

        Raises:
            RuntimeError: if an index lies outside the output, or indices are not int64.
            ValueError: if `output_size` is impossible.
        """
        _check_input(name, count, input)
        if as_array(input).dtype.kind != "f":
            raise unsupported(name, as_array(input).dtype)
        kernel = _per_dimension(kernel_size, count, name, "kernel_size")
        steps = kernel if stride is None else _per_dimension(stride, count, name, "stride")
        before = _per_dimension(padding, count, name, "padding")
        x, unbatched = _batched(count, input)
        sizes = tuple(
            (n - 1) * s + k - 2 * p
            for n, s, k, p in zip(x.shape[2:], steps, kernel, before, strict=True)
        )
        if output_size is not None:
            wanted = tuple(int(n) for n in output_size)[-count:]
            if any(abs(w - n) >= s for w, n, s in zip(wanted, sizes, steps, strict=True)):
                raise told(
                    ValueError,
                    f"invalid output_size {wanted} ({name}: dimensions must be less than the stride "
                    f"{steps} away from {sizes})",
                )
            sizes = wanted
        numbers = as_array(indices)
        if numbers.dtype != np.int64:
            raise told(
                RuntimeError, f"elements in indices should be type int64 but got: {title(numbers)}"
            )
        if numbers.shape != tuple(input.shape):
            raise told(
                RuntimeError,
                f"{name}: expected shape of indices to be same as that of the input tensor "
                f"{list(input.shape)} but got indices tensor with shape: {list(numbers.shape)}",
            )
        outside = (numbers < 0) | (numbers >= math.prod(sizes))
        if outside.any():
            raise told(
                RuntimeError,
                f"{name}: Found an invalid max index: {numbers[outside][0]} (output volumes are of size "
                f"{'x'.join(map(str, sizes))})",
            )
        out = scatter_planes(x, _batched(count, indices)[0], sizes)
        return out[0] if unbatched else out

    return _named(unpool, name, count)


max_unpool1d, max_unpool2d, max_unpool3d = (
    _make_max_unpool(1),
    _make_max_unpool(2),
    _make_max_unpool(3),
)
