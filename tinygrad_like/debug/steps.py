"""Looking closely at a few of an optimizer's steps, for traps that cost something to see.

A look begins when a step has been taken and ends with the next one; in between, each backward shows
what it is about to walk. The first look follows the first step, later ones are rare. What is found must
be a mistake, so each trap's criterion says what the intention would look like.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from tinygrad_like import noticed
from tinygrad_like.debug.losses import see_sum
from tinygrad_like.debug.traps import paths, spoken, trap, wanted
from tinygrad_like.graph import AccumulateGrad, Node, reachable
from tinygrad_like.lines import Line
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.stamps import find, version

_RARELY = 1024  # steps from look to look, once there have been a few
_PATIENCE = 12  # steps in which the program may change a parameter itself
_SEVERAL = 3  # graphs of former looks alive are no accident


def next_look(taken: int) -> int:
    """Return which step to look at next after so many: 1, 4, 8, 16, ..., 1024, 2048, 3072 and so on.

    >>> next_look(0), next_look(4), next_look(2000)
    (1, 8, 2048)
    """
    if taken >= _RARELY:
        return taken - taken % _RARELY + _RARELY
    return max(4, 1 << taken.bit_length()) if taken else 1


class Looker:
    """What was seen of one optimizer's steps."""

    def __init__(self) -> None:
        self._look: Look | None = None
        self._roots: list[weakref.ref[Node]] = []  # of the backwards of former looks
        self._normed: dict[int, weakref.ref[Any]] = {}  # weights of norms in training mode
        self._untrained: dict[int, tuple[Any, ...]] = {}  # parameters, and what tells their values

    def before(self, optimizer: Any) -> bool:
        """Judge what was seen since the last step; return False if that was not looked at."""
        look, self._look = self._look, None
        if look is None:
            return False
        look.end()
        if wanted() and look.root is not None:
            look.judge_gradient()
            self._judge_graphs(look)
            self._judge_norms(look)
            self._judge_parameters(look, optimizer._taken)
        return True

    def after(self, optimizer: Any, judged: bool) -> None:
        """Begin to look, unless one look has just ended, and say at which step to come back."""
        optimizer._looked_at = next_look(optimizer._taken)
        if not judged and wanted():
            self._look = Look(optimizer)
            optimizer._looked_at = optimizer._taken + 1

    def _judge_graphs(self, look: Look) -> None:
        """Warn if graphs of former steps live on after a backward has used them up.

        Nobody can go back through such a graph, so it is not kept on purpose. One may be kept by accident,
        as the value of a variable.
        """
        alive = {id(node): node for r in self._roots if (node := r()) is not None}
        used = [node for node in alive.values() if _is_used_up(node)]
        if len(used) >= _SEVERAL:
            trap(
                "graphs",
                "the graphs of former steps are still alive",
                "something adds up or keeps losses or outputs, and memory grows with each step",
                "total += loss.item(), or loss.detach() where a tensor is to be kept",
                line=used[-1].line,
            )
        assert look.root is not None
        self._roots = [*self._roots[-_SEVERAL:], look.root]

    def _judge_norms(self, look: Look) -> None:
        """Warn if a model was trained in training mode and now is in eval mode.

        Not if it was in eval mode from the first step on, or only its batch norms are: both are meant.
        """
        left = []
        for name, tensor, line in look.norms:
            weight = tensor()
            if weight is None:
                continue
            if name == "batch_norm":
                self._normed[id(weight)] = tensor
                continue
            known = self._normed.pop(id(weight), None)  # once looked into, it is settled
            if known is not None and known() is weight:
                left.append((weight, line))
        for (_, line), (model, path) in zip(left, paths([w for w, _ in left]), strict=True):
            if not getattr(model, "training", True):
                trap(
                    "batch norm",
                    "the model was trained in training mode and now is in eval mode",
                    "its batch norms learn no statistics any more, and dropout is off",
                    "model.train() after each validation",
                    module=spoken(model, path.rpartition(".")[0]),
                    line=line,
                )
                break

    def _judge_parameters(self, look: Look, taken: int) -> None:
        """Warn of parameters whose gradients nobody used for some steps.

        Another optimizer may have them, or the program itself may change them.
        """
        held = {
            id(p) for o in noticed.optimizers for group in o.param_groups for p in group["params"]
        }
        former, self._untrained = self._untrained, {}
        found = []
        for tensor in look.leaves:
            parameter = tensor()
            if not isinstance(parameter, Parameter) or id(parameter) in held:
                continue
            state = _state(parameter)
            since, *known = former.get(id(parameter), (taken, *state))
            if tuple(known) != state:
                since = taken
            self._untrained[id(parameter)] = (since, *state)
            if taken - since >= _PATIENCE:
                found.append(parameter)
        if found:
            _warn_of_parameters(found)


def _warn_of_parameters(found: list[Any]) -> None:
    @cache
    def named() -> str:
        names = [spoken(*p) for p in paths(found[:3])]
        return ", ".join([*names, f"{len(found) - 3} more"] if len(found) > 3 else names)

    trap(
        "parameters",
        lambda: f"gradients are computed for parameters that no optimizer has: {named()}",
        "they stay as they are, so the work is for nothing",
        lambda: (
            "nn.ModuleList or nn.ModuleDict: modules in a plain list or dict aren't registered"
            if "[" in named()
            else "optimizer = ...(model.parameters()), or requires_grad_(False) if that is meant"
        ),
    )


class Look:
    """What happens between two steps of an optimizer."""

    def __init__(self, optimizer: Any) -> None:
        self.root: weakref.ref[Node] | None = None  # of the last backward, like what follows
        self.leaves: list[weakref.ref[Any]] = []
        self.norms: list[tuple[str, weakref.ref[Any], Line | None]] = []
        self._thread = threading.get_ident()
        self._patience = 64  # backwards without a step: that optimizer has done its work
        self._itself = weakref.ref(self, _forget)
        self._parameter: Any = _nothing  # refers to the first that has a gradient
        self._gradient: Any = _nothing
        self._version = 0
        self._stale = False
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            g = parameter._grad
            if g is not None:
                self._parameter, self._gradient = weakref.ref(parameter), weakref.ref(g)
                self._version = version(g.array)
                break
        noticed.looks.append(self._itself)

    def end(self) -> None:
        """See no more backwards."""
        _forget(self._itself)

    def see(self, outputs: Iterable[Any]) -> None:
        """Note what a backward is about to walk."""
        if threading.get_ident() != self._thread:
            return
        self._patience -= 1
        if not self._patience:
            self.end()
        roots = [o.node for o in outputs if getattr(o, "node", None) is not None]
        if not roots:
            return
        nodes = reachable(roots)
        self.root = weakref.ref(roots[0])
        leaves = [p for n in nodes for p in n.parents if isinstance(p, AccumulateGrad)]
        self.leaves = [leaf._tensor for leaf in dict.fromkeys(leaves)]
        self.norms = []
        for node in nodes:
            name = node.op.name if node.op is not None else ""
            if name in ("mean", "sum", "norm"):
                see_sum(node)
            if name in ("batch_norm", "batch_norm_fixed"):
                weight = node.parents[1]
                if isinstance(weight, AccumulateGrad):
                    self.norms.append((name, weight._tensor, node.line))
        g = self._former()
        if g is None or not g.array.any():
            self._stale = False
        elif not self._stale:
            # What was written to since the step, such as scaled, is meant to go on.
            self._stale = version(g.array) == self._version

    def _former(self) -> Any:
        """Return the gradient that the step used, None if there is another now."""
        parameter, g = self._parameter(), self._gradient()
        return g if g is not None and parameter is not None and parameter._grad is g else None

    def judge_gradient(self) -> None:
        """Warn if a step is about to use a gradient that has a used one in it.

        Several backwards for one step may add up, and a backward for another model may leave something
        that is zeroed before this model's own.
        """
        g = self._former()
        if self._stale and g is not None and version(g.array) != self._version:
            parameter = self._parameter()
            trap(
                "zero_grad",
                lambda: (
                    f"the gradient of {spoken(*paths([parameter])[0])} is added to that of the last step"
                ),
                "that was used already: each step repeats all before it, and overshoots",
                "optimizer.zero_grad() before each backward",
            )


def _nothing() -> None:
    return None


def _forget(look: weakref.ref[Look]) -> None:
    with suppress(ValueError):  # it may have been forgotten already
        noticed.looks.remove(look)


def _is_used_up(start: Node) -> bool:
    """Return True if a backward has been through this graph and freed it."""
    waiting = [start]
    for _ in range(50):
        if not waiting:
            return False
        node = waiting.pop(0)
        if node.saved is None:
            return True
        waiting += [p for p in node.parents if p is not None]
    return False


def _state(parameter: Any) -> tuple[Any, ...]:
    """Return what tells whether anybody has changed a parameter."""
    note = find(parameter.array)
    return id(parameter.array), note and note.tick, note and note.silent_tick
