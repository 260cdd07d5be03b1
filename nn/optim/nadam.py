"""NAdam."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["NAdam"]


@elementwise("nadam")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``m, v`` as in Adam; ``p = p - lr (c₁ g + c₂ m) / (√v̂ + ε)``."""
    mean, square = kept
    decay, beta1, share1, beta2, share2, eps, first, second = numbers
    decays, decoupled, maximize = flags
    if maximize:
        g = -g
    if decays and decoupled:
        p = decay * p
    elif decays:
        g = g + decay * p
    mean = beta1 * mean + share1 * g
    square = beta2 * square + share2 * (g * g)
    return p - (first * g + second * mean) / (np.sqrt(square) + eps), (mean, square)


class NAdam(BlockOptimizer):
    """Adam with Nesterov's momentum (Dozat, 2016).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        betas: how much of the running means of the gradient and of its square is kept each step.
        eps: added to the denominator.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        momentum_decay: how fast the momentum grows to the first of `betas`.
        decoupled_weight_decay: shrink the parameter instead, as `AdamW` does.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.NAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.4718, 1.4718], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"exp_avg": None, "exp_avg_sq": None}
    scalars: ClassVar[tuple[str, ...]] = ("step", "mu_product")
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "decoupled_weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(
            lr=lr, eps=eps, betas=betas, weight_decay=weight_decay, momentum_decay=momentum_decay
        )
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        product = float(scalars[1])
        mu, following = self._momentum(group, step), self._momentum(group, step + 1)
        correction = (1 - beta2**step) ** 0.5
        return (
            1 - lr * decay if group["decoupled_weight_decay"] else decay,
            beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            group["eps"] * correction,
            lr * (1 - mu) / (1 - product) * correction,
            lr * following / (1 - product * following) * correction,
        )

    def initial_state(self, group: dict[str, Any], name: str) -> Any:
        """Return one for the product of momentums, or zero."""
        del group
        return float(name == "mu_product")

    def advance(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return the product of the momentums of all steps."""
        (product,) = scalars
        return (product * self._momentum(group, step),)

    @staticmethod
    def _momentum(group: dict[str, Any], step: float) -> Any:
        return group["betas"][0] * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
