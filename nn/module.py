"""Module: parameters, buffers and other modules under their names, and a function of them.

Which module an operation was called in can be told from the clock: `record_modules` notes, for each
call of a module, the ticks before and after it, so the node whose tick lies between was recorded
inside (`module_of`). Calls look for recorders and hooks only when there are some.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_like.graph import Traced
from tinygrad_like.lines import told
from tinygrad_like.nn.changing import Changeable
from tinygrad_like.nn.hooks import (
    Hooked,
    Scope,
    announced,
    module_of,
    record_modules,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from tinygrad_like.nn.naming import indented, typename
from tinygrad_like.nn.parameter import Buffer, Parameter
from tinygrad_like.nn.registered import Registered
from tinygrad_like.nn.state import IncompatibleKeys, Stateful

__all__ = [
    "IncompatibleKeys",
    "Module",
    "Scope",
    "module_of",
    "record_modules",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


class Module(Hooked, Stateful, Changeable):
    """A part of a network: subclass it, make parameters and modules in ``__init__``, write ``forward``.

    Parameters, modules and buffers assigned as attributes are registered under their names. Calling
    the module runs its hooks and ``forward``.

    >>> import tinygrad_like as torch
    >>> class Scale(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = torch.nn.Parameter(torch.tensor(3.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> net = Scale()
    >>> net(torch.tensor([1.0, 2.0])).detach()
    tensor([3., 6.])
    >>> [name for name, parameter in net.named_parameters()]
    ['factor']
    """

    training: bool
    call_super_init = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            name = type(self).__name__
            if kwargs:
                raise told(
                    TypeError,
                    f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'",
                )
            if args:
                raise told(
                    TypeError,
                    f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given",
                )
        for own in _REGISTERS:  # there already if this is called a second time
            self.__dict__.get(own, {}).clear()
        self.__dict__.update(_fresh_state())
        for own in _REGISTERS:
            self.__dict__[own] = Registered(self)
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's result: to be overridden.

        Raises:
            NotImplementedError: if it is not.
        """
        del args, kwargs
        raise told(
            NotImplementedError,
            f'Module [{type(self).__name__}] is missing the required "forward" function',
        )

    # ----- Registering ----------------------------------------------------------------------------

    def _check_name(self, kind: str, name: Any, own: str) -> None:
        """Raise unless `name` can be given to a new `kind`, kept in the dictionary `own`."""
        if own not in self.__dict__:
            raise told(AttributeError, f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise told(TypeError, f"{kind} name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self.__dict__[own]:
            raise told(KeyError, f"attribute '{name}' already exists")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise told(KeyError, f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise told(KeyError, f'{kind} name can\'t be empty string ""')

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter, or None where one could be.

        Raises:
            KeyError: if the name is taken or not fit for an attribute.
            TypeError: if it is not a `Parameter`.
            ValueError: if it is not a leaf.
        """
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise told(
                TypeError,
                f"cannot assign '{typename(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)",
            )
        if param is not None and param.grad_fn is not None:
            raise told(
                ValueError,
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                "the forward() method.",
            )
        if param is not None:
            param = announced("parameter", self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Register a tensor that belongs to the module but is not trained, or None.

        Args:
            name: the attribute's name.
            tensor: the tensor.
            persistent: make it part of the state_dict.

        Raises:
            KeyError: if the name is taken or not fit for an attribute.
            TypeError: if it is not a tensor.
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Traced):
            raise told(
                TypeError,
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)",
            )
        self._buffers[name] = announced("buffer", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register another module, or None where one could be.

        Raises:
            KeyError: if the name is taken or not fit for an attribute.
            TypeError: if it is not a `Module`.
        """
        if not isinstance(module, Module) and module is not None:
            raise told(TypeError, f"{typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = announced("module", self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Do what `add_module` does."""
        self.add_module(name, module)

    # ----- Attributes -----------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Called only when the ordinary ways have failed: what is registered is an attribute too.
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self
        )

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        for kind, own, others, title in _KINDS:
            registered = state.get(own)
            if isinstance(value, kind):
                if registered is None:
                    raise told(
                        AttributeError, f"cannot assign {title} before Module.__init__() call"
                    )
                if own != "_buffers":
                    state.pop(name, None)
                    self._non_persistent_buffers_set.discard(name)
                for other in others:
                    state[other].pop(name, None)
            elif registered is None or name not in registered:
                continue
            elif value is not None and not (own == "_buffers" and isinstance(value, Traced)):
                raise told(
                    TypeError,
                    f"cannot assign '{typename(value)}' as {_TITLES[own]} '{name}' "
                    f"({_EXPECTED[own]} expected)",
                )
            if own == "_parameters":
                self.register_parameter(name, value)
            elif own == "_modules":
                registered[name] = announced("module", self, name, value)
            else:
                lasting = name not in self._non_persistent_buffers_set
                persistent = value.persistent if isinstance(value, Buffer) else lasting
                self.register_buffer(name, value, persistent)
            return
        if name in _REGISTERS and not isinstance(value, Registered):
            self._replace_register(name, value)
            return
        object.__setattr__(self, name, value)

    def _replace_register(self, name: str, entries: dict[str, Any]) -> None:
        """Register `entries` instead of what the dictionary called `name` holds."""
        former = self.__dict__.get(name)
        if former is not None:
            entries = dict(entries)
            former.clear()
        self.__dict__[name] = Registered(self, entries)

    def __delattr__(self, name: str) -> None:
        for own in _REGISTERS:
            if name in self.__dict__[own]:
                del self.__dict__[own][name]
                if own == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        return sorted(name for name in names if not name[:1].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        registered = {name for own in _REGISTERS for name in self.__dict__.get(own, ())}
        return {name: value for name, value in self.__dict__.items() if name not in registered}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name, value in _fresh_state().items():
            self.__dict__.setdefault(name, value)
        for own in _REGISTERS:
            self.__dict__[own] = Registered(self, self.__dict__.get(own, {}))

    # ----- Looking around -------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all inside it, each with its dotted name.

        Args:
            memo: modules to leave out.
            prefix: what to put before each name.
            remove_duplicate: yield a module that occurs several times only once.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                inner = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, inner, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all inside it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules registered here, each once, with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules registered here, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self,
        members: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, member in members(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters, each with its dotted name.

        Args:
            prefix: what to put before each name.
            recurse: those of inner modules too.
            remove_duplicate: yield a parameter that occurs several times only once.

        >>> import tinygrad_like as torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3))
        >>> [(name, tuple(p.shape)) for name, p in net.named_parameters()]
        [('0.weight', (3, 2)), ('0.bias', (3,))]
        """
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once: what an optimizer is given."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Yield the buffers, each with its dotted name; see `named_parameters`."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Yield the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """Return the module of that dotted name; this one for "".

        Raises:
            AttributeError: if there is none.
        """
        found: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(found, name):
                raise told(AttributeError, f"{found._get_name()} has no attribute `{name}`")
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise told(AttributeError, f"`{name}` is not an nn.Module")
        return found  # type: ignore[no-any-return]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at that dotted name.

        Args:
            target: the name; all of it but its last part must exist.
            module: the module.
            strict: there must be one already.

        Raises:
            ValueError: if the name is empty or `module` is not a `Module`.
            AttributeError: if there is no such place.
        """
        if not target:
            raise told(ValueError, "Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise told(ValueError, f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise told(AttributeError, f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise told(AttributeError, f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _get_member(self, target: str, own: str, title: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise told(AttributeError, f"{module._get_name()} has no attribute `{name}`")
        if name not in getattr(module, own):
            raise told(AttributeError, f"`{name}` is not {title}")
        return getattr(module, name)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of that dotted name.

        Raises:
            AttributeError: if there is none.
        """
        return self._get_member(target, "_parameters", "an nn.Parameter")  # type: ignore[no-any-return]

    def get_buffer(self, target: str) -> Any:
        """Return the buffer of that dotted name.

        Raises:
            AttributeError: if there is none.
        """
        return self._get_member(target, "_buffers", "a buffer")

    # ----- Printing -------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what to print between the parentheses: to be overridden."""
        return ""

    def _repr_html_(self) -> str:  # asked for by notebooks
        from tinygrad_like.notebook import module_html

        return module_html(self)

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        inner = [f"({name}): {indented(repr(m))}" for name, m in self._modules.items()]
        if len(lines) == 1 and not inner:
            return f"{self._get_name()}({extra})"
        body = "".join(f"\n  {line}" for line in (*lines, *inner))
        return f"{self._get_name()}({body}\n)" if body else f"{self._get_name()}()"


# What an attribute may be registered as: its type, where it is kept, and where the name is then freed.
_KINDS = (
    (Parameter, "_parameters", ("_buffers", "_modules"), "parameters"),
    (Module, "_modules", ("_parameters", "_buffers"), "module"),
    (Buffer, "_buffers", (), "buffer"),
)
_TITLES = {"_parameters": "parameter", "_modules": "child module", "_buffers": "buffer"}
_EXPECTED = {
    "_parameters": "torch.nn.Parameter or None",
    "_modules": "torch.nn.Module or None",
    "_buffers": "torch.nn.Buffer, torch.Tensor or None",
}


_REGISTERS = ("_parameters", "_buffers", "_modules")


def _fresh_state() -> dict[str, Any]:
    """Return what every module has from the start."""
    return {
        "training": True,
        "_non_persistent_buffers_set": set(),
        "_backward_pre_hooks": OrderedDict(),
        "_backward_hooks": OrderedDict(),
        "_forward_hooks": OrderedDict(),
        "_forward_pre_hooks": OrderedDict(),
        "_hooks_with_kwargs": {},
        "_hooks_always_called": {},
        "_state_dict_hooks": OrderedDict(),
        "_state_dict_pre_hooks": OrderedDict(),
        "_load_state_dict_pre_hooks": OrderedDict(),
        "_load_state_dict_post_hooks": OrderedDict(),
    }
