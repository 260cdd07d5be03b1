"""Adamax."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["Adamax"]


@elementwise("adamax")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``m = β₁ m + (1-β₁) g;  u = max(β₂ u, |g| + ε);  p = p - lr m̂ / u``."""
    mean, largest = kept
    decay, beta1, share1, beta2, eps, size = numbers
    decays, maximize = flags
    if maximize:
        g = -g
    if decays:
        g = g + decay * p
    mean = beta1 * mean + share1 * g
    largest = np.maximum(beta2 * largest, np.abs(g) + eps)
    return p - size * (mean / largest), (mean, largest)


class Adamax(BlockOptimizer):
    """Adam with the largest gradient in the place of the mean square (Kingma and Ba, 2015, section 7).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        betas: how much of the running means of the gradient and of its size is kept each step.
        eps: added to the denominator.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adamax([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.5000], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"exp_avg": None, "exp_inf": None}
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        refuse(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay)
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del scalars
        beta1, beta2 = group["betas"]
        size = group["lr"] / (1 - beta1**step)
        return group["weight_decay"], beta1, 1 - beta1, beta2, group["eps"], size
