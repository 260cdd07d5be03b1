"""The backward pass of a user's own graph as a lesson: `explain`, and `backward_steps` to build on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from tinygrad_like.explanation.checking import Check, check_steps, place_of_rule, raised
from tinygrad_like.explanation.lesson import lesson
from tinygrad_like.explanation.rendering import as_html, as_text, page
from tinygrad_like.explanation.steps import BackwardStep, Contribution, Sent, backward_steps
from tinygrad_like.viz.picture import Names
from tinygrad_like.viz.subjects import run_function

__all__ = [
    "BackwardStep",
    "Check",
    "Contribution",
    "Explanation",
    "Sent",
    "backward_steps",
    "explain",
]


@dataclass
class Explanation:
    """What `explain` returns: ``str()`` is the lesson, a notebook shows it as HTML.

    It is a sequence of steps, and ``lesson[3:6]`` is the lesson of those.

    Attributes:
        steps: the backward pass, a `BackwardStep` for each node in the engine's order.
        names: what the user calls the tensors.
        checks: with ``check=True``, what finite differences say of each rule.
        limit: of more steps an overview is given.
        walk: the whole backward pass, where `steps` are a part of it.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> lesson = torch.explain((w * w).sum(), check=True, show=False)
    >>> lesson, lesson.wrong, lesson[-1].gradient
    (<Explanation of 3 steps>, None, tensor([2., 4.]))
    >>> print(lesson[2:])  # doctest: +ELLIPSIS
    Step 3: the leaf `w`, of shape 2
      Leaves come last, when nothing is left that could send more; step 2 used it.
    ...
    >>> path = lesson.save("lesson.html")  # doctest: +SKIP
    """

    steps: list[BackwardStep]
    names: Names
    checks: list[Check] = field(default_factory=list)
    limit: int = 30
    walk: list[BackwardStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.walk = self.walk or self.steps
        # Now, since gradients, names and what the graph has saved may be gone when it is shown.
        self._sections = lesson(self)

    @property
    def wrong(self) -> Check | None:
        """The first rule that finite differences contradict, None if there is none."""
        return next((check for check in self.checks if check.right is False), None)

    def __iter__(self) -> Iterator[BackwardStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, index: int) -> BackwardStep: ...

    @overload
    def __getitem__(self, index: slice) -> Explanation: ...

    def __getitem__(self, index: int | slice) -> BackwardStep | Explanation:
        if not isinstance(index, slice):
            return self.steps[index]
        return self._of(self.steps[index])

    def _of(self, steps: list[BackwardStep]) -> Explanation:
        checks = [check for check in self.checks if check.step in steps]
        return Explanation(steps, self.names, checks, self.limit, self.walk)

    def __str__(self) -> str:
        text = as_text(self._sections)
        if self.wrong is not None and len(self._sections) > 4:  # what came first is far above
            text += f"\n\nWRONG: {self.wrong.title}; see step {self.wrong.step.number}."
        return text

    def __repr__(self) -> str:
        wrong = "" if self.wrong is None else f", wrong: {self.wrong.op}"
        return f"<Explanation of {len(self.steps)} steps{wrong}>"

    def _repr_html_(self) -> str:
        return as_html(self._sections, self._of)

    def save(self, path: Any) -> Path:
        """Write the lesson to a file: a page of HTML if its name ends so, else text."""
        file = Path(path)
        is_page = file.suffix.lower() in (".html", ".htm")
        text = page(self._sections, self._of) if is_page else str(self) + "\n"
        file.write_text(text, encoding="utf-8")
        return file


def explain(
    loss: Any,
    gradient: Any = None,
    *,
    of: Any = None,
    params: Any = None,
    modules: Sequence[Any] = (),
    check: bool = False,
    show: bool | None = None,
    limit: int = 30,
) -> Explanation:
    """Print the backward pass of `loss` as a lesson: the order, each rule, what is sent where and why.

    Nothing is changed: no ``.grad`` is written, and ``backward()`` can follow.

    Args:
        loss: a tensor, or several; or a function without arguments that computes such, whose calls
            of modules are noted.
        gradient: the gradient to start from; None means 1, for scalars.
        of: follow only what leads to this tensor, or to these.
        params: names for tensors: a `Module`, a dict, or pairs as from ``named_parameters()``.
            By default the caller's variables are looked through for tensors and modules.
        modules: calls of modules, as `tinygrad_like.nn.module.record_modules` notes them.
        check: compare each rule with finite differences, in float64; `Explanation.wrong` is the
            first that is wrong.
        show: print the lesson; by default unless a notebook will show it.
        limit: how many steps to write out. Of more, an overview is given, in which steps that
            belong together are one line; slices of the returned object are written out.

    Raises:
        TypeError, RuntimeError: as `backward_steps`.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor(3.0, requires_grad=True)
    >>> lesson = torch.explain(w * w, show=False)
    >>> lesson.steps
    [<BackwardStep 1: multiply>, <BackwardStep 2: leaf>]
    >>> print(lesson)  # doctest: +ELLIPSIS
    The backward pass, step by step
    ...
      2 gradients arrived and are added up: its value was used 2 times, and a change
      of it reaches the result each way.
        3, from step 1, as x
        3, from step 1, as y
      g = 6
    ...
    """
    if callable(loss) and not hasattr(loss, "named_parameters"):
        loss, modules = run_function(loss)
    frame = sys._getframe(1) if params is None else None
    names = Names.of(params, frame, "explain")
    steps: list[BackwardStep] = []
    failed: list[Check] = []
    try:
        steps.extend(backward_steps(loss, gradient, of=of, modules=modules))
    except Exception as error:
        step = vars(error).get("_step")
        if not (check and step is not None and place_of_rule(step.node)):
            raise
        steps.append(step)
        failed.append(raised(step, error))
    checks = [*check_steps(steps[: -1 if failed else None]), *failed] if check else []
    found = Explanation(steps, names, checks, limit)
    if show is None:
        show = not _in_notebook()
    if show:
        print(found)
    return found


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None
