"""Time what it costs to look: the same steps with lines, hooks or a search for nan, and without."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import tinygrad_like as t
from benchmarks.timing import rounds
from tinygrad_like import autograd, debug, nn

REPEATS = 20  # of an expression in a step: one operation is too short to be timed


class Case(NamedTuple):
    """An expression that is run without looking and with it."""

    expression: str
    share: int  # what the difference is divided by: operations, calls or gradients
    off: Callable[[], AbstractContextManager[Any]]
    on: Callable[[], AbstractContextManager[Any]]


class Net(nn.Module):
    """A model whose layers its own forward calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        """Return the scores."""
        return self.second(self.first(x).relu())


def _deep(layers: int, depth: int) -> nn.Module:
    model: nn.Module = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))
    for _ in range(depth - 1):
        model = nn.Sequential(model)
    return model


def _product(x: Any, y: Any) -> Any:
    for _ in range(10):
        x = x * y
    return x.sum()


X, Y = t.ones(2, 4, requires_grad=True), t.ones(2, 4, requires_grad=True)
LAYER = nn.Linear(4, 4)
NAMES = {"x": X, "y": Y, "layer": LAYER, "net": Net(), "deep": _deep(8, 4)}
NAMES |= {"product": _product, "grad": autograd.grad}


def _hook(*_: Any) -> None:
    """Look, and change nothing."""


def _hooked(register: Callable[[Any], Any]) -> Callable[[], AbstractContextManager[Any]]:
    @contextmanager
    def active() -> Iterator[None]:
        with register(_hook):
            yield

    return active


@contextmanager
def _anomaly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mode = autograd.detect_anomaly()
    with mode:
        yield


def _lines(expression: str, share: int = 1) -> Case:
    return Case(expression, share, lambda: debug.set_trace_lines(False), nullcontext)


def _others(expression: str, on: Any, share: int = 1) -> Case:
    return Case(expression, share, nullcontext, on)


# All on eight numbers, where nothing but overhead counts.
CASES = {
    "lines: `x * y`": _lines("x * y"),
    "lines: `x.sum()`": _lines("x.sum()"),
    "lines: `x[0]`": _lines("x[0]"),
    "lines: a `Linear`": _lines("layer(x)"),
    "lines: a model of 3 operations": _lines("net(x)", 3),
    "lines: 8 layers, 4 `Sequential` deep": _lines("deep(x)", 8),
    "a tensor's hook": _others("grad((x * y).sum(), x)", _hooked(X.register_hook)),
    "a module's forward hook": _others("layer(x)", _hooked(LAYER.register_forward_hook)),
    "a module's backward hook": _others(
        "grad(layer(x).sum(), x)", _hooked(LAYER.register_full_backward_hook)
    ),
    "hooks on what 11 operations save": _others(
        "grad(product(x, y), x)",
        lambda: autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: v),
        11,
    ),
    "`detect_anomaly`, 11 operations": _others("grad(product(x, y), x)", _anomaly, 11),
}


def step_of(case: Case) -> Callable[[], None]:
    """Return a function that runs a case's expression many times, as a line of a program."""
    code = f"def step():\n    for _ in range({REPEATS}):\n        {case.expression}\n"
    scope: dict[str, Any] = {}
    exec(code, NAMES, scope)
    return scope["step"]  # type: ignore[no-any-return]


def page(seconds: float, wanted: list[str]) -> dict[str, Any]:
    """Time every case whose title contains one of the wanted words (all without any)."""
    results = {}
    for title, case in CASES.items():
        if wanted and not any(word in title for word in wanted):
            continue
        step = step_of(case)
        for active in (case.off, case.on):
            with active():
                step()
        times = rounds({"off": (step, case.off), "on": (step, case.on)}, seconds, block=0.002)
        found = {key: [time / REPEATS for time in several] for key, several in times.items()}
        results[title] = {"times": found, "share": case.share}
    return results
