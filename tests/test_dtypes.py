"""Element types: what a mix of them becomes is what PyTorch makes of it."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_like as ours
from tinygrad_like import dtypes

NAMES = [d.name for d in dtypes.ALL]
OPERATORS = [operator.add, operator.mul, operator.truediv, operator.lt, operator.eq]


@st.composite
def operands(draw: Any) -> Any:
    """A dtype's name and a shape, or a Python number."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([True, 2, 1.5]))
    return draw(st.sampled_from(NAMES)), draw(st.sampled_from([(), (2,), (1, 2)]))


def _make(module: Any, operand: Any) -> Any:
    if not isinstance(operand, tuple):
        return operand
    name, shape = operand
    return module.ones(shape, dtype=getattr(module, name))


@pytest.mark.parametrize("second", NAMES)
@pytest.mark.parametrize("first", NAMES)
def test_pairs_promote_as_in_pytorch(first: str, second: str) -> None:
    torch = pytest.importorskip("torch")
    for module_pair in [(getattr(m, first), getattr(m, second), m) for m in (torch, ours)]:
        a, b, module = module_pair
        if module is torch:
            expected = str(torch.promote_types(a, b)), torch.can_cast(a, b)
        else:
            assert (str(ours.promote_types(a, b)), ours.can_cast(a, b)) == expected


@given(operands(), operands(), st.sampled_from(OPERATORS), st.sampled_from(["float32", "float64"]))
def test_mixes_promote_as_in_pytorch(x: Any, y: Any, operation: Any, default: str) -> None:
    torch = pytest.importorskip("torch")
    if not (isinstance(x, tuple) or isinstance(y, tuple)):
        return
    found = []
    for module in (torch, ours):
        module.set_default_dtype(getattr(module, default))
        try:
            a, b = _make(module, x), _make(module, y)
            result = operation(a, b)
            found.append((str(result.dtype), tuple(result.shape), str(module.result_type(a, b))))
        finally:
            module.set_default_dtype(module.float32)
    assert found[1] == found[0]


@given(st.sampled_from(NAMES), operands(), st.sampled_from(["add_", "mul_", "div_", "copy_"]))
def test_in_place_results_keep_or_refuse_a_dtype_as_in_pytorch(
    target: str, value: Any, name: str
) -> None:
    torch = pytest.importorskip("torch")
    if name == "copy_" and not isinstance(value, tuple):
        return
    found: list[Any] = []
    for module in (torch, ours):
        x = module.ones(1, 2, dtype=getattr(module, target))
        try:
            getattr(x, name)(_make(module, value))
            found.append((str(x.dtype), x.tolist()))
        except RuntimeError:
            found.append("refused")
    assert found[1] == found[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_knows_itself(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = getattr(ours, name), getattr(torch, name)
    assert repr(mine) == repr(theirs)
    for attribute in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert np.dtype(mine) == np.dtype(name)
    assert dtypes.of(mine) is dtypes.of(np.dtype(name)) is dtypes.of(name)
    assert dtypes.named(dtypes.of(mine)) is mine


@pytest.mark.parametrize("alias", ["half", "float", "double", "short", "int", "long", "bool"])
def test_aliases(alias: str) -> None:
    torch = pytest.importorskip("torch")
    assert repr(getattr(ours, alias)) == repr(getattr(torch, alias))


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_limits_of_floats(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = ours.finfo(getattr(ours, name)), torch.finfo(getattr(torch, name))
    for attribute in (
        "bits",
        "eps",
        "max",
        "min",
        "tiny",
        "smallest_normal",
        "resolution",
        "dtype",
    ):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert repr(mine) == repr(theirs)


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8"])
def test_limits_of_integers(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = ours.iinfo(getattr(ours, name)), torch.iinfo(getattr(torch, name))
    for attribute in ("bits", "max", "min", "dtype"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert repr(mine) == repr(theirs)


def test_limits_without_an_argument_are_the_default_dtypes() -> None:
    assert ours.finfo().bits == 32
    assert ours.finfo().dtype == "float32"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ours.finfo(ours.int64), "use iinfo"),
        (lambda: ours.iinfo(ours.float32), "use finfo"),
        (lambda: ours.zeros(1, dtype=complex), "expected one of float16"),
        (lambda: ours.zeros(1, dtype=np.dtype("u2")), "expected one of float16"),
        (lambda: ours.zeros(1, dtype="float32"), "must be torch.dtype, not str"),
        (lambda: ours.zeros(1, dtype=3), "expected one of float16"),
        (lambda: ours.set_default_dtype(ours.int64), "expected a floating-point dtype"),
    ],
)
def test_refusals(call: Any, words: str) -> None:
    with pytest.raises(TypeError) as error:
        call()
    assert words in str(error.value)


def test_the_default_dtype() -> None:
    assert ours.get_default_dtype() is ours.float32
    ours.set_default_dtype(ours.float64)
    try:
        assert ours.tensor([1.0]).dtype is ours.float64
        assert (ours.tensor([1]) / 2).dtype is ours.float64
        assert ours.zeros(2).dtype is ours.float64
    finally:
        ours.set_default_dtype(ours.float32)
