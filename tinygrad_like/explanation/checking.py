"""Each node's gradient rule against finite differences, so that a wrong one is named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like import jit, lines
from tinygrad_like.explanation.mistakes import likely, of_shapes
from tinygrad_like.explanation.recalling import (
    NotKept,
    Values,
    calls_of_function,
    calls_of_op,
    is_ours,
    known,
)
from tinygrad_like.explanation.steps import BackwardStep
from tinygrad_like.explanation.trials import Trial, as_array, attempt, changed


@dataclass
class Check:
    """What finite differences say of one rule.

    Attributes:
        step: the step whose rule it is; `op` is the operation's name.
        argument: the operand's name.
        right: True or False; None if it could not be checked, for the `reason`.
        got: what the rule gives, in float64: an array, or for large operands its products with a
            few random directions.
        expected: what finite differences give.
        worst: of a wrong rule's gradient the element that is most wrong: its index, what the rule
            gives there, and what finite differences give.
        given: where it was tried, if not on the user's own numbers: a user's rule must also be
            right for other gradients, and beside the numbers it met.
        likely: the most likely mistake, if it is one of those that are known.
        reason: why it could not be checked, or the error that the rule raised.
        place: file and line of a rule that is the user's own.

    >>> import tinygrad_like as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * x
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> print(torch.explain(Square.apply(x).sum(), check=True, show=False).wrong)  # doctest: +ELLIPSIS
    Square's rule for x is wrong
      it gives  [1, 2]
      expected  [2, 4], by finite differences, which is 2 times that
      likely    the factor 2 is missing
      rule      at ...
    """

    step: BackwardStep
    argument: str
    right: bool | None
    got: Any = None
    expected: Any = None
    worst: tuple[tuple[int, ...], float, float] | None = None
    given: str = ""
    likely: str = ""
    reason: str = ""
    place: str = ""

    @property
    def op(self) -> str:
        """The operation's name."""
        return self.step.op

    @property
    def title(self) -> str:
        """Which rule it is."""
        return f"{self.op}'s rule" + (f" for {self.argument}" if self.argument else "")

    @property
    def verdict(self) -> str:
        """Whether it is right, in a word or two."""
        return {True: "right", False: "wrong", None: "not checked"}[self.right]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What there is to say of a wrong rule, as labels and texts."""
        if self.right is not False:
            return []
        if self.got is None:
            found = [("raised", self.reason)]
        else:
            got, expected = self.told
            found = [("tried", self.given), ("it gives", got)]
            found.append(("expected", f"{expected}, by finite differences{self.factor}"))
        found += [("likely", self.likely), ("rule", f"at {self.place}" if self.place else "")]
        return [(label, text) for label, text in found if text]

    @property
    def told(self) -> tuple[str, str]:
        """What the rule gives and what differences give: all of a few numbers, else the worst one."""
        from tinygrad_like.explanation.names import FEW, shown

        sent = next(s for s in self.step.sent if s.argument == self.argument)
        shape = () if sent.parent is None else sent.parent.shape
        if self.worst is None or math.prod(shape) <= FEW or sent.gradient is None:
            return "None" if sent.gradient is None else shown(self.got), shown(self.expected)
        index, got, expected = self.worst
        return f"{shown(got)} at [{', '.join(map(str, index))}]", shown(expected)

    @property
    def factor(self) -> str:
        """A hint if all numbers are wrong by one factor."""
        if not self.right and self.got is not None and (times := _factor(self.got, self.expected)):
            return f", which is {times:.4g} times that"
        return ""

    def __str__(self) -> str:
        from tinygrad_like.explanation.rendering import table

        if self.right is None:
            return f"{self.title} was not checked: {self.reason}"
        return "\n".join([f"{self.title} is {self.verdict}", *table(self.lines, "  ")])

    def __repr__(self) -> str:
        return f"<Check: {self.title} is {self.verdict}>"


def _factor(got: Any, expected: Any) -> float | None:
    """Return by what all numbers are wrong, None if that is no single factor."""
    apart = np.abs(got) > 1e-6 * np.abs(expected).max(initial=0.0)
    if not apart.any() or np.abs(expected[~apart]).max(initial=0.0) > 1e-6 * np.abs(got).max():
        return None
    ratios = expected[apart] / got[apart]
    if np.ptp(ratios) > 1e-3 * np.abs(ratios).max() or abs(ratios.mean()) < 1e-6:
        return None
    return float(ratios.mean())


def check_steps(steps: Sequence[BackwardStep]) -> list[Check]:
    """Compare the rules of all operations with central differences in float64, in the steps' order."""
    values = known(steps)
    with (
        np.errstate(all="ignore"),
        jit.disabled(),
    ):  # which nobody compiles for float64 just for this
        operations = (step for step in steps if step.kind == "operation")
        return [check for step in operations for check in _check(step, values)]


def raised(step: BackwardStep, error: Exception) -> Check:
    """Return what is to be said of a user's rule that raised an error."""
    reason = f"{type(error).__name__}: {str(error).rstrip('.')}"
    place = place_of_rule(step.node)
    return Check(step, "", False, reason=reason, place=place, likely=of_shapes(step, error))


def place_of_rule(node: Any, argument: str = "") -> str:
    """Return where a user's own rule, for `argument` if there are several, stands; "" for the package's."""
    function = getattr(node, "function", None)
    if function is None and node.op is None:
        return ""
    rules = [function._gradients()] if function is not None else [*node.op.rules.values()]
    if function is None and argument in node.op.rules:
        rules = [node.op.rules[argument]]
    for rule in rules:
        code = getattr(rule, "__code__", None)
        if code is not None and not is_ours(rule):
            return lines.location(code.co_filename, code.co_firstlineno)
    return ""


_SYMMETRIC = "its matrix is symmetric, and finite differences would vary its halves apart"

# Ops whose gradient is not, on purpose, what finite differences give.
_ON_PURPOSE = {
    "cholesky": _SYMMETRIC,
    "ctc_loss": "its gradient counts on a log_softmax before it",
    "eigh": _SYMMETRIC,
    "eigvalsh": _SYMMETRIC,
}


def _excused(step: BackwardStep) -> str:
    """Return why an op's rule is not compared, "" if it is."""
    op = step.node.op
    if op is None or not is_ours(op.forward):
        return ""
    if op.name == "embedding" and step._saved[list(op.saves).index("padding_idx")] is not None:
        return "the row for padding is sent nothing on purpose"
    return _ON_PURPOSE.get(op.name, "")


def _check(step: BackwardStep, values: Values) -> list[Check]:
    node: Any = step.node
    is_function = hasattr(node, "function")
    if node.op is None and not is_function:
        return []
    # A `Function` that returns None for what has a gradient is wrong; an op without a rule says so.
    wanted = [
        i
        for i, sent in enumerate(step.sent)
        if sent.gradient is not None or (is_function and sent.wanted)
    ]
    reason = _excused(step)
    best: list[Check] = []
    try:
        calls = calls_of_function if is_function else calls_of_op
        for call, operands, complete in () if reason else calls(step, values):
            try:
                compared = [_compare(step, call, operands, i, complete) for i in wanted]
            except NotKept as error:
                reason = str(error)
                continue
            except Exception:  # a guess that doesn't fit, or a forward that refuses float64
                continue
            if all(check.right for check in compared):
                return compared
            is_wrong = any(check.right is False for check in compared)
            if not best or (is_wrong and not any(check.right is False for check in best)):
                best = compared
    except NotKept as error:
        reason = str(error)
    reason = reason or "its forward can't be run again with what was kept"
    return best or [Check(step, step.sent[i].argument, None, reason=reason) for i in wanted]


def _compare(
    step: BackwardStep, call: Callable[..., Any], operands: list[Any], i: int, complete: bool
) -> Check:
    """Compare what one operand is sent with differences: here, beside kinks, and for other gradients."""
    name = step.sent[i].argument
    place = place_of_rule(step.node, name)
    gradients = step.gradient if isinstance(step.gradient, tuple) else (step.gradient,)
    gs = [None if g is None else np.asarray(g.array, np.float64) for g in gradients]
    try:
        wide = [changed(o, np.array, np.float64) for o in operands]
        here = attempt(call, wide, gs, i)
        operands = wide
    except NotKept:
        raise
    except Exception:  # a forward that computes in float32 only
        here = attempt(call, operands, gs, i)
    wrong: Trial | None = None
    if not here.finite or not here.agrees() or not here.got.any():
        # At a kink differences see both sides; where all is 0 a rule may be right by chance.
        random = np.random.default_rng(1)
        near = here.sizes[2] if here.finite else 0.05

        def nudged(a: Any, near: float = near) -> Any:
            return a + random.uniform(-near, near, a.shape)

        beside = [attempt(call, [changed(o, nudged) for o in operands], gs, i) for _ in range(2)]
        if not here.finite:
            if not place or any(t.agrees() or not t.finite for t in beside):
                return Check(
                    step, name, None, here.got, here.expected, reason="it meets inf or nan"
                )
            wrong = beside[0]
        elif not all(t.agrees() for t in beside):
            wrong = beside[0] if here.agrees() else here
    if wrong is None and place:
        wrong = _elsewhere(call, operands, gs, i)
    if wrong is None:
        return Check(step, name, True, here.along(here.got), here.expected)
    given = _given(step, wrong, gs, i, here is wrong and complete)
    got, expected = wrong.along(wrong.got), wrong.expected
    rounding = wrong.noise + 1e-9 * np.abs(got).max()
    expected = np.where(np.abs(expected) <= rounding, 0.0, expected)
    found = Check(step, name, False, got, expected, wrong.worst(), given, place=place)
    found.likely = likely(step, wrong, _factor(got, expected)) if place else ""
    return found


def _elsewhere(
    call: Callable[..., Any], operands: list[Any], gs: list[Any], i: int
) -> Trial | None:
    """Try a user's rule with other gradients and beside its numbers; return where it is wrong."""
    random = np.random.default_rng(3)
    others = [None if g is None else random.integers(2, 10, g.shape).astype(float) for g in gs]

    def shaken(a: Any) -> Any:  # zeros stay, and so do signs
        return a * random.uniform(0.9, 1.1, a.shape)

    for gradients, change in ((others, np.array), (gs, shaken)):
        trials = []
        for _ in range(2):
            try:
                tried = attempt(call, [changed(o, change) for o in operands], gradients, i)
            except Exception:  # numbers that the forward refuses
                break
            if not tried.finite or tried.agrees():
                break
            trials.append(tried)
        if len(trials) == 2:
            return trials[0]
    return None


def _given(step: BackwardStep, trial: Trial, gs: list[Any], i: int, own: bool) -> str:
    """Say where a rule was tried, if not on the user's own numbers."""
    from tinygrad_like.explanation.names import shown

    if own:
        return ""
    if trial.gs is not gs:
        return f"for g = {shown(trial.gs[0])}" if len(gs) == 1 else "for other gradients"
    return f"at {step.sent[i].argument} = {shown(as_array(trial.operands[i]))}"
