"""Adadelta."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["Adadelta"]


@elementwise("adadelta")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``v = rho v + (1-rho) g²;  d = √(u+ε) / √(v+ε) g;  u = rho u + (1-rho) d²;  p = p - lr d``."""
    square, moved = kept
    lr, decay, rho, share, eps = numbers
    decays, maximize = flags
    if maximize:
        g = -g
    if decays:
        g = g + decay * p
    square = rho * square + share * (g * g)
    step = np.sqrt(moved + eps) / np.sqrt(square + eps) * g
    moved = rho * moved + share * (step * step)
    return p - lr * step, (square, moved)


class Adadelta(BlockOptimizer):
    """Steps as large as former ones were, for gradients as large as former ones (Zeiler, 2012).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        rho: how much of the running means of squares is kept each step.
        eps: added under the roots.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adadelta([w], lr=1.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9968, 1.9968], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"square_avg": None, "acc_delta": None}
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del step, scalars
        return group["lr"], group["weight_decay"], group["rho"], 1 - group["rho"], group["eps"]

    def ages(self, group: dict[str, Any]) -> bool:
        """Return False: all steps are alike."""
        del group
        return False
