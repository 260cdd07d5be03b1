"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["RMSprop"]


@elementwise("rmsprop")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``v = alpha v + (1-alpha) g²;  b = momentum b + g / (√v + ε);  p = p - lr b``."""
    square, buffer, mean = kept
    lr, decay, alpha, share, eps, momentum = numbers
    decays, moves, centered, maximize = flags
    if maximize:
        g = -g
    if decays:
        g = g + decay * p
    square = alpha * square + share * (g * g)
    variance = square
    if centered:
        mean = alpha * mean + share * g
        variance = square - mean * mean
    g = g / (np.sqrt(variance) + eps)
    if moves:
        buffer = momentum * buffer + g
        g = buffer
    return p - lr * g, (square, buffer, mean)


class RMSprop(BlockOptimizer):
    """Gradient descent scaled by a running mean of squares (Hinton, lecture 6 of "csc321", 2012).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        alpha: how much of the running mean is kept each step.
        eps: added to the denominator.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        momentum: how much of the last movement is kept.
        centered: divide by the deviation from the mean gradient (Graves, 2013).
        capturable: accepted; it has no meaning on the CPU.
        foreach: accepted; there is one implementation.
        maximize: go uphill.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.RMSprop([w], lr=0.05)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.5000], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {
        "square_avg": None,
        "momentum_buffer": "momentum",
        "grad_avg": "centered",
    }
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "momentum", "centered", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del step, scalars
        alpha = group["alpha"]
        return (
            group["lr"], group["weight_decay"], alpha, 1 - alpha, group["eps"], group["momentum"],
        )  # fmt: skip

    def ages(self, group: dict[str, Any]) -> bool:
        """Return False: all steps are alike."""
        del group
        return False
