"""Running the same code with this package and with PyTorch, and comparing what comes out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import tinygrad_like

pytorch = pytest.importorskip("torch")


def plain(value: Any) -> Any:
    """Return `value` as something that both packages' versions of it compare equal as."""
    if hasattr(value, "requires_grad"):
        values = value.detach().numpy()
        return ("tensor", str(values.dtype), values.shape, values.tolist(), value.requires_grad)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "named_parameters") or isinstance(value, str):
        return neutral(str(value))
    return value


def neutral(text: str) -> str:
    """Return `text` without what tells the packages apart."""
    text = re.sub(r"\btinygrad_like\.", "torch.", text)
    return re.sub(r"torch\.nn\.module\b", "torch.nn.modules.module", text)


def outcome(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or the name and message of the exception it raises."""
    try:
        return plain(call())
    except Exception as error:
        return (type(error).__name__, neutral(str(error)))


def kind(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or the name of the exception it raises."""
    try:
        return plain(call())
    except Exception as error:
        return type(error).__name__


def alike(run: Callable[[Any], Any]) -> None:
    """Assert that ``run(torch)`` gives the same with either package as `torch`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torch")
        expected = plain(run(pytorch))
    found = plain(run(tinygrad_like))
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for index, (got, wanted) in enumerate(zip(found, expected, strict=True)):
            assert got == wanted, f"result {index}:\ngot      {got}\nexpected {wanted}"
    assert found == expected, f"\ngot      {found}\nexpected {expected}"


def ours(array: Any, requires_grad: bool = False) -> Any:
    """Return a tensor of this package with its own copy of an array."""
    return tinygrad_like.tensor(np.array(array), requires_grad=requires_grad)


def theirs(array: Any, requires_grad: bool = False) -> Any:
    """Return a tensor of PyTorch with its own copy of an array."""
    made = pytorch.from_numpy(np.array(array))
    return made.requires_grad_(requires_grad)


def close(tensor: Any, expected: Any, tolerance: float | None = None, what: str = "") -> None:
    """Assert that a tensor has the dtype, shape and about the values of PyTorch's."""
    if expected is None or tensor is None:
        assert tensor is None, f"{what}: expected None"
        assert expected is None, f"{what}: got None"
        return
    values, wanted = tensor.detach().numpy(), expected.detach().numpy()
    assert values.dtype == wanted.dtype, f"{what}: dtype {values.dtype}, expected {wanted.dtype}"
    assert values.shape == wanted.shape, f"{what}: shape {values.shape}, expected {wanted.shape}"
    if tolerance is None:
        tolerance = 1e-10 if wanted.dtype == np.float64 else 2e-5
    np.testing.assert_allclose(values, wanted, rtol=tolerance, atol=tolerance, err_msg=what)
