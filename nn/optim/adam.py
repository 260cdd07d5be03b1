"""Adam and AdamW."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.lines import told
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["Adam", "AdamW"]


@elementwise("adam")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``m = β₁ m + (1-β₁) g;  v = β₂ v + (1-β₂) g²;  p = p - lr m̂ / (√v̂ + ε)``."""
    mean, square, largest = kept
    decay, beta1, share1, beta2, share2, eps, size = numbers
    decays, decoupled, amsgrad, maximize = flags
    if maximize:
        g = -g
    if decays and decoupled:
        p = decay * p
    elif decays:
        g = g + decay * p
    mean = beta1 * mean + share1 * g
    square = beta2 * square + share2 * (g * g)
    if amsgrad:
        largest = np.maximum(largest, square)
    deviation = np.sqrt(largest if amsgrad else square)
    return p - size * (mean / (deviation + eps)), (mean, square, largest)


class Adam(BlockOptimizer):
    """Steps of about the learning rate along a running mean of the gradient (Kingma and Ba, 2015).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        betas: how much of the running means of the gradient and of its square is kept each step.
        eps: added to the denominator.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        amsgrad: divide by the largest mean of squares so far (Reddi et al., 2018).
        foreach: accepted; there is one implementation.
        maximize: go uphill.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.
        fused: accepted; there is one implementation.
        decoupled_weight_decay: shrink the parameter instead, as `AdamW` does.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.5000], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {
        "exp_avg": None,
        "exp_avg_sq": None,
        "max_exp_avg_sq": "amsgrad",
    }
    switches: ClassVar[tuple[str, ...]] = (
        "weight_decay", "decoupled_weight_decay", "amsgrad", "maximize",
    )  # fmt: skip

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = settings(locals()) | {"betas": tuple(betas)}
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise told(
                ValueError, "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        refuse(lr=lr, eps=eps, betas=betas, weight_decay=weight_decay)
        if not any(all(isinstance(beta, kind) for beta in betas) for kind in (float, Tensor)):
            raise told(ValueError, "betas must be either both floats or both Tensors")
        for index, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta.array.size != 1:
                raise told(ValueError, f"Tensor betas[{index}] must be 1-element")
        super().__init__(params, options)

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with.

        The step ``lr / c1 * m / (sqrt(v) / c2 + eps)`` is taken as
        ``lr * c2 / c1 * m / (sqrt(v) + c2 * eps)``: one division by element less.
        """
        del scalars
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        correction = (1 - beta2**step) ** 0.5
        return (
            1 - lr * decay if group["decoupled_weight_decay"] else decay,
            beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            group["eps"] * correction,
            lr / (1 - beta1**step) * correction,
        )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019).

    Each step first multiplies the parameter by ``1 - lr * weight_decay``. See `Adam` for the
    arguments.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> torch.optim.AdamW([w], lr=0.1).param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
