"""Modules without their initial values."""

from __future__ import annotations

import inspect
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.random import get_rng_state, set_rng_state


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a module whose parameters are to be set later, without drawing random numbers.

    Args:
        module_cls: the module's class, which must take an argument ``device``.
        args: its arguments.
        kwargs: its arguments.

    Raises:
        RuntimeError: if it is no class of modules, or takes no ``device``.

    >>> import tinygrad_like as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 5, 1).weight.shape
    torch.Size([1, 5])
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise told(RuntimeError, f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise told(RuntimeError, "Module must support a 'device' arg to skip initialization")
    state = get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        set_rng_state(state)
