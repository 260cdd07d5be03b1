"""Modules that hold modules, or parameters, as a list or a dictionary does."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self

from tinygrad_like.graph import Traced
from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.naming import indented, typename
from tinygrad_like.nn.parameter import Parameter


def _position(index: Any, size: int) -> int:
    """Return the place among `size` that `index`, perhaps negative, means."""
    place = operator.index(index)
    if not -size <= place < size:
        raise told(IndexError, f"index {place} is out of range")
    return place % size


class _Listed(Module):
    """Modules in an order, named by their position."""

    _modules: dict[str, Any]

    def _key(self, index: Any) -> str:
        return list(self._modules)[_position(index, len(self))]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: int | slice) -> None:
        keys = list(self._modules)
        for key in keys[index] if isinstance(index, slice) else [self._key(index)]:
            delattr(self, key)
        self._modules = {str(i): module for i, module in enumerate(self._modules.values())}

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Self:
        """Add a module at the end and return this one."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Remove the module at a position and return it."""
        removed = self[key]  # type: ignore[index]
        del self[key]
        return removed

    def _insert(self, index: int, module: Module) -> None:
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._modules = {str(i): module for i, module in enumerate(modules)}


class Sequential(_Listed):
    """Modules called one after the other, each with the result of the one before.

    Args:
        args: the modules, or one OrderedDict with their names.

    >>> import tinygrad_like as torch
    >>> torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): ReLU()
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for key, module in args[0].items():
                self.add_module(key, module)
        else:
            for index, module in enumerate(args):
                self.add_module(str(index), module)

    def forward(self, input: Any) -> Any:
        """Return the result of the last module."""
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._key(index)]

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *_checked(other))

    def __iadd__(self, other: Sequential) -> Self:
        for module in list(_checked(other)):
            self.append(module)
        return self

    def __mul__(self, times: int) -> Sequential:
        self._check_factor(times)
        return Sequential(*(list(self) * times))

    def __rmul__(self, times: int) -> Sequential:
        return self * times

    def __imul__(self, times: int) -> Self:
        self._check_factor(times)
        return self.extend(list(self) * (times - 1))

    def _check_factor(self, times: Any) -> None:
        if not isinstance(times, int):
            raise told(
                TypeError, f"unsupported operand type(s) for *: {type(self)} and {type(times)}"
            )
        if times <= 0:
            raise told(ValueError, f"Non-positive multiplication factor {times} for {type(self)}")

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index` and return this one.

        Raises:
            IndexError: if there is no such position.
        """
        if not isinstance(module, Module):
            raise told(AssertionError, f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise told(IndexError, f"Index out of range: {index}")
        self._insert(index, module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add modules at the end and return this one."""
        for module in sequential:
            self.append(module)
        return self


def _checked(other: Any) -> Sequential:
    if not isinstance(other, Sequential):
        raise told(
            ValueError,
            f"add operator supports only objects of Sequential class, but {type(other)} is given.",
        )
    return other


class ModuleList(_Listed):
    """Modules in a list, registered.

    Args:
        modules: the modules.

    >>> import tinygrad_like as torch
    >>> layers = torch.nn.ModuleList([torch.nn.ReLU(), torch.nn.ReLU(), torch.nn.Tanh()])
    >>> layers
    ModuleList(
      (0-1): 2 x ReLU()
      (2): Tanh()
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[self._key(index)]

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at `index`."""
        self._insert(index, module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end and return this one.

        Raises:
            TypeError: if `modules` can't be iterated over.
        """
        if not isinstance(modules, Iterable):
            raise told(
                TypeError,
                "ModuleList.extend should be called with an iterable, but got "
                f"{type(modules).__name__}",
            )
        for module in list(modules):
            self.append(module)
        return self

    def __repr__(self) -> str:
        runs: list[tuple[str, list[int]]] = []
        for index, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][0] == text:
                runs[-1][1].append(index)
            else:
                runs.append((text, [index]))
        lines = []
        for text, places in runs:
            several = len(places) > 1
            place = f"{places[0]}-{places[-1]}" if several else str(places[0])
            times = f"{len(places)} x " if several else ""
            lines.append(f"  ({place}): {times}{indented(text)}\n")
        return f"{self._get_name()}(\n{''.join(lines)})" if lines else f"{self._get_name()}()"


class ModuleDict(Module):
    """Modules in a dictionary, registered.

    Args:
        modules: a mapping, or pairs of names and modules.

    >>> import tinygrad_like as torch
    >>> list(torch.nn.ModuleDict({"relu": torch.nn.ReLU(), "tanh": torch.nn.Tanh()}))
    ['relu', 'tanh']
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Remove the module of that name and return it."""
        return self._modules.pop(key)

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Any]:
        """Return pairs of names and modules."""
        return self._modules.items()

    def values(self) -> ValuesView[Any]:
        """Return the modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add modules, replacing those of the same names.

        Raises:
            TypeError: if `modules` is no mapping and no pairs.
            ValueError: if a pair has not two elements.
        """
        for key, module in _pairs(modules, "ModuleDict", "ModuleDict"):
            self[key] = module


def _pairs(given: Any, kind: str, called: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(given, Iterable):
        raise told(
            TypeError,
            f"{called}.update should be called with an iterable of key/value pairs, but got "
            f"{type(given).__name__}",
        )
    if isinstance(given, Mapping | ModuleDict | ParameterDict):
        yield from list(given.items())
        return
    for position, pair in enumerate(given):
        if not isinstance(pair, Iterable):
            raise told(
                TypeError,
                f"{kind} update sequence element #{position} should be Iterable; is"
                f"{type(pair).__name__}",
            )
        key_and_value = tuple(pair)
        if len(key_and_value) != 2:
            raise told(
                ValueError,
                f"{kind} update sequence element #{position} has length {len(key_and_value)}; 2 is required",
            )
        yield key_and_value


def _described(value: Any, dtype_name: str) -> str:
    if not isinstance(value, Traced):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"{kind} containing: [{dtype_name} of size {'x'.join(map(str, value.array.shape))}]"


class ParameterList(Module):
    """Parameters in a list, registered; tensors put in become parameters, other values stay.

    Args:
        values: the parameters.

    >>> import tinygrad_like as torch
    >>> torch.nn.ParameterList([torch.zeros(2, 3)])
    ParameterList(  (0): Parameter containing: [torch.float32 of size 2x3])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self[i] for i in range(*index.indices(len(self))))
        return getattr(self, str(_position(index, len(self))))

    def __setitem__(self, index: int, value: Any) -> None:
        if isinstance(value, Traced) and not isinstance(value, Parameter):
            value = Parameter(value)
        setattr(self, str(_position(index, len(self))), value)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a value at the end and return this module."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end and return this module.

        Raises:
            TypeError: if `values` is a tensor or can't be iterated over.
        """
        if not isinstance(values, Iterable) or isinstance(values, Traced):
            raise told(
                TypeError,
                "ParameterList.extend should be called with an iterable, but got "
                f"{type(values).__name__}",
            )
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return "\n".join(
            f"  ({i}): {_described(value, str(getattr(value, 'dtype', '')))}"
            for i, value in enumerate(self)
        )

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raise: it computes nothing."""
        raise told(RuntimeError, "ParameterList should not be called.")


class ParameterDict(Module):
    """Parameters in a dictionary, registered; tensors put in become parameters, other values stay.

    Args:
        parameters: a mapping, or pairs of names and parameters.

    >>> import tinygrad_like as torch
    >>> list(torch.nn.ParameterDict({"a": torch.zeros(2)}))
    ['a']
    """

    _keys: dict[str, None]

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, _string(key))

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, Traced) and not isinstance(value, Parameter):
            value = Parameter(value)
        setattr(self, _string(key), value)
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """Return another dictionary with the same parameters."""
        return ParameterDict(list(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of that name, put there first if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove all values."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove the value of that name and return it."""
        removed = self[key]
        del self[key]
        return removed

    def popitem(self) -> tuple[str, Any]:
        """Remove the value put in last and return its name and it."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of that name, or the default."""
        return self[key] if key in self._keys else default

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Return a dictionary with these names, all of the same value."""
        return ParameterDict([(key, default) for key in keys])

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return pairs of names and values."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """Return the values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Add values, replacing those of the same names; from a plain dict in the order of the names.

        Raises:
            TypeError: if `parameters` is no mapping and no pairs.
            ValueError: if a pair has not two elements.
        """
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            parameters = sorted(parameters.items())
        for key, value in _pairs(parameters, "ParameterDict", "ParametersDict"):
            self[key] = value

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return "\n".join(
            f"  ({key}): {_described(value, typename(value))}" for key, value in self.items()
        )

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raise: it computes nothing."""
        raise told(RuntimeError, "ParameterDict should not be called.")

    def __or__(self, other: Any) -> ParameterDict:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ror__(self, other: Any) -> ParameterDict:
        joined: ParameterDict = other.copy()
        joined.update(self)
        return joined

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self


def _string(key: Any) -> str:
    if not isinstance(key, str):
        raise told(
            TypeError,
            "Index given to ParameterDict cannot be used as a key as it is not a string "
            f"(type is '{type(key).__name__}').",
        )
    return key
