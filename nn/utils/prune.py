"""Pruning: weights kept at 0 by a mask that is applied before each call."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import tinygrad_like as torch
from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.utils.convert_parameters import parameters_to_vector

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


# ----- How much -----------------------------------------------------------------------------------


def _check_amount(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise told(TypeError, f"Invalid type for amount: {amount}. Must be int or float.")
    whole = isinstance(amount, numbers.Integral)
    if not 0.0 <= float(amount) <= (math.inf if whole else 1.0):
        raise told(
            ValueError,
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer",
        )


def _count(amount: Any, size: int) -> int:
    """Return how many of `size` an amount, a number or a fraction, is.

    Raises:
        ValueError: if it is more than there are.
    """
    count = int(amount) if isinstance(amount, numbers.Integral) else round(amount * size)
    if count > size:
        raise told(
            ValueError,
            f"amount={count} should be smaller than the number of parameters to prune={size}",
        )
    return count


def _check_channels(tensor: Any, dim: int) -> None:
    if tensor.ndim <= 1:
        raise told(
            ValueError,
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of "
            f"shape {tuple(tensor.shape)} with {tensor.ndim} dims",
        )
    if not -tensor.ndim <= dim < tensor.ndim:
        raise told(IndexError, f"Invalid index {dim} for tensor of size {tuple(tensor.shape)}")


def _channels(tensor: Any, dim: int, which: Any) -> tuple[Any, ...]:
    """Return the index of channels `which` along `dim`."""
    index: list[Any] = [slice(None)] * tensor.ndim
    index[dim] = which
    return tuple(index)


# ----- Methods ------------------------------------------------------------------------------------


class BasePruningMethod(ABC):
    """A way to choose what to prune: subclass it, set ``PRUNING_TYPE`` and write ``compute_mask``.

    ``PRUNING_TYPE`` says what a further pruning of the same tensor chooses from: "unstructured" the
    elements that are left, "structured" the channels along ``dim`` that are left, "global" all.
    """

    PRUNING_TYPE: str
    _tensor_name: str | None = None

    def __call__(self, module: Any, inputs: Any) -> None:
        """Set the module's tensor to the masked original: this is a hook before each call."""
        del inputs
        setattr(module, str(self._tensor_name), self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return a mask for `t`, the importance of each element: 0 where to prune.

        Args:
            t: the importance.
            default_mask: the mask so far, of the same shape.
        """

    def apply_mask(self, module: Any) -> Any:
        """Return the module's original tensor times its mask.

        Raises:
            AssertionError: if this was not applied to a module.
        """
        if self._tensor_name is None:
            raise told(AssertionError, f"Module {module} has to be pruned")
        mask = getattr(module, f"{self._tensor_name}_mask")
        original = getattr(module, f"{self._tensor_name}_orig")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> Any:
        """Prune the parameter `name` of a module, and keep it so before each call; return the method.

        Args:
            module: the module.
            name: its parameter, which becomes ``name_orig``, with a buffer ``name_mask``.
            args: what the method is made with.
            importance_scores: what to judge by, instead of the parameter itself.
            kwargs: what the method is made with.

        Raises:
            AssertionError: if the scores have another shape.
        """
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        tensor = getattr(module, name)
        scores = tensor if importance_scores is None else importance_scores
        if scores.shape != tensor.shape:
            raise told(
                AssertionError,
                f"importance_scores should have the same shape as parameter {name} of {module}, got "
                f"{tuple(scores.shape)} vs {tuple(tensor.shape)}",
            )
        key, former = _method_of(module, name)
        if former is None:
            with no_grad():
                mask = method.compute_mask(scores, torch.ones_like(tensor))
            module.register_parameter(f"{name}_orig", tensor)
            del module._parameters[name]
        else:
            container = former if isinstance(former, PruningContainer) else PruningContainer(former)
            mask = container._combine(method, scores, getattr(module, f"{name}_mask").clone())
            container.add_pruning_method(method)
            method = container
            del module._forward_pre_hooks[key]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """Return `t` with what this method chooses set to 0.

        Args:
            t: the tensor.
            default_mask: the mask so far; None for ones.
            importance_scores: what to judge by, instead of `t` itself.

        Raises:
            AssertionError: if the scores have another shape.
        """
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise told(
                AssertionError,
                "importance_scores should have the same shape as tensor t, got "
                f"{tuple(scores.shape)} vs {tuple(t.shape)}",
            )
        mask = torch.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)

    def remove(self, module: Any) -> None:
        """Make the tensor an ordinary parameter again, its pruned elements 0.

        Raises:
            AssertionError: if this was not applied to a module.
        """
        weight = self.apply_mask(module)
        name = str(self._tensor_name)
        original = getattr(module, f"{name}_orig")
        original.data = weight.detach()
        for member in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, member)
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods that pruned one tensor, one after the other."""

    def __init__(self, *args: Any) -> None:
        methods = args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args
        self._pruning_methods: tuple[Any, ...] = ()
        for i, method in enumerate(methods):
            if i == 0 and isinstance(method, BasePruningMethod):
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method.

        Raises:
            TypeError: if it is none.
            ValueError: if it is one for another tensor.
        """
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise told(TypeError, f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise told(
                ValueError,
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'",
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return the mask so far with what the last method prunes of what was left."""
        return self._combine(self._pruning_methods[-1], t, default_mask)

    def _combine(self, method: Any, t: Any, mask: Any) -> Any:
        kind = method.PRUNING_TYPE
        if kind == "unstructured":
            left: Any = mask == 1
        elif kind == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError(
                    'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` '
                    "defined."
                )
            dim = method.dim % t.ndim
            others = [d for d in range(t.ndim) if d != dim]
            left = _channels(t, dim, mask.sum(dim=others) != 0)
        elif kind == "global":
            left = (slice(None),) * t.ndim
        else:
            raise told(ValueError, f"Unrecognized PRUNING_TYPE {kind}")
        combined = mask.to(t.dtype).clone()
        with no_grad():
            chosen = method.compute_mask(t[left], default_mask=mask[left])
            combined[left] = chosen.to(combined.dtype)
        return combined


class Identity(BasePruningMethod):
    """Prune nothing: a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return `default_mask`."""
        del t
        return default_mask


class CustomFromMask(BasePruningMethod):
    """Prune by a mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return `default_mask` times the mask given.

        Raises:
            AssertionError: if their shapes differ.
        """
        del t
        if default_mask.shape != self.mask.shape:
            raise told(
                AssertionError,
                f"default_mask shape {tuple(default_mask.shape)} must match self.mask shape "
                f"{tuple(self.mask.shape)}",
            )
        return default_mask * self.mask.to(default_mask.dtype)


class _Unstructured(BasePruningMethod):
    """Prune elements: the first `amount` by a subclass's order."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Any) -> None:
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return `default_mask` with `amount` elements set to 0.

        Raises:
            ValueError: if that is more than there are.
        """
        count = _count(self.amount, t.numel())
        mask = default_mask.clone().contiguous()
        if count:
            mask.view(-1)[self._first(t, count)] = 0
        return mask

    def _first(self, t: Any, count: int) -> Any:
        raise NotImplementedError


class RandomUnstructured(_Unstructured):
    """Prune elements at random: `amount` of them, or that fraction if it is a float."""

    def _first(self, t: Any, count: int) -> Any:
        return torch.topk(torch.rand_like(t).view(-1), count).indices


class L1Unstructured(_Unstructured):
    """Prune the elements of least absolute value: `amount`, or that fraction if it is a float."""

    def _first(self, t: Any, count: int) -> Any:
        return torch.topk(t.abs().reshape(-1), count, largest=False).indices


class _Structured(BasePruningMethod):
    """Prune channels: all but those a subclass keeps."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount = amount
        self.dim = dim

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Return `default_mask` with `amount` channels along ``dim`` set to 0.

        Raises:
            ValueError: if that is more than there are, or `t` has one dimension.
            IndexError: if ``dim`` is out of range.
        """
        _check_channels(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if not count:
            return default_mask
        mask = torch.zeros_like(t)
        mask[_channels(t, self.dim, self._kept(t, size, count))] = 1
        return mask * default_mask.to(mask.dtype)

    def _kept(self, t: Any, size: int, count: int) -> Any:
        raise NotImplementedError


class RandomStructured(_Structured):
    """Prune channels along `dim` at random: `amount`, or that fraction if it is a float."""

    def _kept(self, t: Any, size: int, count: int) -> Any:
        del t
        draws = torch.rand(size)
        return draws > torch.kthvalue(draws, count).values


class LnStructured(_Structured):
    """Prune the channels along `dim` of least `n`-norm: `amount`, or that fraction if it is a float."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Any, size: int, count: int) -> Any:
        others = [d for d in range(t.ndim) if d != self.dim % t.ndim]
        return torch.topk(torch.norm(t, p=self.n, dim=others), size - count).indices


# ----- Functions ----------------------------------------------------------------------------------


def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones, and return the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune elements of a parameter at random, and return the module.

    Args:
        module: the module.
        name: its parameter.
        amount: how many, an int, or which fraction, a float.

    Raises:
        TypeError: if `amount` is no number.
        ValueError: if it is negative or too large.
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: Any, importance_scores: Any = None
) -> Module:
    """Prune the elements of a parameter of least absolute value, and return the module.

    Args:
        module: the module.
        name: its parameter.
        amount: how many, an int, or which fraction, a float.
        importance_scores: what to judge by, instead of the parameter itself.

    Raises:
        TypeError: if `amount` is no number.
        ValueError: if it is negative or too large.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.utils.prune.l1_unstructured(torch.nn.Linear(4, 5), "weight", 0.3)
    >>> int((layer.weight == 0).sum())
    6
    >>> sorted(layer.state_dict())
    ['bias', 'weight_mask', 'weight_orig']
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune channels of a parameter along `dim` at random; see `random_unstructured`."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Module:
    """Prune the channels of a parameter along `dim` of least `n`-norm; see `l1_unstructured`."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Any) -> Module:
    """Prune a parameter where `mask` is 0, and return the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune elements of several parameters, chosen among all of them.

    Args:
        parameters: pairs of a module and a parameter's name.
        pruning_method: a class, such as `L1Unstructured`.
        importance_scores: what to judge by for some of the pairs, instead of the parameters.
        kwargs: what the method is made with, such as ``amount``.

    Raises:
        TypeError: if an argument is of the wrong kind or the method is not an unstructured one.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.nn.utils import prune
    >>> a, b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    >>> pairs = [(a, "weight"), (b, "weight")]
    >>> prune.global_unstructured(pairs, prune.L1Unstructured, amount=3)
    >>> int((a.weight == 0).sum() + (b.weight == 0).sum())
    3
    """
    if not isinstance(parameters, Iterable):
        raise told(TypeError, "global_unstructured(): parameters is not an Iterable")
    pairs: list[Any] = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise told(TypeError, "global_unstructured(): importance_scores must be of type dict")
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise told(
            TypeError,
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}",
        )
    tensors = [getattr(module, name) for module, name in pairs]
    masks = [
        getattr(module, f"{name}_mask", torch.ones_like(tensor))
        for (module, name), tensor in zip(pairs, tensors, strict=True)
    ]
    judged = [scores.get(pair, tensor) for pair, tensor in zip(pairs, tensors, strict=True)]
    mask = PruningContainer()._combine(
        method, parameters_to_vector(judged), parameters_to_vector(masks)
    )
    parts = mask.split([tensor.numel() for tensor in tensors])
    for (module, name), tensor, part in zip(pairs, tensors, parts, strict=True):
        custom_from_mask(module, name, mask=part.view_as(tensor))


def _method_of(module: Any, name: str) -> tuple[Any, Any]:
    """Return the method that prunes a tensor, and the key of its hook."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key, hook
    return None, None


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one again, its pruned elements 0; return the module.

    Raises:
        ValueError: if it is not pruned.
    """
    key, method = _method_of(module, name)
    if method is None:
        raise told(
            ValueError,
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed",
        )
    method.remove(module)
    del module._forward_pre_hooks[key]
    return module


def is_pruned(module: Module) -> bool:
    """Return True if a parameter of the module, or of one inside it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for inner in module.modules()
        for hook in inner._forward_pre_hooks.values()
    )
