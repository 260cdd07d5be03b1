"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_like.lines import told
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.layout import SMALL
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["SGD"]


@elementwise("sgd", least=8192)
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``b = momentum b + (1 - dampening) g;  p = p - lr b`` (Sutskever et al., 2013)."""
    (buffer,) = kept
    lr, decay, momentum, share = numbers
    decays, moves, nesterov, maximize = flags
    if maximize:
        g = -g
    if decays:
        g = g + decay * p
    if moves:
        buffer = momentum * buffer + share * g
        g = g + momentum * buffer if nesterov else buffer
    return p - lr * g, (buffer,)


class SGD(BlockOptimizer):
    """Stochastic gradient descent, with momentum if wanted.

    ``buf = momentum * buf + (1 - dampening) * g`` and ``p = p - lr * buf``; the first step sets
    ``buf = g``. Nesterov's variant moves by ``g + momentum * buf`` (Sutskever et al., "On the
    importance of initialization and momentum in deep learning", 2013).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        momentum: how much of the last movement is kept.
        dampening: how much of the gradient is left out of the movement.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        nesterov: look ahead.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        differentiable: record the step, for gradients through it.
        fused: accepted; there is one implementation.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0., 0.], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"momentum_buffer": "momentum"}
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "momentum", "nesterov", "maximize")
    scalars: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise told(ValueError, "Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, settings(locals()))

    def whole_size(self) -> int:
        """Return from how many elements on a parameter is updated alone: the rule is a short one."""
        return SMALL // 2

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with; the first gradient counts in full."""
        del scalars
        share = 1.0 if step == 1.0 else 1.0 - group["dampening"]
        return group["lr"], group["weight_decay"], group["momentum"], share

    def ages(self, group: dict[str, Any]) -> bool:
        """Return True if the first step is a special one."""
        return bool(group["dampening"] != 0)
