"""What a row of the table of wrong calls says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Operand:
    """A tensor to be made for a call: its values, and whether it is a leaf that wants a gradient."""

    values: np.ndarray
    leaf: bool = False

    def make(self, t: Any, graph: bool) -> Any:
        """Return it as a tensor of the module `t`; a float one is a result that wants a gradient if `graph`."""
        x = t.from_numpy(self.values.copy())
        if self.leaf:
            return x.requires_grad_()
        return x.requires_grad_() * 1 if graph and x.is_floating_point() else x


def real(*shape: int, dtype: str = "float32", leaf: bool = False) -> Operand:
    """Return a floating-point operand with distinct elements between 0 and 1."""
    size = int(np.prod(shape))
    return Operand((np.arange(1, size + 1) / (size + 1)).astype(dtype).reshape(shape), leaf)


def whole(*shape: int, dtype: str = "int64") -> Operand:
    """Return an integer operand that counts up from 0."""
    return Operand(np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape))


def flags(*shape: int) -> Operand:
    """Return a boolean operand that begins True, False, True."""
    return Operand((np.arange(int(np.prod(shape))) % 2 == 0).reshape(shape))


def given(values: Any, dtype: str | None = None) -> Operand:
    """Return an operand of these values: float32, int64 or bool unless `dtype` says otherwise."""
    array = np.array(values, dtype)
    return Operand(array.astype("float32") if dtype is None and array.dtype.kind == "f" else array)


@dataclass(frozen=True)
class Wrong:
    """A call that must be refused.

    Attributes:
        kind: the class of the exception.
        name: the op's public name, a colon and what is wrong.
        call: ``call(t, *operands)``, run with this package and with PyTorch as `t`.
        operands: what it is called on.
        says: words that must stand in the message, separated by ``|``.
        differs: why the class isn't PyTorch's, or why PyTorch lets it pass, where that is so.
        within: the module's part that is passed as `t`, such as ``"nn.functional"``.
    """

    kind: type[Exception]
    name: str
    call: Callable[..., Any]
    operands: tuple[Operand, ...] = ()
    says: str = ""
    differs: str = ""
    within: str = ""

    def run(self, module: Any, operands: list[Any]) -> Any:
        """Call it with `module` on tensors made for it."""
        for part in filter(None, self.within.split(".")):
            module = getattr(module, part)
        return self.call(module, *operands)


def wrong(
    kind: type[Exception], name: str, call: Callable[..., Any], *operands: Operand, **rest: str
) -> Wrong:
    """Return a row; operands follow the call."""
    return Wrong(kind, name, call, operands, **rest)
