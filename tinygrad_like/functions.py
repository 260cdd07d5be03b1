"""Functions that are methods spelt differently, such as ``torch.exp_(x)``, and the constants."""

from __future__ import annotations

import functools
from math import e, inf, nan, pi
from typing import Any

from tinygrad_like.device import layout
from tinygrad_like.lines import told
from tinygrad_like.modes import thread_mode
from tinygrad_like.tensor import Tensor

__all__ = [
    "abs_",
    "acos_",
    "acosh_",
    "addmv_",
    "arccos_",
    "arccosh_",
    "arcsin_",
    "arcsinh_",
    "arctan_",
    "arctanh_",
    "asin_",
    "asinh_",
    "atan_",
    "atanh_",
    "ceil_",
    "clamp_",
    "clamp_max_",
    "clamp_min_",
    "clip_",
    "cos_",
    "cosh_",
    "deg2rad_",
    "detach",
    "detach_",
    "e",
    "erf_",
    "erfc_",
    "exp2_",
    "exp_",
    "expm1_",
    "fill_",
    "fix_",
    "floor_",
    "frac_",
    "index_put_",
    "inf",
    "is_anomaly_enabled",
    "is_inference",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "log1p_",
    "log2_",
    "log10_",
    "log_",
    "logit_",
    "nan",
    "nan_to_num_",
    "neg_",
    "negative_",
    "newaxis",
    "pi",
    "put",
    "rad2deg_",
    "reciprocal_",
    "round_",
    "rsqrt_",
    "sigmoid_",
    "sin_",
    "sinc_",
    "sinh_",
    "sparse_coo",
    "sqrt_",
    "square_",
    "tan_",
    "tanh_",
    "trunc_",
    "xlogy_",
    "zero_",
]

newaxis = None
sparse_coo = layout("sparse_coo")  # to be refused by name


def is_anomaly_enabled() -> bool:
    """Return True inside `autograd.detect_anomaly`."""
    return bool(thread_mode.anomaly)


def _function(name: str) -> Any:
    method = getattr(Tensor, name)

    @functools.wraps(method)
    def function(input: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise told(
                TypeError,
                f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
            )
        return method(input, *args, **kwargs)

    return function


abs_ = _function("abs_")
acos_ = _function("acos_")
acosh_ = _function("acosh_")
addmv_ = _function("addmv_")
arccos_ = _function("arccos_")
arccosh_ = _function("arccosh_")
arcsin_ = _function("arcsin_")
arcsinh_ = _function("arcsinh_")
arctan_ = _function("arctan_")
arctanh_ = _function("arctanh_")
asin_ = _function("asin_")
asinh_ = _function("asinh_")
atan_ = _function("atan_")
atanh_ = _function("atanh_")
ceil_ = _function("ceil_")
clamp_ = _function("clamp_")
clamp_max_ = _function("clamp_max_")
clamp_min_ = _function("clamp_min_")
clip_ = _function("clip_")
cos_ = _function("cos_")
cosh_ = _function("cosh_")
deg2rad_ = _function("deg2rad_")
detach = _function("detach")
detach_ = _function("detach_")
erf_ = _function("erf_")
erfc_ = _function("erfc_")
exp2_ = _function("exp2_")
exp_ = _function("exp_")
expm1_ = _function("expm1_")
fill_ = _function("fill_")
fix_ = _function("fix_")
floor_ = _function("floor_")
frac_ = _function("frac_")
index_put_ = _function("index_put_")
is_inference = _function("is_inference")
is_nonzero = _function("is_nonzero")
is_same_size = _function("is_same_size")
is_signed = _function("is_signed")
log10_ = _function("log10_")
log1p_ = _function("log1p_")
log2_ = _function("log2_")
log_ = _function("log_")
logit_ = _function("logit_")
nan_to_num_ = _function("nan_to_num_")
neg_ = _function("neg_")
negative_ = _function("negative_")
put = _function("put")
rad2deg_ = _function("rad2deg_")
reciprocal_ = _function("reciprocal_")
round_ = _function("round_")
rsqrt_ = _function("rsqrt_")
sigmoid_ = _function("sigmoid_")
sin_ = _function("sin_")
sinc_ = _function("sinc_")
sinh_ = _function("sinh_")
sqrt_ = _function("sqrt_")
square_ = _function("square_")
tan_ = _function("tan_")
tanh_ = _function("tanh_")
trunc_ = _function("trunc_")
xlogy_ = _function("xlogy_")
zero_ = _function("zero_")
