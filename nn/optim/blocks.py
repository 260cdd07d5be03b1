"""The base of optimizers whose rule works element by element, without temporaries.

An update rule is a dozen elementwise operations. Over a large array each one would stream it through
memory again, so NumPy's version of a rule runs on blocks that stay in the cache, every operation of
it on a block before the next; a compiled one makes a single pass. `layout` says which arrays these
are: parameters where they are, or many small ones side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from tinygrad_like import dtypes, jit
from tinygrad_like.graph import result_type
from tinygrad_like.lines import Line, here
from tinygrad_like.modes import set_mode
from tinygrad_like.nn.optim.layout import SMALL, Flags, Layout
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.nn.optim.passes import Rule
from tinygrad_like.tensor import Tensor


class BlockOptimizer(Optimizer):
    """An optimizer whose rule works element by element.

    A subclass has a `rule`, says which of the arrays it can keep for a parameter are in use
    (`state_names`), and turns the options of a group into what the rule computes with.

    Attributes:
        rule: ``rule(p, g, kept, numbers, *flags)`` updates a flat parameter `p` and `kept` in place
            by the gradient `g`, which must not change. `kept` has an array for each of `slots`, an
            empty one for those not in use; `numbers` are of the type of `p`.
        slots: the names of all arrays that may be kept.
        options: the names of the group's options that the rule depends on.
        counts_steps: keep a step count in the state.
    """

    rule: ClassVar[Rule]
    slots: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]]
    counts_steps: ClassVar[bool] = True

    _layouts: dict[int, Layout]
    _read: ClassVar[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._read = itemgetter(*cls.options, cls.options[0])  # a tuple, were there only one

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if defaults.get("differentiable"):
            raise NotImplementedError(
                f"{type(self).__name__}: differentiable=True is not supported; write the step with "
                "tensor operations to differentiate through it"
            )
        if defaults.get("fused") and defaults.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        self._layouts = {}
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._layouts = {}
        for group in self.param_groups:
            for name, value in self._later_options().items():
                group.setdefault(name, value)
            for p in group["params"]:
                step = self.state.get(p, {}).get("step")
                if step is not None and not isinstance(step, Tensor):
                    self.state[p]["step"] = result_type.make(np.array(step, dtypes.F32))

    def _later_options(self) -> dict[str, Any]:
        """Return options that a state saved by an older PyTorch may lack."""
        return {"maximize": False, "foreach": None, "differentiable": False}

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the arrays to keep for each parameter of `group`."""
        del group
        return self.slots

    def whole_size(self) -> int:
        """Return from how many elements on a parameter is updated alone: NumPy calls cost more."""
        return SMALL if jit.enabled() else 2 * SMALL

    def initial_state(self, group: dict[str, Any], name: str) -> float:
        """Return what a new array called `name` is filled with."""
        del group, name
        return 0.0

    def flags(self, group: dict[str, Any]) -> Flags:
        """Return which parts of the rule are to be done."""
        raise NotImplementedError

    def numbers(self, group: dict[str, Any], step: float) -> tuple[float, ...]:
        """Return what the rule computes with at this step of a parameter, the first being 1."""
        raise NotImplementedError

    def ages(self, group: dict[str, Any]) -> bool:
        """Return True if `numbers` depend on the step."""
        del group
        return self.counts_steps

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients.

        Args:
            closure: computes the loss anew, with its gradients, and returns it.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            former = set_mode(True, False)
            try:
                loss = closure()
            finally:
                set_mode(*former)
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
