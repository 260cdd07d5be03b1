"""Calling a module with other parameters, under PyTorch's older name."""

from __future__ import annotations

import warnings
from typing import Any

from tinygrad_like import func

__all__ = ["functional_call"]


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Do what `tinygrad_like.func.functional_call` does, which is to be preferred."""
    warnings.warn(
        "This API is deprecated as of PyTorch 2.0; use torch.func.functional_call instead.",
        FutureWarning,
        stacklevel=2,
    )
    return func.functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )
