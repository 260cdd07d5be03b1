"""Differentiation by hand: `backward`, `grad`, recording modes, own functions, and gradient checks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_like.autograd import anomaly_mode, function, grad_mode, graph, variable
from tinygrad_like.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from tinygrad_like.autograd.function import Function
from tinygrad_like.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from tinygrad_like.autograd.gradcheck import gradcheck, gradgradcheck
from tinygrad_like.autograd.variable import Variable
from tinygrad_like.backward import backward, grad

if TYPE_CHECKING:
    from tinygrad_like.autograd import functional
    from tinygrad_like.explanation.steps import backward_steps

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "backward_steps",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "variable",
]


def __getattr__(name: str) -> Any:
    if name == "functional":  # imported when first asked for
        return importlib.import_module("tinygrad_like.autograd.functional")
    if name == "backward_steps":
        return importlib.import_module("tinygrad_like.explanation.steps").backward_steps
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)  # those not imported yet, too
