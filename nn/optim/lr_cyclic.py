"""Schedules in which the learning rate rises as well as falls."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn.optim.lr_base import LRScheduler, current, for_each_group, put, refuse_other
from tinygrad_like.nn.optim.optimizer import Optimizer


class _WithMomentum(LRScheduler):
    """What schedules share that move momentum (Adam's first beta) against the learning rate."""

    use_beta1: bool

    def _prepare_momentum(
        self, optimizer: Optimizer, base: Any, largest: Any, last_epoch: int
    ) -> tuple[list[float], list[float]]:
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise told(
                ValueError,
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled",
            )
        self.use_beta1 = "betas" in optimizer.defaults
        bases = for_each_group("base_momentum", optimizer, base)
        tops = for_each_group("max_momentum", optimizer, largest)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
                self._put_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low
        return bases, tops

    def _put_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class OneCycleLR(_WithMomentum):
    """Up to `max_lr` and far down again, once, with momentum the other way round (Smith, 2018).

    Args:
        optimizer: whose groups' learning rates to change.
        max_lr: the top; one for all groups or a list.
        total_steps: calls of ``step()`` in all; or give `epochs` and `steps_per_epoch`.
        epochs: how many epochs there are.
        steps_per_epoch: calls of ``step()`` in each.
        pct_start: the part of all steps in which the rate rises, a float in [0, 1].
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: move momentum from `max_momentum` to `base_momentum` and back.
        base_momentum: momentum at the top of the rate.
        max_momentum: momentum at the start and at the end.
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last rate is the first one divided by this.
        three_phase: fall to the first rate as fast as it rose, and only then to the last one.
        last_epoch: calls of ``step()`` so far, -1 to begin.

    Raises:
        ValueError: if an option is out of range, or there are more steps than announced.

    >>> import tinygrad_like as torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     rate = scheduler.get_last_lr()[0]
    ...     scheduler.step()
    >>> rate
    1.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        refuse_other(optimizer)
        self.optimizer = optimizer
        if total_steps is not None:
            self.total_steps = _positive("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = _positive("epochs", epochs)
            self.total_steps *= _positive("steps_per_epoch", steps_per_epoch)
        else:
            raise told(
                ValueError, "You must define either total_steps OR (epochs AND steps_per_epoch)"
            )
        if not isinstance(pct_start, float) or pct_start < 0 or pct_start > 1:
            raise told(ValueError, f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise told(
                ValueError,
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}",
            )
        self._anneal_func_type = anneal_strategy
        rising = float(pct_start * self.total_steps)
        last = self.total_steps - 1
        self._schedule_phases = [_phase(rising - 1, "initial_lr max_lr", "max base")]
        if three_phase:
            self._schedule_phases += [
                _phase(
                    float(2 * pct_start * self.total_steps) - 2, "max_lr initial_lr", "base max"
                ),
                _phase(last, "initial_lr min_lr", "max max"),
            ]
        else:
            self._schedule_phases.append(_phase(last, "max_lr min_lr", "base max"))
        tops = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
        return (end - start) * part + start

    def get_lr(self) -> list[Any]:
        """Return the rate of each group for `last_epoch`, and set its momentum."""
        self.warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise told(
                ValueError,
                f"Tried to step {step} times. The specified number of total steps is {self.total_steps}",
            )
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        part = (step - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends = (group[phase["start_momentum"]], group[phase["end_momentum"]])
                self._put_momentum(group, self._between(*ends, part))
        return rates


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise told(ValueError, f"Expected positive integer {name}, but got {value}")
    return value


def _phase(end_step: float, rates: str, momentums: str) -> dict[str, Any]:
    (start_lr, end_lr), (start, end) = rates.split(), momentums.split()
    return {
        "end_step": end_step,
        "start_lr": start_lr,
        "end_lr": end_lr,
        "start_momentum": f"{start}_momentum",
        "end_momentum": f"{end}_momentum",
    }


class CyclicLR(_WithMomentum):
    """Up and down between two rates in a triangle, again and again (Smith, 2017).

    Args:
        optimizer: whose groups' learning rates to change.
        base_lr: the bottom; one for all groups or a list.
        max_lr: the top; one for all groups or a list.
        step_size_up: calls of ``step()`` from bottom to top.
        step_size_down: and back, by default as many.
        mode: ``"triangular"``, ``"triangular2"`` (half as high each time) or ``"exp_range"``
            (times ``gamma**step``).
        gamma: see `mode`.
        scale_fn: a function to use instead of `mode`.
        scale_mode: what `scale_fn` is given: ``"cycle"`` or ``"iterations"``.
        cycle_momentum: move momentum the other way round.
        base_momentum: momentum at the top of the rate.
        max_momentum: momentum at the bottom of the rate.
        last_epoch: calls of ``step()`` so far, -1 to begin.

    Raises:
        ValueError: if `mode` is unknown or the optimizer has no momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        refuse_other(optimizer)
        self.optimizer = optimizer
        bottoms = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, bottom in zip(optimizer.param_groups, bottoms, strict=True):
                put(group, "lr", bottom)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise told(ValueError, "mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._prepare_momentum(
                optimizer, base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bottoms

    def scale_fn(self, x: float) -> float:
        """Return the height of the triangle, 1 being the full one."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return float(2.0 ** (1 - x))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Any]:
        """Return the rate of each group for `last_epoch`, and set its momentum."""
        self.warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            ends = zip(groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ends:
                self._put_momentum(group, high - (high - low) * height * scale)
        rates = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * scale for low, high in rates]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and a plain function; an object is saved."""
        function = self._scale_fn_custom
        plain = function is None or isinstance(function, types.FunctionType)
        saved = None if plain else function.__dict__.copy()
        return super().state_dict() | {"_scale_fn_custom": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; a plain function stays as it is."""
        saved = state_dict["_scale_fn_custom"]
        if saved is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(saved)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min`, again and again (Loshchilov and Hutter, 2017).

    Args:
        optimizer: whose groups' learning rates to change.
        T_0: epochs until the first restart.
        T_mult: each time takes this many times as long as the one before.
        eta_min: the bottom.
        last_epoch: calls of `step` so far, -1 to begin.

    Raises:
        ValueError: if `T_0` or `T_mult` is no positive integer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise told(ValueError, f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise told(ValueError, f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, float | int):
            raise told(
                ValueError,
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}",
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Return the rate of each group for `last_epoch`."""
        self.warn_outside_step()
        wave = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * wave / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to `epoch`, which may lie between two.

        Raises:
            ValueError: if `epoch` is negative.
        """
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                raise told(ValueError, f"Expected non-negative epoch, but got {epoch}")
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        self._get_lr_called_within_step = True
        try:
            values = self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        self.put_all(values)
        self._last_lr = current(self.optimizer)

    def _go_to(self, epoch: float) -> None:
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            times = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            begun = self.T_0 * (self.T_mult**times - 1) / (self.T_mult - 1)
            self.T_cur = epoch - begun
            self.T_i = self.T_0 * self.T_mult**times
