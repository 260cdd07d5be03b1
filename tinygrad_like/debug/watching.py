"""Watching a model train: dead units, gradients that vanish or explode, steps of a wrong scale."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like.debug.traps import spoken, trap
from tinygrad_like.graph import Node, RemovableHandle, Traced
from tinygrad_like.lines import Line, line_number
from tinygrad_like.modes import thread_mode
from tinygrad_like.nn.hooks import Scope, module_of, record_modules
from tinygrad_like.nn.modules.batchnorm import _BatchNorm
from tinygrad_like.stamps import tick

_RECTIFIERS = {"relu", "hardtanh", "threshold"}  # ops; `ReLU6` is a hardtanh
_LATELY = 32  # forwards in which a unit that is dead was not alive once
_MANY, _MORE = 0.5, 0.25  # dead units, and dead units more than at the beginning
_VANISHED, _NOTHING = 1e-4, 1e-7  # a gradient's norm relative to the largest, and at most
_EXPLODED, _ONCE = 1e3, 1e5  # a gradient's norm in one step of ten, and in a single one
_SLOW, _USUAL, _FAST, _LEAP = 1e-5, 1e-3, 1e-1, 1.0  # an update relative to its weight

_LITTLE_ARRIVES = (
    "what is learned there is next to nothing beside the layer that learns most",
    "ReLU instead of sigmoid or tanh, a norm layer, or a residual connection",
)
_NOTHING_ARRIVES = (
    "nothing is learned there",
    "looking for what the loss doesn't depend on, or is multiplied by 0: rectifiers, masks, weights of 0",
)


@dataclass(frozen=True)
class Finding:
    """Something that `watch` has seen.

    Attributes:
        kind: "dead units", "exploding gradient", "vanishing gradient", "large updates" or
            "small updates".
        name: the module or parameter.
        value: the share of dead units, the gradient's norm, or the update relative to the weight.
        reason: why it hurts.
        advice: what to try.
    """

    kind: str
    name: str
    value: float
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self._measured()}\n  because {self.reason}\n  try {self.advice}"

    def _measured(self) -> str:
        share = self.kind == "dead units"
        return f"{self.name} ({self.value:.0%})" if share else f"{self.name} ({self.value:.2g})"


class watch:
    """Watch a model while it is trained; a context manager.

    `report` says what was seen, and printing the watch what it means: units of rectifiers that were 0 for
    every sample lately, gradients that explode or are nearly nothing beside those of other layers,
    updates that are large or small compared to the weights. What may be meant is warned of at once:
    batch norms in eval mode, steps with the whole model in eval mode.

    While it watches, steps of small networks take two and a half times as long, those of large ones a third
    more.

    Args:
        model: the model.
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
        self._names = {id(module): name for name, module in model.named_modules()}
        self._wanting = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self._units: dict[_Place, _Units] = {}
        self._norms: dict[str, list[float]] = {name: [] for name, _ in self._wanting}
        self._updates: dict[str, list[float]] = {name: [] for name, _ in self._wanting}
        self._before: dict[str, np.ndarray[Any, Any]] = {}
        self._calls: list[tuple[int, AbstractContextManager[Any], list[Scope]]] = []
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(self._enter),
            model.register_forward_hook(self._leave, always_call=True),
        ]
        for name, module in model.named_modules():
            if isinstance(module, _BatchNorm):
                self._handles.append(module.register_forward_pre_hook(self._see_norm(name)))
        for name, parameter in self._wanting:
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

    def _enter(self, model: Any, args: Any) -> None:
        del model, args
        recorder = record_modules()
        self._calls.append((tick(), recorder, recorder.__enter__()))

    def _leave(self, model: Any, args: Any, output: Any) -> None:
        del args
        if not self._calls:
            return  # watching began in the middle of a call
        start, recorder, scopes = self._calls.pop()
        recorder.__exit__(None, None, None)
        if not model.training:
            return
        alive: dict[_Place, Any] = {}
        for node in _recorded(output, start):
            if (
                node.op is not None
                and node.op.name in _RECTIFIERS
                and node.saved
                and not node.packs
            ):
                units = _alive(node)
                inner = module_of(scopes, node.tick)
                own = inner is not None and type(inner).__module__.startswith("tinygrad_like.")
                place = _Place(
                    self._names.get(id(inner), ""), None if own else node.line, units.size
                )
                alive[place] = alive[place] | units if place in alive else units
        for place, units in reversed(alive.items()):  # in the order of the forward
            self._units.setdefault(place, _Units()).add(units)

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
                    module=spoken(self.model, name),
                )

        return see

    def _arriving(self, name: str) -> Any:
        norms = self._norms[name]
        return lambda g: norms.append(float(np.linalg.norm(g.array.ravel())))

    def _before_step(self, *_: Any) -> None:
        if not self.model.training:
            trap(
                "eval",
                "the model is trained in eval mode",
                "dropout is off, and batch norms learn no statistics",
                "model.train() after each validation",
                module=spoken(self.model, ""),
            )
        for name, parameter in self._wanting:
            if parameter.grad is not None:
                self._before[name] = parameter.array.copy()

    def _after_step(self, *_: Any) -> None:
        for name, parameter in self._wanting:
            former = self._before.pop(name, None)
            if former is None or former.ndim < 2:  # what begins at 0 has no scale
                continue
            # Nor has a matrix that begins at 0: compared to what is usual it has.
            usual = 0.25 * math.sqrt(former.shape[0])
            with np.errstate(all="ignore"):  # there may be infinities
                change = float(np.linalg.norm((parameter.array - former).ravel()))
                size = max(float(np.linalg.norm(former.ravel())), usual)
                self._updates[name].append(float(np.float64(change) / size))

    # ----- Telling --------------------------------------------------------------------------------

    def report(self) -> list[Finding]:
        """Return what was seen so far, by kind, the modules' order kept."""
        return [*self._dead(), *self._gradients(), *self._steps()]

    def _dead(self) -> Iterator[Finding]:
        for place, units in self._units.items():
            first, last = units.shares()
            if last >= _MANY or last - first >= _MORE:
                yield Finding(
                    "dead units",
                    str(place),
                    last,
                    "they are 0 for every sample, so no gradient goes through them and they stay so",
                    "a smaller learning rate, LeakyReLU, or another initialisation",
                )

    def _gradients(self) -> Iterator[Finding]:
        norms = {name: np.array(found) for name, found in self._norms.items() if found}
        for name, found in norms.items():
            finite = np.isfinite(found)
            wrong = not finite.all()
            if wrong or np.quantile(found, 0.9) > _EXPLODED or found.max() > _ONCE:
                first = int(np.argmin(finite)) + 1
                since = f"; it is nan or inf since backward {first}" if wrong else ""
                largest = float(found[finite].max()) if finite.any() else math.nan
                yield Finding(
                    "exploding gradient",
                    name,
                    largest,
                    f"one step of that size undoes what was learned{since}",
                    "nn.utils.clip_grad_norm_, a smaller learning rate, or a norm layer before",
                )
        blocked = any(self._dead())  # which is why some gradients are exactly 0
        for name, share in self._relative().items():
            most = norms[name].max()
            if (most < _NOTHING and not (blocked and most == 0)) or 0 < share < _VANISHED:
                reason, advice = _NOTHING_ARRIVES if not most else _LITTLE_ARRIVES
                size = float(np.median(norms[name]))
                yield Finding("vanishing gradient", name, size, reason, advice)

    def _relative(self) -> dict[str, float]:
        """Return for each matrix how large its gradient usually is beside the largest."""
        sizes = {
            name: float(np.median(self._norms[name]))
            for name, p in self._wanting
            if p.ndim > 1 and self._norms[name]  # a bias before a norm layer has none
        }
        largest = max(sizes.values(), default=0.0)
        return {name: size / largest if largest else 0.0 for name, size in sizes.items()}

    def _steps(self) -> Iterator[Finding]:
        relative = self._relative()
        exploded = {f.name for f in self._gradients() if f.kind == "exploding gradient"}
        for name, ratios in self._updates.items():
            if not ratios or name in exploded:
                continue
            median, most = float(np.median(ratios)), max(ratios)
            if not (most <= _LEAP and median <= _FAST):
                value = median if most <= _LEAP else most
                yield Finding(
                    "large updates",
                    name,
                    value,
                    "a step changes that share of the weight, so it undoes what was learned",
                    f"a learning rate {_times(value)}: updates of 0.001 are usual",
                )
            elif np.quantile(ratios, 0.9) < _SLOW and relative.get(name, 1.0) > 0.01:
                yield Finding(
                    "small updates",
                    name,
                    median,
                    "a step changes no more than that share of the weight, so nothing is learned",
                    f"a learning rate {_times(median)}: updates of 0.001 are usual",
                )

    def __str__(self) -> str:
        if not any(self._norms.values()) and not self._units:
            return "nothing was seen: no gradient arrived while the model was watched"
        kinds: dict[str, list[Finding]] = {}
        for finding in self.report():
            kinds.setdefault(finding.kind, []).append(finding)
        texts = [_together(found) for found in kinds.values()]
        return "\n".join(texts) if texts else "nothing suspicious was seen"


def _together(found: list[Finding]) -> str:
    """Return one text for findings of a kind: the worst one's, and the others' names."""
    worst = (min if found[0].kind.startswith(("van", "small")) else max)(
        found, key=lambda f: f.value
    )
    measured = [f._measured() for f in found]
    if len(measured) > 4:
        measured[2:-1] = [f"... {len(measured) - 3} more ..."]
    return str(worst).replace(worst._measured(), ", ".join(measured), 1)


def _times(ratio: float) -> str:
    """Return how many times as large a learning rate should be."""
    if not ratio or not math.isfinite(ratio):
        return "much smaller" if ratio else "much larger"
    power = round(math.log10(_USUAL / ratio))
    return f"{10**power} times as large" if power > 0 else f"1/{10**-power} as large"


# ----- Units --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where units are: in a module, and if that is the user's own at a line of it."""

    path: str
    line: Line | None
    count: int

    def __str__(self) -> str:
        if self.line is None:
            return self.path
        where = f"{os.path.basename(self.line[0].co_filename)}:{line_number(self.line)}"
        return f"{self.path} at {where}" if self.path else where


class _Units:
    """Which of a rectifier's units were alive, in the first and in the latest forwards."""

    def __init__(self) -> None:
        self._first: list[Any] = []
        self._last: deque[Any] = deque(maxlen=_LATELY)

    def add(self, alive: Any) -> None:
        """Note which units were alive in a forward."""
        if len(self._first) < _LATELY:
            self._first.append(alive)
        self._last.append(alive)

    def shares(self) -> tuple[float, float]:
        """Return the shares of dead units at the beginning and lately."""
        first, last = (1 - np.any(list(of), axis=0).mean() for of in (self._first, self._last))
        return float(first), float(last)


def _alive(node: Node) -> Any:
    """Return for each unit whether a gradient passes for some sample."""
    assert node.saved is not None
    kept = node.saved[0]
    passing = kept != 0 if node.op.name == "relu" else node.op.forward(*node.saved) == kept
    if passing.ndim < 2:
        return np.ravel(passing)
    before = node.parents[0]
    spread = passing.ndim > 3 or (before is not None and "Conv" in before.label)
    units = 1 if spread or passing.ndim == 2 else -1  # (N, C, ...), but (N, L, C)
    return np.moveaxis(passing, units, -1).reshape(-1, passing.shape[units]).any(0)


def _recorded(output: Any, start: int) -> Iterator[Node]:
    """Yield the operations that made a model's output, of those recorded since a tick."""
    waiting = [o.node for o in _tensors(output) if o.node is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.tick > start:
            yield node
            new = [p for p in node.parents if p is not None and p not in seen]
            seen.update(new)
            waiting += new


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, Traced):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)
