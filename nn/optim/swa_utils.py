"""Averages of a model's weights over its training, and the learning rate that goes with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.nn.modules import Module
from tinygrad_like.nn.modules.batchnorm import _BatchNorm
from tinygrad_like.nn.optim.lr_base import LRScheduler, for_each_group
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.ops.creation import tensor
from tinygrad_like.tensor import Tensor

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AverageFunction: TypeAlias = Callable[[Tensor, Tensor, Any], Tensor]
SeveralFunction: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


# ----- Averages -----------------------------------------------------------------------------------


def _refuse_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise told(
            ValueError,
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.",
        )


def get_ema_avg_fn(decay: float = 0.999) -> AverageFunction:
    """Return a function for `AveragedModel` that keeps `decay` of the average each time.

    Raises:
        ValueError: if `decay` is not in [0, 1].

    >>> import tinygrad_like as torch
    >>> average = torch.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> average(torch.tensor(4.0), torch.tensor(8.0), 1)
    tensor(5.)
    """
    _refuse_decay(decay)

    @no_grad()
    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        del count
        return decay * averaged + (1 - decay) * current  # type: ignore[no-any-return]

    return average


def get_swa_avg_fn() -> AverageFunction:
    """Return a function for `AveragedModel` in whose average all models count alike.

    >>> import tinygrad_like as torch
    >>> torch.optim.swa_utils.get_swa_avg_fn()(torch.tensor(4.0), torch.tensor(8.0), 1)
    tensor(6.)
    """

    @no_grad()
    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        return averaged + (current - averaged) / (count + 1)  # type: ignore[no-any-return]

    return average


def _several(average: AverageFunction) -> SeveralFunction:
    """Return the function that does to lists, in place, what `average` does to one tensor."""

    @no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        for mine, theirs in zip(averaged, current, strict=True):
            mine.copy_(average(mine, theirs, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> SeveralFunction:
    """Return what `get_ema_avg_fn` does, for lists of tensors, the first of which it changes.

    Raises:
        ValueError: if `decay` is not in [0, 1].
    """
    return _several(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> SeveralFunction:
    """Return what `get_swa_avg_fn` does, for lists of tensors, the first of which it changes."""
    return _several(get_swa_avg_fn())


class AveragedModel(Module):
    """A model whose weights are an average of another one's (Izmailov et al., 2018).

    Args:
        model: is copied.
        device: where the copy is to be.
        avg_fn: ``avg_fn(average, current, count)`` returns the new average of a parameter; by default
            all models count alike.
        multi_avg_fn: the same for lists of parameters, in place.
        use_buffers: average buffers too; else they are copied.

    Raises:
        AssertionError: if both functions are given.

    >>> import tinygrad_like as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> for weight in (1.0, 2.0, 6.0):
    ...     torch.nn.init.constant_(model.weight, weight)
    ...     averaged.update_parameters(model)
    Parameter containing:
    tensor([[1.]], requires_grad=True)
    Parameter containing:
    tensor([[2.]], requires_grad=True)
    Parameter containing:
    tensor([[6.]], requires_grad=True)
    >>> averaged(torch.ones(1, 1))
    tensor([[3.]], grad_fn=<AddmmBackward0>)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AverageFunction | None = None,
        multi_avg_fn: SeveralFunction | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise told(AssertionError, "Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=np.dtype(np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of `model` into the average; the first ones are copied."""
        averaged, current = self._averaged(self.module), self._averaged(model)
        if self.n_averaged.item() == 0:
            for mine, theirs in zip(averaged, current, strict=True):
                mine.copy_(theirs)
        elif self.multi_avg_fn is not None:
            by_type: dict[Any, list[tuple[Tensor, Tensor]]] = {}
            for pair in zip(averaged, current, strict=True):
                by_type.setdefault(pair[0].dtype, []).append(pair)
            for pairs in by_type.values():
                mine_all, theirs_all = map(list, zip(*pairs, strict=True))
                self.multi_avg_fn(mine_all, theirs_all, self.n_averaged)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for mine, theirs in zip(averaged, current, strict=True):
                mine.copy_(average(mine, theirs, self.n_averaged))
        if not self.use_buffers:
            for buffer, other in zip(self.module.buffers(), model.buffers(), strict=True):
                buffer.detach().copy_(other.detach())
        self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Tensor]:
        """Return those of a model's tensors that are averaged."""
        buffers: Iterable[Tensor] = model.buffers() if self.use_buffers else ()
        return [t.detach() for t in itertools.chain(model.parameters(), buffers)]


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Find the running statistics of all batch norms anew, by one pass over `loader`.

    Args:
        loader: batches, or lists or tuples whose first element is one.
        model: is called with each batch, in training mode.
        device: where batches are to be first.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momentums = [norm.momentum for norm in norms]
    training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    for batch in loader:
        if isinstance(batch, list | tuple):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for norm, momentum in zip(norms, momentums, strict=True):
        norm.momentum = momentum
    model.train(training)


# ----- The learning rate --------------------------------------------------------------------------


class SWALR(LRScheduler):
    """From the rate of each group to `swa_lr`, where it stays.

    Args:
        optimizer: whose groups' learning rates to change.
        swa_lr: the last rate; one for all groups or a list.
        anneal_epochs: calls of ``step()`` until it is reached.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        last_epoch: calls of ``step()`` so far, -1 to begin.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    >>> scheduler = torch.optim.swa_utils.SWALR(
    ...     optimizer, swa_lr=0.25, anneal_epochs=2, anneal_strategy="linear"
    ... )
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.375]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = for_each_group("swa_lr", optimizer, swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise told(
                ValueError,
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}",
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise told(
                ValueError, f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
            )
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, part: float) -> float:
        """Return how much of the way is gone after a part of the time."""
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2

    def get_lr(self) -> list[Any]:
        """Return the rate of each group for `last_epoch`."""
        self.warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = (
            self.anneal_func(max(0, min(1, count / max(1, self.anneal_epochs))))
            for count in (step - 1, step)
        )
        rates = []
        for group in self.optimizer.param_groups:
            last, lr = group["swa_lr"], group["lr"]
            first = last if before == 1 else (lr - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates
