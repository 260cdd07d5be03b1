"""Tensor: an array, its gradient, and its place in the graph."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.backward import backward
from tinygrad_like.deferred import DeferredMethods
from tinygrad_like.device import Device, check_device, cpu, strided
from tinygrad_like.graph import (
    AccumulateGrad,
    Hooks,
    Node,
    Pick,
    RemovableHandle,
    add_hook,
    mark_inference,
    result_type,
)
from tinygrad_like.interchange import from_sizes_or_data
from tinygrad_like.keywords import install_methods
from tinygrad_like.layout import note_sharing
from tinygrad_like.lines import told
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.noticed import lost
from tinygrad_like.op import makes_results
from tinygrad_like.ops.activation import ActivationMethods
from tinygrad_like.ops.arranging import ArrangingMethods
from tinygrad_like.ops.conversion import ConversionMethods
from tinygrad_like.ops.counting import CountingMethods
from tinygrad_like.ops.creation import CreationMethods
from tinygrad_like.ops.diagonals import DiagonalMethods
from tinygrad_like.ops.elementwise import ElementwiseMethods
from tinygrad_like.ops.expanding import ExpandingMethods
from tinygrad_like.ops.extrema import ExtremaMethods
from tinygrad_like.ops.indexing import IndexingMethods
from tinygrad_like.ops.integers import IntegerMethods
from tinygrad_like.ops.joining import JoiningMethods
from tinygrad_like.ops.linalg import LinalgMethods
from tinygrad_like.ops.masking import MaskingMethods
from tinygrad_like.ops.matrix_functions import MatrixMethods
from tinygrad_like.ops.norms import NormMethods
from tinygrad_like.ops.products import ProductMethods
from tinygrad_like.ops.random import RandomMethods
from tinygrad_like.ops.reducing import ReducingMethods
from tinygrad_like.ops.reduction import ReductionMethods
from tinygrad_like.ops.regions import RegionMethods
from tinygrad_like.ops.scanning import ScanningMethods
from tinygrad_like.ops.scattering import ScatteringMethods
from tinygrad_like.ops.shaping import ShapingMethods
from tinygrad_like.ops.sorting import SortingMethods
from tinygrad_like.ops.statistics import StatisticsMethods
from tinygrad_like.protocols import ProtocolMethods
from tinygrad_like.size import Size
from tinygrad_like.stamps import version
from tinygrad_like.views import forget_views


@makes_results
@install_methods
class Tensor(
    ElementwiseMethods,
    ActivationMethods,
    ReductionMethods,
    NormMethods,
    ExtremaMethods,
    ScanningMethods,
    SortingMethods,
    CountingMethods,
    LinalgMethods,
    ProductMethods,
    MatrixMethods,
    StatisticsMethods,
    ShapingMethods,
    ExpandingMethods,
    JoiningMethods,
    ArrangingMethods,
    DiagonalMethods,
    ConversionMethods,
    IndexingMethods,
    ScatteringMethods,
    ReducingMethods,
    RegionMethods,
    IntegerMethods,
    MaskingMethods,
    RandomMethods,
    CreationMethods,
    DeferredMethods,
    ProtocolMethods,
):
    """An n-dimensional array that remembers how it was computed.

    Make one with `tensor`, `zeros` and their like. The operators and most methods are the ops of
    ``tinygrad_like.ops``, bound here family by family.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()
    __hash__ = object.__hash__  # by identity, since == compares elements

    def __new__(cls, *data: Any, device: Any = None) -> Tensor:
        """Return a float tensor of the given sizes, or with the given list's values."""
        check_device(device)
        return from_sizes_or_data(data, dtypes.default())  # type: ignore[no-any-return]

    # ----- What it is -----------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self.array.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.named(self.array.dtype)

    @property
    def device(self) -> Device:
        """Always the CPU."""
        return cpu

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.array.nbytes

    layout = strided
    is_cpu = True
    is_cuda = False
    is_meta = False
    is_quantized = False
    is_sparse = False

    def is_same_size(self, other: Tensor) -> bool:
        """Return True if the other tensor has the same shape."""
        return bool(self.array.shape == other.array.shape)

    def get_device(self) -> int:
        """Return -1, PyTorch's number for the CPU."""
        return -1

    def is_nonzero(self) -> bool:
        """Return whether the only element is other than zero.

        Raises:
            RuntimeError: if there are several elements, or none.
        """
        return bool(self)

    def is_pinned(self) -> bool:
        """Return False: there is no GPU to pin memory for."""
        return False

    def is_shared(self) -> bool:
        """Return False: see `share_memory_`."""
        return False

    def cuda(self, device: Any = None) -> Tensor:
        """Raise, since there is only the CPU."""
        check_device("cuda" if device is None else device)
        return self

    def pin_memory(self, device: Any = None) -> Tensor:
        """Raise, since there is no GPU to pin memory for."""
        del device
        raise told(
            RuntimeError, "pin_memory: there is no GPU to pin memory for; leave the call out"
        )

    def share_memory_(self) -> Tensor:
        """Raise, since memory is not shared between processes."""
        raise told(
            RuntimeError,
            "share_memory_: memory can't be shared between processes; send a copy, or use threads",
        )

    def is_inference(self) -> bool:
        """Return True if it was made in inference mode."""
        return "_inference" in self.__dict__

    # ----- Its place in the graph -----------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded. Set it on a leaf, or call `requires_grad_`."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Have gradients recorded for this leaf, or no longer, and return it.

        Raises:
            RuntimeError: if its elements are not floating-point, or if it is not a leaf.
        """
        if requires_grad and self.node is None:
            if self.array.dtype.kind != "f":
                raise told(
                    RuntimeError,
                    "only Tensors of floating point and complex dtype can require gradients: this one is "
                    f"{self.dtype}; convert it first, for example with .float()",
                )
            if self.__dict__.get("_inference") and not thread_mode.inference:
                raise told(
                    RuntimeError,
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.",
                )
            self.node = AccumulateGrad(self)
        elif not requires_grad and self.node is not None:
            if not isinstance(self.node, AccumulateGrad):
                raise told(
                    RuntimeError,
                    "you can only change requires_grad flags of leaf variables: this tensor is the "
                    f"result of {self.node.name()}; use .detach() to get one without gradient",
                )
            self.node = None
        return self

    @property
    def is_leaf(self) -> bool:
        """True unless an operation that was recorded made it."""
        return self.node is None or isinstance(self.node, AccumulateGrad)

    @property
    def grad_fn(self) -> Node | None:
        """The node of the operation that made it; None for a leaf."""
        node = self.node
        if isinstance(node, Pick):
            return node.parents[0]
        return None if isinstance(node, AccumulateGrad) else node

    @property
    def output_nr(self) -> int:
        """Which result of its operation it is."""
        return self.node.index if isinstance(self.node, Pick) else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up here."""
        g = self._grad
        if g is None and lost and self.array.shape in lost and type(self.node) is AccumulateGrad:
            from tinygrad_like.debug.losses import warn_of_lost

            warn_of_lost(self)
        if g is None and self.node is not None and not (self.is_leaf or self.retains_grad):
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. It won't be "
                f"filled by backward: this tensor is the result of {self.node.name()}; call "
                "retain_grad() on it first, or look at the leaf's",
                stacklevel=2,
            )
        return g  # type: ignore[no-any-return]

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise told(
                    TypeError,
                    f"assigned grad expected to be a Tensor or None but got {type(value).__name__}",
                )
            if value is self:
                raise told(RuntimeError, "can't assign Variable as its own grad")
            if value.array.shape != self.array.shape:
                raise told(
                    RuntimeError,
                    "assigned grad has data of a different size: got "
                    f"{tuple(value.shape)}, expected {tuple(self.shape)}",
                )
            if value.array.dtype is not self.array.dtype:
                raise told(
                    RuntimeError,
                    f"assigned grad has data of a different type: got {value.dtype}, expected {self.dtype}",
                )
        self._grad = value

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to the ``.grad`` of the leaves it was computed from.

        See `tinygrad_like.autograd.backward` for the arguments and errors.
        """
        backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """Return a tensor that shares the memory but not the graph."""
        tensor = result_type.make(self.array)
        if self.array.ndim > 2:
            note_sharing(self, tensor)
        if departed.count and thread_mode.inference:
            mark_inference(tensor, (self,))
        return tensor  # type: ignore[no-any-return]

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph and return it.

        Raises:
            RuntimeError: if it is a view, since its base would still be in the graph.
        """
        if self._view is not None:
            raise told(
                RuntimeError,
                "Can't detach views in-place. Use detach() instead, or detach_() on the base.",
            )
        if self.node is not None:
            self.node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph; writing there is not recorded, nor always noticed."""
        tensor = result_type.make(self.array)
        if self.array.ndim > 2:
            note_sharing(self, tensor)
        tensor.__dict__["_silent"] = True
        return tensor  # type: ignore[no-any-return]

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise told(TypeError, f"data: got {type(value).__name__}, expected a Tensor")
        if self.node is not None and value.array.dtype.kind != "f":
            raise told(
                RuntimeError,
                "data set to a tensor that requires gradients must be floating point, but got "
                f"{value.dtype}; convert it first, for example with .float()",
            )
        self.rebind(value.array)

    def rebind(self, array: np.ndarray[Any, Any]) -> None:
        """Hold another array from now on."""
        self.array = array
        forget_views(self)
        if isinstance(self.node, AccumulateGrad):
            self.node.array = array
            self.node.shape = array.shape

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor too, though it is not a leaf.

        Raises:
            RuntimeError: if no gradient will arrive.
        """
        if self.node is None:
            raise told(RuntimeError, "can't retain_grad on Tensor that has requires_grad=False")
        if isinstance(self.node, AccumulateGrad):
            return
        if self.node.hooks is None:
            self.node.hooks = Hooks()
        self.node.hooks.retain = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """True if `retain_grad` was called on a tensor that is not a leaf."""
        node = self.node
        return node is not None and node.hooks is not None and node.hooks.retain is not None

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook` with each gradient of this tensor; it may return another in its place.

        Raises:
            RuntimeError: if the tensor does not require a gradient.
        """
        if self.node is None:
            raise told(
                RuntimeError,
                "cannot register a hook on a tensor that doesn't require gradient; call requires_grad_()",
            )
        return add_hook(self.node, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call ``hook(tensor)`` each time a backward has added to this leaf's ``.grad``.

        Raises:
            RuntimeError: if the tensor is not a leaf that requires a gradient.
        """
        if not isinstance(self.node, AccumulateGrad):
            raise told(
                RuntimeError,
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
                if self.node is not None
                else "cannot register a hook on a tensor that doesn't require gradient",
            )
        if self.node.post_hooks is None:
            self.node.post_hooks = {}
        handle = RemovableHandle(self.node.post_hooks)
        self.node.post_hooks[handle.id] = hook
        return handle

    @property
    def _version(self) -> int:
        return version(self.array)

    @property
    def _base(self) -> Tensor | None:
        return None if self._view is None else self._view.base
