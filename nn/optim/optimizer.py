"""What every optimizer shares: groups of parameters, their state, saving it, and hooks."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np

from tinygrad_like import dtypes, noticed
from tinygrad_like.graph import RemovableHandle, result_type
from tinygrad_like.interchange import from_pytorch
from tinygrad_like.lines import told
from tinygrad_like.modes import set_mode
from tinygrad_like.stamps import stamp
from tinygrad_like.tensor import Tensor

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]

Group: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]
Hooks: TypeAlias = "OrderedDict[int, Callable[..., Any]]"

_every_pre_hook: Hooks = OrderedDict()
_every_post_hook: Hooks = OrderedDict()


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()  # a default that stands for "every group must say"


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of every optimizer."""
    return _add(_every_pre_hook, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after each step of every optimizer."""
    return _add(_every_post_hook, hook)


def _add(hooks: Hooks, hook: Callable[..., Any], first: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if first:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return `step` with the hooks run around it."""

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True  # schedulers look at it
        self._taken = taken = self._taken + 1
        if taken == self._looked_at:
            return _looked_at(self, hooked, args, kwargs)
        if not (
            self._step_pre_hooks or self._step_post_hooks or _every_pre_hook or _every_post_hook
        ):
            return step(self, *args, **kwargs)
        # Hooks see, and may replace, the arguments with the optimizer in front, as PyTorch's do.
        args = (self, *args)
        for hook in (*_every_pre_hook.values(), *self._step_pre_hooks.values()):
            replaced = hook(self, args, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise told(
                    RuntimeError,
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got {replaced}.",
                )
            args, kwargs = replaced
        result = step(*args, **kwargs)
        for hook in (*self._step_post_hooks.values(), *_every_post_hook.values()):
            hook(self, args, kwargs)
        return result

    return hooked


def _looked_at(optimizer: Optimizer, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Take a step, and look at what happens before it or after it (see `debug.steps`)."""
    from tinygrad_like.debug.steps import Looker

    looker = optimizer._looker = optimizer._looker or Looker()
    judged = looker.before(optimizer)
    optimizer._taken -= 1
    optimizer._looked_at = 0
    result = step(optimizer, *args, **kwargs)
    looker.after(optimizer, judged)
    return result


class Optimizer:
    """The base of optimizers; a subclass defines `step`.

    Args:
        params: the tensors to optimize, or ``(name, tensor)`` pairs, or dicts, each a group with
            ``"params"`` and options of its own.
        defaults: the options of groups that don't say otherwise.

    Attributes:
        param_groups: the groups, dicts of options and ``"params"``.
        state: for each parameter, a dict of what the optimizer remembers of it.

    Raises:
        TypeError: if a parameter is not a tensor.
        ValueError: if there are none, one is in two groups, or one is not a leaf.
    """

    _step_pre_hooks: Hooks
    _step_post_hooks: Hooks
    _taken: int = 0  # how many steps
    _looked_at: int = 1  # the number of the next one to be looked at
    _looker: Any = None
    _opt_called: bool = False  # has `step` run since the first schedule was made?
    _scheduled: bool = False
    _step_then: Any = None  # what stood in the place of `step` when it was made

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        noticed.optimizers.add(self)
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, Tensor):
            raise told(
                TypeError,
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {_type_name(params)}",
            )
        if not hasattr(params, "__iter__"):
            raise told(TypeError, f"{type(params).__name__!r} object is not iterable")
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups: list[Any] = list(params)
        if not groups:
            raise told(ValueError, "optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def _make_hooks(self) -> None:
        for name in ("step", "state_dict", "load_state_dict"):
            for when in ("pre", "post"):
                self.__dict__.setdefault(f"_{name}_{when}_hooks", OrderedDict())

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        noticed.optimizers.add(self)
        self.__dict__.update(state)
        self._make_hooks()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines += [""] * (index > 0) + [f"Parameter Group {index}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # ----- Groups ---------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Optimize further parameters, with options of their own.

        Raises:
            TypeError: if the group is no dict or holds something other than tensors.
            ValueError: if a parameter is not a leaf or is in another group already, or names are
                given for some only.
        """
        if not isinstance(param_group, dict):
            raise told(TypeError, f"param_group must be a dict, but got {type(param_group)}")
        if "params" not in param_group:
            raise told(KeyError, "params")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise told(
                TypeError,
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list instead.",
            )
        entries: list[Any] = list(params)
        names = [entry[0] for entry in entries if isinstance(entry, tuple)]
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
        param_group["params"] = tensors
        if names:
            if len(names) != len(tensors):
                raise told(
                    ValueError,
                    "all optimizer params should be with/without names. Some param names are missing",
                )
            param_group["param_names"] = names
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise told(
                    TypeError,
                    "optimizer can only optimize Tensors, but one of the params is "
                    + _type_name(tensor),
                )
            if not (self.defaults.get("differentiable") or tensor.is_leaf or tensor.retains_grad):
                raise told(ValueError, "can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise told(
                    ValueError,
                    f"parameter group didn't specify a value of required optimization parameter {name}",
                )
            param_group.setdefault(name, default)
        if len(set(tensors)) != len(tensors):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                given = "with" if "param_names" in param_group else "without"
                raise told(
                    ValueError,
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {given} names to the optimizer",
                )
            if not set(group["params"]).isdisjoint(tensors):
                raise told(ValueError, "some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    # ----- Working --------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros.

        Args:
            set_to_none: set ``.grad`` to None; a parameter that then gets no gradient is skipped
                by `step`, whereas one with a gradient of zeros is not.
        """
        for group in self.param_groups:
            if set_to_none:
                for p in group["params"]:
                    p._grad = None
                continue
            for p in group["params"]:
                g = p._grad
                if g is not None:
                    g.node = None
                    g.array.fill(0)
                    stamp(g.array)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients; a subclass says how.

        Args:
            closure: computes the loss anew, with its gradients, and returns it.
        """
        raise NotImplementedError

    def evaluate(self, closure: Callable[[], Any] | None) -> Any:
        """Return what a closure gives, which may record, or None without one."""
        if closure is None:
            return None
        former = set_mode(True, False)
        try:
            return closure()
        finally:
            set_mode(*former)

    # ----- Saving ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"state": ..., "param_groups": ...}`` with numbers in the place of parameters.

        The values are the optimizer's own tensors, not copies.
        """
        for hook in self._hooks("state_dict", "pre"):
            hook(self)
        numbers: dict[Any, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for number, p in enumerate(group["params"], start):
                numbers.setdefault(p, number)
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            groups.append(packed | {"params": [numbers[p] for p in group["params"]]})
        state = {
            (numbers[key] if isinstance(key, Tensor) else key): value
            for key, value in self.state.items()
        }
        saved: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._hooks("state_dict", "post"):
            replaced = hook(self, saved)
            if replaced is not None:
                saved = replaced
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of the state that `state_dict` returned, cast to the parameters' dtypes.

        Its tensors may be PyTorch's.

        Raises:
            ValueError: if the groups differ in number or size.
        """
        state_dict = state_dict.copy()
        for hook in self._hooks("load_state_dict", "pre"):
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        saved = [_converted(group) for group in deepcopy(state_dict["param_groups"])]
        if len(saved) != len(self.param_groups):
            raise told(ValueError, "loaded state dict has a different number of parameter groups")
        sizes = [
            (len(own["params"]), len(new["params"]))
            for own, new in zip(self.param_groups, saved, strict=True)
        ]
        if any(own != new for own, new in sizes):
            raise told(
                ValueError,
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group",
            )
        owners: dict[Any, tuple[Tensor, Group]] = {}
        groups = []
        for own, new in zip(self.param_groups, saved, strict=True):
            for number, p in zip(new["params"], own["params"], strict=True):
                owners[number] = (p, new)
            new["params"] = own["params"]
            if "param_names" in own:
                new.setdefault("param_names", own["param_names"])
            groups.append(new)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in owners:
                state[owners[key][0]] = _cast(value, *owners[key])
            else:
                state[key] = value
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._hooks("load_state_dict", "post"):
            hook(self)

    # ----- Hooks ----------------------------------------------------------------------------------

    def _hooks(self, name: str, when: str) -> list[Callable[..., Any]]:
        return list(self.__dict__[f"_{name}_{when}_hooks"].values())

    def _add_hook(
        self, name: str, hook: Callable[..., Any], first: bool = False
    ) -> RemovableHandle:
        return _add(self.__dict__[f"_{name}_hooks"], hook, first)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return both anew."""
        return self._add_hook("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._add_hook("step_post", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before each `state_dict`."""
        return self._add_hook("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after each `state_dict`; it may return another."""
        return self._add_hook("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before each load; it may return another."""
        return self._add_hook("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after each `load_state_dict`."""
        return self._add_hook("load_state_dict_post", hook, prepend)


def _type_name(value: Any) -> str:
    if isinstance(value, Tensor):
        titles = {"float32": "Float", "float64": "Double", "int64": "Long"}
        return f"torch.{titles.get(value.array.dtype.name, '')}Tensor"
    kind = type(value)
    own = kind.__module__ == "builtins"
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"


# What options must be, and what is said if they are not.
_AT_LEAST_0 = {
    "lr": "Invalid learning rate: {}",
    "eps": "Invalid epsilon value: {}",
    **{
        name: f"Invalid {name} value: {{}}"
        for name in (
            "alpha", "initial_accumulator_value", "lr_decay", "momentum", "momentum_decay", "rho",
            "weight_decay",
        )
    },
}  # fmt: skip


def refuse(**options: Any) -> None:
    """Raise ValueError if one of the options is out of range, in PyTorch's words."""
    for name, value in options.items():
        if name == "lr" and isinstance(value, Tensor) and value.array.size != 1:
            raise told(ValueError, "Tensor lr must be 1-element")
        if name == "betas":
            for index, beta in enumerate(value):
                if not 0.0 <= beta < 1.0:
                    raise told(ValueError, f"Invalid beta parameter at index {index}: {beta}")
        elif not value >= 0.0 or (name == "rho" and value > 1.0):
            raise told(ValueError, _AT_LEAST_0[name].format(value))


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options among the ``locals()`` of a constructor."""
    return {
        name: value
        for name, value in given.items()
        if name not in ("self", "params") and not name.startswith("__")
    }


def _cast(value: Any, p: Tensor, group: Group, key: Any = None) -> Any:
    """Return loaded state in the type of its parameter; a step count keeps its own."""
    value = from_pytorch(value)
    if isinstance(value, Tensor):
        if key == "step":
            exact = group.get("capturable") or group.get("fused")
            return _as(value, dtypes.F32 if exact else value.array.dtype)
        return _as(value, p.array.dtype if p.array.dtype.kind == "f" else value.array.dtype)
    if isinstance(value, dict):
        return {k: _cast(v, p, group, k) for k, v in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        return type(value)(_cast(v, p, group) for v in value)  # type: ignore[call-arg]
    return value


def _converted(value: Any) -> Any:
    """Return options with PyTorch's tensors as this package's."""
    if isinstance(value, dict):
        return {key: _converted(v) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_converted, value))
    return from_pytorch(value)


def _as(value: Tensor, d: np.dtype[Any]) -> Tensor:
    return result_type.make(value.array.astype(d))  # type: ignore[no-any-return]
