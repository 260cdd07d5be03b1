"""What the functions of `linalg` share: named results, and results written into tensors given."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Traced


def fills_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function take ``out``, a tensor, or several for several results, to be filled and returned."""

    @functools.wraps(function)
    def wrapped(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        results = function(*args, **kwargs)
        if out is None:
            return results
        if isinstance(results, Traced):
            return _fill(function.__name__, out, results)
        filled = [_fill(function.__name__, o, r) for o, r in zip(out, results, strict=True)]
        return type(results)(*filled) if hasattr(results, "_fields") else tuple(filled)

    return wrapped


def _fill(name: str, out: Any, result: Any) -> Any:
    if not isinstance(out, Traced):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if out.node is not None or result.node is not None:
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one "
            "of the arguments requires grad; leave out= away, or use no_grad()"
        )
    if not np.can_cast(result.array.dtype, out.array.dtype, "same_kind"):
        raise RuntimeError(
            f"{name}: Expected out tensor to have dtype {dtypes.named(result.array.dtype)}, but got "
            f"{dtypes.named(out.array.dtype)} instead"
        )
    if out.array.shape != result.array.shape:
        if out.array.size:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(out.array.shape)}, which does not match the required output shape "
                f"{list(result.array.shape)}.",
                UserWarning,
                stacklevel=4,
            )
        out.rebind(result.array.astype(out.array.dtype))  # type: ignore[attr-defined]
        return out
    return out.copy_(result)  # type: ignore[attr-defined]
