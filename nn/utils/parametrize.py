"""Tensors of a module expressed by others: what is trained is the expression's argument.

    register_parametrization(layer, "weight", Symmetric())

From then on ``layer.weight`` is computed by ``Symmetric()`` from
``layer.parametrizations.weight.original`` whenever it is read, and gradients reach the original.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.container import ModuleDict, ModuleList
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class _Cache:
    """Tensors computed inside ``with cached():``, kept until the outermost block ends."""

    def __init__(self) -> None:
        self.depth = 0
        self.tensors: dict[tuple[int, str], Any] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside a ``with`` block, however often it is read.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(2, 3))
    >>> layer.weight is layer.weight
    False
    >>> with parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.tensors.clear()


# ----- What a parametrized tensor is computed by --------------------------------------------------


def _register(module: Module, name: str, tensor: Any) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_alike(made: Any, by: str, wanted: Any, of: str) -> None:
    """Raise unless `made` is a tensor of the dtype and shape of `wanted`.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(made, Tensor):
        raise told(
            ValueError, f"A parametrization must return a tensor. Got {type(made).__name__}."
        )
    for what in ("dtype", "shape"):
        if getattr(made, what) != getattr(wanted, what):
            raise told(
                ValueError,
                f"Registering a parametrization may not change the {what} of the tensor, unless "
                f"`unsafe` flag is enabled.\n{of}.{what}: {getattr(wanted, what)}\n"
                f"{by}.{what}: {getattr(made, what)}",
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor and what they are applied to.

    That is ``original``, or ``original0``, ``original1``, ... if the first parametrization's
    ``right_inverse`` returns several tensors. `register_parametrization` makes these.

    Args:
        modules: the parametrizations, in the order they are applied.
        original: the tensor to be parametrized; it keeps being the same object.
        unsafe: let the result differ from `original` in dtype or shape.

    Raises:
        ValueError: if there are no modules, or their results do not fit.
    """

    original: Any

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise told(ValueError, "ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        former = original.detach()
        start = self._start(former)
        self.is_tensor = isinstance(start, Tensor)
        if self.is_tensor:
            self.ntensors = 1
            if start.dtype != original.dtype:
                raise told(
                    ValueError,
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\n"
                    f"right_inverse(original).dtype: {start.dtype}",
                )
            original.data = start
            _register(self, "original", original)
        else:
            self.ntensors = len(start)
            for i, tensor in enumerate(start):
                if not isinstance(tensor, Tensor):
                    raise told(
                        ValueError,
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                        f"tuple...). Got element {i} of the sequence with type "
                        f"{type(tensor).__name__}.",
                    )
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor, original.requires_grad)
                _register(self, f"original{i}", tensor.requires_grad_(original.requires_grad))
        if not unsafe:
            try:
                _check_alike(self(), "parametrized", former, "unparametrized")
            except ValueError:
                if self.is_tensor:
                    original.data = former
                raise

    def _start(self, value: Any) -> Any:
        """Return what has `value` as its image, as far as the parametrizations know."""
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        value = module.right_inverse(value)
        if not isinstance(value, Tensor | Sequence):
            raise told(
                ValueError,
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(value).__name__}",
            )
        return value

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the parametrized tensor becomes `value`.

        Raises:
            RuntimeError: if a parametrization has no ``right_inverse``.
            ValueError: if what one returns does not fit the originals.
        """
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise told(
                        RuntimeError,
                        f"parametrization {type(module).__name__} does not implement right_inverse.",
                    )
                value = module.right_inverse(value)
        if self.is_tensor and not isinstance(value, Tensor):
            raise told(
                ValueError, f"`right_inverse` should return a tensor. Got {type(value).__name__}"
            )
        values = [value] if self.is_tensor else value
        if not isinstance(values, Sequence):
            raise told(
                ValueError,
                f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.",
            )
        if len(values) != self.ntensors:
            raise told(
                ValueError,
                "'right_inverse' must return a sequence of tensors of length "
                f"{self.ntensors}. Got a sequence of length {len(values)}.",
            )
        originals = self._originals()
        for i, (tensor, original) in enumerate(zip(values, originals, strict=True)):
            got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            if got != original.dtype:
                name = "original" if self.is_tensor else f"original{i}"
                raise told(
                    ValueError,
                    f"The tensor returned by `right_inverse` has dtype {got} while `{name}` has "
                    f"dtype {original.dtype}",
                )
        for tensor, original in zip(values, originals, strict=True):
            original.data = tensor.detach()

    def forward(self) -> Any:
        """Return the parametrized tensor."""
        first, *others = self
        tensor = first(*self._originals())
        for module in others:
            tensor = module(tensor)
        return tensor


# ----- Modules with such tensors ------------------------------------------------------------------


def _property(name: str) -> property:
    def read(self: Any) -> Any:
        parametrization = self.parametrizations[name]
        if not _cache.depth:
            return parametrization()
        key = id(self), name
        if key not in _cache.tensors:
            _cache.tensors[key] = parametrization()
        return _cache.tensors[key]

    def write(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    made = memo[id(self)] = object.__new__(type(self))
    made.__setstate__(copy.deepcopy(Module.__getstate__(self), memo))
    return made


def _refuse_pickling(self: Any) -> Any:
    del self
    raise told(
        RuntimeError,
        "Serialization of parametrized modules is only supported through state_dict().",
    )


def _set_class(module: Module) -> None:
    """Give `module` the class whose properties compute its parametrized tensors.

    Each module has a class of its own, so that what is done to one never shows in another.
    """
    base = type_before_parametrizations(module)
    names = list(module.parametrizations) if "parametrizations" in module._modules else []
    if not names:
        module.__class__ = base
        return
    members: dict[str, Any] = {name: _property(name) for name in names}
    members["__getstate__"] = _refuse_pickling
    members["__module__"] = base.__module__
    if not hasattr(base, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    members["_parametrized"] = base
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), members)


def type_before_parametrizations(module: Module) -> type:
    """Return the class of a module as it was before any of its tensors was parametrized.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(torch.nn.Linear(2, 3))
    >>> parametrize.type_before_parametrizations(layer) is torch.nn.Linear
    True
    """
    found: type = getattr(type(module), "_parametrized", type(module))
    return found


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Return True if that tensor of the module, or any if None, is parametrized."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Have a module's parameter or buffer computed by `parametrization`, and return the module.

    Several ones for the same tensor are applied one after the other. If `parametrization` has a
    method ``right_inverse``, that gives the original for a tensor's present value, and for what is
    assigned to the attribute later.

    Args:
        module: the module; it gets a class of its own, called ``Parametrized...``.
        tensor_name: the name of its parameter or buffer.
        parametrization: maps the original to the tensor; it takes over the training mode.
        unsafe: let it change the tensor's dtype or shape.

    Raises:
        ValueError: if there is no such tensor, or the dtype or shape would change.

    >>> import tinygrad_like as torch
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = torch.nn.Linear(3, 3)
    >>> _ = torch.nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
    >>> torch.equal(layer.weight, layer.weight.T)
    True
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        stack: Any = module.parametrizations[tensor_name]
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            place = f"module.{tensor_name}"
            _check_alike(after, f"parametrization({place})", before, place)
            if hasattr(parametrization, "right_inverse"):
                try:
                    back = parametrization.right_inverse(after)
                except NotImplementedError:
                    pass
                else:
                    _check_alike(back, "parametrization.right_inverse()", before, place)
        stack.append(parametrization)
        stack.unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise told(
            ValueError,
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with "
            f"name '{tensor_name}'",
        )
    made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = made
    _set_class(module)
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor an ordinary parameter or buffer again, and return the module.

    Args:
        module: the module.
        tensor_name: the tensor's name.
        leave_parametrized: keep the value it has now; else the original's, of which there must be
            only one.

    Raises:
        ValueError: if it is not parametrized, or has several originals and no value is kept.
    """
    if not is_parametrized(module, tensor_name):
        raise told(ValueError, f"Module {module} does not have a parametrization on {tensor_name}")
    stack: Any = module.parametrizations[tensor_name]
    if stack.is_tensor:
        tensor = stack.original
        if leave_parametrized:
            with no_grad():
                tensor.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        tensor = getattr(module, tensor_name)
        tensor = Parameter(tensor.detach()) if tensor.requires_grad else tensor
    else:
        raise told(
            ValueError,
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized "
            "in terms of a sequence of tensors.",
        )
    del module.parametrizations[tensor_name]
    _set_class(module)
    if not is_parametrized(module):
        del module.parametrizations
    _register(module, tensor_name, tensor)
    return module


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Share the parametrizations and originals of one module with another, and return that one.

    Args:
        from_module: where they are.
        to_module: where they are wanted; tensors that it lacks are made.
        tensor_name: the tensor whose to share; None for all.
    """
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        stack: Any = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in stack:
            register_parametrization(to_module, name, parametrization)
        own: Any = to_module.parametrizations[name]
        for member in [*stack._parameters, *stack._buffers]:
            setattr(own, member, getattr(stack, member))
    return to_module
