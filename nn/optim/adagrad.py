"""Adagrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.jit import compiled
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.layout import LEAST, Flags, number
from tinygrad_like.nn.optim.optimizer import Params, refuse_lr
from tinygrad_like.nn.optim.passes import Flat, axpby, blockwise, scratch
from tinygrad_like.tensor import Tensor

__all__ = ["Adagrad"]


@compiled("optim.adagrad", least=LEAST)
@blockwise
def update(
    p: Flat,
    g: Flat,
    kept: Sequence[Flat],
    numbers: Sequence[Any],
    decays: bool,
    maximize: bool,
) -> None:
    """Update a parameter and its sum of squares."""
    lr, decay, eps = numbers
    (total,) = kept
    b = scratch(p)
    if maximize:
        g = np.negative(g, scratch(p, 1))
    if decays:
        g = np.add(g, np.multiply(p, decay, b), scratch(p, 1))
    np.multiply(g, g, b)
    np.add(total, b, total)
    np.sqrt(total, b)
    np.add(b, eps, b)
    np.divide(g, b, b)
    axpby(lr, b, None, p, b)


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
        differentiable: must be False.
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

    rule = staticmethod(update)
    slots: ClassVar[tuple[str, ...]] = ("sum",)
    options: ClassVar[tuple[str, ...]] = ("lr", "lr_decay", "eps", "weight_decay", "maximize")

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
        refuse_lr(lr)
        if not lr_decay >= 0.0:
            raise ValueError(f"Invalid lr_decay value: {lr_decay}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not initial_accumulator_value >= 0.0:
            raise ValueError(
                f"Invalid initial_accumulator_value value: {initial_accumulator_value}"
            )
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        # Unlike the others, PyTorch's Adagrad has its state from the start.
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["step"] = result_type.make(np.zeros((), np.float32))
                state["sum"] = result_type.make(np.full_like(p.array, initial_accumulator_value))

    def _later_options(self) -> dict[str, Any]:
        return super()._later_options() | {"fused": None}

    def initial_state(self, group: dict[str, Any], name: str) -> float:
        """Return ``initial_accumulator_value``, as it was when the optimizer was made."""
        del group, name
        return self.defaults["initial_accumulator_value"]  # type: ignore[no-any-return]

    def flags(self, group: dict[str, Any]) -> Flags:
        """Return which parts of the rule are to be done."""
        return bool(group["weight_decay"] != 0), bool(group["maximize"])

    def numbers(self, group: dict[str, Any], step: float) -> tuple[float, ...]:
        """Return what the rule computes with."""
        lr = -number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        return lr, number(group["weight_decay"]), group["eps"]

    def ages(self, group: dict[str, Any]) -> bool:
        """Return True if the learning rate decays."""
        return bool(group["lr_decay"] != 0)
