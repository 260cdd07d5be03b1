"""Adagrad."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["Adagrad"]


@elementwise("adagrad")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``v = v + g²;  p = p - lr g / (√v + ε)``."""
    (total,) = kept
    lr, decay, eps = numbers
    decays, maximize = flags
    if maximize:
        g = -g
    if decays:
        g = g + decay * p
    total = total + g * g
    return p - lr * (g / (np.sqrt(total) + eps)), (total,)


class Adagrad(BlockOptimizer):
    """Gradient descent scaled by the sum of all squared gradients so far (Duchi et al., 2011).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        lr_decay: divides the learning rate by ``1 + (step - 1) * lr_decay``.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        initial_accumulator_value: where the sums start.
        eps: added to the denominator.
        foreach: accepted; there is one implementation.
        maximize: go uphill.
        differentiable: record the step, for gradients through it.
        fused: accepted; there is one implementation.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.5000], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"sum": None}
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        super().__init__(params, settings(locals()))
        # Unlike the others, PyTorch's Adagrad has its state from the start.
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["step"] = result_type.make(np.zeros((), np.float32))
                state["sum"] = result_type.make(np.full_like(p.array, initial_accumulator_value))

    def initial_state(self, group: dict[str, Any], name: str) -> Any:
        """Return ``initial_accumulator_value``, as it was when the optimizer was made."""
        del group
        return 0.0 if name == "step" else self.defaults["initial_accumulator_value"]

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del scalars
        lr = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        return lr, group["weight_decay"], group["eps"]

    def ages(self, group: dict[str, Any]) -> bool:
        """Return True if the learning rate decays."""
        return bool(group["lr_decay"] != 0)
