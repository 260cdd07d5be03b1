"""The base of optimizers whose rule works element by element, without temporaries.

`rules` makes what NumPy, a kernel or autograd computes with of an optimizer's one formula; `layout`
says which arrays it is done to: parameters where they are, or many small ones side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from tinygrad_like import dtypes, jit
from tinygrad_like.graph import result_type
from tinygrad_like.lines import Line, here, told
from tinygrad_like.modes import set_mode
from tinygrad_like.nn.optim.layout import SMALL, Flags, Layout, number
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.nn.optim.passes import Rule
from tinygrad_like.tensor import Tensor

# Options that no rule depends on.
_IGNORED = frozenset(
    ("capturable", "differentiable", "foreach", "fused", "initial_accumulator_value")
)

# Options that a state saved by an older PyTorch may lack.
_LATER: dict[str, Any] = {
    "amsgrad": False,
    "capturable": False,
    "centered": False,
    "decoupled_weight_decay": False,
    "differentiable": False,
    "foreach": None,
    "fused": None,
    "maximize": False,
    "momentum": 0,
    "nesterov": False,
}


class BlockOptimizer(Optimizer):
    """An optimizer whose rule works element by element.

    A subclass has a `rule`, says what is kept of a parameter, and turns the options of a group into
    what the rule computes with.

    Attributes:
        rule: ``rule(p, g, kept, numbers, *flags)`` updates a flat parameter `p` and `kept` in place
            by the gradient `g`, which must not change. `kept` has an array for each of `slots`, None
            for those not in use; `numbers` are of the type of `p`.
        slots: the names of the arrays that may be kept, each with the option without which it isn't.
        scalars: the names of what is kept as one number for each parameter; the first is the count
            of its steps.
        switches: the names of options that are flags of the rule: are they anything but zero?
    """

    rule: ClassVar[Rule]
    slots: ClassVar[dict[str, str | None]]
    scalars: ClassVar[tuple[str, ...]] = ("step",)
    switches: ClassVar[tuple[str, ...]]

    _layouts: dict[int, Layout]
    _read: Any

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if defaults.get("fused") and defaults.get("foreach"):
            raise told(RuntimeError, "`fused` and `foreach` cannot be `True` together.")
        if defaults.get("fused") and defaults.get("differentiable"):
            raise told(RuntimeError, "`fused` does not support `differentiable`")
        super().__init__(params, defaults)
        self._look()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._look()
        for group in self.param_groups:
            for name in _LATER.keys() & self.defaults.keys():
                group.setdefault(name, _LATER[name])
            for p in group["params"]:
                notes = self.state.get(p, {})
                for name in self.scalars:
                    if name in notes and not isinstance(notes[name], Tensor):
                        notes[name] = _scalar(notes[name])

    def _look(self) -> None:
        """Forget how memory is laid out, and find which options that depends on."""
        self._layouts = {}
        options = [name for name in self.defaults if name not in _IGNORED]
        self._read = itemgetter(*options, *options[:1])  # a tuple, were there only one

    # ----- What a subclass says -------------------------------------------------------------------

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the arrays to keep for each parameter of `group`."""
        return tuple(
            name for name, option in self.slots.items() if option is None or group[option] != 0
        )

    def whole_size(self) -> int:
        """Return from how many elements on a parameter is updated alone: NumPy calls cost more."""
        return SMALL if jit.enabled() else 2 * SMALL

    def initial_state(self, group: dict[str, Any], name: str) -> Any:
        """Return what a new array or scalar called `name` is filled with."""
        del group, name
        return 0.0

    def flags(self, group: dict[str, Any], step: float, *scalars: Any) -> Flags:
        """Return which parts of the rule are to be done; see `numbers` for the arguments."""
        del step, scalars
        return tuple(bool(group[name] != 0) for name in self.switches)

    def numbers(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what the rule computes with.

        Args:
            group: the options, as numbers; as tensors in a step that is differentiated.
            step: which step of a parameter it is, the first being 1.
            scalars: its further `scalars` before this step, and then after it.
        """
        raise NotImplementedError

    def advance(self, group: dict[str, Any], step: float, *scalars: Any) -> tuple[Any, ...]:
        """Return what follows after the `scalars` of a parameter, without its count of steps."""
        del group, step
        return scalars

    def ages(self, group: dict[str, Any]) -> bool:
        """Return True if `numbers` depend on the step."""
        del group
        return bool(self.scalars)

    # ----- Steps ----------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients.

        Args:
            closure: computes the loss anew, with its gradients, and returns it.

        Returns:
            What `closure` returned, or None.
        """
        loss = self.evaluate(closure)
        if self.defaults.get("differentiable"):
            former = set_mode(True, False)
            try:
                for group in self.param_groups:
                    self._record(group)
            finally:
                set_mode(*former)
            return loss
        line = here()
        for index, group in enumerate(self.param_groups):
            options = self._read(group)
            layout = self._layouts.get(index)
            if layout is None or not layout.step(self, group, options, line):
                members = set() if layout is None else set(layout.members)
                layout = None  # nor kept any longer: it holds the parameters' memory
                self._layouts.pop(index, None)
                layout = self._layouts[index] = Layout(self, group, options, members)
                stepped = layout.step(self, group, options, line)
                assert stepped
            if layout.again:
                self._repeat(group, layout.again, options, line)
        return loss

    def _repeat(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        options: tuple[Any, ...],
        line: Line | None,
    ) -> None:
        """Update parameters once more that are listed more than once."""
        while params:
            group = group | {"params": params}
            layout = Layout(self, group, options)
            layout.step(self, group, options, line)
            params = layout.again

    def _record(self, group: dict[str, Any]) -> None:
        """Update the parameters of a group in a way that can be differentiated."""
        formula: Any = type(self).rule.formula  # type: ignore[attr-defined]
        names = self.state_names(group)
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            state = self.state[p]
            begun = any(name in state for name in names)
            for name in self.scalars:
                state.setdefault(name, _scalar(number(self.initial_state(group, name))))
            for name in names:
                if name not in state:
                    start = number(self.initial_state(group, name))
                    state[name] = result_type.make(np.full_like(p.array, start))
            before, *others = [state[name].item() for name in self.scalars] or [float(begun)]
            step = before + 1.0
            following = self.advance(group, step, *others) if others else ()
            values = (step, *others, *following)
            kept = tuple(state[name].clone() if name in names else None for name in self.slots)
            numbers, flags = self.numbers(group, *values), self.flags(group, *values)
            new, new_kept = formula(p.clone(), g, kept, numbers, flags)
            p.copy_(new)  # raises if it is a leaf
            for name, value in zip(self.scalars, (step, *following), strict=False):
                state[name].array[...] = number(value)
            for name, value in zip(self.slots, new_kept, strict=True):
                if name in names:
                    state[name].copy_(value)


def _scalar(value: float) -> Tensor:
    d = dtypes.F64 if dtypes.default() is dtypes.F64 else dtypes.F32
    made: Tensor = result_type.make(np.array(value, d))
    return made
