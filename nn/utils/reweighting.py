"""Weights computed anew before each call: by length and direction, and by their spectral norm."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

import tinygrad_like as torch
from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.parameter import Parameter

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

_M = TypeVar("_M", bound=Module)


# ----- Formulas -----------------------------------------------------------------------------------


def length_except(v: Any, dim: int) -> Any:
    """Return the lengths of the slices of `v` along `dim`, broadcastable; of the whole for -1."""
    if dim == -1:
        return v.norm()
    others = [i for i in range(v.ndim) if i != dim]
    return v.norm(dim=others, keepdim=True) if others else v.abs()


def with_length(v: Any, g: Any, dim: int) -> Any:
    """Return `v` scaled so that its slices along `dim` have the lengths `g`."""
    return v * (g / length_except(v, dim))


def output_dim(module: Module) -> int:
    """Return the dimension of a module's weight that its outputs are along."""
    nn = torch.nn
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return 1 if isinstance(module, transposed) else 0


def as_matrix(weight: Any, dim: int) -> Any:
    """Return `weight` with `dim` in front and the others as one."""
    return weight.movedim(dim, 0).flatten(1)


def random_directions(matrix: Any, eps: float) -> tuple[Any, Any]:
    """Return random unit vectors of the lengths of a matrix's columns and rows."""
    u, v = (
        torch.nn.functional.normalize(matrix.new_empty(n).normal_(0, 1), dim=0, eps=eps)
        for n in matrix.shape
    )
    return u, v


def power_iteration(matrix: Any, u: Any, v: Any, eps: float, v_first: bool = False) -> None:
    """Bring `u` and `v`, in place, nearer to the singular vectors of the largest singular value."""
    normalize = torch.nn.functional.normalize
    with no_grad():
        if v_first:
            v.copy_(normalize(torch.mv(matrix.T, u), dim=0, eps=eps))
        u.copy_(normalize(torch.mv(matrix, v), dim=0, eps=eps))
        if not v_first:
            v.copy_(normalize(torch.mv(matrix.T, u), dim=0, eps=eps))


# ----- Weights computed before each call ----------------------------------------------------------


class _Reweighting:
    """A hook that sets a module's attribute `name` before each call."""

    title: str

    def __init__(self, name: str) -> None:
        self.name = name

    def compute_weight(self, module: Any) -> Any:
        """Return the weight for a call."""
        raise NotImplementedError

    def final_weight(self, module: Any) -> Any:
        """Return the weight to keep."""
        return self.compute_weight(module)

    def __call__(self, module: Any, inputs: Any) -> None:
        del inputs
        setattr(module, self.name, self.compute_weight(module))

    def _check_new(self, module: Any) -> None:
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, type(self)) and hook.name == self.name:
                raise told(
                    RuntimeError,
                    f"Cannot register two {self.title} hooks on the same parameter {self.name}",
                )

    def member(self, module: Any, suffix: str) -> Any:
        """Return the parameter or buffer called like the weight, with a suffix."""
        return getattr(module, f"{self.name}_{suffix}")


def _remove(kind: type[_Reweighting], module: Any, name: str, suffixes: str) -> None:
    """Make a weight that a hook computes a parameter again."""
    hooks = module._forward_pre_hooks.items()
    found = [(k, h) for k, h in hooks if isinstance(h, kind) and h.name == name]
    if not found:
        raise told(ValueError, f"{kind.title} of '{name}' not found in {module}")
    ((key, hook),) = found
    with no_grad():
        weight = hook.final_weight(module)
    del module._forward_pre_hooks[key]
    for key, other in list(module._state_dict_hooks.items()):
        if getattr(other, "__self__", None) is hook:
            del module._state_dict_hooks[key]
    for suffix in suffixes.split():
        delattr(module, f"{name}_{suffix}")
    delattr(module, name)
    module.register_parameter(name, Parameter(weight.detach()))


class _WeightNorm(_Reweighting):
    title = "weight_norm"

    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name)
        self.dim = dim

    def compute_weight(self, module: Any) -> Any:
        return with_length(self.member(module, "v"), self.member(module, "g"), self.dim)


def weight_norm(module: _M, name: str = "weight", dim: int | None = 0) -> _M:
    """Train a weight's length ``weight_g`` and direction ``weight_v`` apart; return the module.

    `parametrizations.weight_norm` does the same in PyTorch's newer way.

    Args:
        module: the module.
        name: its weight.
        dim: the dimension along which each slice has a length of its own; None for one length.

    Raises:
        RuntimeError: if it is so already.

    >>> import tinygrad_like as torch
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     layer = torch.nn.utils.weight_norm(torch.nn.Linear(2, 3))
    >>> [key for key in layer.state_dict()]
    ['bias', 'weight_g', 'weight_v']
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    made = _WeightNorm(name, -1 if dim is None else dim)
    made._check_new(module)
    weight = getattr(module, name).detach()
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(length_except(weight, made.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight))
    made(module, None)
    module.register_forward_pre_hook(made)
    return module


def remove_weight_norm(module: _M, name: str = "weight") -> _M:
    """Make a weight normalized by `weight_norm` an ordinary parameter again.

    Raises:
        ValueError: if it is none.
    """
    _remove(_WeightNorm, module, name, "g v")
    return module


class _SpectralNorm(_Reweighting):
    title = "spectral_norm"

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__(name)
        if n_power_iterations <= 0:
            raise told(
                ValueError,
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}",
            )
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps

    def compute_weight(self, module: Any) -> Any:
        return self._weight(module, self.n_power_iterations if module.training else 0)

    def final_weight(self, module: Any) -> Any:
        return self._weight(module, 0)

    def _weight(self, module: Any, iterations: int) -> Any:
        weight, u, v = (self.member(module, suffix) for suffix in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        for _ in range(iterations):
            power_iteration(matrix, u, v, self.eps, v_first=True)
        # Copies: a later call changes u and v before this one's gradient is taken.
        return weight / torch.dot(u.clone(), torch.mv(matrix, v.clone()))

    def mark_version(self, module: Any, state_dict: Any, prefix: str, metadata: Any) -> None:
        """Say in a state_dict's metadata, as PyTorch does, that both vectors are in it."""
        del module, state_dict, prefix
        metadata.setdefault("spectral_norm", {})[f"{self.name}.version"] = 1


def spectral_norm(
    module: _M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> _M:
    """Divide a weight by its largest singular value before each call, and return the module.

    `parametrizations.spectral_norm`, which see for the arguments, does the same in PyTorch's newer
    way (Miyato et al., https://arxiv.org/abs/1802.05957, algorithm 1).

    Raises:
        RuntimeError: if it is so already.
        ValueError: if there is no such parameter, or there are no iterations.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.utils.spectral_norm(torch.nn.Linear(2, 3))
    >>> [key for key in layer.state_dict()]
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    dim = output_dim(module) if dim is None else dim
    made = _SpectralNorm(name, n_power_iterations, dim, eps)
    made._check_new(module)
    weight = module._parameters[name]
    if weight is None:
        raise told(ValueError, f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    u, v = random_directions(as_matrix(weight.detach(), dim), eps)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(made)
    module._register_state_dict_hook(made.mark_version)
    return module


def remove_spectral_norm(module: _M, name: str = "weight") -> _M:
    """Make a weight normalized by `spectral_norm` an ordinary parameter again.

    Raises:
        ValueError: if it is none.
    """
    _remove(_SpectralNorm, module, name, "orig u v")
    return module
