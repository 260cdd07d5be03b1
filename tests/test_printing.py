"""Tensors are printed exactly as PyTorch prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import tinygrad_like as ours
from tinygrad_like.printing import printoptions

torch = pytest.importorskip("torch")

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 8),
        "threshold": st.sampled_from([0, 5, 20, 1000]),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.sampled_from([20, 40, 80, 200]),
        "profile": st.sampled_from(["default", "short", "full"]),
        "sci_mode": st.booleans(),
    },
)


@pytest.fixture(autouse=True)
def _default_options() -> Iterator[None]:
    yield
    torch.set_printoptions(profile="default")
    ours.set_printoptions(profile="default")


@st.composite
def arrays(draw: Any) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=8))
    if dtype.kind != "f":
        return draw(npst.arrays(dtype, shape))
    kind = draw(st.sampled_from(["any", "near", "whole", "scattered"]))
    if kind == "any":
        return draw(npst.arrays(dtype, shape))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = rng.standard_normal(shape) * 10.0 ** draw(st.integers(-7, 9))
    if kind == "whole":
        values = np.round(values)
    if kind == "scattered":
        values = values * 10.0 ** rng.integers(-4, 4, shape)
    if draw(st.booleans()):
        special = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf], shape)
        values = np.where(rng.random(shape) < 0.4, special, values)
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype)


@settings(max_examples=settings.default.max_examples * 10)
@given(arrays(), OPTIONS, st.sampled_from(["plain", "leaf", "result"]))
def test_random_tensors(array: np.ndarray, options: dict[str, Any], kind: str) -> None:
    shown = []
    for module in (torch, ours):
        module.set_printoptions(profile="default")
        module.set_printoptions(**options)
        x = module.tensor(array)
        if kind != "plain" and array.dtype.kind == "f":
            x = x.requires_grad_()
            x = x * 1 if kind == "result" else x
        shown.append((repr(x), str(x)))
    assert shown[1] == shown[0]


@pytest.mark.parametrize(
    "call",
    [
        "torch.tensor([])",
        "torch.zeros(0, 3)",
        "torch.zeros(2, 0, dtype=torch.int64)",
        "torch.tensor(3)",
        "torch.tensor(3.5, dtype=torch.float64)",
        "torch.tensor(True)",
        "torch.arange(2000.)",
        "torch.arange(4000).reshape(2, 20, 100)",
        "torch.tensor([1e-5, 1.0])",
        "torch.tensor([1.0, 1e9])",
        "torch.tensor([float('nan'), 1.0])",
        "torch.tensor([float('inf')])",
        "torch.ones(2, requires_grad=True)",
        "torch.ones(2, requires_grad=True)[0]",
        "torch.ones(2, requires_grad=True).sum()",
        "torch.ones(30, requires_grad=True).exp()",
        "torch.ones(4, 2, requires_grad=True).unbind()[1]",
        "torch.nn.Parameter(torch.ones(2))",
        "torch.nn.Parameter(torch.ones(2), requires_grad=False)",
        "[torch.ones(2), torch.zeros(1)]",
        "torch.ones(2, dtype=torch.float16) * 3",
    ],
)
def test_corners(call: str) -> None:
    assert repr(eval(call, {"torch": ours})) == repr(eval(call, {"torch": torch}))


def test_a_write_through_a_view_shows_its_name() -> None:
    shown = []
    for module in (torch, ours):
        x = module.ones(2, requires_grad=True) * 2
        x[0] = 1
        shown.append(repr(x))
    assert shown[1] == shown[0]


def test_the_default_dtype_is_not_spelt_out() -> None:
    shown = []
    for module in (torch, ours):
        module.set_default_dtype(module.float64)
        try:
            shown.append(repr([module.ones(1), module.ones(1, dtype=module.float32)]))
        finally:
            module.set_default_dtype(module.float32)
    assert shown[1] == shown[0]


def test_options_can_be_set_for_a_while() -> None:
    x = ours.tensor([1.23456])
    with printoptions(precision=1):
        assert repr(x) == "tensor([1.2])"
    assert repr(x) == "tensor([1.2346])"


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of default, short, full"):
        ours.set_printoptions(profile="long")
