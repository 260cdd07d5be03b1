"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_like.nn.optim.blocks import BlockOptimizer, Flat, constants, number
from tinygrad_like.nn.optim.optimizer import Params, refuse_lr
from tinygrad_like.tensor import Tensor

__all__ = ["SGD"]


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
        differentiable: must be False.
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

    counts_steps: ClassVar[bool] = False

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
        refuse_lr(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _later_options(self) -> dict[str, Any]:
        return super()._later_options() | {"nesterov": False, "fused": False}

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return ``("momentum_buffer",)`` if there is momentum."""
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def small_size(self, group: dict[str, Any]) -> int:
        """Return below how many elements it pays to gather parameters: the rule is a short one."""
        return 2048 if group["momentum"] != 0 else 512

    def step_numbers(self, group: dict[str, Any]) -> Callable[[np.dtype[Any], float], Any]:
        """Return the numbers of `update_rule`."""
        lr, decay = number(group["lr"]), number(group["weight_decay"])
        momentum, nesterov, maximize = group["momentum"], group["nesterov"], group["maximize"]
        share = 1 - group["dampening"]

        def numbers(d: np.dtype[Any], step: float) -> Any:
            plain = (decay != 0, momentum != 0, nesterov, maximize, share != 1, step == 1.0)
            return (*plain, *constants(d, lr, decay, momentum, share))

        return numbers

    @staticmethod
    def update_rule(
        p: Flat, g: Flat, kept: Sequence[Flat], scratch: Sequence[Flat], numbers: Any
    ) -> None:
        """Update a piece of a parameter and of its momentum."""
        decays, moves, nesterov, maximize, damps, first, lr, decay, momentum, share = numbers
        a, b = scratch
        if maximize:
            g = np.negative(g, a)
        if decays:
            np.multiply(p, decay, b)
            g = np.add(g, b, a)
        if moves:
            (buffer,) = kept
            if first:
                buffer[...] = g
            else:
                np.multiply(buffer, momentum, buffer)
                np.add(buffer, np.multiply(g, share, b) if damps else g, buffer)
            if nesterov:
                np.multiply(buffer, momentum, b)
                g = np.add(g, b, a)
            else:
                g = buffer
        np.multiply(g, lr, b)
        np.subtract(p, b, p)
