"""The largest singular values of matrices, found by way of a few random directions.

Source: Halko, Martinsson and Tropp, "Finding structure with randomness", arXiv:0909.4061, 2009,
algorithms 4.4 and 5.1.
"""

from __future__ import annotations

from typing import Any

from tinygrad_like import linalg
from tinygrad_like.lines import told
from tinygrad_like.ops.random import randn

__all__ = ["pca_lowrank", "svd_lowrank"]


def _basis(a: Any, q: int, rounds: int, mean: Any) -> Any:
    """Return `q` orthonormal columns that nearly span those of `a` less `mean`."""

    def times(x: Any, turned: bool) -> Any:
        product = (a.mT if turned else a) @ x
        return product if mean is None else product - (mean.mT if turned else mean) @ x

    basis = linalg.qr(times(randn(a.shape[-1], q, dtype=a.dtype), False)).Q
    for _ in range(rounds):
        basis = linalg.qr(times(basis, True)).Q
        basis = linalg.qr(times(basis, False)).Q
    return basis


def svd_lowrank(
    A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None
) -> tuple[Any, Any, Any]:
    """Return U, S and V, of `q` columns, so that ``U diag(S) V^T`` is nearly `A` less `M`.

    Args:
        A: matrices ``(..., M, N)``.
        q: a little more than their rank.
        niter: how often the directions are improved.
        M: what is subtracted first, of a shape that broadcasts.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.svd_lowrank(torch.ones(4, 3), q=1)[1]
    tensor([3.4641])
    """
    wide = A.shape[-2] < A.shape[-1]
    if M is not None:
        M = M.broadcast_to(A.shape)
    if wide:
        A, M = A.mT, None if M is None else M.mT
    basis = _basis(A, 6 if q is None else q, 2 if niter is None else niter, M)
    small = basis.mT @ A
    if M is not None:
        small = small - basis.mT @ M
    u, s, vh = linalg.svd(small, full_matrices=False)
    u, v = basis @ u, vh.mT
    return (v, s, u) if wide else (u, s, v)


def pca_lowrank(
    A: Any, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Any, Any, Any]:
    """Return U, S and V: the principal components of the rows of `A` are the columns of V.

    Args:
        A: matrices ``(..., M, N)``.
        q: how many components; by default 6, or fewer for a smaller matrix.
        center: subtract the mean of the rows first.
        niter: how often the directions are improved.

    Raises:
        ValueError: if `q` or `niter` is negative, or `q` more than the rank can be.

    >>> import tinygrad_like as torch
    >>> torch.pca_lowrank(torch.rand(5, 3), q=2)[2].shape
    torch.Size([3, 2])
    """
    smaller = min(A.shape[-2:])
    if q is None:
        q = min(6, smaller)
    elif not 0 <= q <= smaller:
        raise told(
            ValueError,
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={smaller}",
        )
    if niter < 0:
        raise told(ValueError, f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
