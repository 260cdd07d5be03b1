"""RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_like.jit import compiled
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.layout import LEAST, Flags, number
from tinygrad_like.nn.optim.optimizer import Params, refuse_lr
from tinygrad_like.nn.optim.passes import Flat, axpby, blockwise, scratch
from tinygrad_like.tensor import Tensor

__all__ = ["RMSprop"]


@compiled("optim.rmsprop", least=LEAST)
@blockwise
def update(
    p: Flat,
    g: Flat,
    kept: Sequence[Flat],
    numbers: Sequence[Any],
    decays: bool,
    moves: bool,
    centered: bool,
    maximize: bool,
) -> None:
    """Update a parameter, its running means and its momentum."""
    lr, decay, alpha, share, eps, momentum = numbers
    square, buffer, mean = kept
    b = scratch(p)
    if maximize:
        g = np.negative(g, scratch(p, 1))
    if decays:
        g = np.add(g, np.multiply(p, decay, b), scratch(p, 1))
    axpby(share, np.multiply(g, g, b), alpha, square, b)
    if centered:
        axpby(share, g, alpha, mean, b)
        np.multiply(mean, mean, b)
        np.subtract(square, b, b)
        np.sqrt(b, b)
    else:
        np.sqrt(square, b)
    np.add(b, eps, b)
    np.divide(g, b, b)
    if moves:
        np.multiply(buffer, momentum, buffer)
        g = np.add(buffer, b, buffer)
    else:
        g = b
    axpby(lr, g, None, p, b)


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
        differentiable: must be False.

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

    rule = staticmethod(update)
    slots: ClassVar[tuple[str, ...]] = ("square_avg", "momentum_buffer", "grad_avg")
    options: ClassVar[tuple[str, ...]] = (
        "lr",
        "momentum",
        "alpha",
        "eps",
        "centered",
        "weight_decay",
        "maximize",
    )

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
        refuse_lr(lr)
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        if not momentum >= 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not alpha >= 0.0:
            raise ValueError(f"Invalid alpha value: {alpha}")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _later_options(self) -> dict[str, Any]:
        later = {"momentum": 0, "centered": False, "capturable": False}
        return super()._later_options() | later

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the running means and of the momentum."""
        used = (True, group["momentum"] > 0, group["centered"])
        return tuple(name for name, wanted in zip(self.slots, used, strict=True) if wanted)

    def flags(self, group: dict[str, Any]) -> Flags:
        """Return which parts of the rule are to be done."""
        wanted = (bool(group[name]) for name in ("centered", "maximize"))
        return (bool(group["weight_decay"] != 0), bool(group["momentum"] > 0), *wanted)

    def numbers(self, group: dict[str, Any], step: float) -> tuple[float, ...]:
        """Return what the rule computes with."""
        del step
        lr, decay, alpha = number(group["lr"]), number(group["weight_decay"]), group["alpha"]
        return -lr, decay, alpha, 1 - alpha, group["eps"], group["momentum"]

    def ages(self, group: dict[str, Any]) -> bool:
        """Return False: all steps are alike."""
        del group
        return False
