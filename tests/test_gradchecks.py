"""Every differentiable op passes `gradcheck` and `gradgradcheck`, through the rows of the op table."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_like as torch
from tests.test_ops import ROWS, Case
from tinygrad_like.autograd import gradcheck, gradgradcheck
from tinygrad_like.op import REGISTRY

# Ops without a row here, and why.
FIRST = {
    "bernoulli": "draws: PyTorch gives samples a gradient of 0, whatever the probabilities",
    "cast": "to a dtype in which differences of this size are lost",
    "normal": "draws: the gradient of a sample is one for its mean, and goes no further",
    "poisson": "draws: PyTorch gives samples a gradient of 0, whatever the rates",
}
# Ops whose second derivative is refused, and why.
SECOND = {
    "cofactors": "singular matrices: theirs take all minors of two rows less",
    "ctc_gradient": "a sum over alignments, of which PyTorch has no second derivative either",
    "ctc_loss": "see its gradient",
}


def _checked(case: Case, check: Any) -> None:
    """Check a row with one of its samples: along a random direction, which no mistake survives."""
    arrays = case.draw("float64")
    wanted = case.differentiable()
    leaves = [torch.from_numpy(np.array(arrays[i])).requires_grad_() for i in wanted]
    others = {
        i: torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a
        for i, a in enumerate(arrays)
        if i not in wanted
    }

    def results(*given: Any) -> list[Any]:
        operands = others | dict(zip(wanted, given, strict=True))
        torch.manual_seed(0)
        out = case.row.call(torch, *(operands[i] for i in range(len(arrays))))
        return list(out) if isinstance(out, tuple | list) else [out]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Running statistics depend on their input, but have no gradient.
        live = [isinstance(o, torch.Tensor) and o.requires_grad for o in results(*leaves)]
        call = lambda *given: tuple(itertools.compress(results(*given), live))
        assert not any(live) or check(call, leaves, eps=1e-5, atol=1e-5, rtol=1e-4, fast_mode=True)


def _samples(most: int) -> Any:
    """Parametrize over rows that finite differences can judge, with up to so many samples each."""
    found = []
    for name, row in ROWS:
        cases = [Case(row, specs, number) for number, specs in enumerate(row.samples)]
        cases = [case for case in cases if row.order and row.finite and case.differentiable()]
        found += [pytest.param(case, id=f"{name}-{case.seed}") for case in cases[:most]]
    return pytest.mark.parametrize("case", found)


@_samples(most=2)
def test_gradcheck(case: Case) -> None:
    _checked(case, gradcheck)


@_samples(most=1)
def test_gradgradcheck(case: Case) -> None:
    if not set(case.row.ops) & set(SECOND):
        _checked(case, gradgradcheck)
        return
    with pytest.raises(RuntimeError, match="not implemented"):
        _checked(case, gradgradcheck)


def test_every_differentiable_op_is_checked() -> None:
    checked = {name for mark in _samples(1).args[1] for name in mark.values[0].row.ops}
    differentiable = {name for name, made in REGISTRY.items() if made.differentiable}
    assert sorted(differentiable - checked) == sorted(FIRST), "give a row, or a reason"
    assert sorted(set(SECOND) - checked) == [], "reasons for ops that are not checked"
