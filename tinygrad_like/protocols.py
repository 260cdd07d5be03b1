"""What a `Tensor` is to Python and to NumPy: conversions, operators' guests, copies, pickles."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import AccumulateGrad, Traced
from tinygrad_like.interchange import refuse_dlpack
from tinygrad_like.layout import note_sharing
from tinygrad_like.lines import told
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.op import FUNCTIONS, UFUNCS
from tinygrad_like.printing import format_tensor

_HAS_GRADIENT = (
    "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
)


class ProtocolMethods(Traced):
    """The methods by which Python and NumPy deal with a `Tensor`."""

    __slots__ = ()
    __array_priority__ = 1000

    # ----- Values -----------------------------------------------------------------------------

    def item(self) -> Any:
        """Return the only element as a Python number.

        Raises:
            RuntimeError: if there is not exactly one.
        """
        if self.array.size != 1:
            raise told(
                RuntimeError,
                f"a Tensor with {self.array.size} elements cannot be converted to Scalar",
            )
        return self.array.item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return self.array.tolist()

    def _only(self) -> Any:
        if self.array.size != 1:
            raise told(
                ValueError,
                "only one element tensors can be converted to Python scalars, got shape "
                f"{tuple(self.array.shape)}",
            )
        return self.array.item()

    def __float__(self) -> float:
        return float(self._only())

    def __int__(self) -> int:
        return int(self._only())

    def __complex__(self) -> complex:
        return complex(self._only())

    def __index__(self) -> int:
        if self.array.size != 1 or self.array.dtype.kind == "f":
            raise told(
                TypeError, "only integer tensors of a single element can be converted to an index"
            )
        return int(self.array.item())

    def __bool__(self) -> bool:
        if self.array.size == 1:
            return bool(self.array.item())
        if self.array.size == 0:
            raise told(RuntimeError, "Boolean value of Tensor with no values is ambiguous")
        raise told(
            RuntimeError,
            "Boolean value of Tensor with more than one value is ambiguous; use .any() or .all()",
        )

    # ----- Containers and text --------------------------------------------------------------------

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise told(TypeError, "len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self: Any) -> Iterator[Any]:
        if self.array.ndim == 0:
            raise told(TypeError, "iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self: Any) -> Any:
        return self.flip(0) if self.array.ndim else self

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, Traced | bool | int | float | np.generic):
            raise told(
                RuntimeError,
                "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                f"{type(element)}.",
            )
        return bool(
            (self.array == (element.array if isinstance(element, Traced) else element)).any()
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        del tensor_contents
        return format_tensor(self)

    def _repr_html_(self) -> str:  # asked for by notebooks
        from tinygrad_like.notebook import tensor_html

        return tensor_html(self)

    def __format__(self, specification: str) -> str:
        if self.array.ndim == 0:
            return format(self.array.item(), specification)
        return object.__format__(self, specification)

    def __dir__(self) -> list[str]:
        return sorted(object.__dir__(self))

    # ----- NumPy ----------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """Return the array itself, sharing memory.

        Raises:
            RuntimeError: if the tensor requires a gradient, unless `force`.
        """
        if self.node is not None and not force and not (departed.count and not thread_mode.grad):
            raise told(RuntimeError, _HAS_GRADIENT)
        note_sharing(self)
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.node is not None and not (departed.count and not thread_mode.grad):
            raise told(RuntimeError, _HAS_GRADIENT)
        note_sharing(self)
        return np.array(self.array, dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        answer = UFUNCS.get(ufunc)
        if method != "__call__" or answer is None:
            raise told(
                TypeError,
                f"np.{ufunc.__name__}{'' if method == '__call__' else '.' + method} is not supported for "
                "tensors; use a tensor method, or .detach().numpy() for a plain array",
            )
        if kwargs:
            raise told(
                TypeError,
                f"np.{ufunc.__name__}: {', '.join(kwargs)}= is not supported for tensors, since such a "
                "write could not be recorded; assign the result instead",
            )
        return answer(*inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        del types
        answer = FUNCTIONS.get(func)
        if answer is None:
            names = ", ".join(sorted({f.__name__ for f in FUNCTIONS}))
            raise told(
                TypeError,
                f"np.{func.__name__} is not supported for tensors; supported are {names}; "
                "use .detach().numpy() for a plain array",
            )
        return answer(*args, **kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        refuse_dlpack(self)
        note_sharing(self)
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, index = self.array.__dlpack_device__()
        return int(kind), int(index)

    # ----- Copies ---------------------------------------------------------------------------------

    def _attributes(self) -> dict[str, Any]:
        """Return what the user has attached to this tensor."""
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if self.node is not None and not isinstance(self.node, AccumulateGrad):
            raise told(
                RuntimeError,
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol "
                f"at the moment; this one is the result of {self.node.name()}; use .detach().clone()",
            )
        copied = self._rebuild(self.array.copy("K"), self.node is not None)
        memo[id(self)] = copied
        if self._grad is not None:
            copied._grad = self._grad.detach().clone()
        copied.__dict__.update(copy.deepcopy(self._attributes(), memo))
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        del protocol
        attributes = self._attributes()
        arguments = (self.array, self.node is not None)
        return (type(self)._rebuild, (*arguments, attributes) if attributes else arguments)

    @classmethod
    def _rebuild(
        cls,
        array: np.ndarray[Any, Any],
        requires_grad: bool,
        attributes: dict[str, Any] | None = None,
    ) -> Any:
        tensor: Any = object.__new__(cls)
        # Unpickled arrays have a dtype object of their own, which fast paths would not know.
        tensor.array = array.view(dtypes.of(array.dtype))
        tensor.node = None
        tensor._grad = None
        tensor._view = None
        tensor.__dict__.update(attributes or {})
        return tensor.requires_grad_(requires_grad)
