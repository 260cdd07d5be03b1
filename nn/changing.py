"""What changes all parameters, buffers and modules of a network at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from tinygrad_like import dtypes
from tinygrad_like.device import check_device
from tinygrad_like.lines import told
from tinygrad_like.modes import set_mode, thread_mode
from tinygrad_like.nn.naming import asked_dtype
from tinygrad_like.nn.parameter import Parameter, is_lazy
from tinygrad_like.ops.creation import empty_like


class Changeable:
    """What a module knows of its tensors and modules: training or not, conversions, gradients."""

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def children(self) -> Iterator[Any]:
        """Yield the modules registered here, each once."""
        raise NotImplementedError

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once."""
        raise NotImplementedError

    def apply(self, fn: Callable[[Any], None]) -> Self:
        """Call ``fn(module)`` for every inner module and then for this one; return this one.

        >>> import tinygrad_like as torch
        >>> @torch.no_grad()
        ... def fill(module):
        ...     if isinstance(module, torch.nn.Linear):
        ...         module.weight.fill_(1.0)
        >>> torch.nn.Sequential(torch.nn.Linear(2, 1)).apply(fill)[0].weight.detach()
        tensor([[1., 1.]])
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set every module to training, or with False to evaluation, and return this one.

        Raises:
            ValueError: if `mode` is not a bool.
        """
        if not isinstance(mode, bool):
            raise told(ValueError, "training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set every module to evaluation and return this one."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Have gradients recorded for all parameters, or no longer, and return this module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none` False fill them with 0."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                if parameter.grad.grad_fn is not None:
                    parameter.grad.detach_()
                else:
                    parameter.grad.requires_grad_(False)
                parameter.grad.zero_()

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Give every tensor (parameters, their gradients, buffers) the memory of ``fn(tensor)``."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        former = set_mode(False, thread_mode.inference)
        try:
            for parameter in self._parameters.values():
                if parameter is not None:
                    grad = parameter._grad
                    given = parameter.data if is_lazy(parameter) else parameter
                    parameter.rebind(fn(given).array)
                    if grad is not None:
                        grad.rebind(fn(grad).array)
            for name, buffer in self._buffers.items():
                if is_lazy(buffer):
                    buffer.rebind(fn(buffer.data).array)
                elif buffer is not None:
                    self._buffers[name] = fn(buffer)
        finally:
            set_mode(*former)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert floating-point parameters and buffers: ``to(dtype)``, ``to(device, dtype)`` or ``to(tensor)``.

        Parameters stay the same objects.

        Raises:
            TypeError: if the dtype is not a floating-point one.
            RuntimeError: if the device is not the CPU.
        """
        target = asked_dtype(*args, **kwargs)
        if target is None:
            return self
        if target.kind != "f":
            raise told(
                TypeError,
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtypes.named(target)}",
            )
        return self._to_float(dtypes.named(target))

    def _to_float(self, dtype: Any) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.array.dtype.kind == "f" else t)

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers, integers too."""
        return self._apply(lambda t: t.type(dst_type))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Give every tensor fresh memory whose elements are not set, and return this module.

        Args:
            device: the CPU.
            recurse: those of inner modules too.
        """
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self._to_float(dtypes.float32)

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self._to_float(dtypes.float64)

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self._to_float(dtypes.float16)

    def cpu(self) -> Self:
        """Return this module, which is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """Raise: there is only the CPU.

        Raises:
            RuntimeError: always.
        """
        check_device("cuda" if device is None else f"cuda:{device}")
        return self

    def share_memory(self) -> Self:
        """Have every tensor's memory shared, see `Tensor.share_memory_`, and return this module."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is no compiler of whole modules."""
        del args, kwargs
