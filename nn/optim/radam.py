"""RAdam."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.layout import Flags
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["RAdam"]


@elementwise("radam")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``m, v`` as in Adam; ``p = p - lr m̂ r / (√v̂ + ε)``, or ``p = p - lr m̂`` at first."""
    mean, square = kept
    decay, beta1, share1, beta2, share2, eps, size = numbers
    decays, decoupled, maximize, rectified = flags
    if maximize:
        g = -g
    if decays and decoupled:
        p = decay * p
    elif decays:
        g = g + decay * p
    mean = beta1 * mean + share1 * g
    square = beta2 * square + share2 * (g * g)
    step = mean / (np.sqrt(square) + eps) if rectified else mean
    return p - size * step, (mean, square)


class RAdam(BlockOptimizer):
    """Adam that waits until its mean square is worth something (Liu et al., 2020).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        betas: how much of the running means of the gradient and of its square is kept each step.
        eps: added to the denominator.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        decoupled_weight_decay: shrink the parameter instead, as `AdamW` does.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.RAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0., 0.], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"exp_avg": None, "exp_avg_sq": None}
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "decoupled_weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay)
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del scalars
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        size = lr / (1 - beta1**step)
        length, most = self._lengths(beta2, step)
        if length > 5.0:
            rectification = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
            size = size * (rectification * (1 - beta2**step)) ** 0.5
        return (
            1 - lr * decay if group["decoupled_weight_decay"] else decay,
            beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            group["eps"],
            size,
        )

    def flags(self, group: dict[str, Any], step: float, *scalars: Any) -> Flags:
        """Return which parts of the rule are to be done."""
        length, _ = self._lengths(group["betas"][1], step)
        return *super().flags(group, step, *scalars), bool(length > 5.0)

    @staticmethod
    def _lengths(beta2: Any, step: float) -> tuple[Any, Any]:
        """Return over how many steps the mean square is taken, and how many it will be."""
        most = 2 / (1 - beta2) - 1
        return most - 2 * step * beta2**step / (1 - beta2**step), most
