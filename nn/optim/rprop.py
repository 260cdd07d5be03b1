"""Rprop."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like.lines import told
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.optimizer import Params, refuse, settings
from tinygrad_like.nn.optim.rules import elementwise, where
from tinygrad_like.tensor import Tensor

__all__ = ["Rprop"]


@elementwise("rprop")
def rule(p: Any, g: Any, kept: Any, numbers: Any, flags: Any) -> Any:
    """``s = s η₊ or s η₋, by whether the gradient kept its sign;  p = p - sign(g) s``."""
    former, size = kept
    grow, same, shrink, zero, least, most = numbers
    (maximize,) = flags
    if maximize:
        g = -g
    turn = g * former
    factor = where(turn > zero, grow, where(turn < zero, shrink, same))
    size = np.minimum(np.maximum(size * factor, least), most)
    g = where(turn < zero, zero, g)  # wait before the way back
    return p - np.sign(g) * size, (g, size)


class Rprop(BlockOptimizer):
    """Steps by the gradient's sign alone, each element's of a size of its own (Riedmiller, 1993).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: learning rate.
        etas: the factors of a step size when the sign changes, and when it stays.
        step_sizes: the smallest and the largest one.
        maximize: go uphill.
        foreach: accepted; there is one implementation.
        capturable: accepted; it has no meaning on the CPU.
        differentiable: record the step, for gradients through it.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.Rprop([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.5000], requires_grad=True)
    """

    rule = staticmethod(rule)
    slots: ClassVar[dict[str, str | None]] = {"prev": None, "step_size": None}
    switches: ClassVar[tuple[str, ...]] = ("maximize",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise told(ValueError, f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, settings(locals()))

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with."""
        del step, scalars
        return group["etas"][1], 1.0, group["etas"][0], 0.0, *group["step_sizes"]

    def initial_state(self, group: dict[str, Any], name: str) -> Any:
        """Return the first step size, or zero."""
        return group["lr"] if name == "step_size" else 0.0

    def ages(self, group: dict[str, Any]) -> bool:
        """Return False: all steps are alike."""
        del group
        return False
