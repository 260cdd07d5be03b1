"""Reading arguments that may be given once for all dimensions, and state under a prefix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Sizes = int | tuple[int, ...]


def ntuple(value: Any, count: int) -> tuple[int, ...]:
    """Return an iterable as a tuple, or a single value repeated."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take a prefix off the names in a ``state_dict``, in place.

    Such as "module.", which comes from a model that was wrapped when its state was saved.

    >>> from tinygrad_like.nn.modules.utils import consume_prefix_in_state_dict_if_present
    >>> state = {"module.weight": 1, "bias": 2}
    >>> consume_prefix_in_state_dict_if_present(state, "module.")
    >>> state
    {'bias': 2, 'weight': 1}
    """
    for name in list(state_dict):
        if name.startswith(prefix):
            state_dict[name.removeprefix(prefix)] = state_dict.pop(name)
    metadata = getattr(state_dict, "_metadata", {})
    for name in list(metadata):
        # The model's own entry is named "", the wrapped one's as the prefix without its dot.
        if name and (name == prefix.replace(".", "") or name.startswith(prefix)):
            metadata[name[len(prefix) :]] = metadata.pop(name)
