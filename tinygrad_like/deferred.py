"""Names whose modules are imported when one of them is first asked for."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from tinygrad_like.keywords import Parameters, install
from tinygrad_like.views import in_place

_GAMMA = ("digamma", "igamma", "igammac", "lgamma", "mvlgamma", "polygamma")
_WINDOWS = ("bartlett", "blackman", "hamming", "hann", "kaiser")

_STRIDED: tuple[str, ...] = (
    "as_strided",
    "as_strided_",
    "as_strided_scatter",
    "empty_permuted",
    "resize_as_",
)

# Of `Tensor` alone.
_METHODS: tuple[str, ...] = ("apply_", "dim_order", "is_set_to", "map2_", "map_")
_METHODS += ("new_empty_strided", "resize_", "set_")

_RARE: tuple[str, ...] = tuple(
    f"{name}_copy"
    for name in (
        *("alias", "detach", "diagonal", "expand", "narrow", "permute", "select", "slice", "split"),
        *("split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view"),
    )
)
_RARE += ("alpha_dropout_", "dropout_", "feature_alpha_dropout_", "feature_dropout")
_RARE += ("feature_dropout_", "gcd_", "i0_", "lcm_", "ldexp_", "unsafe_chunk", "unsafe_split")
_RARE += ("unsafe_split_with_sizes", "affine_grid_generator", "binomial", "constant_pad_nd")
_RARE += ("conv_tbc", "convolution", "embedding_bag", "grid_sampler", "grid_sampler_2d")
_RARE += ("grid_sampler_3d", "max_pool1d_with_indices", "nonzero_static", "norm_except_dim")
_RARE += ("poisson", "resolve_neg", "histogramdd")

_SETTINGS: tuple[str, ...] = ("are_deterministic_algorithms_enabled", "get_default_device")
_SETTINGS += ("get_deterministic_debug_mode", "get_device", "get_float32_matmul_precision")
_SETTINGS += ("is_deterministic_algorithms_warn_only_enabled", "is_distributed", "is_neg")
_SETTINGS += ("set_default_device", "set_default_tensor_type", "set_deterministic_debug_mode")
_SETTINGS += ("set_float32_matmul_precision", "set_flush_denormal", "typename")
_SETTINGS += ("use_deterministic_algorithms",)

# Where each of them lives, below ``tinygrad_like``.
HOMES = {
    **dict.fromkeys(_GAMMA, "special.gamma"),
    "explain": "explanation",
    "i0": "special.bessel",
    **{f"{name}_window": "signal.windows" for name in _WINDOWS},
    **dict.fromkeys(("TypedStorage", "UntypedStorage", "load", "save"), "serialization"),
    **dict.fromkeys((*_STRIDED, *_METHODS), "ops.strided"),
    **dict.fromkeys(_RARE, "ops.rare"),
    **dict.fromkeys(_SETTINGS, "settings"),
    **dict.fromkeys(("pca_lowrank", "svd_lowrank"), "linalg.lowrank"),
}

FUNCTIONS = [name for name in HOMES if name not in _METHODS]


def find(name: str) -> Any:
    """Return the function or class of that name."""
    return getattr(importlib.import_module(f"tinygrad_like.{HOMES[name]}"), name)


@functools.cache
def public(name: str) -> Any:
    """Return the package's function of that name, which takes ``out`` if PyTorch's does."""
    found = {name: find(name), "__name__": "tinygrad_like"}
    install("torch", found)
    return found[name]


def _method(name: str, sentence: str = "") -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return find(name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = sentence or f"Return what `tinygrad_like.{name}` does of this tensor."
    method.__wrapped__ = Parameters(lambda: inspect.signature(find(name)))  # type: ignore[attr-defined]
    return method


def _polygamma(self: Any, n: int) -> Any:
    """Return derivative `n` of `digamma`."""
    return find("polygamma")(n, self)


def _untyped_storage(self: Any) -> Any:
    """Return the memory it looks into, all of it, as bytes; None if that has gaps."""
    return find("UntypedStorage").of(self.array)


class DeferredMethods:
    """The methods of `Tensor` that are special functions, or show its memory."""

    __slots__ = ()

    digamma = _method("digamma")
    i0 = _method("i0")
    igamma = _method("igamma")
    igammac = _method("igammac")
    lgamma = _method("lgamma")
    mvlgamma = _method("mvlgamma")
    polygamma = _polygamma
    untyped_storage = _untyped_storage
    digamma_ = in_place("digamma_", digamma)
    i0_ = in_place("i0_", i0)
    igamma_ = in_place("igamma_", igamma)
    igammac_ = in_place("igammac_", igammac)
    lgamma_ = in_place("lgamma_", lgamma)
    mvlgamma_ = in_place("mvlgamma_", mvlgamma)
    polygamma_ = in_place("polygamma_", polygamma)

    apply_ = _method("apply_", "Replace each element by what a Python function makes of it; slow.")
    as_strided = _method("as_strided")
    as_strided_ = _method("as_strided_")
    as_strided_scatter = _method("as_strided_scatter")
    dim_order = _method(
        "dim_order",
        "Return the dimensions in the order in which they lie in memory, the outermost first.",
    )
    is_set_to = _method(
        "is_set_to", "Return True if both tensors look at the same memory in the same way."
    )
    map2_ = _method(
        "map2_", "Replace each element by what a Python function makes of it and two others; slow."
    )
    map_ = _method(
        "map_", "Replace each element by what a Python function makes of it and another; slow."
    )
    new_empty_strided = _method(
        "new_empty_strided",
        "Return what `empty_strided` does, in this dtype unless another is given.",
    )
    resize_ = _method(
        "resize_", "Give this tensor another size: of its own memory as far as that reaches."
    )
    resize_as_ = _method("resize_as_")
    set_ = _method("set_", "Look at the memory of another tensor, or, without one, at nothing.")

    narrow_copy = _method("narrow_copy")
    nonzero_static = _method("nonzero_static")
    resolve_neg = _method("resolve_neg")
    unsafe_chunk = _method("unsafe_chunk")
    unsafe_split = _method("unsafe_split")
    unsafe_split_with_sizes = _method("unsafe_split_with_sizes")
    is_distributed = _method("is_distributed")
    is_neg = _method("is_neg")
