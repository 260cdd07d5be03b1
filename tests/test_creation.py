"""Tensors made from data, sizes and ranges: PyTorch's values, dtypes and refusals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_like as ours


def _names(module: Any) -> dict[str, Any]:
    return {"np": np, "torch": module, "t": module.arange(6.0).reshape(2, 3).t()}


def _same(call: str, torch: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, mine = eval(call, _names(torch)), eval(call, _names(ours))
    if not isinstance(theirs, torch.Tensor):
        assert str(mine) == str(theirs)
        return
    assert str(mine.dtype) == str(theirs.dtype)
    assert tuple(mine.shape) == tuple(theirs.shape)
    assert mine.stride() == theirs.stride() or 0 in mine.shape or 1 in mine.shape
    assert mine.requires_grad == theirs.requires_grad
    assert mine.is_leaf == theirs.is_leaf
    if "empty" not in call:
        np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy())
    assert mine.array.dtype is np.dtype(mine.array.dtype.name)


@pytest.mark.parametrize(
    "call",
    [
        "torch.tensor(1)",
        "torch.tensor(1.5)",
        "torch.tensor(True)",
        "torch.tensor([1, 2.5, True])",
        "torch.tensor([True, 2])",
        "torch.tensor([])",
        "torch.tensor([[], []])",
        "torch.tensor(((1, 2), [3, 4]))",
        "torch.tensor(range(3))",
        "torch.tensor(np.float64(1))",
        "torch.tensor([np.float64(1)])",
        "torch.tensor([np.float32(1), 2.0])",
        "torch.tensor([np.int32(1)])",
        "torch.tensor([np.bool_(True)])",
        "torch.tensor(np.zeros((2, 3), np.float16))",
        "torch.tensor(np.zeros((2, 3), np.longlong))",
        "torch.tensor(np.arange(6).reshape(2, 3).T)",
        "torch.tensor([np.zeros(2), [1, 2]])",
        "torch.tensor([torch.tensor(1), torch.tensor(2.5)])",
        "torch.tensor([torch.tensor([1]), torch.tensor([4])])",
        "torch.tensor(torch.tensor([1, 2]))",
        "torch.tensor([1.5, -1.5], dtype=torch.int64)",
        "torch.tensor(-1, dtype=torch.uint8)",
        "torch.tensor(1e300)",
        "torch.tensor([1e300, 70000.0], dtype=torch.float16)",
        "torch.tensor([1, 0, 2.5], dtype=torch.bool)",
        "torch.tensor([1.0], requires_grad=True)",
        "torch.tensor(2**62)",
        "torch.tensor([1], dtype=float)",
        "torch.tensor(data=[1], device='cpu')",
        "torch.as_tensor([1, 2])",
        "torch.as_tensor(np.zeros(2), dtype=torch.float32)",
        "torch.as_tensor(torch.ones(2), dtype=torch.float64)",
        "torch.asarray([1, 2])",
        "torch.asarray(3.0)",
        "torch.asarray([1.0, 2], requires_grad=True)",
        "torch.asarray(np.zeros(2), copy=True)",
        "torch.from_numpy(np.arange(3))",
        "torch.frombuffer(bytearray(b'abcd'), dtype=torch.int16)",
        "torch.scalar_tensor(3)",
        "torch.zeros(2, 3)",
        "torch.zeros((2, 3))",
        "torch.zeros([2, 3], dtype=torch.int32)",
        "torch.zeros(size=(2, 3))",
        "torch.zeros(())",
        "torch.zeros(torch.Size([2]), dtype=int)",
        "torch.zeros(np.int64(3), 2)",
        "torch.zeros(torch.tensor(3))",
        "torch.ones(2, requires_grad=True)",
        "torch.ones(2, layout=torch.strided, device=None, pin_memory=False)",
        "torch.empty(2, 3)",
        "torch.empty(2, 3, memory_format=torch.contiguous_format)",
        "torch.empty_strided((2, 3), (1, 2))",
        "torch.full((2,), 1)",
        "torch.full((2,), 1.0)",
        "torch.full([2], True)",
        "torch.full((2,), torch.tensor(2.0))",
        "torch.full((2,), 3, dtype=torch.float64)",
        "torch.full(size=(), fill_value=7)",
        "torch.zeros_like(t)",
        "torch.ones_like(t, dtype=torch.int64)",
        "torch.empty_like(t)",
        "torch.empty_like(t, memory_format=torch.contiguous_format)",
        "torch.empty_like(t, memory_format=torch.preserve_format)",
        "torch.full_like(t, 3)",
        "torch.full_like(t, 3, dtype=torch.int64, requires_grad=False)",
        "torch.full_like(torch.zeros(2, dtype=torch.int64), 3.5)",
        "torch.ones_like(t, requires_grad=True)",
        "t.new_zeros(2, 3)",
        "t.new_ones((2, 3), dtype=torch.int64)",
        "t.new_empty(size=(2,))",
        "t.new_full((2, 3), 1)",
        "t.new_tensor([1])",
        "torch.zeros(2, dtype=torch.int64).new_tensor([1.5])",
        "torch.arange(5)",
        "torch.arange(0, 1, 0.25)",
        "torch.arange(1, 2.5)",
        "torch.arange(5, 0, -2)",
        "torch.arange(0, 0)",
        "torch.arange(torch.tensor(4))",
        "torch.arange(torch.tensor(4.0))",
        "torch.arange(True)",
        "torch.arange(end=5)",
        "torch.arange(start=1, end=5, step=2)",
        "torch.arange(1, end=4)",
        "torch.arange(2.5, dtype=torch.int64)",
        "torch.arange(3, dtype=torch.float16)",
        "torch.linspace(0, 1, 5)",
        "torch.linspace(0, 1, 1)",
        "torch.linspace(0, 1, 0)",
        "torch.linspace(3, -2, 6, dtype=torch.float64)",
        "torch.linspace(0, 10, 5, dtype=torch.int64)",
        "torch.linspace(torch.tensor(0.0), 1, 3)",
        "torch.logspace(0, 2, 3)",
        "torch.logspace(0, 3, 4, base=2, dtype=torch.float64)",
        "torch.eye(2)",
        "torch.eye(2, 3, dtype=torch.bool)",
        "torch.eye(3, 2)",
        "torch.tril_indices(3, 3)",
        "torch.tril_indices(3, 4, 1)",
        "torch.triu_indices(3, 4, -1, dtype=torch.int32)",
        "torch.is_tensor(1)",
        "torch.is_tensor(t)",
        "torch.is_floating_point(t)",
        "torch.is_complex(t)",
        "torch.numel(t)",
        "torch.result_type(torch.zeros(2, dtype=torch.int32), 1.5)",
        "torch.result_type(1, 1.5)",
        "torch.result_type(1, torch.zeros(()))",
    ],
)
def test_values_are_torchs(call: str) -> None:
    _same(call, pytest.importorskip("torch"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("torch.tensor(300, dtype=torch.uint8)", "without overflow"),
        ("torch.tensor([300], dtype=torch.uint8)", "without overflow"),
        ("torch.tensor(float('nan'), dtype=torch.int64)", "without overflow"),
        ("torch.tensor(2**63)", "Overflow when unpacking long"),
        ("torch.tensor([[1, 2], [3]])", "expected sequence of length 2 at dim 1 (got 1)"),
        ("torch.tensor([[1, 2], 3])", "not a sequence"),
        ("torch.tensor([1, [2]])", ""),
        ("torch.tensor('a')", "new(): invalid data type 'str'"),
        ("torch.tensor(['a'])", "too many dimensions 'str'"),
        ("torch.tensor(None)", "Could not infer dtype of NoneType"),
        ("torch.tensor([None])", "Could not infer dtype of NoneType"),
        ("torch.tensor({1})", "Could not infer dtype of set"),
        ("torch.tensor({'a': 1})", "Could not infer dtype of dict"),
        ("torch.tensor([1, 2], requires_grad=True)", "can require gradients"),
        ("torch.tensor(np.zeros(2, '>f4'))", "byte order"),
        ("torch.tensor(np.array(['a']))", "can't convert np.ndarray"),
        ("torch.tensor(np.array([object()]))", "can't convert np.ndarray"),
        ("torch.from_numpy([1])", "expected np.ndarray (got list)"),
        ("torch.from_numpy(np.float64(1))", "expected np.ndarray (got "),
        ("torch.from_numpy(np.zeros(4)[::-1])", "negative"),
        ("torch.from_numpy(np.zeros(2, '>f4'))", "byte order"),
        ("torch.frombuffer(b'abc', dtype=torch.float64)", ""),
        ("torch.zeros()", "missing 1 required positional argument"),
        ("torch.zeros(2, 3, size=(1,))", "multiple values for argument 'size'"),
        ("torch.zeros(2.5)", "must be tuple of ints"),
        ("torch.zeros((2, 2.5))", "'size'"),
        ("torch.zeros(-1)", "Dimension size must be non-negative"),
        ("torch.zeros('a')", "must be tuple of ints"),
        ("torch.zeros(torch.tensor([3, 2]))", "must be tuple of ints"),
        ("torch.zeros(2, foo=3)", "unexpected keyword argument 'foo'"),
        ("torch.zeros(2, layout=3)", "must be torch."),
        ("torch.zeros(2, pin_memory=True)", "pin_memory=True"),
        ("torch.zeros(2, memory_format=torch.contiguous_format)", "unexpected keyword argument"),
        ("torch.zeros(2, dtype='float32')", "must be torch.dtype, not str"),
        ("torch.zeros(2, requires_grad=True, dtype=torch.int64)", "can require gradients"),
        ("torch.full(2, 3)", "must be tuple of ints, not int"),
        ("torch.full((2,), 300, dtype=torch.uint8)", "without overflow"),
        ("torch.full((2,), 'a')", ""),
        ("torch.zeros_like(3)", "must be Tensor, not int"),
        ("torch.zeros_like(torch.tensor(3), requires_grad=True)", "can require gradients"),
        ("torch.empty_strided((2, 3), (1,))", "mismatch in length of strides and shape"),
        ("torch.arange(5, 0)", "upper bound and lower bound inconsistent with step sign"),
        ("torch.arange(0, 5, 0)", "step must be nonzero"),
        ("torch.arange(3, dtype=torch.bool)", "not implemented for 'Bool'"),
        ("torch.arange(float('inf'))", "unsupported range"),
        ("torch.arange()", "arange()"),
        ("torch.linspace(0, 1, -1)", "number of steps must be non-negative"),
        ("torch.eye(-1)", "n must be greater or equal to 0, got -1"),
        ("torch.is_floating_point(1)", "must be Tensor, not int"),
        ("torch.asarray([1], copy=False)", "can't alias"),
    ],
)
def test_refusals_are_torchs(call: str, words: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        eval(call, _names(torch))
    with pytest.raises(theirs.type) as mine:
        eval(call, _names(ours))
    assert words in str(mine.value)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        ("torch.tensor(1j)", TypeError, "invalid data type 'complex'"),
        (
            "torch.tensor(np.zeros(2, complex))",
            TypeError,
            "can't convert np.ndarray of type complex128",
        ),
        ("torch.tensor([torch.ones(2), torch.ones(2)])", ValueError, "only one element tensors"),
        ("torch.zeros(2, dtype=torch.float32, device='cuda')", RuntimeError, "expected 'cpu'"),
        ("torch.empty(2, 3, memory_format='channels_last')", RuntimeError, "is not supported"),
    ],
)
def test_our_own_refusals(call: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        eval(call, _names(ours))
    assert words in str(error.value)


def test_tensor_copies_and_as_tensor_does_not() -> None:
    array = np.zeros(2)
    copied, shared = ours.tensor(array), ours.as_tensor(array)
    array[0] = 5
    assert copied.tolist() == [0, 0]
    assert shared.tolist() == [5, 0]
    x = ours.ones(2, requires_grad=True)
    assert ours.as_tensor(x) is x
    assert not ours.tensor(x).requires_grad
    assert ours.as_tensor(array[::-1]).tolist() == [0, 5]
    # Gradients flow through a conversion.
    ours.as_tensor(x, dtype=ours.float64).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_a_read_only_array_warns_and_can_not_be_written() -> None:
    array = np.zeros(2)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        tensor = ours.from_numpy(array)
    with pytest.raises(RuntimeError, match="read-only"):
        tensor.add_(1)


numbers = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=settings.default.max_examples * 4)
@given(numbers, numbers, st.integers(0, 40), st.sampled_from(["float32", "float64"]))
def test_evenly_spaced_numbers(start: float, end: float, steps: int, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, mine = (
        m.linspace(start, end, steps, dtype=getattr(m, dtype)).numpy() for m in (torch, ours)
    )
    epsilon = np.finfo(dtype).eps
    size = max(abs(start), abs(end))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=2 * epsilon * size)
    if steps > 1:
        assert mine[0] == theirs[0]
        assert mine[-1] == theirs[-1]


@settings(max_examples=settings.default.max_examples * 4)
@given(numbers, numbers, st.floats(1, 20), st.sampled_from(["float32", "float64", "int64"]))
def test_ranges(start: float, end: float, step: float, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    step = step if end >= start else -step
    if dtype == "int64":
        start, end, step = int(start), int(end), round(step) or 1
    theirs, mine = (
        m.arange(start, end, step, dtype=getattr(m, dtype)).numpy() for m in (torch, ours)
    )
    assert mine.shape == theirs.shape
    tolerance = 2 * np.finfo(dtype).eps * 1e3 if dtype != "int64" else 0
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)
