"""RMSprop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer, Flat, constants, number
from tinygrad_like.nn.optim.optimizer import Params, refuse_lr
from tinygrad_like.tensor import Tensor

__all__ = ["RMSprop"]


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
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return tuple(names)

    def step_numbers(self, group: dict[str, Any]) -> Callable[[np.dtype[Any], float], Any]:
        """Return the numbers of `update_rule`."""
        lr, decay = number(group["lr"]), number(group["weight_decay"])
        alpha, momentum, centered = group["alpha"], group["momentum"], group["centered"]
        plain = (decay != 0, momentum > 0, centered, group["maximize"], alpha > 0.5)

        def numbers(d: np.dtype[Any], step: float) -> Any:
            del step
            weight = 1 - alpha if alpha > 0.5 else alpha
            return plain + constants(d, lr, decay, alpha, 1 - alpha, weight, group["eps"], momentum)

        return numbers

    @staticmethod
    def update_rule(
        p: Flat, g: Flat, kept: Sequence[Flat], scratch: Sequence[Flat], numbers: Any
    ) -> None:
        """Update a piece of a parameter and of its running means."""
        decays, moves, centered, maximize, near = numbers[:5]
        lr, decay, alpha, share, weight, eps, momentum = numbers[5:]
        square = kept[0]
        a, b = scratch
        if maximize:
            g = np.negative(g, a)
        if decays:
            np.multiply(p, decay, b)
            g = np.add(g, b, a)
        np.multiply(square, alpha, square)
        np.multiply(g, g, b)
        np.multiply(b, share, b)
        np.add(square, b, square)
        if centered:
            mean = kept[-1]
            np.subtract(g, mean, b)
            np.multiply(b, weight, b)
            if near:
                np.add(mean, b, mean)
            else:
                np.subtract(g, b, mean)
            np.multiply(mean, mean, b)
            np.subtract(square, b, b)
            np.sqrt(b, b)
        else:
            np.sqrt(square, b)
        np.add(b, eps, b)
        np.divide(g, b, b)
        if moves:
            buffer = kept[1]
            np.multiply(buffer, momentum, buffer)
            np.add(buffer, b, buffer)
            np.multiply(buffer, lr, b)
        else:
            np.multiply(b, lr, b)
        np.subtract(p, b, p)
