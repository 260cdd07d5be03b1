"""What a lesson says of a backward pass, before it is text or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like.explanation.folding import Row, overview
from tinygrad_like.explanation.names import FEW, ordinal, shown, spoken
from tinygrad_like.explanation.steps import BackwardStep, Sent
from tinygrad_like.graph import AccumulateGrad, Node, Pick
from tinygrad_like.lines import location

if TYPE_CHECKING:
    from tinygrad_like.explanation import Explanation
    from tinygrad_like.explanation.checking import Check


MANY = 8  # operands of an operation, or gradients of one value; more are only counted


@dataclass
class Part:
    """A line of the lesson: what kind it is, how far it is indented, what it says, and a table below."""

    kind: str
    text: str
    depth: int = 1
    rows: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Section:
    """A title and the lines below it, or below them the rows of an overview."""

    title: str
    parts: list[Part]
    kind: str = ""
    overview: list[Row] = field(default_factory=list)


def _quoted(name: str) -> str:
    return f"`{name}`" if name else ""


class _Writer:
    def __init__(self, told: Explanation) -> None:
        self.names = told.names
        self.of = {step.node: step for step in told.walk}
        self.checks: dict[int, list[Check]] = {}
        for check in told.checks:
            self.checks.setdefault(check.step.number, []).append(check)
        ticks = sorted(step.tick for step in told.walk if step.kind == "operation")
        self.ranks = {tick: rank for rank, tick in enumerate(ticks, 1)}

    def called(self, step: BackwardStep) -> str:
        """Return what the user calls a step's value, in quotes, "" if that isn't known."""
        return _quoted(self.names.nodes.get(step.node, ""))

    def receiver(self, node: Node) -> str:
        step = self.of.get(node)
        if step is None:
            return "an operand that passes nothing on"
        name = self.called(step)
        if step.kind == "leaf":
            return f"step {step.number} ({name or 'a leaf'})"
        return f"step {step.number} ({spoken(step)}{', ' + name if name else ''})"

    def section(self, step: BackwardStep) -> Section:
        name = self.called(step)
        if step.kind == "leaf":
            title = f"the leaf {name}".rstrip() + f", {_size(step)}"
        elif isinstance(step.node, Pick):
            title = f"result {step.node.index} of {spoken(step)}" + (f", {name}" if name else "")
        else:
            title = spoken(step) + (f", which made {name}" if name else "")
        parts = [*self.place(step), Part("why", step.why), *self.arrival(step)]
        if step.kind == "operation":
            parts.append(self.operands(step))
        if step.kind == "leaf":
            parts += self.ending(step)
        for i in range(min(len(step.sent), MANY)):
            parts += self.sending(step, i)
        parts += _rest(len(step.sent), "operands, which are sent theirs", 1)
        parts += self.checked(step)
        return Section(f"Step {step.number}: {title}", parts, step.kind)

    def place(self, step: BackwardStep) -> Iterable[Part]:
        if step.kind != "operation":
            return
        text = f"recorded {ordinal(self.ranks[step.tick])} of {len(self.ranks)}"
        if step.module is not None:
            kind = type(step.module).__name__
            name = self.names.modules.get(id(step.module), "")
            text += f", in {name} ({kind})" if name else f", in {kind}"
        if step.line is not None:
            text += f", at {location(*step.line, short=True)}"
        yield Part("place", text)
        if step.code:
            yield Part("code", step.code, 2)

    def operands(self, step: BackwardStep) -> Part:
        """Say what the formula's letters stand for here."""
        saved: dict[str, Any] = {}
        if step.node.op is not None:
            saved = dict(zip(step.node.op.saves, step._saved, strict=True))
        said = []
        for sent in step.sent:
            letter = _letter(sent)
            if sent.parent is None:
                if step.node.op is not None and sent.argument in step.node.op.optional:
                    continue
                value = saved.get(sent.argument)
                what = _quoted(self.names.arrays.get(id(value), ""))
                if not what and isinstance(value, np.ndarray | np.generic | float | int):
                    what = shown(value) if np.size(value) <= FEW else ""
                said.append(f"{letter} is {what or 'a constant'}, which needs no gradient")
            elif sent.parent in self.of:
                step_of = self.of[sent.parent]
                name = self.called(step_of)
                what = "the leaf" if step_of.kind == "leaf" else "the result"
                said.append(f"{letter} is {name or f'{what} of step {step_of.number}'}")
            else:
                name = _quoted(self.names.nodes.get(sent.parent, ""))
                said.append(f"{letter} is {name or 'an operand'}, which nothing is sent to")
        if len(said) > MANY:
            said[MANY:] = [f"and {len(said) - MANY} more"]
        return Part("operands", f"Here {'; '.join(said)}.")

    def arrival(self, step: BackwardStep) -> Iterable[Part]:
        several = isinstance(step.gradient, tuple)
        if several:
            yield Part("note", "It has several results, and a gradient for each that was used:")
            for index, g in enumerate(step.gradient):
                text = "not used: counts as zeros" if g is None else shown(g)
                yield Part("gradient", f"g[{index}] = {text}")
            return
        if len(step.contributions) > 1:
            count = len(step.contributions)
            yield Part(
                "sum",
                f"{count} gradients arrived and are added up: its value was used {count} times, and "
                "a change of it reaches the result each way.",
            )
            for c in step.contributions[:MANY]:
                origin = (
                    "given to start with"
                    if c.sender is None
                    else f"from step {c.sender.number}, as {c.argument}"
                )
                yield Part("contribution", f"{shown(c.gradient)}, {origin}", 2)
            yield from _rest(count, "gradients", 2)
        text = f"g = {shown(step.gradient)}"
        if len(step.contributions) == 1:
            sender = step.contributions[0].sender
            text += ", to start with" if sender is None else f", from step {sender.number}"
        yield Part("gradient", text)
        if step.hooked:
            yield Part("note", "A hook replaced a gradient here.")

    def ending(self, step: BackwardStep) -> Iterable[Part]:
        assert isinstance(step.node, AccumulateGrad)
        former = step.node.variable._grad
        name = self.names.nodes.get(step.node)
        grad = f"`{name}.grad`" if name else "its .grad"
        if former is None:
            yield Part("note", f"backward() will store g as {grad}, which is None so far.")
        else:
            text = f"{grad} holds {shown(former)} already: backward() will add g to that"
            yield Part("sum", f"{text} (zero_grad() clears it).")

    def sending(self, step: BackwardStep, i: int) -> Iterable[Part]:
        sent = step.sent[i]
        if step.kind == "result":
            if sent.gradient is not None and sent.parent is not None:
                yield Part("send", f"goes to {self.receiver(sent.parent)}")
            return
        if sent.parent is None or sent.parent not in self.of:
            return
        if sent.gradient is None:
            yield Part("none", f"{sent.argument} is sent nothing.")
            return
        yield Part("formula", sent.formula)
        local = sent.local
        if local is not None:
            yield Part("local", f"local derivative: {shown(local)}", 2)
        yield from self.broadcast(sent)
        yield Part("send", f"sends {shown(sent.gradient)} to {self.receiver(sent.parent)}", 2)

    @staticmethod
    def broadcast(sent: Sent) -> Iterable[Part]:
        dims = sent.broadcast
        if not dims:
            return
        shape = sent.returned.array.shape
        times = int(np.prod([shape[d] for d in dims]))
        plural = "s" if len(dims) > 1 else ""
        yield Part("local", f"the rule gives {shown(sent.returned)}", 2)
        yield Part(
            "sum",
            f"broadcasting undone: each element of {sent.argument} was used {times} times, along "
            f"dimension{plural} {', '.join(map(str, dims))}, so what its copies get is added up",
            2,
        )

    def checked(self, step: BackwardStep) -> Iterable[Part]:
        checks = self.checks.get(step.number, [])
        right = [check.argument for check in checks if check.right]
        if right:
            yield Part("right", f"checked against finite differences: right for {', '.join(right)}")
        for check in checks:
            if check.right is False:
                yield _wrong(check, "WRONG", 1)
            elif check.right is None:
                yield Part("none", f"{check.argument} not checked: {check.reason}")


def _rest(count: int, what: str, depth: int) -> Iterable[Part]:
    if count > MANY:
        yield Part("note", f"and {count - MANY} more {what}", depth)


def _letter(sent: Sent) -> str:
    """Return what an operand is called in its formula."""
    found = re.search(r"\)/d(.+?) = ", sent.formula)
    return sent.argument if found is None else found[1]


def _size(step: BackwardStep) -> str:
    shape = step.gradient.array.shape
    return f"of shape {' x '.join(map(str, shape))}" if shape else "one number"


def _wrong(check: Check, title: str, depth: int) -> Part:
    return Part("wrong", f"{title}: {check.title}", depth, check.lines)


_ORDER = (
    "Gradients go from the result back to what it was made from. An operation can pass its "
    "gradient on only when that is complete: when all that used its result had their turn. "
    "Whatever used a result was recorded after it, so the youngest operation that waits is always "
    "complete, and is taken next. By the chain rule it sends each operand g, the gradient that "
    "arrived, times its local derivative for that operand: d(x*y)/dx = g*y says what x is sent."
)


def lesson(told: Explanation) -> list[Section]:
    """Return the lesson's sections: an introduction, and one for each step or an overview of all."""
    writer = _Writer(told)
    operations = sum(step.kind == "operation" for step in told.walk)
    leaves = sum(step.kind == "leaf" for step in told.walk)
    parts = [Part("order", _ORDER, 0)]
    parts.append(Part("count", f"{_count(operations, 'operation')}, {_count(leaves, 'leaf')}.", 0))
    if told.checks:
        parts.append(_verdict(told))
    introduction = Section("The backward pass, step by step", parts, "introduction")
    if len(told.steps) <= told.limit:
        whole = len(told.steps) == len(told.walk)
        sections = [writer.section(step) for step in told.steps]
        return [introduction, *sections] if whole else sections
    return [introduction, *_overview(told, writer)]


def _overview(told: Explanation, writer: _Writer) -> list[Section]:
    first = told.steps[0].number - 1
    text = (
        f"{len(told.steps)} steps are too many to write out. If the lesson is called `lesson`, "
        f"`print(lesson[{first}:{first + 3}])` writes out three of them, and `of=` follows a single "
        "parameter."
    )
    if told.names.modules and all(step.module is None for step in told.steps):
        text += (
            " Given a function that computes the loss, as in `explain(lambda: ...)`, it tells steps"
        )
        text += " by module."
    wrong = {check.step.number for check in told.checks if check.right is False}
    rows = overview(told.steps, told.names, wrong)
    sections = [Section("All steps", [Part("note", text, 0)], "overview", rows)]
    if told.wrong is not None:
        sections.append(writer.section(told.wrong.step))
    return sections


def _count(n: int, what: str) -> str:
    plural = {"leaf": "leaves"}.get(what, f"{what}s")
    return f"{n} {what if n == 1 else plural}"


def _verdict(told: Explanation) -> Part:
    wrong = told.wrong
    if wrong is not None:
        found = _wrong(wrong, f"The first wrong rule is in step {wrong.step.number}", 0)
        steps: dict[str, list[str]] = {}
        for check in told.checks:
            if check.right is False and check is not wrong:
                steps.setdefault(check.title, []).append(str(check.step.number))
        for title, numbers in list(steps.items())[:MANY]:
            listed = ", ".join(numbers[:MANY]) + (", ..." if len(numbers) > MANY else "")
            found.rows = [*found.rows, ("also", f"{title}, in step {listed}")]
        return found
    skipped = sum(check.right is None for check in told.checks)
    more = f"; {skipped} could not be checked" if skipped else ""
    return Part("right", f"Every rule agrees with finite differences{more}.", 0)
