"""Watching a model train: dead units, gradients that vanish or explode, steps of a wrong scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like.debug.traps import trap
from tinygrad_like.graph import RemovableHandle
from tinygrad_like.modes import thread_mode
from tinygrad_like.nn.modules.batchnorm import _BatchNorm

_RECTIFIERS = {"ReLU", "ReLU6", "Threshold", "Hardtanh"}
_SMALL, _LARGE = 1e-7, 1e3  # a gradient's norm
_SLOW, _FAST = 1e-5, 1e-1  # the size of an update, relative to the weight's


@dataclass(frozen=True)
class Finding:
    """Something that `watch` has seen.

    Attributes:
        kind: "dead units", "vanishing gradient", "exploding gradient", "large updates" or
            "small updates".
        name: the module or parameter.
        value: the share of dead units, the gradient's norm, or the update relative to the weight.
        advice: what to try.
    """

    kind: str
    name: str
    value: float
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.kind} ({self.value:.2g}); try {self.advice}"


class watch:
    """Watch a model while it is trained; a context manager.

    `report` says what was seen: units of rectifiers that were 0 for every sample, gradients that vanish
    or explode, updates that are large or small compared to the weights. What may be meant is warned of at
    once: batch norms in eval mode, steps with the whole model in eval mode.

    Args:
        model: the model; rectifiers must be modules to be seen.
        optimizer: its optimizer, without which updates are not seen.

    >>> import tinygrad_like as torch
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    >>> with torch.debug.watch(model, optimizer) as seen:
    ...     model(torch.ones(4, 2)).mean().backward()
    ...     optimizer.step()
    >>> [finding.kind for finding in seen.report()]
    ['large updates']
    """

    def __init__(self, model: Any, optimizer: Any = None) -> None:
        self.model, self.optimizer = model, optimizer
        self._matrices = {name for name, p in model.named_parameters() if p.ndim > 1}
        self._alive: dict[str, np.ndarray[Any, Any]] = {}
        self._norms: dict[str, list[float]] = {}
        self._updates: dict[str, list[float]] = {}
        self._before: dict[str, np.ndarray[Any, Any]] = {}
        self._handles: list[RemovableHandle] = []
        for name, module in model.named_modules():
            if type(module).__name__ in _RECTIFIERS:
                self._handles.append(module.register_forward_hook(self._seeing(name)))
            if isinstance(module, _BatchNorm):
                self._handles.append(module.register_forward_pre_hook(self._see_norm(name)))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self._handles.append(parameter.register_hook(self._arriving(name)))
        if optimizer is not None:
            self._handles.append(optimizer.register_step_pre_hook(self._before_step))
            self._handles.append(optimizer.register_step_post_hook(self._after_step))

    def __enter__(self) -> watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    # ----- Seeing ---------------------------------------------------------------------------------

    def _seeing(self, name: str) -> Any:
        def see(module: Any, args: Any, output: Any) -> None:
            del args
            array = output.array
            if not module.training or array.ndim < 2:
                return
            units = -1 if array.ndim == 3 else 1  # (N, L, C), but (N, C) and (N, C, H, W)
            axes = tuple(i for i in range(array.ndim) if i != units % array.ndim)
            alive = (array != 0).any(axis=axes)
            former = self._alive.get(name)
            same = former is not None and former.shape == alive.shape
            self._alive[name] = former | alive if same else alive

        return see

    def _see_norm(self, name: str) -> Any:
        def see(module: Any, args: Any) -> None:
            del args
            trained = module.weight is None or module.weight.requires_grad
            if self.model.training and not module.training and trained and thread_mode.grad:
                trap(
                    "batch norm",
                    "a batch norm is in eval mode while the model is trained",
                    "its statistics stay as they are",
                    "model.train(), or requires_grad_(False) for this layer if it is to be frozen",
                    module=f"{name} of {type(self.model).__name__}",
                )

        return see

    def _arriving(self, name: str) -> Any:
        def arrive(g: Any) -> None:
            array = g.array
            self._norms.setdefault(name, []).append(float(np.linalg.norm(array.ravel())))

        return arrive

    def _before_step(self, *_: Any) -> None:
        if not self.model.training:
            trap(
                "eval",
                "the model is trained in eval mode",
                "dropout is off, and batch norms learn no statistics",
                "model.train() after each validation",
                module=type(self.model).__name__,
            )
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None:
                self._before[name] = parameter.array.copy()

    def _after_step(self, *_: Any) -> None:
        for name, parameter in self.model.named_parameters():
            former = self._before.pop(name, None)
            if former is None or former.ndim < 2:  # what begins at 0 has no scale
                continue
            size = float(np.linalg.norm(former.ravel()))
            if size:
                change = float(np.linalg.norm((parameter.array - former).ravel()))
                self._updates.setdefault(name, []).append(change / size)

    # ----- Telling --------------------------------------------------------------------------------

    def report(self) -> list[Finding]:
        """Return what was seen so far, the modules' order kept."""
        found = []
        for name, alive in self._alive.items():
            dead = 1 - float(alive.mean())
            if dead:
                advice = "a smaller learning rate, LeakyReLU, or another initialisation"
                found.append(Finding("dead units", name, dead, advice))
        for name, norms in self._norms.items():
            norm = float(np.median(norms))
            if not norm <= _LARGE:
                advice = "nn.utils.clip_grad_norm_, a smaller learning rate, or a norm layer before"
                found.append(Finding("exploding gradient", name, norm, advice))
            elif norm < _SMALL and name in self._matrices:  # a bias before a norm layer has none
                advice = "ReLU instead of sigmoid or tanh, a norm layer, or a residual connection"
                found.append(Finding("vanishing gradient", name, norm, advice))
        for name, ratios in self._updates.items():
            ratio = float(np.median(ratios))
            if not ratio <= _FAST:
                advice = "a learning rate a tenth as large: about 0.001 is usual"
                found.append(Finding("large updates", name, ratio, advice))
            elif ratio < _SLOW:
                advice = "a learning rate ten times as large: about 0.001 is usual"
                found.append(Finding("small updates", name, ratio, advice))
        return found

    def __str__(self) -> str:
        found = self.report()
        return "\n".join(map(str, found)) if found else "nothing suspicious was seen"
