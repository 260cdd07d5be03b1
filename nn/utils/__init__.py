"""Helpers for training: gradients clipped, parameters as one vector, weights expressed by others."""

from typing import Any

from tinygrad_like.nn.utils import rnn
from tinygrad_like.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tinygrad_like.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

# Imported when first asked for: the modules, and the functions in them.
_MODULES = ("parametrizations", "parametrize", "prune", "stateless")
_FUNCTIONS = {
    "fusion": [name for name in __all__ if name.startswith("fuse_")],
    "init": ["skip_init"],
    "reweighting": ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"],
}
_HOMES = {name: module for module, names in _FUNCTIONS.items() for name in names}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])  # those not imported yet, too
