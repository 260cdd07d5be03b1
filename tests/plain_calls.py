"""Calls that have no gradient: making tensors, drawing numbers, asking questions, converting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _x(t: Any) -> Any:
    return t.tensor([[1.0, -2.5, 3.0], [0.0, 2.0, -1.0]])


def _n(t: Any) -> Any:
    return t.tensor([[3, 0, 1], [1, 1, 2]])


def _seeded(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def seeded(t: Any) -> Any:
        t.manual_seed(3)
        return call(t)

    return seeded


MAKING: list[Callable[[Any], Any]] = [
    lambda t: [t.zeros(2, 3), t.ones((2,), dtype=t.int32), t.full((2, 2), 7), t.full((), 0.5)],
    lambda t: [t.empty(0, 3), t.empty((2, 0), dtype=t.float64), t.empty_strided((0, 2), (2, 1))],
    lambda t: [t.zeros_like(_n(t)), t.ones_like(_x(t)), t.full_like(_n(t), 3)],
    lambda t: [t.empty_like(_x(t)).shape, t.empty_strided((2, 3), (1, 2)).stride()],
    lambda t: [t.arange(5), t.arange(1, 2, 0.3), t.arange(5, 0, -2), t.range(1, 3, 0.5)],
    lambda t: [t.linspace(0, 1, 5), t.linspace(3, -2, 4), t.linspace(1, 2, 1), t.linspace(0, 1, 0)],
    lambda t: [t.logspace(0, 2, 3), t.logspace(0, 3, 4, base=2), t.eye(2, 3), t.eye(2)],
    lambda t: [t.tensor([1, 2.5]), t.tensor(True), t.tensor([[]]), t.scalar_tensor(3)],
    lambda t: [t.as_tensor([1, 2]), t.asarray((1.5, 2)), t.from_numpy(np.arange(3))],
    lambda t: t.frombuffer(bytearray(range(8)), dtype=t.uint8, count=3, offset=2),
    lambda t: t.from_dlpack(_x(t)),
    lambda t: [t.tril_indices(3, 4, -1), t.triu_indices(3, 4, 1), t.tril_indices(0, 2)],
    lambda t: [_x(t).new_zeros(2), _n(t).new_ones(2, 3), _x(t).new_full((2,), 3)],
    lambda t: [_n(t).new_tensor([1.5, 2]), _x(t).new_empty(0, 2), _x(t).new_empty((3,)).shape],
    lambda t: [t.meshgrid(t.arange(2), t.arange(3), indexing="xy")],
    lambda t: [_x(t).zero_(), t.zero_(_n(t)), _x(t).fill_diagonal_(3), t.detach_copy(_x(t))],
    lambda t: [t.fill(_x(t), 2.0), t.fill(_n(t), t.tensor(3))],
    lambda t: t.vander(t.tensor([1, 2, 3]), 3, increasing=True),
    *(
        lambda t, name=name: [
            getattr(t.signal.windows, name)(7),
            getattr(t.signal.windows, name)(6, sym=False, dtype=t.float64),
        ]
        for name in ("bartlett", "blackman", "cosine", "hamming", "hann", "nuttall", "kaiser")
    ),
    lambda t: [t.signal.windows.gaussian(7, std=2.0), t.signal.windows.exponential(6, tau=2.0)],
    lambda t: t.signal.windows.general_cosine(7, a=[0.4, 0.3, 0.3]),
    lambda t: t.signal.windows.general_hamming(7, alpha=0.6),
    *(
        lambda t, name=name: [getattr(t, f"{name}_window")(7), getattr(t, f"{name}_window")(1)]
        for name in ("bartlett", "blackman", "hamming", "hann", "kaiser")
    ),
]

DRAWING: list[Callable[[Any], Any]] = [
    lambda t: [t.rand(3), t.rand(20), t.rand(2, 3, dtype=t.float64), t.rand_like(_x(t))],
    lambda t: [t.randn(3), t.randn(20), t.randn(17, dtype=t.float64), t.randn_like(_x(t))],
    lambda t: [t.randint(10, (5,)), t.randint(-3, 2**40, (5,)), t.randint_like(_x(t), 2, 9)],
    lambda t: [t.randperm(12), t.randperm(0), t.randperm(5, dtype=t.int32)],
    lambda t: [t.multinomial(t.tensor([[0.2, 0.8, 0.0], [1.0, 1.0, 1.0]]), 2)],
    lambda t: t.multinomial(t.tensor([0.1, 0.2, 0.7]), 12, replacement=True),
    lambda t: [t.bernoulli(t.full((20,), 0.3)), t.empty(20).bernoulli_(0.3)],
    lambda t: [t.poisson(t.full((9,), 3.0)), t.binomial(t.full((9,), 7.0), t.full((9,), 0.4))],
    lambda t: [t.normal(0.0, 2.0, (3,)), t.normal(1.0, 0.5, (20,)), t.empty(20).normal_(1, 3)],
    lambda t: [t.empty(20).uniform_(-1, 2), t.empty(3, dtype=t.float64).uniform_()],
    lambda t: [t.empty(9).exponential_(2), t.empty(9, dtype=t.float64).exponential_()],
    lambda t: [t.empty(9).cauchy_(1, 2), t.empty(9, dtype=t.float64).cauchy_()],
    lambda t: [t.empty(9).geometric_(0.3), t.empty(9, dtype=t.int64).geometric_(0.3)],
    lambda t: [t.empty(9).log_normal_(0.5, 0.2), t.empty(17).log_normal_()],
    lambda t: [t.empty(9).random_(), t.empty(9, dtype=t.int64).random_(5), _n(t).random_(2, 7)],
]

ASKING: list[Callable[[Any], Any]] = [
    lambda t: [t.numel(_x(t)), _x(t).numel(), _x(t).nelement(), _x(t).dim(), _x(t).ndimension()],
    lambda t: [_x(t).size(), _x(t).size(-1), _x(t).ndim, _x(t).element_size(), _x(t).itemsize],
    lambda t: [_x(t).nbytes, _x(t).stride(), _x(t).T.stride(0), _x(t)[1].storage_offset()],
    lambda t: [_x(t).is_contiguous(), _x(t).T.is_contiguous(), _x(t).is_floating_point()],
    lambda t: [t.is_tensor(_x(t)), t.is_tensor(3), t.is_floating_point(_n(t)), t.is_complex(_n(t))],
    lambda t: [_x(t).is_complex(), _x(t).is_conj(), t.is_conj(_x(t)), _n(t).is_signed()],
    lambda t: [t.is_signed(_x(t)), t.is_same_size(_x(t), _n(t)), _x(t).is_same_size(_x(t)[0])],
    lambda t: [t.is_nonzero(t.tensor(0.0)), t.tensor([3]).is_nonzero(), _x(t).is_inference()],
    lambda t: [t.is_inference(_x(t)), _x(t).is_shared(), _x(t).is_pinned(), _x(t).get_device()],
    lambda t: [_x(t).is_leaf, _x(t).requires_grad, _x(t).retains_grad, _x(t).output_nr],
    lambda t: [_x(t).grad, _x(t).grad_fn, str(_x(t).device), str(_x(t).layout)],
    lambda t: [t.equal(_x(t), _x(t)), _x(t).equal(_n(t).float()), t.allclose(_x(t), _x(t) + 1e-9)],
    lambda t: _x(t).allclose(_x(t) * 2),
    lambda t: [t.tensor(2.5).item(), _n(t).tolist()],
    lambda t: [_x(t).numpy(), _n(t).numpy().dtype.name, _x(t).cpu(), len(_x(t))],
    lambda t: [str(t.result_type(_x(t), 1)), str(t.promote_types(t.int8, t.float16))],
    lambda t: [t.can_cast(t.float32, t.int32), tuple(t.broadcast_shapes((3, 1), (2,)))],
    lambda t: [t.is_grad_enabled(), t.is_inference_mode_enabled(), t.is_anomaly_enabled()],
    lambda t: [str(t.get_default_dtype()), _x(t).type(), _x(t).type(t.int32), _x(t).detach()],
    lambda t: [_x(t).half(), _n(t).byte(), _x(t).to(t.int64)],
    lambda t: [bool(t.tensor(1)), int(t.tensor(2.7)), float(t.tensor(3)), 2.0 in _x(t)],
    lambda t: [list(t.tensor([1, 2])), [0, 1, 2][t.tensor(1)]],
    lambda t: [_x(t).is_cpu, _x(t).is_cuda, _x(t).is_meta, _x(t).is_sparse, _x(t).is_quantized],
    lambda t: [_x(t).apply_(lambda v: v + 1), _x(t).map_(_x(t), lambda v, w: v * w)],
    lambda t: [t.resolve_neg(_x(t)), _x(t).resolve_neg(), _x(t).dim_order(), _x(t).data],
    lambda t: [t.conj(_x(t)), _x(t).conj(), t.resolve_conj(_x(t)), _x(t).resolve_conj()],
]

COUNTING: list[Callable[[Any], Any]] = [
    lambda t: [t.nonzero(_x(t)), _n(t).nonzero(as_tuple=True), t.argwhere(_n(t)), _x(t).argwhere()],
    lambda t: [t.bincount(_n(t)[0]), _n(t)[1].bincount(t.tensor([0.5, 1.0, 2.0]), 5)],
    lambda t: [t.histc(_x(t), 4), _x(t).histc(3, -1, 1), *t.histogram(_x(t), 4)],
    lambda t: [*_x(t).histogram(t.tensor([-3.0, 0.0, 1.0, 3.0]), density=True)],
    lambda t: [t.unique(_n(t)), *_n(t).unique(return_inverse=True, return_counts=True, dim=0)],
    lambda t: [*t.unique_consecutive(_n(t), return_inverse=True, return_counts=True)],
    lambda t: _n(t).unique_consecutive(dim=1),
    lambda t: [t.isin(_n(t), t.tensor([0, 3])), t.isin(_n(t), 1, invert=True)],
    lambda t: t.unravel_index(t.tensor([5, 2]), (2, 3)),
    lambda t: [*t.geqrf(_x(t)), *_x(t).geqrf()],
    lambda t: [t.orgqr(*t.geqrf(_x(t).T)), t.ormqr(*t.geqrf(_x(t).T), _x(t).T)],
    lambda t: [t.linalg.matrix_rank(_x(t)), t.linalg.matrix_rank(t.zeros(2, 3, 3))],
    lambda t: [t.nn.functional.one_hot(_n(t)), t.nn.functional.one_hot(_n(t), 6)],
    lambda t: [t.heaviside(_x(t), t.tensor(0.5)), t.signbit(_x(t)), t.isreal(_x(t))],
    lambda t: [t.special.polygamma(1, t.tensor([0.5, 2.0])), t.special.psi(t.tensor([0.5]))],
    lambda t: t.special.gammainc(t.tensor([0.5, 2.0]), t.tensor([1.0, 3.0])),
    lambda t: t.special.gammaincc(t.tensor([0.5, 2.0]), t.tensor([1.0, 3.0])),
    lambda t: [t.special.multigammaln(t.tensor([2.5, 3.0]), 2), t.special.erfinv(t.tensor(0.3))],
    lambda t: [t.lgamma(t.tensor([0.5, 3.0])), t.digamma(t.tensor([0.5])), t.i0(t.tensor([1.0]))],
]

CALLS = [*MAKING, *map(_seeded, DRAWING), *ASKING, *COUNTING]
