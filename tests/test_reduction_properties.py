"""Reductions over any dimensions: values, gradients and refusals are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.both import compare

torch = pytest.importorskip("torch")

nan, inf = float("nan"), float("inf")

# How each is called: over several dimensions, over one that may be left out, over one.
SEVERAL = [
    *("sum", "mean", "amax", "amin", "std", "var", "logsumexp", "nansum", "nanmean"),
    *("count_nonzero", "all", "any", "norm", "std_mean", "var_mean"),
]
ONE_OR_NONE = [
    *("prod", "max", "min", "argmax", "argmin", "median", "nanmedian", "aminmax", "quantile"),
]
ONE = [
    *("mode", "kthvalue", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"),
    *("softmax", "log_softmax", "sort", "topk"),
]
NO_KEEPDIM = [
    *("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "softmax", "log_softmax", "sort"),
    *("count_nonzero", "topk"),
]
# PyTorch reduces over all dimensions for `()`, but its gradients, or its shapes, do not say so.
NO_EMPTY_DIM = {"logsumexp", "std", "var", "std_mean", "var_mean"}
# Ties may go to any of the equal elements, as PyTorch's own kernels differ about it.
LOOSE = {"mode", "kthvalue", "median", "nanmedian", "quantile", "sort", "topk"}

ELEMENTS = [0.0, 1.0, 1.0, 2.0, -1.0, -2.0, 0.5, 3.0, 4.0]
ODD = [*ELEMENTS, nan, inf, -inf, 0.0]


@st.composite
def arrays(draw: Any, odd: bool) -> np.ndarray:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 3, 2, 0]), max_size=3)))
    count = int(np.prod(shape))
    pool = st.sampled_from(ODD if odd else ELEMENTS)
    values = draw(st.lists(pool, min_size=count, max_size=count))
    return np.array(values, "float64").reshape(shape)


@st.composite
def reductions(draw: Any, names: list[str], odd: bool) -> Any:
    """A function, an array, positional arguments and keywords."""
    name = draw(st.sampled_from(names))
    x = draw(arrays(odd))
    wrong = 1 if draw(st.integers(0, 9)) == 0 else 0
    limit = max(x.ndim, 1)
    dim = st.integers(-limit - wrong, limit - 1 + wrong)
    if name in SEVERAL:
        least = 1 if name in NO_EMPTY_DIM else 0
        forms = st.none() | dim | st.lists(dim, min_size=least, max_size=3).map(tuple)
    elif name in ONE_OR_NONE:
        forms = st.none() | dim
    else:
        forms = dim
    chosen = draw(forms)
    options: dict[str, Any] = {} if chosen is None else {"dim": chosen}
    if name not in NO_KEEPDIM and chosen is not None and draw(st.booleans()):
        options["keepdim"] = draw(st.booleans())
    arguments: tuple[Any, ...] = ()
    if name in ("kthvalue", "topk"):
        arguments = (draw(st.integers(0, 3)),)
    if name == "quantile":
        arguments = (draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])),)
        if draw(st.booleans()):
            options["interpolation"] = draw(
                st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"])
            )
    if name in ("std", "var", "std_mean", "var_mean"):
        options["correction"] = draw(st.sampled_from([0, 1, 2]))
    if name == "norm":
        options["p"] = draw(st.sampled_from([2, 1, 0, 3, inf, -inf, 0.5, -1]))
    return name, x, arguments, options


def outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


NAMES = [*SEVERAL, *ONE_OR_NONE, *ONE]


@example(("all", np.array([1.0, 0.0]), (), {"dim": ()}), "float64")
@example(("any", np.zeros((2, 0)), (), {"dim": ()}), "bool")
@example(("norm", np.zeros((3, 0)), (), {"p": -1}), "float32")
@given(reductions(NAMES, odd=True), st.sampled_from(["float64", "float32", "int64", "bool"]))
def test_values(case: Any, dtype: str) -> None:
    name, x, arguments, options = case
    if name.endswith("_mean"):  # PyTorch adds up so that infinities are nan
        x = np.nan_to_num(x, nan=nan, posinf=5, neginf=-5)
    if name == "mode":  # a nan is like no other, or like all
        x = np.nan_to_num(x, nan=7.0)
    if dtype in ("int64", "bool"):
        if not x.size and "softmax" in name:
            return  # refused but for nothing at all
        x = np.nan_to_num(x, posinf=5, neginf=-5)

    def call(module: Any) -> Any:
        result = getattr(module, name)(module.tensor(x.astype(dtype)), *arguments, **options)
        return outputs(result)[0] if name in LOOSE else result

    compare(call, any_error=True)  # which of two mistakes is told differs


@given(reductions([n for n in NAMES if n not in ("all", "any", "argmax", "argmin")], odd=False))
def test_gradients(case: Any) -> None:
    name, x, arguments, options = case
    if not x.size and name in ("cummax", "cummin"):
        return  # whose indices even want a gradient there
    if name in LOOSE:
        x = x + np.linspace(0, 0.1, x.size).reshape(x.shape)

    def call(module: Any) -> Any:
        t = module.tensor(x).requires_grad_()
        found = [
            o for o in outputs(getattr(module, name)(t, *arguments, **options)) if o.requires_grad
        ]
        if not found:
            return "constant"
        total = sum((o * o.detach().cos() + o).sum() for o in found)
        (g,) = module.autograd.grad(total, t, allow_unused=True)
        return module.zeros_like(t) if g is None else g

    compare(call, any_error=True)  # which of two mistakes is told differs


@example(("aminmax", np.array([1.0, nan, 2.0]), (), {}))
@example(("var", np.array([-1.0, 0.5]), (), {"correction": 2}))
@example(("var", np.array([[-1.0, 0.5]]), (), {"correction": 2, "dim": 1}))
@example(("var", np.array([[-1.0, 0.5]]), (), {"correction": 2, "dim": 0}))
@example(("norm", np.array([1.0, nan]), (), {"p": 1}))
@example(("logsumexp", np.array([[-inf, -inf], [1.0, -inf]]), (), {"dim": 0}))
@example(("softmax", np.array(inf), (), {"dim": 0}))
@example(("log_softmax", np.array(nan), (), {"dim": 0}))
@given(reductions([n for n in NAMES if n not in ("all", "any", "argmax", "argmin")], odd=True))
def test_gradients_with_nan_and_infinities(case: Any) -> None:
    name, x, arguments, options = case
    if not x.size and name in ("cummax", "cummin"):
        return  # whose indices even want a gradient there
    if name in {*LOOSE - {"median", "nanmedian"}, "prod", "cumprod", "logcumsumexp"}:
        return  # which nan is the quantile is a matter of order; products keep clear of 0 times inf

    def call(module: Any) -> Any:
        t = module.tensor(x).requires_grad_()
        found = [
            o for o in outputs(getattr(module, name)(t, *arguments, **options)) if o.requires_grad
        ]
        if not found:
            return "constant"
        (g,) = module.autograd.grad(sum(o.sum() for o in found), t, allow_unused=True)
        return module.zeros_like(t) if g is None else g

    compare(call, any_error=True)  # which of two mistakes is told differs


@given(reductions([n for n in NAMES if n not in ("all", "any", "argmax", "argmin")], odd=False))
def test_second_derivatives(case: Any) -> None:
    name, x, arguments, options = case
    if not x.size and name in ("cummax", "cummin"):
        return  # whose indices even want a gradient there
    if options.get("correction") == 2:
        return  # with two elements all is infinite
    x = x + np.linspace(0.01, 0.1, x.size).reshape(x.shape)  # no ties, no zeros

    def call(module: Any) -> Any:
        t = module.tensor(x).requires_grad_()
        found = [
            o for o in outputs(getattr(module, name)(t, *arguments, **options)) if o.requires_grad
        ]
        if not found:
            return "constant"
        (g,) = module.autograd.grad(
            sum((o * o).sum() for o in found), t, create_graph=True, allow_unused=True
        )
        if g is None or not g.requires_grad:
            return module.zeros_like(t) if g is None else g
        (h,) = module.autograd.grad((g * g).sum(), t, allow_unused=True)
        return h if h is not None else module.zeros_like(t)

    compare(call, any_error=True)  # which of two mistakes is told differs
