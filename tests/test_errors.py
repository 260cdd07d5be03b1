"""What gets refused: PyTorch's type of exception, one clear sentence, and nothing half-changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours


def t(torch: Any, *shape: int, grad: bool = False, dtype: str = "float32") -> Any:
    made = torch.full(shape, 1.0, dtype=getattr(torch, dtype))
    return made.requires_grad_() if grad else made


# Each: a name, what is done, and words that the message must have (op, shapes, remedy).
REFUSED: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    # Shapes
    ("add", lambda torch: t(torch, 2, 3) + t(torch, 4), ["add", "(2, 3)", "(4,)"]),
    ("mul", lambda torch: torch.mul(t(torch, 2), t(torch, 3)), ["(2,)", "(3,)"]),
    ("matmul", lambda torch: t(torch, 2, 3) @ t(torch, 2, 3), ["(2, 3)"]),
    ("mm", lambda torch: torch.mm(t(torch, 2), t(torch, 2, 3)), ["(2,)"]),
    ("bmm", lambda torch: torch.bmm(t(torch, 2, 3, 4), t(torch, 2, 3, 4)), ["(2, 3, 4)"]),
    ("dot", lambda torch: torch.dot(t(torch, 2), t(torch, 3)), []),
    ("reshape", lambda torch: t(torch, 2, 3).reshape(4), ["4"]),
    ("reshape two unknown", lambda torch: t(torch, 2, 3).reshape(-1, -1), []),
    ("view", lambda torch: t(torch, 2, 3).t().view(6), []),
    ("cat", lambda torch: torch.cat([t(torch, 2, 3), t(torch, 2, 4)]), []),
    ("cat of nothing", lambda torch: torch.cat([]), []),
    (
        "stack",
        lambda torch: torch.stack([t(torch, 2), t(torch, 3)]),
        ["tensors[0] is float32 (2,), tensors[1] is float32 (3,)"],
    ),
    ("expand", lambda torch: t(torch, 2, 3).expand(2, 4), []),
    ("sum dim", lambda torch: t(torch, 2, 3).sum(2), ["range"]),
    ("sum dim twice", lambda torch: t(torch, 2, 3).sum((0, 0)), []),
    ("transpose dim", lambda torch: t(torch, 2, 3).transpose(0, 2), ["range"]),
    ("permute", lambda torch: t(torch, 2, 3).permute(0, 0), []),
    ("permute count", lambda torch: t(torch, 2, 3).permute(0), []),
    ("unsqueeze", lambda torch: t(torch, 2).unsqueeze(3), ["range"]),
    ("softmax dim", lambda torch: torch.softmax(t(torch, 2), 1), ["range"]),
    ("split", lambda torch: t(torch, 3).split([1, 1]), []),
    ("index", lambda torch: t(torch, 3)[5], []),
    ("index negative", lambda torch: t(torch, 3)[-5], []),
    ("too many indices", lambda torch: t(torch, 3)[0, 0], []),
    ("index a scalar", lambda torch: t(torch)[0], []),
    ("mask of another shape", lambda torch: t(torch, 3)[torch.ones(2, dtype=torch.bool)], []),
    ("index tensor out of range", lambda torch: t(torch, 3)[torch.tensor([7])], []),
    ("float index", lambda torch: t(torch, 3)[1.5], []),
    ("assignment", lambda torch: t(torch, 3).__setitem__(slice(0, 2), t(torch, 3)), []),
    ("gather", lambda torch: torch.gather(t(torch, 3), 0, torch.tensor([5])), []),
    ("index_select", lambda torch: torch.index_select(t(torch, 3), 0, torch.tensor([5])), []),
    ("einsum", lambda torch: torch.einsum("ij,jk->ik", t(torch, 2, 3), t(torch, 2, 3)), []),
    ("einsum letters", lambda torch: torch.einsum("i,j->k", t(torch, 2), t(torch, 2)), []),
    ("linear", lambda torch: torch.nn.functional.linear(t(torch, 2, 3), t(torch, 4, 5)), []),
    (
        "conv",
        lambda torch: torch.nn.functional.conv2d(t(torch, 1, 3, 8, 8), t(torch, 4, 2, 3, 3)),
        [],
    ),
    (
        "cross entropy",
        lambda torch: torch.nn.functional.cross_entropy(t(torch, 2, 3), torch.tensor([0, 5])),
        [],
    ),
    ("argmax of nothing", lambda torch: torch.zeros(0).argmax(), []),
    ("max of nothing", lambda torch: torch.zeros(0).max(), []),
    ("item", lambda torch: t(torch, 2).item(), ["2 elements"]),
    ("bool", lambda torch: bool(t(torch, 2)), ["ambiguous"]),
    ("len", lambda torch: len(t(torch)), ["0-d"]),
    ("iter", lambda torch: iter(t(torch)), ["0-d"]),
    ("ragged", lambda torch: torch.tensor([[1.0], [1.0, 2.0]]), []),
    # Types
    (
        "integer grad",
        lambda torch: torch.ones(2, dtype=torch.int64, requires_grad=True),
        ["floating"],
    ),
    (
        "integer requires_grad_",
        lambda torch: torch.ones(2, dtype=torch.int64).requires_grad_(),
        ["floating"],
    ),
    ("matmul types", lambda torch: t(torch, 2, 2) @ t(torch, 2, 2, dtype="float64"), ["dtype"]),
    ("mean of ints", lambda torch: torch.ones(2, dtype=torch.int64).mean(), ["dtype"]),
    ("int in place", lambda torch: torch.ones(2, dtype=torch.int64).add_(1.5), ["cast"]),
    ("int divide in place", lambda torch: torch.ones(2, dtype=torch.int64).div_(2), ["cast"]),
    ("bitwise of floats", lambda torch: t(torch, 2) & t(torch, 2), []),
    ("shift of bools", lambda torch: torch.tensor([True]) - torch.tensor([True]), []),
    ("negative bool", lambda torch: -torch.tensor([True]), []),
    ("exp of a list", lambda torch: torch.exp([1.0]), ["must be Tensor"]),
    ("add a string", lambda torch: t(torch, 2) + "a", []),
    ("add None", lambda torch: torch.add(t(torch, 2), None), []),
    ("cat of numbers", lambda torch: torch.cat([1.0, 2.0]), []),
    ("cat a tensor", lambda torch: torch.cat(t(torch, 2)), []),
    ("a tensor of strings", lambda torch: torch.tensor(["a"]), []),
    ("gather by floats", lambda torch: torch.gather(t(torch, 3), 0, t(torch, 1)), []),
    ("masked_fill by floats", lambda torch: t(torch, 3).masked_fill(t(torch, 3), 0.0), []),
    (
        "embedding by floats",
        lambda torch: torch.nn.functional.embedding(t(torch, 2), t(torch, 3, 2)),
        [],
    ),
    ("from_numpy of a list", lambda torch: torch.from_numpy([1.0]), []),
    ("from_numpy of strings", lambda torch: torch.from_numpy(np.array(["a"])), []),
    # Graph state
    ("vector backward", lambda torch: t(torch, 2, grad=True).mul(2).backward(), ["scalar"]),
    ("no graph", lambda torch: t(torch, 1).backward(), ["does not require grad"]),
    ("gradient shape", lambda torch: (t(torch, 2, grad=True) * 2).backward(t(torch, 3)), ["(3,)"]),
    ("gradient type", lambda torch: (t(torch, 2, grad=True) * 2).backward([1.0, 2.0]), ["Tensors"]),
    ("leaf in place", lambda torch: t(torch, 2, grad=True).add_(1), ["leaf"]),
    ("view of a leaf", lambda torch: t(torch, 2, grad=True)[0].add_(1), ["leaf"]),
    ("expanded in place", lambda torch: t(torch, 1).expand(3).add_(1), []),
    ("numpy of a graph", lambda torch: t(torch, 2, grad=True).numpy(), ["detach"]),
    ("array of a graph", lambda torch: np.asarray(t(torch, 2, grad=True)), ["detach"]),
    (
        "requires_grad of a result",
        lambda torch: setattr(t(torch, 2, grad=True) * 2, "requires_grad", False),
        ["leaf"],
    ),
    (
        "grad of another shape",
        lambda torch: setattr(t(torch, 2, grad=True), "grad", t(torch, 3)),
        [],
    ),
    ("grad of another type", lambda torch: setattr(t(torch, 2), "grad", 3.0), []),
    ("deepcopy", lambda torch: copy.deepcopy(t(torch, 2, grad=True) * 2), ["leaves"]),
    (
        "unused",
        lambda torch: torch.autograd.grad(t(torch, 1, grad=True), t(torch, 1, grad=True)),
        [],
    ),
    ("no inputs", lambda torch: torch.autograd.grad(t(torch, 1, grad=True), []), ["empty"]),
    # Arguments
    ("unknown argument", lambda torch: torch.exp(t(torch, 2), axis=0), []),
    ("unknown of a method", lambda torch: t(torch, 2).sum(axes=0), []),
    ("unknown of zeros", lambda torch: torch.zeros(2, colour="red"), []),
    ("unknown of tensor", lambda torch: torch.tensor([1.0], grad=True), []),
    ("unknown of backward", lambda torch: t(torch, 1, grad=True).backward(keep=True), []),
    ("unknown of cat", lambda torch: torch.cat([t(torch, 2)], where=0), []),
    ("unknown of Linear", lambda torch: torch.nn.Linear(2, 3, biases=True), []),
    ("missing argument", lambda torch: torch.exp(), []),
    ("missing of matmul", lambda torch: torch.matmul(t(torch, 2)), []),
    ("two of one", lambda torch: torch.exp(t(torch, 2), input=t(torch, 2)), []),
    ("negative size", lambda torch: torch.zeros(-1), []),
    ("arange step", lambda torch: torch.arange(0, 5, 0), []),
    # Devices and layouts
    ("no such device", lambda torch: torch.device("toaster"), ["toaster"]),
    ("no such attribute", lambda torch: torch.no_such_thing, []),
    ("dtype", lambda torch: torch.zeros(2, dtype="float"), []),
]


def outcome(torch: Any, action: Callable[[Any], Any]) -> BaseException | None:
    try:
        action(torch)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(("action", "words"), [pytest.param(a, w, id=n) for n, a, w in REFUSED])
def test_refused_as_torch_refuses(action: Callable[[Any], Any], words: list[str]) -> None:
    torch = pytest.importorskip("torch")
    error, expected = outcome(ours, action), outcome(torch, action)
    assert expected is not None, "PyTorch does not refuse this"
    assert error is not None, f"not refused; PyTorch: {type(expected).__name__}: {expected}"
    assert type(error) is type(expected), f"{error!r}\nPyTorch: {expected!r}"
    message = str(error)
    for word in words:
        assert word in message, message
    assert len(message) > 10, message
    assert "\n" not in message.strip(), message


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_other_devices(device: str) -> None:
    for action in (lambda: ours.zeros(2, device=device), lambda: ours.ones(2).to(device)):
        with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cpu|not"):
            action()
    assert not ours.cuda.is_available()


# ----- Nothing half-changed -----------------------------------------------------------------------

WRITES: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("add_", lambda x, y: x.add_(y)),
    ("iadd", lambda x, y: x.__iadd__(y)),
    ("mul_", lambda x, y: x.mul_(y)),
    ("copy_", lambda x, y: x.copy_(y)),
    ("setitem", lambda x, y: x.__setitem__(slice(None), y)),
    ("item of a wrong shape", lambda x, y: x.__setitem__(0, y)),
    ("clamp_", lambda x, y: x.clamp_(y)),
]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("write", [pytest.param(w, id=n) for n, w in WRITES])
def test_a_refused_write_changes_nothing(write: Callable[[Any, Any], Any], grad: bool) -> None:
    x = ours.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).requires_grad_(grad)
    y = x * 1
    node, version = y.grad_fn, y._version
    with pytest.raises(RuntimeError):
        write(y, ours.ones(5, 7))
    assert y.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert y.grad_fn is node
    assert y._version == version
    if grad:
        y.sum().backward()
        assert x.grad.tolist() == [[1.0] * 3] * 2


def test_a_refused_backward_changes_no_grad() -> None:
    x, y = ours.ones(2, requires_grad=True), ours.ones(2, requires_grad=True)
    a = x * 2
    b = a * y
    a.detach().zero_()
    with pytest.raises(RuntimeError, match="inplace"):
        (b.sum() + x.sum()).backward()
    with pytest.raises(RuntimeError, match="scalar"):
        (x * 2).backward()
    assert x.grad is None
    assert y.grad is None


def test_a_refused_grad_is_not_set() -> None:
    x = ours.ones(2, requires_grad=True)
    x.grad = ours.ones(2)
    for wrong in (ours.ones(3), ours.ones(2, dtype=ours.float64), "text"):
        with pytest.raises((RuntimeError, TypeError)):
            x.grad = wrong
    assert x.grad.tolist() == [1.0, 1.0]


def test_an_error_names_where_operands_were_made() -> None:
    from tests.test_engine import line

    x = ours.ones(2, 3, requires_grad=True)
    made, y = line(), x * 2
    with pytest.raises(RuntimeError) as caught:
        y + ours.ones(4)
    assert f"  input is `y`, float32 (2, 3), made by Mul at {made}: " in "\n".join(
        caught.value.__notes__
    )
    message = str(caught.value)
    assert "input is float32 (2, 3); other is float32 (4,)" in message.replace(", other", "; other")


def test_an_error_names_the_function_of_the_users_that_made_an_operand() -> None:
    class Square(ours.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * x

    y = Square.apply(ours.ones(3, requires_grad=True))
    with pytest.raises(RuntimeError) as caught:
        y + ours.ones(4)
    assert ", made by Square at " in "\n".join(caught.value.__notes__)
