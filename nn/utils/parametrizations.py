"""Parametrizations that keep a weight normalized, spectrally normalized or orthogonal."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_like as torch
from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.dtypes import finfo
from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.utils.parametrize import register_parametrization
from tinygrad_like.nn.utils.reweighting import (
    as_matrix,
    length_except,
    output_dim,
    power_iteration,
    random_directions,
    with_length,
)
from tinygrad_like.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _tensor_of(module: Module, name: str) -> Any:
    tensor = getattr(module, name, None)
    if not isinstance(tensor, Tensor):
        raise told(ValueError, f"Module '{module}' has no parameter or buffer with name '{name}'")
    return tensor


# ----- Length and direction -----------------------------------------------------------------------


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return with_length(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return length_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train a weight's length ``g`` and direction ``v`` apart, ``w = g v / |v|``; return the module.

    ``original0`` is ``g``, ``original1`` is ``v``. A state_dict that has them as ``weight_g`` and
    ``weight_v`` can be loaded (Salimans and Kingma, https://arxiv.org/abs/1602.07868, equation 2).

    Args:
        module: the module.
        name: its weight.
        dim: the dimension along which each slice has a length of its own; None for one length.

    Raises:
        ValueError: if there is no such weight.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape
    torch.Size([40, 1])
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: Any, prefix: str, *others: Any) -> None:
        del others
        former = [f"{prefix}{name}_{letter}" for letter in "gv"]
        if all(key in state_dict for key in former):
            for i, key in enumerate(former):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


# ----- Spectral norm ------------------------------------------------------------------------------


class _SpectralNorm(Module):
    def __init__(
        self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise told(
                IndexError,
                "Dimension out of range (expected to be in range of "
                f"[-{weight.ndim}, {weight.ndim - 1}] but got {dim})",
            )
        if n_power_iterations <= 0:
            raise told(
                ValueError,
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}",
            )
        self.dim, self.eps = dim % weight.ndim, eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            u, v = random_directions(as_matrix(weight.detach(), self.dim), eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            self._iterate(as_matrix(weight, self.dim), 15)

    def _iterate(self, matrix: Any, count: int) -> None:
        for _ in range(count):
            power_iteration(matrix, self._u, self._v, self.eps)

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return torch.nn.functional.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        # Copies: a later call changes u and v before this one's gradient is taken.
        return weight / torch.dot(self._u.clone(), torch.mv(matrix, self._v.clone()))

    def right_inverse(self, value: Any) -> Any:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, and return the module.

    The value is estimated by the power method, which goes on whenever the weight is read in
    training (Miyato et al., https://arxiv.org/abs/1802.05957, algorithm 1).

    Args:
        module: the module.
        name: its weight.
        n_power_iterations: steps of the power method each time the weight is read.
        eps: the least length that vectors are divided by.
        dim: the dimension of the outputs; None for 1 in transposed convolutions and 0 else.

    Raises:
        ValueError: if there is no such weight, or there are no iterations.
        IndexError: if the weight has no such dimension.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(20, 40))
    >>> bool(abs(torch.linalg.matrix_norm(layer.weight, 2) - 1) < 0.1)
    True
    """
    weight = _tensor_of(module, name)
    dim = output_dim(module) if dim is None else dim
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, dim, eps)
    )


# ----- Orthogonal matrices ------------------------------------------------------------------------


def _reflections(matrix: Any) -> tuple[Any, Any]:
    """Return LAPACK's compact QR decomposition: R on and above the diagonal, and the factors tau."""
    compact, tau = np.linalg.qr(matrix.detach().numpy(), mode="raw")
    return torch.tensor(np.ascontiguousarray(compact.swapaxes(-1, -2))), torch.tensor(tau)


def _orthogonalized(matrix: Any) -> Any:
    """Return Q of the QR decomposition of a tall matrix in which R has a positive diagonal."""
    compact, tau = _reflections(matrix)
    signs = compact.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
    return torch.linalg.householder_product(compact, tau) * signs


def _is_orthogonal(matrix: Any) -> bool:
    n, k = matrix.shape[-2:]
    eye = torch.eye(k, dtype=matrix.dtype)
    return torch.allclose(matrix.mT @ matrix, eye, atol=10.0 * n * finfo(matrix.dtype).eps)


class _Orthogonal(Module):
    def __init__(self, weight: Any, orthogonal_map: str, *, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def _map(self, x: Any) -> Any:
        """Return an orthogonal matrix of the shape (*, n, k) of `x`, n >= k."""
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            x_lower = x.tril(-1)
            tau = 2.0 / (1.0 + (x_lower * x_lower).sum(-2))
            signs = x.detach().diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
            return torch.linalg.householder_product(x_lower, tau) * signs
        x = x.tril()
        if n != k:
            x = torch.cat([x, x.new_zeros((*x.shape[:-1], n - k))], -1)
        skew = x - x.mT
        if self.orthogonal_map == "matrix_exp":
            return torch.matrix_exp(skew)[..., :k]
        eye = torch.eye(n, dtype=x.dtype)
        return torch.linalg.solve(eye - 0.5 * skew, eye + 0.5 * skew)[..., :k]

    def forward(self, x: Any) -> Any:
        wide = x.shape[-2] < x.shape[-1]
        made = self._map(x.mT if wide else x)
        if self.use_trivialization:
            made = self.base @ made
        return made.mT if wide else made

    def right_inverse(self, wanted: Any) -> Any:
        if wanted.shape != self.shape:
            raise told(
                ValueError,
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {wanted.shape}.",
            )
        with no_grad():
            wide = wanted.shape[-2] < wanted.shape[-1]
            tall = wanted.mT if wide else wanted
            if not self.use_trivialization:
                made = self._inverse(tall)
                return made.mT if wide else made
            n, k = tall.shape[-2:]
            if n != k:
                more = torch.randn(*tall.shape[:-2], n, n - k, dtype=tall.dtype)
                self.base = _orthogonalized(torch.cat([tall, more], -1))
            else:
                self.base = tall.clone() if _is_orthogonal(tall) else _orthogonalized(tall)
            # What every map takes to the identity: the diagonal holds the reflections' signs.
            return -torch.eye(*wanted.shape[-2:], dtype=wanted.dtype).expand_as(wanted).clone()

    def _inverse(self, matrix: Any) -> Any:
        if self.orthogonal_map != "householder":
            raise told(
                NotImplementedError,
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False.",
            )
        compact, tau = _reflections(matrix)
        signs = compact.diagonal(dim1=-2, dim2=-1).sign()
        compact.diagonal(dim1=-2, dim2=-1).copy_(torch.where(tau == 0.0, -signs, signs))
        return compact


_MAPS = ("matrix_exp", "cayley", "householder")


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a weight's columns, or the rows of a wide one, orthonormal, and return the module.

    Args:
        module: the module.
        name: its weight ``(*, n, k)``.
        orthogonal_map: what makes a matrix orthogonal: "matrix_exp" or "cayley" of a skew matrix, or
            "householder" reflections; None for the first if n = k and the last else.
        use_trivialization: multiply by a fixed orthogonal matrix, by which any value can be
            assigned (Lezcano-Casado, https://arxiv.org/abs/1909.09501).

    Raises:
        ValueError: if there is no such weight, it is no matrix, or the map is another one.

    >>> import tinygrad_like as torch
    >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(20, 40))
    >>> torch.allclose(layer.weight.T @ layer.weight, torch.eye(20), atol=1e-5)
    True
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise told(
            ValueError,
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.",
        )
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in _MAPS:
        raise told(
            ValueError,
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}",
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
