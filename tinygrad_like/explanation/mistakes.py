"""The mistake that a wrong rule was most likely made with: common ones, each tried on the numbers."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_like.explanation.recalling import NotKept
from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.explanation.trials import Trial, as_array, sent
from tinygrad_like.graph import Pick, Traced, result_type

Array = np.ndarray[Any, Any]


def likely(step: BackwardStep, trial: Trial, factor: float | None) -> str:
    """Return what a user's rule most likely got wrong, as a sentence's end; "" if that isn't known.

    Args:
        step: the step whose rule it is.
        trial: where it is wrong.
        factor: by what all that it gives would have to be multiplied, if by one number.
    """
    return next(_guesses(step, trial, factor), "")


def _guesses(step: BackwardStep, trial: Trial, factor: float | None) -> Iterator[str]:
    got, name = trial.got, step.sent[trial.i].argument
    if not got.any():
        zero = "0" if step.sent[trial.i].gradient is not None else "None"
        yield f"its backward returns {zero} for {name}, but the result changes with {name}"
    if not trial.expected.any():
        yield (
            f"rounding and comparing have the derivative 0, so no change of {name} is seen in the "
            "result; if the gradient is meant to pass (a straight-through estimator), all is well"
        )
    yield from _of_g(trial)
    yield from _of_operands(step, trial)
    yield from _of_saved(step, trial)
    if factor is not None:
        yield _of_factor(step, trial, factor)
    g = trial.gs[0] if len(trial.gs) == 1 else None
    if g is not None and g.shape == got.shape:
        for sign, told in ((1, "the term g is missing"), (-1, "the term g is too much")):
            if trial.agrees(got + sign * g):
                yield f"{told}: the derivative of a lone {name} is 1"


def of_shapes(step: BackwardStep, error: Exception) -> str:
    """Return what was most likely got wrong if a gradient has the wrong shape."""
    found = re.search(r"at index (\d+) - got \[(.*)\] but expected .* \[(.*)\]", str(error))
    if found is None:
        return ""
    index, got, expected = (
        int(found[1]),
        *(tuple(map(int, re.findall(r"\d+", part))) for part in found.groups()[1:]),
    )
    name = step.sent[index].argument
    others = [s.argument for s in step.sent if s.argument != name and s.parent is not None]
    if any(
        s.parent is not None and s.argument != name and tuple(s.parent.shape) == got
        for s in step.sent
    ):
        return (
            f"that is the shape of {' or '.join(others)}: backward returns gradients in the order of "
            "forward's arguments"
        )
    if got == expected[::-1] and len(got) > 1:
        return f"it is transposed; what {name} is sent has the shape of {name}"
    if math.prod(got) < math.prod(expected):
        return f"each element of {name} is to be sent its own: expand g to the shape of {name}"
    return f"what {name} is sent has the shape of {name}"


def _of_g(trial: Trial) -> Iterator[str]:
    """Look at what the rule makes of the gradient that arrives."""
    doubled = [None if g is None else 2 * g for g in trial.gs]
    try:
        twice, _ = sent(trial.call, trial.operands, doubled, trial.i)
    except Exception:
        return
    if np.allclose(twice, trial.got):
        yield (
            "it is the same whatever g arrives; by the chain rule the local derivative is to be "
            "multiplied by g"
        )
    elif np.allclose(twice, 4 * trial.got):
        yield "it is multiplied by g twice"


def _of_operands(step: BackwardStep, trial: Trial) -> Iterator[str]:
    """Compare with what others are sent, and with the transpose."""
    got, name = trial.got, step.sent[trial.i].argument
    for j, other in enumerate(step.sent):
        if j == trial.i or not other.wanted or as_array(trial.operands[j]).shape != got.shape:
            continue
        theirs, _ = sent(trial.call, trial.operands, trial.gs, j)
        if trial.agrees(theirs):
            yield (
                f"what it gives for {other.argument} would be right for {name}: backward returns "
                "gradients in the order of forward's arguments"
            )
    if got.ndim == 2 and len(trial.gs) == 1:
        yield from _of_products(step, trial)
    if got.ndim >= 2 and got.shape[-1] == got.shape[-2] and trial.agrees(got.swapaxes(-1, -2)):
        yield "it is the transpose of what is right"


def _of_products(step: BackwardStep, trial: Trial) -> Iterator[str]:
    """Try the orders and transposes of a product of the gradient and another operand."""
    g, name = trial.gs[0], step.sent[trial.i].argument
    for j, o in enumerate(trial.operands):
        other = as_array(o)
        if j == trial.i or g is None or g.ndim != 2 or np.ndim(other) != 2:
            continue
        called = step.sent[j].argument
        gs, others = (("g", g), ("g.T", g.T)), ((called, other), (f"{called}.T", other.T))
        for (left, a), (right, b) in [
            *itertools.product(gs, others),
            *itertools.product(others, gs),
        ]:
            fits = a.shape[1] == b.shape[0] and (len(a), b.shape[1]) == trial.got.shape
            if fits and trial.agrees(a @ b):
                yield f"{left} @ {right} would be right for {name}: mind order and transposes"


def _of_saved(step: BackwardStep, trial: Trial) -> Iterator[str]:
    """Try the rule with another tensor in the place of each that `forward` kept."""
    if not hasattr(step.node, "function"):
        return
    names = {
        j: step.sent[j].argument
        for j, o in enumerate(trial.operands)
        if isinstance(as_array(o), np.ndarray)
    }
    node: Any = step.node
    for kept in (*range(len(step._saved)), *vars(node.ctx)):
        for j in (-1, *names):
            swap = _Swap(kept, j, names)
            try:
                found, _ = sent(trial.call, trial.operands, trial.gs, trial.i, swap)
            except Exception:
                continue
            if trial.agrees(found):
                new = "the result" if j < 0 else names[j]
                yield f"with {new} kept for backward in place of {swap.old} it would be right"


class _Swap:
    """Puts the result, or an operand, in the place of something that `forward` kept.

    Args:
        kept: which saved tensor, or the name of an attribute of ``ctx``.
        j: which operand, -1 for the result.
        names: what operands are called.
    """

    def __init__(self, kept: int | str, j: int, names: dict[int, str]) -> None:
        self.kept, self.j, self.names = kept, j, names
        self.old = f"ctx.{kept}" if isinstance(kept, str) else f"saved tensor {kept}"

    def __call__(self, parts: tuple[Any, ...], leaves: list[Any]) -> None:
        node: Any = parts[0].node
        if isinstance(node, Pick):
            node = node.parents[0]
        if isinstance(self.kept, str):
            held = getattr(node.ctx, self.kept)
            if not isinstance(held, Traced):
                raise NotKept
            old = held.array
        else:
            old = node.saved[self.kept]
        everything = {-1: parts[0].array, **{j: leaves[j].array for j in self.names}}
        new = everything[self.j]
        if new.shape != old.shape or np.array_equal(new, old):
            raise NotKept
        same = [j for j, a in everything.items() if np.array_equal(a, old)]
        if same:
            self.old = "the result" if same[0] < 0 else self.names[same[0]]
        if isinstance(self.kept, str):
            setattr(node.ctx, self.kept, result_type.make(new))
        else:
            node.saved = (*node.saved[: self.kept], new, *node.saved[self.kept + 1 :])


def _of_factor(step: BackwardStep, trial: Trial, factor: float) -> str:
    """Say what a factor may come from."""
    name = step.sent[trial.i].argument
    shape = trial.got.shape
    if math.isclose(factor, -1, rel_tol=1e-3):
        return "a sign is wrong (if it is meant to be reversed, all is well)"
    results = max(g.size for g in trial.gs if g is not None)
    repeated = results // max(trial.got.size, 1)
    if repeated > 1 and math.isclose(factor, repeated, rel_tol=1e-3):
        return (
            f"each element of {name} was used {repeated} times (broadcasting): what its copies get "
            "is to be added up, not averaged or picked"
        )
    for n in sorted({*shape, trial.got.size} - {0, 1}, reverse=True):
        if math.isclose(factor, 1 / n, rel_tol=1e-3):
            return f"the 1/{n} of a mean over {n} elements is missing"
        if n > 2 and math.isclose(factor, n, rel_tol=1e-3):
            return f"it is divided by {n}, the number of elements, once too often"
    return f"the factor {factor:.4g} is missing"
