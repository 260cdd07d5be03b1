"""Tensors that a module owns: parameters, which are trained, and buffers, which are only kept."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.device import check_device
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.size import Size
from tinygrad_like.tensor import Tensor


def _around(cls: type[Tensor], data: Any, requires_grad: bool) -> Any:
    """Return a tensor of class `cls` that shares the memory of `data` but not its graph."""
    if data is None:
        data = Tensor()
    if not isinstance(data, Traced):
        raise told(
            AttributeError,
            f"{cls.__name__}: data is {type(data).__name__}, expected a Tensor; wrap it in tensor(...)",
        )
    made = object.__new__(cls)
    made.array = data.array
    made.node = None
    made._grad = None
    made._view = None
    if requires_grad:
        made.requires_grad_()
    return made


class Parameter(Tensor):
    """A tensor that a `Module` registers when it is assigned as an attribute.

    It shares the memory of `data`. Results of operations on it are plain tensors.

    Raises:
        RuntimeError: if a gradient is wanted and `data` is not floating-point.

    >>> import tinygrad_like as torch
    >>> torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        """Return a parameter around the memory of `data` (an empty one without)."""
        return _around(cls, data, requires_grad)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        copied = self._rebuild(self.array.copy(order="K"), self.requires_grad)
        memo[id(self)] = copied
        return copied  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a `Module` registers as a buffer when it is assigned as an attribute.

    Args:
        data: the tensor whose memory to share.
        requires_grad: record operations on it.
        persistent: make it part of the module's ``state_dict``.
    """

    __slots__ = ()
    persistent: bool

    def __new__(
        cls, data: Any = None, *, requires_grad: bool = False, persistent: bool = True
    ) -> Buffer:
        """Return a buffer around the memory of `data` (an empty one without)."""
        made = _around(cls, data, requires_grad)
        made.persistent = persistent
        return made  # type: ignore[no-any-return]


# ----- Not there yet ------------------------------------------------------------------------------

_array = Traced.__dict__["array"]


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet: only its dtype may be asked for and changed."""

    __slots__ = ()
    _becomes: ClassVar[type[Tensor]]

    @classmethod
    def _unknown(cls, requires_grad: bool, device: Any, dtype: Any) -> Any:
        """Return a tensor of this class."""
        check_device(device)
        nothing = np.empty(0, dtypes.default() if dtype is None else dtypes.of(dtype))
        made = _around(cls._becomes, result_type.make(nothing), requires_grad)
        made.__class__ = cls
        return made

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of this shape, its elements not set.

        Args:
            shape: the sizes.
            device: the CPU.
            dtype: of the elements (default: the one there is).
        """
        check_device(device)
        nothing = _array.__get__(self)
        made = np.empty(tuple(shape), nothing.dtype if dtype is None else dtypes.of(dtype))
        self.__class__ = self._becomes  # type: ignore[assignment]
        self.rebind(made)  # type: ignore[attr-defined]

    @property
    def array(self) -> Any:
        """Nothing yet: asking for it raises a ValueError."""
        name = type(self).__name__
        raise told(
            ValueError,
            f"Attempted to use an uninitialized parameter (a torch.nn.parameter.{name}). Call "
            "`forward` of its `LazyModule` with a batch to initialize it first.",
        )

    @array.setter
    def array(self, value: Any) -> None:
        _array.__set__(self, value)

    @property
    def shape(self) -> Size:
        """Not known: asking for it raises a RuntimeError."""
        raise told(
            RuntimeError,
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens "
            "in `load_state_dict` when trying to load an uninitialized parameter into an initialized "
            "one. Call `forward` to initialize the parameters before accessing their attributes.",
        )

    @property
    def dtype(self) -> Any:
        """The type that the elements will have."""
        return dtypes.named(_array.__get__(self).dtype)

    @property
    def data(self) -> Any:
        """An ordinary tensor without elements, of the same dtype."""
        return result_type.make(_array.__get__(self))

    @data.setter
    def data(self, value: Any) -> None:
        _array.__set__(self, value.array)

    def detach(self) -> Any:
        """Return this tensor."""
        return self

    def is_floating_point(self) -> bool:
        """Return whether the elements will be floating-point numbers."""
        return bool(self.dtype.is_floating_point)

    def share_memory_(self) -> Any:
        """Raise: there is no memory yet.

        Raises:
            RuntimeError: always.
        """
        raise told(
            RuntimeError,
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize "
            "the parameters before calling `module.share_memory()`.",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            make, given = self.__reduce_ex__(4)
            memo[id(self)] = make(*given)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, None, self.dtype)  # type: ignore[attr-defined]


def is_lazy(param: Any) -> bool:
    """Return whether `param` is a parameter or buffer whose shape is not known yet."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape is not known yet.

    Args:
        requires_grad: whether it is trained.
        device: the CPU.
        dtype: of the elements to be.

    >>> import tinygrad_like as torch
    >>> weight = torch.nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> weight.shape
    torch.Size([2, 3])
    """

    __slots__ = ()
    _becomes = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        """Return a parameter without elements."""
        return cls._unknown(requires_grad, device, dtype)  # type: ignore[no-any-return]


class UninitializedBuffer(UninitializedTensorMixin, Buffer):  # type: ignore[misc]
    """A buffer whose shape is not known yet.

    Args:
        requires_grad: record operations on it.
        device: the CPU.
        dtype: of the elements to be.
        persistent: make it part of the module's ``state_dict``.
    """

    __slots__ = ()
    _becomes = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        """Return a buffer without elements."""
        made = cls._unknown(requires_grad, device, dtype)
        made.persistent = persistent
        return made  # type: ignore[no-any-return]
