"""What a Tensor is to Python, to NumPy and to other frameworks."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.device import check_layout

NAMES = {
    "np": np,
    "copy": copy,
    "pickle": pickle,
}


def _names(module: Any) -> dict[str, Any]:
    return NAMES | {
        "torch": module,
        "x": module.arange(6.0).reshape(2, 3),
        "i": module.tensor([1, 2]),
        "g": module.ones(2, requires_grad=True),
        "s": module.tensor(3.0),
    }


def _plain(value: Any) -> Any:
    """Return a value that the two frameworks can be compared by."""
    if hasattr(value, "detach"):
        value = value.detach()
        return (str(value.dtype), tuple(value.shape), value.tolist(), type(value).__name__)
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, int | float | complex | str | None) else str(value)


@pytest.mark.parametrize(
    "call",
    [
        "np.asarray(x)",
        "np.array(x, dtype=np.float64)",
        "np.array(x, copy=True)",
        "np.exp(x)",
        "np.float32(2) * x",
        "np.float64(2) * x",
        "x * np.float64(2)",
        "x * np.ones(3)",
        "3 in i",
        "torch.tensor(1) in i",
        "x.is_same_size(torch.zeros(2, 3))",
        "x.layout",
        "[x.is_sparse, x.is_quantized, x.is_meta, x.is_cuda, x.is_pinned(), x.is_leaf]",
        "[x.nbytes, x.itemsize, x.ndim, x.device]",
        "g.numpy(force=True)",
        "x.tolist()",
        "s.item()",
        "[int(v) for v in x.__dlpack_device__()]",
        "np.from_dlpack(x)",
        "torch.from_dlpack(np.arange(3))",
        "torch.from_dlpack(x)",
        "[float(s), int(s), bool(s), complex(s)]",
        "range(5)[i[0]]",
        "torch.tensor(True).__index__()",
        "f'{s:.2f} {x} {i[0]:03d}'",
        "x == x",
        "copy.copy(g)",
        "copy.deepcopy(g)",
        "copy.deepcopy([g, g])",
        "pickle.loads(pickle.dumps(g)).requires_grad",
        "pickle.loads(pickle.dumps(x.T))",
        "copy.copy(g * 2).requires_grad",
        "list(reversed(i))",
        "reversed(s)",
        "torch.Tensor(2, 3).shape",
        "torch.Tensor(3).shape",
        "torch.Tensor(torch.Size([2, 1])).shape",
        "torch.Tensor([1, 2])",
        "torch.Tensor()",
        "torch.Tensor(np.ones(2))",
        "torch.Tensor(torch.ones(2))",
        "torch.FloatTensor([1, 2])",
        "torch.LongTensor([1, 2])",
        "torch.LongTensor(2).shape",
        "torch.BoolTensor([True])",
        "torch.DoubleTensor([1]).dtype",
        "[isinstance(x, torch.FloatTensor), isinstance(i, torch.LongTensor)]",
        "isinstance(i, torch.FloatTensor)",
        "x.new([3])",
        "x.new(2, 1).shape",
        "torch.Size([1, 2]) + (3,)",
        "torch.Size([1, 2]) * 2",
        "(3,) + torch.Size([1])",
        "torch.Size((2, 3)).numel()",
        "torch.Size([1, 2, 3])[0:2]",
        "torch.Size([1, 2])[-1]",
        "pickle.loads(pickle.dumps(torch.Size([1, 2])))",
        "torch.device('cpu', 0)",
        "[torch.device('cpu:0') == torch.device('cpu'), torch.device('cpu') == x.device]",
        "[str(torch.device('cpu:0')), hash(torch.device('cpu')) == hash(x.device)]",
        "torch.device(torch.device('cpu'))",
        "torch.device(type='cpu')",
        "x.device == 'cpu'",
        "pickle.loads(pickle.dumps(torch.float32)) is torch.float32",
    ],
)
def test_answers_are_torchs(call: str) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _plain(eval(call, _names(ours))) == _plain(eval(call, _names(torch)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("np.asarray(g)", "Can't call numpy"),
        ("g.numpy()", "Can't call numpy"),
        ("g.item()", "a Tensor with 2 elements cannot be converted to Scalar"),
        ("'a' in i", "only supports Tensor or scalar"),
        ("[1] in i", "only supports Tensor or scalar"),
        ("bool(x)", "Boolean value of Tensor with more than one value is ambiguous"),
        ("bool(torch.tensor([]))", "Boolean value of Tensor with no values is ambiguous"),
        ("[1, 2, 3][i]", "only integer tensors of a single element"),
        ("[1, 2, 3][s]", "only integer tensors of a single element"),
        ("float(x)", "only one element tensors can be converted to Python scalars"),
        ("f'{x:.2f}'", "unsupported format string"),
        ("len(s)", "0-d tensor"),
        ("iter(s)", "0-d tensor"),
        ("copy.deepcopy(g * 2)", "Only Tensors created explicitly by the user"),
        ("g.__dlpack__()", "Can't export tensors that require gradient"),
        ("torch.Tensor(1.5)", "new"),
        ("x.foo", "has no attribute 'foo'"),
        ("setattr(x, 'shape', 3)", "shape"),
        ("setattr(x, 'grad', torch.ones(3))", "size"),
        ("setattr(x, 'grad', 3)", "assigned grad expected to be a Tensor"),
        ("i.requires_grad_()", "floating point"),
        ("x.pin_memory()", ""),
        ("divmod(i, 2)", "unsupported operand"),
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
        ("x.cuda()", RuntimeError, "expected 'cpu'"),
        ("x.to('cuda')", RuntimeError, "expected 'cpu'"),
        ("torch.device('cuda')", RuntimeError, "computes with NumPy on the CPU"),
        ("torch.device(3)", TypeError, "expected 'cpu'"),
        ("x.share_memory_()", RuntimeError, "between processes"),
        ("np.add(x, 1, out=np.ones((2, 3)))", TypeError, "could not be recorded"),
        ("np.ones((2, 3)).__iadd__(x)", TypeError, "could not be recorded"),
        ("np.add(x, 1, where=np.ones(3, bool))", TypeError, "where= is not supported"),
        ("np.add.reduce(x)", TypeError, "np.add.reduce is not supported for tensors"),
        ("np.add.at(x, [0], 1)", TypeError, "np.add.at is not supported for tensors"),
        ("np.nextafter(x, 1)", TypeError, "np.nextafter is not supported for tensors"),
        ("np.median(x)", TypeError, "np.median is not supported for tensors; supported are "),
        ("np.array(x, dtype='f8', copy=False)", ValueError, "copy"),
        ("torch.from_dlpack([1])", TypeError, "expected an object with __dlpack__"),
        ("setattr(x, 'data', 3)", TypeError, "expected a Tensor"),
    ],
)
def test_our_own_refusals(call: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        eval(call, _names(ours))
    assert words in str(error.value)


def test_arrays_are_shared_both_ways() -> None:
    array = np.zeros(3)
    tensor = ours.from_numpy(array)
    tensor[0] = 5
    tensor.numpy()[1] = 6
    np.asarray(tensor)[2] = 7
    assert array.tolist() == [5, 6, 7]
    assert ours.from_dlpack(tensor).tolist() == [5, 6, 7]
    np.from_dlpack(tensor)
    shared = ours.from_dlpack(np.zeros(2))
    shared.add_(1)
    assert shared.tolist() == [1, 1]


def test_dlpack_between_the_frameworks() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.zeros(3)
    mine = ours.from_dlpack(theirs)
    mine.add_(2)
    assert theirs.tolist() == [2, 2, 2]
    back = torch.from_dlpack(mine)
    back.mul_(2)
    assert mine.tolist() == [4, 4, 4]


def test_copies_keep_what_was_attached() -> None:
    x = ours.ones(2, requires_grad=True)
    x.name_of_mine = ["a"]
    (x * 3).sum().backward()
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    thawed = pickle.loads(pickle.dumps(x))
    for other in (shallow, deep, thawed):
        assert other.requires_grad
        assert other.is_leaf
        assert other.name_of_mine == ["a"]
        assert other.dtype is ours.float32
    assert shallow.data_ptr() == x.data_ptr()
    assert deep.data_ptr() != x.data_ptr()
    assert deep.grad.tolist() == [3, 3]
    assert deep.name_of_mine is not x.name_of_mine
    # A thawed array has its own dtype object; everything must still work, and fast paths apply.
    assert thawed.array.dtype is x.array.dtype


def test_hash_is_by_identity() -> None:
    x, y = ours.ones(1), ours.ones(1)
    assert len({x, y}) == 2
    assert {x: 1}[x] == 1


def test_iteration_gives_views_with_gradients() -> None:
    x = ours.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3, 4], [1, 2]]


def test_data_shares_memory_and_nothing_else() -> None:
    x = ours.ones(2, requires_grad=True)
    assert not x.data.requires_grad
    x.data[0] = 5
    assert x.tolist() == [5, 1]
    x.data = ours.zeros(3)
    assert x.requires_grad
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_only_strided_tensors() -> None:
    assert repr(ours.strided) == "torch.strided"
    assert pickle.loads(pickle.dumps(ours.strided)) is ours.strided
    check_layout("zeros", None)
    with pytest.raises(TypeError, match=r"must be torch\.strided"):
        ours.zeros(2, layout="sparse")


def test_comparisons_of_devices() -> None:
    assert ours.device("cpu") != "cpu"
    assert ours.zeros(1, device="cpu").device == ours.device("cpu")
    assert ours.zeros(1, device=ours.device("cpu:0")).tolist() == [0]
