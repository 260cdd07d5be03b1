"""What every schedule of the learning rate shares."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from tinygrad_like.lines import told
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.tensor import Tensor

Group: TypeAlias = dict[str, Any]

EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler. During the deprecation, if epoch "
    "is different from None, the closed form is used instead of the new chainable form, where "
    "available."
)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def current(optimizer: Optimizer, key: str = "lr") -> list[Any]:
    """Return an option of each group, tensors copied."""
    return [_copy(group[key]) for group in optimizer.param_groups]


def put(group: Group, key: str, value: Any) -> None:
    """Set an option of a group; a tensor stays the same tensor."""
    if isinstance(group[key], Tensor):
        group[key].array[...] = float(value)
    else:
        group[key] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """Return a value for each group from one or a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        value = [value] * count
    elif len(value) != count:
        raise told(
            ValueError,
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} "
            f"values, param_groups has {count}.",
        )
    return [_copy(v) for v in value]


def refuse_other(optimizer: Any) -> None:
    """Raise if `optimizer` is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise told(TypeError, f"{type(optimizer).__name__} is not an Optimizer")


def state_of(functions: Sequence[Any]) -> list[Any]:
    """Return the state of functions that are objects; plain functions can't be saved."""
    return [None if isinstance(f, types.FunctionType) else f.__dict__.copy() for f in functions]


class LRScheduler:
    """The base of schedules; a subclass defines `get_lr`.

    Args:
        optimizer: whose groups' learning rates to change.
        last_epoch: calls of `step` so far, -1 to begin.

    Attributes:
        base_lrs: the rate each group began with.
        last_epoch: calls of `step` so far.

    Raises:
        TypeError: if `optimizer` is no `Optimizer`.
        KeyError: if `last_epoch` is given and the groups don't know their first rates.
    """

    base_lrs: list[Any]
    _last_lr: list[Any]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        refuse_other(optimizer)
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif "initial_lr" not in group:
                raise told(
                    KeyError,
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming "
                    "scheduler with last_epoch >= 0; load the optimizer's state first, or leave "
                    "last_epoch at -1 for a fresh run",
                )
        self.base_lrs = current(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._get_lr_called_within_step = False
        if not optimizer._scheduled:  # steps before the first schedule don't count
            optimizer._scheduled, optimizer._opt_called = True, False
            optimizer._step_then = optimizer.__dict__.get("step")
        self.start()

    def start(self) -> None:
        """Take the step that puts the first rates in place."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """Return the rate each group has now."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """Return the rate of each group for `last_epoch`; a subclass says how."""
        raise NotImplementedError

    def warn_outside_step(self) -> None:
        """Warn if `get_lr` is called by the user, who wants `get_last_lr`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch (or step, as you like to count); call it after ``optimizer.step()``."""
        if self._step_count == 1 and self.optimizer.__dict__.get("step") is not (
            self.optimizer._step_then
        ):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Please, make sure to call `optimizer.step()` before "
                "`lr_scheduler.step()`.",
                UserWarning,
                stacklevel=2,
            )
        elif self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 "
                "and later, you should call them in the opposite order: `optimizer.step()` before "
                "`lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping the first "
                "value of the learning rate schedule.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
        self.update_lr(epoch)

    def update_lr(self, epoch: int | None = None) -> None:
        """Set the rates for the next epoch, or for `epoch`."""
        self._get_lr_called_within_step = True
        try:
            closed = getattr(self, "_get_closed_form_lr", None)
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = self.get_lr() if closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        self.put_all(values)

    def put_all(self, values: Iterable[Any]) -> None:
        """Set the rate of each group."""
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            put(group, "lr", lr)
        self._last_lr = current(self.optimizer)

    def scaled(self, factor: float) -> list[Any]:
        """Return the rate of each group times `factor`."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]
