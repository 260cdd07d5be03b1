"""How a module's parameters and buffers become a dictionary, and come back from one."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tinygrad_like.graph import RemovableHandle
from tinygrad_like.interchange import from_pytorch
from tinygrad_like.lines import told
from tinygrad_like.modes import set_mode, thread_mode
from tinygrad_like.nn.parameter import Parameter, is_lazy
from tinygrad_like.tensor import Tensor

_EXTRA_STATE = "_extra_state"


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """The keys that `load_state_dict` missed, and those it had no use for."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        missing, unexpected = self.missing_keys, self.unexpected_keys
        return f"_IncompatibleKeys(missing_keys={missing}, unexpected_keys={unexpected})"

    __str__ = __repr__


class Stateful:
    """What a module knows of its state: `state_dict`, `load_state_dict` and their hooks."""

    _version: int = 1
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]

    # ----- Out ------------------------------------------------------------------------------------

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """Return every parameter and persistent buffer by its dotted name.

        Args:
            args: PyTorch's old way to give the three others by position.
            destination: a dictionary to fill and return, instead of a new one.
            prefix: what to put before each name.
            keep_vars: the tensors themselves; else detached ones that share their memory.

        >>> import tinygrad_like as torch
        >>> list(torch.nn.Linear(2, 3).state_dict())
        ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead.",
                FutureWarning,
                stacklevel=2,
            )
            given = [*args, *[destination, prefix, keep_vars][len(args) :]]
            destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            replaced = hook(self, destination, prefix, metadata)
            if replaced is not None:
                if isinstance(hook, _PostHook):
                    raise told(RuntimeError, "state_dict post-hook must return None")
                destination = replaced
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put this module's own tensors, not its children's, into `destination`."""
        for name, tensor in self._parameters.items():
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        for name, tensor in self._buffers.items():
            if tensor is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before this module's state is collected."""
        return _add(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, metadata)`` after this module's was collected.

        The hook may change the dictionary but must return None.
        """
        return _add(self._state_dict_hooks, _PostHook(hook))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return _add(self._state_dict_hooks, hook)

    def get_extra_state(self) -> Any:
        """Return whatever else belongs into the state: to be overridden with `set_extra_state`.

        Raises:
            RuntimeError: if the module does not override it.
        """
        raise told(
            RuntimeError,
            f"{type(self).__name__}: get_extra_state() is not overridden, so there is no extra state",
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave: to be overridden with it.

        Raises:
            RuntimeError: if the module does not override it.
        """
        del state
        raise told(
            RuntimeError,
            f"{type(self).__name__}: set_extra_state() is not overridden, so there is no extra state",
        )

    # ----- In -------------------------------------------------------------------------------------

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy tensors into the parameters and buffers of the same names.

        Args:
            state_dict: what `state_dict` returned; its tensors may be PyTorch's.
            strict: the names must be exactly this module's.
            assign: put the given tensors in place of this module's, instead of copying.

        Raises:
            TypeError: if `state_dict` is not a mapping.
            RuntimeError: if names, with `strict`, or shapes differ. What fits is copied all the same.

        >>> import tinygrad_like as torch
        >>> net, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
        >>> net.load_state_dict(other.state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise told(TypeError, f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        loading = _Loading(getattr(state_dict, "_metadata", None), assign)
        copied: Any = OrderedDict(state_dict)
        if loading.metadata is not None:
            copied._metadata = loading.metadata
        loading.load(self, copied, "")
        keys, errors = loading.keys, loading.errors
        if strict:
            for kind, names in (
                ("Unexpected", keys.unexpected_keys),
                ("Missing", keys.missing_keys),
            ):
                if names:
                    quoted = ", ".join(f'"{name}"' for name in names)
                    errors.insert(0, f"{kind} key(s) in state_dict: {quoted}. ")
        if errors:
            listed = "\n\t".join(errors)
            raise told(
                RuntimeError,
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}",
            )
        return keys

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own tensors, not its children's; note what is wrong in the lists."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        own = dict(self._parameters)
        own |= {k: v for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set}
        own = {name: tensor for name, tensor in own.items() if tensor is not None}
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, tensor in own.items():
            key = prefix + name
            if key in state_dict:
                self._load_one(name, key, tensor, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)
        extra = prefix + _EXTRA_STATE
        if type(self).set_extra_state is not Stateful.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    name, dot, _ = key[len(prefix) :].partition(".")
                    if name not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def _load_one(
        self, name: str, key: str, tensor: Any, given: Any, assign: bool, error_msgs: list[str]
    ) -> None:
        given = from_pytorch(given)
        if not isinstance(given, Tensor):
            error_msgs.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                f"from checkpoint but received {type(given)}"
            )
            return
        if is_lazy(tensor):
            return  # and so is `given`: otherwise its shape would have been taken
        if tensor.ndim == 0 and given.shape == (1,):
            given = given[0]
        if given.shape != tensor.shape:
            error_msgs.append(
                f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
                f"the shape in current model is {tensor.shape}."
            )
            return
        former = set_mode(False, thread_mode.inference)
        try:
            if not assign:
                tensor.copy_(given)
                return
            if isinstance(tensor, Parameter):
                if not isinstance(given, Parameter):
                    given = Parameter(given, tensor.requires_grad)
                else:
                    given.requires_grad_(tensor.requires_grad)
            setattr(self, name, given)
        except Exception as error:
            error_msgs.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{tensor.shape} and whose dimensions in the checkpoint are {given.shape}, "
                f"an exception occurred : {error.args}."
            )
        finally:
            set_mode(*former)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook` before this module's own tensors are loaded.

        Args:
            hook: gets the module and the arguments of `_load_from_state_dict`.
        """
        return _add(self._load_state_dict_pre_hooks, _WithModule(hook, self))

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        return _add(
            self._load_state_dict_pre_hooks, _WithModule(hook, self) if with_module else hook
        )

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after this module and its children were loaded.

        The hook may change the two lists of keys but must return None.
        """
        return _add(self._load_state_dict_post_hooks, hook)


class _PostHook:
    """A state_dict hook that may not replace the dictionary."""

    __slots__ = ("hook",)

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook

    def __call__(self, *args: Any) -> Any:
        return self.hook(*args)


class _WithModule:
    """A hook that gets the module first; copied with its module, it belongs to the copy."""

    __slots__ = ("hook", "module")

    def __init__(self, hook: Callable[..., Any], module: Any) -> None:
        self.hook, self.module = hook, module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


def _add(hooks: OrderedDict[int, Callable[..., Any]], hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class _Loading:
    """One run of `load_state_dict` through a tree of modules."""

    def __init__(self, metadata: Any, assign: bool) -> None:
        self.metadata, self.assign = metadata, assign
        self.keys = IncompatibleKeys([], [])
        self.errors: list[str] = []

    def load(self, module: Any, state_dict: Any, prefix: str) -> None:
        found = {} if self.metadata is None else self.metadata.get(prefix[:-1], {})
        local = {**found, "assign_to_params_buffers": True} if self.assign else found
        missing, unexpected = self.keys
        module._load_from_state_dict(
            state_dict, prefix, local, True, missing, unexpected, self.errors
        )
        for name, child in module._modules.items():
            if child is not None:
                inner = f"{prefix}{name}."
                part = {k: v for k, v in state_dict.items() if k.startswith(inner)}
                self.load(child, part, inner)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, self.keys) is not None:
                raise told(
                    AssertionError,
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                    "return new values, if incompatible_keys need to be modified, it should be done inplace.",
                )
