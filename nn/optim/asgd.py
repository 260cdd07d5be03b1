"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_like import dtypes
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.layout import Flags, number
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise
from tinygrad_like.tensor import Tensor

__all__ = ["ASGD"]


@elementwise("asgd")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``p = (1 - lambd η) p - η g;  a = a + μ (p - a)``."""
    (average,) = kept
    shrink, eta, decay, mu = numbers
    decays, maximize, averages = flags
    if maximize:
        g = -g
    if decays:
        g = g + decay * p
    p = shrink * p - eta * g
    average = average + mu * (p - average) if averages else p
    return p, (average,)


class ASGD(BlockOptimizer):
    """Gradient descent that also averages the parameters (Polyak and Juditsky, 1992).

    The averages are in the state, as ``ax``.

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        lambd: by how much the parameter shrinks, as a part of the step size.
        alpha: the step size is ``lr / (1 + lambd * lr * step) ** alpha``.
        t0: the step after which the average begins.
        weight_decay: L2 penalty, ``g + weight_decay * p``.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.ASGD([w], lr=0.25, lambd=0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.0000], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"ax": None}
    scalars: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")
    switches: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        refuse(lr=lr, weight_decay=weight_decay)
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del step
        eta, mu = (float(value) for value in scalars[:2])
        return 1 - group["lambd"] * eta, eta, group["weight_decay"], mu

    def flags(self, group: dict[str, Any], step: float, *scalars: Any) -> Flags:
        """Return which parts of the rule are to be done."""
        return *super().flags(group, step), bool(scalars[1] != 1)

    def initial_state(self, group: dict[str, Any], name: str) -> Any:
        """Return the first step size, that the first average is the parameter, or zero."""
        return {"eta": group["lr"], "mu": 1.0}.get(name, 0.0)

    def advance(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return the next step size, and how much the next parameter counts in the average.

        Wherever they are kept, PyTorch rounds them to the default type first.
        """
        del scalars
        eta = group["lr"] / (1 + group["lambd"] * group["lr"] * step) ** group["alpha"]
        rounded = dtypes.default().type
        return rounded(number(eta)), rounded(1 / max(1, step - group["t0"]))
